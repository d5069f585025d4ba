//! The report for programs. Every key is always present; the wire structs are this module's own.

use std::collections::BTreeMap;

use jiff::Timestamp;
use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use spanlint_graph::facts::Seen;
use spanlint_graph::snapshot::{Edge, Node};
use spanlint_graph::{CallGraph, TraceId};

use super::metrics::Metrics;
use super::{Report, traced_services};
use crate::analysis::Analysis;
use crate::coverage::Sampling;
use crate::finding::{Finding, Severity, Undecided};
use crate::roles::AssignedRole;
use crate::wording;

/// The version of the shape, not of the tool.
const SCHEMA_VERSION: &str = "0.1";

/// The report as JSON, indented, with a line feed at its end.
pub fn to_json(report: &Report<'_>) -> String {
    let Report { input, graph, analysis } = report;
    let document = Document {
        schema_version: SCHEMA_VERSION,
        tool: Tool { name: "spanlint", version: &input.tool_version },
        environment: &graph.environment,
        command_exit: input.command_exit,
        input: Input::of(report),
        summary: Summary::of(analysis),
        findings: analysis.findings.iter().map(FindingEntry::of).collect(),
        undecided: analysis.undecided.iter().map(UndecidedEntry::of).collect(),
        graph: Graph::of(graph),
        coverage: Coverage::of(analysis),
        roles: analysis.background.roles.iter().map(RoleEntry::of).collect(),
        metrics: Metrics::of(graph, &analysis.background.groups),
    };
    let mut text = serde_json::to_string_pretty(&document).expect("keys are texts and numbers are finite");
    text.push('\n');
    text
}

/// The JSON Schema of the report, indented, with a line feed at its end.
pub fn json_schema() -> String {
    let mut schema = schema_for!(Document<'_>);
    schema.insert("title".to_owned(), "The report of spanlint".into());
    let mut text = serde_json::to_string_pretty(&schema).expect("a schema is a plain value");
    text.push('\n');
    text
}

/// Rounded to `digits` after the point, so that reports stay short.
pub(crate) fn rounded(value: f64, digits: i32) -> f64 {
    let scale = 10f64.powi(digits);
    (value * scale).round() / scale
}

#[derive(Debug, Serialize, JsonSchema)]
struct Document<'a> {
    schema_version: &'static str,
    tool: Tool<'a>,
    environment: &'a str,
    command_exit: Option<i32>,
    input: Input<'a>,
    summary: Summary,
    findings: Vec<FindingEntry<'a>>,
    undecided: Vec<UndecidedEntry<'a>>,
    coverage: Coverage<'a>,
    roles: Vec<RoleEntry<'a>>,
    graph: Graph<'a>,
    metrics: Metrics,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Tool<'a> {
    name: &'static str,
    version: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Input<'a> {
    sources: &'a [String],
    traces: u64,
    spans: u64,
    services: usize,
    orphan_spans: u64,
    late_spans: u64,
    duplicate_spans: u64,
    rejected_spans: u64,
    overflow: BTreeMap<&'static str, u64>,
    sampling: &'static str,
    from: Option<String>,
    to: Option<String>,
}

impl<'a> Input<'a> {
    fn of(report: &Report<'a>) -> Self {
        let Report { input, graph, analysis } = *report;
        let counts = &graph.counts;
        let Seen { first_ns, last_ns } = counts.seen;
        let known = analysis.background.coverage.sampling;
        let sampling = if known == Sampling::Unknown { input.sampling } else { known };
        let is_seen = first_ns <= last_ns;
        Self {
            sources: &input.sources,
            traces: counts.traces,
            spans: counts.spans,
            services: traced_services(graph),
            orphan_spans: counts.orphan_spans,
            late_spans: counts.late_spans,
            duplicate_spans: counts.duplicate_spans,
            rejected_spans: input.rejected_spans,
            overflow: graph.overflow.iter().copied().collect(),
            sampling: sampling.as_str(),
            from: is_seen.then(|| rfc3339(first_ns)),
            to: is_seen.then(|| rfc3339(last_ns)),
        }
    }
}

/// UTC, with as many digits as the time has.
fn rfc3339(unix_ns: u64) -> String {
    let timestamp = Timestamp::from_nanosecond(i128::from(unix_ns));
    timestamp.expect("64 bits of nanoseconds end in the year 2554").to_string()
}

#[derive(Debug, Serialize, JsonSchema)]
struct Summary {
    error: usize,
    warning: usize,
    note: usize,
    suppressed: usize,
    undecided: usize,
}

