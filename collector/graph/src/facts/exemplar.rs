//! Traces that prove a pattern: the worst, and for each power of two of the measured value a typical one. Both are
//! chosen by value and hash alone, never by order.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::bounded::stable_hash;
use super::{EnvironmentFacts, Facts};
use crate::span::TraceId;

/// The traces that prove one pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplars {
    worst: Option<(u64, TraceId)>,
    /// Number of significant bits of the value → (hash of the trace id, trace id), the smallest hash winning.
    typical: BTreeMap<u8, (u64, TraceId)>,
}

impl Exemplars {
    /// Offers a trace in which the pattern measured `value`.
    pub fn offer(&mut self, value: u64, trace_id: TraceId) {
        self.worst = self.worst.max(Some((value, trace_id)));
        let candidate = (stable_hash(&trace_id), trace_id);
        let entry = self.typical.entry(significant_bits(value)).or_insert(candidate);
        *entry = candidate.min(*entry);
    }

    /// Takes over what `other` knows.
    pub fn merge(&mut self, other: &Self) {
        self.worst = self.worst.max(other.worst);
        for (&bits, &candidate) in &other.typical {
            let entry = self.typical.entry(bits).or_insert(candidate);
            *entry = candidate.min(*entry);
        }
    }

    /// The trace with the greatest value, with that value.
    pub fn worst(&self) -> Option<(u64, TraceId)> {
        self.worst
    }

    /// A trace whose value is within the power of two of `value`, else the nearest that is greater, else the worst.
    pub fn typical(&self, value: u64) -> Option<TraceId> {
        let near = self.typical.range(significant_bits(value)..).next().map(|(_, &(_, trace_id))| trace_id);
        near.or(self.worst.map(|(_, trace_id)| trace_id))
    }

    /// A typical trace for `value` and the worst one, without repeating.
    pub fn proof(&self, value: u64) -> Vec<TraceId> {
        let mut traces: Vec<_> = self.typical(value).into_iter().collect();
        traces.extend(self.worst.map(|(_, trace_id)| trace_id).filter(|worst| !traces.contains(worst)));
        traces
    }

    /// Every trace kept here; one may occur twice.
    pub fn traces(&self) -> impl Iterator<Item = TraceId> {
        self.worst.iter().map(|(_, id)| *id).chain(self.typical.values().map(|(_, id)| *id))
    }
}

impl Facts {
    /// The traces that a graph of these facts may cite, so that a store can keep them.
    pub fn exemplar_traces(&self) -> BTreeSet<TraceId> {
        let mut traces = BTreeSet::new();
        for environment in self.environments.values() {
            // Every field is named, so that a new one is not forgotten here.
            let EnvironmentFacts { counts: _, services: _, operations, edges, patterns, usages, loops } = environment;
            let operations = operations.values().map(|operation| &operation.exemplars);
            let edges = edges.values().flat_map(|edge| [&edge.slow, &edge.failed, &edge.chatty]);
            let patterns = patterns.values().map(|pattern| &pattern.exemplars);
            let usages = usages.values().map(|usage| &usage.exemplars);
            let loops = loops.values().map(|walked| &walked.exemplars);
            let all = operations.chain(edges).chain(patterns).chain(usages).chain(loops);
            traces.extend(all.flat_map(Exemplars::traces));
        }
        traces
    }
}

fn significant_bits(value: u64) -> u8 {
    (64 - value.leading_zeros()) as u8
}
