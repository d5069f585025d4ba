//! One request calls the same operation of another service again and again, each time for something else: a list was
//! fetched, then every entry of it by a call of its own.
//!
//! The signal is the number of calls of one operation that differ, within one request of the caller. Refused: calls that
//! went to a host of their own each (a scatter), attempts after a failure, calls with the same parameters (another rule's
//! matter), calls whose operation is not known. Datastores and topics have rules of their own.
//!
//! One pair of services makes one finding, however many operations repeat: the worst leads, the others are listed.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::facts::{Repetition, histogram};
use spanlint_graph::snapshot::CallPattern;
use spanlint_graph::span::EdgeKind;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::named_calls::NamedCalls;
use crate::repetition::{self, Repeated};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::support::Doubt;
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
    how: "Within one request of the caller, calls of one operation of one service or external host are counted: all of them \
          where most have parameters of their own or unknown ones, else those that differ. The pattern holds from `min_calls` \
          on. Calls to hosts of their own (a scatter) and attempts after a failure do not count. Paths of an external host \
          that differ in one name are one operation where there are thirty names or more, others in each request.",
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
            help: "Time of such calls of one request that is needed, added up as the mean call takes, in milliseconds.",
        },
        OptionMeta { name: "error_from", default: 20.0, help: "Median of such calls from which it is an error." },
    ],
    absorbs: &["chatty-services", "excessive-fan-out", "repeated-calls", "serial-calls", "tight-coupling"],
};

impl Rule for NPlusOneCalls {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let min_calls = histogram::bucket(options.whole("min_calls"));
        let min_total_ns = options.number("min_total_ms") * 1e6;
        let mut pairs: BTreeMap<(NodeIndex, NodeIndex), Vec<Repeated<'_>>> = BTreeMap::new();
        for pattern in graph.patterns.iter().filter(|pattern| is_call(graph, pattern)) {
            let one_ns = mean_ns(pattern);
            let is_fault = |repetition: &Repetition| {
                let total_ns = histogram::bucket_middle(repetition.distinct) as f64 * one_ns;
                repetition.distinct >= min_calls && total_ns >= min_total_ns
            };
            if let Some(repeated) = Repeated::of(graph, pattern, options, is_fault) {
                pairs.entry((repeated.caller.node, pattern.callee)).or_default().push(repeated);
            }
        }
        let mut verdict = Verdict::default();
        if !graph.patterns.iter().any(|pattern| is_call(graph, pattern)) {
            verdict.undecided.push(Undecided::of_input(&META, "no calls to services or externals were seen"));
        }
        for named in NamedCalls::all(graph) {
            let is_told = pairs.contains_key(&(named.caller.node, named.callee));
            if !is_told && named.requests_from(options.whole("min_calls")) > 0 {
                verdict.take(judge_named(graph, options, &named));
            }
        }
        for ((caller, callee), repeated) in pairs {
            verdict.take(judge(graph, options, (caller, callee), repeated));
        }
        verdict
    }
}

/// Whether the pattern is calls of a known operation of another service or an external host, which may have no name.
fn is_call(graph: &CallGraph, pattern: &CallPattern) -> bool {
    let is_remote = matches!(pattern.kind, EdgeKind::Http | EdgeKind::Rpc | EdgeKind::Graphql);
    let is_foreign = graph.operation(pattern.caller).node != pattern.callee;
    let is_callable = matches!(graph.node(pattern.callee).kind, NodeKind::Service | NodeKind::External);
    !pattern.template.is_empty() && if pattern.is_callee_known { is_foreign && is_callable } else { is_remote }
}

/// How long the mean call takes, in nanoseconds.
fn mean_ns(pattern: &CallPattern) -> f64 {
    let latency = &pattern.facts.latency;
    latency.sum() as f64 / latency.count().max(1) as f64
}

