//! Spans that do not say whose they are.
//!
//! The signal is a missing `service.name`, or the name that an SDK makes up (`unknown_service…`). All of them are one
//! finding, as one line of configuration is missing, in however many processes.

use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Severity, Subject, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct UnnamedService;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "unnamed-service",
    category: Category::Telemetry,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "A service sends spans without its name.",
    looks_like: "The graph has a box called unknown_service:node, and everybody hopes that it is somebody else's.",
    why: "Without a name a service cannot be told from others: its calls, its faults and its owner stay in the dark, and every \
          other finding about it is worth less.",
    how: "Services whose `service.name` is missing or empty, or begins with `unknown_service`, are gathered.",
    fix: "Set `service.name`, for example by the environment variable `OTEL_SERVICE_NAME`.",
    limits: "Only the resource of spans is looked at.",
    references: &[
        "OpenTelemetry: Semantic conventions for resources, service",
        "OpenTelemetry: SDK environment variables, OTEL_SERVICE_NAME",
    ],
    instrumentation_score: &["RES-005"],
    options: &[],
    absorbs: &[],
};

impl Rule for UnnamedService {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let is_unnamed = |index: &NodeIndex| topology::placeholder(graph, *index).is_some();
        let unnamed: Vec<_> = topology::services(graph).filter(is_unnamed).collect();
        let mut verdict = Verdict::default();
        if unnamed.is_empty() {
            return verdict;
        }
        let case = Case::new(graph, options, unnamed.iter().copied());
        let spans = |index: &NodeIndex| graph.node(*index).service.as_ref().map_or(0, |service| service.facts.spans);
        let sent: u64 = unnamed.iter().map(spans).sum();
        let judge = || {
            let support =
                options.required().sighting(sent, graph.counts.spans).map_err(|missing| case.undecided(missing))?;
            let names = wording::list(case.services());
            case.finding(Draft {
                title: match unnamed.len() {
                    1 => format!("a service is called {names}, as nobody named it"),
                    several => format!("{several} services have no name"),
                },
                message: format!("{sent} of {} came from {names}.", wording::count(graph.counts.spans, "span")),
                fix: format!("Set `service.name` for {names}, for example by OTEL_SERVICE_NAME."),
                subject: Subject { operations: case.services().to_vec(), ..Subject::default() },
                evidence: vec![Evidence::of("unnamed_spans", sent as f64, "spans").against(0.0)],
                support,
                traces: unnamed.iter().flat_map(|&service| traces_of_service(graph, service)).collect(),
                ..case.draft()
            })
        };
        verdict.take(judge());
        verdict
    }
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("unnamed-service", traces, expected);
    }

    #[test]
    fn a_made_up_name_is_none() {
        check(
            "web GET /\n  unknown_service:node GET /x",
            &["warning proven: a service is called unknown_service:node, as nobody named it"],
        );
    }

    #[test]
    fn each_process_is_a_node_and_all_are_one_finding() {
        check(
            "web GET /\n  unknown_service@a GET /x\n  unknown_service@b GET /x",
            &["warning proven: 2 services have no name"],
        );
    }

    #[test]
    fn names_are_fine() {
        check("web GET /\n  unknown GET /x\n  host unknown_service GET /y", &[]);
    }
}
