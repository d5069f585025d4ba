//! Facts: what one trace contributes to every graph that its time falls into, and ⊕, which adds them up.
//!
//! `graph(window) = resolve(⊕ facts(settled trace))`. Everything here is integers in bounded maps, so ⊕ is exact,
//! commutative and associative. Keys are raw: which peer is which service is decided in [`mod@crate::resolve`].

pub mod bounded;
mod calls;
mod data;
mod distinct;
mod edge;
pub mod exemplar;
mod extract;
mod fold;
pub mod histogram;
pub mod latest;
mod limits;
mod operation;
mod path;
mod pattern;
mod renamed;
mod service;

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

pub use self::bounded::Bounded;
pub use self::data::{PoolFacts, PoolKey, UsageFacts, UsageKey};
pub use self::distinct::Distinct;
pub use self::edge::{EdgeFacts, EdgeKey, SliceFacts};
pub use self::exemplar::Exemplars;
pub use self::extract::Room;
use self::fold::fold_fields;
pub use self::fold::{Fold, Key, Visitor};
pub use self::histogram::Histogram;
pub use self::latest::Latest;
pub use self::limits::FactLimits;
pub use self::operation::{
    DualWriteFacts, DualWriteKey, Entry, OperationFacts, OperationKey, SERIAL_FLOORS_MS, SerialRun,
};
pub use self::path::{FailureFacts, FailureKey, LoopFacts, LoopKey};
pub use self::pattern::{Parameters, PatternFacts, PatternKey, Repetition, Sequence};
pub use self::service::{SecretFacts, SecretKey, ServiceFacts};
use crate::name::Name;
use crate::span::{Outcome, ServiceKey, TraceId};

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
/// The most ways of failures of one environment.
pub const MAX_FAILURE_PATHS: usize = 10_000;
/// The most places of one environment where a request writes twice.
pub const MAX_DUAL_WRITES: usize = 10_000;
/// The most confidential attributes of one environment.
pub const MAX_SECRETS: usize = 10_000;
/// The most (instance, datastore) pairs of one environment.
pub const MAX_POOLS: usize = 20_000;
/// The most instances, versions, owners that one service keeps by name.
pub const MAX_LABELS: usize = 64;
/// The most hosts that one edge keeps by name.
pub const MAX_HOSTS: usize = 16;
/// The most tables that one call pattern keeps by name.
pub const MAX_TABLES: usize = 16;
/// The most places in the code that one call pattern keeps.
pub const MAX_LOCATIONS: usize = 4;
/// The most slices of time that an edge keeps apart: an hour of them.
pub const MAX_SLICES: usize = 360;
/// The longest loop or way of a failure that is kept whole, in services.
pub const MAX_PATH_LENGTH: usize = 8;
/// The longest sequence of statements that is looked for.
pub const MAX_SEQUENCE: usize = 8;
/// The fewest rounds that make a sequence of statements.
pub const MIN_ROUNDS: u64 = 3;
/// The fewest calls of one whole trace that are kept as an example of many.
pub const MIN_TRACE_CALLS: u64 = 16;
/// Calls of one request from which on they are told of with itself, and not with its whole trace.
pub const MIN_WIDE: u64 = 15;
/// The fewest distinct calls of one request that are worth folding into one.
pub const MIN_REPEATED: u64 = 5;

/// The facts of any set of traces with disjoint ids.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Facts {
    /// `deployment.environment.name` → its facts; environments never merge.
    pub environments: Bounded<Name, EnvironmentFacts, MAX_ENVIRONMENTS>,
}

fold_fields!(Facts { environments });

impl Facts {
    /// The traces that a graph of these facts may cite, so that a store can keep them.
    pub fn exemplar_traces(&self) -> BTreeSet<TraceId> {
        struct Traces(BTreeSet<TraceId>);
        impl Visitor for Traces {
            fn exemplars(&mut self, exemplars: &Exemplars) {
                self.0.extend(exemplars.traces());
            }

            fn name(&mut self, _: Name) {}
        }
        let mut traces = Traces(BTreeSet::new());
        self.visit(&mut traces);
        traces.0
    }

    /// Visits every piece of memory that the facts own, by its bytes; some have none.
    pub fn for_each_allocation(&self, visit: &mut impl FnMut(usize)) {
        struct Allocations<'a, F>(&'a mut F);
        impl<F: FnMut(usize)> Visitor for Allocations<'_, F> {
            fn exemplars(&mut self, _: &Exemplars) {}

            fn name(&mut self, _: Name) {}

            fn memory(&mut self, bytes: usize) {
                (self.0)(bytes);
            }
        }
        self.visit(&mut Allocations(visit));
    }

    /// Visits every name that the facts refer to; one may come more than once.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        struct Names<'a, F>(&'a mut F);
        impl<F: FnMut(Name)> Visitor for Names<'_, F> {
            fn exemplars(&mut self, _: &Exemplars) {}

            fn name(&mut self, name: Name) {
                (self.0)(name);
            }
        }
        self.visit(&mut Names(visit));
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
    /// Per instance of a service and datastore.
    pub pools: Bounded<PoolKey, PoolFacts, MAX_POOLS>,
    /// Per loop of services that one synchronous path walked.
    pub loops: Bounded<LoopKey, LoopFacts, MAX_LOOPS>,
    /// Per way that a failure took.
    pub failures: Bounded<FailureKey, FailureFacts, MAX_FAILURE_PATHS>,
    /// Per operation that writes twice.
    pub dual_writes: Bounded<DualWriteKey, DualWriteFacts, MAX_DUAL_WRITES>,
    /// Per service and confidential attribute.
    pub secrets: Bounded<SecretKey, SecretFacts, MAX_SECRETS>,
}

fold_fields!(EnvironmentFacts {
    counts,
    services,
    operations,
    edges,
    patterns,
    usages,
    pools,
    loops,
    failures,
    dual_writes,
    secrets,
});

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

    /// How long the range is, in nanoseconds; 0 for the empty one.
    pub fn duration_ns(&self) -> u64 {
        self.last_ns.saturating_sub(self.first_ns)
    }
}

impl Fold for Seen {
    fn fold(&mut self, other: &Self) {
        self.widen(other.first_ns, other.last_ns);
    }

    fn visit(&self, _: &mut dyn Visitor) {}
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
    /// Spans whose `tracestate` says that a sampler dropped others.
    pub sampled_spans: u64,
    /// Spans of browsers, phones and desktops.
    pub device_spans: u64,
    /// Time on the critical path of requests that came from outside, in nanoseconds: the sum over all services.
    pub critical_ns: u128,
    /// When the spans were.
    pub seen: Seen,
}

fold_fields!(Counts {
    traces,
    spans,
    orphan_spans,
    late_spans,
    duplicate_spans,
    circular_spans,
    sampled_spans,
    device_spans,
    critical_ns,
    seen,
});

/// Of counts by [`Outcome::index`], those of failures.
fn failures(outcomes: &[u64; Outcome::ALL.len()]) -> u64 {
    Outcome::ALL.iter().filter(|outcome| outcome.is_failure()).map(|outcome| outcomes[outcome.index()]).sum()
}

/// The median of the values behind the buckets that `axis` picks out of a joint histogram.
fn median<K>(cells: &BTreeMap<K, u64>, axis: impl Fn(&K) -> u16) -> u64 {
    let mut along: BTreeMap<u16, u64> = BTreeMap::new();
    for (key, count) in cells {
        along.entry(axis(key)).or_default().fold(count);
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
