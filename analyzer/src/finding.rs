//! What a rule says: findings with their evidence, and what it could not decide.

use spanlint_graph::facts::Entry;
use spanlint_graph::{NodeKind, TraceId};
use xxhash_rust::xxh3::Xxh3;

use crate::rule::RuleMeta;
use crate::support::{Doubt, wilson_lower_bound};
use crate::wording;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Worth knowing.
    Note,
    /// Should be mended.
    Warning,
    /// Must be mended.
    Error,
}

impl Severity {
    /// The word that reports and configuration use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// The severity of chatter in requests that entered like this: from messages one lower, from a schedule at most a
    /// note. What most of the requests did decides.
    #[must_use]
    pub fn for_entries(self, entries: &[u64; Entry::KINDS]) -> Self {
        let all: u64 = entries.iter().sum();
        let is_mostly = |entry: Entry| entries[entry as usize] * 2 > all;
        match self {
            _ if is_mostly(Entry::Schedule) => Self::Note,
            Self::Error if is_mostly(Entry::Message) => Self::Warning,
            _ if is_mostly(Entry::Message) => Self::Note,
            unchanged => unchanged,
        }
    }
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Judged by absence or by a proxy.
    Heuristic,
    /// A statistic over enough requests.
    Strong,
    /// The spans of one trace show it.
    Proven,
}

impl Confidence {
    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Heuristic => "heuristic",
            Self::Strong => "strong",
            Self::Proven => "proven",
        }
    }
}

/// A fault of the architecture, with what proves it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The rule that found it.
    pub rule: &'static RuleMeta,
    /// How bad it is.
    pub severity: Severity,
    /// How sure it is.
    pub confidence: Confidence,
    /// Why it is less sure than its kind could be, where it is.
    pub doubts: Vec<Doubt>,
    /// One line that names the subject: `cart calls warehouse GET /stock/{sku} 7 times a request`.
    pub title: String,
    /// One or two sentences with the numbers.
    pub message: String,
    /// One or two sentences that name the services.
    pub fix: String,
    /// Every service that it is about, as people call them, sorted.
    pub services: Vec<String>,
    /// Where in the graph it is.
    pub subject: Subject,
    /// Measured values against thresholds.
    pub evidence: Vec<Evidence>,
    /// How many requests stand behind it.
    pub support: Support,
    /// What mending it would save, where that was computed.
    pub impact: Option<Impact>,
    /// Traces that prove it; never empty.
    pub traces: Vec<TraceId>,
    /// Where in the code, where spans say so.
    pub locations: Vec<Location>,
    /// Findings on the same subject that this one explains.
    pub absorbs: Vec<Absorbed>,
    /// Why it is not counted, if an `[[ignore]]` or the baseline says so.
    pub suppressed: Option<String>,
}

impl Finding {
    /// The same for the same fault in every run: made of the rule and the names of its subject, never of numbers. Hosts are
    /// left out, so that it is also the same on every machine.
    pub fn fingerprint(&self) -> String {
        let mut hash = Xxh3::new();
        let mut feed = |text: &str| {
            hash.update(text.as_bytes());
            hash.update(&[0]);
        };
        feed(self.rule.name);
        self.services.iter().for_each(|service| feed(service));
        let edges = || self.subject.edges.iter().filter(|(_, to)| !is_datastore(to));
        for (from, to) in edges() {
            feed(from);
            feed(to);
        }
        // One service may have the same fault in several operations.
        if let ([operation], None) = (self.subject.operations.as_slice(), edges().next()) {
            feed(operation);
        }
        feed(self.subject.datastore.as_deref().and_then(|id| id.rsplit('/').next()).unwrap_or_default());
        format!("{:016x}", hash.digest())
    }
}

/// Whether this is the id of a datastore, which may hold the name of a host.
fn is_datastore(id: &str) -> bool {
    id.starts_with(NodeKind::Datastore.as_str())
}

/// Where in the graph a finding is. Node ids are those of the snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Subject {
    /// (from, to) by node id.
    pub edges: Vec<(String, String)>,
    /// Node id of a datastore.
    pub datastore: Option<String>,
    /// Operations, as `service operation`.
    pub operations: Vec<String>,
    /// Tables or collections, sorted.
    pub tables: Vec<String>,
}

/// A measured value against its threshold.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What was measured: `calls_per_request_p50`.
    pub name: &'static str,
    /// The measured value.
    pub value: f64,
    /// What it was held against, where it was.
    pub threshold: Option<f64>,
    /// The unit: `calls`, `ms`, `share`.
    pub unit: &'static str,
}

