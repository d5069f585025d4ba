//! The outside world talks to many services directly: nobody stands between them and it.
//!
//! The signal is how client requests spread over services. Refused: systems with a gateway, services whose role is to
//! face a front end, clients that all ask for one name, functions of a platform, and entries that are only lost
//! context. Undecided: requests that a few hosts of the private network pass on, which may be a gateway that sends no
//! telemetry.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use spanlint_graph::facts::Entry;
use spanlint_graph::semantics::is_address;
use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft, trace_of_edge};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::{GATEWAY_MIN_CLIENT_SHARE, Role};
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// So many hosts, and no more, may be the instances of one gateway.
const MAX_GATEWAY_HOSTS: usize = 3;

/// The rule.
pub(super) struct MissingGateway;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "missing-gateway",
    category: Category::Security,
    severity: Severity::Warning,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "Several services take requests from outside, and no gateway stands before them.",
    looks_like: "The app knows the addresses of seven services; each of them checks tokens in its own way, and one of them \
                 forgot to.",
    why: "Every service that faces the outside has to do encryption, identity, limits and logging right by itself. Clients \
          depend on how the system is cut, so it cannot be cut anew.",
    how: "Requests without a caller are counted by the service that takes them. The pattern holds where `min_services` or more \
          take some, none takes 80 % of all, and clients do not ask for one and the same host name in 80 % of all.",
    fix: "Put a gateway before them that does identity, limits and routing once, and let the services accept nobody else.",
    limits: "A gateway that sends no telemetry shows by the one host name that its clients ask for. Where four in five \
             requests were passed on by a host of the private network, or came from three of its addresses, there may be \
             one, and the rule stays undecided; else declare the services that face front ends on purpose as gateway or bff \
             in `[roles]`. A service that others call without passing the context on looks as if it were called from \
             outside; those are left out.",
    references: &[
        "Richardson: Microservices Patterns (2018), API gateway",
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018 (No API Gateway)",
        "OWASP: Microservices Security Cheat Sheet",
    ],
    instrumentation_score: &[],
    options: &[OptionMeta {
        name: "min_services",
        default: 3.0,
        help: "Services with requests from outside that are many.",
    }],
    absorbs: &["exposed-internal-service"],
};

impl Rule for MissingGateway {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if let Err(missing) = options.required().system(graph) {
            verdict.undecided.push(Undecided::of_input(&META, missing));
            return verdict;
        }
        if topology::services(graph).any(|index| options.roles().has_any(graph, index, &[Role::Gateway])) {
            return verdict;
        }
        let is_front = |entry: &ClientEntry<'_>| options.roles().has_any(graph, entry.service, &[Role::Bff]);
        let all_entries = entries(graph, options);
        let is_one_name_asked = is_one_name_asked(&all_entries);
        let passed_on = passed_on(graph, &all_entries);
        let (fronts, entries): (Vec<_>, Vec<_>) = all_entries.into_iter().partition(is_front);
        let requests = |entries: &[ClientEntry<'_>]| entries.iter().map(|entry| entry.requests).sum::<u64>();
        let all = requests(&fronts) + requests(&entries);
        let most = entries.iter().map(|entry| entry.requests).max().unwrap_or_default();
        let is_fronted = most.max(requests(&fronts)) as f64 >= all as f64 * GATEWAY_MIN_CLIENT_SHARE;
        let is_fronted = is_fronted || is_one_name_asked;
        let services = topology::count_services(graph, entries.iter().map(|entry| entry.service));
        if !is_fronted && services as u64 >= options.whole("min_services") {
            verdict.take(judge(graph, options, &entries, &Requests { all, most, passed_on }));
        }
        verdict
    }
}

/// Requests of the outside world.
struct Requests {
    all: u64,
    /// Those of the busiest service that is no front end.
    most: u64,
    /// Those that one gateway without telemetry may have passed on.
    passed_on: u64,
}

/// What the outside world asks of one service.
struct ClientEntry<'a> {
    service: NodeIndex,
    requests: u64,
    edge: &'a Edge,
}

/// Services that clients call; functions are called by their platform. Where client addresses tell that some requests are
/// public, the others are not from outside.
fn entries<'a>(graph: &'a CallGraph, options: &Options<'_>) -> Vec<ClientEntry<'a>> {
    let is_client = |node| graph.node(node).kind == NodeKind::Client;
    let is_function = |node| graph.node(node).service.as_ref().is_some_and(|service| service.facts.function_spans > 0);
    let public = |node| graph.node(node).service.as_ref().map_or(0, |service| service.facts.public_requests);
    let tells_public = topology::services(graph).any(|service| public(service) > 0);
    let of_clients = graph.edges.iter().filter(|edge| is_client(edge.from));
    let entries = of_clients.filter_map(|edge| {
        let requests = client_requests(graph, edge.to);
        let is_outside = !tells_public || public(edge.to) > 0;
        let is_entry =
            requests > 0 && is_outside && !is_function(edge.to) && !options.calls().lose_context(edge.to, requests);
        is_entry.then_some(ClientEntry { service: edge.to, requests, edge })
    });
    let mut entries: Vec<_> = entries.collect();
    entries.dedup_by_key(|entry| entry.service);
    entries
}

