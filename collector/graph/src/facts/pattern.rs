//! What one operation calls again and again: the same operation of a callee, or the same query.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fold::{Cell, Key, fold_fields};
use super::histogram::BUCKETS;
use super::{Bounded, Exemplars, Histogram, MAX_LOCATIONS, MAX_SEQUENCE, MAX_TABLES, OperationKey};
use crate::marks::Location;
use crate::name::Name;
use crate::span::{EdgeKind, NodeKey};

/// What one operation calls again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PatternKey {
    /// The caller's operation.
    pub caller: OperationKey,
    /// The callee, raw; [`NodeKey::Unknown`] where no attribute names it.
    pub callee: NodeKey,
    /// The protocol.
    pub kind: EdgeKind,
    /// The callee's operation or the query's template; empty where unknown.
    pub template: Name,
}

impl Key for PatternKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.caller.for_each_name(visit);
        self.callee.for_each_name(visit);
        visit(self.template);
    }
}

/// What is known of the parameters of the calls that one request makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Parameters {
    /// Known for every call.
    Known = 0,
    /// Unknown for at least one call.
    Unknown = 1,
    /// Every call went to a host of its own: a scatter, not a repetition.
    Scattered = 2,
}

/// How one request repeats a call. Statements count under one parent, or under parents of one name (resolvers,
/// repositories), whichever of these groups repeats most; other calls count within the whole request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Repetition {
    /// Bucket of the number of calls that differ: known parameters count once each, unknown ones each time, and all of
    /// them each time where they go through a list (three statements differ, or most other calls do), since entries of a
    /// list may be alike. Attempts after a failure are left out.
    pub distinct: u16,
    /// Bucket of the time in which at least one of the calls was under way, in nanoseconds; 0 for a single call.
    pub union_ns: u16,
    /// That as a share of the request's duration, in percent (0 to 100); 0 for a single call.
    pub share: u8,
    /// What is known of the parameters.
    pub parameters: Parameters,
}

/// How one request repeats a sequence of different statements: A B C A B C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Sequence {
    /// Statements of the sequence: 2 to [`MAX_SEQUENCE`].
    pub length: u8,
    /// Bucket of how often it is gone through.
    pub repeats: u16,
    /// Bucket of the time in which at least one of the statements was under way, in nanoseconds.
    pub union_ns: u16,
    /// That as a share of the request's duration, in percent (0 to 100).
    pub share: u8,
}

impl Cell for Repetition {
    fn is_possible(&self) -> bool {
        self.distinct < BUCKETS && self.union_ns < BUCKETS && self.share <= 100
    }
}

impl Cell for Sequence {
    fn is_possible(&self) -> bool {
        let is_length = (2..=MAX_SEQUENCE).contains(&usize::from(self.length));
        is_length && self.repeats < BUCKETS && self.union_ns < BUCKETS && self.share <= 100
    }
}

/// The facts of one call pattern.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PatternFacts {
    /// Caller's requests that make such a call.
    pub requests: u64,
    /// Calls, attempts after a failure among them.
    pub calls: u64,
    /// Calls that set up, migrate or lock.
    pub set_up_calls: u64,
    /// Calls that write.
    pub writes: u64,
    /// Attempts after a failure.
    pub retries: u64,
    /// Of these, those that say so themselves (`http.request.resend_count`).
    pub resends: u64,
    /// Caller's requests with attempts after a failure.
    pub retried_requests: u64,
    /// Repetition → requests, of requests with at least one call that is no attempt after a failure. Its domain is
    /// finite.
    pub repetitions: BTreeMap<Repetition, u64>,
    /// By number of distinct calls; scattered ones are no examples.
    pub exemplars: Exemplars,
    /// Time that one call instead of all would have saved, in nanoseconds: the union less the longest. Of requests with
    /// at least [`MIN_REPEATED`](super::MIN_REPEATED) distinct calls.
    pub saved: Histogram,
    /// Number of calls with the same known parameters in one request, with no write to the callee and no waiting for a new
    /// answer in between, where two or more. Pages of one answer are different calls.
    pub repeats: Histogram,
    /// By that number.
    pub repeated: Exemplars,
    /// Sequences that begin with this statement → requests. Its domain is finite.
    pub sequences: BTreeMap<Sequence, u64>,
    /// By times that the sequence is gone through.
    pub sequenced: Exemplars,
    /// How long a call took, in nanoseconds; streams are left out.
    pub latency: Histogram,
    /// By latency.
    pub slow: Exemplars,
    /// Tables and collections that the statements touch → calls.
    pub tables: Bounded<Name, u64, MAX_TABLES>,
    /// Where in the code the calls are made → calls.
    pub locations: Bounded<Location, u64, MAX_LOCATIONS>,
}

fold_fields!(PatternFacts {
    requests,
    calls,
    set_up_calls,
    writes,
    retries,
    resends,
    retried_requests,
    repetitions,
    exemplars,
    saved,
    repeats,
    repeated,
    sequences,
    sequenced,
    latency,
    slow,
    tables,
    locations,
});
