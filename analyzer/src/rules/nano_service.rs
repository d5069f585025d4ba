//! A service too small to be one: a single operation for a single caller, with less work in it than the call costs.
//!
//! The signal is what it does not have: a second operation, a second caller, data, callees, and more time of its own than
//! the network takes. Where no service of the input shows a datastore, that it has none says nothing.

use spanlint_graph::snapshot::{Edge, Operation};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// The rule.
pub(super) struct NanoService;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "nano-service",
    category: Category::Granularity,
    severity: Severity::Warning,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "A service does so little, for one caller only, that calling it costs more than what it does.",
    looks_like: "One function has its own repository, pipeline, deployment and dashboard; only one other service ever calls it, \
                 and most of the time between question and answer is spent on the network.",
    why: "Each service costs operation, monitoring and a place where a call may fail. Here that price is paid for less work \
          than the call itself takes.",
    how: "A service is nano where it has one operation and one caller, no datastore and no callee, at least `min_calls` \
          calls, and a median time of its own below `max_self_ms` and below what the network takes of the caller's time.",
    fix: "Move the function into its caller as a module or a library.",
    limits: "A service may be apart for isolation, special hardware or compliance, which no trace shows: ignore it with that \
             reason. Undecided where no datastore is seen at all, since then telemetry of datastores may be missing.",
    references: &[
        "Rotem-Gal-Oz: SOA Patterns (2012), Nanoservices",
        "Taibi, Lenarduzzi, Pahl: Microservices Anti-Patterns: A Taxonomy (2020)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_calls", default: 100.0, help: "Calls that must have been seen." },
        OptionMeta {
            name: "max_self_ms",
            default: 5.0,
            help: "Median time of its own, in milliseconds, below which a service does little.",
        },
    ],
    absorbs: &[],
};

impl Rule for NanoService {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let has_datastores = graph.nodes.iter().any(|node| node.kind == NodeKind::Datastore);
        if !has_datastores {
            verdict.undecided.push(Undecided::of_input(&META, "no statement on any datastore was seen"));
            return verdict;
        }
        let mut calls: Vec<Vec<&Edge>> = vec![Vec::new(); graph.nodes.len()];
        for edge in &graph.edges {
            calls[edge.to.0 as usize].push(edge);
        }
        for service in topology::services(graph) {
            let Some(nano) = Nano::of(graph, service, &calls[service.0 as usize], options) else { continue };
            verdict.take(nano.judge(graph, options));
        }
        verdict
    }
}

/// A service with one operation and one caller.
struct Nano<'a> {
    edge: &'a Edge,
    operation: &'a Operation,
    /// Median time of its own, in nanoseconds.
    self_ns: u64,
    /// Median of what the network takes, in nanoseconds.
    network_ns: u64,
}

