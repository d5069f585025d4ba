//! Two graphs of the same traffic side by side: what a change of the architecture would do to it.
//!
//! Operations are compared where they are requests without a caller in the system, since what others feel is what counts.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use serde::Serialize;
use spanlint_graph::CallGraph;
use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::Operation;

use crate::analysis::Analysis;
use crate::finding::Finding;
use crate::report::rounded;
use crate::wording;

/// A graph with what the rules say of it.
#[derive(Debug, Clone, Copy)]
pub struct Judged<'a> {
    /// The graph.
    pub graph: &'a CallGraph,
    /// The verdicts.
    pub analysis: &'a Analysis,
}

/// What is different.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Comparison {
    /// What is changed, as a sentence without its period.
    pub change: String,
    /// What the numbers take for granted.
    pub assumptions: Vec<String>,
    /// Operations that are asked from outside, slowest first.
    pub operations: Vec<OperationChange>,
    /// What the rules would no longer say.
    pub findings_gone: Vec<FindingLine>,
    /// What the rules would say that they do not say now.
    pub findings_new: Vec<FindingLine>,
    /// What the rules would say with other numbers, or of another severity.
    pub findings_changed: Vec<BeforeAfter<FindingLine>>,
    /// Sizes of the graph.
    pub graph: BTreeMap<&'static str, BeforeAfter<u64>>,
}

/// A number as it is, and as it would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct BeforeAfter<T> {
    /// As it is.
    pub before: T,
    /// As it would be.
    pub after: T,
}

/// How the latency of an operation would change.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct OperationChange {
    /// `service operation`.
    pub operation: String,
    /// Requests that were measured.
    pub requests: u64,
    /// Median, in milliseconds.
    pub latency_ms_p50: BeforeAfter<f64>,
    /// 95th percentile, in milliseconds.
    pub latency_ms_p95: BeforeAfter<f64>,
}

/// A finding by its title.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct FindingLine {
    /// How bad it is.
    pub severity: &'static str,
    /// Its rule.
    pub rule: &'static str,
    /// Its title.
    pub title: String,
}

impl Comparison {
    /// Compares; `change` says what was done, `assumptions` what that takes for granted.
    pub fn of(change: String, assumptions: Vec<String>, before: Judged<'_>, after: Judged<'_>) -> Self {
        let renamed = Renamed::between(before.graph, after.graph);
        let findings = Findings::of(&renamed, before.analysis, after.analysis);
        Self {
            change,
            assumptions,
            operations: operations(&renamed, before.graph, after.graph),
            findings_gone: findings.gone,
            findings_new: findings.new,
            findings_changed: findings.changed,
            graph: sizes(before.graph, after.graph),
        }
    }

    /// For programs: JSON, indented, with a line feed at its end.
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).expect("keys are texts and numbers are finite");
        text.push('\n');
        text
    }

    /// For people.
    pub fn to_text(&self) -> String {
        let mut text = format!("What if {}\n", self.change);
        let mut write = |line: std::fmt::Arguments<'_>| text.write_fmt(line).expect("a string takes all");
        for OperationChange { operation, requests, latency_ms_p50: p50, latency_ms_p95: p95 } in &self.operations {
            let requests = wording::count(*requests, "request");
            write(format_args!("\n{operation}, {requests}\n"));
            write(format_args!("  p50 {}\n  p95 {}\n", change_of(*p50), change_of(*p95)));
        }
        let mut listed = |heading: &str, findings: &[FindingLine]| {
            if !findings.is_empty() {
                write(format_args!("\n{heading}\n"));
            }
            for FindingLine { severity, rule, title } in findings {
                write(format_args!("  {severity} {rule}: {title}\n"));
            }
        };
        listed("Findings gone", &self.findings_gone);
        listed("Findings new", &self.findings_new);
        if !self.findings_changed.is_empty() {
            write(format_args!("\nFindings changed\n"));
        }
        for BeforeAfter { before, after } in &self.findings_changed {
            write(format_args!("  {} {}: {}\n", before.severity, before.rule, before.title));
            write(format_args!("    -> {}: {}\n", after.severity, after.title));
        }
        write(format_args!("\nThe graph\n"));
        for (name, BeforeAfter { before, after }) in &self.graph {
            let same = if before == after { " (same)" } else { "" };
            write(format_args!("  {name} {before} -> {after}{same}\n"));
        }
        write(format_args!("\nThis takes for granted\n"));
        for assumption in &self.assumptions {
            write(format_args!("  {assumption}\n"));
        }
        text
    }
}

