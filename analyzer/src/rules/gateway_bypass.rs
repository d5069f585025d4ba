//! A service behind the gateway that the outside world also reaches past it.
//!
//! The signal is requests without a caller at a service that the gateway leads to. Refused: front ends by their role,
//! probes and schedules (which are no client requests), webhooks, which strangers call by design, and services whose
//! callers lose the context on the way, so that inner calls look like outer ones.

use spanlint_graph::facts::Entry;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use super::exposed_internal_service::is_hook;
use crate::case::{Case, Draft, trace_of_edge};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// The rule.
pub(super) struct GatewayBypass;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "gateway-bypass",
    category: Category::Security,
    severity: Severity::Warning,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "A service behind the gateway is also called from outside, past the gateway.",
    looks_like: "The old app still calls the price service by its own address; nobody remembers, until its limits and tokens \
                 are checked at the gateway alone.",
    why: "What the gateway does for safety (identity, limits, logging) does not happen on the other way in, and a door that \
          nobody watches stays open.",
    how: "Where a gateway exists, services that it leads to are looked at. The pattern holds where `min_share` or more of a \
          service's requests, and `min_requests` or more of them, have no caller.",
    fix: "Close the direct way in by network policy or mutual TLS, and send those who use it through the gateway.",
    limits: "Health checks and schedules are no requests from outside, and webhooks are for strangers to call. Where callers \
             lose the trace context, inner calls look like outer ones: services with many such calls are undecided. Services \
             that face front ends on purpose are declared as gateway or bff in `[roles]`.",
    references: &[
        "Richardson: Microservices Patterns (2018), API gateway",
        "OWASP: API Security Top 10 (2023), API9 Improper Inventory Management",
        "NIST SP 800-204: Security Strategies for Microservices-based Application Systems (2019)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_share",
            default: 0.01,
            help: "Share of a service's requests past the gateway, from 0 to 1.",
        },
        OptionMeta { name: "min_requests", default: 10.0, help: "Requests past the gateway that are no accident." },
    ],
    absorbs: &[],
};

impl Rule for GatewayBypass {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let faces = |index, roles: &[Role]| options.roles().has_any(graph, index, roles);
        let mut verdict = Verdict::default();
        let is_behind = options.roles().behind_gateways(graph);
        for service in topology::services(graph).filter(|&index| !faces(index, &[Role::Gateway, Role::Bff])) {
            let Some(gateway) = is_behind[service.0 as usize] else { continue };
            if let Some(judged) = judge(graph, options, gateway, service) {
                verdict.take(judged);
            }
        }
        verdict
    }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    gateway: NodeIndex,
    service: NodeIndex,
) -> Option<Result<Finding, Undecided>> {
    let operations = topology::operations_of(graph, service);
    let guarded = operations.iter().filter(|operation| !is_hook(&operation.name));
    let past: u64 = guarded.map(|operation| operation.facts.entries[Entry::Client as usize]).sum();
    let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
    let share = past as f64 / requests.max(1) as f64;
    if past < options.whole("min_requests") || share < options.number("min_share") {
        return None;
    }
    let case = Case::new(graph, options, [service]);
    if options.calls().lose_context(service, past) {
        return Some(
            Err(case.undecided("its callers lose the trace context, so inner calls may look like outer ones")),
        );
    }
    let (front, name) = (&graph.node(gateway).name, &graph.node(service).name);
    let case = Case::new(graph, options, [gateway, service]);
    let from_outside =
        graph.edges.iter().filter(|edge| edge.to == service && graph.node(edge.from).kind == NodeKind::Client);
    let edges: Vec<_> = from_outside.collect();
    Some(case.finding(Draft {
        title: format!("{name} is called from outside past {front}"),
        message: format!(
            "{past} of {} of {name} have no caller, although {front} is the way in and leads to {name}.",
            wording::count(requests, "request")
        ),
        fix: format!("Close the direct way to {name}, and send those who use it through {front}."),
        subject: Subject {
            edges:
                edges.iter().map(|edge| (graph.node(edge.from).id.clone(), graph.node(service).id.clone())).collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("requests_past_the_gateway", past as f64, "requests").against(options.number("min_requests")),
            Evidence::of("share_of_requests", share, "share").against(options.number("min_share")),
        ],
        support: Support::of(past, requests),
        traces: edges.iter().filter_map(|edge| trace_of_edge(edge)).collect(),
        ..case.draft()
    }))
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("gateway-bypass", traces, expected);
    }

    const THROUGH: &str = "100 traces\nweb GET /\n  cart GET /cart\n    price GET /price\n\n";

    #[test]
    fn ten_requests_past_the_gateway_fire() {
        check(
            &format!("{THROUGH}10 traces\nprice GET /price"),
            &["warning heuristic: price is called from outside past web"],
        );
        check(&format!("{THROUGH}9 traces\nprice GET /price"), &[]);
    }

    #[test]
    fn one_in_a_hundred_is_the_least() {
        check(&format!("{}10 traces\nprice GET /price", THROUGH.replace("100", "1000")), &[]);
    }

    #[test]
    fn schedules_messages_and_lost_parents_are_not_the_outside() {
        for entry in ["schedule price nightly", "price takes tick", "orphan price GET /price"] {
            check(&format!("{THROUGH}20 traces\n{entry}"), &[]);
        }
    }

    #[test]
    fn webhooks_are_for_strangers() {
        check(&format!("{THROUGH}20 traces\nprice POST /webhooks/bank"), &[]);
    }

    #[test]
    fn a_service_that_the_gateway_does_not_lead_to_has_its_own_way_in() {
        check(&format!("{THROUGH}20 traces\nstatus GET /"), &[]);
    }

    #[test]
    fn without_a_gateway_there_is_no_way_past_it() {
        check("50 traces\nweb GET /\n  price GET /price\n\n50 traces\nprice GET /price", &[]);
    }

    #[test]
    fn front_ends_by_role_are_on_purpose() {
        let traces = format!("{THROUGH}10 traces\nprice GET /price");
        check_with("gateway-bypass", &traces, "[roles]\nbff = \"price\"", &[]);
    }

    #[test]
    fn where_the_context_is_lost_nobody_can_tell() {
        let untraced = "20 traces\nweb GET /\n  host price GET /price\n\n20 traces\nprice GET /price";
        check(
            &format!("{THROUGH}{untraced}"),
            &["(price: its callers lose the trace context, so inner calls may look like outer ones)"],
        );
    }
}
