//! Traces that prove a pattern: the worst, and a typical one for each small value that was measured and each power of
//! two of greater ones. All are chosen by value and hash alone, never by order.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::bounded::stable_hash;
use crate::span::TraceId;

/// Values under this have an example each.
const EXACT: u64 = 32;
/// The class of the greatest values.
const MAX_CLASS: u8 = EXACT as u8 + u64::MAX.ilog2() as u8;

/// A trace, with the hash of its id: of two the smaller hash wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Candidate(u64, TraceId);

impl From<TraceId> for Candidate {
    fn from(id: TraceId) -> Self {
        Self(stable_hash(&id), id)
    }
}

/// The traces that prove one pattern. Most patterns of most facts have none, and take no room then.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exemplars(Option<Box<Known>>);

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Known {
    /// The greatest value, with its trace.
    worst: (u64, TraceId),
    typical: Typical,
}

/// Class of the value → the trace that stands for it, in order of the classes: there are few.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "BTreeMap<u8, Candidate>", into = "BTreeMap<u8, Candidate>")]
struct Typical(Vec<OfClass>);

/// The trace that stands for a class.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct OfClass {
    class: u8,
    candidate: Candidate,
}

impl From<BTreeMap<u8, Candidate>> for Typical {
    fn from(by_class: BTreeMap<u8, Candidate>) -> Self {
        let mut typical = Self::default();
        // A forged snapshot may hold classes that no value has.
        for (known, candidate) in by_class {
            typical.offer(known.min(MAX_CLASS), candidate);
        }
        typical
    }
}

impl From<Typical> for BTreeMap<u8, Candidate> {
    fn from(typical: Typical) -> Self {
        typical.iter().collect()
    }
}

impl Typical {
    fn offer(&mut self, class: u8, candidate: Candidate) {
        let place = self.0.iter().position(|known| known.class >= class).unwrap_or(self.0.len());
        match self.0.get_mut(place) {
            Some(known) if known.class == class => {
                if candidate < known.candidate {
                    known.candidate = candidate;
                }
            }
            _ => self.insert(place, OfClass { class, candidate }),
        }
    }

    #[cold]
    fn insert(&mut self, place: usize, new: OfClass) {
        if self.0.len() < 2 {
            self.0.reserve_exact(1);
        }
        self.0.insert(place, new);
    }

    /// In order of the classes.
    fn iter(&self) -> impl Iterator<Item = (u8, Candidate)> {
        self.0.iter().map(|known| (known.class, known.candidate))
    }
}

impl Exemplars {
    /// Offers a trace in which the pattern measured `value`.
    #[inline]
    pub fn offer(&mut self, value: u64, candidate: impl Into<Candidate>) {
        let candidate = candidate.into();
        let known = self.known((value, candidate.1));
        if (value, candidate.1) > known.worst {
            known.worst = (value, candidate.1);
        }
        known.typical.offer(class(value), candidate);
    }

    /// Takes over what `other` knows.
    pub fn merge(&mut self, other: &Self) {
        let Some(other) = &other.0 else { return };
        let known = self.known(other.worst);
        known.worst = known.worst.max(other.worst);
        other.typical.iter().for_each(|(class, candidate)| known.typical.offer(class, candidate));
    }

    /// The trace with the greatest value, with that value.
    pub fn worst(&self) -> Option<(u64, TraceId)> {
        self.0.as_ref().map(|known| known.worst)
    }

    /// What is known; `worst` where nothing is yet.
    fn known(&mut self, worst: (u64, TraceId)) -> &mut Known {
        self.0.get_or_insert_with(|| Box::new(Known { worst, typical: Typical::default() }))
    }

    /// A trace whose value is that of `value` where it is small, else within its power of two; else the nearest that is
    /// greater, else the worst.
    pub fn typical(&self, value: u64) -> Option<TraceId> {
        let known = self.0.as_ref()?;
        let near = known.typical.iter().find(|(known, _)| *known >= class(value)).map(|(_, Candidate(_, id))| id);
        Some(near.unwrap_or(known.worst.1))
    }

    /// A typical trace for `value` and the worst one, without repeating.
    pub fn proof(&self, value: u64) -> Vec<TraceId> {
        let mut traces: Vec<_> = self.typical(value).into_iter().collect();
        traces.extend(self.worst().map(|(_, trace_id)| trace_id).filter(|worst| !traces.contains(worst)));
        traces
    }

    /// How many bytes its two pieces of memory have.
    pub(super) fn owned_bytes(&self) -> [usize; 2] {
        self.0.as_ref().map_or([0; 2], |known| [size_of::<Known>(), known.typical.0.capacity() * size_of::<OfClass>()])
    }

    /// Every trace kept here; one may occur twice.
    pub fn traces(&self) -> impl Iterator<Item = TraceId> {
        let worst = self.worst().map(|(_, id)| id);
        let typical = self.0.iter().flat_map(|known| known.typical.iter()).map(|(_, Candidate(_, id))| id);
        worst.into_iter().chain(typical)
    }
}

/// Small values, which are counts with thresholds among them, have a class each; the others share one with all of
/// their power of two.
fn class(value: u64) -> u8 {
    if value < EXACT { value as u8 } else { EXACT as u8 + value.ilog2() as u8 }
}
