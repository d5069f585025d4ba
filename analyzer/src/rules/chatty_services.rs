//! Two services talk too much: whenever a request of one touches the other, it takes many calls to get what it needs.
//!
//! The signal is the median number of calls over the requests that touch the callee at all. Refused: gateways and back ends
//! for front ends, whose work is to gather; calls through messages; externals, whose interface is not ours to change.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::facts::Entry;
use spanlint_graph::facts::histogram;
use spanlint_graph::snapshot::{CallPattern, Edge};
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct ChattyServices;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "chatty-services",
    category: Category::Chatter,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "One service needs many calls to another to serve one request.",
    looks_like: "The page of one cart asks the warehouse for prices, then for stock levels, then for delivery times, item by item; \
                 the two services cannot be pictured apart, and a slow network between them slows down everything.",
    why: "The interface between the two is finer than the need: latency adds up, both fail together, and the boundary may \
          run through the middle of one task.",
    how: "Over the caller's requests that touch the callee, the median number of calls is taken, without attempts after a \
          failure, further pages of an answer, redirects and looks, after a pause, whether something is ready; one \
          question to each of eight shards or more is one. The pattern holds from `min_calls` on where they go to \
          `min_operations` or more operations, and from `min_total_calls` on in any case.",
    fix: "Offer one coarser operation for the task, pass along what the other needs, or move the task to the side that has \
          the data.",
    limits: "Gateways and back ends for front ends are exempt; those that the graph does not show are declared in \
             `[roles]`. Batch jobs on a schedule count as a note.",
    references: &[
        "Fowler: Patterns of Enterprise Application Architecture (2002), Remote Facade",
        "Microsoft Azure Architecture Center: Chatty I/O antipattern",
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_calls",
            default: 5.0,
            help: "Median calls a request that make the pattern over several operations.",
        },
        OptionMeta { name: "min_operations", default: 2.0, help: "Median operations a request that are several." },
        OptionMeta {
            name: "min_total_calls",
            default: 10.0,
            help: "Median calls a request that make the pattern over any operations.",
        },
        OptionMeta { name: "error_from", default: 10.0, help: "Median calls a request from which it is an error." },
    ],
    absorbs: &["excessive-fan-out", "repeated-calls", "tight-coupling"],
};

impl Rule for ChattyServices {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut chatty: BTreeMap<(NodeIndex, NodeIndex), Chatty<'_>> = BTreeMap::new();
        for edge in graph.edges.iter().filter(|edge| is_judged(graph, edge, options)) {
            let pair = (edge.from, edge.to);
            let Some(found) = Chatty::of(graph, edge, options) else { continue };
            // Two protocols between the same two services are one subject; the chattier one stands for both.
            let stands = chatty.get(&pair).is_some_and(|known| known.calls >= found.calls);
            if !stands {
                chatty.insert(pair, found);
            }
        }
        let mut verdict = Verdict::default();
        if !graph.edges.iter().any(|edge| topology::is_synchronous_call(graph, edge)) {
            verdict.undecided.push(Undecided::of_input(&META, "no calls between services were seen"));
        }
        for found in chatty.into_values() {
            verdict.take(found.judge(graph, options));
        }
        verdict
    }
}

fn is_judged(graph: &CallGraph, edge: &Edge, options: &Options<'_>) -> bool {
    let gathers = |index| options.roles().has_any(graph, index, &[Role::Gateway, Role::Bff]);
    let is_streaming = edge.facts.streams * 2 > edge.facts.calls;
    topology::is_synchronous_call(graph, edge) && !is_streaming && !gathers(edge.from)
}

/// An edge over which the median request makes too many calls.
struct Chatty<'a> {
    edge: &'a Edge,
    patterns: Vec<&'a CallPattern>,
    /// Median calls a request.
    calls: u64,
    /// Median operations a request.
    operations: u64,
    /// What `calls` was held against.
    threshold: f64,
    /// Requests that make so many calls.
    affected: u64,
    /// Traces that hold such a request.
    traces: u64,
    /// Requests of the caller's operations that call the callee.
    requests: u64,
    severity: Severity,
}

