//! What of the call graph is drawn: which nodes and which lines, without any numbers. Two pictures of equal topology are
//! laid out once.
//!
//! Derived edges are left out (the way through the topic is drawn), and so are calls of a node to itself. A datastore
//! that one service alone uses folds into that service, so that the picture shows who depends on whom first.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use spanlint_graph::snapshot::Node;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

/// The most nodes that are drawn; of more, those with findings and then the busiest are drawn, and the rest is counted.
pub(crate) const MAX_DRAWN_NODES: usize = 200;

/// What to draw of a graph.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Whether datastores with one user fold into it, and the client into its callees.
    pub(crate) is_folded: bool,
    /// Only these nodes and those they call or are called by; empty for all.
    pub(crate) centre: BTreeSet<String>,
    /// Datastores that findings are about: never folded.
    pub(crate) marked: BTreeSet<String>,
    /// Nodes that findings are about: never left out before others.
    pub(crate) accused: BTreeSet<String>,
}

/// Nodes and lines to draw.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Topology {
    /// Sorted by id.
    pub(crate) nodes: Vec<DrawnNode>,
    /// Pairs of indices into [`Topology::nodes`], sorted, without repetition and without loops of one node.
    pub(crate) edges: Vec<(usize, usize)>,
    /// How many nodes went over [`MAX_DRAWN_NODES`].
    pub(crate) left_out: usize,
}

/// A node to draw.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DrawnNode {
    /// Its id in the call graph.
    pub(crate) id: String,
    /// What people call it.
    pub(crate) name: String,
    /// Its kind.
    pub(crate) kind: NodeKind,
    /// Ids of the datastores that folded into it.
    pub(crate) folded: Vec<String>,
    /// Whether the client, which folded away, calls it.
    pub(crate) is_entry: bool,
    /// Whether it calls itself.
    pub(crate) calls_itself: bool,
}

/// A name in the shape of its kind: `[service]`, `(datastore)`, `{topic}`, `<external>`.
pub(crate) fn shaped(kind: NodeKind, name: &str) -> String {
    let (open, close) = match kind {
        NodeKind::Service => ("[", "]"),
        NodeKind::Datastore => ("(", ")"),
        NodeKind::Topic => ("{", "}"),
        NodeKind::External => ("<", ">"),
        NodeKind::Client => ("", ""),
    };
    format!("{open}{name}{close}")
}

/// A name for running text: services, which are most, go without their brackets.
pub(crate) fn named(node: &Node) -> String {
    if node.kind == NodeKind::Service { node.name.clone() } else { shaped(node.kind, &node.name) }
}

impl Topology {
    /// What `selection` shows of `graph`.
    pub(crate) fn of(graph: &CallGraph, selection: &Selection) -> Self {
        let lines = lines(graph);
        let folds = if selection.is_folded { folds(graph, &lines, selection) } else { BTreeMap::new() };
        let mut kept: Vec<NodeIndex> =
            graph.indexed_nodes().map(|(index, _)| index).filter(|index| !folds.contains_key(index)).collect();
        let centre: BTreeSet<NodeIndex> = selection.centre.iter().filter_map(|id| graph.node_by_id(id)).collect();
        if !centre.is_empty() {
            let touching = lines.iter().filter(|(from, to)| centre.contains(from) || centre.contains(to));
            let near: BTreeSet<NodeIndex> = touching.flat_map(|&(from, to)| [from, to]).chain(centre.clone()).collect();
            kept.retain(|node| near.contains(node));
        }
        let left_out = kept.len().saturating_sub(MAX_DRAWN_NODES);
        if left_out > 0 {
            keep_the_most_important(graph, selection, &mut kept);
        }
        let place: BTreeMap<NodeIndex, usize> = kept.iter().enumerate().map(|(place, &node)| (node, place)).collect();
        let nodes = kept.iter().map(|&index| drawn(graph, index, &lines, &folds)).collect();
        let ends = lines.iter().filter(|(from, to)| from != to);
        let edges = ends.filter_map(|(from, to)| Some((*place.get(from)?, *place.get(to)?))).collect();
        Self { nodes, edges, left_out }
    }

