//! The shape of the service graph: who reaches whom, and how far a service is from the clients.

use std::collections::VecDeque;

use spanlint_graph::snapshot::{Edge, Operation};
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

/// Whether both ends are services, and not the same one.
pub(crate) fn joins_services(graph: &CallGraph, edge: &Edge) -> bool {
    let is_service = |index| graph.node(index).kind == NodeKind::Service;
    edge.from != edge.to && is_service(edge.from) && is_service(edge.to)
}

/// Whether it is a call from one service to another that its caller waits for.
pub(crate) fn is_synchronous_call(graph: &CallGraph, edge: &Edge) -> bool {
    !edge.is_derived && edge.is_synchronous() && joins_services(graph, edge)
}

/// Hops from the nearest of `sources` to every node, in the graph of `edges`; none where no path leads.
pub(crate) fn hops<'a>(
    graph: &CallGraph,
    edges: impl IntoIterator<Item = &'a Edge>,
    sources: impl IntoIterator<Item = NodeIndex>,
) -> Vec<Option<u32>> {
    let mut callees = vec![Vec::new(); graph.nodes.len()];
    for edge in edges {
        callees[edge.from.0 as usize].push(edge.to);
    }
    let mut distances = vec![None; graph.nodes.len()];
    let mut queue = VecDeque::new();
    for source in sources {
        distances[source.0 as usize] = Some(0);
        queue.push_back(source);
    }
    while let Some(node) = queue.pop_front() {
        let next = distances[node.0 as usize].map(|distance| distance + 1);
        for &callee in &callees[node.0 as usize] {
            let distance = &mut distances[callee.0 as usize];
            if distance.is_none() {
                *distance = next;
                queue.push_back(callee);
            }
        }
    }
    distances
}

/// The edge with these ends and this protocol.
pub(crate) fn edge(graph: &CallGraph, from: NodeIndex, to: NodeIndex, kind: EdgeKind) -> Option<&Edge> {
    let key = |edge: &Edge| (edge.from, edge.to, edge.kind);
    let first = graph.edges.partition_point(|edge| key(edge) < (from, to, kind));
    let mut same = graph.edges[first..].iter().take_while(|edge| key(edge) == (from, to, kind));
    same.find(|edge| !edge.is_derived)
}

/// The operations that a service offers.
pub(crate) fn operations_of(graph: &CallGraph, service: NodeIndex) -> &[Operation] {
    let first = graph.operations.partition_point(|operation| operation.node < service);
    let count = graph.operations[first..].partition_point(|operation| operation.node == service);
    &graph.operations[first..first + count]
}
