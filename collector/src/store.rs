//! The store of recent traces: bounded in bytes, the cited ones last to go.
//!
//! Nothing is thrown away while traces come in. When the store is full, its owner says which traces are cited, and
//! only then the oldest go: first those that nobody cites, then those that may be cited when others leave the window,
//! and the cited ones only when they alone are too much. So a trace that a new graph cites was never lost before
//! anyone could have known.

use std::collections::hash_map::Entry;

use spanlint_graph::hash::{HashMap, HashSet};
use spanlint_graph::{Span, Trace, TraceId};

use crate::assemble::Weighed;

/// The most bytes of traces that are kept.
pub const MAX_STORED_BYTES: usize = 32 << 20;

/// The rank of a cited trace when room is made: the last to go.
const CITED: u8 = 2;

/// Traces by id, as many as fit.
#[derive(Debug)]
pub struct TraceStore {
    limit_bytes: usize,
    traces: HashMap<TraceId, Stored>,
    bytes: usize,
    /// How many traces were ever inserted; the age of a trace.
    inserted: u64,
    evicted_exemplars: u64,
    is_exhausted: bool,
}

/// A trace with the spans that came late.
#[derive(Debug)]
struct Stored {
    trace: Trace,
    late: Vec<Trace>,
    bytes: usize,
    age: u64,
}

/// Which traces shall go last.
#[derive(Debug, Default)]
pub struct Pins {
    /// Those that a published graph cites.
    pub cited: HashSet<TraceId>,
    /// Those that it may cite when newer ones come in or older ones leave the window.
    pub next: HashSet<TraceId>,
}

impl TraceStore {
    /// An empty store for `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            traces: HashMap::default(),
            bytes: 0,
            inserted: 0,
            evicted_exemplars: 0,
            is_exhausted: false,
        }
    }

    /// Adds a trace, or late spans to a trace. The store may be over its limit afterwards: see
    /// [`TraceStore::is_full`].
    pub fn insert(&mut self, Weighed { trace, bytes }: Weighed) {
        self.bytes += bytes;
        self.inserted += 1;
        match self.traces.entry(trace.id()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Stored { trace, late: Vec::new(), bytes, age: self.inserted });
            }
            Entry::Occupied(mut occupied) => {
                let stored = occupied.get_mut();
                stored.late.push(trace);
                stored.bytes += bytes;
            }
        }
    }

    /// The trace, with the spans that came late.
    pub fn get(&self, id: TraceId) -> Option<Trace> {
        Some(Trace::new(self.traces.get(&id)?.spans().cloned().collect()))
    }

    /// Whether [`TraceStore::make_room`] is due.
    pub fn is_full(&self) -> bool {
        self.bytes > self.limit_bytes
    }

    /// Evicts traces until a quarter of the store is free, so that making room is rare; those of `new` facts, which no
    /// graph has yet, go as late as the cited ones.
    pub fn make_room(&mut self, pins: &Pins, new: &HashSet<TraceId>) {
        let is_cited = |id: &TraceId| pins.cited.contains(id) || new.contains(id);
        let rank = |id: &TraceId| if is_cited(id) { CITED } else { u8::from(pins.next.contains(id)) };
        let mut order: Vec<(u8, u64, TraceId)> =
            self.traces.iter().map(|(id, stored)| (rank(id), stored.age, *id)).collect();
        order.sort_unstable();
        self.is_exhausted = false;
        for (rank, _, id) in order {
            if self.bytes <= self.limit_bytes / 4 * 3 {
                break;
            }
            let stored = self.traces.remove(&id).expect("ordered traces are stored");
            self.bytes -= stored.bytes;
            self.evicted_exemplars += u64::from(rank > 0);
            self.is_exhausted |= rank == CITED;
        }
    }

    /// How many traces are stored.
    pub fn len(&self) -> usize {
        self.traces.len()
    }

    /// Whether no trace is stored.
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty()
    }

    /// How many bytes the traces take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many traces had to go that a graph cites or may come to cite, since they alone were too much.
    pub fn evicted_exemplars(&self) -> u64 {
        self.evicted_exemplars
    }

    /// Whether cited traces had to go when room was made last: the store is too small for what is cited.
    pub fn is_exhausted(&self) -> bool {
        self.is_exhausted
    }

    /// The spans that are stored, in no particular order.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.traces.values().flat_map(Stored::spans)
    }
}

impl Stored {
    fn spans(&self) -> impl Iterator<Item = &Span> {
        [&self.trace].into_iter().chain(&self.late).flat_map(Trace::spans)
    }
}

#[cfg(test)]
mod tests;
