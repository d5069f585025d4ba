//! Facts: what one trace contributes to every graph that its time falls into, and ⊕, which adds them up.
//!
//! `graph(window) = resolve(⊕ facts(settled trace))`. Everything here is integers in bounded maps, so ⊕ is exact,
//! commutative and associative. Keys are raw: which peer is which service is decided in [`mod@crate::resolve`].

pub mod bounded;
mod calls;
pub mod exemplar;
mod extract;
pub mod histogram;
mod names;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use self::bounded::{Bounded, Fold};
pub use self::exemplar::Exemplars;
pub use self::histogram::Histogram;
use crate::name::Name;
use crate::span::{DatastoreKey, EdgeKind, NodeKey, Outcome, ServiceKey};

/// The most environments that are kept apart.
pub const MAX_ENVIRONMENTS: usize = 16;
/// The most services of one environment.
pub const MAX_SERVICES: usize = 20_000;
/// The most operations of one environment.
pub const MAX_OPERATIONS: usize = 100_000;
/// The most edges of one environment.
pub const MAX_EDGES: usize = 200_000;
/// The most call patterns (operation, callee, template) of one environment.
pub const MAX_PATTERNS: usize = 200_000;
/// The most uses (datastore, service, table) of one environment.
pub const MAX_USAGES: usize = 100_000;
/// The most walked loops of one environment.
pub const MAX_LOOPS: usize = 1_000;
/// The most instances, versions, owners that one service keeps by name.
pub const MAX_LABELS: usize = 64;
/// The longest loop that is kept whole, in services.
pub const MAX_LOOP_LENGTH: usize = 8;

/// The facts of any set of traces with disjoint ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// `deployment.environment.name` → its facts; environments never merge.
    pub environments: Bounded<Name, EnvironmentFacts, MAX_ENVIRONMENTS>,
}

impl Fold for Facts {
    fn fold(&mut self, other: &Self) {
        self.environments.merge(&other.environments);
    }
}

/// The facts of one environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct EnvironmentFacts {
    /// Traces, spans and what was wrong with them.
    pub counts: Counts,
    /// Per service.
    pub services: Bounded<ServiceKey, ServiceFacts, MAX_SERVICES>,
    /// Per operation of a service.
    pub operations: Bounded<OperationKey, OperationFacts, MAX_OPERATIONS>,
    /// Per caller, callee and kind.
    pub edges: Bounded<EdgeKey, EdgeFacts, MAX_EDGES>,
    /// Per caller's operation, callee and what is called there.
    pub patterns: Bounded<PatternKey, PatternFacts, MAX_PATTERNS>,
    /// Per datastore, service and table.
    pub usages: Bounded<UsageKey, UsageFacts, MAX_USAGES>,
    /// Per loop of services that one synchronous path walked.
    pub loops: Bounded<LoopKey, LoopFacts, MAX_LOOPS>,
}

impl Fold for EnvironmentFacts {
    fn fold(&mut self, other: &Self) {
        self.counts.fold(&other.counts);
        self.services.merge(&other.services);
        self.operations.merge(&other.operations);
        self.edges.merge(&other.edges);
        self.patterns.merge(&other.patterns);
        self.usages.merge(&other.usages);
        self.loops.merge(&other.loops);
    }
}

/// Earliest and latest time, in Unix nanoseconds. The default is the empty range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Earliest; `u64::MAX` for never.
    pub first_ns: u64,
    /// Latest; 0 for never.
    pub last_ns: u64,
}

impl Default for Seen {
    fn default() -> Self {
        Self { first_ns: u64::MAX, last_ns: 0 }
    }
}

impl Seen {
    /// Widens the range to hold `from_ns` to `to_ns`.
    pub fn widen(&mut self, from_ns: u64, to_ns: u64) {
        self.first_ns = self.first_ns.min(from_ns);
        self.last_ns = self.last_ns.max(to_ns);
    }
}

impl Fold for Seen {
    fn fold(&mut self, other: &Self) {
        self.widen(other.first_ns, other.last_ns);
    }
}

/// What was read, and what was wrong with it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Traces.
    pub traces: u64,
    /// Spans, without duplicates.
    pub spans: u64,
    /// Spans whose parent never came.
    pub orphan_spans: u64,
    /// Spans that came after their trace had settled.
    pub late_spans: u64,
    /// Spans that came more than once (the surplus).
    pub duplicate_spans: u64,
    /// Spans whose parents led back to themselves.
    pub circular_spans: u64,
    /// When the spans were.
    pub seen: Seen,
}

