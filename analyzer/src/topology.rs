//! The shape of the service graph: which edges are calls between services, and who reaches whom.

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

/// Which nodes a way leads to from `source`, over any number of `edges`; by index.
pub(crate) fn reached<'a>(
    graph: &CallGraph,
    edges: impl IntoIterator<Item = &'a Edge>,
    source: NodeIndex,
) -> Vec<bool> {
    let mut callees = vec![Vec::new(); graph.nodes.len()];
    for edge in edges {
        callees[edge.from.0 as usize].push(edge.to);
    }
    let mut reached = vec![false; graph.nodes.len()];
    let mut open = vec![source];
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

/// The operations that a service offers.
pub(crate) fn operations_of(graph: &CallGraph, service: NodeIndex) -> &[Operation] {
    let first = graph.operations.partition_point(|operation| operation.node < service);
    let count = graph.operations[first..].partition_point(|operation| operation.node == service);
    &graph.operations[first..first + count]
}
