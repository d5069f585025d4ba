//! A service of which one instance runs and without which most of what the system offers does not work.
//!
//! The signal is which services nearly every request of an entry operation needs, over any number of calls, and how many
//! instances of them were seen. In the terms of graphs, such a service dominates the entry operation's success.

use std::collections::BTreeMap;

use spanlint_graph::facts::Entry;
use spanlint_graph::{CallGraph, NodeIndex, OperationIndex};

use crate::case::{Case, Draft, traces_of_service};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The share of an operation's requests that make a call which it cannot do without.
const MIN_NEED: f64 = 0.9;
/// The most operations that a finding lists.
const MAX_LISTED: usize = 20;

/// The rule.
pub(super) struct SinglePointOfFailure;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "single-point-of-failure",
    category: Category::Resilience,
    severity: Severity::Note,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "Most of what the system offers needs one service of which a single instance runs.",
    looks_like: "The token service is small and never changes, so it runs once; on the day its machine is replaced nobody can \
                 log in.",
    why: "What everything needs has to survive the loss of a process and of a machine. One instance survives neither, and not \
          even its own deployment.",
    how: "An operation needs what nine of ten of its requests call and wait for, and what that needs in turn. The pattern \
          holds for services with one instance that `min_share` or more of the operations called from outside need, over an \
          input of `min_minutes` or more.",
    fix: "Run two or more instances apart from each other, or let callers go on without it: a cached answer, a default, a \
          queue.",
    limits: "Instances are told by `service.instance.id` or the like; where none is recorded the rule is undecided. A fallback \
             shows only if a recording has failures. Environments for development run one of everything on purpose: turn \
             the rule off there.",
    references: &[
        "Nygard: Release It!, 2nd edition (2018), chapter 4",
        "Bass, Clements, Kazman: Software Architecture in Practice, 4th edition (2021), chapter 4",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_share", default: 0.5, help: "Share of entry operations that need it, from 0 to 1." },
        OptionMeta {
            name: "min_minutes",
            default: 60.0,
            help: "Minutes of input in which no other instance showed up.",
        },
    ],
    absorbs: &[],
};

impl Rule for SinglePointOfFailure {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let seen = graph.counts.seen;
        let minutes = seen.last_ns.saturating_sub(seen.first_ns) / 60_000_000_000;
        let needed = options.whole("min_minutes");
        if minutes < needed {
            let missing = format!("{} seen, {needed} needed", wording::count(minutes, "minute"));
            verdict.undecided.push(Undecided::of_input(&META, missing));
            return verdict;
        }
        let entries = Entries::of(graph);
        let min_share = options.number("min_share");
        let is_needed = |operations: &[OperationIndex]| operations.len() as f64 >= min_share * entries.count as f64;
        // An instance that no span names may be one of many.
        let mut nameless = Vec::new();
        for (&service, operations) in entries.needing.iter().filter(|(_, operations)| is_needed(operations)) {
            match graph.node(service).service.as_ref().map(|service| service.instances.len()) {
                Some(0) => nameless.push(service),
                Some(1) => verdict.take(entries.judge(graph, options, service, operations)),
                _ => {}
            }
        }
        if !nameless.is_empty() {
            verdict.undecided.push(Case::new(graph, options, nameless).undecided("no span names an instance"));
        }
        verdict
    }
}

/// What the operations that clients call need.
struct Entries {
    count: usize,
    /// Service → the entry operations that need it.
    needing: BTreeMap<NodeIndex, Vec<OperationIndex>>,
}

impl Entries {
    fn of(graph: &CallGraph) -> Self {
        let needs = Needs::of(graph);
        let is_entry = |index: &OperationIndex| graph.operation(*index).facts.entries[Entry::Client as usize] > 0;
        let all = (0..graph.operations.len()).map(|index| OperationIndex(index as u32)).filter(is_entry);
        let mut entries = Self { count: 0, needing: BTreeMap::new() };
        let mut reached_for = vec![u32::MAX; graph.operations.len()];
        for entry in all {
            entries.count += 1;
            let mut open = vec![entry];
            let mut services = Vec::new();
            while let Some(operation) = open.pop() {
                if std::mem::replace(&mut reached_for[operation.0 as usize], entry.0) != entry.0 {
                    services.push(graph.operation(operation).node);
                    open.extend(needs.of_operation(operation));
                }
            }
            services.sort_unstable();
            services.dedup();
            for service in services {
                entries.needing.entry(service).or_default().push(entry);
            }
        }
        entries
    }

