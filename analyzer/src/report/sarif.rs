//! The report for code scanning: SARIF 2.1.0, whose rules are the metadata of ours.
//!
//! A finding is about services, not about lines, so it always has logical locations, and a physical one where spans say
//! where in the code they were made.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::Report;
use super::json::rounded;
use crate::explain;
use crate::finding::{Finding, Location};
use crate::rule::RuleMeta;
use crate::rules;

/// The schema of the format, as its specification names it.
const SCHEMA: &str = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The report as SARIF, indented, with a line feed at its end.
pub fn to_sarif(report: &Report<'_>) -> String {
    let Report { input, graph, analysis } = report;
    let undecided = analysis
        .undecided
        .iter()
        .map(|open| json!({"rule": open.rule, "services": open.services, "reason": open.reason}));
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "spanlint",
                "version": input.tool_version,
                "rules": rules::ALL.iter().map(|rule| descriptor(rule.meta())).collect::<Vec<_>>(),
            }},
            "invocations": [{"executionSuccessful": true}],
            "results": analysis.findings.iter().map(result).collect::<Vec<_>>(),
            "properties": {
                "environment": graph.environment,
                "traces": graph.counts.traces,
                "spans": graph.counts.spans,
                "undecided": undecided.collect::<Vec<_>>(),
            },
        }],
    });
    let mut text = serde_json::to_string_pretty(&log).expect("keys are texts and numbers are finite");
    text.push('\n');
    text
}

/// `reportingDescriptor`: what the viewer shows of a rule.
fn descriptor(rule: &RuleMeta) -> Value {
    json!({
        "id": rule.name,
        "name": camel(rule.name),
        "shortDescription": {"text": rule.summary},
        "fullDescription": {"text": format!("{} {}", rule.why, rule.how)},
        "help": {"text": rule.fix, "markdown": explain::page(rule)},
        "defaultConfiguration": {"level": rule.severity.as_str()},
        "properties": {"tags": [rule.category.as_str()], "precision": precision(rule)},
    })
}

/// What code scanning calls confidence.
fn precision(rule: &RuleMeta) -> &'static str {
    match rule.confidence {
        crate::finding::Confidence::Proven => "very-high",
        crate::finding::Confidence::Strong => "high",
        crate::finding::Confidence::Heuristic => "medium",
    }
}

/// `n-plus-one-calls` as `NPlusOneCalls`, which the format asks of names.
fn camel(name: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('-').map(capital).collect()
}

fn result(finding: &Finding) -> Value {
    let index = rules::ALL.iter().position(|rule| rule.meta().name == finding.rule.name);
    let suppressions = finding.suppressed.iter().map(|reason| json!({"kind": "external", "justification": reason}));
    json!({
        "ruleId": finding.rule.name,
        "ruleIndex": index,
        "level": finding.severity.as_str(),
        "message": {"text": format!("{}. {} {}", finding.title, finding.message, finding.fix)},
        "locations": locations(finding),
        "partialFingerprints": {"spanlint/v1": finding.fingerprint()},
        "suppressions": suppressions.collect::<Vec<_>>(),
        "properties": {
            "confidence": finding.confidence.as_str(),
            "services": finding.services,
            "traces": finding.traces.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "requests": finding.support.requests,
            "affected": finding.support.affected,
            "evidence": finding.evidence.iter().map(|each| json!({
                "name": each.name,
                "value": rounded(each.value, 3),
                "threshold": each.threshold,
                "unit": each.unit,
            })).collect::<Vec<_>>(),
        },
    })
}

/// One for each place in the code, else one with the services alone.
fn locations(finding: &Finding) -> Vec<Value> {
    let logical: Vec<_> =
        finding.services.iter().map(|name| json!({"fullyQualifiedName": name, "kind": "service"})).collect();
    let physical = |location: &Location| {
        json!({
            "physicalLocation": {
                "artifactLocation": {"uri": uri(&location.file)},
                "region": {"startLine": location.line.max(1)},
            },
            "logicalLocations": logical,
        })
    };
    let places: Vec<_> = finding.locations.iter().filter(|location| !location.file.is_empty()).map(physical).collect();
    if places.is_empty() { vec![json!({"logicalLocations": logical})] } else { places }
}

/// A path as a URI reference: forward slashes, and what may not stand in one escaped.
fn uri(path: &str) -> String {
    let mut uri = String::with_capacity(path.len());
    for byte in path.bytes() {
        match byte {
            b'\\' => uri.push('/'),
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' | b':' | b'@' | b'+' => {
                uri.push(char::from(byte));
            }
            other => write!(uri, "%{other:02X}").expect("a string takes all"),
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_the_format_wants_them() {
        assert_eq!(camel("n-plus-one-calls"), "NPlusOneCalls");
        assert_eq!(uri("src\\a b/ü.rs"), "src/a%20b/%C3%BC.rs");
    }
}