/// Whether clients ask for one name, whoever answers: something that sends no telemetry stands before the services. An
/// address is no such name, since services on one machine share it.
fn is_one_name_asked(entries: &[ClientEntry<'_>]) -> bool {
    let is_name = |host: &str| !is_address(topology::without_port(host));
    let mut asked: BTreeMap<&str, u64> = BTreeMap::new();
    for (host, calls) in entries.iter().flat_map(|entry| &entry.edge.hosts) {
        *asked.entry(host).or_default() += calls;
    }
    let all: u64 = entries.iter().map(|entry| entry.requests).sum();
    asked.into_iter().any(|(host, calls)| is_name(host) && calls as f64 >= all as f64 * GATEWAY_MIN_CLIENT_SHARE)
}

fn client_requests(graph: &CallGraph, service: NodeIndex) -> u64 {
    let operations = topology::operations_of(graph, service);
    operations.iter().map(|operation| operation.facts.entries[Entry::Client as usize]).sum()
}

/// Requests that came by way of something which may be one gateway without telemetry: a host of the private network said
/// for whom it asks, or only few of its addresses ask.
fn passed_on(graph: &CallGraph, entries: &[ClientEntry<'_>]) -> u64 {
    let facts = entries.iter().filter_map(|entry| graph.node(entry.service).service.as_ref());
    let (mut forwarded, mut by_host) = (0, BTreeMap::new());
    for facts in facts.map(|service| &service.facts) {
        forwarded += facts.forwarded_requests;
        for (host, requests) in facts.private_clients.sorted() {
            *by_host.entry(host).or_insert(0) += requests;
        }
    }
    let mut hosts: Vec<u64> = by_host.into_values().collect();
    hosts.sort_unstable_by_key(|&requests| Reverse(requests));
    forwarded + hosts.iter().take(MAX_GATEWAY_HOSTS).sum::<u64>()
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    entries: &[ClientEntry<'_>],
    &Requests { all, most, passed_on }: &Requests,
) -> Result<Finding, Undecided> {
    let is_supported =
        |entry: &&ClientEntry<'_>| options.required().edge(entry.edge.facts.calls, entry.edge.facts.traces).is_ok();
    let supported: Vec<_> = entries.iter().filter(is_supported).collect();
    let case = Case::new(graph, options, entries.iter().map(|entry| entry.service));
    let needed = options.whole("min_services");
    let services = topology::count_services(graph, supported.iter().map(|entry| entry.service)) as u64;
    if services < needed {
        let seen = wording::count(services, "service");
        return Err(case.undecided(format!("{seen} with enough requests from outside, {needed} needed")));
    }
    options.required().requests(all).map_err(|missing| case.undecided(missing))?;
    if passed_on as f64 >= all as f64 * GATEWAY_MIN_CLIENT_SHARE {
        return Err(case.undecided("a few hosts of the private network pass the requests on, maybe a gateway"));
    }
    let case = Case::new(graph, options, supported.iter().map(|entry| entry.service));
    let names = wording::list(case.services());
    let share = most as f64 / all as f64;
    case.finding(Draft {
        title: format!("{names} are called from outside, and none is the gateway"),
        message: format!(
            "{} take {} without a caller between them; the busiest of them takes {:.0} %, so none stands before the others.",
            wording::count(supported.len() as u64, "service"),
            wording::count(all, "request"),
            share * 100.0
        ),
        fix: format!("Put a gateway before {names}, and have them accept requests from it alone."),
        subject: Subject {
            edges: supported
                .iter()
                .map(|entry| (graph.node(entry.edge.from).id.clone(), graph.node(entry.service).id.clone()))
                .collect(),
            ..Subject::default()
        },
        evidence: vec![
            Evidence::of("services_called_from_outside", supported.len() as f64, "services")
                .against(options.number("min_services")),
            Evidence::of("share_of_the_busiest", share, "share").against(GATEWAY_MIN_CLIENT_SHARE),
        ],
        support: Support::of(supported.iter().map(|entry| entry.requests).sum(), all),
        traces: supported.iter().filter_map(|entry| trace_of_edge(entry.edge)).collect(),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("missing-gateway", traces, expected);
    }

    const SPREAD: &str =
        "20 traces\na GET /\n  d GET /d\n\n20 traces\nb GET /\n  e GET /e\n\n20 traces\nc GET /\n  f GET /f";

    #[test]
    fn three_services_that_face_the_outside_fire() {
        check(SPREAD, &["warning heuristic: a, b and c are called from outside, and none is the gateway"]);
    }

    #[test]
    fn processes_that_nobody_named_may_be_one_front() {
        let unnamed = ["a", "b", "c"].iter().fold(SPREAD.to_owned(), |text, name| {
            text.replace(&format!("{name} GET /\n"), &format!("unknown_service@{name} GET /\n"))
        });
        check(&format!("{unnamed}\n\n5 traces\nd GET /\n  g GET /\n  h GET /\n  i GET /\n"), &[]);
    }

    #[test]
    fn one_that_takes_most_is_the_front() {
        check(&SPREAD.replacen("20 traces", "200 traces", 1), &[]);
    }

    #[test]
    fn two_ways_in_are_few() {
        check("20 traces\na GET /\n  d GET /d\n  e GET /e\n\n20 traces\nb GET /\n  c GET /c\n    f GET /f", &[]);
    }

    #[test]
    fn clients_that_ask_for_one_name_ask_what_stands_before_all() {
        let asked = |host: &str| SPREAD.replace(" GET /\n", &format!(" GET / http.host={host}\n"));
        check(&asked("shop.example"), &[]);
        for spread in [asked("10.0.0.1"), asked("localhost"), asked("shop.example").replacen("shop", "pay", 1)] {
            check(&spread, &["warning heuristic: a, b and c are called from outside, and none is the gateway"]);
        }
        // Ports tell services on one machine apart.
        let ports = asked("dev.example:8081").replacen("8081", "8082", 1);
        check(&ports, &["warning heuristic: a, b and c are called from outside, and none is the gateway"]);
    }

    #[test]
    fn platforms_stand_before_their_functions() {
        check(&format!("a is faas.name=a\n\n{SPREAD}"), &[]);
    }

    #[test]
    fn declared_front_ends_are_on_purpose() {
        check_with("missing-gateway", SPREAD, "[roles]\nbff = [\"a\", \"b\", \"c\"]", &[]);
        check_with("missing-gateway", SPREAD, "[roles]\ngateway = \"a\"", &[]);
    }

    #[test]
    fn one_front_end_beside_services_that_clients_call_is_no_gateway() {
        let beside = |requests: u32| format!("{SPREAD}\n\n{requests} traces\nweb-bff GET /\n  d GET /x\n  e GET /y");
        check(&beside(20), &["warning heuristic: a, b and c are called from outside, and none is the gateway"]);
        check(&beside(400), &[]);
        // What stands before all of them stands before the front end, too.
        let asked = |told: &str| beside(40).replace(" GET /\n", &format!(" GET / {told}\n"));
        check(&asked("http.host=shop.example"), &[]);
        let maybe = "(a b c: a few hosts of the private network pass the requests on, maybe a gateway)";
        check(&asked("client.address=10.0.0.1"), &[maybe]);
    }

    /// The same requests, each of which tells where it came from.
    fn from(address: &str) -> String {
        ["a GET /", "b GET /", "c GET /"].iter().fold(SPREAD.to_owned(), |traces, line| {
            traces.replace(&format!("{line}\n"), &format!("{line} {address}\n"))
        })
    }

    #[test]
    fn a_gateway_without_telemetry_may_stand_before_them() {
        let maybe = "(a b c: a few hosts of the private network pass the requests on, maybe a gateway)";
        check(&from("client.address=10.0.0.1"), &[maybe]);
        check(&from("client.address=203.0.113.9 network.peer.address=10.0.0.1"), &[maybe]);
        let open = "warning heuristic: a, b and c are called from outside, and none is the gateway";
        check(&from("client.address=203.0.113.9 network.peer.address=203.0.113.9"), &[open]);
        check(&from("client.address=127.0.0.1"), &[open]);
    }

    #[test]
    fn many_private_clients_are_no_gateway() {
        let rows = (1..=10).flat_map(|host| ["a", "b", "c"].map(|service| (host, service)));
        let traces: Vec<String> = rows
            .map(|(host, service)| {
                format!("2 traces\n{service} GET / client.address=10.0.0.{host}\n  {service}2 GET /below")
            })
            .collect();
        check(
            &traces.join("\n\n"),
            &["warning heuristic: a, b and c are called from outside, and none is the gateway"],
        );
    }

    #[test]
    fn schedules_and_messages_are_not_the_outside() {
        check(&SPREAD.replace("a GET /\n", "schedule a nightly\n"), &[]);
        check(&SPREAD.replace("a GET /\n", "a takes tick\n"), &[]);
    }

    #[test]
    fn few_requests_are_undecided() {
        check(
            &SPREAD.replacen("20 traces", "9 traces", 1),
            &["(a b c: 2 services with enough requests from outside, 3 needed)"],
        );
    }
}
