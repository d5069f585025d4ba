//! The snapshot: the immutable call graph of a window, which rules judge and screens draw.
//!
//! Everything is sorted by identity, so equal facts give equal snapshots. Indices point into the vectors of the same
//! snapshot.

use std::collections::BTreeSet;

use crate::facts::{Counts, EdgeFacts, Exemplars, LoopFacts, OperationFacts, PatternFacts, Seen, UsageFacts};
use crate::span::{EdgeKind, TraceId};

/// Index into [`CallGraph::nodes`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

/// Index into [`CallGraph::operations`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OperationIndex(pub u32);

/// The call graph of one environment and window.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallGraph {
    /// `deployment.environment.name`, empty where not given.
    pub environment: String,
    /// What it was made of.
    pub counts: Counts,
    /// Sorted by id.
    pub nodes: Vec<Node>,
    /// Sorted by (node, name).
    pub operations: Vec<Operation>,
    /// Sorted by (from, to, kind).
    pub edges: Vec<Edge>,
    /// Sorted by (caller, callee, kind, template).
    pub patterns: Vec<CallPattern>,
    /// Sorted by (datastore, table, service).
    pub usages: Vec<TableUsage>,
    /// Sorted by nodes.
    pub loops: Vec<Loop>,
    /// What went over a bound: name of the bound → how much was folded away. Empty in all but extreme inputs.
    pub overflow: Vec<(&'static str, u64)>,
}

impl CallGraph {
    /// The node at `index`.
    pub fn node(&self, index: NodeIndex) -> &Node {
        &self.nodes[index.0 as usize]
    }

    /// The operation at `index`.
    pub fn operation(&self, index: OperationIndex) -> &Operation {
        &self.operations[index.0 as usize]
    }

    /// Every node with its index.
    pub fn indexed_nodes(&self) -> impl Iterator<Item = (NodeIndex, &Node)> {
        self.nodes.iter().enumerate().map(|(index, node)| (NodeIndex(index as u32), node))
    }

    /// The node with this id.
    pub fn node_by_id(&self, id: &str) -> Option<NodeIndex> {
        self.nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok().map(|index| NodeIndex(index as u32))
    }

    /// The traces that any pattern of this snapshot cites; the store keeps them as long as the snapshot lives.
    pub fn exemplar_traces(&self) -> BTreeSet<TraceId> {
        let edges = self.edges.iter().flat_map(|edge| {
            [&edge.facts.slow, &edge.facts.failed, &edge.facts.chatty].into_iter().flat_map(Exemplars::traces)
        });
        let operations = self.operations.iter().flat_map(|operation| operation.facts.exemplars.traces());
        let patterns = self.patterns.iter().flat_map(|pattern| pattern.facts.exemplars.traces());
        let usages = self.usages.iter().flat_map(|usage| usage.facts.exemplars.traces());
        let loops = self.loops.iter().flat_map(|each| each.facts.exemplars.traces());
        edges.chain(operations).chain(patterns).chain(usages).chain(loops).collect()
    }
}

/// The kind of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum NodeKind {
    /// The outside world that starts traces.
    Client,
    /// A service; see [`ServiceInfo::is_traced`] for those that were only called.
    Service,
    /// A database, cache, search or object store.
    Datastore,
    /// A queue or topic.
    Topic,
    /// A host that sends no telemetry.
    External,
}

impl NodeKind {
    /// The word that reports use, which is also the prefix of node ids.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Service => "service",
            Self::Datastore => "datastore",
            Self::Topic => "topic",
            Self::External => "external",
        }
    }
}

/// A node of the call graph.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// Unique and stable: `service:shop/cart`, `datastore:sqlite//cart`, `topic:kafka/orders`, `client`.
    pub id: String,
    /// Its kind.
    pub kind: NodeKind,
    /// What people call it: `service.name`, with the namespace before it only where two services share it; the
    /// namespace or address of a datastore; the destination of a topic.
    pub name: String,
    /// More of a service.
    pub service: Option<ServiceInfo>,
    /// More of a datastore.
    pub datastore: Option<DatastoreInfo>,
}

/// What is known of a service.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ServiceInfo {
    /// `service.namespace`, empty where not given.
    pub namespace: String,
    /// `service.name`.
    pub name: String,
    /// Whether it sent spans of its own.
    pub is_traced: bool,
    /// Spans it sent.
    pub spans: u64,
    /// Of these, those whose parent never came.
    pub orphan_spans: u64,
    /// Requests of all its operations.
    pub requests: u64,
    /// Of these, those that failed.
    pub failures: u64,
    /// Instances seen, sorted.
    pub instances: Vec<(String, Seen)>,
    /// Versions seen, sorted.
    pub versions: Vec<(String, Seen)>,
    /// Owners seen, sorted.
    pub owners: Vec<String>,
    /// Languages seen, sorted.
    pub languages: Vec<String>,
}

/// What is known of a datastore.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DatastoreInfo {
    /// `db.system.name`.
    pub system: String,
    /// `host:port`, empty where not recorded.
    pub address: String,
    /// `db.namespace`, empty where not recorded.
    pub namespace: String,
}

/// What a service offers.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// The service.
    pub node: NodeIndex,
    /// `GET /cart/{id}`.
    pub name: String,
    /// The numbers.
    pub facts: OperationFacts,
}

/// Who calls whom, over what.
#[derive(Debug, Clone, PartialEq)]
pub struct Edge {
    /// The caller.
    pub from: NodeIndex,
    /// The callee.
    pub to: NodeIndex,
    /// The protocol.
    pub kind: EdgeKind,
    /// Whether it stands for a way through a topic (producer to consumer) rather than for calls of its own.
    pub is_derived: bool,
    /// The numbers.
    pub facts: EdgeFacts,
}

impl Edge {
    /// Whether any of its calls is waited for.
    pub fn is_synchronous(&self) -> bool {
        self.facts.calls > self.facts.asynchronous_calls
    }

    /// The latency as the caller saw it, else as the callee did.
    pub fn latency(&self) -> &crate::facts::Histogram {
        if self.facts.caller_latency.count() > 0 { &self.facts.caller_latency } else { &self.facts.callee_latency }
    }

    /// Calls that failed.
    pub fn failures(&self) -> u64 {
        self.facts.failures()
    }
}

/// What one operation calls, and how often within a request.
#[derive(Debug, Clone, PartialEq)]
pub struct CallPattern {
    /// The caller's operation.
    pub caller: OperationIndex,
    /// The callee.
    pub callee: NodeIndex,
    /// The protocol.
    pub kind: EdgeKind,
    /// The callee's operation or the query's template; empty where unknown.
    pub template: String,
    /// The numbers.
    pub facts: PatternFacts,
}

/// A service's use of a table.
#[derive(Debug, Clone, PartialEq)]
pub struct TableUsage {
    /// The datastore.
    pub datastore: NodeIndex,
    /// The table or collection; empty where unknown.
    pub table: String,
    /// The service.
    pub service: NodeIndex,
    /// The numbers.
    pub facts: UsageFacts,
}

/// A loop of services that one synchronous path walked.
#[derive(Debug, Clone, PartialEq)]
pub struct Loop {
    /// In calling order from the smallest index; the last calls the first.
    pub nodes: Vec<NodeIndex>,
    /// The numbers.
    pub facts: LoopFacts,
}
