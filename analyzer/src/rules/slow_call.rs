//! A call is slower than it may be: over the budget that somebody set for it.
//!
//! The signal is the 95th percentile of an edge's latency as its caller sees it, against the rule's option. Without a budget
//! there is nothing to judge: what is slow for one is fine for another. Budgets of single edges are a contract, which has a
//! rule of its own.

use spanlint_graph::CallGraph;
use spanlint_graph::snapshot::Edge;

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct SlowCall;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "slow-call",
    category: Category::Performance,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "A service's calls to another take longer than their budget.",
    looks_like: "The checkout promises an answer within a second, and the stock service was given 200 ms of it. It takes \
                 350, and nobody notices until the fraud check is added.",
    why: "A latency goal for the user holds only while each call keeps to its share; the first to go over it takes from all \
          others.",
    how: "The 95th percentile of the latency of calls from one service to another, as the caller sees it, is held against \
          `budget_ms`. Edges with a budget of their own, `latency_ms_p95` in `[architecture.budgets]`, are left to \
          `call-budget-exceeded`.",
    fix: "Find out on a slow trace where the callee spends its time; or give the call a budget that can be kept, and take \
          the time from another.",
    limits: "Unless `budget_ms` is set, nothing is judged. Streams, long polls and messages have no latency to judge.",
    references: &[
        "Beyer et al.: Site Reliability Engineering (2016), chapter 4, Service Level Objectives",
        "Dean, Barroso: The Tail at Scale, Communications of the ACM 56(2), 2013",
    ],
    instrumentation_score: &[],
    options: &[OptionMeta {
        name: "budget_ms",
        default: 0.0,
        help: "Budget of calls between services that have none of their own, in milliseconds; 0 sets none.",
    }],
    absorbs: &[],
};

impl Rule for SlowCall {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let budget_ms = options.number("budget_ms");
        if budget_ms <= 0.0 {
            return verdict;
        }
        for edge in graph.edges.iter().filter(|edge| topology::is_waited_for(edge)) {
            if !is_judged(graph, edge, options) || wording::milliseconds(edge.latency().quantile(0.95)) <= budget_ms {
                continue;
            }
            verdict.take(judge(graph, options, edge, budget_ms));
        }
        verdict
    }
}

/// Whether it is calls between services without a budget of their own.
fn is_judged(graph: &CallGraph, edge: &Edge, options: &Options<'_>) -> bool {
    let mut budgets = options.architecture().budgets.iter().filter(|budget| budget.latency_ms_p95.is_some());
    let has_own = budgets.any(|budget| budget.arrow.covers(graph, options.groups(), (edge.from, edge.to)));
    topology::joins_services(graph, edge) && !has_own
}

fn judge(graph: &CallGraph, options: &Options<'_>, edge: &Edge, budget_ms: f64) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let facts = &edge.facts;
    options.required().edge_of(facts.requests, facts.calls, facts.traces).map_err(|missing| case.undecided(missing))?;
    let latency = edge.latency();
    let p95_ns = latency.quantile(0.95);
    let p95_ms = wording::milliseconds(p95_ns);
    let over = latency.count_from((budget_ms * 1e6) as u64);
    let (from, to) = (graph.node(edge.from), graph.node(edge.to));
    let budget = wording::number(budget_ms);
    case.finding(Draft {
        title: format!(
            "calls of {} to {} take {} ms, over their budget of {budget} ms",
            from.name,
            to.name,
            wording::number(p95_ms)
        ),
        message: format!(
            "{} of {} of {} to {} take longer than {budget} ms: {} ms at the 95th percentile, {} ms at the median.",
            over,
            wording::count(latency.count(), "call"),
            from.name,
            to.name,
            wording::number(p95_ms),
            wording::number(wording::milliseconds(latency.quantile(0.5))),
        ),
        fix: format!(
            "Find out on the slow traces where {} spends its time, or give the calls of {} a budget that can be kept.",
            to.name, from.name
        ),
        subject: Subject { edges: vec![(from.id.clone(), to.id.clone())], ..Subject::default() },
        evidence: vec![
            Evidence::of("latency_ms_p95", p95_ms, "ms").against(budget_ms),
            Evidence::of("latency_ms_p50", wording::milliseconds(latency.quantile(0.5)), "ms"),
        ],
        support: Support::of(over, latency.count()),
        traces: facts.slow.proof(p95_ns),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, config: &str, expected: &[&str]) {
        check_with("slow-call", traces, config, expected);
    }

    const CALLS: &str = "30 traces\ncart GET /cart\n  stock GET /stock 300ms";
    const TITLE: &str = "warning strong: calls of cart to stock take 298 ms, over their budget of 200 ms";

    const BUDGET: &str = "[rules.slow-call]\nbudget_ms = 200";

    #[test]
    fn without_a_budget_nothing_is_slow() {
        check(CALLS, "", &[]);
    }

    #[test]
    fn calls_between_services_are_held_to_the_budget() {
        check(CALLS, BUDGET, &[TITLE]);
        check(&CALLS.replace("300ms", "190ms"), BUDGET, &[]);
        check(&CALLS.replace("stock GET", "host api.example GET"), BUDGET, &[]);
    }

    #[test]
    fn a_budget_of_its_own_is_a_contract() {
        let own = "[architecture.budgets]\n\"cart -> stock\" = { latency_ms_p95 = 100 }";
        check(CALLS, &format!("{own}\n{BUDGET}"), &[]);
    }

    #[test]
    fn few_requests_are_undecided() {
        check(&CALLS.replace("30 traces", "29 traces"), BUDGET, &["(cart stock: 29 requests seen, 30 needed)"]);
    }
}
