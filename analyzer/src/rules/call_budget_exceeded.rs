//! A dependency that costs more than the team allows it: more calls a request, or more time.
//!
//! The signal is the declared budget of an edge. Calls are held against it request by request, latency at its 95th
//! percentile over enough calls.

use spanlint_graph::facts::histogram;
use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::architecture;
use crate::architecture::Budget;
use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};
use crate::wording;

/// The rule.
pub(super) struct CallBudgetExceeded;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "call-budget-exceeded",
    category: Category::Contract,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Requests make more calls to a service than its budget allows, or the calls take longer.",
    looks_like: "The cart was allowed three calls of the price list a request; since the new discounts it makes five, and the \
                 page misses its goal on every second visit.",
    why: "A budget is what two teams agreed on: what one may ask, and what the other has to be built for. Beyond it both \
          plan with wrong numbers.",
    how: "Where `[architecture.budgets]` gives an edge `calls`, the requests that make more are counted, attempts after a \
          failure left out. Where it gives `latency_ms_p95`, the edge's 95th percentile is held against it, over enough calls.",
    fix: "Bring the calls back under the budget, or agree on a new one.",
    limits: "Only declared budgets are judged. Numbers of calls above 31 are known to within 3 %.",
    references: &[
        "Beyer, Jones, Petoff, Murphy: Site Reliability Engineering (2016), chapter 4",
        "Ford, Parsons, Kua: Building Evolutionary Architectures (2017), Architectural fitness functions",
    ],
    instrumentation_score: &[],
    options: &[],
    absorbs: &[],
};

impl Rule for CallBudgetExceeded {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for budget in &options.architecture().budgets {
            for edge in architecture::dependencies(graph) {
                let ends: (NodeIndex, NodeIndex) = (edge.from, edge.to);
                if !budget.arrow.covers(graph, options.groups(), ends) {
                    continue;
                }
                for judged in
                    [calls(graph, options, edge, budget), latency(graph, options, edge, budget)].into_iter().flatten()
                {
                    verdict.take(judged);
                }
            }
        }
        verdict
    }
}

/// Requests that make more calls than allowed.
fn calls(graph: &CallGraph, options: &Options<'_>, edge: &Edge, budget: &Budget) -> Option<Result<Finding, Undecided>> {
    let allowed = budget.calls?;
    let over = edge.facts.per_request.iter().filter(|((calls, _), _)| histogram::bucket_floor(*calls) > allowed);
    let affected: u64 = over.clone().map(|(_, requests)| requests).sum();
    let most = over.map(|((calls, _), _)| histogram::bucket_middle(*calls)).max()?;
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let judge = || {
        let support =
            options.required().proven(affected, edge.facts.requests).map_err(|missing| case.undecided(missing))?;
        let (from, to) = (&graph.node(edge.from).name, &graph.node(edge.to).name);
        case.finding(Draft {
            title: format!("{from} makes up to {} of {to} a request, {allowed} allowed", wording::count(most, "call")),
            message: format!(
                "{affected} of {} of {from} that touch {to} make more than the {} that the budget allows.",
                wording::count(edge.facts.requests, "request"),
                wording::count(allowed, "call")
            ),
            fix: format!("Bring the calls from {from} to {to} back to {allowed} a request, or agree on a new budget."),
            subject: subject(graph, edge),
            evidence: vec![
                Evidence::of("calls_per_request_max", most as f64, "calls").against(allowed as f64),
                Evidence::of("calls_per_request_p50", edge.facts.median_per_request().0 as f64, "calls"),
            ],
            support,
            traces: edge.facts.chatty.proof(most),
            ..case.draft()
        })
    };
    Some(judge())
}

/// An edge that takes longer than allowed.
fn latency(
    graph: &CallGraph,
    options: &Options<'_>,
    edge: &Edge,
    budget: &Budget,
) -> Option<Result<Finding, Undecided>> {
    let allowed = budget.latency_ms_p95?;
    let measured = wording::milliseconds(edge.latency().quantile(0.95));
    if edge.latency().count() == 0 || measured <= allowed {
        return None;
    }
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let judge = || {
        let facts = &edge.facts;
        let affected = edge.latency().count_from((allowed * 1e6) as u64);
        // The percentile itself says how many calls must be over, so that no share of them is asked for beside it.
        options.required().edge(facts.calls, facts.traces).map_err(|missing| case.undecided(missing))?;
        let (from, to) = (&graph.node(edge.from).name, &graph.node(edge.to).name);
        let [shown, limit] = [measured, allowed].map(wording::number);
        case.finding(Draft {
            confidence: Confidence::Strong,
            title: format!("calls from {from} to {to} take {shown} ms at p95, {limit} ms allowed"),
            message: format!(
                "Of {} from {from} to {to}, {affected} took longer than the {limit} ms that the budget allows at the 95th \
                 percentile.",
                wording::count(facts.calls, "call")
            ),
            fix: format!("Find out what {to} waits for in the cited traces, or agree with {from} on a new budget."),
            subject: subject(graph, edge),
            evidence: vec![Evidence::of("latency_ms_p95", measured, "ms").against(allowed)],
            support: Support::of(affected, facts.calls),
            traces: facts.slow.proof((allowed * 1e6) as u64),
            ..case.draft()
        })
    };
    Some(judge())
}

fn subject(graph: &CallGraph, edge: &Edge) -> Subject {
    let edges = vec![(graph.node(edge.from).id.clone(), graph.node(edge.to).id.clone())];
    Subject { edges, ..Subject::default() }
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, budget: &str, expected: &[&str]) {
        let config = format!("[architecture.budgets]\n\"cart -> stock\" = {{ {budget} }}");
        check_with("call-budget-exceeded", traces, &config, expected);
    }

    #[test]
    fn calls_over_budget_fire() {
        let traces = "3 traces\ncart GET /\n  4 x stock GET /s";
        check(traces, "calls = 3", &["warning proven: cart makes up to 4 calls of stock a request, 3 allowed"]);
        check(traces, "calls = 4", &[]);
        check(&traces.replace("cart", "search"), "calls = 3", &[]);
    }

    #[test]
    fn a_fluke_is_undecided() {
        check(
            "cart GET /\n  4 x stock GET /s\n\n40 traces\ncart GET /\n  stock GET /s",
            "calls = 3",
            &["(cart stock: the pattern is in 1 of 41 requests, surely in 0.4 %, where 5 % is needed)"],
        );
    }

    #[test]
    fn latency_over_budget_fires() {
        let traces = "10 traces\ncart GET /\n  stock GET /s 50ms";
        let calls = "warning strong: calls from cart to stock take 49.8 ms at p95, 40 ms allowed";
        check(traces, "latency_ms_p95 = 40", &[calls]);
        check(traces, "latency_ms_p95 = 60", &[]);
        check(
            "3 traces\ncart GET /\n  stock GET /s 50ms\n\n42 traces\ncart GET /\n  stock GET /s 5ms",
            "latency_ms_p95 = 40",
            &[calls],
        );
        check(
            &traces.replace("10", "9"),
            "latency_ms_p95 = 40",
            &["(cart stock: 9 calls in 9 traces seen, 10 in 3 needed)"],
        );
    }
}
