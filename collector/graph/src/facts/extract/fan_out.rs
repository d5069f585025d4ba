//! Where the calls of one request go, and how many services, external hosts and topics that makes.

use super::Made;
use crate::facts::exemplar::Candidate;
use crate::facts::{Entry, OperationFacts};
use crate::span::{NodeKey, Span, SpanKind};

/// Calls of one request that are no attempts after a failure, by where they go.
#[derive(Debug, Default)]
pub(super) struct FanOut {
    pub(super) remote: u64,
    /// Of these, those that only go on with what another one asked.
    pub(super) continued: u64,
    /// Of those that ask anew, those that a scatter has too many.
    pub(super) scattered: u64,
    messages: u64,
    statements: u64,
    /// Calls to its own service, or of which no attribute tells where they go.
    near: u64,
}

impl FanOut {
    pub(super) fn add(&mut self, call: &Made<'_>, kept: u64, continued: u64) {
        match call.callee {
            NodeKey::Datastore(_) => self.statements += kept,
            NodeKey::Topic(_) => self.messages += kept - continued,
            callee if callee == NodeKey::Unknown || callee == call.caller => self.near += kept,
            _ => {
                self.remote += kept;
                self.continued += continued;
            }
        }
    }

    /// Adds where the calls go of the request that `span` opens. Gives how many calls to others these are.
    pub(super) fn add_to(&self, facts: &mut OperationFacts, trace: Candidate, span: &Span, entry: Entry) -> u64 {
        let taken = if entry == Entry::Message { u64::from(span.batch.max(1)) } else { 1 };
        let asked = self.remote - self.continued - self.scattered;
        let remote = asked.div_ceil(taken);
        let children = (asked + self.messages).div_ceil(taken);
        facts.relays += u64::from(self.is_relay(span));
        facts.fan_out.record(remote);
        facts.child_calls.record(children);
        facts.fanned.offer(children, trace);
        remote
    }

    /// Whether the request that `span` opens makes one call and nothing else. One that its own call opens shows nothing of
    /// what its service does beside that.
    fn is_relay(&self, span: &Span) -> bool {
        let is_seen = !matches!(span.shape.kind, SpanKind::Client | SpanKind::Producer);
        is_seen && self.remote == 1 && self.messages + self.statements + self.near == 0
    }
}
