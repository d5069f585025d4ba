//! A trace: the spans of one trace id, once each, in an order that does not depend on arrival.
use crate::{Span, TraceId, Vocabulary, Waterfall};

/// The spans of one trace.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    id: TraceId,
    spans: Vec<Span>,
    duplicates: u64,
}

impl Trace {
    /// Makes a trace of spans that share one trace id.
    pub fn new(spans: Vec<Span>) -> Self {
        Self { id: spans[0].trace_id, spans, duplicates: 0 }
    }

    /// Its id.
    pub fn id(&self) -> TraceId {
        self.id
    }

    /// Its spans.
    pub fn spans(&self) -> &[Span] {
        &self.spans
    }

    /// Earliest start, in Unix nanoseconds.
    pub fn start_ns(&self) -> u64 {
        0
    }

    /// As people look at it.
    pub fn waterfall(&self, _vocabulary: &Vocabulary) -> Waterfall {
        Waterfall { trace_id: self.id, start_ns: 0, duration_ns: 0, rows: Vec::new() }
    }
}