impl<'a> Chatty<'a> {
    fn of(graph: &'a CallGraph, edge: &'a Edge, options: &Options<'_>) -> Option<Self> {
        let (min_calls, min_operations) = (options.whole("min_calls"), options.whole("min_operations"));
        let min_total_calls = options.whole("min_total_calls");
        let is_many =
            |calls, operations| (calls >= min_calls && operations >= min_operations) || calls >= min_total_calls;
        let (calls, operations) = edge.facts.median_asked_per_request();
        if !is_many(calls, operations) {
            return None;
        }
        let of_many = |cells: &BTreeMap<(u16, u16), u64>| -> u64 {
            let middle = histogram::bucket_middle;
            let many = cells.iter().filter(|((calls, operations), _)| is_many(middle(*calls), middle(*operations)));
            many.map(|(_, count)| count).sum()
        };
        let affected = of_many(&edge.facts.asked_per_request);

        let patterns: Vec<_> = topology::patterns_between(graph, edge.from, edge.to).collect();
        let callers: BTreeSet<_> = patterns.iter().map(|pattern| pattern.caller).collect();
        let (mut requests, mut entries) = (0, [0; Entry::KINDS]);
        for operation in callers.into_iter().map(|caller| graph.operation(caller)) {
            requests += operation.facts.requests;
            entries.iter_mut().zip(operation.facts.entries).for_each(|(sum, more)| *sum += more);
        }
        let severity = if calls as f64 >= options.number("error_from") { Severity::Error } else { META.severity };
        let is_spread = operations >= min_operations;
        Some(Self {
            edge,
            patterns,
            calls,
            operations,
            threshold: if is_spread { min_calls } else { min_total_calls } as f64,
            affected,
            traces: of_many(&edge.facts.per_trace),
            requests: requests.max(affected),
            severity: severity.for_entries(&entries),
        })
    }

