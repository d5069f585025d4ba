//! Roles that the graph shows.
//!
//! The gateway and what works by the clock are known by their traffic alone. Services that check identity, hand out
//! configuration or know addresses are asked by many and ask nobody but those, and so does many a plain service: their
//! names and what they are asked for must say the same. A back end for a front end gathers for clients, a broker passes on
//! without keeping, and both must be called so.

use std::collections::BTreeMap;

use spanlint_graph::facts::Entry;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use super::Role;
use crate::topology::{self, Calls, Identity};
use crate::wording;

/// The share of client requests that an inferred gateway takes.
pub const GATEWAY_MIN_CLIENT_SHARE: f64 = 0.8;
/// The share of the other services that an inferred gateway reaches, over any number of hops.
pub const GATEWAY_MIN_REACH: f64 = 0.5;
/// The callers from which on a service is asked by many, and the callees from which on one gathers or passes on to many.
const MANY: usize = 2;
/// The share of a service's requests that must speak of what its name says.
const MIN_SPEAKING_SHARE: f64 = 0.5;
/// The share of its requests that a back end for a front end gets from outside.
const BFF_MIN_CLIENT_SHARE: f64 = 0.5;

/// A role of those whom others ask, with the words that its services are called by, and those of what they are asked for.
struct Asked {
    role: Role,
    names: &'static [&'static str],
    tasks: &'static [&'static str],
}

/// The word of a name may be a part of it: `user-auth-service`, `TokenService`. Words that people also sell, such as
/// `registry` or `identity`, need what they are asked for as much as the others.
const ASKED: [Asked; 3] = [
    Asked {
        role: Role::Auth,
        names: &[
            "auth",
            "authn",
            "authz",
            "authentication",
            "authorization",
            "iam",
            "identity",
            "idp",
            "keycloak",
            "login",
            "oauth",
            "oauth2",
            "oidc",
            "sso",
            "token",
            "tokens",
        ],
        tasks: &[
            "authenticate",
            "authorize",
            "certs",
            "check",
            "credentials",
            "introspect",
            "jwks",
            "login",
            "logout",
            "oauth",
            "oauth2",
            "permissions",
            "session",
            "sessions",
            "signin",
            "token",
            "tokens",
            "userinfo",
            "validate",
            "verify",
            "whoami",
        ],
    },
    Asked {
        role: Role::Config,
        names: &["config", "configs", "configserver", "configuration", "flagd", "flags", "settings", "unleash"],
        tasks: &[
            "config",
            "configs",
            "configuration",
            "feature",
            "features",
            "flag",
            "flags",
            "kv",
            "profiles",
            "properties",
            "refresh",
            "resolve",
            "setting",
            "settings",
            "toggles",
        ],
    },
    Asked {
        role: Role::Discovery,
        names: &["consul", "discovery", "eureka", "registry"],
        tasks: &["apps", "catalog", "discover", "heartbeat", "instances", "lookup", "register", "resolve"],
    },
];

/// Words that a broker is called by.
const BROKERS: [&str; 10] =
    ["activemq", "artemis", "broker", "bus", "eventbus", "kafka", "mqtt", "nats", "pulsar", "rabbitmq"];
/// What the names of services that play the outside world begin with, once nothing but their letters is left.
const LOADS: [&str; 5] = ["artillery", "gatling", "loadgen", "loadtest", "locust"];
/// Words that a back end for a front end is called by.
const BFFS: [&str; 3] = ["bff", "bffs", "frontend"];

/// Every role that the graph shows, with the reason.
pub(super) fn roles(graph: &CallGraph, calls: &Calls) -> Vec<(NodeIndex, Role, String)> {
    let mut roles = Vec::new();
    roles.extend(gateways(graph, calls));
    let gateways: Vec<NodeIndex> = roles.iter().map(|(service, ..)| *service).collect();
    let neighbours = Neighbours::of(graph);
    for service in topology::services(graph) {
        let found = [
            scheduled(graph, service),
            asked(graph, calls, service),
            broker(graph, &neighbours, service),
            bff(graph, &neighbours, &gateways, service),
        ];
        roles.extend(found.into_iter().flatten().map(|(role, reason)| (service, role, reason)));
    }
    roles
}

