//! What leads to a request: the requests that wait for it, and the schedule that started them.

use super::{Calls, MAX_CHAIN, Reader};
use crate::facts::Entry;
use crate::span::{Span, SpanKind};

impl Calls<'_> {
    /// The requests on the synchronous path that leads to a request, the nearest caller first.
    pub(in crate::facts) fn synchronous_path(&self, request: usize) -> impl Iterator<Item = usize> {
        let mut at = request;
        let next = std::iter::from_fn(move || {
            let request = &self.requests[at];
            at = request.caller.filter(|_| request.is_synchronous)?;
            Some(at)
        });
        next.take(MAX_CHAIN)
    }

    /// Whether a schedule started a request, or the job that a server works for.
    pub(in crate::facts) fn is_scheduled(&self, spans: &[Span], request: usize) -> bool {
        let is_started = |at: usize| self.requests[at].entry == Entry::Schedule;
        let is_taken = spans[self.requests[request].span].shape.kind == SpanKind::Server;
        is_started(request) || is_taken && self.synchronous_path(request).any(is_started)
    }
}

impl Reader<'_, '_> {
    /// Whether a job of a schedule has a part of it done by `span`, a step in another process that nobody calls: the tasks
    /// of a pipeline.
    pub(super) fn hands_on(&self, parent: usize, span: &Span) -> bool {
        let is_step = |span: &Span| span.shape.kind == SpanKind::Internal;
        let is_scheduled = self.requests[self.request_of[parent]].entry == Entry::Schedule;
        is_scheduled && self.tells_kinds && is_step(&self.spans[parent]) && is_step(span)
    }
}
