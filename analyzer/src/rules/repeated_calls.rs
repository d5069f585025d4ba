//! One request asks the same question twice: the same call with the same parameters, and nothing in between that could have
//! changed the answer.
//!
//! The signal is the number of calls of one template with the same known parameters within one request. Refused: calls whose
//! parameters no attribute tells, writes, attempts after a failure, locks and sessions, pages, a write to the callee in
//! between, and waiting until something is ready.
//!
//! One operation and one callee make one finding: the call that comes most often leads, the others are counted.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use spanlint_graph::facts::histogram;
use spanlint_graph::snapshot::{CallPattern, Edge, Operation};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind, OperationIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::repetition;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// Words in the name of an operation that is asked again until something has changed.
const WAITING_WORDS: [&str; 6] = ["job", "poll", "progress", "ready", "status", "wait"];

/// The rule.
pub(super) struct RepeatedCalls;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "repeated-calls",
    category: Category::Chatter,
    severity: Severity::Note,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "One request makes the same call with the same parameters more than once.",
    looks_like: "The price check, the discount and the invoice each load the customer by themselves, so that one request \
                 fetches the same customer three times.",
    why: "Every repetition costs a full call and can only return what is known already, and between two of them the answer \
          may change, so that one request works with two truths.",
    how: "Within one request, calls of one template with the same known parameters are counted, as long as nothing was \
          written to the callee in between. The pattern holds from `min_calls` on.",
    fix: "Fetch it once at the start of the request and pass it along, or remember answers for as long as the request \
          lasts.",
    limits: "Calls that write, attempts after a failure, pages of one answer, locks, and asking again after a pause do not \
             count. Calls whose parameters no attribute tells are not judged.",
    references: &[
        "Smith, Williams: Software Performance AntiPatterns (2000)",
        "Fowler: Patterns of Enterprise Application Architecture (2002), Identity Map",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_calls", default: 2.0, help: "Same calls in one request that make the pattern." },
        OptionMeta { name: "warning_from", default: 5.0, help: "Median of same calls from which it is a warning." },
    ],
    absorbs: &[],
};

impl Rule for RepeatedCalls {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let min_calls = options.whole("min_calls").max(2);
        let mut groups: BTreeMap<(OperationIndex, NodeIndex), Vec<Repeated<'_>>> = BTreeMap::new();
        for pattern in graph.patterns.iter().filter(|pattern| is_judged(graph, pattern)) {
            let affected = pattern.facts.repeats.count_from(min_calls);
            if affected > 0 {
                let median = repetition::median_from(&pattern.facts.repeats, min_calls);
                let repeated = Repeated { pattern, affected, median };
                groups.entry((pattern.caller, pattern.callee)).or_default().push(repeated);
            }
        }
        let mut verdict = Verdict::default();
        for ((operation, _), mut repeated) in groups {
            // Stable, so that of two equal calls the one with the smaller name leads.
            repeated.sort_by_key(|each| Reverse(each.affected * each.median));
            verdict.take(judge(graph, options, graph.operation(operation), &repeated));
        }
        verdict
    }
}

/// A call that some requests make more than once.
struct Repeated<'a> {
    pattern: &'a CallPattern,
    /// Requests that do.
    affected: u64,
    /// How often the median one of them does.
    median: u64,
}