/// Every request was started by a schedule.
fn scheduled(graph: &CallGraph, service: NodeIndex) -> Option<(Role, String)> {
    let (requests, of_schedules) = requests(graph, service, Entry::Schedule);
    (requests > 0 && requests == of_schedules)
        .then(|| (Role::Schedule, "starts its requests by itself, as by the clock".to_owned()))
}

/// Many ask it for what its name says, and it asks nobody but those.
fn asked(graph: &CallGraph, calls: &Calls, service: NodeIndex) -> Option<(Role, String)> {
    let (callers, callees) = (calls.callers(service), calls.callees(service));
    if callers.len() < MANY || !callees.iter().all(|callee| callers.binary_search(callee).is_ok()) {
        return None;
    }
    let name = &graph.node(service).name;
    let known = ASKED.iter().find(|known| has_word(name, known.names) && speaks(graph, service, known.tasks))?;
    let reason = format!(
        "is called so, is asked for it by {}, and asks nobody else",
        wording::count(callers.len() as u64, "service")
    );
    Some((known.role, reason))
}

/// Whether most requests of a service are for what one of `words` says.
fn speaks(graph: &CallGraph, service: NodeIndex, words: &[&str]) -> bool {
    let (mut all, mut speaking) = (0, 0);
    for operation in topology::operations_of(graph, service) {
        all += operation.facts.requests;
        if has_word(&operation.name, words) {
            speaking += operation.facts.requests;
        }
    }
    all > 0 && speaking as f64 >= all as f64 * MIN_SPEAKING_SHARE
}

/// How many services each node takes from and sends to, messages among them.
struct Neighbours {
    senders: Vec<usize>,
    receivers: Vec<usize>,
}

impl Neighbours {
    fn of(graph: &CallGraph) -> Self {
        let mut neighbours = Self { senders: vec![0; graph.nodes.len()], receivers: vec![0; graph.nodes.len()] };
        let joined = graph.edges.iter().filter(|edge| topology::joins_services(graph, edge));
        let mut pairs: Vec<_> = joined.map(|edge| (edge.from.0 as usize, edge.to.0 as usize)).collect();
        // Edges are sorted by their ends, so that those of one pair follow one another.
        pairs.dedup();
        for (from, to) in pairs {
            neighbours.receivers[from] += 1;
            neighbours.senders[to] += 1;
        }
        neighbours
    }
}

/// Many send to it, it sends to many, and it keeps nothing.
fn broker(graph: &CallGraph, neighbours: &Neighbours, service: NodeIndex) -> Option<(Role, String)> {
    let index = service.0 as usize;
    let (senders, receivers) = (neighbours.senders[index], neighbours.receivers[index]);
    let keeps = || {
        let edges = topology::edges_from(graph, service);
        edges.iter().any(|edge| graph.node(edge.to).kind == NodeKind::Datastore)
    };
    let is_broker = senders >= MANY && receivers >= MANY && has_word(&graph.node(service).name, &BROKERS) && !keeps();
    is_broker.then(|| {
        let receivers = wording::count(receivers as u64, "service");
        (Role::Broker, format!("is called so, and passes on from {senders} to {receivers}"))
    })
}

