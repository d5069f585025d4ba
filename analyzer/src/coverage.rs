//! Coverage: how far the input can be trusted, and what of the system it does not show.
//!
//! What is listed here lowers the confidence of findings, or tells why something could not be found at all. It is no
//! finding itself: the telemetry rules say what to mend.

use spanlint_graph::{CallGraph, NodeKind};

use crate::support;

/// How far an input can be trusted.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Coverage {
    /// How traces were chosen.
    pub sampling: Sampling,
    /// Services that lost the parents of too many spans, with that share; by name.
    pub orphaned_services: Vec<(String, f64)>,
    /// Services that were called but sent no span, by name.
    pub untraced_services: Vec<String>,
    /// Calls between services that only the caller told of.
    pub unpaired_calls: u64,
    /// Calls between services.
    pub calls: u64,
}

impl Coverage {
    /// What `graph` shows, under the sampling that the configuration tells, if it does.
    pub fn of(graph: &CallGraph, declared: Option<Sampling>) -> Self {
        let mut coverage = Self { sampling: declared.unwrap_or_else(|| shown_sampling(graph)), ..Self::default() };
        for (index, node) in graph.indexed_nodes() {
            let Some(service) = &node.service else { continue };
            if !service.is_traced {
                coverage.untraced_services.push(node.name.clone());
            }
            if support::has_orphans(graph, index) {
                let share = service.facts.orphan_spans as f64 / service.facts.spans as f64;
                coverage.orphaned_services.push((node.name.clone(), share));
            }
        }
        for edge in graph.edges.iter().filter(|edge| !edge.is_derived) {
            if [edge.from, edge.to].iter().all(|&end| graph.node(end).kind == NodeKind::Service) {
                coverage.calls += edge.facts.calls;
                coverage.unpaired_calls += edge.facts.calls.saturating_sub(edge.facts.traced_calls);
            }
        }
        coverage
    }
}

/// What `tracestate` tells: with a threshold on every span, chance decided when each trace began; with one on some only, the
/// others were kept for what happened in them.
fn shown_sampling(graph: &CallGraph) -> Sampling {
    match graph.counts.sampled_spans {
        0 => Sampling::Unknown,
        sampled if sampled >= graph.counts.spans => Sampling::Head,
        _ => Sampling::Tail,
    }
}

/// How an input was sampled.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sampling {
    /// Every trace is there.
    None,
    /// By chance, when a trace began.
    Head,
    /// By its outcome, when it had ended.
    Tail,
    /// Nothing says.
    #[default]
    Unknown,
}

impl Sampling {
    /// Every kind, by the word that reports and configuration use.
    pub const ALL: [(&'static str, Self); 4] =
        [("none", Self::None), ("head", Self::Head), ("tail", Self::Tail), ("unknown", Self::Unknown)];

    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Head => "head",
            Self::Tail => "tail",
            Self::Unknown => "unknown",
        }
    }

    /// Whether what was kept depends on how traces ended, so that shares of them say less.
    pub fn is_biased(self) -> bool {
        self == Self::Tail
    }
}
