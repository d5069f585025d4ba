//! Two services call each other back and forth within one request: A asks B, and to answer, B asks A.
//!
//! The signal is one synchronous path that comes back to a service over a single other one. Refused: gateways, and services
//! that are asked by everybody (who somebody is, where something is, how to run); checks of a token, and webhooks.

use spanlint_graph::snapshot::{CallPattern, Loop};
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// Words in the name of an operation that checks who somebody is.
const IDENTITY_WORDS: [&str; 10] =
    ["authenticate", "authorize", "introspect", "jwks", "login", "oauth", "permission", "session", "token", "userinfo"];
/// The word in the name of an operation that takes what others have to tell.
const HOOK_WORD: &str = "webhook";

/// The rule.
pub(super) struct PingPong;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "ping-pong",
    category: Category::Chatter,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Two services call each other back and forth within one request.",
    looks_like: "Orders asks billing for the total; billing asks orders for the lines; orders asks billing for the tax of \
                 each line. To understand one request, both teams sit at one table.",
    why: "Each turn adds two trips over the network, each service waits while it is asked itself, so that threads run out \
          on both sides at once, and neither can be changed or deployed alone.",
    how: "A synchronous path that goes from one service to another and back is a turn. The pattern holds where a path makes \
          `min_turns` or more.",
    fix: "Send along what the other side needs instead of letting it ask back, or move the task to the service that owns \
          the data.",
    limits: "Gateways, services for identity, discovery and configuration, and operations whose names say that they check \
             who somebody is or take a webhook are exempt. Ways over three or more services are for cyclic-dependency.",
    references: &[
        "Rud, Schmietendorf, Dumke: Product Metrics for Service-Oriented Infrastructures, IWSM 2006, SIY",
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_turns", default: 1.0, help: "Turns of one path that make the pattern." },
        OptionMeta { name: "error_from", default: 3.0, help: "Median turns of such paths from which it is an error." },
    ],
    absorbs: &[],
};

impl Rule for PingPong {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for each in &graph.loops {
            let &[left, right] = each.nodes.as_slice() else { continue };
            let affected = each.facts.turns.count_from(options.whole("min_turns").max(1));
            let (first, other) = in_calling_order(graph, left, right);
            if affected == 0 || is_meant(graph, options, first, other) {
                continue;
            }
            verdict.take(judge(graph, options, each, (first, other), affected));
        }
        verdict
    }
}

/// The service that is come back to, and the one in between.
fn in_calling_order(graph: &CallGraph, left: NodeIndex, right: NodeIndex) -> (NodeIndex, NodeIndex) {
    let revisits =
        |from, to| -> u64 { topology::edges_between(graph, from, to).iter().map(|edge| edge.facts.revisits).sum() };
    if revisits(right, left) >= revisits(left, right) { (left, right) } else { (right, left) }
}

/// Whether coming back is what one of the two is for, or what was asked for.
fn is_meant(graph: &CallGraph, options: &Options<'_>, first: NodeIndex, other: NodeIndex) -> bool {
    let asked_by_all = [Role::Auth, Role::Config, Role::Discovery, Role::Gateway];
    let has_role = |node| options.roles().has_any(graph, node, &asked_by_all);
    has_role(first) || has_role(other) || are_called_back(graph, other, first)
}

