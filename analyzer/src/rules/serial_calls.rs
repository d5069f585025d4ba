//! One request makes calls one after another that might as well be made at once.
//!
//! The signal is the time that the longest run of calls without overlap would have saved. Whether one call needs the answer of
//! another cannot be seen, and most neighbours in production do come one after another for that reason; so this is a hint,
//! never more than a note.

use std::collections::BTreeMap;

use spanlint_graph::facts::{SERIAL_FLOORS_MS, histogram};
use spanlint_graph::snapshot::Operation;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Impact, Severity, Subject, Support, Undecided, Verdict};
use crate::repetition;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct SerialCalls;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "serial-calls",
    category: Category::Chatter,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "One request waits for several calls one after another that could run at once.",
    looks_like: "The product page asks for the price, waits, asks for the stock level, waits, asks for the reviews, waits. \
                 The three know nothing of each other, and the page takes as long as all of them together.",
    why: "The request takes the sum of its calls where it could take the longest of them, and every slow callee is felt in \
          full.",
    how: "Within one request, the longest run of calls to services and external hosts without overlap is taken, each of \
          `min_call_ms` or more. The pattern holds where `min_calls` or more calls would have saved `min_saved_ms` and \
          `min_share` percent of the request by running at once: their sum less the longest.",
    fix: "Start the calls together and wait for all of them, where none needs the answer of another.",
    limits: "Whether one call needs the answer of another cannot be seen. Streams, calls that nobody waits for, \
             and those that fail or redirect do not count.",
    references: &[
        "Ousterhout et al.: Making Sense of Performance in Data Analytics Frameworks, NSDI 2015",
        "Microsoft Azure Architecture Center: Synchronous I/O antipattern",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_calls",
            default: 3.0,
            help: "Calls one after another that make the pattern, 3 or more.",
        },
        OptionMeta {
            name: "min_call_ms",
            default: 0.0,
            help: "Least duration of a call that counts, in milliseconds: 0, 10, 50, 100, 500 or 1000, others are rounded up.",
        },
        OptionMeta { name: "min_saved_ms", default: 100.0, help: "Time that would be saved, in milliseconds." },
        OptionMeta { name: "min_share", default: 10.0, help: "Share of the request that would be saved, in percent." },
    ],
    absorbs: &[],
};

impl Rule for SerialCalls {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for (place, operation) in graph.operations.iter().enumerate() {
            let Some(serial) = Serial::of(operation, options) else { continue };
            let requests = operation.facts.requests.max(serial.affected);
            // Where it happens now and then, calls were slow and the order of calls is not to blame.
            let Ok(support) = options.required().proven(serial.affected, requests) else { continue };
            verdict.take(serial.judge(graph, options, place, support));
        }
        verdict
    }
}

/// An operation some of whose requests wait too often.
struct Serial<'a> {
    operation: &'a Operation,
    /// Requests that do.
    affected: u64,
    /// Calls of the run → requests.
    calls: BTreeMap<u64, u64>,
    /// Time that would be saved, in nanoseconds → requests.
    saved_ns: BTreeMap<u64, u64>,
    /// That as a share of the request, in percent → requests.
    share: BTreeMap<u64, u64>,
}

impl<'a> Serial<'a> {
    fn of(operation: &'a Operation, options: &Options<'_>) -> Option<Self> {
        let min_call_ms = options.number("min_call_ms");
        let fits = |floor: &u64| *floor as f64 >= min_call_ms;
        let floor = SERIAL_FLOORS_MS.iter().position(fits).unwrap_or(SERIAL_FLOORS_MS.len() - 1);
        let min_calls = histogram::bucket(options.whole("min_calls"));
        let min_saved = histogram::bucket((options.number("min_saved_ms") * 1e6) as u64);
        let (calls, saved_ns, share) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let mut serial = Self { operation, affected: 0, calls, saved_ns, share };
        for (run, &requests) in &operation.facts.serial {
            let is_run = usize::from(run.floor) == floor && run.calls >= min_calls;
            let saves = run.saved_ns >= min_saved && f64::from(run.share) >= options.number("min_share");
            if is_run && saves {
                serial.affected += requests;
                *serial.calls.entry(histogram::bucket_middle(run.calls)).or_default() += requests;
                *serial.saved_ns.entry(histogram::bucket_middle(run.saved_ns)).or_default() += requests;
                *serial.share.entry(run.share.into()).or_default() += requests;
            }
        }
        (serial.affected > 0).then_some(serial)
    }

