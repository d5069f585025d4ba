//! The memory of settled traces: which spans they had, so that a span that comes late can be told from one that was
//! sent again. The oldest traces are forgotten; a span of a forgotten trace starts a new one.

use std::collections::VecDeque;

use spanlint_graph::facts::bounded::stable_hash;
use spanlint_graph::hash::{HashMap, HashSet};
use spanlint_graph::{Name, Span, Trace, TraceId};

/// What remembering a trace takes beside its spans, in spans.
pub(super) const TRACE_WEIGHT: usize = 16;

/// Traces that settled lately, with the hashes of their spans.
#[derive(Debug)]
pub(super) struct SettledTraces {
    traces: HashMap<TraceId, Settled>,
    /// From the one that settled first to the one that settled last.
    order: VecDeque<TraceId>,
    remembered_spans: usize,
    limit_spans: usize,
}

/// What is remembered of one trace.
#[derive(Debug)]
struct Settled {
    /// Hashes of the spans that it settled with, sorted.
    spans: Box<[u64]>,
    /// Hashes of those that came late.
    late: HashSet<u64>,
    /// The environment of spans that name none.
    environment: Name,
}

impl SettledTraces {
    pub(super) fn new(limit_spans: usize) -> Self {
        Self { traces: HashMap::default(), order: VecDeque::new(), remembered_spans: 0, limit_spans }
    }

    pub(super) fn contains(&self, id: TraceId) -> bool {
        self.traces.contains_key(&id)
    }

    pub(super) fn add_trace(&mut self, trace: &Trace) {
        let mut hashes: Vec<u64> = trace.spans().iter().map(identity).collect();
        hashes.sort_unstable();
        self.remembered_spans += hashes.len() + TRACE_WEIGHT;
        let settled = Settled { spans: hashes.into(), late: HashSet::default(), environment: Name::EMPTY };
        self.traces.insert(trace.id(), settled);
        self.order.push_back(trace.id());
        self.forget();
    }

    /// Adds a span to a trace that is remembered; false if the trace had it already.
    pub(super) fn add_span(&mut self, span: &Span) -> bool {
        let settled = self.traces.get_mut(&span.trace_id).expect("the caller found the trace");
        let hash = identity(span);
        if settled.spans.binary_search(&hash).is_ok() || !settled.late.insert(hash) {
            return false;
        }
        self.remembered_spans += 1;
        self.forget();
        true
    }

    /// Remembers the environment of a trace, if the trace itself is.
    pub(super) fn set_environment(&mut self, id: TraceId, environment: Name) {
        if let Some(settled) = self.traces.get_mut(&id) {
            settled.environment = environment;
        }
    }

    /// The environment of a trace; empty where it is not remembered.
    pub(super) fn environment(&self, id: TraceId) -> Name {
        self.traces.get(&id).map(|settled| settled.environment).unwrap_or_default()
    }

    fn forget(&mut self) {
        while self.remembered_spans > self.limit_spans {
            let oldest = self.order.pop_front().expect("remembered spans belong to a trace");
            let settled = self.traces.remove(&oldest).expect("ordered traces are remembered");
            self.remembered_spans -= settled.spans.len() + settled.late.len() + TRACE_WEIGHT;
        }
    }
}

/// What makes two spans of one trace the same span, as [`Trace::new`] sees it.
fn identity(span: &Span) -> u64 {
    stable_hash(&(span.span_id, span.shape.kind, span.shape.service))
}