impl Evidence {
    /// What was measured.
    pub(crate) fn of(name: &'static str, value: f64, unit: &'static str) -> Self {
        Self { name, value, threshold: None, unit }
    }

    /// What it was held against.
    #[must_use]
    pub(crate) fn against(self, threshold: f64) -> Self {
        Self { threshold: Some(threshold), ..self }
    }

    /// `median calls per request 14 (threshold 5)`: the name in words, the value, and what it was held against.
    pub fn words(&self) -> String {
        let (name, quantile) = match self.name.rsplit_once('_') {
            Some((name, quantile @ ("p50" | "p95" | "max"))) => (name, quantile),
            _ => (self.name, ""),
        };
        let (unit, ending) = match self.unit {
            "ms" => (" ms", "_ms"),
            "s" => (" s", "_s"),
            "%" => (" %", "_percent"),
            // Every other unit is in the name.
            _ => ("", ""),
        };
        let name = name.strip_suffix(ending).unwrap_or(name).replace('_', " ");
        let name = match quantile {
            "" => name,
            "p50" => format!("median {name}"),
            other => format!("{name} {other}"),
        };
        let value = wording::number(self.value);
        match self.threshold {
            Some(threshold) => format!("{name} {value}{unit} (threshold {})", wording::number(threshold)),
            None => format!("{name} {value}{unit}"),
        }
    }
}

/// How many requests stand behind a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Support {
    /// Requests of the caller's operation (*n*).
    pub requests: u64,
    /// Of these, those that show the pattern (*k*).
    pub affected: u64,
    /// Lower bound of the 95 % Wilson interval of k/n.
    pub prevalence_low: f64,
}

impl Support {
    /// `affected` of `requests`, which are at least as many.
    pub fn of(affected: u64, requests: u64) -> Self {
        let requests = requests.max(affected);
        Self { requests, affected, prevalence_low: wilson_lower_bound(affected, requests) }
    }
}

/// What mending a finding would save.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Impact {
    /// Median, in milliseconds.
    pub latency_ms_p50: f64,
    /// 95th percentile, in milliseconds.
    pub latency_ms_p95: f64,
}

/// A place in the code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Location {
    /// `code.file.path`.
    pub file: String,
    /// `code.line.number`.
    pub line: u32,
    /// `code.function.name`.
    pub function: String,
}

/// A finding that another one explains.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Absorbed {
    /// Name of its rule.
    pub rule: &'static str,
    /// Its title.
    pub title: String,
}

/// A pattern that was seen without enough support, or an input that cannot tell at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undecided {
    /// Name of the rule.
    pub rule: &'static str,
    /// The services it is about, sorted; empty where the input as a whole cannot tell.
    pub services: Vec<String>,
    /// What is missing: `5 requests seen, 30 needed`.
    pub reason: String,
}

impl Undecided {
    /// The input as a whole cannot tell.
    pub(crate) fn of_input(rule: &RuleMeta, reason: impl Into<String>) -> Self {
        Self { rule: rule.name, services: Vec::new(), reason: reason.into() }
    }
}

/// What a rule says of a graph. Neither findings nor undecided subjects: clean.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Verdict {
    /// Faults.
    pub findings: Vec<Finding>,
    /// What could not be decided.
    pub undecided: Vec<Undecided>,
}

impl Verdict {
    /// Takes what became of one suspicion.
    pub(crate) fn take(&mut self, judged: Result<Finding, Undecided>) {
        match judged {
            Ok(finding) => self.findings.push(finding),
            Err(undecided) => self.undecided.push(undecided),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evidence_reads_like_a_sentence() {
        let check = |name, value, unit, words: &str| assert_eq!(Evidence::of(name, value, unit).words(), words);
        check("calls_per_request_p50", 14.0, "calls", "median calls per request 14");
        check("calls_per_request_max", 20.0, "calls", "calls per request max 20");
        check("time_in_calls_ms_p50", 1.25, "ms", "median time in calls 1.2 ms");
        check("latency_ms_p95", 310.0, "ms", "latency p95 310 ms");
        check("longest_ms", 9.0, "ms", "longest 9 ms");
        check("outage_s", 75.0, "s", "outage 75 s");
        check("self_time_percent_p50", 4.5, "%", "median self time 4.5 %");
        check("share_of_orphans", 0.25, "share", "share of orphans 0.25");
        let held = Evidence::of("calls", 7.0, "calls").against(5.0);
        assert_eq!(held.words(), "calls 7 (threshold 5)");
    }
}