impl Fold for Counts {
    fn fold(&mut self, other: &Self) {
        self.traces += other.traces;
        self.spans += other.spans;
        self.orphan_spans += other.orphan_spans;
        self.late_spans += other.late_spans;
        self.duplicate_spans += other.duplicate_spans;
        self.circular_spans += other.circular_spans;
        self.seen.fold(&other.seen);
    }
}

/// The facts of one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Spans it sent.
    pub spans: u64,
    /// Of these, those whose parent never came.
    pub orphan_spans: u64,
    /// `service.instance.id`s.
    pub instances: Bounded<Name, Seen, MAX_LABELS>,
    /// `service.version`s.
    pub versions: Bounded<Name, Seen, MAX_LABELS>,
    /// Owners.
    pub owners: Bounded<Name, Seen, MAX_LABELS>,
    /// `telemetry.sdk.language`s.
    pub languages: Bounded<Name, Seen, MAX_LABELS>,
}

impl Fold for ServiceFacts {
    fn fold(&mut self, other: &Self) {
        self.spans += other.spans;
        self.orphan_spans += other.orphan_spans;
        self.instances.merge(&other.instances);
        self.versions.merge(&other.versions);
        self.owners.merge(&other.owners);
        self.languages.merge(&other.languages);
    }
}

/// An operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct OperationKey {
    /// Who offers it.
    pub service: ServiceKey,
    /// What it is called: `GET /cart/{id}`.
    pub operation: Name,
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
}

/// The facts of one operation. A request is one execution of it.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct OperationFacts {
    /// Requests; the *n* of every rule.
    pub requests: u64,
    /// Requests by [`Outcome::index`].
    pub outcomes: [u64; Outcome::ALL.len()],
    /// Requests by [`Entry`].
    pub entries: [u64; 5],
    /// How long requests took, in nanoseconds.
    pub latency: Histogram,
    /// Time in which no call of the request was under way, in nanoseconds.
    pub self_time_ns: u128,
    /// By latency.
    pub exemplars: Exemplars,
}

impl OperationFacts {
    /// Requests that failed.
    pub fn failures(&self) -> u64 {
        failures(&self.outcomes)
    }
}

impl Fold for OperationFacts {
    fn fold(&mut self, other: &Self) {
        self.requests += other.requests;
        add_all(&mut self.outcomes, &other.outcomes);
        add_all(&mut self.entries, &other.entries);
        self.latency.merge(&other.latency);
        self.self_time_ns += other.self_time_ns;
        self.exemplars.merge(&other.exemplars);
    }
}

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
    /// Messages or statements that the calls carried: more than calls where they were batches.
    pub items: u64,
    /// Attempts after a failure.
    pub retries: u64,
    /// Traces that hold such a call.
    pub traces: u64,
    /// Caller's requests that make such a call.
    pub requests: u64,
    /// (bucket of calls, bucket of distinct operations called) of one caller's request → requests. Retries left out.
    /// Its domain is finite: see [`histogram::bucket`].
    pub per_request: BTreeMap<(u16, u16), u64>,
    /// As the caller saw it, in nanoseconds.
    pub caller_latency: Histogram,
    /// As the callee saw it, in nanoseconds.
    pub callee_latency: Histogram,
    /// When calls were made.
    pub seen: Seen,
    /// By latency.
    pub slow: Exemplars,
    /// By latency, failed calls only.
    pub failed: Exemplars,
    /// By calls per request.
    pub chatty: Exemplars,
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
}

impl Fold for EdgeFacts {
    fn fold(&mut self, other: &Self) {
        self.calls += other.calls;
        add_all(&mut self.outcomes, &other.outcomes);
        self.traced_calls += other.traced_calls;
        self.asynchronous_calls += other.asynchronous_calls;
        self.items += other.items;
        self.retries += other.retries;
        self.traces += other.traces;
        self.requests += other.requests;
        add_cells(&mut self.per_request, &other.per_request);
        self.caller_latency.merge(&other.caller_latency);
        self.callee_latency.merge(&other.callee_latency);
        self.seen.fold(&other.seen);
        self.slow.merge(&other.slow);
        self.failed.merge(&other.failed);
        self.chatty.merge(&other.chatty);
    }
}

