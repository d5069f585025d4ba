//! A service that others call inside, and that strangers call from public addresses as well.
//!
//! The signal is requests without a caller whose client's address is public, from several addresses. Refused: front ends by
//! their role or because most that they get comes from outside, and webhooks, which are for strangers to call.

use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::{Edge, Operation};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft, trace_of_edge};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::{topology, wording};

/// The share of a service's requests that come from outside above which it is a front door and no inner service, where no
/// gateway stands before it.
const MAX_OUTER_SHARE: f64 = 0.5;
/// Parts of a path that strangers are told to call.
const HOOK_PARTS: [&str; 5] = ["callback", "callbacks", "hooks", "webhook", "webhooks"];

/// The rule.
pub(super) struct ExposedInternalService;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "exposed-internal-service",
    category: Category::Security,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "A service for inner use can be reached from the internet, and is.",
    looks_like: "The stock service got a public address for a test two years ago; since then strangers ask it directly, and it \
                 answers, because it trusts whoever reaches it.",
    why: "Services inside rely on their callers to have checked identity, limits and input. Whoever reaches one directly meets \
          none of that.",
    how: "Requests without a caller whose client has a public address are counted at services that other services call, as \
          are the addresses. The pattern holds from `min_requests` requests of `min_addresses` addresses, where a gateway \
          leads to the service or no more than half of its requests come from outside.",
    fix: "Take its public address away and let network policy admit only the services that call it; what outsiders need goes \
          through the gateway.",
    limits: "The client's address must be recorded. One address may stand for many people behind address translation, and is \
             not enough. Where hosts of the private network pass all of them on, that may be a gateway that sends no spans, \
             and the service is undecided, unless a gateway is known to stand before it. A service without a gateway \
             before it whose requests come mostly from outside, or one whose operations for them are webhooks, is meant to be reached; so is one with the role gateway or bff. Where it lies \
             behind a gateway, the way past that is the same fault and is not reported again.",
    references: &[
        "OWASP: API Security Top 10 (2023), API9 Improper Inventory Management",
        "Ponce, Soldani, Astudillo, Brogi: Smells and refactorings for microservices security (2022), \
         Publicly Accessible Microservices",
        "NIST SP 800-204: Security Strategies for Microservices-based Application Systems (2019)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta {
            name: "min_requests",
            default: 5.0,
            help: "Requests from public addresses that make the pattern.",
        },
        OptionMeta { name: "min_addresses", default: 3.0, help: "Public addresses that they must come from." },
    ],
    absorbs: &["gateway-bypass"],
};

impl Rule for ExposedInternalService {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let behind = options.roles().behind_gateways(graph);
        for service in topology::services(graph) {
            let is_front = options.roles().has_any(graph, service, &[Role::Gateway, Role::Bff]);
            if is_front || options.calls().callers(service).is_empty() {
                continue;
            }
            let is_behind_gateway = behind[service.0 as usize].is_some();
            if let Some(judged) = judge(graph, options, service, is_behind_gateway) {
                verdict.take(judged);
            }
        }
        verdict
    }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    service: NodeIndex,
    is_behind_gateway: bool,
) -> Option<Result<Finding, Undecided>> {
    let node = graph.node(service);
    let facts = &node.service.as_ref()?.facts;
    let (public, addresses) = (facts.public_requests, facts.public_clients.len() as u64);
    let (min_requests, min_addresses) = (options.number("min_requests"), options.number("min_addresses"));
    let operations = topology::operations_of(graph, service);
    let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
    // What lost its trace on the way looks as if it came from outside, whatever address it was forwarded for.
    let is_inner = is_behind_gateway && !options.calls().lose_context(service, public);
    let is_pattern = public as f64 >= min_requests
        && addresses as f64 >= min_addresses
        && (is_inner || public as f64 <= requests as f64 * MAX_OUTER_SHARE)
        && !operations.iter().filter(|operation| from_outside(operation) > 0).all(|operation| is_hook(&operation.name));
    if !is_pattern {
        return None;
    }
    let name = &node.name;
    let case = Case::new(graph, options, [service]);
    let callers: Vec<&str> =
        options.calls().callers(service).iter().map(|&caller| graph.node(caller).name.as_str()).collect();
    let from_clients =
        graph.edges.iter().filter(|edge| edge.to == service && graph.node(edge.from).kind == NodeKind::Client);
    let edges: Vec<&Edge> = from_clients.collect();
    // Whoever forwards them may be the way in on purpose.
    if !is_behind_gateway && facts.forwarded_requests >= public {
        return Some(Err(case.undecided("hosts of the private network pass its requests on, maybe a gateway")));
    }
    let support = match options.required().sighting(public, requests) {
        Ok(support) => support,
        Err(missing) => return Some(Err(case.undecided(missing))),
    };
    Some(case.finding(Draft {
        title: format!("{name} is an inner service that public addresses call"),
        message: format!(
            "{public} of {} of {name} came from {addresses} public addresses and have no caller, although {name} serves {}.",
            wording::count(requests, "request"),
            wording::list(&callers),
        ),
        fix: format!("Take the public address of {name} away, and admit only {}.", wording::list(&callers)),
        subject: Subject {
            edges: edges.iter().map(|edge| (graph.node(edge.from).id.clone(), node.id.clone())).collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("public_requests", public as f64, "requests").against(min_requests),
            Evidence::of("public_addresses", addresses as f64, "addresses").against(min_addresses),
        ],
        support,
        traces: facts.public.proof(1).into_iter().chain(edges.iter().filter_map(|edge| trace_of_edge(edge))).collect(),
        ..case.draft()
    }))
}