/// Clients ask it, by way of a gateway or not, and it gathers from many.
fn bff(
    graph: &CallGraph,
    neighbours: &Neighbours,
    gateways: &[NodeIndex],
    service: NodeIndex,
) -> Option<(Role, String)> {
    if !has_word(&graph.node(service).name, &BFFS) {
        return None;
    }
    let (requests, of_clients) = requests(graph, service, Entry::Client);
    let passed_on = gateways.iter().flat_map(|&gateway| topology::edges_between(graph, gateway, service));
    let of_clients = of_clients + passed_on.map(|edge| edge.facts.calls).sum::<u64>();
    let gathered = neighbours.receivers[service.0 as usize];
    let is_front = requests > 0 && of_clients as f64 >= requests as f64 * BFF_MIN_CLIENT_SHARE;
    (is_front && gathered >= MANY).then(|| {
        let gathered = wording::count(gathered as u64, "service");
        (Role::Bff, format!("is called so, and gathers for clients from {gathered}"))
    })
}

/// A service that clients ask, with all of its processes where nobody named it.
#[derive(Default)]
struct Front {
    requests: u64,
    nodes: Vec<NodeIndex>,
}

/// The services that play the outside world: nobody asks them, and they are called so.
fn loads(graph: &CallGraph, calls: &Calls) -> Vec<NodeIndex> {
    let is_load = |service: &NodeIndex| {
        let letters = graph.node(*service).name.chars().filter(|letter| letter.is_alphanumeric());
        let name = letters.flat_map(char::to_lowercase).collect::<String>();
        let (_, of_clients) = requests(graph, *service, Entry::Client);
        of_clients == 0 && calls.callers(*service).is_empty() && LOADS.iter().any(|load| name.starts_with(load))
    };
    topology::services(graph).filter(is_load).collect()
}

/// The service that takes [`GATEWAY_MIN_CLIENT_SHARE`] of all client requests and reaches [`GATEWAY_MIN_REACH`] of the
/// other services. Messages count as a way. Where nobody named it, it is as many nodes as it has processes.
fn gateways(graph: &CallGraph, calls: &Calls) -> Vec<(NodeIndex, Role, String)> {
    let mut fronts: BTreeMap<Identity<'_>, Front> = BTreeMap::new();
    let loads = loads(graph, calls);
    for service in topology::services(graph).filter(|service| !loads.contains(service)) {
        let (_, of_clients) = requests(graph, service, Entry::Client);
        let of_loads = loads.iter().flat_map(|&load| topology::edges_between(graph, load, service));
        let asked = of_clients + of_loads.map(|edge| edge.facts.calls).sum::<u64>();
        // What lost its trace on the way looks as if it came from outside.
        if asked > 0 && !calls.lose_context(service, asked) {
            let front = fronts.entry(topology::identity(graph, service)).or_default();
            front.requests += asked;
            front.nodes.push(service);
        }
    }
    let all: u64 = fronts.values().map(|front| front.requests).sum();
    let Some(Front { requests: most, nodes: front }) = fronts.into_values().max_by_key(|front| front.requests) else {
        return Vec::new();
    };
    if (most as f64) < all as f64 * GATEWAY_MIN_CLIENT_SHARE {
        return Vec::new();
    }
    let edges = graph.edges.iter().filter(|edge| topology::joins_services(graph, edge));
    let is_reached = topology::reached(graph, edges, front.clone());
    let is_other = |index: &NodeIndex| front.binary_search(index).is_err() && !loads.contains(index);
    let others: Vec<_> = topology::services(graph).filter(is_other).collect();
    let reached = others.iter().filter(|index| is_reached[index.0 as usize]).count();
    if reached == 0 || (reached as f64) < others.len() as f64 * GATEWAY_MIN_REACH {
        return Vec::new();
    }
    let (share, others) = (most as f64 * 100.0 / all as f64, others.len());
    let reason = format!("takes {share:.0} % of the client requests and leads to {reached} of {others} other services");
    let mut gateways: Vec<_> = front.iter().map(|&service| (service, Role::Gateway, reason.clone())).collect();
    gateways.extend(behind_proxy(graph, &front, &is_reached));
    gateways
}

