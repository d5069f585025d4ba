//! Calls that nothing bounds: some last for minutes, and none ever ends in a timeout.
//!
//! The signal is a longest call far beyond the usual one on an edge that never timed out. Streams and long polls are meant
//! to last and are left out. Who waits for the same call further up is part of the same finding.

use spanlint_graph::snapshot::Edge;
use spanlint_graph::span::Outcome;
use spanlint_graph::{CallGraph, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// The rule.
pub(super) struct MissingTimeout;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "missing-timeout",
    category: Category::Resilience,
    severity: Severity::Warning,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "Calls may take as long as they like: nothing ends them.",
    looks_like: "One slow disk behind one callee, and an hour later every thread of every caller waits for an answer that will \
                 never come.",
    why: "A call without a timeout holds a thread, a connection and its caller's patience for as long as the callee is stuck, \
          so one stuck service stops all that stand before it.",
    how: "On an edge with `min_calls` calls or more, the longest one is held against `min_longest_ms` and against \
          `min_ratio` times the median. The pattern holds where both are reached and no call ever ended in a timeout or \
          was cancelled. Callers whose longest call waited for that one are part of the same, and those whose longest call \
          waited for one that did end so are left out.",
    fix: "Set a timeout on every call, a little above the slowest answer that is still worth having, and pass what is left of \
          it on to the next service.",
    limits: "A timeout longer than what was seen looks like none. Streams and long polls are exempt, as are \
             the calls whose answers a stream passes on.",
    references: &[
        "Nygard: Release It!, 2nd edition (2018), chapter 5, Timeouts",
        "Beyer et al.: Site Reliability Engineering (2016), chapter 22, Latency and Deadlines",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_calls", default: 1000.0, help: "Calls that must have been seen." },
        OptionMeta {
            name: "min_longest_ms",
            default: 30_000.0,
            help: "Longest call, in milliseconds, that makes the pattern.",
        },
        OptionMeta { name: "min_ratio", default: 20.0, help: "Longest call, in medians, that makes the pattern." },
    ],
    absorbs: &["missing-timeout"],
};

impl Rule for MissingTimeout {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let is_judged = |edge: &&Edge| topology::is_waited_for(edge) && graph.node(edge.from).kind == NodeKind::Service;
        for edge in graph.edges.iter().filter(is_judged) {
            let longest = Longest::of(edge, options);
            if let Some(longest) = longest.filter(|longest| !longest.is_ended_below(graph, edge)) {
                verdict.take(judge(graph, options, edge, &longest));
            }
        }
        verdict
    }
}

/// The longest call on an edge where nothing ends calls.
struct Longest {
    ns: u64,
    /// In medians.
    ratio: f64,
}

impl Longest {
    fn of(edge: &Edge, options: &Options<'_>) -> Option<Self> {
        let latency = &edge.facts.caller_latency;
        let (ns, _) = edge.facts.slow.worst()?;
        let ratio = ns as f64 / latency.quantile(0.5).max(1) as f64;
        let is_long = ns as f64 >= options.number("min_longest_ms") * 1e6
            && ratio >= options.number("min_ratio")
            && edge.facts.outcomes[Outcome::TimedOut.index()] == 0
            && edge.facts.outcomes[Outcome::Cancelled.index()] == 0
            && latency.count() > 0;
        is_long.then_some(Self { ns, ratio })
    }

    /// Whether most of it is a call that the callee waited for until a timeout ended it.
    fn is_ended_below(&self, graph: &CallGraph, edge: &Edge) -> bool {
        let worst_ns = |below: &Edge| below.facts.slow.worst().map_or(0, |(ns, _)| ns);
        let ends =
            |below: &&Edge| topology::is_waited_for(below) && below.facts.outcomes[Outcome::TimedOut.index()] > 0;
        let mut below = topology::edges_from(graph, edge.to).iter().filter(ends);
        below.any(|below| (self.ns / 2 + 1..=self.ns).contains(&worst_ns(below)))
    }

    /// Whether `above` is long for the most part because this one is.
    fn explains(&self, above: &Self) -> bool {
        self.ns <= above.ns && self.ns * 2 > above.ns
    }
}