fn severity(repeated: &Repeated<'_>, options: &Options<'_>) -> Severity {
    repeated.severity(META.severity, Severity::Error, options.number("error_from"))
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    (caller, callee): (NodeIndex, NodeIndex),
    mut repeated: Vec<Repeated<'_>>,
) -> Result<Finding, Undecided> {
    let is_named = caller != callee;
    let case = Case::new(graph, options, [caller, callee]);
    // Stable, so that of two equal patterns the one with the smaller names leads.
    repeated.sort_by_key(|each| each.weight(severity(each, options)));
    let lead = &repeated[0];
    let support = lead.support.clone().map_err(|missing| case.undecided(missing))?;
    let supported: Vec<_> = repeated.iter().filter(|each| each.support.is_ok()).collect();
    let (caller_name, template) = (&graph.node(caller).name, &lead.pattern.template);
    let callee_name = if is_named { graph.node(callee).name.as_str() } else { "whoever answers it" };
    let asked = if is_named { wording::operation(callee_name, template) } else { template.clone() };
    let median = lead.median_calls();
    case.finding(Draft {
        severity: severity(lead, options),
        doubt: lead.is_unknown.then_some(Doubt::Parameters),
        title: format!("{caller_name} calls {asked} {median} times a request"),
        message: message(lead, &asked, caller_name, supported.len() - 1, options),
        fix: format!(
            "Let {callee_name} answer {template} for many keys at once and have {caller_name} ask once a request; or keep \
             what {caller_name} needs of it in {caller_name}."
        ),
        subject: Subject {
            edges: is_named
                .then(|| (graph.node(caller).id.clone(), graph.node(callee).id.clone()))
                .into_iter()
                .collect(),
            operations: operations(graph, &supported),
            ..Subject::default()
        },
        evidence: evidence(lead, options),
        support,
        impact: lead.impact(),
        traces: lead.traces(),
        locations: repetition::locations(supported.iter().map(|each| each.pattern)),
        ..case.draft()
    })
}

/// Calls that differ in a name of their path: that it is a parameter is a statistic.
fn judge_named(graph: &CallGraph, options: &Options<'_>, named: &NamedCalls<'_>) -> Result<Finding, Undecided> {
    let caller = named.caller;
    let case = Case::new(graph, options, [caller.node, named.callee]);
    let least = options.whole("min_calls");
    let (affected, median) = (named.requests_from(least), named.median_from(least));
    let requests = caller.facts.requests.max(affected);
    let support = options.required().strong(affected, requests, affected).map_err(|missing| case.undecided(missing))?;
    let (from, to) = (graph.node(caller.node), graph.node(named.callee));
    let asked = wording::operation(&to.name, &named.template);
    let is_error = median as f64 >= options.number("error_from");
    let severity = if is_error { Severity::Error } else { META.severity };
    case.finding(Draft {
        severity: severity.for_entries(&caller.facts.entries),
        confidence: Confidence::Strong,
        title: format!("{} calls {asked} {median} times a request", from.name),
        message: format!(
            "In {affected} of {} of {}, {asked} is called for {least} names or more: for {median} in the median one.",
            wording::count(requests, "request"),
            wording::operation(&from.name, &caller.name),
        ),
        fix: format!(
            "Let {} ask {} for many names at once, or keep what it needs of them in {}.",
            from.name, to.name, from.name
        ),
        subject: Subject {
            edges: vec![(from.id.clone(), to.id.clone())],
            operations: vec![wording::operation(&from.name, &caller.name)],
            ..Subject::default()
        },
        evidence: vec![Evidence::of("calls_per_request_p50", median as f64, "calls").against(least as f64)],
        support,
        traces: named.traces(median),
        ..case.draft()
    })
}

