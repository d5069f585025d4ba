//! The edges as a table: what the drawing says, sortable.

use std::cmp::Ordering;

use spanlint_analyzer::finding::Severity;
use spanlint_graph::span::EdgeKind;

use crate::live::Live;
use crate::topology::named;

/// An edge as a row.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct EdgeRow {
    /// Node id and name of the caller.
    pub(crate) from: (String, String),
    /// Node id and name of the callee.
    pub(crate) to: (String, String),
    /// The protocol.
    pub(crate) kind: EdgeKind,
    /// Calls in the window.
    pub(crate) calls: u64,
    /// Of these, those that failed.
    pub(crate) failures: u64,
    /// Median of the calls that one request of the caller makes.
    pub(crate) per_request: u64,
    /// In nanoseconds.
    pub(crate) latency_p50_ns: u64,
    /// In nanoseconds.
    pub(crate) latency_p95_ns: u64,
    /// The worst finding about it.
    pub(crate) severity: Option<Severity>,
}

/// What the rows are sorted by; the greatest or worst comes first, names from a to z.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Order {
    /// Findings, then calls.
    #[default]
    Findings,
    /// Calls.
    Calls,
    /// Share of failed calls.
    Errors,
    /// Calls per request.
    PerRequest,
    /// 95th percentile of the latency.
    Latency,
    /// Caller, then callee.
    Name,
}

impl Order {
    /// The one that comes next when the user asks for another.
    pub(crate) fn next(self) -> Self {
        match self {
            Self::Findings => Self::Calls,
            Self::Calls => Self::Errors,
            Self::Errors => Self::PerRequest,
            Self::PerRequest => Self::Latency,
            Self::Latency => Self::Name,
            Self::Name => Self::Findings,
        }
    }

    /// The words for it.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Findings => "findings",
            Self::Calls => "calls",
            Self::Errors => "error share",
            Self::PerRequest => "calls per request",
            Self::Latency => "p95",
            Self::Name => "name",
        }
    }

    fn compare(self, a: &EdgeRow, b: &EdgeRow) -> Ordering {
        let share = |row: &EdgeRow| row.failures as f64 / row.calls.max(1) as f64;
        match self {
            Self::Findings => b.severity.cmp(&a.severity).then(b.calls.cmp(&a.calls)),
            Self::Calls => b.calls.cmp(&a.calls),
            Self::Errors => share(b).total_cmp(&share(a)),
            Self::PerRequest => b.per_request.cmp(&a.per_request),
            Self::Latency => b.latency_p95_ns.cmp(&a.latency_p95_ns),
            Self::Name => (&a.from.1, &a.to.1).cmp(&(&b.from.1, &b.to.1)),
        }
    }
}

/// The edges whose ends `filter` (lower case) names, in this order. Derived edges are left out.
pub(crate) fn rows(live: &Live, filter: &str, order: Order) -> Vec<EdgeRow> {
    let graph = &*live.graph;
    let mut rows: Vec<EdgeRow> = Vec::new();
    for edge in graph.edges.iter().filter(|edge| !edge.is_derived) {
        let (from, to) = (graph.node(edge.from), graph.node(edge.to));
        if !from.name.to_lowercase().contains(filter) && !to.name.to_lowercase().contains(filter) {
            continue;
        }
        let is_about = |pair: &(String, String)| pair.0 == from.id && pair.1 == to.id;
        let about = live.findings.iter().filter(|finding| finding.subject.edges.iter().any(is_about));
        rows.push(EdgeRow {
            from: (from.id.clone(), named(from)),
            to: (to.id.clone(), named(to)),
            kind: edge.kind,
            calls: edge.facts.calls,
            failures: edge.failures(),
            per_request: edge.facts.median_per_request().0,
            latency_p50_ns: edge.latency().quantile(0.5),
            latency_p95_ns: edge.latency().quantile(0.95),
            severity: about.map(|finding| finding.severity).max(),
        });
    }
    rows.sort_by(|a, b| order.compare(a, b));
    rows
}