    fn support(&self, options: &Options<'_>) -> Result<Support, String> {
        let facts = &self.edge.facts;
        options.required().edge(facts.calls, facts.traces)?;
        options.required().strong(self.affected, self.requests, self.traces)
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, [self.edge.from, self.edge.to]);
        let support = self.support(options).map_err(|missing| case.undecided(missing))?;
        let (from, to) = (graph.node(self.edge.from), graph.node(self.edge.to));
        let (caller, callee) = (&from.name, &to.name);
        let calls = wording::count(self.calls, "call");
        case.finding(Draft {
            severity: self.severity,
            title: format!("{caller} needs {calls} of {callee} a request"),
            message: format!(
                "The median request of {caller} that touches {callee} makes {calls} to {} of it, where {} are many; so it \
                 is in {} of {}.",
                wording::count(self.operations, "operation"),
                wording::number(self.threshold),
                self.affected,
                wording::count(self.requests, "request"),
            ),
            fix: format!(
                "Let {callee} offer one operation for what {caller} needs of it, or move that task from {caller} to {callee}."
            ),
            subject: Subject {
                edges: vec![(from.id.clone(), to.id.clone())],
                operations: self.operation_names(graph),
                ..Subject::default()
            },
            evidence: vec![
                Evidence::of("calls_per_request_p50", self.calls as f64, "calls").against(self.threshold),
                Evidence::of("operations_per_request_p50", self.operations as f64, "operations")
                    .against(options.number("min_operations")),
            ],
            support,
            traces: self.edge.facts.chatty.proof(self.calls),
            ..case.draft()
        })
    }

    fn operation_names(&self, graph: &CallGraph) -> Vec<String> {
        let callers = self.patterns.iter().map(|pattern| {
            let caller = graph.operation(pattern.caller);
            wording::operation(&graph.node(caller.node).name, &caller.name)
        });
        callers.collect::<BTreeSet<_>>().into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    /// Two ways in, so that neither is a gateway.
    const OTHER_ENTRY: &str = "\n\n30 traces\nsearch GET /search";

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("chatty-services", &format!("{traces}{OTHER_ENTRY}"), expected);
    }

    fn requests(below: &str) -> String {
        format!("30 traces\ncart GET /cart{below}")
    }

    #[test]
    fn several_operations_add_up() {
        check(
            &requests("\n  3 x stock GET /price\n  2 x stock GET /level"),
            &["warning strong: cart needs 5 calls of stock a request"],
        );
    }

    #[test]
    fn five_calls_of_one_operation_are_not_chatty_but_ten_are() {
        check(&requests("\n  5 x stock GET /price"), &[]);
        check(&requests("\n  10 x stock GET /price"), &["error strong: cart needs 10 calls of stock a request"]);
    }

    #[test]
    fn the_same_question_asked_again_counts_here() {
        check(&requests("\n  10 x stock GET /price same"), &["error strong: cart needs 10 calls of stock a request"]);
    }

    #[test]
    fn requests_that_do_not_touch_the_callee_do_not_dilute() {
        let traces = format!("{}\n\n30 traces\ncart GET /other", requests("\n  10 x stock GET /price"));
        check(&traces, &["error strong: cart needs 10 calls of stock a request"]);
    }

    #[test]
    fn few_requests_are_undecided() {
        check("29 traces\ncart GET /cart\n  10 x stock GET /price", &["(cart stock: 29 requests seen, 30 needed)"]);
    }

    #[test]
    fn many_requests_of_few_traces_are_undecided() {
        let many = "\n  cart GET /cart\n    10 x stock GET /price".repeat(10);
        let few = format!("4 traces\nweb GET /{many}\n\n5 traces\nweb GET /\n  cart GET /cart\n    stock GET /price");
        check(&few, &["(cart stock: 4 traces with the pattern seen, 5 needed)"]);
    }

    #[test]
    fn gateways_gather() {
        let traces = requests("\n  10 x stock GET /price");
        crate::testing::check("chatty-services", &traces, &[]);
        let declared = |role: &str| format!("[roles]\n{role} = \"car*\"");
        for role in ["gateway", "bff"] {
            check_with("chatty-services", &format!("{traces}{OTHER_ENTRY}"), &declared(role), &[]);
        }
    }

    #[test]
    fn attempts_after_a_failure_do_not_count() {
        check(&requests(&"\n  retry stock GET /price".repeat(4)), &[]);
    }

    #[test]
    fn pages_of_one_answer_and_looks_whether_it_is_ready_do_not_count() {
        check(&requests("\n  12 x stock GET /list paged\n  stock GET /price"), &[]);
        check(&requests(&"\n  stock GET /job same\n  wait 200ms".repeat(12)), &[]);
    }

    #[test]
    fn who_is_sent_on_through_many_places_asks_one_question() {
        let hop = |letter| format!("\n  stock GET /{letter} http.response.status_code=307");
        check(&requests(&format!("{}\n  stock GET /price", ('a'..='k').map(hop).collect::<String>())), &[]);
    }

    #[test]
    fn one_question_to_each_of_many_shards_is_one() {
        check(&requests("\n  12 x shard GET /part scatter"), &[]);
        // Another question to each makes it two, and those to one host are as many as they are.
        check(&requests("\n  12 x shard GET /part scatter\n  12 x shard GET /rank scatter"), &[]);
        let finding = "error strong: cart needs 13 calls of shard a request";
        check(&requests("\n  12 x shard GET /part scatter\n  12 x shard GET /rank"), &[finding]);
    }

    #[test]
    fn messages_and_externals_are_not_judged() {
        check(
            &requests("\n  12 x publish cart.seen\n    stock takes cart.seen\n  12 x host api.example GET /x"),
            &["(no calls between services were seen)"],
        );
    }

    #[test]
    fn a_scheduled_job_is_a_note_and_a_consumer_one_lower() {
        let title = "report needs 10 calls of stock a request";
        check("30 traces\nschedule report nightly\n  10 x stock GET /price", &[&format!("note strong: {title}")]);
        check("30 traces\nreport takes day.over\n  10 x stock GET /price", &[&format!("warning strong: {title}")]);
    }
}