/// The service that a proxy at the edge hands nearly every client request on to: it fronts what is behind it as if the
/// proxy told nothing.
fn behind_proxy(graph: &CallGraph, front: &[NodeIndex], is_reached: &[bool]) -> Option<(NodeIndex, Role, String)> {
    let &[proxy] = front else { return None };
    let operations = topology::operations_of(graph, proxy);
    let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
    let relays: u64 = operations.iter().map(|operation| operation.facts.relays).sum();
    let is_most = |part: u64| part as f64 >= requests as f64 * GATEWAY_MIN_CLIENT_SHARE;
    if !topology::is_proxy(graph, proxy) || !is_most(relays) {
        return None;
    }
    let edges = topology::edges_from(graph, proxy).iter();
    let handed = edges.filter(|edge| topology::is_synchronous_call(graph, edge)).max_by_key(|edge| edge.facts.calls);
    let fronted = handed.filter(|edge| is_most(edge.facts.calls))?.to;
    let edges = graph.edges.iter().filter(|edge| topology::joins_services(graph, edge));
    let leads_to = topology::reached(graph, edges, vec![fronted]);
    let others = topology::services(graph).filter(|&index| index != proxy && index != fronted);
    let (mut known, mut led_to) = (0_u32, 0_usize);
    for other in others.filter(|index| is_reached[index.0 as usize]) {
        known += 1;
        led_to += usize::from(leads_to[other.0 as usize]);
    }
    let is_wide = led_to > 0 && led_to as f64 >= f64::from(known) * GATEWAY_MIN_REACH;
    is_wide.then(|| {
        let name = &graph.node(proxy).name;
        (fronted, Role::Gateway, format!("takes what the proxy {name} passes on and leads to {led_to} services"))
    })
}

/// All requests of a service, and those that entered in this way.
fn requests(graph: &CallGraph, service: NodeIndex, entry: Entry) -> (u64, u64) {
    let operations = topology::operations_of(graph, service);
    let all = operations.iter().map(|operation| operation.facts.requests).sum();
    (all, operations.iter().map(|operation| operation.facts.entries[entry as usize]).sum())
}

