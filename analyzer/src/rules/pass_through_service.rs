//! A service that only passes requests on: it asks one other service and hands back the answer.
//!
//! The signal is the share of requests that make exactly one call and touch nothing else, with next to no time of their
//! own. Refused: gateways and back ends for front ends; services that translate between protocols; schedulers, since
//! nobody asks them for what they would pass on.

use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::facts::{Fold, Histogram};
use spanlint_graph::snapshot::{Edge, Operation};
use spanlint_graph::span::{EdgeKind, Outcome};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// One in so many requests may be refused without being passed on, and say nothing.
const MAX_SPARED: u64 = 20;

/// The rule.
pub(super) struct PassThroughService;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "pass-through-service",
    category: Category::Granularity,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "A service does nothing but pass each request on to one other service.",
    looks_like: "Every change of a field is made twice, once in the service that knows it and once in the service in front of \
                 it, which takes the request, sends the same request on and returns the answer.",
    why: "It costs a hop of latency, a deployment and somebody's attention, and fails whenever the service behind it does, \
          yet adds nothing that the caller could not do itself.",
    how: "Over all requests of a service, the share is taken that makes exactly one call, to a service or an external host, \
          and touches no datastore and no topic, and the median of the time that is its own. The pattern holds where the \
          former reaches `min_relay_percent` and the latter is at most `max_self_percent`.",
    fix: "Let callers ask the service behind it directly, or move into it the rules that it was meant to have.",
    limits: "Gateways, proxies, back ends for front ends, services that start their requests by themselves, as by the \
             clock, and services that speak another protocol outside than inside are exempt. A service may be there for isolation or compliance, which no trace shows: ignore it with that reason.",
    references: &[
        "Fowler: Refactoring (1999), Middle Man",
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_relay_percent",
            default: 95.0,
            help: "Share of requests that only pass on, in percent, that makes the pattern.",
        },
        OptionMeta {
            name: "max_self_percent",
            default: 10.0,
            help: "Median share of a request's time that is its own, in percent, up to which it does nothing.",
        },
    ],
    absorbs: &[],
};

impl Rule for PassThroughService {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if !graph.edges.iter().any(|edge| topology::is_synchronous_call(graph, edge)) {
            verdict.undecided.push(Undecided::of_input(&META, "no calls between services were seen"));
        }
        for (service, node) in graph.indexed_nodes().filter(|(_, node)| node.kind == NodeKind::Service) {
            let Some(relay) = Relay::of(graph, service, options) else { continue };
            verdict.take(relay.judge(graph, service, &node.name, options));
        }
        verdict
    }
}

/// A service that passes on.
struct Relay<'a> {
    operations: &'a [Operation],
    requests: u64,
    /// Requests that only pass on.
    relays: u64,
    /// Median share of the time that is its own, in percent.
    self_percent: u64,
}

impl<'a> Relay<'a> {
    fn of(graph: &'a CallGraph, service: NodeIndex, options: &Options<'_>) -> Option<Self> {
        let operations = topology::operations_of(graph, service);
        let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
        let relays: u64 = operations.iter().map(|operation| operation.facts.relays).sum();
        let mut self_share = Histogram::default();
        for operation in operations {
            self_share.fold(&operation.facts.self_share);
        }
        let self_percent = self_share.quantile(0.5);
        // A few that it refuses or fails by itself have nothing to pass on.
        let turned_away = operations.iter().map(|operation| {
            let facts = &operation.facts;
            facts.outcomes[Outcome::Rejected.index()] + facts.failures()
        });
        let spared = turned_away.sum::<u64>().min(requests.div_ceil(MAX_SPARED));
        let judged = (requests - spared).max(relays);
        let is_relay = relays > 0
            && relays as f64 * 100.0 >= judged as f64 * options.number("min_relay_percent")
            && self_percent as f64 <= options.number("max_self_percent");
        let is_exempt = options.roles().has_any(graph, service, &[Role::Gateway, Role::Bff, Role::Schedule]);
        let counts = is_relay && !is_exempt && !topology::is_proxy(graph, service) && !translates(graph, service);
        counts.then_some(Self { operations, requests, relays, self_percent })
    }

    fn judge(
        &self,
        graph: &CallGraph,
        service: NodeIndex,
        name: &str,
        options: &Options<'_>,
    ) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, [service]);
        let traces: u64 = graph.node(service).service.as_ref().map_or(0, |service| service.facts.traces);
        let support = options.required().strong(self.relays, self.requests, traces.min(self.relays));
        let support = support.map_err(|missing| case.undecided(missing))?;
        let behind: BTreeSet<&str> =
            topology::edges_from(graph, service).iter().map(|edge| &*graph.node(edge.to).name).collect();
        let behind = wording::list(&behind.into_iter().collect::<Vec<_>>());
        let most = self.operations.iter().max_by_key(|operation| operation.facts.requests);
        case.finding(Draft {
            title: format!("{name} only passes requests on to {behind}"),
            message: format!(
                "{} of {} of {name} make one call to {behind} and nothing else; {} % of the median request's time is its \
                 own.",
                self.relays,
                wording::count(self.requests, "request"),
                self.self_percent,
            ),
            fix: format!("Let the callers of {name} ask {behind} directly, or move into {name} what {behind} does for it."),
            subject: Subject {
                operations: self.operations.iter().map(|operation| wording::operation(name, &operation.name)).collect(),
                ..Subject::default()
            },
            evidence: vec![
                Evidence::of("relay_percent", self.relays as f64 * 100.0 / self.requests as f64, "%")
                    .against(options.number("min_relay_percent")),
                Evidence::of("self_time_percent_p50", self.self_percent as f64, "%")
                    .against(options.number("max_self_percent")),
            ],
            support,
            traces: most.map_or_else(Vec::new, |operation| {
                operation.facts.exemplars.proof(operation.facts.latency.quantile(0.5))
            }),
            ..case.draft()
        })
    }
}

