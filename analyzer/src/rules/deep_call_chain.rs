//! One request waits through a long chain of services, each of which waits for the next.
//!
//! The signal is the number of services, less the first, on the longest synchronous way that a request from outside takes.
//! A service that is on the way already does not count again, so recursion is no depth; messages end a way. Entries whose
//! ways meet while most of the hops are still ahead are one finding.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, HashSet};

use petgraph::algo::kosaraju_scc;
use petgraph::graph::DiGraph;
use petgraph::unionfind::UnionFind;
use spanlint_graph::snapshot::{CallPattern, Operation};
use spanlint_graph::{CallGraph, OperationIndex, facts::histogram};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// The rule.
pub(super) struct DeepCallChain;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "deep-call-chain",
    category: Category::Granularity,
    severity: Severity::Warning,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "One request waits through a long chain of services.",
    looks_like: "The answer to one click is put together by a service that asks a service that asks a service; when it is slow, \
                 seven teams look at their dashboards and each sees that it waits for the next.",
    why: "Availability multiplies and latency adds up along the chain: seven services that each answer 99.9 % of the time \
          answer together 99.3 % of the time, and each holds a thread, a connection and a timeout while it waits.",
    how: "For each request that nobody in the system waits for, the services on its longest synchronous way are counted, \
          less the first, each once. The pattern holds where the 95th percentile over an operation's requests reaches \
          `min_hops`; operations of one service are told together, and so are those of several whose ways meet where at \
          least half of the hops are still ahead.",
    fix: "Let the chain hand over data instead of waiting: publish what has changed and keep a copy where it is read, or \
          merge services that only pass a request on.",
    limits: "Services without telemetry are not counted, so a chain through them is longer than it looks.",
    references: &[
        "Nygard: Release It!, 2nd edition (2018), chapter 4, Cascading Failures and Integration Points",
        "Luo et al.: Characterizing Microservice Dependency and Performance: Alibaba Trace Analysis (SoCC 2021)",
        "Taibi, Lenarduzzi, Pahl: Microservices Anti-Patterns: A Taxonomy (2020)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_hops", default: 6.0, help: "Hops from service to service that make the pattern." },
        OptionMeta { name: "error_from", default: 9.0, help: "Hops from which it is an error." },
    ],
    absorbs: &[],
};

impl Rule for DeepCallChain {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if !graph.edges.iter().any(|edge| topology::is_synchronous_call(graph, edge)) {
            verdict.undecided.push(Undecided::of_input(&META, "no calls between services were seen"));
        }
        let numbered = (0..).map(OperationIndex).zip(&graph.operations);
        let deep: Vec<Deep<'_>> = numbered.filter_map(|(index, each)| Deep::of(index, each, options)).collect();
        for mut together in told_together(graph, deep) {
            // Stable, so that of two equally deep the one with the smaller name leads.
            together.sort_by_key(|each| (each.support.is_err(), Reverse(each.hops)));
            verdict.take(judge(graph, options, &together));
        }
        verdict
    }
}

/// An operation that waits for long chains.
struct Deep<'a> {
    index: OperationIndex,
    operation: &'a Operation,
    hops: u64,
    support: Result<Support, String>,
}

impl<'a> Deep<'a> {
    fn of(index: OperationIndex, operation: &'a Operation, options: &Options<'_>) -> Option<Self> {
        let (depth, min_hops) = (&operation.facts.depth, options.whole("min_hops"));
        let hops = depth.quantile(0.95);
        let support = || options.required().proven(depth.count_from(min_hops), depth.count());
        (hops >= min_hops).then(|| Self { index, operation, hops, support: support() })
    }
}