    fn judge(
        &self,
        graph: &CallGraph,
        options: &Options<'_>,
        service: NodeIndex,
        operations: &[OperationIndex],
    ) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, [service]);
        let name = &graph.node(service).name;
        let share = operations.len() as f64 / self.count as f64;
        let requests = |index: &OperationIndex| graph.operation(*index).facts.requests;
        let affected: u64 = operations.iter().map(requests).sum();
        options.required().requests(affected).map_err(|missing| case.undecided(missing))?;
        let named = |&index: &OperationIndex| {
            let operation = graph.operation(index);
            wording::operation(&graph.node(operation.node).name, &operation.name)
        };
        case.finding(Draft {
            title: format!("{} of {} entry operations need {name}, which runs once", operations.len(), self.count),
            message: format!(
                "{:.0} % of the operations that are called from outside need {name}, and only one instance of it was seen.",
                share * 100.0
            ),
            fix: format!("Run a second instance of {name} elsewhere, or let its callers go on without it for a while."),
            subject: Subject { operations: operations.iter().take(MAX_LISTED).map(named).collect(), ..Subject::default() },
            evidence: vec![
                Evidence::of("share_of_entry_operations", share, "share").against(options.number("min_share")),
                Evidence::of("instances", 1.0, "instances").against(1.0),
            ],
            support: Support::of(affected, affected),
            traces: traces_of_service(graph, service),
            ..case.draft()
        })
    }
}

/// Which operations nearly every request of an operation calls and waits for.
struct Needs(Vec<Vec<OperationIndex>>);

impl Needs {
    fn of(graph: &CallGraph) -> Self {
        let mut needs = vec![Vec::new(); graph.operations.len()];
        for pattern in &graph.patterns {
            let requests = graph.operation(pattern.caller).facts.requests;
            let is_needed = pattern.facts.requests as f64 >= requests as f64 * MIN_NEED;
            let edge = topology::edge(graph, graph.operation(pattern.caller).node, pattern.callee, pattern.kind);
            if !is_needed || !edge.is_some_and(|edge| topology::is_synchronous_call(graph, edge)) {
                continue;
            }
            needs[pattern.caller.0 as usize].extend(topology::operation(graph, pattern.callee, &pattern.template));
        }
        Self(needs)
    }

    fn of_operation(&self, operation: OperationIndex) -> impl Iterator<Item = OperationIndex> {
        self.0[operation.0 as usize].iter().copied()
    }
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("single-point-of-failure", traces, expected);
    }

    /// Two instances of everything but `auth`, over more than an hour.
    fn hours(auth: &str) -> String {
        let traffic = |pod: &str| {
            format!("web@w{pod} GET /cart\n  cart@c{pod} GET /cart\n    {auth}\n\n20 traces\nweb@w{pod} GET /status")
        };
        format!("20 traces\n{}\n\n20 traces\nat 4000s\n{}", traffic("1"), traffic("2"))
    }

    #[test]
    fn one_instance_that_half_of_the_entries_need_is_a_note() {
        check(&hours("auth@a1 GET /token"), &["note heuristic: 1 of 2 entry operations need auth, which runs once"]);
    }

    #[test]
    fn without_the_names_of_instances_what_is_needed_is_undecided() {
        let traffic = "web GET /cart\n  cart GET /cart\n    auth GET /token\n    seen@s1 GET /seen";
        let rarely = "20 traces\nat 4000s\nweb GET /news\n  news GET /news\n\n20 traces\nweb GET /about";
        check(&format!("20 traces\n{traffic}\n\n{rarely}"), &["(web: no span names an instance)"]);
        check(
            &format!("20 traces\n{traffic}\n\n20 traces\nat 4000s\n{traffic}"),
            &[
                "note heuristic: 1 of 1 entry operations need seen, which runs once",
                "(auth cart web: no span names an instance)",
            ],
        );
    }

    #[test]
    fn two_instances_are_fine() {
        check(&hours("auth@a1 GET /token\n    auth@a2 GET /token"), &[]);
    }

    #[test]
    fn what_is_asked_now_and_then_is_not_needed() {
        let others = "20 traces\nweb@w1 GET /cart\n  cart@c1 GET /cart";
        check(&format!("{}\n\n{others}", hours("auth@a1 GET /token")), &[]);
    }

    #[test]
    fn messages_do_not_stop_a_request() {
        check(&hours("publish seen\n      mail@m1 takes seen"), &[]);
    }

    #[test]
    fn less_than_an_hour_is_undecided() {
        check("web GET /\n  auth@a GET /", &["(0 minutes seen, 60 needed)"]);
    }
}