fn from_outside(operation: &Operation) -> u64 {
    operation.facts.entries[Entry::Client as usize]
}

/// Whether an operation of this name is there for strangers to call.
pub(super) fn is_hook(name: &str) -> bool {
    name.split(['/', ' ']).any(|part| HOOK_PARTS.contains(&part.to_ascii_lowercase().as_str()))
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    const INSIDE: &str = "20 traces\nweb GET /\n  cart GET /cart\n    stock GET /stock";

    fn strangers(count: u32, path: &str) -> String {
        (1..=count)
            .map(|last| format!("\n\n2 traces\nstock GET {path} client.address=203.0.113.{last}"))
            .collect::<Vec<_>>()
            .concat()
    }

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("exposed-internal-service", traces, expected);
    }

    #[test]
    fn five_requests_of_three_addresses_are_strangers() {
        let expected = "warning strong: stock is an inner service that public addresses call";
        check(&format!("{INSIDE}{}", strangers(3, "/stock")), &[expected]);
        check(&format!("{INSIDE}{}", strangers(2, "/stock")), &[]);
    }

    #[test]
    fn the_way_past_the_gateway_is_the_same_fault() {
        let traces = format!("{}{}", INSIDE.replace("20 traces", "60 traces"), strangers(5, "/stock"));
        let findings = crate::testing::analysis(&traces, "").findings;
        let told: Vec<_> = findings.iter().filter(|finding| finding.services.contains(&"stock".to_owned())).collect();
        let [exposed] = told.as_slice() else { panic!("{told:?}") };
        assert_eq!((exposed.rule.name, exposed.absorbs[0].rule), ("exposed-internal-service", "gateway-bypass"));
    }

    #[test]
    fn one_address_for_many_people_is_not_enough() {
        check(&format!("{INSIDE}\n\n9 traces\nstock GET /stock client.address=203.0.113.1"), &[]);
    }

    #[test]
    fn private_addresses_are_not_the_internet() {
        check(&format!("{INSIDE}{}", strangers(3, "/stock").replace("203.0.113.", "10.0.0.")), &[]);
    }

    #[test]
    fn webhooks_are_for_strangers() {
        check(&format!("{INSIDE}{}", strangers(4, "/webhooks/bank")), &[]);
    }

    #[test]
    fn what_a_gateway_stands_before_is_no_front_door() {
        let expected = "warning strong: stock is an inner service that public addresses call";
        let elsewhere = "100 traces\nweb GET /\n  cart GET /cart";
        check(&format!("{elsewhere}\n\n{INSIDE}{}", strangers(11, "/stock")), &[expected]);
        let lost = "11 traces\nweb GET /\n  host stock GET /stock";
        check(&format!("{elsewhere}\n\n{lost}\n\n{INSIDE}{}", strangers(11, "/stock")), &[]);
    }

    #[test]
    fn what_a_host_inside_passes_on_may_come_by_a_gateway() {
        let forwarded =
            strangers(3, "/stock").replace("client.address", "network.peer.address=10.0.0.9 client.address");
        let expected = "(stock: hosts of the private network pass its requests on, maybe a gateway)";
        check(&format!("{}{forwarded}", INSIDE.replace("web GET /\n  ", "schedule web nightly\n  ")), &[expected]);
        check(
            &format!("{}{forwarded}", INSIDE.replace("20 traces", "60 traces")),
            &["warning strong: stock is an inner service that public addresses call"],
        );
    }

    #[test]
    fn front_doors_are_meant_to_be_reached() {
        check(&format!("{INSIDE}{}", strangers(11, "/stock")), &[]);
        let traces = format!("{INSIDE}{}", strangers(3, "/stock"));
        check_with("exposed-internal-service", &traces, "[roles]\nbff = \"stock\"", &[]);
        check(&strangers(4, "/stock"), &[]);
    }
}