/// `180 ms -> 120 ms (-33 %)`.
fn change_of(BeforeAfter { before, after }: BeforeAfter<f64>) -> String {
    let [was, is] = [before, after].map(wording::number);
    let percent = if before > 0.0 { (after - before) / before * 100.0 } else { 0.0 };
    match percent.round() {
        0.0 => format!("{was} ms -> {is} ms (same)"),
        percent => format!("{was} ms -> {is} ms ({percent:+} %)"),
    }
}

/// Services that have one name together after the change.
#[derive(Debug, Default)]
struct Renamed {
    /// The names that they had, with their ids.
    before: BTreeSet<(String, String)>,
    after: Option<(String, String)>,
}

impl Renamed {
    /// Those of the one service that was not there before.
    fn between(before: &CallGraph, after: &CallGraph) -> Self {
        let services = |graph: &CallGraph| -> BTreeSet<(String, String)> {
            let services = graph.nodes.iter().filter(|node| node.service.is_some());
            services.map(|node| (node.name.clone(), node.id.clone())).collect()
        };
        let (were, are) = (services(before), services(after));
        let new: Vec<_> = are.difference(&were).collect();
        let [after] = new[..] else { return Self::default() };
        Self { before: &were - &are, after: Some(after.clone()) }
    }

    /// The name, or id, that a service has after the change.
    fn now<'n>(&'n self, known: &'n str) -> &'n str {
        let Some((name, id)) = &self.after else { return known };
        match self.before.iter().find(|(name, id)| name == known || id == known) {
            Some((was, _)) if was == known => name,
            Some(_) => id,
            None => known,
        }
    }

    /// Whether two findings have one rule and are about the same services, edges and datastore.
    fn is_alike(&self, had: &Finding, has: &Finding) -> bool {
        let services =
            |finding: &Finding| finding.services.iter().map(|name| self.now(name).to_owned()).collect::<BTreeSet<_>>();
        let edge = |(from, to): &(String, String)| (self.now(from).to_owned(), self.now(to).to_owned());
        let edges = |finding: &Finding| finding.subject.edges.iter().map(edge).collect::<BTreeSet<_>>();
        had.rule.name == has.rule.name
            && had.subject.datastore == has.subject.datastore
            && services(had) == services(has)
            && edges(had) == edges(has)
    }

    /// A line with the names of after.
    fn line(&self, finding: &Finding) -> FindingLine {
        let mut line = FindingLine::of(finding);
        if let Some((name, _)) = &self.after {
            for (was, _) in &self.before {
                let words = line.title.split(' ').map(|word| if word == was { name } else { word });
                line.title = words.collect::<Vec<_>>().join(" ");
            }
        }
        line
    }
}

impl FindingLine {
    fn of(finding: &Finding) -> Self {
        Self { severity: finding.severity.as_str(), rule: finding.rule.name, title: finding.title.clone() }
    }
}

/// What becomes of findings.
#[derive(Debug, Default)]
struct Findings {
    gone: Vec<FindingLine>,
    new: Vec<FindingLine>,
    changed: Vec<BeforeAfter<FindingLine>>,
}

impl Findings {
    fn of(renamed: &Renamed, before: &Analysis, after: &Analysis) -> Self {
        let (mut had, mut has): (Vec<_>, Vec<_>) = (before.counted().collect(), after.counted().collect());
        let mut findings = Self::default();
        // An operation may well be another one when two services are one, but not where its own is still there.
        for needs_operation in [true, false] {
            had.retain(|had| {
                let has_operation =
                    |has: &Finding| !needs_operation || had.subject.operations == has.subject.operations;
                let is_same = |has: &&Finding| has_operation(has) && renamed.is_alike(had, has);
                let Some(place) = has.iter().position(is_same) else { return true };
                let after = FindingLine::of(has.remove(place));
                if renamed.line(had) != after {
                    findings.changed.push(BeforeAfter { before: FindingLine::of(had), after });
                }
                false
            });
        }
        findings.gone = had.into_iter().map(FindingLine::of).collect();
        findings.new = has.into_iter().map(FindingLine::of).collect();
        findings.gone.sort();
        findings.new.sort();
        findings.changed.sort();
        findings
    }
}