fn message(lead: &Repeated<'_>, asked: &str, caller: &str, others: usize, options: &Options<'_>) -> String {
    let requests = wording::count(lead.requests(), "request");
    let caller = wording::operation(caller, &lead.caller.name);
    let (min_calls, median) = (options.whole("min_calls"), lead.median_calls());
    let time = wording::number(lead.median_time_ms());
    let kind = if lead.is_unknown { "with unknown parameters" } else { "each time for something else" };
    let others = match others {
        0 => String::new(),
        others => format!(" {} between the two are alike.", wording::count(others as u64, "more pattern")),
    };
    format!(
        "In {} of {requests} of {caller}, {asked} is called {min_calls} times or more, {kind}: {median} times in the \
         median one, which takes {time} ms, {} of the request.{others}",
        lead.affected,
        wording::percent(lead.median_share()),
    )
}

fn operations(graph: &CallGraph, supported: &[&Repeated<'_>]) -> Vec<String> {
    let named = supported.iter().flat_map(|each| {
        let caller = wording::operation(&graph.node(each.caller.node).name, &each.caller.name);
        let callee = wording::operation(&graph.node(each.pattern.callee).name, &each.pattern.template);
        [Some(caller), each.pattern.is_callee_known.then_some(callee)]
    });
    named.flatten().collect::<BTreeSet<_>>().into_iter().collect()
}

fn evidence(lead: &Repeated<'_>, options: &Options<'_>) -> Vec<Evidence> {
    let min_total_ms = options.number("min_total_ms");
    let total_ms = lead.median_calls() as f64 * mean_ns(lead.pattern) / 1e6;
    let mut evidence = vec![
        Evidence::of("calls_per_request_p50", lead.median_calls() as f64, "calls").against(options.number("min_calls")),
        Evidence::of("calls_per_request_max", lead.most_calls() as f64, "calls"),
        Evidence::of("time_in_calls_ms_p50", lead.median_time_ms(), "ms"),
    ];
    // As the mean call takes, which differs from the median time: it says something beside the threshold only.
    if min_total_ms > 0.0 {
        evidence.push(Evidence::of("total_ms_p50", total_ms, "ms").against(min_total_ms));
    }
    evidence
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

    /// Forty requests that ask for `count` users each, of whom nobody is asked for often.
    fn users(count: usize, name: impl Fn(usize) -> String) -> String {
        let letters =
            |number: usize| [number / 26, number % 26].map(|at| char::from(b'a' + at as u8)).iter().collect::<String>();
        let call =
            |number: usize| format!("\n  host hub.example GET {}", name(number)).replace("NAME", &letters(number));
        let request = |at: usize| {
            format!("team GET /team{}", (0..count).map(|item| call((at * 7 + item) % 90)).collect::<String>())
        };
        (0..40).map(request).collect::<Vec<_>>().join("\n\n")
    }

    #[test]
    fn names_in_a_path_are_parameters_where_they_are_many() {
        let title = "team calls hub.example GET /users/{name} 6 times a request";
        check(&users(6, |_| "/users/NAME".to_owned()), &[&format!("warning strong: {title}")]);
        let inner = users(6, |_| "/users/NAME/badges".to_owned());
        check(&inner, &[&format!("warning strong: {}", title.replace("{name}", "{name}/badges"))]);
        check(&users(4, |_| "/users/NAME".to_owned()), &[]);
        let title = "team calls hub.example GET /users/{name} 20 times a request";
        check(&users(20, |_| "/users/NAME".to_owned()), &[&format!("error strong: {title}")]);
    }

    #[test]
    fn names_that_are_operations_are_no_parameters() {
        // The same in each request, as the code has it.
        let names = ('a'..='z').chain('A'..='Z');
        let methods: Vec<_> = names.map(|name| format!("\n  host hub.example GET /rpc/{name}")).collect();
        check(&format!("40 traces\nteam GET /team{}", methods.concat()), &[]);
        // Too few to be more than an interface has.
        check(&users(6, |number| format!("/users/{}", ["ann", "bob", "cat", "dan", "eve", "fay"][number % 6])), &[]);
        // Differing in more than one name.
        check(&users(6, |number| format!("/{}/NAME", ["a", "b", "c", "d"][number % 4])), &[]);
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