    fn judge(
        &self,
        graph: &CallGraph,
        options: &Options<'_>,
        place: usize,
        support: Support,
    ) -> Result<Finding, Undecided> {
        let operation = self.operation;
        let service = graph.node(operation.node);
        let case = Case::new(graph, options, [operation.node]);
        let caller = wording::operation(&service.name, &operation.name);
        let calls = repetition::quantile(&self.calls, 0.5);
        let saved_ns = |quantile| repetition::quantile(&self.saved_ns, quantile);
        let saved = wording::number(wording::milliseconds(saved_ns(0.5)));
        let callees = callees(graph, operation.node, place);
        case.finding(Draft {
            title: format!("{caller} waits for {calls} calls one after another: {saved} ms more than at once"),
            message: format!(
                "In {} of {} of {caller}, calls follow one another without overlap: {calls} in the median one, where {saved} \
                 ms would be saved at once, {} % of the request.{}",
                self.affected,
                wording::count(support.requests, "request"),
                repetition::quantile(&self.share, 0.5),
                if callees.is_empty() { String::new() } else { format!(" It calls {}.", wording::list(&callees)) },
            ),
            fix: format!(
                "Let {} start these calls together and wait for all of them, where none needs the answer of another.",
                service.name
            ),
            subject: Subject { operations: vec![caller.clone()], ..Subject::default() },
            evidence: vec![
                Evidence::of("calls_in_a_row_p50", calls as f64, "calls").against(options.number("min_calls")),
                Evidence::of("saved_ms_p50", wording::milliseconds(saved_ns(0.5)), "ms")
                    .against(options.number("min_saved_ms")),
                Evidence::of("share_of_request_p50", repetition::quantile(&self.share, 0.5) as f64, "percent")
                    .against(options.number("min_share")),
            ],
            support,
            impact: Some(Impact {
                latency_ms_p50: wording::milliseconds(saved_ns(0.5)),
                latency_ms_p95: wording::milliseconds(saved_ns(0.95)),
            }),
            traces: operation.facts.serialized.proof(saved_ns(0.5)),
            ..case.draft()
        })
    }
}

/// Whom the operation at `place` calls and waits for, by name.
fn callees(graph: &CallGraph, service: NodeIndex, place: usize) -> Vec<String> {
    let own = topology::patterns_of(graph, service).iter().filter(|pattern| pattern.caller.0 as usize == place);
    let is_remote =
        |node: &NodeIndex| *node != service && matches!(graph.node(*node).kind, NodeKind::Service | NodeKind::External);
    let mut callees: Vec<NodeIndex> = own.map(|pattern| pattern.callee).filter(is_remote).collect();
    callees.dedup();
    callees.into_iter().map(|node| graph.node(node).name.clone()).collect()
}

#[cfg(test)]
mod tests {
    use crate::testing::{analysis, check_with};

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("serial-calls", traces, expected);
    }

    const THREE: &str = "shop GET /\n  price GET /price 60ms\n  stock GET /stock 60ms\n  review GET /review 60ms";

    #[test]
    fn three_calls_in_a_row_are_a_note() {
        check(THREE, &["note heuristic: shop GET / waits for 3 calls one after another: 121 ms more than at once"]);
    }

    #[test]
    fn two_calls_or_short_ones_are_none() {
        check("shop GET /\n  price GET /price 160ms\n  stock GET /stock 160ms", &[]);
        check("shop GET /\n  price GET /price 40ms\n  stock GET /stock 40ms\n  review GET /review 40ms", &[]);
    }

    #[test]
    fn calls_at_once_are_what_is_asked_for() {
        check("shop GET /\n  together 5 x price GET /price 90ms", &[]);
    }

    #[test]
    fn attempts_after_a_failure_and_redirects_cannot_be_made_at_once() {
        let answered = |status: u16| format!("  host a.example GET /a 60ms http.response.status_code={status}");
        let row = |status: u16| check(&format!("shop GET /\n{0}\n{0}\n{0}", answered(status)), &[]);
        row(503);
        row(302);
        let expected = "note heuristic: shop GET / waits for 3 calls one after another: 121 ms more than at once";
        check(&format!("shop GET /\n{0}\n{0}\n{0}", answered(200)), &[expected]);
    }

    #[test]
    fn queries_and_messages_are_no_calls_here() {
        check("shop GET /\n  5 x sql postgresql db:5432 shop SELECT books 90ms", &[]);
        check("shop GET /\n  5 x publish page.seen\n  wait 500ms", &[]);
    }

    #[test]
    fn a_small_part_of_the_request_is_none() {
        check(&format!("{THREE}\n  wait 2000ms"), &[]);
    }

    #[test]
    fn a_repeated_call_is_told_as_such() {
        let found = analysis("shop GET /\n  9 x price GET /price 60ms", "");
        let absorbed: Vec<_> = found.findings[0].absorbs.iter().map(|absorbed| absorbed.rule).collect();
        assert_eq!((found.findings.len(), absorbed), (1, vec!["serial-calls"]));
    }

    #[test]
    fn now_and_then_is_none() {
        check(&format!("{THREE}\n\n60 traces\nshop GET /"), &[]);
    }

    #[test]
    fn thresholds_are_configurable() {
        let config = |text: &str| format!("[rules.serial-calls]\n{text}");
        for text in ["min_calls = 4", "min_call_ms = 100", "min_saved_ms = 200", "min_share = 90"] {
            check_with("serial-calls", THREE, &config(text), &[]);
        }
    }
}
