//! Calls that are matched with the spans of who took them.

use super::{Made, Reader, received};
use crate::span::{EdgeKind, Marks, SpanKind};

/// How many requests below one client span are looked at for others that the same service took.
const MAX_LOOKED_AT: usize = 64;

impl Reader<'_, '_> {
    /// Adds the call that the client span at `index` tells of and the span at `child` took. A client that tries again by
    /// itself, or asks for several things under one span, tells of none of these calls what each of them was: the
    /// spans of the callee do.
    pub(super) fn read_answer(&mut self, index: usize, child: usize, kind: EdgeKind) {
        let (span, callee) = (&self.spans[index], &self.spans[child]);
        let received = received(span, callee, self.request_of[child]);
        // Of an answer that streams it is mostly the server that says so.
        let mut marks = span.marks;
        marks.set(Marks::STREAM, callee.shape.kind == SpanKind::Server && callee.marks.has(Marks::STREAM));
        let call = Made {
            request: self.request_of[index],
            marks,
            kind: if kind == EdgeKind::Other { received.kind } else { kind },
            callee_ns: received.callee_ns,
            callee_request: received.callee_request,
            is_asynchronous: self.is_taken_later(span, callee),
            template: callee.shape.operation,
            ..self.sent(index, received.callee)
        };
        let (is_one_of_many, is_last) = self.among(index, child);
        if !is_one_of_many {
            self.made.push(call);
            return;
        }
        marks.set(Marks::REDIRECT, callee.marks.has(Marks::REDIRECT));
        let is_given_up = is_last && span.shape.outcome.is_failure();
        self.made.push(Made {
            marks,
            start_ns: received.start_ns,
            end_ns: received.end_ns,
            outcome: if is_given_up { span.shape.outcome } else { received.outcome },
            caller_ns: None,
            is_one_of_many,
            ..call
        });
    }

    /// Whether the service that took a call took others below the same client span, and whether this is the last.
    fn among(&self, index: usize, child: usize) -> (bool, bool) {
        let service = self.spans[child].shape.service;
        let takes = |&other: &usize| {
            let other = &self.spans[other];
            other.shape.kind == SpanKind::Server && other.shape.service == service && !other.shape.is_probe
        };
        let same = self.tree.children(index).take(MAX_LOOKED_AT).filter(takes);
        let (mut count, mut last) = (0, child);
        for other in same {
            count += 1;
            last = last.max(other);
        }
        (count > 1 && takes(&child), last == child)
    }
}
