//! Calls arrive, but their trace does not: the callee starts traces of its own instead of going on with its caller's.
//!
//! The signal is calls to a service that sends spans, none of which lies below the call, while the same service starts many
//! requests without a caller in the same window. Either alone is healthy: a callee may be half traced, and clients may
//! call it directly.

use spanlint_graph::CallGraph;
use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::Edge;

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// How many requests without a caller a callee may have for each call without its trace, and the other way round, if
/// there are to be as many of both.
const MAX_RATIO: u64 = 2;

/// The id of the node of the outside world.
const CLIENT: &str = "client";

/// The rule.
pub(super) struct UnpropagatedContext;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "unpropagated-context",
    category: Category::Telemetry,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Calls lose their trace on the way: the callee starts a new one.",
    looks_like: "A trace ends at a call, and what happened behind it is in another trace that nobody can find: the callee seems \
                 to be called by nobody, and the caller seems to call a wall.",
    why: "Without the context, a slow or failed call cannot be followed to its cause, and every number about requests through \
          both services is missing.",
    how: "On an edge whose callee sends spans, calls without a span of the callee below them are counted, and requests of the \
          callee without a caller. The pattern holds where both reach `min_calls`, and half of the edge's calls are such or \
          neither is more than twice the other.",
    fix: "Let the caller inject the W3C `traceparent` header into the call, and the callee extract it; look for a client, a \
          proxy or a queue in between that drops it.",
    limits: "The callee must be known by its name; behind an address that no service has as its name, nothing can be told.",
    references: &["W3C: Trace Context (2021)", "OpenTelemetry documentation: Context propagation"],
    instrumentation_score: &["SPA-002"],
    options: &[OptionMeta {
        name: "min_calls",
        default: 20.0,
        help: "Calls that lost their trace, and requests of the callee without a caller, that make the pattern.",
    }],
    absorbs: &["gateway-bypass"],
};

impl Rule for UnpropagatedContext {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let roots = roots(graph);
        for edge in graph.edges.iter().filter(|edge| topology::is_synchronous_call(graph, edge)) {
            let lost = edge.facts.calls.saturating_sub(edge.facts.traced_calls);
            let roots = roots[edge.to.0 as usize];
            if is_lost_context(edge.facts.calls, lost, roots, options.whole("min_calls")) {
                verdict.take(judge(graph, options, edge, lost, roots));
            }
        }
        verdict
    }
}

/// Whether `lost` of so many calls are what the callee takes for `roots` requests without a caller. Where half of the
/// calls are lost, that there are enough of both is enough: the callee may sample for itself, and have clients of its
/// own. Where fewer are, their spans may not have come, unless there are about as many of both.
fn is_lost_context(calls: u64, lost: u64, roots: u64, enough: u64) -> bool {
    let (is_explained, is_cause) = (roots * MAX_RATIO >= lost, lost * MAX_RATIO >= roots);
    let is_most = lost * 2 >= calls && (is_explained || lost.min(roots) >= enough);
    lost > 0 && (is_most || is_explained && is_cause)
}

/// For each node the requests that seem to have no caller in the system.
fn roots(graph: &CallGraph) -> Vec<u64> {
    let mut roots = vec![0; graph.nodes.len()];
    for operation in &graph.operations {
        roots[operation.node.0 as usize] += operation.facts.entries[Entry::Client as usize];
    }
    roots
}

fn judge(graph: &CallGraph, options: &Options<'_>, edge: &Edge, lost: u64, roots: u64) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let facts = &edge.facts;
    let support = options.required().proven(lost, facts.calls).map_err(|missing| case.undecided(missing))?;
    let (seen, needed) = (lost.min(roots), options.whole("min_calls"));
    if seen < needed {
        let seen = wording::count(seen, "call");
        return Err(case.undecided(format!("{seen} without their trace seen, {needed} needed")));
    }
    let (from, to) = (graph.node(edge.from), graph.node(edge.to));
    let (caller, callee) = (&from.name, &to.name);
    case.finding(Draft {
        title: format!("calls of {caller} arrive at {callee} without their trace"),
        message: format!(
            "{lost} of {} of {caller} to {callee} have no span of {callee} below them, while {callee} started {} of its own \
             in the same time.",
            wording::count(facts.calls, "call"),
            wording::count(roots, "trace"),
        ),
        fix: format!(
            "Let {caller} send the W3C `traceparent` header with its calls, and {callee} read it; look at what stands between \
             the two."
        ),
        // What seems to come from outside to the callee is what was lost on the way.
        subject: Subject { edges: vec![(from.id.clone(), to.id.clone()), (CLIENT.to_owned(), to.id.clone())], ..Subject::default() },
        evidence: vec![
            Evidence::of("calls_without_callee", lost as f64, "calls").against(options.number("min_calls")),
            Evidence::of("traces_started_by_callee", roots as f64, "traces").against(options.number("min_calls")),
        ],
        support,
        traces: facts.slow.proof(facts.caller_latency.quantile(0.5)),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("unpropagated-context", traces, expected);
    }

    #[test]
    fn calls_that_end_and_traces_that_begin_are_the_same() {
        let lost = "20 traces\nweb GET /\n  host cart GET /cart\n\n20 traces\ncart GET /cart";
        check(lost, &["warning proven: calls of web arrive at cart without their trace"]);
    }

    #[test]
    fn a_part_of_the_calls_is_lost_where_as_many_traces_begin() {
        let healthy = "180 traces\nweb GET /\n  cart GET /cart";
        let lost = format!("20 traces\nweb GET /\n  host cart GET /cart\n\n{healthy}");
        check(
            &format!("{lost}\n\n25 traces\ncart GET /cart"),
            &["warning proven: calls of web arrive at cart without their trace"],
        );
        check(&format!("{lost}\n\n41 traces\ncart GET /cart"), &[]);
        check(&format!("{lost}\n\n9 traces\ncart GET /cart"), &[]);
    }

    #[test]
    fn few_calls_are_undecided() {
        let few = "9 traces\nweb GET /\n  host cart GET /cart\n\n9 traces\ncart GET /cart";
        check(few, &["(cart web: 9 calls without their trace seen, 20 needed)"]);
    }

    #[test]
    fn either_alone_is_healthy() {
        check("20 traces\nweb GET /\n  host cart GET /cart\n\n9 traces\ncart GET /cart", &[]);
        check("20 traces\nweb GET /\n  cart GET /cart\n\n20 traces\ncart GET /cart", &[]);
        check("20 traces\nweb GET /\n  host api.example GET /cart\n\n20 traces\ncart GET /cart", &[]);
    }
}
