//! The JSON of the API. The graph has the shape that reports have.

use serde::Serialize;
use spanlint_graph::snapshot::{self, CallGraph};
use spanlint_graph::waterfall::{Row, Waterfall};

use super::SCHEMA_VERSION;

/// The call graph of one environment.
#[derive(Debug, Serialize)]
pub(super) struct GraphBody {
    schema_version: &'static str,
    environment: String,
    /// Every environment, the one with the most spans first.
    environments: Vec<String>,
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

/// A trace as a tree of spans, in the order to draw it.
#[derive(Debug, Serialize)]
pub(super) struct TraceBody {
    schema_version: &'static str,
    trace_id: String,
    start_unix_ns: String,
    duration_ns: u64,
    spans: Vec<SpanBody>,
}

#[derive(Debug, Serialize)]
struct SpanBody {
    span_id: String,
    depth: u16,
    node: String,
    service: String,
    name: String,
    kind: &'static str,
    operation: String,
    peer: Option<String>,
    offset_ns: u64,
    duration_ns: u64,
    is_failure: bool,
    is_orphan: bool,
    status_message: String,
    /// Pairs, since a key may come more than once.
    attributes: Vec<(String, String)>,
}

impl GraphBody {
    pub(super) fn new(graph: Option<&CallGraph>, environments: &[&str], at_ns: u64) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            environment: graph.map(|graph| graph.environment.clone()).unwrap_or_default(),
            environments: environments.iter().map(|&name| name.to_owned()).collect(),
            at_unix_ns: at_ns.to_string(),
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

impl From<Waterfall> for TraceBody {
    fn from(waterfall: Waterfall) -> Self {
        Self {
            schema_version: SCHEMA_VERSION,
            trace_id: waterfall.trace_id.to_string(),
            start_unix_ns: waterfall.start_ns.to_string(),
            duration_ns: waterfall.duration_ns,
            spans: waterfall.rows.into_iter().map(SpanBody::from).collect(),
        }
    }
}

impl From<Row> for SpanBody {
    fn from(row: Row) -> Self {
        Self {
            span_id: row.span_id.to_string(),
            depth: row.depth,
            node: row.node_id,
            service: row.service,
            name: row.name,
            kind: row.kind.as_str(),
            operation: row.operation,
            peer: Some(row.peer_id).filter(|peer| !peer.is_empty()),
            offset_ns: row.offset_ns,
            duration_ns: row.duration_ns,
            is_failure: row.outcome.is_failure(),
            is_orphan: row.is_orphan,
            status_message: row.status_message,
            attributes: row.attributes,
        }
    }
}
