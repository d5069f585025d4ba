//! The edges of a graph: raw ones with their peers bound, and those that lead through topics.

use std::collections::BTreeMap;

use super::binding::Binding;
use crate::facts::{EdgeFacts, EnvironmentFacts, Fold};
use crate::hash::HashMap;
use crate::name::NameTable;
use crate::snapshot::{Edge, NodeIndex};
use crate::span::{EdgeKind, NodeKey};

/// The most derived edges of a graph. A topic with many producers and many consumers has the product of both.
const MAX_DERIVED_EDGES: usize = 20_000;

/// Edges by caller, callee and kind.
pub(super) type BoundEdges = BTreeMap<(NodeKey, NodeKey, EdgeKind), EdgeFacts>;

/// The raw edges, bound. Calls of a service to itself are none.
pub(super) fn bound(facts: &EnvironmentFacts, binding: &Binding<'_>) -> BoundEdges {
    let mut edges = BoundEdges::new();
    for (key, facts) in facts.edges.sorted() {
        let callee = binding.bind(key.caller, key.callee);
        if callee != key.caller {
            edges.entry((key.caller, callee, key.kind)).or_default().fold(facts);
        }
    }
    edges
}

/// The edges in order, with one derived edge from each producer to each consumer of a topic, and how many of these the
/// bound turned away. Their numbers are those of the deliveries to the consumer, whoever produced them.
pub(super) fn with_derived(
    bound: BoundEdges,
    node_of: &HashMap<NodeKey, NodeIndex>,
    names: &NameTable,
) -> (Vec<Edge>, u64) {
    let mut producers: BTreeMap<NodeKey, Vec<NodeKey>> = BTreeMap::new();
    for (from, to, _) in bound.keys().filter(|(_, to, _)| matches!(to, NodeKey::Topic(_))) {
        producers.entry(*to).or_default().push(*from);
    }
    let mut derived: BTreeMap<(NodeIndex, NodeIndex), EdgeFacts> = BTreeMap::new();
    let mut turned_away = 0;
    for ((from, to, _), facts) in &bound {
        let producers = producers.get(from).map_or(&[][..], Vec::as_slice);
        for producer in producers.iter().filter(|producer| *producer != to) {
            let key = (node_of[producer], node_of[to]);
            if derived.len() >= MAX_DERIVED_EDGES && !derived.contains_key(&key) {
                turned_away += 1;
            } else {
                derived.entry(key).or_default().fold(facts);
            }
        }
    }
    let mut edges: Vec<Edge> = Vec::with_capacity(bound.len() + derived.len());
    for ((from, to, kind), facts) in bound {
        let mut hosts: Vec<(String, u64)> =
            facts.hosts.sorted().into_iter().map(|(host, calls)| (names.text(host).to_owned(), *calls)).collect();
        hosts.sort_unstable();
        edges.push(Edge { from: node_of[&from], to: node_of[&to], kind, is_derived: false, hosts, facts });
    }
    for ((from, to), facts) in derived {
        edges.push(Edge { from, to, kind: EdgeKind::Messaging, is_derived: true, hosts: Vec::new(), facts });
    }
    edges.sort_by_key(|edge| (edge.from, edge.to, edge.kind, edge.is_derived));
    (edges, turned_away)
}