/// Whether the pattern asks for something, of somebody else, that could have been kept.
fn is_judged(graph: &CallGraph, pattern: &CallPattern) -> bool {
    let asks = graph.node(pattern.callee).kind != NodeKind::Topic && !pattern.template.is_empty();
    let template = pattern.template.to_lowercase();
    let is_service = graph.node(pattern.callee).datastore.is_none();
    let waits = is_service && WAITING_WORDS.iter().any(|word| template.contains(word));
    asks && !waits && pattern.facts.writes * 2 <= pattern.facts.calls
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    operation: &Operation,
    repeated: &[Repeated<'_>],
) -> Result<Finding, Undecided> {
    let &Repeated { pattern, affected: by_one, median } = &repeated[0];
    let affected = by_one.max(affected_at_least(graph, operation, repeated));
    let (service, callee) = (graph.node(operation.node), graph.node(pattern.callee));
    let requests = operation.facts.requests.max(affected);
    let case = Case::new(graph, options, [operation.node, pattern.callee]);
    let support = options.required().proven(affected, requests).map_err(|missing| case.undecided(missing))?;
    let caller = wording::operation(&service.name, &operation.name);
    let what = match &callee.datastore {
        Some(_) => wording::statement(&pattern.template, &pattern.tables),
        None if pattern.is_callee_known => wording::operation(&callee.name, &pattern.template),
        None => pattern.template.clone(),
    };
    // Where each request repeats a call of its own, the first is one of many.
    let what = if affected > by_one { format!("{what} or its like") } else { what };
    let is_often = median as f64 >= options.number("warning_from");
    let severity = if is_often { Severity::Warning } else { META.severity };
    let verb = if callee.datastore.is_some() { "runs the same" } else { "makes the same call of" };
    let (facts, min_calls) = (&pattern.facts, options.number("min_calls"));
    case.finding(Draft {
        severity: severity.for_entries(&operation.facts.entries),
        title: format!("{caller} {verb} {what} {median} times a request"),
        message: format!(
            "In {affected} of {} of {caller}, {what} comes {} times or more with the same parameters, and nothing is written \
             in between: {median} times in the median one, of which each takes {} ms.{}",
            wording::count(requests, "request"),
            wording::number(min_calls),
            wording::number(wording::milliseconds(facts.latency.quantile(0.5))),
            match repeated.len() - 1 {
                0 => String::new(),
                _ if affected > by_one => String::new(),
                1 => format!(" Another call to {} repeats as well.", callee.name),
                others => format!(" {others} more calls to {} repeat as well.", callee.name),
            }
        ),
        fix: format!(
            "Let {} ask once a request and pass the answer along, or keep answers for as long as the request lasts.",
            service.name
        ),
        subject: Subject {
            datastore: callee.datastore.is_some().then(|| callee.id.clone()),
            operations: vec![caller.clone()],
            tables: pattern.tables.clone(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("same_calls_per_request_p50", median as f64, "calls").against(min_calls),
            Evidence::of("same_calls_per_request_max", facts.repeats.quantile(1.0) as f64, "calls"),
        ],
        support,
        traces: facts.repeated.proof(median),
        locations: repetition::locations(repeated.iter().map(|each| each.pattern)),
        ..case.draft()
    })
}

/// How many requests there are at the least that repeat one of these calls: none repeats more of them than it makes different
/// ones. Names in the path of a URL make many calls of one, which hardly any two requests share.
fn affected_at_least(graph: &CallGraph, operation: &Operation, repeated: &[Repeated<'_>]) -> u64 {
    let edges = topology::edges_between(graph, operation.node, repeated[0].pattern.callee);
    let operations = |edge: &Edge| edge.facts.per_request.keys().map(|(_, operations)| *operations).max().unwrap_or(0);
    let most: u64 = edges.iter().map(|edge| histogram::bucket_floor(operations(edge) + 1).saturating_sub(1)).sum();
    let sum: u64 = repeated.iter().map(|each| each.affected).sum();
    sum.checked_div(most).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use crate::testing::{analysis, check_with, lines};

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("repeated-calls", traces, expected);
    }

    #[test]
    fn twice_is_a_note_and_five_times_a_warning() {
        check("cart GET /cart\n  user GET /user same", &[]);
        check(
            "cart GET /cart\n  2 x user GET /user same",
            &["note proven: cart GET /cart makes the same call of user GET /user 2 times a request"],
        );
        check(
            "cart GET /cart\n  5 x user GET /user same",
            &["warning proven: cart GET /cart makes the same call of user GET /user 5 times a request"],
        );
    }

    #[test]
    fn names_in_a_path_do_not_hide_that_each_request_asks_twice() {
        let room =
            |name: char, calls: &str| format!("visit GET /join\n  {calls}host rooms.example GET /rooms/{name} same");
        let rooms = |calls: &str| ('a'..='z').map(|name| room(name, calls)).collect::<Vec<_>>().join("\n\n");
        let title = "visit GET /join makes the same call of rooms.example GET /rooms/a or its like 2 times a request";
        check(&rooms("2 x "), &[&format!("note proven: {title}")]);
        check(&rooms(""), &[]);
        // One that asks for all of them twice may be the only one that does.
        let calls = ('a'..='z').map(|name| format!("\n  2 x host rooms.example GET /rooms/{name} same"));
        let once = format!("visit GET /join{}\n\n60 traces\nvisit GET /join", calls.collect::<String>());
        check(&once, &["(visit: the pattern is in 1 of 61 requests, surely in 0.3 %, where 5 % is needed)"]);
    }

    #[test]
    fn queries_count_as_well() {
        check(
            "cart GET /cart\n  3 x sql postgresql db:5432 shop SELECT users same",
            &["note proven: cart GET /cart runs the same SELECT users 3 times a request"],
        );
    }

    #[test]
    fn other_or_unknown_parameters_are_no_repetition() {
        check("cart GET /cart\n  4 x user GET /user\n  4 x user GET /role unknown", &[]);
        check("cart GET /cart\n  4 x sql postgresql db:5432 shop SELECT users", &[]);
    }

    #[test]
    fn a_write_in_between_may_change_the_answer() {
        let between = |line: &str| format!("cart GET /cart\n  user GET /user same\n  {line}\n  user GET /user same");
        check(&between("user PUT /user/name"), &[]);
        check(
            &between("stock PUT /stock"),
            &["note proven: cart GET /cart makes the same call of user GET /user 2 times a request"],
        );
    }

    #[test]
    fn writes_attempts_and_locks_do_not_count() {
        check("cart GET /cart\n  3 x user POST /user same", &[]);
        check("cart GET /cart\n  retry user GET /user", &[]);
        check("cart GET /cart\n  3 x sql postgresql db:5432 shop LOCK users same", &[]);
    }

    #[test]
    fn pages_of_one_answer_differ() {
        check("cart GET /cart\n  4 x user GET /users paged", &[]);
    }

    #[test]
    fn who_is_sent_on_to_where_it_was_asks_one_question() {
        let sent_on = "cart GET /cart\n  user GET /user same http.response.status_code=302";
        check(&format!("{sent_on}\n  user GET /user same"), &[]);
    }

    #[test]
    fn waiting_until_something_is_ready_is_no_repetition() {
        let asked = "\n  print GET /page same\n  wait 200ms".repeat(4);
        check(&format!("cart POST /report{asked}"), &[]);
        check("cart POST /report\n  4 x print GET /page/status same", &[]);
    }

    #[test]
    fn a_repetition_within_a_repetition_is_one_finding() {
        let analysis = analysis("cart GET /cart\n  6 x stock GET /stock\n  3 x stock GET /all same", "");
        assert_eq!(lines(&analysis)[0], "warning proven: cart calls stock GET /stock 6 times a request");
        assert_eq!(analysis.findings[0].absorbs[0].rule, "repeated-calls");
    }

    #[test]
    fn thresholds_are_configurable() {
        let traces = "cart GET /cart\n  2 x user GET /user same";
        check_with("repeated-calls", traces, "[rules.repeated-calls]\nmin_calls = 3", &[]);
    }

    #[test]
    fn a_fluke_is_undecided() {
        check(
            "cart GET /cart\n  2 x user GET /user same\n\n60 traces\ncart GET /cart\n  user GET /user",
            &["(cart user: the pattern is in 1 of 61 requests, surely in 0.3 %, where 5 % is needed)"],
        );
    }
}
