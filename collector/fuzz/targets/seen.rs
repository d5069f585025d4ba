//! What a decoder showed, small enough to be compared: ids, names, kinds, times and how much of the rest there was.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use spanlint_graph::SpanVisitor;
use spanlint_graph::span::{Attribute, Refusal, SpanView};

/// One call of the visitor.
#[derive(Debug, PartialEq, Eq)]
pub enum Shown {
    Resource { attributes: usize },
    Span { ids: (u128, u64, u64), name: String, times: (u64, u64), is_error: bool, attributes: usize, links: usize },
    Refused,
}

/// Everything that was shown.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Seen(pub Vec<Shown>);

impl SpanVisitor for Seen {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        self.0.push(Shown::Resource { attributes: attributes.len() });
    }

    fn span(&mut self, span: &SpanView<'_>) {
        self.0.push(Shown::Span {
            ids: (span.trace_id.0, span.span_id.0, span.parent_id.0),
            name: span.name.to_string(),
            times: (span.start_ns, span.end_ns),
            is_error: span.is_error,
            attributes: span.attributes.len(),
            links: span.links.len(),
        });
    }

    fn refuse(&mut self, _: Refusal) {
        self.0.push(Shown::Refused);
    }
}

/// What the public types say that should be shown.
pub fn expected(request: &ExportTraceServiceRequest) -> Seen {
    let mut shown = Vec::new();
    for resource_spans in &request.resource_spans {
        let attributes = resource_spans.resource.as_ref().map_or(0, |resource| bounded(resource.attributes.len()));
        shown.push(Shown::Resource { attributes });
        shown.extend(resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans).map(span));
    }
    Seen(shown)
}

fn span(span: &Span) -> Shown {
    let is_wrong = |link: &Link| !matches!(link.trace_id.len(), 0 | 16) || !matches!(link.span_id.len(), 0 | 8);
    let ids = (number(&span.trace_id), number(&span.span_id) as u64, number(&span.parent_span_id) as u64);
    let has_lengths = span.trace_id.len() == 16 && span.span_id.len() == 8 && matches!(span.parent_span_id.len(), 0 | 8);
    if !has_lengths || ids.0 == 0 || ids.1 == 0 || span.links.iter().any(is_wrong) {
        return Shown::Refused;
    }
    let leads_somewhere = |link: &&Link| number(&link.trace_id) != 0 && number(&link.span_id) != 0;
    Shown::Span {
        ids,
        name: span.name.clone(),
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
        is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
        attributes: bounded(span.attributes.len()),
        links: bounded(span.links.iter().filter(leads_somewhere).count()),
    }
}

fn bounded(count: usize) -> usize {
    count.min(spanlint_collector::limits::MAX_ATTRIBUTES)
}

fn number(id: &[u8]) -> u128 {
    id.iter().take(16).fold(0, |number, &byte| number << 8 | u128::from(byte))
}