impl<'a> Nano<'a> {
    /// The service that `calls` are all of.
    fn of(graph: &'a CallGraph, service: NodeIndex, calls: &[&'a Edge], options: &Options<'_>) -> Option<Self> {
        let [operation] = topology::operations_of(graph, service) else { return None };
        if !topology::edges_from(graph, service).is_empty() {
            return None;
        }
        // Of a trace that was torn apart may be left what is called otherwise.
        let edge = calls.iter().max_by_key(|edge| edge.facts.calls)?;
        if calls.iter().any(|other| other.from != edge.from) {
            return None;
        }
        let is_called = topology::is_synchronous_call(graph, edge) && edge.facts.overhead.count() > 0;
        let serves = [Role::Auth, Role::Config, Role::Discovery, Role::Gateway];
        if !is_called || options.roles().has_any(graph, service, &serves) {
            return None;
        }
        let (self_ns, network_ns) = (operation.facts.self_time.quantile(0.5), edge.facts.overhead.quantile(0.5));
        let is_little = (self_ns as f64) < options.number("max_self_ms") * 1e6 && self_ns < network_ns;
        is_little.then_some(Self { edge, operation, self_ns, network_ns })
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, [self.edge.to]);
        let (caller, service) = (graph.node(self.edge.from), graph.node(self.edge.to));
        let facts = &self.edge.facts;
        let needed = options.whole("min_calls");
        if facts.calls < needed {
            return Err(case.undecided(format!("{} seen, {needed} needed", wording::count(facts.calls, "call"))));
        }
        options.required().edge(facts.calls, facts.traces).map_err(|missing| case.undecided(missing))?;
        let [own_ms, network_ms] = [self.self_ns, self.network_ns].map(wording::milliseconds);
        let name = wording::operation(&service.name, &self.operation.name);
        case.finding(Draft {
            title: format!("{} does less than a call to it costs", service.name),
            message: format!(
                "{name} is all that {} offers, to {} alone; it has no data and asks nobody. The median request takes {} ms \
                 of its own, while the network takes {} ms.",
                service.name,
                caller.name,
                wording::number(own_ms),
                wording::number(network_ms),
            ),
            fix: format!("Move what {} does into {}, as a module or a library.", service.name, caller.name),
            subject: Subject {
                edges: vec![(caller.id.clone(), service.id.clone())],
                operations: vec![name],
                ..Subject::default()
            },
            evidence: vec![
                Evidence::of("self_time_ms_p50", own_ms, "ms").against(options.number("max_self_ms")),
                Evidence::of("network_ms_p50", network_ms, "ms"),
                Evidence::of("calls", facts.calls as f64, "calls").against(options.number("min_calls")),
            ],
            support: Support::of(self.operation.facts.requests, self.operation.facts.requests),
            traces: self.operation.facts.exemplars.proof(self.operation.facts.latency.quantile(0.5)),
            ..case.draft()
        })
    }
}

#[cfg(test)]
mod tests {
    use spanlint_graph::span::EdgeKind;

    use crate::testing::{check_graph, check_with, graph};

    const FINDING: &str = "warning heuristic: tax does less than a call to it costs";
    const DATA: &str = "\n  sql postgresql db:5432 cart SELECT lines";

    /// The call takes 1 ms within `tax` and 6 ms beside it: the notation's `7ms` is the caller's.
    fn check(traces: &str, expected: &[&str]) {
        check_with("nano-service", traces, "", expected);
    }

    #[test]
    fn less_work_than_the_call_costs_is_nano() {
        check(&format!("100 traces\ncart GET /cart{DATA}\n  tax GET /tax 7ms"), &[FINDING]);
    }

    #[test]
    fn more_work_than_the_call_costs_is_none() {
        check(&format!("100 traces\ncart GET /cart{DATA}\n  tax GET /tax 1ms"), &[]);
    }

    #[test]
    fn a_second_operation_caller_or_callee_makes_a_service() {
        for more in [
            "\n  tax GET /rates 7ms",
            "\n\n10 traces\nuser GET /user\n  tax GET /tax 7ms",
            "\n    sql postgresql db:5432 tax SELECT rates",
            "\n    rates GET /rates",
            "\n    publish taxed",
        ] {
            check(&format!("100 traces\ncart GET /cart{DATA}\n  tax GET /tax 17ms{more}"), &[]);
        }
    }

    #[test]
    fn what_a_torn_trace_left_of_a_call_is_no_second_caller() {
        let mut graph = graph(&format!("100 traces\ncart GET /cart{DATA}\n  tax GET /tax 7ms"));
        let mut torn = graph.edges.iter().find(|edge| edge.kind == EdgeKind::Http).unwrap().clone();
        (torn.kind, torn.facts.calls) = (EdgeKind::Rpc, 1);
        graph.edges.push(torn);
        graph.edges.sort_by_key(|edge| (edge.from, edge.to, edge.kind));
        check_graph("nano-service", &graph, "", &[FINDING]);
    }

    #[test]
    fn few_calls_and_inputs_without_data_are_undecided() {
        check(&format!("99 traces\ncart GET /cart{DATA}\n  tax GET /tax 7ms"), &["(tax: 99 calls seen, 100 needed)"]);
        check("100 traces\ncart GET /cart\n  tax GET /tax 7ms", &["(no statement on any datastore was seen)"]);
    }

    #[test]
    fn declared_roles_serve_others() {
        let traces = format!("100 traces\ncart GET /cart{DATA}\n  tax GET /tax 7ms");
        check_with("nano-service", &traces, "[roles]\nconfig = \"tax\"", &[]);
    }
}
