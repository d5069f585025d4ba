//! What is known of a service: who it is, who wrote it, what is missing of its spans.

use serde::{Deserialize, Serialize};

use super::fold::{Key, fold_fields};
use super::{Bounded, Distinct, Exemplars, MAX_LABELS, Seen};
use crate::marks::Secret;
use crate::name::Name;
use crate::span::ServiceKey;

/// The facts of one service.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ServiceFacts {
    /// Spans it sent.
    pub spans: u64,
    /// Of these, those that name a parent.
    pub child_spans: u64,
    /// Of these, those whose parent never came.
    pub orphan_spans: u64,
    /// By number of such spans in the trace.
    pub orphaned: Exemplars,
    /// Of these, those of proxies: all of one that stands alone, else those of the service's sidecars.
    pub proxy_spans: u64,
    /// Of these, those of what surely is a sidecar, and no proxy that stands for itself.
    pub sidecar_spans: u64,
    /// Spans of a function that a platform runs, and stands before.
    pub function_spans: u64,
    /// Traces in which it took a request; health checks do not count.
    pub traces: u64,
    /// By spans it sent of the trace.
    pub exemplars: Exemplars,
    /// The names of its spans.
    pub span_names: Distinct,
    /// Time on the critical path of requests that came from outside, in nanoseconds. Yang, Miller: Critical path
    /// analysis for the execution of parallel and distributed programs (ICDCS 1988).
    pub critical_ns: u128,
    /// Requests without a parent that came from public addresses.
    pub public_requests: u64,
    /// The addresses they came from (hashes) → requests.
    pub public_clients: Bounded<Name, u64, MAX_LABELS>,
    /// By number of such requests in the trace.
    pub public: Exemplars,
    /// Requests without a parent that a host of the private network passed on.
    pub forwarded_requests: u64,
    /// The private addresses that other requests without a parent came from (hashes) → requests.
    pub private_clients: Bounded<Name, u64, MAX_LABELS>,
    /// `service.instance.id`s.
    pub instances: Bounded<Name, Seen, MAX_LABELS>,
    /// `service.version`s.
    pub versions: Bounded<Name, Seen, MAX_LABELS>,
    /// Owners.
    pub owners: Bounded<Name, Seen, MAX_LABELS>,
    /// `telemetry.sdk.language`s.
    pub languages: Bounded<Name, Seen, MAX_LABELS>,
}

fold_fields!(ServiceFacts {
    spans,
    child_spans,
    orphan_spans,
    orphaned,
    proxy_spans,
    sidecar_spans,
    function_spans,
    traces,
    exemplars,
    span_names,
    critical_ns,
    public_requests,
    public_clients,
    public,
    forwarded_requests,
    private_clients,
    instances,
    versions,
    owners,
    languages,
});

/// A confidential attribute of a service's spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SecretKey {
    /// Who sends it.
    pub service: ServiceKey,
    /// What it is, and in which attribute.
    pub secret: Secret,
}

impl Key for SecretKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.service.for_each_name(visit);
        visit(self.secret.key);
    }
}

/// How often a confidential attribute was seen.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SecretFacts {
    /// Spans that had it.
    pub spans: u64,
    /// Traces that did.
    pub traces: u64,
    /// By spans in the trace.
    pub exemplars: Exemplars,
}

fold_fields!(SecretFacts { spans, traces, exemplars });
