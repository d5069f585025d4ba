//! A declared dependency that was never seen.
//!
//! The signal is an entry of `allowed` without wildcards that covers no edge, although its caller was busy enough to show
//! it. Refused: entries with wildcards or groups, which allow and do not promise.

use spanlint_graph::{CallGraph, NodeIndex};

use crate::architecture::Arrow;
use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct UnusedDependency;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "unused-dependency",
    category: Category::Contract,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "A declared dependency was never used.",
    looks_like: "The diagram still has the arrow from the shop to the old search, and every new colleague asks what it is for.",
    why: "A declaration that does not hold is believed anyway: it keeps a service alive that nobody needs, or hides that \
          something stopped working.",
    how: "Entries of `allowed` in `[architecture]` that name one caller and one callee are sought among the edges; those that \
          none of the caller's requests used are noted.",
    fix: "Take the entry out, or find out why the calls ceased.",
    limits: "What runs once a month is not in an hour of traces. Entries with wildcards or groups are left out.",
    references: &["Murphy, Notkin, Sullivan: Software Reflexion Models, FSE 1995 (absences)"],
    instrumentation_score: &[],
    options: &[],
    absorbs: &[],
};

impl Rule for UnusedDependency {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for arrow in options.architecture().allowed.iter().filter(|arrow| arrow.is_plain()) {
            let is_used = |from: NodeIndex, to| arrow.covers(graph, options.groups(), (from, to));
            if graph.edges.iter().any(|edge| is_used(edge.from, edge.to)) {
                continue;
            }
            let caller = topology::services(graph).find(|&service| arrow.from.has(graph, options.groups(), service));
            // A caller that was not seen at all says nothing of its calls.
            let Some(caller) = caller else { continue };
            verdict.take(judge(graph, options, caller, arrow));
        }
        verdict
    }
}

fn judge(graph: &CallGraph, options: &Options<'_>, caller: NodeIndex, arrow: &Arrow) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [caller]);
    let node = graph.node(caller);
    let requests = node.service.as_ref().map_or(0, |service| service.requests);
    options.required().requests(requests).map_err(|missing| case.undecided(format!("`{}`: {missing}", arrow.text)))?;
    case.finding(Draft {
        title: format!("`{}` is declared and was never seen", arrow.text),
        message: format!("None of {} of {} made such a call.", wording::count(requests, "request"), node.name),
        fix: format!(
            "Take `{}` out of the declaration, or find out why {} does not need it any more.",
            arrow.text, node.name
        ),
        subject: Subject { operations: vec![arrow.text.clone()], ..Subject::default() },
        evidence: vec![Evidence::of("calls", 0.0, "calls").against(1.0)],
        support: Support::of(requests, requests),
        traces: traces_of_service(graph, caller),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, allowed: &str, expected: &[&str]) {
        check_with("unused-dependency", traces, &format!("[architecture]\nallowed = [{allowed}]"), expected);
    }

    const TRACES: &str = "30 traces\nshop GET /\n  cart GET /c";

    #[test]
    fn a_declared_call_that_never_came_is_a_note() {
        let expected = "note heuristic: `shop -> search` is declared and was never seen";
        check(TRACES, "\"shop -> cart\", \"shop -> search\"", &[expected]);
    }

    #[test]
    fn wildcards_and_callers_that_were_not_seen_promise_nothing() {
        check(TRACES, "\"shop -> sea*\", \"* -> search\", \"group:x -> search\", \"mobile -> cart\"", &[]);
    }

    #[test]
    fn few_requests_are_undecided() {
        let missing = "(shop: `shop -> search`: 9 requests seen, 30 needed)";
        check(&TRACES.replace("30", "9"), "\"shop -> search\"", &[missing]);
    }
}