/// Requests that did not come from within the system.
fn is_entry(operation: &Operation) -> bool {
    operation.facts.requests > operation.facts.entries[Entry::Internal as usize]
}

/// Operations that both graphs have; one of a service that got another name is found by its own.
fn operations(renamed: &Renamed, before: &CallGraph, after: &CallGraph) -> Vec<OperationChange> {
    let entries = |graph: &CallGraph| -> Vec<usize> {
        (0..graph.operations.len()).filter(|&index| is_entry(&graph.operations[index])).collect()
    };
    let kept = entries(after);
    let mut changes = Vec::new();
    for operation in entries(before).into_iter().map(|index| &before.operations[index]) {
        let service = &before.node(operation.node).name;
        let is_same = |it: &&Operation| it.name == operation.name && after.node(it.node).name == renamed.now(service);
        let Some(then) = kept.iter().map(|&index| &after.operations[index]).find(is_same) else { continue };
        let milliseconds = |operation: &Operation, quantile| {
            rounded(wording::milliseconds(operation.facts.latency.quantile(quantile)), 3)
        };
        let pair =
            |quantile| BeforeAfter { before: milliseconds(operation, quantile), after: milliseconds(then, quantile) };
        changes.push(OperationChange {
            operation: wording::operation(service, &operation.name),
            requests: operation.facts.requests,
            latency_ms_p50: pair(0.5),
            latency_ms_p95: pair(0.95),
        });
    }
    changes.sort_by(|left, right| {
        let slowness = |change: &OperationChange| change.latency_ms_p95.before;
        slowness(right).total_cmp(&slowness(left)).then_with(|| left.operation.cmp(&right.operation))
    });
    changes
}

fn sizes(before: &CallGraph, after: &CallGraph) -> BTreeMap<&'static str, BeforeAfter<u64>> {
    let services = |graph: &CallGraph| graph.nodes.iter().filter(|node| node.service.is_some()).count() as u64;
    let edges = |graph: &CallGraph| graph.edges.iter().filter(|edge| !edge.is_derived).count() as u64;
    let calls =
        |graph: &CallGraph| graph.edges.iter().filter(|edge| !edge.is_derived).map(|edge| edge.facts.calls).sum();
    let pair = |size: fn(&CallGraph) -> u64| BeforeAfter { before: size(before), after: size(after) };
    BTreeMap::from([("calls", pair(calls)), ("edges", pair(edges)), ("services", pair(services))])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{analysis, graph};

    #[test]
    fn a_finding_whose_service_has_another_name_is_neither_gone_nor_new() {
        let compare = |was: &str, is: &str| {
            let (before, after) = (graph(was), graph(is));
            let (said, says) = (analysis(was, ""), analysis(is, ""));
            let before = Judged { graph: &before, analysis: &said };
            Comparison::of(String::new(), Vec::new(), before, Judged { graph: &after, analysis: &says })
        };
        let was = "web GET /\n  cart GET /cart\n    7 x stock GET /stock 10ms";
        let renamed = compare(was, "web+cart GET /\n  7 x stock GET /stock 10ms");
        let said = (&renamed.findings_gone[..], &renamed.findings_new[..]);
        assert!(said.0.is_empty() && said.1.is_empty(), "{said:?}");
        let less = compare(was, "web GET /\n  cart GET /cart\n    6 x stock GET /stock 10ms");
        assert_eq!(less.findings_changed.len(), 1, "{:?}", less.findings_changed);
        assert!(less.to_text().contains("Findings changed"));
    }

    #[test]
    fn a_comparison_says_what_is_gone_and_what_is_faster() {
        let many = "web GET /\n  cart GET /cart\n    7 x stock GET /stock 10ms";
        let one = "web GET /\n  cart GET /cart\n    stock GET /stock 10ms";
        let (was, is) = (graph(many), graph(one));
        let (said, says) = (analysis(many, ""), analysis(one, ""));
        let comparison = Comparison::of(
            "cart asked stock once".to_owned(),
            vec!["One call takes as long as the longest.".to_owned()],
            Judged { graph: &was, analysis: &said },
            Judged { graph: &is, analysis: &says },
        );
        insta::assert_snapshot!(comparison.to_text());
        assert_eq!(comparison.graph["calls"], BeforeAfter { before: 9, after: 3 });
        assert!(comparison.to_json().contains("\"latency_ms_p95\""));
    }
}
