//! What is known of an operation: one execution of it is a request.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fold::{Cell, Key, fold_fields};
use super::histogram::BUCKETS;
use super::{Exemplars, Histogram, failures};
use crate::name::Name;
use crate::span::{DatastoreKey, NodeKey, Outcome, ServiceKey};

/// An operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationKey {
    /// Who offers it.
    pub service: ServiceKey,
    /// What it is called: `GET /cart/{id}`.
    pub operation: Name,
}

impl Key for OperationKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.service.for_each_name(visit);
        visit(self.operation);
    }
}

/// How a request came to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Entry {
    /// The outside world called.
    Client = 0,
    /// A schedule or a program of its own started it.
    Schedule = 1,
    /// A message was taken.
    Message = 2,
    /// Another service called.
    Internal = 3,
    /// The caller's span never came.
    Unknown = 4,
    /// It is a call on its own: nothing tells what it was made for.
    Untold = 5,
}

impl Entry {
    /// How many there are.
    pub const KINDS: usize = Self::Untold as usize + 1;
}

/// The least duration of a call, in milliseconds, for which runs of calls one after another are measured. A configured
/// minimum is rounded up to one of these.
pub const SERIAL_FLOORS_MS: [u64; 6] = [0, 10, 50, 100, 500, 1_000];

/// The longest run of calls of one request, one after another without overlap, to services and external hosts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SerialRun {
    /// Index into [`SERIAL_FLOORS_MS`]: only calls of at least this duration count.
    pub floor: u8,
    /// Bucket of the number of calls.
    pub calls: u16,
    /// Bucket of the sum of their durations less the longest, in nanoseconds.
    pub saved_ns: u16,
    /// That as a share of the request's duration, in percent (0 to 100).
    pub share: u8,
}

impl Cell for SerialRun {
    fn is_possible(&self) -> bool {
        let is_floor = usize::from(self.floor) < SERIAL_FLOORS_MS.len();
        is_floor && self.calls < BUCKETS && self.saved_ns < BUCKETS && self.share <= 100
    }
}

/// The facts of one operation. A request is one execution of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationFacts {
    /// Requests; the *n* of every rule.
    pub requests: u64,
    /// Requests by [`Outcome::index`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Requests by [`Entry`].
    pub entries: [u64; Entry::KINDS],
    /// Of these, streams and long polls: their time says nothing.
    pub streams: u64,
    /// Requests that showed who was asking.
    pub identified: u64,
    /// Requests with a header that told the version of the interface.
    pub versioned: u64,
    /// How long requests took, in nanoseconds; streams are left out.
    pub latency: Histogram,
    /// By latency.
    pub exemplars: Exemplars,
    /// Time in which no call of the request was under way, in nanoseconds; streams are left out.
    pub self_time: Histogram,
    /// That as a share of the request's duration, in percent; streams are left out.
    pub self_share: Histogram,
    /// Requests that make exactly one call, to a service or an external host, and touch no datastore and no topic.
    pub relays: u64,
    /// Calls of a request to services and external hosts, attempts after a failure left out and what only goes on with
    /// another question (further pages, redirects, looks whether something is ready), one question to each of many shards
    /// counted once, divided by the messages that a batch consumer took.
    pub fan_out: Histogram,
    /// Calls and messages of a request, not statements, counted like `fan_out`.
    pub child_calls: Histogram,
    /// By the greater of both.
    pub fanned: Exemplars,
    /// The sum of what `fan_out` counts over this request and all that it caused; for requests without a caller. What each
    /// makes that makes [`MIN_WIDE`](super::MIN_WIDE) or more itself is left out.
    pub trace_calls: Histogram,
    /// By that number, from [`MIN_TRACE_CALLS`](super::MIN_TRACE_CALLS) on.
    pub spread: Exemplars,
    /// Services that this request and all that it caused touched, its own among them; for requests without a caller.
    pub services_touched: Histogram,
    /// The services on the longest synchronous way that starts here, less the first, each once; for requests that nobody
    /// in the system waits for.
    pub depth: Histogram,
    /// By depth.
    pub deepest: Exemplars,
    /// Runs of calls one after another → requests. Its domain is finite.
    pub serial: BTreeMap<SerialRun, u64>,
    /// By time that calling at once would have saved, in nanoseconds.
    pub serialized: Exemplars,
}

impl OperationFacts {
    /// Whether somebody asked for it: not all of its requests were started by the clock or are calls on their own.
    pub fn is_asked_for(&self) -> bool {
        let by_itself = [Entry::Schedule, Entry::Untold].map(|entry| self.entries[entry as usize]);
        self.requests > by_itself.iter().sum()
    }

    /// Requests that failed.
    pub fn failures(&self) -> u64 {
        failures(&self.outcomes)
    }
}

fold_fields!(OperationFacts {
    requests,
    outcomes,
    entries,
    streams,
    identified,
    versioned,
    latency,
    exemplars,
    self_time,
    self_share,
    relays,
    fan_out,
    child_calls,
    fanned,
    trace_calls,
    spread,
    services_touched,
    depth,
    deepest,
    serial,
    serialized,
});

/// Where one request writes twice: a datastore, and a second one or a topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DualWriteKey {
    /// What the request executes.
    pub operation: OperationKey,
    /// The datastore that it writes; of two the smaller key.
    pub datastore: DatastoreKey,
    /// The other datastore, or the topic that it publishes to.
    pub other: NodeKey,
}

impl Key for DualWriteKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.operation.for_each_name(visit);
        self.datastore.for_each_name(visit);
        self.other.for_each_name(visit);
    }
}

/// Requests that write twice. Those that touch a table called like an outbox are left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DualWriteFacts {
    /// Requests that do.
    pub requests: u64,
    /// By duration of the request.
    pub exemplars: Exemplars,
}

fold_fields!(DualWriteFacts { requests, exemplars });
