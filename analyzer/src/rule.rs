//! The anatomy of a rule.

use spanlint_graph::CallGraph;

use crate::context::Options;
use crate::finding::{Confidence, Severity, Verdict};

/// What a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Category {
    /// Too many calls.
    Chatter,
    /// Who owns which data.
    Data,
    /// Who depends on whom.
    Boundaries,
    /// Services cut too small or too large.
    Granularity,
    /// Security ignored.
    Security,
    /// Faults that spread.
    Resilience,
    /// Time.
    Performance,
    /// Rules of the house.
    Governance,
    /// Whether what is seen can be trusted.
    Telemetry,
    /// What was declared.
    Contract,
}

impl Category {
    /// Every category, in the order in which a newcomer meets them.
    pub const ALL: [Self; 10] = [
        Self::Chatter,
        Self::Data,
        Self::Boundaries,
        Self::Granularity,
        Self::Security,
        Self::Resilience,
        Self::Performance,
        Self::Governance,
        Self::Telemetry,
        Self::Contract,
    ];

    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Chatter => "chatter",
            Self::Data => "data",
            Self::Boundaries => "boundaries",
            Self::Granularity => "granularity",
            Self::Security => "security",
            Self::Resilience => "resilience",
            Self::Performance => "performance",
            Self::Governance => "governance",
            Self::Telemetry => "telemetry",
            Self::Contract => "contract",
        }
    }
}

/// How settled a rule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Counts since this version.
    Stable(&'static str),
    /// May change without notice since this version.
    Preview(&'static str),
}

/// A threshold of a rule, settable as `[rules.<name>] <option> = <number>`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OptionMeta {
    /// A noun with its full unit: `min_calls`.
    pub name: &'static str,
    /// The value where none is configured.
    pub default: f64,
    /// What it means.
    pub help: &'static str,
}

/// Everything there is to say about a rule; `explain`, documents and reports all read it.
#[derive(Debug, PartialEq)]
pub struct RuleMeta {
    /// States the problem, never the remedy.
    pub name: &'static str,
    /// What it is about.
    pub category: Category,
    /// The severity that it starts at.
    pub severity: Severity,
    /// The confidence of a finding with full support; its class decides the support that is needed.
    pub confidence: Confidence,
    /// How settled it is.
    pub status: Status,
    /// One sentence.
    pub summary: &'static str,
    /// What it looks like to those who work with it, as one would tell a colleague.
    pub looks_like: &'static str,
    /// Why it hurts.
    pub why: &'static str,
    /// How it is judged: the signal and its thresholds.
    pub how: &'static str,
    /// What to do about it, in general.
    pub fix: &'static str,
    /// What it refuses to judge, and how it may err.
    pub limits: &'static str,
    /// Papers, books, specifications.
    pub references: &'static [&'static str],
    /// Ids of the rules of the instrumentation score's specification that ask for the same; for telemetry rules.
    pub instrumentation_score: &'static [&'static str],
    /// Its thresholds.
    pub options: &'static [OptionMeta],
    /// Rules that it explains on the same subject: one cause, one finding. Of its own rule it may explain what is a part
    /// of its subject.
    pub absorbs: &'static [&'static str],
}

/// A rule: stateless, pure.
pub trait Rule: Sync {
    /// What it is.
    fn meta(&self) -> &'static RuleMeta;

    /// Its verdict on a graph.
    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict;
}