/// Whether a service speaks another protocol to those it calls than to those that call it.
fn translates(graph: &CallGraph, service: NodeIndex) -> bool {
    let calls = graph.edges.iter().filter(|edge| !edge.is_derived && edge.kind != EdgeKind::Other);
    let outside = kinds(calls.clone().filter(|edge| edge.to == service));
    let inside = kinds(calls.filter(|edge| edge.from == service));
    !outside.is_empty() && !inside.is_empty() && outside.is_disjoint(&inside)
}

/// The kinds of these calls; of a trace that was torn apart may be left what is called otherwise.
fn kinds<'a>(edges: impl Iterator<Item = &'a Edge>) -> BTreeSet<EdgeKind> {
    let mut calls: BTreeMap<EdgeKind, u64> = BTreeMap::new();
    for edge in edges {
        *calls.entry(edge.kind).or_default() += edge.facts.calls;
    }
    let all: u64 = calls.values().sum();
    calls.into_iter().filter(|(_, calls)| *calls > all / MAX_SPARED).map(|(kind, _)| kind).collect()
}

#[cfg(test)]
mod tests {
    use spanlint_graph::span::{EdgeKind, Outcome};

    use crate::testing::check_with;

    const FINDING: &str = "warning strong: relay only passes requests on to stock";
    /// What keeps the caller from being one that passes on, too.
    const OWN: &str = "sql postgresql db:5432 cart SELECT lines";

    /// Two ways in, so that neither is a gateway.
    fn check(below: &str, expected: &[&str]) {
        let traces =
            format!("40 traces\ncart GET /cart\n  {OWN}\n  relay GET /relay{below}\n\n40 traces\nsearch GET /search");
        check_with("pass-through-service", &traces, "", expected);
    }

    #[test]
    fn one_call_and_nothing_else_is_passing_on() {
        check("\n    stock GET /stock 40ms", &[FINDING]);
    }

    #[test]
    fn work_of_its_own_is_none() {
        check("\n    stock GET /stock", &[]);
        check("\n    stock GET /stock 40ms\n    sql postgresql db:5432 relay SELECT t", &[]);
        check("\n    stock GET /stock 40ms\n    price GET /price 40ms", &[]);
        check("\n    stock GET /stock 40ms\n    publish relayed", &[]);
        // Steps of its own, as of a workflow.
        check("\n    relay POST /step\n      stock GET /stock 40ms", &[]);
        check("", &[]);
    }

    #[test]
    fn gateways_pass_on() {
        let traces = "40 traces\nfront GET /\n  stock GET /stock 40ms";
        check_with("pass-through-service", traces, "", &[]);
    }

    #[test]
    fn a_proxy_passes_on() {
        let mut graph = crate::testing::graph(&traffic(40));
        let relay = graph.nodes.iter_mut().find(|node| node.name == "relay").unwrap();
        let facts = &mut relay.service.as_mut().unwrap().facts;
        facts.proxy_spans = facts.spans;
        crate::testing::check_graph("pass-through-service", &graph, "", &[]);
    }

    #[test]
    fn a_few_that_it_refuses_have_nothing_to_pass_on() {
        for (rejected, expected) in [(0, &[][..]), (2, &[FINDING][..])] {
            let mut graph = crate::testing::graph(&traffic(40));
            let operation = graph.operations.iter_mut().find(|operation| operation.name == "GET /relay").unwrap();
            operation.facts.requests += 3;
            operation.facts.outcomes[Outcome::Rejected.index()] += rejected;
            crate::testing::check_graph("pass-through-service", &graph, "", expected);
        }
    }

    #[test]
    fn one_that_translates_does_something() {
        let mut graph = crate::testing::graph(&traffic(40));
        let relay = graph.indexed_nodes().find(|(_, node)| node.name == "relay").unwrap().0;
        let inside = graph.edges.iter_mut().find(|edge| edge.from == relay).unwrap();
        inside.kind = EdgeKind::Rpc;
        // What a torn trace left of one call.
        let mut torn = inside.clone();
        (torn.kind, torn.facts.calls) = (EdgeKind::Http, 1);
        graph.edges.push(torn);
        graph.edges.sort_by_key(|edge| (edge.from, edge.to));
        crate::testing::check_graph("pass-through-service", &graph, "", &[]);
    }

    #[test]
    fn what_starts_by_the_clock_passes_nothing_on() {
        let scheduled =
            "40 traces\nschedule timer nightly\n  report POST /report 40ms\n\n40 traces\nsearch GET /search";
        crate::testing::check("pass-through-service", scheduled, &[]);
    }

    #[test]
    fn a_declared_gateway_passes_on() {
        check_with("pass-through-service", &traffic(40), "[roles]\ngateway = \"relay\"", &[]);
    }

    #[test]
    fn few_requests_are_undecided() {
        check_with("pass-through-service", &traffic(29), "", &["(relay: 29 requests seen, 30 needed)"]);
        let mut graph = crate::testing::graph(&traffic(18));
        let operation = graph.operations.iter_mut().find(|operation| operation.name == "GET /relay").unwrap();
        operation.facts.requests += 1;
        operation.facts.outcomes[Outcome::Rejected.index()] += 1;
        let few = "(relay: 19 requests seen, 30 needed)";
        crate::testing::check_graph("pass-through-service", &graph, "", &[few]);
    }

    fn traffic(requests: u32) -> String {
        let relayed = "relay GET /relay\n    stock GET /stock 40ms";
        format!("{requests} traces\ncart GET /cart\n  {OWN}\n  {relayed}\n\n{requests} traces\nsearch GET /search")
    }
}
