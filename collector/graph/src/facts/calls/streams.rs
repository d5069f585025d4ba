//! Calls whose answers a stream passes on: they last as long as it does, which says nothing of them. Mostly it is only the
//! answer to the outside that says that it streams.

use super::{Made, Request};
use crate::span::{Marks, Span, SpanKind};

/// Marks the calls that last for most of the stream that they are made for.
pub(super) fn tell_passed_on(made: &mut [Made<'_>], requests: &[Request], spans: &[Span]) {
    for call in made {
        let passes_on = is_passed_on(&spans[requests[call.request].span], call);
        call.marks.set(Marks::STREAM, passes_on);
    }
}

fn is_passed_on(opening: &Span, call: &Made<'_>) -> bool {
    let is_stream = opening.shape.kind == SpanKind::Server && opening.marks.has(Marks::STREAM);
    is_stream && call.is_remote() && !call.is_asynchronous && call.duration_ns() > opening.duration_ns() / 2
}