fn judge(graph: &CallGraph, options: &Options<'_>, edge: &Edge, longest: &Longest) -> Result<Finding, Undecided> {
    let waits = |above: &Edge| Longest::of(above, options).is_some_and(|above| longest.explains(&above));
    let above = topology::edges_above(graph, options.calls(), edge, waits);
    let callers = above.iter().map(|edge| edge.from);
    let case = Case::new(graph, options, callers.chain([edge.from, edge.to]));
    let facts = &edge.facts;
    let needed = options.whole("min_calls");
    if facts.calls < needed {
        return Err(case.undecided(format!("{} seen, {needed} needed", wording::count(facts.calls, "call"))));
    }
    options.required().duration(graph).map_err(|missing| case.undecided(missing))?;
    let (from, to) = (graph.node(edge.from), graph.node(edge.to));
    let (caller, callee) = (&from.name, &to.name);
    let median_ms = wording::milliseconds(facts.caller_latency.quantile(0.5));
    let longest_ms = wording::milliseconds(longest.ns);
    let affected = facts.caller_latency.count_from((options.number("min_longest_ms") * 1e6) as u64);
    case.finding(Draft {
        title: format!("nothing ends a call of {caller} to {callee}"),
        message: format!(
            "The longest of {} of {caller} to {callee} took {} s, the median one {} ms, and not one ended in a timeout.",
            wording::count(facts.calls, "call"),
            wording::number(longest_ms / 1e3),
            wording::number(median_ms),
        ),
        fix: format!("Set a timeout on the calls of {caller} to {callee}, a little above its slowest useful answer."),
        subject: Subject {
            edges: [edge].into_iter().chain(above).map(|edge| topology::ids(graph, edge)).collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("longest_ms", longest_ms, "ms").against(options.number("min_longest_ms")),
            Evidence::of("longest_by_median", longest.ratio, "times").against(options.number("min_ratio")),
            Evidence::of("calls", facts.calls as f64, "calls").against(options.number("min_calls")),
        ],
        support: Support::of(affected, facts.calls),
        traces: facts.slow.proof(longest.ns),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_graph, graph};

    /// `calls` calls of 5 ms over `minutes`, and one of 40 s.
    fn check(calls: u64, minutes: u64, change: impl Fn(&mut Edge), expected: &[&str]) {
        let mut graph = graph("cart GET /cart\n  stock GET /stock");
        graph.counts.seen.last_ns = graph.counts.seen.first_ns + minutes * 60_000_000_000;
        let place = graph.edges.iter().position(|edge| edge.facts.requests > 0).unwrap();
        let facts = &mut graph.edges[place].facts;
        facts.calls = calls;
        (1..calls).for_each(|_| facts.caller_latency.record(5_000_000));
        facts.slow.offer(40_000_000_000, spanlint_graph::TraceId(1));
        facts.caller_latency.record(40_000_000_000);
        change(&mut graph.edges[place]);
        check_graph("missing-timeout", &graph, "", expected);
    }

    #[test]
    fn a_call_of_half_a_minute_that_nothing_ends_is_told() {
        check(1000, 6, |_| (), &["warning heuristic: nothing ends a call of cart to stock"]);
        check(999, 6, |_| (), &["(cart stock: 999 calls seen, 1000 needed)"]);
        check(1000, 4, |_| (), &["(cart stock: 240 seconds seen, 5 minutes needed)"]);
    }

    #[test]
    fn a_timeout_of_the_callee_ends_what_waits_for_it() {
        let check = |below: &str, below_s: u64, expected: &[&str]| {
            let mut graph = graph(&format!("web GET /\n  cart GET /cart\n    {below}"));
            graph.counts.seen.last_ns = graph.counts.seen.first_ns + 360_000_000_000;
            let edges = graph.edges.iter_mut().filter(|edge| edge.facts.requests > 0);
            // In order of the callers' names.
            for (edge, (worst_s, timeouts)) in edges.zip([(below_s, 1), (40, 0)]) {
                edge.facts.calls = 1000;
                (1..1000).for_each(|_| edge.facts.caller_latency.record(5_000_000));
                edge.facts.slow.offer(worst_s * 1_000_000_000, spanlint_graph::TraceId(1));
                edge.facts.outcomes[Outcome::TimedOut.index()] = timeouts;
                edge.facts.asynchronous_calls *= 1000;
            }
            check_graph("missing-timeout", &graph, "", expected);
        };
        let open = "warning heuristic: nothing ends a call of web to cart";
        check("stock GET /stock", 39, &[]);
        check("stock GET /stock", 10, &[open]);
        // Nobody waits for a message.
        check("publish order.placed", 39, &[open]);
    }

    #[test]
    fn who_waits_for_the_longest_call_is_part_of_it() {
        let check = |worst_s: [u64; 2], expected: &[&str]| {
            let mut graph = graph("web GET /\n  cart GET /cart\n    stock GET /stock");
            graph.counts.seen.last_ns = graph.counts.seen.first_ns + 360_000_000_000;
            let edges = graph.edges.iter_mut().filter(|edge| edge.facts.requests > 0);
            // In order of the callers' names.
            for (edge, worst_s) in edges.zip(worst_s) {
                edge.facts.calls = 1000;
                (1..1000).for_each(|_| edge.facts.caller_latency.record(5_000_000));
                edge.facts.slow.offer(worst_s * 1_000_000_000, spanlint_graph::TraceId(1));
            }
            check_graph("missing-timeout", &graph, "", expected);
        };
        let [cart, web] =
            ["cart to stock", "web to cart"].map(|edge| format!("warning heuristic: nothing ends a call of {edge}"));
        check([40, 41], &[&cart]);
        check([40, 80], &[&cart, &web]);
    }

    #[test]
    fn whatever_ended_one_call_ends_others() {
        check(1000, 6, |edge| edge.facts.outcomes[Outcome::TimedOut.index()] = 1, &[]);
        check(1000, 6, |edge| edge.facts.outcomes[Outcome::Cancelled.index()] = 1, &[]);
    }

    #[test]
    fn a_service_that_is_always_slow_is_no_proof() {
        let slow = |edge: &mut Edge| (0..3000).for_each(|_| edge.facts.caller_latency.record(20_000_000_000));
        check(1000, 6, slow, &[]);
    }
}