/// Those of one service, and those whose ways meet where at least half of the hops are still ahead; in the order of the
/// first of each.
fn told_together<'a>(graph: &CallGraph, deep: Vec<Deep<'a>>) -> Vec<Vec<Deep<'a>>> {
    let is_of_first = |each: &Deep<'_>| each.operation.node == deep[0].operation.node;
    let ways = if deep.iter().all(is_of_first) { Ways::default() } else { Ways::of(graph) };
    let mut groups = UnionFind::<usize>::new(deep.len());
    let (mut first_of_service, mut first_on_way) = (BTreeMap::new(), BTreeMap::new());
    let mut walked: HashSet<(OperationIndex, u64, u64)> = HashSet::new();
    for (place, each) in deep.iter().enumerate() {
        groups.union(place, *first_of_service.entry(each.operation.node).or_insert(place));
        let mut open = vec![each.index];
        for gone in 1..=each.hops / 2 {
            let mut ahead = ways.callees_with(&open, each.hops - gone);
            for callee in &ahead {
                groups.union(place, *first_on_way.entry(*callee).or_insert(place));
            }
            // Where another came by that had as far to go, it has gone on from there.
            ahead.retain(|callee| walked.insert((*callee, each.hops, gone)));
            open = ahead;
        }
    }
    let (mut first_of_group, mut together) = (BTreeMap::new(), BTreeMap::<usize, Vec<_>>::new());
    for (place, each) in deep.into_iter().enumerate() {
        let first = *first_of_group.entry(groups.find(place)).or_insert(place);
        together.entry(first).or_default().push(each);
    }
    together.into_values().collect()
}

/// Which operations wait for which of other services; by operation.
#[derive(Default)]
struct Ways {
    callees: Vec<Vec<OperationIndex>>,
    /// The most hops that a way from here may have; around in a circle, as many as bring to another service.
    hops: Vec<u64>,
}

impl Ways {
    /// Those of `graph`.
    fn of(graph: &CallGraph) -> Self {
        let count = graph.operations.len();
        let mut callees = vec![Vec::new(); count];
        let is_waited_for = |pattern: &&CallPattern| {
            let from = graph.operation(pattern.caller).node;
            let edge = topology::edge(graph, from, pattern.callee, pattern.kind);
            pattern.is_callee_known && edge.is_some_and(|edge| topology::is_synchronous_call(graph, edge))
        };
        for pattern in graph.patterns.iter().filter(is_waited_for) {
            let callee = topology::operation(graph, pattern.callee, &pattern.template);
            callees[pattern.caller.0 as usize].extend(callee);
        }
        let calls =
            (0..).zip(&callees).flat_map(|(caller, callees)| callees.iter().map(move |callee| (caller, callee.0)));
        let calls = DiGraph::<(), ()>::from_edges(calls);
        let (mut hops, mut circle_of) = (vec![0; count], vec![usize::MAX; count]);
        // Callees come before their callers.
        for (circle, members) in kosaraju_scc(&calls).into_iter().enumerate() {
            let members = || members.iter().map(|member| member.index());
            members().for_each(|member| circle_of[member] = circle);
            let services: BTreeSet<_> = members().map(|member| graph.operations[member].node).collect();
            let callees = members().flat_map(|member| &callees[member]).map(|callee| callee.0 as usize);
            let beyond = callees.filter(|&callee| circle_of[callee] != circle).map(|callee| hops[callee] + 1).max();
            let most = services.len() as u64 - 1 + beyond.unwrap_or_default();
            members().for_each(|member| hops[member] = most);
        }
        Self { callees, hops }
    }

    /// What these wait for, of which a way of so many hops leads on; once each.
    fn callees_with(&self, callers: &[OperationIndex], hops: u64) -> Vec<OperationIndex> {
        let callees = callers.iter().filter_map(|caller| self.callees.get(caller.0 as usize)).flatten().copied();
        let ahead: BTreeSet<_> = callees.filter(|callee| self.hops[callee.0 as usize] >= hops).collect();
        ahead.into_iter().collect()
    }
}

/// Operations that are told together, the deepest with enough support first.
fn judge(graph: &CallGraph, options: &Options<'_>, deep: &[Deep<'_>]) -> Result<Finding, Undecided> {
    let Deep { operation, hops, support, .. } = &deep[0];
    let hops = *hops;
    let alike: Vec<_> = deep.iter().filter(|each| each.support.is_ok() || support.is_err()).collect();
    let case = Case::new(graph, options, alike.iter().map(|each| each.operation.node));
    let support = support.clone().map_err(|missing| case.undecided(missing))?;
    let min_hops = options.whole("min_hops");
    let depth = &operation.facts.depth;
    let (affected, requests) = (depth.count_from(min_hops), depth.count());
    let most = depth.buckets().last().map_or(hops, |(bucket, _)| histogram::bucket_middle(bucket));
    let service = &graph.node(operation.node).name;
    let name = operation_of(graph, operation);
    let others = match alike.len() - 1 {
        0 => String::new(),
        others => {
            let services = wording::list(case.services());
            format!(" {} of {services} wait for such chains.", wording::count(others as u64, "more operation"))
        }
    };
    case.finding(Draft {
        severity: if hops >= options.whole("error_from") { Severity::Error } else { META.severity },
        title: format!("{name} waits through {hops} hops from service to service"),
        message: format!(
            "In {affected} of {} of {name} the longest way leads over {min_hops} hops or more, each of which waits for the \
             next: {hops} in 95 of 100, {most} at most.{others}",
            wording::count(requests, "request"),
        ),
        fix: format!(
            "Look at the trace for the services that only pass the request of {service} on, and merge them with a \
             neighbour; let the others publish what they know instead of being asked."
        ),
        subject: Subject {
            operations: alike.iter().map(|each| operation_of(graph, each.operation)).collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("hops_p95", hops as f64, "hops").against(options.number("min_hops")),
            Evidence::of("hops_max", most as f64, "hops"),
        ],
        support,
        traces: operation.facts.deepest.proof(hops),
        ..case.draft()
    })
}

