//! A failure of one service fails what users asked for, through every service in between: nothing on the way contains it.
//!
//! The signal is how often requests from outside fail when a service below them does, against how often they fail
//! otherwise. A failure begins where none of a service's own calls to services failed; what is the caller's own fault (4xx)
//! is none.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::snapshot::FailurePath;
use spanlint_graph::{CallGraph, NodeIndex, OperationIndex};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::support::FAILURES_LOOK_FREQUENT;
use crate::wording;

/// The rule.
pub(super) struct CascadingFailure;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "cascading-failure",
    category: Category::Resilience,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "Failures of one service travel through the others to the users.",
    looks_like: "The service for exchange rates restarts, and nobody can open the start page: three services on the way each \
                 turned an error they were given into an error of their own.",
    why: "A system of services is meant to fail in parts. Where every failure below is a failure above, each service is as \
          available as the worst of all that it asks.",
    how: "For each operation that is asked from outside and each service below it where failures begin, the share of requests \
          is taken that fail when that service does, and the share that fail otherwise. The pattern holds where the former \
          reaches `min_failed_share`, the latter is at most `max_other_share`, the service failed `min_failures` times and is \
          `min_hops` away. A single hop counts where `optional` of `[architecture]` says that the caller is meant to do without \
          the service.",
    fix: "Decide at one service on the way what is answered without the one that failed: a default, the last known value, a \
          part of the page. Where that cannot be, fail at once and say so.",
    limits: "Some failures must reach the user: a payment that fails is a purchase that fails. Ignore these with that reason.",
    references: &[
        "Nygard: Release It!, 2nd edition (2018), chapter 4, Cascading Failures",
        "Beyer et al.: Site Reliability Engineering (2016), chapter 22",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_failures", default: 10.0, help: "Failures of the service that must have been seen." },
        OptionMeta { name: "min_hops", default: 2.0, help: "Hops from the service to that of the entry." },
        OptionMeta {
            name: "min_failed_share",
            default: 0.9,
            help: "Share of entry requests that fail when the service does, from 0 to 1.",
        },
        OptionMeta {
            name: "max_other_share",
            default: 0.1,
            help: "Share of entry requests that fail otherwise, from 0 to 1, up to which the service is the cause.",
        },
    ],
    absorbs: &[],
};

impl Rule for CascadingFailure {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut ways: BTreeMap<(NodeIndex, OperationIndex), Vec<&FailurePath>> = BTreeMap::new();
        for path in &graph.failures {
            if let Some(&origin) = path.nodes.first() {
                ways.entry((origin, path.entry)).or_default().push(path);
            }
        }
        // One service where failures begin is one cause, whatever they end in; its worst way stands for all.
        let mut worst: BTreeMap<NodeIndex, Cascade<'_>> = BTreeMap::new();
        for ((origin, entry), paths) in ways {
            let Some(cascade) = Cascade::of(graph, entry, &paths, options) else { continue };
            if worst.get(&origin).is_none_or(|known| known.entry_failed < cascade.entry_failed) {
                worst.insert(origin, cascade);
            }
        }
        let mut verdict = Verdict::default();
        for (origin, cascade) in worst {
            verdict.take(cascade.judge(graph, options, origin));
        }
        verdict
    }
}

/// Failures of one service that end in those of one entry.
struct Cascade<'a> {
    entry: OperationIndex,
    /// The way that most of them take.
    path: &'a FailurePath,
    failed: u64,
    entry_failed: u64,
    /// Share of the entry's other requests that fail.
    other_share: f64,
}

