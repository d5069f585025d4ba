//! The memory of settled traces: which spans they had, so that a span that comes late can be told from one that was
//! sent again. The oldest traces are forgotten; a span of a forgotten trace starts a new one.

use std::collections::{HashMap, VecDeque};

use spanlint_graph::facts::bounded::stable_hash;
use spanlint_graph::{Span, Trace, TraceId};

/// Traces that settled lately, with the hashes of their spans.
#[derive(Debug)]
pub(super) struct SettledTraces {
    /// Trace → hashes of its spans, sorted.
    spans: HashMap<TraceId, Vec<u64>>,
    /// From the one that settled first to the one that settled last.
    order: VecDeque<TraceId>,
    remembered_spans: usize,
    limit_spans: usize,
}

impl SettledTraces {
    pub(super) fn new(limit_spans: usize) -> Self {
        Self { spans: HashMap::new(), order: VecDeque::new(), remembered_spans: 0, limit_spans }
    }

    pub(super) fn contains(&self, id: TraceId) -> bool {
        self.spans.contains_key(&id)
    }

    pub(super) fn add_trace(&mut self, trace: &Trace) {
        let mut hashes: Vec<u64> = trace.spans().iter().map(identity).collect();
        hashes.sort_unstable();
        self.remembered_spans += hashes.len();
        self.spans.insert(trace.id(), hashes);
        self.order.push_back(trace.id());
        self.forget();
    }

    /// Adds a span to a trace that is remembered; false if the trace had it already.
    pub(super) fn add_span(&mut self, span: &Span) -> bool {
        let hashes = self.spans.get_mut(&span.trace_id).expect("the caller found the trace");
        let hash = identity(span);
        let Err(place) = hashes.binary_search(&hash) else {
            return false;
        };
        hashes.insert(place, hash);
        self.remembered_spans += 1;
        self.forget();
        true
    }

    fn forget(&mut self) {
        while self.remembered_spans > self.limit_spans {
            let oldest = self.order.pop_front().expect("remembered spans belong to a trace");
            let hashes = self.spans.remove(&oldest).expect("ordered traces are remembered");
            self.remembered_spans -= hashes.len();
        }
    }
}

/// What makes two spans of one trace the same span, as [`Trace::new`] sees it.
fn identity(span: &Span) -> u64 {
    stable_hash(&(span.span_id, span.kind, span.service))
}
