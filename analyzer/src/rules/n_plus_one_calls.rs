//! One request calls the same operation of another service again and again, each time for something else: a list was
//! fetched, then every entry of it by a call of its own.
//!
//! The signal is the number of calls of one operation that differ, within one request of the caller. Refused: calls that
//! went to a host of their own each (a scatter), attempts after a failure, calls with the same parameters (another rule's
//! matter), calls whose operation is not known. Datastores and topics have rules of their own.
//!
//! One pair of services makes one finding, however many operations repeat: the worst leads, the others are listed.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::facts::{Parameters, histogram};
use spanlint_graph::snapshot::{CallPattern, Operation};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Impact, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::support::Doubt;
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct NPlusOneCalls;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "n-plus-one-calls",
    category: Category::Chatter,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "One request calls the same operation of another service once per item.",
    looks_like: "A list of forty orders is fetched with one call, then the customer of each order with a call of its own: forty-one \
                 calls where two would do, and it is worst for the best customers.",
    why: "Each call pays for the network, for serialization and for a place in the callee's queue, so the request becomes \
          slower with every item, and one user's long list becomes everybody's load.",
    how: "Within one request of the caller, calls of one operation of one service or external host are counted, known \
          parameters once each and unknown ones each time. The pattern holds from `min_calls` on. Calls to hosts of their \
          own (a scatter) and attempts after a failure do not count.",
    fix: "Offer an operation that takes all the keys at once and call it once a request, or keep a copy of the data where \
          it is read.",
    limits: "Reading a list page by page and asking again until something is ready look alike where the parameters are \
             unknown; the confidence is lower then.",
    references: &[
        "Smith, Williams: Software Performance AntiPatterns (2000), Circuitous Treasure Hunt",
        "Newman: Building Microservices, 2nd edition (2021), chapter 4",
        "Microsoft Azure Architecture Center: Chatty I/O antipattern",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_calls", default: 5.0, help: "Differing calls in one request that make the pattern." },
        OptionMeta {
            name: "min_total_ms",
            default: 0.0,
            help: "Time in which such a call was under way that a request needs, in milliseconds.",
        },
        OptionMeta { name: "error_from", default: 20.0, help: "Median of such calls from which it is an error." },
    ],
    absorbs: &["chatty-services", "excessive-fan-out", "repeated-calls", "tight-coupling"],
};

impl Rule for NPlusOneCalls {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut pairs: BTreeMap<(NodeIndex, NodeIndex), Vec<Repeated<'_>>> = BTreeMap::new();
        for pattern in graph.patterns.iter().filter(|pattern| is_call(graph, pattern)) {
            let caller = graph.operation(pattern.caller);
            if let Some(repeated) = Repeated::of(pattern, caller, options) {
                pairs.entry((caller.node, pattern.callee)).or_default().push(repeated);
            }
        }
        let mut verdict = Verdict::default();
        if !graph.patterns.iter().any(|pattern| is_call(graph, pattern)) {
            verdict.undecided.push(Undecided::of_input(&META, "no calls to services or externals were seen"));
        }
        for ((caller, callee), repeated) in pairs {
            match judge(graph, options, (caller, callee), repeated) {
                Ok(finding) => verdict.findings.push(finding),
                Err(undecided) => verdict.undecided.push(undecided),
            }
        }
        verdict
    }
}

/// Whether the pattern is calls of a known operation of another service or an external host.
fn is_call(graph: &CallGraph, pattern: &CallPattern) -> bool {
    let is_foreign = graph.operation(pattern.caller).node != pattern.callee;
    let is_callable = matches!(graph.node(pattern.callee).kind, NodeKind::Service | NodeKind::External);
    is_foreign && is_callable && !pattern.template.is_empty()
}

/// A pattern that some request repeats often enough.
struct Repeated<'a> {
    pattern: &'a CallPattern,
    caller: &'a Operation,
    /// Requests that repeat it.
    affected: u64,
    /// Differing calls → requests that make so many, among the affected.
    calls: BTreeMap<u64, u64>,
    /// Time with such a call under way, in nanoseconds → requests, among the affected.
    union_ns: BTreeMap<u64, u64>,
    /// Whether the parameters of most affected requests are unknown.
    is_unknown: bool,
    severity: Severity,
    support: Result<Support, String>,
}