/// Whether all that one service asks of another is meant to be called back: it checks who somebody is, or takes a webhook.
pub(super) fn are_called_back(graph: &CallGraph, from: NodeIndex, to: NodeIndex) -> bool {
    let is_called_back = |pattern: &CallPattern| {
        let template = pattern.template.to_lowercase();
        // Who reads there asks for something, whatever it is called.
        let is_hook = template.contains(HOOK_WORD) && !template.starts_with("get ");
        is_hook || IDENTITY_WORDS.iter().any(|word| template.contains(word))
    };
    let mut calls = topology::patterns_between(graph, from, to).peekable();
    calls.peek().is_some() && calls.all(is_called_back)
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    each: &Loop,
    (first, other): (NodeIndex, NodeIndex),
    affected: u64,
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [first, other]);
    let edges = topology::edges_between(graph, first, other);
    let requests = edges.iter().map(|edge| edge.facts.requests).sum::<u64>().max(affected);
    let support = options.required().proven(affected, requests).map_err(|missing| case.undecided(missing))?;
    let (from, to) = (graph.node(first), graph.node(other));
    let turns = each.facts.turns.quantile(0.5);
    let times = if turns == 1 { String::new() } else { format!(" {turns} times over") };
    case.finding(Draft {
        severity: if turns as f64 >= options.number("error_from") { Severity::Error } else { META.severity },
        title: format!("{} calls {}, which calls {} back{times} within one request", from.name, to.name, from.name),
        message: format!(
            "In {affected} of {} in which {} calls {}, the same path comes back: {} in the median one.",
            wording::count(requests, "request"),
            from.name,
            to.name,
            wording::count(turns, "turn"),
        ),
        fix: format!(
            "Let {} send along what {} needs of it, so that {} need not ask back; or move the task to one of the two.",
            from.name, to.name, to.name
        ),
        subject: Subject {
            edges: vec![(from.id.clone(), to.id.clone()), (to.id.clone(), from.id.clone())],
            ..Subject::default()
        },
        evidence: vec![Evidence::of("turns_p50", turns as f64, "turns").against(options.number("min_turns"))],
        support,
        traces: each.facts.exemplars.proof(turns),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("ping-pong", &format!("{traces}\n\nsearch GET /search"), expected);
    }

    const ONE_TURN: &str = "order GET /order\n  bill GET /total\n    order GET /lines";

    #[test]
    fn one_turn_is_a_warning() {
        check(ONE_TURN, &["warning proven: order calls bill, which calls order back within one request"]);
    }

    #[test]
    fn three_turns_are_an_error() {
        let two = format!("{ONE_TURN}\n      bill GET /tax\n        order GET /rate");
        check(&two, &["warning proven: order calls bill, which calls order back 2 times over within one request"]);
        check(
            &format!("{two}\n          bill GET /x\n            order GET /y"),
            &["error proven: order calls bill, which calls order back 3 times over within one request"],
        );
    }

    #[test]
    fn calls_in_both_directions_of_different_requests_are_none() {
        check("order GET /order\n  bill GET /total\n\nbill GET /bill\n  order GET /lines", &[]);
    }

    #[test]
    fn a_way_over_a_third_is_another_matter() {
        check("order GET /order\n  bill GET /total\n    tax GET /tax\n      order GET /lines", &[]);
    }

    #[test]
    fn messages_do_not_come_back() {
        check("order GET /order\n  publish paid\n    bill takes paid\n      order GET /lines", &[]);
    }

    #[test]
    fn checks_and_calls_back_are_meant() {
        for operation in ["POST /token/verify", "GET /.well-known/jwks.json", "POST /webhooks/paid"] {
            check(&format!("order GET /order\n  bill GET /total\n    order {operation}"), &[]);
        }
        // What is only called so asks for something like anything else.
        for operation in ["POST /callback", "GET /webhooks/{id}"] {
            check(
                &format!("order GET /order\n  bill GET /total\n    order {operation}"),
                &["warning proven: order calls bill, which calls order back within one request"],
            );
        }
    }

    #[test]
    fn roles_that_all_ask_are_exempt() {
        for role in ["auth", "config", "discovery", "gateway"] {
            check_with(
                "ping-pong",
                &format!("{ONE_TURN}\n\nsearch GET /search"),
                &format!("[roles]\n{role} = \"order\""),
                &[],
            );
        }
    }

    #[test]
    fn a_fluke_is_undecided() {
        check(
            &format!("{ONE_TURN}\n\n60 traces\norder GET /order\n  bill GET /total\n\n60 traces\nsearch GET /search"),
            &["(bill order: the pattern is in 1 of 61 requests, surely in 0.3 %, where 5 % is needed)"],
        );
    }
}
