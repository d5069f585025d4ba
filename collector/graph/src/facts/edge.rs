//! What is known of an edge: who calls whom, how often within a request, how it ends.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::fold::{Key, fold_fields};
use super::{Bounded, Exemplars, Histogram, Latest, MAX_HOSTS, MAX_SLICES, Seen, failures, median};
use crate::name::Name;
use crate::span::{EdgeKind, NodeKey, Outcome};

/// An edge: who calls whom, over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EdgeKey {
    /// The caller.
    pub caller: NodeKey,
    /// The callee, raw.
    pub callee: NodeKey,
    /// The protocol.
    pub kind: EdgeKind,
}

impl Key for EdgeKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.caller.for_each_name(visit);
        self.callee.for_each_name(visit);
    }
}

/// The calls of one edge that started within one slice of time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SliceFacts {
    /// Calls.
    pub calls: u64,
    /// Of these, those that failed.
    pub failures: u64,
    /// Time spent in the failed ones, in nanoseconds.
    pub failed_ns: u64,
    /// Time spent in all, in nanoseconds.
    pub busy_ns: u64,
}

fold_fields!(SliceFacts { calls, failures, failed_ns, busy_ns });

/// The facts of one edge.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EdgeFacts {
    /// Calls, attempts after a failure among them.
    pub calls: u64,
    /// Calls by [`Outcome::index`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Calls whose callee sent spans.
    pub traced_calls: u64,
    /// Calls that nobody waits for: through messages.
    pub asynchronous_calls: u64,
    /// Streams and long polls, whose time says nothing; they are in no histogram of time.
    pub streams: u64,
    /// Messages or statements that the calls carried: more than calls where they were batches.
    pub items: u64,
    /// Calls that overlap another call of the same request on this edge.
    pub overlapping_calls: u64,
    /// How far the callee lies outside of the caller's time where it is on another host, in nanoseconds: so far do clocks
    /// differ. Of calls that were not given up, and, of those that were, how much earlier the callee began.
    pub skew: Histogram,
    /// Calls to a service that was already on the synchronous path.
    pub revisits: u64,
    /// Calls that could be read on their way.
    pub plain_calls: u64,
    /// Calls that were encrypted.
    pub encrypted_calls: u64,
    /// Calls that could be read, by latency.
    pub plain: Exemplars,
    /// Hosts as the caller named them → calls. Those of the outside world have their port where it is not the usual one.
    pub hosts: Bounded<Name, u64, MAX_HOSTS>,
    /// Of calls that name their host by an address, see [`is_address`](crate::semantics::is_address), by latency.
    pub addressed: Exemplars,
    /// Traces that hold such a call.
    pub traces: u64,
    /// Caller's requests that make such a call.
    pub requests: u64,
    /// (bucket of calls, bucket of distinct operations called) of one caller's request → requests. Retries are left out.
    /// Its domain is finite: see [`bucket`](super::histogram::bucket).
    pub per_request: BTreeMap<(u16, u16), u64>,
    /// The same, with further pages, redirects and looks whether something is ready left out, too; one question to each of
    /// many shards is one.
    pub asked_per_request: BTreeMap<(u16, u16), u64>,
    /// The same as the latter of the caller's busiest request of each trace, of two calls or more.
    pub per_trace: BTreeMap<(u16, u16), u64>,
    /// By calls per request.
    pub chatty: Exemplars,
    /// Attempts after a failure.
    pub retries: u64,
    /// Attempts at one thing, the first among them, of requests with attempts after a failure.
    pub attempts: Histogram,
    /// Requests whose attempts on this edge lie below attempts on another: they multiply.
    pub layered_retries: u64,
    /// By attempts at one thing.
    pub retried: Exemplars,
    /// As the caller saw it, in nanoseconds.
    pub caller_latency: Histogram,
    /// As the callee saw it, in nanoseconds.
    pub callee_latency: Histogram,
    /// The caller's less the callee's time of one call, in nanoseconds: the network and what waits at its ends.
    pub overhead: Histogram,
    /// How long the callee went on after its caller had given up, in nanoseconds.
    pub abandoned: Histogram,
    /// By that time.
    pub abandoned_exemplars: Exemplars,
    /// When calls were made.
    pub seen: Seen,
    /// The latest slices of time.
    pub slices: Latest<SliceFacts, MAX_SLICES>,
    /// By latency.
    pub slow: Exemplars,
    /// By latency, failed calls only.
    pub failed: Exemplars,
}

impl EdgeFacts {
    /// Calls that failed.
    pub fn failures(&self) -> u64 {
        failures(&self.outcomes)
    }

    /// The median of calls and the median of distinct operations over the caller's requests that make such a call.
    pub fn median_per_request(&self) -> (u64, u64) {
        (median(&self.per_request, |key| key.0), median(&self.per_request, |key| key.1))
    }

    /// The same of what was asked for, see [`Self::asked_per_request`].
    pub fn median_asked_per_request(&self) -> (u64, u64) {
        (median(&self.asked_per_request, |key| key.0), median(&self.asked_per_request, |key| key.1))
    }
}

fold_fields!(EdgeFacts {
    calls,
    outcomes,
    traced_calls,
    asynchronous_calls,
    streams,
    items,
    overlapping_calls,
    skew,
    revisits,
    plain_calls,
    encrypted_calls,
    plain,
    hosts,
    addressed,
    traces,
    requests,
    per_request,
    asked_per_request,
    per_trace,
    chatty,
    retries,
    attempts,
    layered_retries,
    retried,
    caller_latency,
    callee_latency,
    overhead,
    abandoned,
    abandoned_exemplars,
    seen,
    slices,
    slow,
    failed,
});
