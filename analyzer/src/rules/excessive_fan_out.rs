//! One request calls far too many others: it cannot be faster than the slowest of them, and fails when any of them does.
//!
//! The signal is the number of calls that one request makes itself, and that the whole trace makes for a request from
//! outside. Refused: the own calls of gateways and back ends for front ends, whose work is to gather; one call for each
//! shard; statements; attempts after a failure. Refused as well is what only goes on with another question (further pages,
//! redirects, looks whether something is ready): how long one answer is says nothing of how many others a request needs.

use spanlint_graph::facts::Histogram;
use spanlint_graph::snapshot::Operation;
use spanlint_graph::{CallGraph, TraceId};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::repetition;
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::wording;

/// The rule.
pub(super) struct ExcessiveFanOut;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "excessive-fan-out",
    category: Category::Chatter,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "One request makes a great many calls to other services.",
    looks_like: "The dashboard gathers its page from two dozen calls. Each is fast and nearly always there, and yet the page \
                 is slow every other time and broken once an hour.",
    why: "With twenty-five calls of which each is slow once in a hundred times, every fourth page is slow; availability \
          multiplies in the same way, and one click of a user becomes a burst of load.",
    how: "Calls of one request to services and external hosts are counted, without attempts after a failure, further pages \
          of an answer, redirects and looks, after a pause, whether something is ready; a batch consumer's are divided by \
          the messages that it took. The pattern holds from `min_calls` on, from `min_child_calls` \
          on with messages, or where the whole trace of a request from outside makes `min_trace_calls`. Who makes 15 calls \
          or more itself counts with these alone, and not in the whole trace.",
    fix: "Ask for what is needed with fewer, coarser calls, keep copies of what changes rarely, or prepare the answer \
          before it is asked for.",
    limits: "What gateways and back ends for front ends call themselves is exempt, unlike what their requests cause further \
             on, as is one call for each of many like hosts, which are shards. Statements to datastores do not count.",
    references: &[
        "Dean, Barroso: The Tail at Scale, Communications of the ACM 56(2), 2013",
        "Luo et al.: Characterizing Microservice Dependency and Performance, SoCC 2021",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_calls", default: 15.0, help: "Calls of one request that are too many." },
        OptionMeta {
            name: "min_child_calls",
            default: 21.0,
            help: "Calls and messages of one request that are too many.",
        },
        OptionMeta { name: "min_trace_calls", default: 100.0, help: "Calls of one whole trace that are too many." },
    ],
    absorbs: &[],
};

impl Rule for ExcessiveFanOut {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        for operation in &graph.operations {
            let gathers = options.roles().has_any(graph, operation.node, &[Role::Gateway, Role::Bff]);
            let Some(wide) = Wide::of(operation, options, gathers) else { continue };
            verdict.take(wide.judge(graph, options));
        }
        verdict
    }
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Counted {
    Calls,
    CallsAndMessages,
    CallsOfTrace,
}

/// An operation with requests that make too many calls.
struct Wide<'a> {
    operation: &'a Operation,
    counted: Counted,
    threshold: u64,
    /// Requests that make so many.
    affected: u64,
    /// How many the median one of them makes.
    median: u64,
    most: u64,
    traces: Vec<TraceId>,
}

impl<'a> Wide<'a> {
    /// The first limit that some request goes over: the request's own calls, unless it is there to gather, before those of
    /// its whole trace.
    fn of(operation: &'a Operation, options: &Options<'_>, gathers: bool) -> Option<Self> {
        let facts = &operation.facts;
        let limits: [(Counted, &Histogram, &str); 3] = [
            (Counted::Calls, &facts.fan_out, "min_calls"),
            (Counted::CallsAndMessages, &facts.child_calls, "min_child_calls"),
            (Counted::CallsOfTrace, &facts.trace_calls, "min_trace_calls"),
        ];
        let mut judged = limits.into_iter().filter(|(counted, ..)| !gathers || *counted == Counted::CallsOfTrace);
        judged.find_map(|(counted, calls, option)| {
            let threshold = options.whole(option).max(1);
            let affected = calls.count_from(threshold);
            let median = repetition::median_from(calls, threshold);
            let traces = match counted {
                Counted::CallsOfTrace => facts.spread.proof(median),
                _ => facts.fanned.proof(median),
            };
            let most = calls.quantile(1.0);
            (affected > 0).then_some(Self { operation, counted, threshold, affected, median, most, traces })
        })
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>) -> Result<Finding, Undecided> {
        let operation = self.operation;
        let service = graph.node(operation.node);
        let case = Case::new(graph, options, [operation.node]);
        let requests = operation.facts.requests.max(self.affected);
        let support = options.required().proven(self.affected, requests).map_err(|missing| case.undecided(missing))?;
        let caller = wording::operation(&service.name, &operation.name);
        let (what, whole, name) = match self.counted {
            Counted::Calls => ("calls to others", "", "calls_per_request_p50"),
            Counted::CallsAndMessages => ("calls and messages", "", "child_calls_per_request_p50"),
            Counted::CallsOfTrace => ("calls", " and all that they cause", "calls_per_trace_p50"),
        };
        let title = match self.counted {
            Counted::CallsOfTrace => format!("{caller} causes {} calls a request", self.median),
            _ => format!("{caller} makes {} {what} a request", self.median),
        };
        case.finding(Draft {
            severity: META.severity.for_entries(&operation.facts.entries),
            title,
            message: format!(
                "{} of {} of {caller}{whole} make {} {what} or more: {} in the median one, {} at most.",
                self.affected,
                wording::count(requests, "request"),
                self.threshold,
                self.median,
                self.most,
            ),
            fix: format!(
                "Let {}{} ask for what it needs with fewer, coarser calls, or keep a copy of what changes rarely.",
                service.name,
                if self.counted == Counted::CallsOfTrace { " and each service that it leads to" } else { "" }
            ),
            subject: Subject { operations: vec![caller.clone()], ..Subject::default() },
            evidence: vec![Evidence::of(name, self.median as f64, "calls").against(self.threshold as f64)],
            support,
            traces: self.traces.clone(),
            ..case.draft()
        })
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    /// Two ways in, so that neither is a gateway.
    const OTHER_ENTRY: &str = "\n\nsearch GET /search";

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("excessive-fan-out", &format!("{traces}{OTHER_ENTRY}"), expected);
    }

