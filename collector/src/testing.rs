//! Spans for tests: described by numbers, read by the same code that reads real ones.

use std::borrow::Cow;

use spanlint_graph::span::{SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{BatchBuilder, Span, SpanBatch, SpanVisitor, TraceId};

/// The start of time in tests, in Unix nanoseconds.
pub(crate) const EPOCH_NS: u64 = 1_700_000_000_000_000_000;

/// A server span of `service-<service>` called `GET /<service>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) trace: u128,
    pub(crate) span: u64,
    /// 0 for a root.
    pub(crate) parent: u64,
    pub(crate) service: u32,
    /// After [`EPOCH_NS`].
    pub(crate) start_ms: u64,
    pub(crate) duration_ms: u64,
}

/// A span without a parent, at the start of time.
pub(crate) fn root(trace: u128, span: u64) -> Sent {
    Sent { trace, span, parent: 0, service: 0, start_ms: 0, duration_ms: 10 }
}

/// A span of another service than its parent's.
pub(crate) fn child(trace: u128, span: u64, parent: u64) -> Sent {
    Sent { parent, service: 1, duration_ms: 5, ..root(trace, span) }
}

/// The batch that a receiver makes of these spans.
pub(crate) fn batch(sent: &[Sent]) -> SpanBatch {
    let mut builder = BatchBuilder::default();
    for each in sent {
        let service = format!("service-{}", each.service);
        builder.resource(&[(Cow::Borrowed("service.name"), Value::Text(service.into()))]);
        let route = format!("/{}", each.service);
        let attributes = [
            (Cow::Borrowed("http.request.method"), Value::Text("GET".into())),
            (Cow::Borrowed("http.route"), Value::Text(route.into())),
        ];
        let start_ns = EPOCH_NS + each.start_ms * 1_000_000;
        builder.span(&SpanView {
            trace_id: TraceId(each.trace),
            span_id: SpanId(each.span),
            parent_id: SpanId(each.parent),
            kind: SpanKind::Server,
            name: "GET".into(),
            start_ns,
            end_ns: start_ns + each.duration_ms * 1_000_000,
            attributes: &attributes,
            ..SpanView::default()
        });
    }
    builder.finish()
}

/// The spans of that batch.
pub(crate) fn spans(sent: &[Sent]) -> Vec<Span> {
    batch(sent).spans
}
