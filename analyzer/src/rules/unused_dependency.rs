//! A declared dependency that was never seen.
//!
//! The signal is an entry of `allowed` that covers no edge, although its callers were busy enough to show one. An entry with
//! wildcards or groups is used by any edge that it covers. Refused: entries with a lone `*`, which allow and do not promise,
//! and those within a group of which one service was seen.

use spanlint_graph::{CallGraph, NodeIndex};

use crate::architecture::{self, Arrow};
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
    how: "Entries of `allowed` in `[architecture]` are sought among the edges; those that none of their callers' requests \
          used are noted. One edge is enough for an entry with wildcards or groups.",
    fix: "Take the entry out, or find out why the calls ceased.",
    limits: "What runs once a month is not in an hour of traces. Entries with a lone `*` on one side are left out, and so are \
             those of which no caller was seen.",
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
        let promises = |arrow: &&Arrow| !arrow.from.is_anything() && !arrow.to.is_anything();
        let dependencies = architecture::dependencies(graph);
        for arrow in options.architecture().allowed.iter().filter(promises) {
            if dependencies.iter().any(|edge| arrow.covers(graph, options.groups(), (edge.from, edge.to))) {
                continue;
            }
            let is_caller = |service: &NodeIndex| arrow.from.has(graph, options.groups(), *service);
            let callers: Vec<_> = topology::services(graph).filter(is_caller).collect();
            let is_lonely = matches!(callers.as_slice(), &[only] if arrow.to.has(graph, options.groups(), only));
            // Callers that were not seen at all say nothing of their calls.
            if !callers.is_empty() && !is_lonely {
                verdict.take(judge(graph, options, &callers, arrow));
            }
        }
        verdict
    }
}

fn judge(graph: &CallGraph, options: &Options<'_>, callers: &[NodeIndex], arrow: &Arrow) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, callers.iter().copied());
    let services = callers.iter().filter_map(|&caller| graph.node(caller).service.as_ref());
    let requests = services.map(|service| service.requests).sum();
    options.required().requests(requests).map_err(|missing| case.undecided(format!("`{}`: {missing}", arrow.text)))?;
    let names = wording::list(case.services());
    case.finding(Draft {
        title: format!("`{}` is declared and was never seen", arrow.text),
        message: format!("None of {} of {names} made such a call.", wording::count(requests, "request")),
        fix: format!(
            "Take `{}` out of the declaration, or find out why {names} {} not need it any more.",
            arrow.text,
            if callers.len() == 1 { "does" } else { "do" }
        ),
        subject: Subject { operations: vec![arrow.text.clone()], ..Subject::default() },
        evidence: vec![Evidence::of("calls", 0.0, "calls").against(1.0)],
        support: Support::of(requests, requests),
        traces: callers.iter().flat_map(|&caller| traces_of_service(graph, caller)).collect(),
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
    fn a_topic_between_makes_two_other_ways() {
        let traces = "30 traces\nshop GET /\n  publish order.placed\n    mail takes order.placed";
        let never = "note heuristic: `shop -> mail` is declared and was never seen";
        check(traces, "\"shop -> mail\", \"shop -> topic:*\", \"topic:* -> mail\"", &[never]);
    }

    #[test]
    fn one_call_uses_an_entry_with_wildcards_or_groups() {
        let check = |allowed: &str, expected: &[&str]| {
            check(
                TRACES,
                &format!("{allowed}]\ngroups.front = [\"shop\"]\ngroups.back = [\"c*\", \"search\""),
                expected,
            );
        };
        check("\"sh* -> c*\", \"group:front -> group:back\", \"{shop,cart} -> cart\"", &[]);
        let never = |arrow: &str| format!("note heuristic: `{arrow}` is declared and was never seen");
        for arrow in ["shop -> sea*", "{shop,cart} -> search", "group:back -> group:front"] {
            check(&format!("\"{arrow}\""), &[&never(arrow)]);
        }
    }

    #[test]
    fn a_group_of_one_service_has_nobody_to_call() {
        check(TRACES, "\"group:front -> group:front\"]\ngroups.front = [\"shop\", \"search\"", &[]);
    }

    #[test]
    fn a_lone_wildcard_and_callers_that_were_not_seen_promise_nothing() {
        check(TRACES, "\"shop -> *\", \"* -> search\", \"group:x -> search\", \"mobile -> cart\"", &[]);
        check("30 traces\nshop GET /", "\"shop -> *\"", &[]);
    }

    #[test]
    fn the_requests_of_all_callers_count() {
        let traces = "20 traces\nshop GET /\n\n20 traces\nshop-admin GET /";
        let expected = "note heuristic: `shop* -> search` is declared and was never seen";
        check(traces, "\"shop* -> search\"", &[expected]);
    }

    #[test]
    fn few_requests_are_undecided() {
        let missing = "(shop: `shop -> search`: 9 requests seen, 30 needed)";
        check(&TRACES.replace("30", "9"), "\"shop -> search\"", &[missing]);
    }
}