impl<'a> Repeated<'a> {
    fn of(pattern: &'a CallPattern, caller: &'a Operation, options: &Options<'_>) -> Option<Self> {
        let min_calls = histogram::bucket(options.whole("min_calls"));
        let min_union = histogram::bucket((options.number("min_total_ms") * 1e6) as u64);
        let (mut affected, mut unknown) = (0, 0);
        let (mut calls, mut union_ns) = (BTreeMap::new(), BTreeMap::new());
        for (repetition, &requests) in &pattern.facts.repetitions {
            let is_scatter = repetition.parameters == Parameters::Scattered;
            if is_scatter || repetition.distinct < min_calls || repetition.union_ns < min_union {
                continue;
            }
            affected += requests;
            unknown += if repetition.parameters == Parameters::Unknown { requests } else { 0 };
            *calls.entry(histogram::bucket_middle(repetition.distinct)).or_default() += requests;
            *union_ns.entry(histogram::bucket_middle(repetition.union_ns)).or_default() += requests;
        }
        if affected == 0 {
            return None;
        }
        let requests = caller.facts.requests.max(affected);
        let support = options.required().proven(affected, requests);
        let is_unknown = unknown * 2 > affected;
        let mut repeated =
            Self { pattern, caller, affected, calls, union_ns, is_unknown, severity: META.severity, support };
        repeated.severity = repeated.severity(options);
        Some(repeated)
    }

    fn severity(&self, options: &Options<'_>) -> Severity {
        let is_error = self.median_calls() as f64 >= options.number("error_from");
        let severity = if is_error { Severity::Error } else { META.severity };
        severity.for_entries(&self.caller.facts.entries)
    }

    fn median_calls(&self) -> u64 {
        quantile(&self.calls, 0.5)
    }

    /// What decides which pattern leads: severity, then the calls that could be saved, then the names.
    fn weight(&self) -> (Severity, u64) {
        (self.severity, self.median_calls() * self.affected)
    }
}

/// The value at or under which the share `quantile` of the counted values lies.
fn quantile(counts: &BTreeMap<u64, u64>, quantile: f64) -> u64 {
    let total: u64 = counts.values().sum();
    let rank = (total as f64 * quantile).ceil() as u64;
    let mut seen = 0;
    let reached = counts.iter().find(|(_, count)| {
        seen += **count;
        seen >= rank
    });
    reached.map_or(0, |(value, _)| *value)
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    (caller, callee): (NodeIndex, NodeIndex),
    mut repeated: Vec<Repeated<'_>>,
) -> Result<Finding, Undecided> {
    let case = Case::of_call(graph, options, (caller, callee));
    // Stable, so that of two equal patterns the one with the smaller names leads.
    repeated.sort_by_key(|each| std::cmp::Reverse((each.support.is_ok(), each.weight())));
    let lead = &repeated[0];
    let support = lead.support.clone().map_err(|missing| case.undecided(missing))?;
    let supported: Vec<_> = repeated.iter().filter(|each| each.support.is_ok()).collect();
    let (caller_name, callee_name) = (&graph.node(caller).name, &graph.node(callee).name);
    let asked = wording::operation(callee_name, &lead.pattern.template);
    let median = lead.median_calls();
    case.finding(Draft {
        severity: lead.severity,
        doubt: lead.is_unknown.then_some(Doubt::Parameters),
        title: format!("{caller_name} calls {asked} {median} times a request"),
        message: message(lead, &asked, caller_name, supported.len() - 1, options),
        fix: format!(
            "Let {callee_name} answer {} for many keys at once and have {caller_name} ask once a request; or keep what \
             {caller_name} needs of it in {caller_name}.",
            lead.pattern.template
        ),
        subject: Subject {
            edges: vec![(graph.node(caller).id.clone(), graph.node(callee).id.clone())],
            operations: operations(graph, &supported),
            ..Subject::default()
        },
        evidence: evidence(lead, options),
        support,
        impact: Some(impact(graph, lead)),
        traces: lead.pattern.facts.exemplars.proof(median),
        ..case.draft()
    })
}

