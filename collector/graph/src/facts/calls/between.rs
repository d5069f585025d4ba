//! What a span is to its parent.

use crate::span::{Marks, Span, SpanKind};

/// Whether `span`, a child of `parent`, starts a request of its own. A span of any kind does whose parent is in another
/// service; so does the end that takes a service's call to itself, not what its sidecar hands on, and a batch's message.
pub(super) fn opens_request(parent: &Span, span: &Span) -> bool {
    parent.shape.service != span.shape.service
        || is_part_of_batch(parent, span)
        || (!parent.marks.is_of_proxy() || span.marks.is_of_proxy())
            && matches!(
                (parent.shape.kind, span.shape.kind),
                (SpanKind::Client, SpanKind::Server) | (SpanKind::Producer, SpanKind::Consumer)
            )
}

/// Whether `span` takes what its own service asks for over the network, under whatever host. What stands before a service may
/// have its name, too, and passes on.
pub(super) fn takes_own_call(parent: &Span, span: &Span) -> bool {
    let is_of_proxy = parent.marks.is_of_proxy() || span.marks.is_of_proxy();
    !is_of_proxy && (parent.shape.kind, span.shape.kind) == (SpanKind::Client, SpanKind::Server)
}

/// Whether `span` works off one of the messages that its parent received: who receives waits, as for a stream.
pub(super) fn is_part_of_batch(parent: &Span, span: &Span) -> bool {
    let takes = |span: &Span| span.shape.kind == SpanKind::Consumer && span.shape.service == parent.shape.service;
    takes(parent) && takes(span) && parent.marks.has(Marks::STREAM) && !span.marks.has(Marks::STREAM)
}

/// Whether a span that opens a request was called by its parent. Without a client span between them, a server is only
/// where it begins before its parent ends: a browser that follows a redirect carries the context on, too, but later. That
/// it begins before its parent, or outlasts it, comes from clocks that are apart.
pub(super) fn calls(parent: &Span, span: &Span) -> bool {
    let is_direct =
        span.shape.kind == SpanKind::Server && matches!(parent.shape.kind, SpanKind::Server | SpanKind::Internal);
    !is_direct || span.start_ns < parent.end_ns
}
