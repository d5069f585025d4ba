//! Traces that prove a pattern: the worst, and a typical one for each small value that was measured and each power of
//! two of greater ones. All are chosen by value and hash alone, never by order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bounded::stable_hash;
use crate::span::TraceId;

/// Values under this have an example each.
const EXACT: u64 = 32;

/// The traces that prove one pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplars {
    worst: Option<(u64, TraceId)>,
    /// Class of the value → (hash of the trace id, trace id), the smallest hash winning.
    typical: BTreeMap<u8, (u64, TraceId)>,
}

impl Exemplars {
    /// Offers a trace in which the pattern measured `value`.
    pub fn offer(&mut self, value: u64, trace_id: TraceId) {
        self.worst = self.worst.max(Some((value, trace_id)));
        let candidate = (stable_hash(&trace_id), trace_id);
        let entry = self.typical.entry(class(value)).or_insert(candidate);
        *entry = candidate.min(*entry);
    }

    /// Takes over what `other` knows.
    pub fn merge(&mut self, other: &Self) {
        self.worst = self.worst.max(other.worst);
        for (&class, &candidate) in &other.typical {
            let entry = self.typical.entry(class).or_insert(candidate);
            *entry = candidate.min(*entry);
        }
    }

    /// The trace with the greatest value, with that value.
    pub fn worst(&self) -> Option<(u64, TraceId)> {
        self.worst
    }

    /// A trace whose value is that of `value` where it is small, else within its power of two; else the nearest that is
    /// greater, else the worst.
    pub fn typical(&self, value: u64) -> Option<TraceId> {
        let near = self.typical.range(class(value)..).next().map(|(_, &(_, trace_id))| trace_id);
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

/// Small values, which are counts with thresholds among them, have a class each; the others share one with all of
/// their power of two.
fn class(value: u64) -> u8 {
    if value < EXACT { value as u8 } else { EXACT as u8 + value.ilog2() as u8 }
}