fn message(lead: &Repeated<'_>, asked: &str, caller: &str, others: usize, options: &Options<'_>) -> String {
    let requests = wording::count(lead.caller.facts.requests.max(lead.affected), "request");
    let caller = wording::operation(caller, &lead.caller.name);
    let (min_calls, median) = (options.whole("min_calls"), lead.median_calls());
    let time = wording::number(wording::milliseconds(quantile(&lead.union_ns, 0.5)));
    let kind = if lead.is_unknown { "with unknown parameters" } else { "each time for something else" };
    let others = match others {
        0 => String::new(),
        others => format!(" {} between the two are alike.", wording::count(others as u64, "more pattern")),
    };
    format!(
        "In {} of {requests} of {caller}, {asked} is called {min_calls} times or more, {kind}: {median} times in the \
         median one, which takes {time} ms.{others}",
        lead.affected
    )
}

fn operations(graph: &CallGraph, supported: &[&Repeated<'_>]) -> Vec<String> {
    let named = supported.iter().flat_map(|each| {
        let caller = wording::operation(&graph.node(each.caller.node).name, &each.caller.name);
        let callee = wording::operation(&graph.node(each.pattern.callee).name, &each.pattern.template);
        [caller, callee]
    });
    named.collect::<BTreeSet<_>>().into_iter().collect()
}

fn evidence(lead: &Repeated<'_>, options: &Options<'_>) -> Vec<Evidence> {
    let min_total_ms = options.number("min_total_ms");
    let most = lead.calls.last_key_value().map_or(0, |(calls, _)| *calls);
    let time = wording::milliseconds(quantile(&lead.union_ns, 0.5));
    let time = Evidence::of("time_in_calls_ms_p50", time, "ms");
    vec![
        Evidence::of("calls_per_request_p50", lead.median_calls() as f64, "calls").against(options.number("min_calls")),
        Evidence::of("calls_per_request_max", most as f64, "calls"),
        if min_total_ms > 0.0 { time.against(min_total_ms) } else { time },
    ]
}

/// What one call in place of many would save: the time with a call under way, less what a call on this edge takes.
fn impact(graph: &CallGraph, lead: &Repeated<'_>) -> Impact {
    let pattern = lead.pattern;
    let edge = topology::edge(graph, lead.caller.node, pattern.callee, pattern.kind);
    let one_call_ns = edge.map_or(0, |edge| edge.latency().quantile(0.5));
    let saved = |share| wording::milliseconds(quantile(&lead.union_ns, share).saturating_sub(one_call_ns));
    Impact { latency_ms_p50: saved(0.5), latency_ms_p95: saved(0.95) }
}

#[cfg(test)]
mod tests {
    use crate::testing::{analysis, check_with, lines};

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("n-plus-one-calls", traces, expected);
    }

    #[test]
    fn calls_with_parameters_of_their_own_fire() {
        check(
            "cart GET /cart\n  7 x stock GET /stock/{sku}",
            &["warning proven: cart calls stock GET /stock/{sku} 7 times a request"],
        );
    }

    #[test]
    fn four_calls_are_few() {
        check("cart GET /cart\n  4 x stock GET /stock/{sku}", &[]);
    }

    #[test]
    fn twenty_calls_are_an_error() {
        check(
            "cart GET /cart\n  20 x stock GET /stock/{sku}",
            &["error proven: cart calls stock GET /stock/{sku} 20 times a request"],
        );
    }

    #[test]
    fn calls_at_once_fire_as_well() {
        check(
            "cart GET /cart\n  together 9 x stock GET /stock/{sku}",
            &["warning proven: cart calls stock GET /stock/{sku} 9 times a request"],
        );
    }

    #[test]
    fn an_external_host_is_called_like_a_service() {
        check(
            "cart GET /cart\n  6 x host api.rates.example GET /rate",
            &["warning proven: cart calls api.rates.example GET /rate 6 times a request"],
        );
    }

    #[test]
    fn unknown_parameters_lower_the_confidence() {
        check(
            "cart GET /cart\n  7 x stock GET /stock unknown",
            &["warning strong: cart calls stock GET /stock 7 times a request"],
        );
    }

    #[test]
    fn asking_for_the_same_again_is_another_matter() {
        check("cart GET /cart\n  9 x stock GET /stock same", &[]);
    }

    #[test]
    fn a_scatter_is_no_repetition() {
        check("search GET /\n  8 x host shard GET /part scatter", &[]);
    }

    #[test]
    fn attempts_after_a_failure_do_not_count() {
        check(&format!("cart GET /cart{}", "\n  retry stock GET /stock".repeat(4)), &[]);
    }

    #[test]
    fn queries_and_messages_have_rules_of_their_own() {
        check(
            "cart GET /cart\n  9 x sql postgresql db:5432 cart SELECT lines\n  9 x publish cart.seen",
            &["(no calls to services or externals were seen)"],
        );
    }

    #[test]
    fn requests_from_messages_count_one_lower_and_from_schedules_as_a_note() {
        let title = "mail calls user GET /u 20 times a request";
        check("mail takes order.placed\n  20 x user GET /u", &[&format!("warning proven: {title}")]);
        check("schedule mail nightly\n  20 x user GET /u", &[&format!("note proven: {title}")]);
    }

    #[test]
    fn a_fluke_is_undecided() {
        check(
            "cart GET /cart\n  7 x stock GET /stock/{sku}\n\n60 traces\ncart GET /cart\n  stock GET /stock/{sku}",
            &["(cart stock: the pattern is in 1 of 61 requests, surely in 0.3 %, where 5 % is needed)"],
        );
    }

    #[test]
    fn the_worst_pattern_of_a_pair_leads_and_the_others_are_listed() {
        let traces =
            "cart GET /cart\n  6 x stock GET /price\n  9 x stock GET /stock\n\ncart GET /list\n  5 x stock GET /stock";
        let analysis = analysis(traces, "");
        assert_eq!(lines(&analysis)[0], "warning proven: cart calls stock GET /stock 9 times a request");
        let finding = &analysis.findings[0];
        let operations = ["cart GET /cart", "cart GET /list", "stock GET /price", "stock GET /stock"];
        assert_eq!(finding.subject.operations, operations);
        assert_eq!(finding.services, ["cart", "stock"]);
        assert_eq!(finding.traces.len(), 1);
        assert!(finding.message.ends_with("2 more patterns between the two are alike."), "{}", finding.message);
    }

    #[test]
    fn what_one_call_in_place_of_many_saves_is_computed() {
        let impact = |traces| analysis(traces, "").findings[0].impact.unwrap();
        let one_by_one = impact("cart GET /cart\n  10 x stock GET /stock 20ms");
        assert!((170.0..190.0).contains(&one_by_one.latency_ms_p50), "{one_by_one:?}");
        let at_once = impact("cart GET /cart\n  together 10 x stock GET /stock 20ms");
        assert!(at_once.latency_ms_p50 < 2.0, "{at_once:?}");
    }

    #[test]
    fn thresholds_are_configurable() {
        let traces = "cart GET /cart\n  7 x stock GET /stock";
        let config = |text: &str| format!("[rules.n-plus-one-calls]\n{text}");
        check_with("n-plus-one-calls", traces, &config("min_calls = 8"), &[]);
        check_with("n-plus-one-calls", traces, &config("min_total_ms = 100"), &[]);
        let title = "cart calls stock GET /stock 7 times a request";
        check_with("n-plus-one-calls", traces, &config("error_from = 7"), &[&format!("error proven: {title}")]);
        check_with("n-plus-one-calls", traces, &config("level = \"note\""), &[&format!("note proven: {title}")]);
    }
}
