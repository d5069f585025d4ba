//! Statements that two libraries tell of side by side. What maps objects may only listen to events, so that its span is
//! not the parent of the driver's: both hang below the request.

use super::Reader;
use crate::name::Name;
use crate::span::{Call, EdgeKind, Marks, NodeKey, Span, SpanKind};

/// How many of the spans that follow under the same parent are looked at.
const MAX_LOOKED_AT: usize = 4;

impl Reader<'_, '_> {
    /// Whether another library, nearer to the datastore, tells of the same statement: its span lies beside this one,
    /// within its time, and has another name. Statements that run at once have one name, as one library tells of them.
    pub(super) fn is_told_beside(&self, index: usize) -> bool {
        let span = &self.spans[index];
        let (Some(parent), Some(call)) = (self.tree.parent[index], statement(span)) else { return false };
        let after = self.tree.siblings_after(parent, index).iter().take(MAX_LOOKED_AT).map(|&other| &self.spans[other]);
        after.take_while(|other| other.start_ns <= span.end_ns).any(|other| {
            let is_within = other.end_ns <= span.end_ns && other.shape.service == span.shape.service;
            let is_same = |other: &Call| other.template == call.template && system(other) == system(call);
            is_within
                && other.name != span.name
                && other.parameters == span.parameters
                && statement(other).is_some_and(is_same)
        })
    }
}

/// What a span says of the statement that it runs; nothing where it is but a step of a driver.
fn statement(span: &Span) -> Option<&Call> {
    let is_run = span.shape.kind == SpanKind::Client && !span.marks.has(Marks::SET_UP);
    let call = span.shape.call.as_ref().filter(|_| is_run)?;
    (call.kind == EdgeKind::Database && !call.template.is_empty()).then_some(call)
}

/// The system and the database that a statement runs in. The address may be missing, or be written in another way.
fn system(call: &Call) -> Option<(Name, Name)> {
    match call.peer {
        Some(NodeKey::Datastore(key)) => Some((key.system, key.namespace)),
        _ => None,
    }
}