impl<'a> Cascade<'a> {
    fn of(graph: &CallGraph, entry: OperationIndex, paths: &[&'a FailurePath], options: &Options<'_>) -> Option<Self> {
        let path = paths.iter().max_by_key(|path| path.facts.failed)?;
        let failed: u64 = paths.iter().map(|path| path.facts.failed).sum();
        let entry_failed: u64 = paths.iter().map(|path| path.facts.entry_failed).sum();
        let operation = &graph.operation(entry).facts;
        let others = operation.requests.saturating_sub(failed);
        let other_failures = operation.failures().saturating_sub(entry_failed);
        let other_share = if others == 0 { 0.0 } else { other_failures as f64 / others as f64 };
        let is_far = path.nodes.len() as u64 > options.whole("min_hops") || is_optional(graph, &path.nodes, options);
        // Where traces without a failure were left out, failures of others look more frequent than they are.
        let is_cause = other_share <= options.number("max_other_share") || options.coverage().sampling.is_biased();
        let holds = is_far && is_cause && entry_failed as f64 >= failed as f64 * options.number("min_failed_share");
        holds.then_some(Self { entry, path, failed, entry_failed, other_share })
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>, origin: NodeIndex) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, self.path.nodes.iter().copied());
        let needed = options.whole("min_failures");
        if self.failed < needed {
            return Err(case.undecided(format!("{} seen, {needed} needed", wording::count(self.failed, "failure"))));
        }
        if self.other_share > options.number("max_other_share") {
            return Err(case.undecided(FAILURES_LOOK_FREQUENT));
        }
        let entry = graph.operation(self.entry);
        // How often the service fails at all is another matter; what counts is what its failures do.
        options.required().requests(entry.facts.requests).map_err(|missing| case.undecided(missing))?;
        let support = Support::of(self.entry_failed, self.failed);
        let names: Vec<&str> = self.path.nodes.iter().map(|&node| graph.node(node).name.as_str()).collect();
        let origin = &graph.node(origin).name;
        let asked = wording::operation(&graph.node(entry.node).name, &entry.name);
        // Over a single hop nobody is in between but the entry itself.
        let between = if names.len() == 2 { &names[1..] } else { &names[1..names.len() - 1] };
        let between: BTreeSet<&str> = between.iter().copied().collect();
        let between = wording::list(&between.into_iter().collect::<Vec<_>>());
        let share = self.entry_failed as f64 / self.failed as f64;
        case.finding(Draft {
            title: format!("failures of {origin} end in failures of {asked}"),
            message: format!(
                "Of {} of {asked} below which {origin} failed, {} failed themselves, by way of {}; of the others {:.1} % did.",
                wording::count(self.failed, "request"),
                self.entry_failed,
                names.join(" to "),
                self.other_share * 100.0,
            ),
            fix: format!("Let {between} answer without {origin}: a default, the last known value, or a part of the answer."),
            subject: Subject { operations: vec![asked.clone()], ..Subject::default() },
            evidence: vec![
                Evidence::of("entry_failed_share", share, "share").against(options.number("min_failed_share")),
                Evidence::of("other_failed_share", self.other_share, "share").against(options.number("max_other_share")),
                Evidence::of("failures", self.failed as f64, "failures").against(options.number("min_failures")),
                Evidence::of("hops", names.len() as f64 - 1.0, "hops").against(options.number("min_hops")),
            ],
            support,
            traces: self.path.facts.exemplars.worst().map_or_else(Vec::new, |(ns, _)| self.path.facts.exemplars.proof(ns)),
            ..case.draft()
        })
    }
}

/// Whether the first service on a way that asks the one that failed is meant to do without it.
fn is_optional(graph: &CallGraph, nodes: &[NodeIndex], options: &Options<'_>) -> bool {
    let [origin, caller, ..] = *nodes else { return false };
    let arrows = &options.architecture().optional;
    arrows.iter().any(|arrow| arrow.covers(graph, options.groups(), (caller, origin)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{check_graph, graph};

    const FINDING: &str = "warning strong: failures of rates end in failures of web GET /";

    /// A hundred requests through web, cart and rates, of which rates failed some and web some of these and some others.
    fn check(failed: u64, entry_failed: u64, others: u64, expected: &[&str]) {
        check_with((failed, entry_failed, others), "", expected);
    }

    fn check_with((failed, entry_failed, others): (u64, u64, u64), config: &str, expected: &[&str]) {
        let mut graph = graph("100 traces\nweb GET /\n  cart GET /cart\n    rates GET /rates");
        let node = |name: &str| graph.indexed_nodes().find(|(_, node)| node.name == name).unwrap().0;
        let nodes = ["rates", "cart", "web"].map(node).to_vec();
        let entry = graph.operations.iter().position(|operation| operation.node == nodes[2]).unwrap();
        graph.operations[entry].facts.outcomes[spanlint_graph::span::Outcome::Failed.index()] = entry_failed + others;
        let mut facts = spanlint_graph::facts::FailureFacts { failed, entry_failed, ..Default::default() };
        facts.exemplars.offer(1, spanlint_graph::TraceId(1));
        graph.failures.push(FailurePath { entry: OperationIndex(entry as u32), nodes, facts });
        check_graph("cascading-failure", &graph, config, expected);
    }

    #[test]
    fn nine_in_ten_failures_that_reach_the_outside_are_told() {
        check(10, 9, 0, &[FINDING]);
        check(10, 8, 0, &[]);
        check(9, 9, 0, &["(cart rates web: 9 failures seen, 10 needed)"]);
    }

    #[test]
    fn an_entry_that_fails_anyway_is_another_cause() {
        check(10, 10, 9, &[FINDING]);
        check(10, 10, 10, &[]);
        let kept = "(cart rates web: traces were kept by how they ended, which makes failures look more frequent than they are)";
        check_with((10, 10, 10), "[sampling]\nkind = \"tail\"", &[kept]);
    }

    #[test]
    fn one_hop_is_the_caller_s_own_choice() {
        let mut graph = graph("100 traces\nweb GET /\n  cart GET /cart");
        let nodes = ["cart", "web"].map(|name| graph.indexed_nodes().find(|(_, node)| node.name == name).unwrap().0);
        let mut facts = spanlint_graph::facts::FailureFacts { failed: 20, entry_failed: 20, ..Default::default() };
        facts.exemplars.offer(1, spanlint_graph::TraceId(1));
        let entry = graph.operations.iter().position(|operation| operation.node == nodes[1]).unwrap();
        graph.failures.push(FailurePath { entry: OperationIndex(entry as u32), nodes: nodes.to_vec(), facts });
        check_graph("cascading-failure", &graph, "", &[]);
        let optional = |arrow: &str| format!("[architecture]\noptional = [\"{arrow}\"]");
        let finding = "warning strong: failures of cart end in failures of web GET /";
        check_graph("cascading-failure", &graph, &optional("web -> cart"), &[finding]);
        check_graph("cascading-failure", &graph, &optional("web -> rates"), &[]);
    }
}