/// Whether one of the words of a name is among `words`. A capital letter begins a word, as in `AuthService`.
fn has_word(name: &str, words: &[&str]) -> bool {
    let mut spaced = String::with_capacity(name.len());
    let mut was_lower = false;
    for letter in name.chars() {
        if letter.is_uppercase() && was_lower {
            spaced.push(' ');
        }
        was_lower = letter.is_lowercase() || letter.is_ascii_digit();
        spaced.extend(letter.to_lowercase());
    }
    spaced.split(|letter: char| !letter.is_alphanumeric()).any(|word| words.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::graph;

    /// The roles of all services but the gateway's, as `service: role`; of a lone `gateway` in `expected` that as well.
    fn check(traces: &str, expected: &[&str]) {
        let graph = graph(traces);
        let roles = roles(&graph, &Calls::of(&graph)).into_iter();
        let mut told: Vec<_> =
            roles.map(|(service, role, _)| format!("{}: {}", graph.node(service).name, role.as_str())).collect();
        told.sort();
        assert_eq!(told, expected);
    }

    #[test]
    fn the_gateway_takes_client_requests_and_reaches_the_others() {
        check("front GET /\n  cart GET /cart\n    stock GET /stock", &["front: gateway"]);
        check("4 traces\nfront GET /\n  cart GET /cart\n\ncart GET /cart", &["front: gateway"]);
    }

    #[test]
    fn what_stands_behind_nothing_but_a_proxy_is_the_gateway_too() {
        let traces = "edge GET /\n  front GET /\n    cart GET /cart\n    stock GET /stock";
        let told = |graph: &CallGraph| {
            let roles = roles(graph, &Calls::of(graph)).into_iter();
            roles.map(|(service, ..)| graph.node(service).name.clone()).collect::<Vec<_>>()
        };
        let mut graph = graph(traces);
        assert_eq!(told(&graph), ["edge"]);
        let edge = graph.nodes.iter_mut().find(|node| node.name == "edge").unwrap();
        let facts = &mut edge.service.as_mut().unwrap().facts;
        facts.proxy_spans = facts.spans;
        assert_eq!(told(&graph), ["edge", "front"]);
    }

    #[test]
    fn what_generates_load_plays_the_outside_world() {
        let traces = "schedule load-generator browse\n  front GET /\n    cart GET /cart\n    stock GET /stock";
        check(traces, &["front: gateway", "load-generator: schedule"]);
        check(&traces.replace("load-generator", "nightly"), &["nightly: schedule"]);
    }

    #[test]
    fn two_ways_in_make_no_gateway() {
        check("web GET /\n  cart GET /cart\n\nmobile GET /\n  cart GET /cart", &[]);
    }

    #[test]
    fn an_entry_that_reaches_few_is_no_gateway() {
        check("search GET /\n\nschedule a nightly\n  b GET /b\n    c GET /c", &["a: schedule"]);
    }

    /// `web` and `app` are asked from outside and ask what is below them.
    fn asked(below: &str) -> String {
        ["web", "app"].map(|front| format!("{front} GET /\n  {below}")).join("\n\n")
    }

    #[test]
    fn those_whom_many_ask_for_what_they_are_called_by() {
        for service in ["auth", "user-auth-service", "AuthService", "shop.login"] {
            check(&asked(&format!("{service} POST /token/verify")), &[&format!("{service}: auth")]);
        }
        check(&asked("config-server GET /config/{app}"), &["config-server: config"]);
        check(&asked("config-server GET /{name}/{profiles}"), &["config-server: config"]);
        check(&asked("eureka GET /eureka/apps/{app}"), &["eureka: discovery"]);
    }

    #[test]
    fn asking_back_those_that_ask_is_no_work_of_their_own() {
        check(&asked("auth POST /token/verify\n    app GET /keys"), &["auth: auth"]);
        check(&asked("auth POST /token/verify\n    users GET /users/{id}"), &[]);
    }

    #[test]
    fn a_name_alone_makes_no_role() {
        check(&asked("auth GET /auth/{id}"), &[]);
        check(&asked("author POST /token/verify"), &[]);
        check(&asked("registry GET /weddings/{id}"), &[]);
        check("web GET /\n  auth POST /token/verify\n\napp GET /", &[]);
    }

    #[test]
    fn what_is_asked_for_alone_makes_no_role() {
        check(&asked("users POST /token/verify"), &[]);
        check(&asked("stock GET /config"), &[]);
    }

    #[test]
    fn a_broker_passes_on_and_keeps_nothing() {
        let bus = asked("event-bus POST /events\n    mail POST /events\n    stock POST /events");
        check(&bus, &["event-bus: broker"]);
        check(&bus.replace("event-bus", "orders"), &[]);
        check(&format!("{bus}\n    sql postgresql db:5432 shop INSERT events"), &[]);
        check(&asked("event-bus POST /events\n    mail POST /events"), &[]);
        check(&bus.replace("event-bus", "bus-timetable").replace("    stock POST /events", ""), &[]);
    }

    #[test]
    fn a_back_end_for_a_front_end_gathers_for_clients() {
        let bff = "web-bff GET /\n  cart GET /cart\n  stock GET /stock\n\nmobile GET /\n  cart GET /cart";
        check(bff, &["web-bff: bff"]);
        check(&bff.replace("web-bff", "web-shop"), &[]);
        check(
            "front GET /\n  web-bff GET /\n    cart GET /cart\n    stock GET /stock",
            &["front: gateway", "web-bff: bff"],
        );
        check(
            "web-bff GET /\n  cart GET /cart\n\nmobile GET /\n  web-bff GET /\n  web-bff GET /x\n  stock GET /stock",
            &[],
        );
    }
}
