//! The numbers on the drawn nodes and lines. Numbers change with every picture, so they are kept apart from the topology,
//! which rarely does.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_analyzer::finding::{Finding, Severity};
use spanlint_graph::facts::Histogram;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::live::Live;
use crate::topology::Topology;

/// The share of failed calls from which an edge or node is impaired.
const IMPAIRED_SHARE: f64 = 0.01;
/// The share of failed calls from which an edge or node is failing.
const FAILING_SHARE: f64 = 0.05;

/// How many calls fail.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Health {
    /// Next to none.
    #[default]
    Good,
    /// 1 % or more.
    Impaired,
    /// 5 % or more.
    Failing,
}

impl Health {
    /// The health of something that was called `calls` times and failed `failures` times.
    pub(crate) fn of(failures: u64, calls: u64) -> Self {
        match failures as f64 / (calls.max(1)) as f64 {
            share if share >= FAILING_SHARE => Self::Failing,
            share if share >= IMPAIRED_SHARE => Self::Impaired,
            _ => Self::Good,
        }
    }
}

/// The numbers of one drawn node or line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(crate) struct Figures {
    /// Requests that a service took; calls to or over anything else.
    pub(crate) calls: u64,
    /// Of these, those that failed.
    pub(crate) failures: u64,
    /// In nanoseconds.
    pub(crate) latency_p95_ns: u64,
    /// Queries to the datastores that folded into the node.
    pub(crate) queries: u64,
    /// The worst finding about it.
    pub(crate) severity: Option<Severity>,
}

impl Figures {
    /// How many of its calls fail.
    pub(crate) fn health(&self) -> Health {
        Health::of(self.failures, self.calls)
    }
}

/// The seconds that the numbers of a picture stand for: the window, or less when the traffic is younger; at least one.
pub(crate) fn seconds(live: &Live) -> f64 {
    let seen = live.graph.counts.seen;
    let spread = seen.last_ns.saturating_sub(seen.first_ns) as f64 / 1e9;
    let window = live.view.and_then(|view| view.window.minutes()).map(|minutes| minutes as f64 * 60.0);
    window.map_or(spread, |window| spread.min(window)).max(1.0)
}

/// The numbers of every drawn node, in the order of the topology.
pub(crate) fn of_nodes(live: &Live, topology: &Topology) -> Vec<Figures> {
    let graph = &*live.graph;
    let places = topology.places(graph);
    let place = |index: NodeIndex| places[index.0 as usize];
    let mut figures = vec![Figures::default(); topology.nodes.len()];
    let mut latencies = vec![Histogram::default(); topology.nodes.len()];
    for operation in &graph.operations {
        if let Some(place) = place(operation.node) {
            latencies[place].merge(&operation.facts.latency);
        }
    }
    for edge in graph.edges.iter().filter(|edge| !edge.is_derived) {
        let (from, to) = (graph.node(edge.from), graph.node(edge.to));
        if let (NodeKind::Client, Some(place)) = (from.kind, place(edge.from)) {
            figures[place].calls += edge.facts.calls;
            figures[place].failures += edge.failures();
            latencies[place].merge(edge.latency());
        }
        let Some(place) = place(edge.to) else { continue };
        if topology.nodes[place].id != to.id {
            figures[place].queries += edge.facts.calls;
        } else if !to.service.as_ref().is_some_and(|service| service.is_traced) {
            figures[place].calls += edge.facts.calls;
            figures[place].failures += edge.failures();
            latencies[place].merge(edge.latency());
        }
    }
    for (place, drawn) in topology.nodes.iter().enumerate() {
        let node = graph.node_by_id(&drawn.id).map(|index| graph.node(index));
        if let Some(service) = node.and_then(|node| node.service.as_ref()).filter(|service| service.is_traced) {
            figures[place].calls = service.requests;
            figures[place].failures = service.failures;
        }
        figures[place].latency_p95_ns = latencies[place].quantile(0.95);
    }
    for finding in &*live.findings {
        for place in node_ids(finding, graph).iter().filter_map(|id| topology.place(id)) {
            figures[place].severity = figures[place].severity.max(Some(finding.severity));
        }
    }
    figures
}

/// The numbers of every drawn line, in the order of the topology.
pub(crate) fn of_edges(live: &Live, topology: &Topology) -> Vec<Figures> {
    let graph = &*live.graph;
    let lines: BTreeMap<(usize, usize), usize> =
        topology.edges.iter().enumerate().map(|(line, &ends)| (ends, line)).collect();
    let places = topology.places(graph);
    let mut figures = vec![Figures::default(); topology.edges.len()];
    let mut latencies = vec![Histogram::default(); topology.edges.len()];
    for edge in graph.edges.iter().filter(|edge| !edge.is_derived) {
        let ends = places[edge.from.0 as usize].zip(places[edge.to.0 as usize]);
        if let Some(&line) = ends.and_then(|ends| lines.get(&ends)) {
            figures[line].calls += edge.facts.calls;
            figures[line].failures += edge.failures();
            latencies[line].merge(edge.latency());
        }
    }
    for (figures, latency) in figures.iter_mut().zip(&latencies) {
        figures.latency_p95_ns = latency.quantile(0.95);
    }
    for finding in &*live.findings {
        for line in lines_of(finding, topology).iter().filter_map(|ends| lines.get(ends)) {
            figures[*line].severity = figures[*line].severity.max(Some(finding.severity));
        }
    }
    figures
}

/// The drawn lines that a finding is about.
pub(crate) fn lines_of(finding: &Finding, topology: &Topology) -> BTreeSet<(usize, usize)> {
    let place = |id: &String| topology.place(id);
    finding.subject.edges.iter().filter_map(|(from, to)| place(from).zip(place(to))).collect()
}

/// The ids of the nodes that a finding is about: the ends of its edges and its datastore, else the services it names.
pub(crate) fn node_ids(finding: &Finding, graph: &CallGraph) -> BTreeSet<String> {
    let ends = finding.subject.edges.iter().flat_map(|(from, to)| [from.clone(), to.clone()]);
    let mut ids: BTreeSet<String> = ends.chain(finding.subject.datastore.clone()).collect();
    if ids.is_empty() {
        let named = graph.nodes.iter().filter(|node| node.kind == NodeKind::Service);
        ids.extend(named.filter(|node| finding.services.contains(&node.name)).map(|node| node.id.clone()));
    }
    ids
}
