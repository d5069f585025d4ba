//! The shape of the service graph: which edges are calls between services, and who reaches whom.

use std::collections::{BTreeSet, VecDeque};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use spanlint_graph::snapshot::{CallPattern, Edge, Operation};
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind, OperationIndex};

/// Whether both ends are services, and not the same one.
pub(crate) fn joins_services(graph: &CallGraph, edge: &Edge) -> bool {
    let is_service = |index| graph.node(index).kind == NodeKind::Service;
    edge.from != edge.to && is_service(edge.from) && is_service(edge.to)
}

/// Whether it stands for calls that their caller waits for.
pub(crate) fn is_waited_for(edge: &Edge) -> bool {
    !edge.is_derived && edge.is_synchronous()
}

/// Whether it is a call from one service to another that its caller waits for.
pub(crate) fn is_synchronous_call(graph: &CallGraph, edge: &Edge) -> bool {
    is_waited_for(edge) && joins_services(graph, edge)
}

/// The host of `host:port`.
pub(crate) fn without_port(host: &str) -> &str {
    host.rsplit_once(':').map_or(host, |(host, _)| host)
}

/// The ids of its ends, as subjects of findings name them.
pub(crate) fn ids(graph: &CallGraph, edge: &Edge) -> (String, String) {
    (graph.node(edge.from).id.clone(), graph.node(edge.to).id.clone())
}

/// Whether it is a call from a service to an external host.
pub(crate) fn calls_external(graph: &CallGraph, edge: &Edge) -> bool {
    graph.node(edge.from).kind == NodeKind::Service && graph.node(edge.to).kind == NodeKind::External
}

/// Synchronous calls between services, whatever their protocol; by node.
#[derive(Debug, Default)]
pub(crate) struct Calls {
    callers: Vec<Vec<NodeIndex>>,
    callees: Vec<Vec<NodeIndex>>,
    /// Calls without a span of the callee.
    untraced: Vec<u64>,
}

impl Calls {
    /// Those of `graph`.
    pub(crate) fn of(graph: &CallGraph) -> Self {
        let none = vec![Vec::new(); graph.nodes.len()];
        let mut calls = Self { callers: none.clone(), callees: none, untraced: vec![0; graph.nodes.len()] };
        // Edges are sorted by their ends, so that those of one pair follow one another.
        for edge in graph.edges.iter().filter(|edge| is_synchronous_call(graph, edge)) {
            calls.untraced[edge.to.0 as usize] += edge.facts.calls.saturating_sub(edge.facts.traced_calls);
            let callees = &mut calls.callees[edge.from.0 as usize];
            if callees.last() != Some(&edge.to) {
                callees.push(edge.to);
                calls.callers[edge.to.0 as usize].push(edge.from);
            }
        }
        calls
    }

    /// The services that call it, sorted.
    pub(crate) fn callers(&self, service: NodeIndex) -> &[NodeIndex] {
        &self.callers[service.0 as usize]
    }

    /// The services that it calls, sorted.
    pub(crate) fn callees(&self, service: NodeIndex) -> &[NodeIndex] {
        &self.callees[service.0 as usize]
    }

    /// Whether so many calls of a service lack its own span that `entries` requests without a caller may be those calls.
    pub(crate) fn lose_context(&self, service: NodeIndex, entries: u64) -> bool {
        self.untraced[service.0 as usize] * 2 >= entries
    }

    /// Every (caller, callee), sorted.
    pub(crate) fn pairs(&self) -> impl Iterator<Item = (NodeIndex, NodeIndex)> {
        let indexed = self.callees.iter().enumerate();
        indexed.flat_map(|(from, callees)| callees.iter().map(move |&to| (NodeIndex(from as u32), to)))
    }
}

/// Groups of two or more nodes that reach each other over `edges`, each sorted, by their first.
///
/// Kosaraju's algorithm rather than Tarjan's: the library's keeps its own stack, so a chain of 20,000 services cannot
/// overflow that of the thread.
pub(crate) fn strongly_connected(
    graph: &CallGraph,
    edges: impl Iterator<Item = (NodeIndex, NodeIndex)>,
) -> Vec<Vec<NodeIndex>> {
    let mut calls = DiGraph::<(), ()>::with_capacity(graph.nodes.len(), 0);
    for _ in &graph.nodes {
        calls.add_node(());
    }
    for (from, to) in edges {
        calls.add_edge(from.0.into(), to.0.into(), ());
    }
    let large = kosaraju_scc(&calls).into_iter().filter(|members| members.len() > 1);
    let mut components: Vec<Vec<_>> = large
        .map(|members| {
            let mut nodes: Vec<_> = members.iter().map(|member| NodeIndex(member.index() as u32)).collect();
            nodes.sort_unstable();
            nodes
        })
        .collect();
    components.sort_unstable();
    components
}

/// Every service.
pub(crate) fn services(graph: &CallGraph) -> impl Iterator<Item = NodeIndex> {
    graph.indexed_nodes().filter(|(_, node)| node.kind == NodeKind::Service).map(|(index, _)| index)
}

/// Whether a service is a proxy by what its spans say of themselves.
pub(crate) fn is_proxy(graph: &CallGraph, service: NodeIndex) -> bool {
    graph.node(service).service.as_ref().is_some_and(|service| service.facts.proxy_spans * 2 > service.facts.spans)
}

/// What the specification has SDKs write where nobody named the service.
const PLACEHOLDER: &str = "unknown_service";

