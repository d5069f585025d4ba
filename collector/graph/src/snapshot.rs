//! The snapshot: the immutable call graph of a window, which rules judge and screens draw.
//!
//! Everything is sorted by identity, so equal facts give equal snapshots. Indices point into the vectors of the same
//! snapshot.

use std::collections::BTreeSet;

use crate::facts::{
    Counts, DualWriteFacts, EdgeFacts, Exemplars, FailureFacts, Fold, LoopFacts, OperationFacts, PatternFacts,
    PoolFacts, SecretFacts, Seen, ServiceFacts, UsageFacts, Visitor,
};
use crate::name::Name;
use crate::span::{EdgeKind, SecretKind, TraceId};

/// Index into [`CallGraph::nodes`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeIndex(pub u32);

/// Index into [`CallGraph::operations`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
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
    /// Sorted by (service, instance, datastore).
    pub pools: Vec<Pool>,
    /// Sorted by nodes.
    pub loops: Vec<Loop>,
    /// Sorted by (entry, nodes).
    pub failures: Vec<FailurePath>,
    /// Sorted by (operation, datastore, other).
    pub dual_writes: Vec<DualWrite>,
    /// Sorted by (service, kind, key).
    pub secrets: Vec<SecretUse>,
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
        let mut cited = Cited(BTreeSet::new());
        self.nodes.iter().filter_map(|node| node.service.as_ref()).for_each(|service| service.facts.visit(&mut cited));
        self.operations.iter().for_each(|operation| operation.facts.visit(&mut cited));
        self.edges.iter().for_each(|edge| edge.facts.visit(&mut cited));
        self.patterns.iter().for_each(|pattern| pattern.facts.visit(&mut cited));
        self.usages.iter().for_each(|usage| usage.facts.visit(&mut cited));
        self.pools.iter().for_each(|pool| pool.facts.visit(&mut cited));
        self.loops.iter().for_each(|each| each.facts.visit(&mut cited));
        self.failures.iter().for_each(|path| path.facts.visit(&mut cited));
        self.dual_writes.iter().for_each(|write| write.facts.visit(&mut cited));
        self.secrets.iter().for_each(|secret| secret.facts.visit(&mut cited));
        cited.0
    }
}

/// Gathers the traces that facts cite.
struct Cited(BTreeSet<TraceId>);

impl Visitor for Cited {
    fn exemplars(&mut self, exemplars: &Exemplars) {
        self.0.extend(exemplars.traces());
    }

    fn name(&mut self, _: Name) {}
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
    /// The numbers.
    pub facts: ServiceFacts,
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
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Edge {
    /// The caller.
    pub from: NodeIndex,
    /// The callee.
    pub to: NodeIndex,
    /// The protocol.
    pub kind: EdgeKind,
    /// Whether it stands for a way through a topic (producer to consumer) rather than for calls of its own.
    pub is_derived: bool,
    /// Hosts as the caller named them, sorted, with the calls that went there.
    pub hosts: Vec<(String, u64)>,
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

/// Where in the code something is made; texts are empty and the line 0 where not recorded.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct CodeLocation {
    /// `code.file.path`.
    pub file: String,
    /// `code.function.name`.
    pub function: String,
    /// `code.line.number`, from 1.
    pub line: u32,
}

/// What one operation calls, and how often within a request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CallPattern {
    /// The caller's operation.
    pub caller: OperationIndex,
    /// The callee; the caller's own node where no attribute names it.
    pub callee: NodeIndex,
    /// Whether an attribute names the callee.
    pub is_callee_known: bool,
    /// The protocol.
    pub kind: EdgeKind,
    /// The callee's operation or the query's template; empty where unknown.
    pub template: String,
    /// Tables and collections that it touches, sorted.
    pub tables: Vec<String>,
    /// Where in the code it is called, the most frequent first.
    pub locations: Vec<CodeLocation>,
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

/// The statements of one instance of a service to a datastore.
#[derive(Debug, Clone, PartialEq)]
pub struct Pool {
    /// The service.
    pub service: NodeIndex,
    /// `service.instance.id`, empty where not recorded.
    pub instance: String,
    /// The datastore.
    pub datastore: NodeIndex,
    /// The numbers.
    pub facts: PoolFacts,
}

/// A way that failures took to the outside.
#[derive(Debug, Clone, PartialEq)]
pub struct FailurePath {
    /// The operation of the requests without a caller.
    pub entry: OperationIndex,
    /// From the service where the failures began to that of the entry.
    pub nodes: Vec<NodeIndex>,
    /// The numbers.
    pub facts: FailureFacts,
}

/// An operation whose requests write twice.
#[derive(Debug, Clone, PartialEq)]
pub struct DualWrite {
    /// The operation.
    pub operation: OperationIndex,
    /// The datastore that it writes.
    pub datastore: NodeIndex,
    /// The other datastore, or the topic.
    pub other: NodeIndex,
    /// The numbers.
    pub facts: DualWriteFacts,
}

/// A confidential attribute of a service's spans.
#[derive(Debug, Clone, PartialEq)]
pub struct SecretUse {
    /// The service.
    pub service: NodeIndex,
    /// What its value was.
    pub kind: SecretKind,
    /// The attribute; empty for the name of the span.
    pub key: String,
    /// The numbers.
    pub facts: SecretFacts,
}
