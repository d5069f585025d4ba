//! The JSON of the API. The graph has the shape that reports have; what another spanlint reads back is public.

mod logs;
mod trace;

use serde::{Deserialize, Serialize};
use spanlint_graph::View;
use spanlint_graph::file;
use spanlint_graph::snapshot::{self, CallGraph};

pub(super) use self::logs::LogsBody;
pub use self::logs::ReadingsBody;
pub use self::trace::{TraceBody, TraceBodyError};
use super::SCHEMA_VERSION;

/// Who answers: `GET /api/v1/version`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// The version of the wire format of the API and of reports.
    pub schema_version: String,
    /// The version of spanlint.
    pub version: String,
    /// The version of the format of `/api/v1/snapshot`.
    pub snapshot_format: u16,
}

impl Version {
    /// That of this spanlint.
    pub fn own() -> Self {
        Self {
            schema_version: SCHEMA_VERSION.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            snapshot_format: file::VERSION,
        }
    }
}

/// The call graph of one environment.
#[derive(Debug, Serialize)]
pub(super) struct GraphBody {
    schema_version: &'static str,
    environment: String,
    /// Every environment, the one with the most spans first.
    environments: Vec<String>,
    window: &'static str,
    /// Text, since Unix nanoseconds do not fit the numbers of JavaScript.
    at_unix_ns: String,
    traces: u64,
    spans: u64,
    nodes: Vec<NodeBody>,
    edges: Vec<EdgeBody>,
}

#[derive(Debug, Serialize)]
struct NodeBody {
    id: String,
    kind: &'static str,
    name: String,
}

#[derive(Debug, Serialize)]
struct EdgeBody {
    from: String,
    to: String,
    kind: &'static str,
    calls: u64,
    errors: u64,
    latency_ms_p50: f64,
    latency_ms_p95: f64,
}

impl GraphBody {
    pub(super) fn new(graph: Option<&CallGraph>, environments: &[&str], view: View, at_ns: u64) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            environment: graph.map(|graph| graph.environment.clone()).unwrap_or_default(),
            environments: environments.iter().map(|&name| name.to_owned()).collect(),
            window: view.window.as_str(),
            at_unix_ns: view.until_ns.unwrap_or(at_ns).to_string(),
            traces: graph.map_or(0, |graph| graph.counts.traces),
            spans: graph.map_or(0, |graph| graph.counts.spans),
            nodes: graph.map(|graph| graph.nodes.iter().map(NodeBody::from).collect()).unwrap_or_default(),
            edges: graph.map(edges).unwrap_or_default(),
        }
    }
}

impl From<&snapshot::Node> for NodeBody {
    fn from(node: &snapshot::Node) -> Self {
        Self { id: node.id.clone(), kind: node.kind.as_str(), name: node.name.clone() }
    }
}

fn edges(graph: &CallGraph) -> Vec<EdgeBody> {
    let edge = |edge: &snapshot::Edge| EdgeBody {
        from: graph.node(edge.from).id.clone(),
        to: graph.node(edge.to).id.clone(),
        kind: edge.kind.as_str(),
        calls: edge.facts.calls,
        errors: edge.failures(),
        latency_ms_p50: milliseconds(edge.latency().quantile(0.50)),
        latency_ms_p95: milliseconds(edge.latency().quantile(0.95)),
    };
    graph.edges.iter().map(edge).collect()
}

fn milliseconds(ns: u64) -> f64 {
    ns as f64 / 1e6
}