/// What one operation calls again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PatternKey {
    /// The caller's operation.
    pub caller: OperationKey,
    /// The callee, raw.
    pub callee: NodeKey,
    /// The protocol.
    pub kind: EdgeKind,
    /// The callee's operation or the query's template; empty where unknown.
    pub template: Name,
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

/// How one request repeats a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Repetition {
    /// Bucket of the number of calls that differ: known parameters count once each, unknown ones each time; attempts
    /// after a failure are left out.
    pub distinct: u16,
    /// Bucket of the time in which at least one of the calls was under way, in nanoseconds.
    pub union_ns: u16,
    /// What is known of the parameters.
    pub parameters: Parameters,
}

/// The facts of one call pattern.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PatternFacts {
    /// Caller's requests that make such a call.
    pub requests: u64,
    /// Calls, attempts after a failure among them.
    pub calls: u64,
    /// Attempts after a failure.
    pub retries: u64,
    /// Repetition → requests. Its domain is finite.
    pub repetitions: BTreeMap<Repetition, u64>,
    /// By number of distinct calls; scattered ones are no examples.
    pub exemplars: Exemplars,
    /// Number of calls with the same known parameters in one request, where two or more.
    pub repeats: Histogram,
}

impl Fold for PatternFacts {
    fn fold(&mut self, other: &Self) {
        self.requests += other.requests;
        self.calls += other.calls;
        self.retries += other.retries;
        add_cells(&mut self.repetitions, &other.repetitions);
        self.exemplars.merge(&other.exemplars);
        self.repeats.merge(&other.repeats);
    }
}

/// A service's use of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UsageKey {
    /// The datastore.
    pub datastore: DatastoreKey,
    /// Who uses it.
    pub service: ServiceKey,
    /// The table or collection; empty where unknown.
    pub table: Name,
}

/// The facts of one use. Only statements within requests count, DDL never.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageFacts {
    /// Reading statements.
    pub reads: u64,
    /// Writing statements.
    pub writes: u64,
    /// Traces with such a statement.
    pub traces: u64,
    /// By statements per trace.
    pub exemplars: Exemplars,
}

impl Fold for UsageFacts {
    fn fold(&mut self, other: &Self) {
        self.reads += other.reads;
        self.writes += other.writes;
        self.traces += other.traces;
        self.exemplars.merge(&other.exemplars);
    }
}

/// The services of a loop in calling order, starting with the smallest; unused places are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LoopKey {
    /// At most [`MAX_LOOP_LENGTH`] services.
    pub services: [ServiceKey; MAX_LOOP_LENGTH],
}

/// The facts of one loop that synchronous paths walked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopFacts {
    /// How often a path came back to a service that was already on it.
    pub walks: u64,
    /// Traces in which one did.
    pub traces: u64,
    /// By walks per trace.
    pub exemplars: Exemplars,
}

impl Fold for LoopFacts {
    fn fold(&mut self, other: &Self) {
        self.walks += other.walks;
        self.traces += other.traces;
        self.exemplars.merge(&other.exemplars);
    }
}

/// Of counts by [`Outcome::index`], those of failures.
fn failures(outcomes: &[u64; Outcome::ALL.len()]) -> u64 {
    Outcome::ALL.iter().filter(|outcome| outcome.is_failure()).map(|outcome| outcomes[outcome.index()]).sum()
}

fn add_all<const N: usize>(sums: &mut [u64; N], more: &[u64; N]) {
    sums.iter_mut().zip(more).for_each(|(sum, value)| *sum += value);
}

fn add_cells<K: Copy + Ord>(cells: &mut BTreeMap<K, u64>, more: &BTreeMap<K, u64>) {
    for (&key, count) in more {
        *cells.entry(key).or_default() += count;
    }
}

/// The median of the values behind the buckets that `axis` picks out of a joint histogram.
fn median<K>(cells: &BTreeMap<K, u64>, axis: impl Fn(&K) -> u16) -> u64 {
    let mut along: BTreeMap<u16, u64> = BTreeMap::new();
    for (key, count) in cells {
        *along.entry(axis(key)).or_default() += count;
    }
    let total: u64 = along.values().sum();
    let mut seen = 0;
    for (bucket, count) in along {
        seen += count;
        if seen * 2 >= total {
            return histogram::bucket_middle(bucket);
        }
    }
    0
}