    /// Whether a line leads from a topic to one that takes its messages.
    pub(crate) fn is_consumption(&self, line: (usize, usize)) -> bool {
        self.nodes[line.0].kind == NodeKind::Topic
    }

    /// The place of the node with this id, also where it folded into another.
    pub(crate) fn place(&self, id: &str) -> Option<usize> {
        let own = self.nodes.binary_search_by(|node| node.id.as_str().cmp(id)).ok();
        own.or_else(|| self.nodes.iter().position(|node| node.folded.iter().any(|folded| folded == id)))
    }

    /// The place of every node of `graph`, which is the graph that this was made of.
    pub(crate) fn places(&self, graph: &CallGraph) -> Vec<Option<usize>> {
        let own = self.nodes.iter().enumerate().map(|(place, node)| (&node.id, place));
        let folded =
            self.nodes.iter().enumerate().flat_map(|(place, node)| node.folded.iter().map(move |id| (id, place)));
        let places: HashMap<&String, usize> = own.chain(folded).collect();
        graph.nodes.iter().map(|node| places.get(&node.id).copied()).collect()
    }
}

fn lines(graph: &CallGraph) -> BTreeSet<(NodeIndex, NodeIndex)> {
    graph.edges.iter().filter(|edge| !edge.is_derived).map(|edge| (edge.from, edge.to)).collect()
}

/// Node that folds away → the node that it folds into; the client folds into its first callee.
fn folds(
    graph: &CallGraph,
    lines: &BTreeSet<(NodeIndex, NodeIndex)>,
    selection: &Selection,
) -> BTreeMap<NodeIndex, NodeIndex> {
    let mut users: BTreeMap<NodeIndex, Vec<NodeIndex>> = BTreeMap::new();
    for &(from, to) in lines {
        users.entry(to).or_default().push(from);
    }
    let mut folds = BTreeMap::new();
    for (index, node) in graph.indexed_nodes() {
        if selection.marked.contains(&node.id) || selection.centre.contains(&node.id) {
            continue;
        }
        let into = match node.kind {
            NodeKind::Datastore => users.get(&index).filter(|users| users.len() == 1).map(|users| users[0]),
            NodeKind::Client => lines.range((index, NodeIndex(0))..).next().filter(|line| line.0 == index).map(|l| l.1),
            _ => None,
        };
        folds.extend(into.map(|into| (index, into)));
    }
    folds
}

fn drawn(
    graph: &CallGraph,
    index: NodeIndex,
    lines: &BTreeSet<(NodeIndex, NodeIndex)>,
    folds: &BTreeMap<NodeIndex, NodeIndex>,
) -> DrawnNode {
    let node = graph.node(index);
    let folded_of = |kind| folds.iter().filter(move |(fold, _)| graph.node(**fold).kind == kind);
    let datastores = folded_of(NodeKind::Datastore).filter(|(_, into)| **into == index);
    DrawnNode {
        id: node.id.clone(),
        name: node.name.clone(),
        kind: node.kind,
        folded: datastores.map(|(fold, _)| graph.node(*fold).id.clone()).collect(),
        is_entry: folded_of(NodeKind::Client).any(|(client, _)| lines.contains(&(*client, index))),
        calls_itself: lines.contains(&(index, index)),
    }
}

fn keep_the_most_important(graph: &CallGraph, selection: &Selection, kept: &mut Vec<NodeIndex>) {
    let mut calls = vec![0u64; graph.nodes.len()];
    for edge in &graph.edges {
        calls[edge.from.0 as usize] += edge.facts.calls;
        calls[edge.to.0 as usize] += edge.facts.calls;
    }
    let is_accused = |index: &NodeIndex| selection.accused.contains(&graph.node(*index).id);
    kept.sort_by_key(|index| (!is_accused(index), std::cmp::Reverse(calls[index.0 as usize]), *index));
    kept.truncate(MAX_DRAWN_NODES);
    kept.sort();
}