fn operation_of(graph: &CallGraph, operation: &Operation) -> String {
    wording::operation(&graph.node(operation.node).name, &operation.name)
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("deep-call-chain", traces, expected);
    }

    /// A way through these services, each asking the next.
    fn chain(services: &str) -> String {
        let lines = services
            .chars()
            .enumerate()
            .map(|(depth, service)| format!("{}{service} GET /{service}", "  ".repeat(depth)));
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn six_hops_are_deep_and_nine_an_error() {
        check(&chain("abcdef"), &[]);
        check(&chain("abcdefg"), &["warning proven: a GET /a waits through 6 hops from service to service"]);
        check(&chain("abcdefghij"), &["error proven: a GET /a waits through 9 hops from service to service"]);
    }

    #[test]
    fn operations_of_one_service_that_are_deep_alike_are_one_finding() {
        let traces = format!("{}\n\n{}", chain("abcdefg"), chain("abcdefghij").replacen("GET /a", "GET /z", 1));
        check(&traces, &["error proven: a GET /z waits through 9 hops from service to service"]);
    }

    #[test]
    fn entries_that_lead_into_one_chain_are_one_finding() {
        let below = |entry: &str, way: &str| chain(&format!("{entry}{way}"));
        let shared = format!("{}\n\n{}", below("y", "bcdefgh"), below("z", "bcdefgh"));
        check(&shared, &["warning proven: y GET /y waits through 7 hops from service to service"]);
        let later = format!("{}\n\n{}", below("y", "bcdefgh"), below("z", "xbcdefgh"));
        check(&later, &["warning proven: z GET /z waits through 8 hops from service to service"]);
        let [first, second] = ["y", "z"]
            .map(|name| format!("warning proven: {name} GET /{name} waits through 7 hops from service to service"));
        // What they share at the end alone is not what makes both deep.
        let ends = format!("{}\n\n{}", below("y", "bcdefgh"), below("z", "klmnfgh"));
        check(&ends, &[&first, &second]);
        // Nor is what they ask beside.
        let beside = format!("{}\n  q GET /q\n\n{}\n  q GET /q", below("y", "bcdefgh"), below("z", "klmnopr"));
        check(&beside, &[&first, &second]);
        // Nor a circle that both may go around in.
        let around = "\n  q GET /q\n    s GET /s\n      q GET /q";
        let circle = format!("{}{around}\n\n{}{around}", below("y", "bcdefgh"), below("z", "klmnopr"));
        check(&circle, &[&first, &second]);
    }

    #[test]
    fn who_came_by_first_decides_nothing() {
        let ways = ["abcxmno", "wvumnopqr", "zlxmnopqr"].map(chain).join("\n\n");
        check(&ways, &["warning proven: w GET /w waits through 8 hops from service to service"]);
    }

    #[test]
    fn recursion_is_no_depth() {
        check(&chain("ababababab"), &[]);
        check(&chain("aaaabbbbcccc"), &[]);
    }

    #[test]
    fn messages_end_a_way() {
        let consumer = "\n        publish done\n          e takes done\n            f GET /f\n              g GET /g\n                h GET /h";
        check(&format!("{}{consumer}", chain("abcd")), &[]);
    }

    #[test]
    fn a_rare_deep_request_is_none() {
        check(&format!("97 traces\n{}\n\n3 traces\n{}", chain("ab"), chain("abcdefgh")), &[]);
    }

    #[test]
    fn an_input_without_calls_cannot_tell() {
        check("a GET /", &["(no calls between services were seen)"]);
    }
}