/// What stands in for the name of a service that nobody named. Its processes are a node each, and those with one
/// placeholder may be one service or several.
pub(crate) fn placeholder(graph: &CallGraph, node: NodeIndex) -> Option<&str> {
    let name = graph.node(node).service.as_ref()?.name.as_str();
    let is_unnamed = name.is_empty() || name.starts_with(PLACEHOLDER);
    is_unnamed.then(|| name.split(' ').next().unwrap_or_default())
}

/// What services are told apart by: the placeholder, where nobody named them, else the node.
pub(crate) type Identity<'a> = (Option<&'a str>, Option<NodeIndex>);

/// What a service is told apart from others by.
pub(crate) fn identity(graph: &CallGraph, node: NodeIndex) -> Identity<'_> {
    let placeholder = placeholder(graph, node);
    (placeholder, placeholder.is_none().then_some(node))
}

/// How many services these are at least: nodes with one placeholder may be one.
pub(crate) fn count_services(graph: &CallGraph, nodes: impl IntoIterator<Item = NodeIndex>) -> usize {
    nodes.into_iter().map(|node| identity(graph, node)).collect::<BTreeSet<_>>().len()
}

/// The edges from one node to another, of any protocol.
pub(crate) fn edges_between(graph: &CallGraph, from: NodeIndex, to: NodeIndex) -> &[Edge] {
    let first = graph.edges.partition_point(|edge| (edge.from, edge.to) < (from, to));
    // They are few, and edges are large: to look at the next ones is quicker than to look far ahead.
    let count = graph.edges[first..].iter().take_while(|edge| (edge.from, edge.to) == (from, to)).count();
    &graph.edges[first..first + count]
}

/// The edges that leave a node.
pub(crate) fn edges_from(graph: &CallGraph, from: NodeIndex) -> &[Edge] {
    let first = graph.edges.partition_point(|edge| edge.from < from);
    let count = graph.edges[first..].partition_point(|edge| edge.from == from);
    &graph.edges[first..first + count]
}

/// The edges on the synchronous ways to an edge, as far as each is part of something; the nearest first.
pub(crate) fn edges_above<'a>(
    graph: &'a CallGraph,
    calls: &Calls,
    edge: &Edge,
    is_part: impl Fn(&Edge) -> bool,
) -> Vec<&'a Edge> {
    let mut above = Vec::new();
    let mut seen = BTreeSet::from([edge.to, edge.from]);
    let mut open = VecDeque::from([edge.from]);
    while let Some(callee) = open.pop_front() {
        for &caller in calls.callers(callee) {
            let parts = edges_between(graph, caller, callee).iter().filter(|edge| !edge.is_derived && is_part(edge));
            let known = above.len();
            above.extend(parts);
            if above.len() > known && seen.insert(caller) {
                open.push_back(caller);
            }
        }
    }
    above
}

/// Which nodes a way leads to from `sources`, over any number of `edges`; by index.
pub(crate) fn reached<'a>(
    graph: &CallGraph,
    edges: impl IntoIterator<Item = &'a Edge>,
    sources: Vec<NodeIndex>,
) -> Vec<bool> {
    let mut callees = vec![Vec::new(); graph.nodes.len()];
    for edge in edges {
        callees[edge.from.0 as usize].push(edge.to);
    }
    let mut reached = vec![false; graph.nodes.len()];
    let mut open = sources;
    while let Some(node) = open.pop() {
        if !std::mem::replace(&mut reached[node.0 as usize], true) {
            open.extend(&callees[node.0 as usize]);
        }
    }
    reached
}

/// The edge with these ends and this protocol.
pub(crate) fn edge(graph: &CallGraph, from: NodeIndex, to: NodeIndex, kind: EdgeKind) -> Option<&Edge> {
    let key = |edge: &Edge| (edge.from, edge.to, edge.kind);
    let first = graph.edges.partition_point(|edge| key(edge) < (from, to, kind));
    let mut same = graph.edges[first..].iter().take_while(|edge| key(edge) == (from, to, kind));
    same.find(|edge| !edge.is_derived)
}

/// What the operations of a service call.
pub(crate) fn patterns_of(graph: &CallGraph, service: NodeIndex) -> &[CallPattern] {
    let node_of = |pattern: &CallPattern| graph.operation(pattern.caller).node;
    let first = graph.patterns.partition_point(|pattern| node_of(pattern) < service);
    let count = graph.patterns[first..].partition_point(|pattern| node_of(pattern) == service);
    &graph.patterns[first..first + count]
}

/// What the operations of a service call of one other node.
pub(crate) fn patterns_between(
    graph: &CallGraph,
    from: NodeIndex,
    to: NodeIndex,
) -> impl Iterator<Item = &CallPattern> + Clone {
    patterns_of(graph, from).iter().filter(move |pattern| pattern.callee == to)
}

/// The operation of a service with this name.
pub(crate) fn operation(graph: &CallGraph, service: NodeIndex, name: &str) -> Option<OperationIndex> {
    let key = |operation: &Operation| (operation.node, operation.name.as_str()).cmp(&(service, name));
    graph.operations.binary_search_by(key).ok().map(|index| OperationIndex(index as u32))
}

/// The operations that a service offers.
pub(crate) fn operations_of(graph: &CallGraph, service: NodeIndex) -> &[Operation] {
    let first = graph.operations.partition_point(|operation| operation.node < service);
    let count = graph.operations[first..].partition_point(|operation| operation.node == service);
    &graph.operations[first..first + count]
}
