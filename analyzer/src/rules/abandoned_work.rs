//! A callee goes on working although nobody waits any more: its caller has timed out or been cancelled.
//!
//! The signal is how long the callee's span goes on after the end of a call that timed out or was cancelled. Messages are
//! not meant to be waited for; as far as clocks differ between the two hosts nothing is said.

use spanlint_graph::CallGraph;
use spanlint_graph::snapshot::Edge;

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// The rule.
pub(super) struct AbandonedWork;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "abandoned-work",
    category: Category::Resilience,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "A service goes on working on requests that its caller has given up.",
    looks_like: "The caller answers its user with a timeout after one second; the callee still computes, holds its database \
                 connection and finishes at second nine with an answer that nobody reads.",
    why: "Under load the work that nobody waits for crowds out the work that somebody does, so a slow service gets slower the \
          more of its callers give up.",
    how: "For calls that ended in a timeout or were cancelled, the time is taken that the callee's own span goes on after. The \
          pattern holds where it reaches `min_abandoned_ms` in `min_requests` calls.",
    fix: "Pass the deadline on with the request and let the callee stop when it has passed; bound its own calls and queries by \
          what is left of it.",
    limits: "Where the clocks of two hosts differ, the callee must go on for so much longer.",
    references: &[
        "Beyer et al.: Site Reliability Engineering (2016), chapter 22, Deadline Propagation",
        "gRPC documentation: Deadlines, Cancellation",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_abandoned_ms",
            default: 100.0,
            help: "Time that the callee goes on, in milliseconds, that makes the pattern.",
        },
        OptionMeta { name: "min_requests", default: 5.0, help: "Calls that must show it." },
    ],
    absorbs: &[],
};

impl Rule for AbandonedWork {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for edge in graph.edges.iter().filter(|edge| topology::is_synchronous_call(graph, edge)) {
            // The clocks of the two hosts differ by no more than what their other calls show.
            let skew_ns = edge.facts.skew.quantile(1.0);
            let least_ns = (options.number("min_abandoned_ms") * 1e6) as u64 + skew_ns;
            let affected = edge.facts.abandoned.count_from(least_ns);
            if affected == 0 {
                continue;
            }
            verdict.take(judge(graph, options, edge, affected));
        }
        verdict
    }
}

fn judge(graph: &CallGraph, options: &Options<'_>, edge: &Edge, affected: u64) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let facts = &edge.facts;
    let needed = options.whole("min_requests");
    if affected < needed {
        return Err(case.undecided(format!("{} given up seen, {needed} needed", wording::count(affected, "call"))));
    }
    let support = options.required().proven(affected, facts.requests.max(affected));
    let support = support.map_err(|missing| case.undecided(missing))?;
    let (from, to) = (graph.node(edge.from), graph.node(edge.to));
    let (caller, callee) = (&from.name, &to.name);
    let median_ns = facts.abandoned.quantile(0.5);
    let median = wording::number(wording::milliseconds(median_ns));
    case.finding(Draft {
        title: format!("{callee} goes on working after {caller} has given up"),
        message: format!(
            "{} of {caller} to {callee} ended in a timeout or were cancelled while {callee} went on: {median} ms in the \
             median one.",
            wording::count(affected, "call"),
        ),
        fix: format!("Let {caller} send its deadline along, and {callee} stop when it has passed."),
        subject: Subject { edges: vec![(from.id.clone(), to.id.clone())], ..Subject::default() },
        evidence: vec![
            Evidence::of("abandoned_ms_p50", wording::milliseconds(median_ns), "ms")
                .against(options.number("min_abandoned_ms")),
            Evidence::of("abandoned_calls", affected as f64, "calls").against(options.number("min_requests")),
        ],
        support,
        traces: facts.abandoned_exemplars.proof(median_ns),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_graph, graph};

    /// Ten calls, of which `abandoned` were given up while the callee went on for `ms`.
    fn check(abandoned: u64, ms: u64, change: impl Fn(&mut Edge), expected: &[&str]) {
        let mut graph = graph("10 traces\ncart GET /cart\n  stock GET /stock");
        let calls = graph.edges.iter().position(|edge| edge.facts.traced_calls == 10 && edge.facts.requests > 0);
        let edge = &mut graph.edges[calls.unwrap()];
        for trace in 0..abandoned {
            edge.facts.abandoned.record(ms * 1_000_000);
            edge.facts.abandoned_exemplars.offer(ms * 1_000_000, spanlint_graph::TraceId(u128::from(trace) + 1));
        }
        change(edge);
        check_graph("abandoned-work", &graph, "", expected);
    }

    #[test]
    fn five_calls_make_it_and_four_do_not() {
        check(5, 200, |_| (), &["warning proven: stock goes on working after cart has given up"]);
        check(4, 200, |_| (), &["(cart stock: 4 calls given up seen, 5 needed)"]);
        check(9, 50, |_| (), &[]);
    }

    #[test]
    fn what_clocks_explain_is_no_work() {
        check(5, 200, |edge| edge.facts.skew.record(150_000_000), &[]);
        let title = "warning proven: stock goes on working after cart has given up";
        check(5, 300, |edge| edge.facts.skew.record(150_000_000), &[title]);
    }
}