impl Summary {
    fn of(analysis: &Analysis) -> Self {
        Self {
            error: analysis.count(Severity::Error),
            warning: analysis.count(Severity::Warning),
            note: analysis.count(Severity::Note),
            suppressed: analysis.suppressed(),
            undecided: analysis.undecided.len(),
        }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct FindingEntry<'a> {
    rule: &'static str,
    category: &'static str,
    severity: &'static str,
    confidence: &'static str,
    doubts: Vec<&'static str>,
    fingerprint: String,
    title: &'a str,
    message: &'a str,
    services: &'a [String],
    subject: Subject<'a>,
    evidence: Vec<Evidence>,
    support: Support,
    impact: Option<Impact>,
    traces: Vec<String>,
    locations: Vec<Location<'a>>,
    fix: &'a str,
    absorbs: Vec<Absorbed<'a>>,
    suppressed: Option<&'a str>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Subject<'a> {
    edges: Vec<Ends<'a>>,
    datastore: Option<&'a str>,
    operations: &'a [String],
    tables: &'a [String],
}

#[derive(Debug, Serialize, JsonSchema)]
struct Ends<'a> {
    from: &'a str,
    to: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Evidence {
    name: &'static str,
    value: f64,
    threshold: Option<f64>,
    unit: &'static str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Support {
    requests: u64,
    affected: u64,
    prevalence_low: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Impact {
    latency_ms_p50: f64,
    latency_ms_p95: f64,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Location<'a> {
    file: &'a str,
    line: u32,
    function: &'a str,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Absorbed<'a> {
    rule: &'static str,
    title: &'a str,
}

impl<'a> FindingEntry<'a> {
    fn of(finding: &'a Finding) -> Self {
        let evidence = finding.evidence.iter().map(|evidence| Evidence {
            name: evidence.name,
            value: rounded(evidence.value, 3),
            threshold: evidence.threshold,
            unit: evidence.unit,
        });
        let locations = finding.locations.iter().map(|location| Location {
            file: &location.file,
            line: location.line,
            function: &location.function,
        });
        Self {
            rule: finding.rule.name,
            category: finding.rule.category.as_str(),
            severity: finding.severity.as_str(),
            confidence: finding.confidence.as_str(),
            doubts: finding.doubts.iter().map(|doubt| doubt.as_str()).collect(),
            fingerprint: finding.fingerprint(),
            title: &finding.title,
            message: &finding.message,
            services: &finding.services,
            subject: Subject {
                edges: finding.subject.edges.iter().map(|(from, to)| Ends { from, to }).collect(),
                datastore: finding.subject.datastore.as_deref(),
                operations: &finding.subject.operations,
                tables: &finding.subject.tables,
            },
            evidence: evidence.collect(),
            support: Support {
                requests: finding.support.requests,
                affected: finding.support.affected,
                prevalence_low: rounded(finding.support.prevalence_low, 4),
            },
            impact: finding.impact.map(|impact| Impact {
                latency_ms_p50: rounded(impact.latency_ms_p50, 3),
                latency_ms_p95: rounded(impact.latency_ms_p95, 3),
            }),
            traces: finding.traces.iter().map(TraceId::to_string).collect(),
            locations: locations.collect(),
            fix: &finding.fix,
            absorbs: finding.absorbs.iter().map(|each| Absorbed { rule: each.rule, title: &each.title }).collect(),
            suppressed: finding.suppressed.as_deref(),
        }
    }
}

/// How far the input can be trusted, and what it does not show.
#[derive(Debug, Serialize, JsonSchema)]
struct Coverage<'a> {
    /// Services that lost the parents of too many spans, with the share of those.
    orphaned_services: BTreeMap<&'a str, f64>,
    /// Services that were called but sent no span.
    untraced_services: &'a [String],
    /// Calls between services.
    calls: u64,
    /// Of these, those that only the caller told of.
    unpaired_calls: u64,
}

impl<'a> Coverage<'a> {
    fn of(analysis: &'a Analysis) -> Self {
        let coverage = &analysis.background.coverage;
        let orphaned = coverage.orphaned_services.iter().map(|(name, share)| (name.as_str(), rounded(*share, 4)));
        Self {
            orphaned_services: orphaned.collect(),
            untraced_services: &coverage.untraced_services,
            calls: coverage.calls,
            unpaired_calls: coverage.unpaired_calls,
        }
    }
}

/// What a service is for, and how that is known.
#[derive(Debug, Serialize, JsonSchema)]
struct RoleEntry<'a> {
    service: &'a str,
    role: &'static str,
    reason: &'a str,
}

impl<'a> RoleEntry<'a> {
    fn of(assigned: &'a AssignedRole) -> Self {
        Self { service: &assigned.service, role: assigned.role.as_str(), reason: &assigned.reason }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct UndecidedEntry<'a> {
    rule: &'static str,
    services: &'a [String],
    reason: &'a str,
}

impl<'a> UndecidedEntry<'a> {
    fn of(undecided: &'a Undecided) -> Self {
        Self { rule: undecided.rule, services: &undecided.services, reason: &undecided.reason }
    }
}

#[derive(Debug, Serialize, JsonSchema)]
struct Graph<'a> {
    nodes: Vec<NodeEntry<'a>>,
    edges: Vec<EdgeEntry<'a>>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct NodeEntry<'a> {
    id: &'a str,
    kind: &'static str,
    name: &'a str,
}

/// A `messaging` edge between two services stands for a way through a topic.
#[derive(Debug, Serialize, JsonSchema)]
struct EdgeEntry<'a> {
    from: &'a str,
    to: &'a str,
    kind: &'static str,
    calls: u64,
    errors: u64,
    latency_ms_p50: f64,
    latency_ms_p95: f64,
}

impl<'a> Graph<'a> {
    fn of(graph: &'a CallGraph) -> Self {
        let node = |node: &'a Node| NodeEntry { id: &node.id, kind: node.kind.as_str(), name: &node.name };
        let edge = |edge: &'a Edge| {
            let milliseconds = |share| rounded(wording::milliseconds(edge.latency().quantile(share)), 3);
            EdgeEntry {
                from: &graph.node(edge.from).id,
                to: &graph.node(edge.to).id,
                kind: edge.kind.as_str(),
                calls: edge.facts.calls,
                errors: edge.failures(),
                latency_ms_p50: milliseconds(0.5),
                latency_ms_p95: milliseconds(0.95),
            }
        };
        Self { nodes: graph.nodes.iter().map(node).collect(), edges: graph.edges.iter().map(edge).collect() }
    }
}
