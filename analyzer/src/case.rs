//! From a suspicion to a finding: what every rule does with a fault once it has seen one.
//!
//! A [`Case`] is about some services. It becomes a finding where support is enough, doubts leave any confidence and a
//! trace proves it; else it is undecided and says why. What the fault is and how bad is the rule's to say.

use std::collections::BTreeSet;

use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, NodeIndex, TraceId};

use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Impact, Location, Severity, Subject, Support, Undecided};
use crate::support::{self, Doubt};

/// The most traces that one finding cites.
const MAX_TRACES: usize = 6;

/// A suspicion about some services.
pub(crate) struct Case<'a> {
    graph: &'a CallGraph,
    options: Options<'a>,
    nodes: BTreeSet<NodeIndex>,
    /// As people call them, sorted.
    services: Vec<String>,
}

/// What a rule has to say of a fault. [`Case::draft`] fills in what is the same for most.
pub(crate) struct Draft {
    /// How bad it is.
    pub(crate) severity: Severity,
    /// How sure it would be without any doubt.
    pub(crate) confidence: Confidence,
    /// What the rule itself doubts; orphans and sampling are looked at for every rule.
    pub(crate) doubt: Option<Doubt>,
    /// Whether it is about spans without their parents, so that these are no reason to doubt it.
    pub(crate) is_about_orphans: bool,
    /// See [`Finding::title`].
    pub(crate) title: String,
    /// See [`Finding::message`].
    pub(crate) message: String,
    /// See [`Finding::fix`].
    pub(crate) fix: String,
    /// See [`Finding::subject`].
    pub(crate) subject: Subject,
    /// See [`Finding::evidence`].
    pub(crate) evidence: Vec<Evidence>,
    /// See [`Finding::support`].
    pub(crate) support: Support,
    /// See [`Finding::impact`].
    pub(crate) impact: Option<Impact>,
    /// Candidates for [`Finding::traces`], the best first; the first few that differ are cited.
    pub(crate) traces: Vec<TraceId>,
    /// See [`Finding::locations`].
    pub(crate) locations: Vec<Location>,
}

/// Traces of a service: what rules about absence cite.
pub(crate) fn traces_of_service(graph: &CallGraph, service: NodeIndex) -> Vec<TraceId> {
    let exemplars = graph.node(service).service.iter().flat_map(|service| service.facts.exemplars.proof(1));
    exemplars.collect()
}

/// A trace with a call of this edge.
pub(crate) fn trace_of_edge(edge: &Edge) -> Option<TraceId> {
    edge.facts.chatty.typical(1).or(edge.facts.slow.typical(1))
}

impl<'a> Case<'a> {
    /// A suspicion about the services among `nodes`; what else a call goes to is in the edges of its subject.
    pub(crate) fn new(graph: &'a CallGraph, options: &Options<'a>, nodes: impl IntoIterator<Item = NodeIndex>) -> Self {
        let nodes: BTreeSet<_> = nodes.into_iter().filter(|&node| graph.node(node).service.is_some()).collect();
        let services: BTreeSet<_> = nodes.iter().map(|&node| graph.node(node).name.clone()).collect();
        Self { graph, options: *options, nodes, services: services.into_iter().collect() }
    }

    /// The services that it is about, as people call them, sorted.
    pub(crate) fn services(&self) -> &[String] {
        &self.services
    }

    /// It cannot be decided, for want of something.
    pub(crate) fn undecided(&self, reason: impl Into<String>) -> Undecided {
        Undecided { rule: self.options.rule().name, services: self.services.clone(), reason: reason.into() }
    }

    /// A draft with the severity and confidence that the rule starts at.
    pub(crate) fn draft(&self) -> Draft {
        let rule = self.options.rule();
        Draft {
            severity: rule.severity,
            confidence: rule.confidence,
            doubt: None,
            is_about_orphans: false,
            title: String::new(),
            message: String::new(),
            fix: String::new(),
            subject: Subject::default(),
            evidence: Vec::new(),
            support: Support::default(),
            impact: None,
            traces: Vec::new(),
            locations: Vec::new(),
        }
    }

    /// The finding, unless doubts leave no confidence or no trace proves it.
    pub(crate) fn finding(&self, draft: Draft) -> Result<Finding, Undecided> {
        let of_input = support::doubts(self.graph, &self.options, &self.nodes).into_iter();
        let of_input = of_input.filter(|doubt| *doubt != Doubt::Orphans || !draft.is_about_orphans);
        let doubts: Vec<_> = of_input.chain(draft.doubt).collect();
        let confidence = support::confidence(draft.confidence, !doubts.is_empty())
            .ok_or_else(|| self.undecided(doubts[0].as_str()))?;
        let mut traces: Vec<TraceId> = Vec::new();
        for trace in draft.traces {
            if traces.len() < MAX_TRACES && !traces.contains(&trace) {
                traces.push(trace);
            }
        }
        if traces.is_empty() {
            return Err(self.undecided("no trace that proves it was kept"));
        }
        Ok(Finding {
            rule: self.options.rule(),
            severity: draft.severity,
            confidence,
            doubts,
            title: draft.title,
            message: draft.message,
            fix: draft.fix,
            services: self.services.clone(),
            subject: draft.subject,
            evidence: draft.evidence,
            support: draft.support,
            impact: draft.impact,
            traces,
            locations: draft.locations,
            absorbs: Vec::new(),
            suppressed: None,
        })
    }
}
