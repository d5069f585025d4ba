//! What the detail screen is about, and where it leads.

use spanlint_analyzer::finding::{Finding, Subject};
use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, TraceId};

use crate::live::Live;

/// The most edges that a node's detail lists in each direction.
pub(crate) const MAX_LISTED_EDGES: usize = 100;

/// What recognises a finding in the next picture, where its title may say other numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FindingKey {
    rule: &'static str,
    services: Vec<String>,
    subject: Subject,
}

impl FindingKey {
    /// The key of a finding.
    pub(crate) fn of(finding: &Finding) -> Self {
        let subject = Subject { tables: Vec::new(), ..finding.subject.clone() };
        Self { rule: finding.rule.name, services: finding.services.clone(), subject }
    }

    /// The finding in this picture, where it is still there.
    pub(crate) fn find<'a>(&self, live: &'a Live) -> Option<&'a Finding> {
        live.findings.iter().find(|finding| Self::of(finding) == *self)
    }

    /// The rule that found it.
    pub(crate) fn rule(&self) -> &'static str {
        self.rule
    }
}

/// What a detail screen shows. Ids, not indices: the screen outlives the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Detail {
    /// The finding that led here.
    pub(crate) finding: Option<FindingKey>,
    /// The part of the graph.
    pub(crate) part: Part,
    /// The selected link.
    pub(crate) link: usize,
    /// Lines scrolled past.
    pub(crate) scroll: usize,
}

/// Which lines of a detail screen may come first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct ScrollLimits {
    /// The first such line that leaves the selected link in sight.
    pub(crate) least: usize,
    /// The last such line that leaves the selected link in sight.
    pub(crate) most: usize,
    /// The first line of the last page.
    pub(crate) last: usize,
}

/// A part of the graph, by node ids.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Part {
    /// Caller and callee.
    Edge(String, String),
    /// A node.
    Node(String),
    /// The finding names no part of the graph.
    Whole,
}

impl Detail {
    /// The detail of a part of the graph.
    pub(crate) fn of_part(part: Part) -> Self {
        Self { finding: None, part, link: 0, scroll: 0 }
    }

    /// The detail of a finding, with the part of the graph that it is about first.
    pub(crate) fn of_finding(finding: &Finding) -> Self {
        let edge = finding.subject.edges.first().map(|(from, to)| Part::Edge(from.clone(), to.clone()));
        let node = || finding.subject.datastore.clone().map(Part::Node);
        let part = edge.or_else(node).unwrap_or(Part::Whole);
        Self { finding: Some(FindingKey::of(finding)), part, link: 0, scroll: 0 }
    }
}

/// Where a detail screen leads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Link {
    /// To a trace, with a word about it.
    Trace(TraceId, &'static str),
    /// To an edge.
    Edge(String, String),
}

/// The links of a detail screen, in the order shown: the traces that prove the finding and its other edges, else those
/// of the part of the graph.
pub(crate) fn links(live: &Live, detail: &Detail) -> Vec<Link> {
    let graph = &*live.graph;
    if let Some(finding) = detail.finding.as_ref().and_then(|key| key.find(live)) {
        let traces = finding.traces.iter().map(|&trace| Link::Trace(trace, "proof"));
        let here = |edge: &(String, String)| detail.part == Part::Edge(edge.0.clone(), edge.1.clone());
        let others = finding.subject.edges.iter().filter(|edge| !here(edge));
        return traces.chain(others.map(|(from, to)| Link::Edge(from.clone(), to.clone()))).collect();
    }
    match &detail.part {
        Part::Edge(from, to) => edges_between(graph, from, to).into_iter().flat_map(traces_of).collect(),
        Part::Node(id) => {
            let named = |edge: &Edge| Link::Edge(graph.node(edge.from).id.clone(), graph.node(edge.to).id.clone());
            let mut links: Vec<Link> = edges_of(graph, id, false).map(named).take(MAX_LISTED_EDGES).collect();
            links.extend(edges_of(graph, id, true).map(named).take(MAX_LISTED_EDGES));
            links.dedup();
            links
        }
        Part::Whole => Vec::new(),
    }
}

/// The edges between two nodes, one for each protocol; derived ones only where there are no others.
pub(crate) fn edges_between<'a>(graph: &'a CallGraph, from: &str, to: &str) -> Vec<&'a Edge> {
    let (Some(from), Some(to)) = (graph.node_by_id(from), graph.node_by_id(to)) else { return Vec::new() };
    let mut edges: Vec<&Edge> = graph.edges.iter().filter(|edge| (edge.from, edge.to) == (from, to)).collect();
    if edges.iter().any(|edge| !edge.is_derived) {
        edges.retain(|edge| !edge.is_derived);
    }
    edges
}

/// The edges that lead to a node, or from it.
pub(crate) fn edges_of<'a>(graph: &'a CallGraph, id: &str, is_from: bool) -> impl Iterator<Item = &'a Edge> {
    let node = graph.node_by_id(id);
    let end = move |edge: &Edge| Some(if is_from { edge.from } else { edge.to });
    graph.edges.iter().filter(move |edge| node.is_some() && end(edge) == node && !edge.is_derived)
}

fn traces_of(edge: &Edge) -> Vec<Link> {
    let facts = &edge.facts;
    let worst = |exemplars: &spanlint_graph::facts::Exemplars| exemplars.worst().map(|(_, trace)| trace);
    let found = [
        (worst(&facts.failed), "failed"),
        (worst(&facts.slow), "slowest"),
        (worst(&facts.chatty), "most calls"),
        (facts.slow.typical(edge.latency().quantile(0.5)), "typical"),
    ];
    let mut links: Vec<Link> = Vec::new();
    for (trace, word) in found {
        let is_new =
            |trace: &TraceId| !links.iter().any(|link| matches!(link, Link::Trace(known, _) if known == trace));
        links.extend(trace.filter(is_new).map(|trace| Link::Trace(trace, word)).into_iter().collect::<Vec<_>>());
    }
    links
}