    fn services(count: usize) -> String {
        let letters = ('a'..='z').take(count);
        letters.map(|letter| format!("\n  service-{letter} GET /{letter}")).collect::<Vec<_>>().concat()
    }

    #[test]
    fn fifteen_calls_are_many() {
        check(&format!("home GET /{}", services(14)), &[]);
        check(
            &format!("home GET /{}", services(15)),
            &["warning proven: home GET / makes 15 calls to others a request"],
        );
    }

    #[test]
    fn messages_count_from_twenty_one_on() {
        check("home GET /\n  20 x publish seen", &[]);
        check("home GET /\n  21 x publish seen", &["warning proven: home GET / makes 21 calls and messages a request"]);
    }

    #[test]
    fn the_whole_trace_counts_from_a_hundred_on() {
        let tree = format!("home GET /{}", "\n  list GET /list\n    8 x item GET /item".repeat(12));
        check(&tree, &["warning proven: home GET / causes 109 calls a request"]);
        check(&tree.replace("8 x", "7 x"), &[]);
    }

    #[test]
    fn what_counts_in_the_whole_trace_is_what_counts_of_each_request() {
        let tree = |times, calls: &str| format!("home GET /{}", format!("\n  list GET /list{calls}").repeat(times));
        let nearly_wide = tree(7, "\n    13 x item GET /item\n    retry price GET /price");
        check(&nearly_wide, &["warning proven: home GET / causes 105 calls a request"]);
        let shards = tree(12, "\n    7 x item GET /item\n    8 x shard GET /part scatter");
        check(&shards, &["warning proven: home GET / causes 109 calls a request"]);
        check(&tree(12, "\n    8 x item GET /items paged"), &[]);
    }

    #[test]
    fn what_goes_on_with_another_question_is_one_call() {
        check("home GET /\n  20 x item GET /items paged", &[]);
        let hops: Vec<_> =
            services(20).lines().skip(1).map(|call| format!("{call} http.response.status_code=302")).collect();
        check(&format!("home GET /\n{}\n  item GET /item", hops.join("\n")), &[]);
    }

    #[test]
    fn what_a_gateway_leads_to_counts_and_what_it_calls_itself_does_not() {
        let check = |tree: &str, expected: &[&str]| crate::testing::check("excessive-fan-out", tree, expected);
        let tree = format!("home GET /{}", "\n  list GET /list\n    8 x item GET /item".repeat(12));
        check(&tree, &["warning proven: home GET / causes 109 calls a request"]);
        check(&tree.replace("8 x", "7 x"), &[]);
        check(&format!("home GET /{}", "\n  list GET /list\n    4 x item GET /item".repeat(20)), &[]);
    }

    #[test]
    fn what_one_request_makes_too_many_of_is_told_of_once() {
        check(
            &format!("home GET /{}", "\n  list GET /list\n    16 x item GET /item".repeat(7)),
            &["warning proven: list GET /list makes 16 calls to others a request"],
        );
    }

    #[test]
    fn statements_and_attempts_do_not_count() {
        check("home GET /\n  40 x sql postgresql db:5432 shop SELECT books", &[]);
        check(&format!("home GET /{}", "\n  retry stock GET /stock".repeat(14)), &[]);
    }

    #[test]
    fn one_call_for_each_shard_is_one() {
        let hosts =
            (0..30).map(|shard| format!("\n  host shard-{shard}.search GET /part")).collect::<Vec<_>>().concat();
        check(&format!("home GET /{hosts}"), &[]);
        check("home GET /\n  30 x shard GET /part scatter", &[]);
    }

    #[test]
    fn gateways_gather() {
        let traces = format!("home GET /{}", services(20));
        crate::testing::check("excessive-fan-out", &traces, &[]);
        let declared = "[roles]\nbff = \"home\"";
        check_with("excessive-fan-out", &format!("{traces}{OTHER_ENTRY}"), declared, &[]);
    }

    #[test]
    fn a_scheduled_job_is_a_note() {
        check(
            &format!("schedule report nightly{}", services(16)),
            &["note proven: report nightly makes 16 calls to others a request"],
        );
    }

    #[test]
    fn a_fluke_is_undecided() {
        check(
            &format!("home GET /{}\n\n60 traces\nhome GET /\n\n60 traces\nsearch GET /search", services(15)),
            &["(home: the pattern is in 1 of 61 requests, surely in 0.3 %, where 5 % is needed)"],
        );
    }
}
