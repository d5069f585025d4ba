//! Calls that anybody on their way can read.
//!
//! The signal is the scheme of a call or what the connection says of itself. That nothing is said of encryption proves
//! nothing. Refused: what stays on one host, and calls between services with a mesh's sidecars, which encrypt unseen.

use std::collections::BTreeSet;
use std::net::IpAddr;

use spanlint_graph::semantics::is_public_address;
use spanlint_graph::snapshot::{Edge, Node};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::datastore;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Undecided, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};
use crate::topology;
use crate::wording;

/// Last labels of names that lead nowhere outside of a network.
const INNER_ZONES: [&str; 13] = [
    "cluster",
    "consul",
    "corp",
    "docker",
    "home",
    "internal",
    "intranet",
    "lan",
    "local",
    "localdomain",
    "localhost",
    "private",
    "svc",
];

/// The rule.
pub(super) struct PlaintextTraffic;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "plaintext-traffic",
    category: Category::Security,
    severity: Severity::Error,
    confidence: Confidence::Proven,
    status: Status::Stable("0.1.0"),
    summary: "Calls travel in plain text, so that anybody on their way can read and change them.",
    looks_like: "The payment provider is called by `http:` because the sandbox was, and what customers buy goes through the \
                 networks of strangers in clear.",
    why: "Whoever stands on the way reads tokens and personal data, and can answer in the callee's stead. Inside of one's own \
          network it takes one machine that was broken into.",
    how: "A call is in plain text where its scheme is `http`, `ws` or `amqp`, or its span says `tls.established = false`. A \
          single one that leaves the system, for a host with a public name or address, is an error; all those within the \
          system together are a note.",
    fix: "Speak TLS to everything outside, and refuse what does not. Inside, let a mesh or the platform do mutual TLS.",
    limits: "Where spans say nothing of the transport nothing is concluded. Loopback, unix sockets and link-local addresses \
             are exempt, and so are services with a mesh's sidecar; a sidecar that sends no spans is not seen. A public name \
             may lead to a private address; one in the zone of the system's own databases is taken to.",
    references: &[
        "OWASP: Transport Layer Security Cheat Sheet",
        "NIST SP 800-204A: Building Secure Microservices-based Applications Using Service-Mesh Architecture (2020)",
        "Ponce, Soldani, Astudillo, Brogi: Smells and refactorings for microservices security (2022), \
         Non-Secured Service-to-Service Communications",
    ],
    instrumentation_score: &[],
    options: &[],
    absorbs: &[],
};

impl Rule for PlaintextTraffic {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        let mut inside = Vec::new();
        let tells = |edge: &&Edge| edge.facts.plain_calls + edge.facts.encrypted_calls > 0;
        let own = OwnZones::of(graph);
        let told = graph.edges.iter().filter(|edge| !edge.is_derived).filter(tells);
        let mut tells_any = false;
        for edge in told {
            tells_any = true;
            if edge.facts.plain_calls == 0 || stays(graph, edge) {
                continue;
            }
            if leaves(graph, edge, &own) {
                verdict.take(outside(graph, options, edge));
            } else {
                inside.push(edge);
            }
        }
        if !tells_any {
            verdict.undecided.push(Undecided::of_input(&META, "no span tells how its call travelled"));
        }
        if !inside.is_empty() {
            verdict.take(within(graph, options, &inside));
        }
        verdict
    }
}

/// Whether calls do not travel in plain text although their spans say so: a sidecar encrypts them, or they never leave
/// the host.
fn stays(graph: &CallGraph, edge: &Edge) -> bool {
    let has_sidecar = |node: NodeIndex| {
        let service = graph.node(node).service.as_ref();
        service.is_some_and(|service| service.facts.proxy_spans > 0)
    };
    let to = graph.node(edge.to);
    let is_between_services = to.kind == NodeKind::Service && (has_sidecar(edge.from) || has_sidecar(edge.to));
    let mut hosts = hosts(edge, to).peekable();
    is_between_services || hosts.peek().is_some() && hosts.all(is_link_local)
}

/// Whether calls leave the system: from one of its services to a host outside, or from outside to it.
fn leaves(graph: &CallGraph, edge: &Edge, own: &OwnZones<'_>) -> bool {
    let (from, to) = (graph.node(edge.from), graph.node(edge.to));
    let is_outside = |host: &str| is_public_ip(host) || is_public_name(host) && !own.has(host);
    match to.kind {
        NodeKind::External => hosts(edge, to).any(is_outside),
        NodeKind::Service if from.kind == NodeKind::Client => edge.hosts.iter().any(|(host, _)| is_outside(host)),
        NodeKind::Datastore | NodeKind::Topic => edge.hosts.iter().any(|(host, _)| is_public_ip(host)),
        NodeKind::Service | NodeKind::Client => false,
    }
}

/// Zones that are the system's own. It makes some itself: a cluster knows its services as `service.namespace`, and the
/// members of a set as `service-3.service`. In others it keeps its databases: who has `orders-db.corp.example` does not
/// ask `ledger.corp.example` over the networks of strangers.
struct OwnZones<'a>(BTreeSet<&'a str>);

impl<'a> OwnZones<'a> {
    fn of(graph: &'a CallGraph) -> Self {
        let services = graph.nodes.iter().filter_map(|node| node.service.as_ref());
        let made = services.flat_map(|service| [service.name.as_str(), service.namespace.as_str()]);
        let databases = graph.nodes.iter().filter_map(|node| node.datastore.as_ref());
        let kept = databases.filter(|info| datastore::holds_data(info) && !is_rented(&info.system));
        let hosts = kept.map(|info| topology::without_port(&info.address)).filter(|host| address(host).is_none());
        // The zone of a country or of the whole world is nobody's own.
        let zones = hosts.filter_map(|host| Some(host.split_once('.')?.1)).filter(|zone| zone.contains('.'));
        Self(made.chain(zones).collect())
    }

    fn has(&self, host: &str) -> bool {
        let zones = [host.rsplit_once('.'), host.split_once('.')];
        zones.into_iter().flatten().any(|(_, zone)| self.0.contains(zone))
    }
}

/// Whether a database is one of a provider's, whose zone it shares with everything else that the provider rents out.
fn is_rented(system: &str) -> bool {
    ["aws.", "azure.", "gcp."].iter().any(|provider| system.starts_with(provider))
}

/// The hosts as the caller named them, else the callee's own name.
fn hosts<'a>(edge: &'a Edge, to: &'a Node) -> impl Iterator<Item = &'a str> {
    let named = edge.hosts.is_empty().then(|| topology::without_port(&to.name));
    edge.hosts.iter().map(|(host, _)| host.as_str()).chain(named)
}

fn address(host: &str) -> Option<IpAddr> {
    host.trim_matches(['[', ']']).parse().ok()
}

fn is_public_ip(host: &str) -> bool {
    address(host).is_some_and(is_public_address)
}

fn is_link_local(host: &str) -> bool {
    address(host).is_some_and(|address| match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    })
}

/// Whether a host's name has a zone that is not one of those inside networks.
fn is_public_name(host: &str) -> bool {
    let host = host.trim_end_matches('.');
    let zone = host.rsplit_once('.').map(|(_, zone)| zone.to_ascii_lowercase());
    let is_inner = |zone: &str| INNER_ZONES.contains(&zone) || !zone.chars().all(char::is_alphanumeric);
    // The short form of a name within a cluster, `cart.shop.svc`, ends in an inner zone as well.
    address(host).is_none() && !host.contains(".svc.") && zone.is_some_and(|zone| !zone.is_empty() && !is_inner(&zone))
}

fn ends(graph: &CallGraph, edge: &Edge) -> (String, String) {
    (graph.node(edge.from).id.clone(), graph.node(edge.to).id.clone())
}

/// A call that leaves the system.
fn outside(graph: &CallGraph, options: &Options<'_>, edge: &Edge) -> Result<Finding, Undecided> {
    let (from, to) = (&graph.node(edge.from).name, &graph.node(edge.to).name);
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let plain = edge.facts.plain_calls;
    let support = options.required().sighting(plain, edge.facts.calls).map_err(|missing| case.undecided(missing))?;
    case.finding(Draft {
        title: format!("{from} calls {to} in plain text"),
        message: format!(
            "{plain} of {} of {from} to {to}, which is outside, can be read and changed by anybody on their way.",
            wording::count(edge.facts.calls, "call"),
        ),
        fix: format!("Let {from} call {to} by TLS, and refuse to call it without."),
        subject: Subject { edges: vec![ends(graph, edge)], ..Subject::default() },
        evidence: vec![Evidence::of("plaintext_calls", plain as f64, "calls").against(1.0)],
        support,
        traces: edge.facts.plain.proof(0),
        ..case.draft()
    })
}

/// All calls that stay within the system: one cause, which is that nobody encrypts there.
fn within(graph: &CallGraph, options: &Options<'_>, edges: &[&Edge]) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, edges.iter().flat_map(|edge| [edge.from, edge.to]));
    let plain: u64 = edges.iter().map(|edge| edge.facts.plain_calls).sum();
    let all: u64 = edges.iter().map(|edge| edge.facts.calls).sum();
    let support = options.required().sighting(plain, all).map_err(|missing| case.undecided(missing))?;
    let busiest = edges.iter().max_by_key(|edge| edge.facts.plain_calls).expect("there is an edge");
    let (from, to) = (&graph.node(busiest.from).name, &graph.node(busiest.to).name);
    let title = match edges {
        [_] => format!("{from} calls {to} in plain text, inside of the system"),
        _ => format!("{} inside of the system carry calls in plain text", wording::count(edges.len() as u64, "edge")),
    };
    case.finding(Draft {
        severity: Severity::Note,
        title,
        message: format!(
            "{} can be read by anybody on the network between {}; most of them are of {from} to {to}.",
            wording::count(plain, "call"),
            wording::list(case.services()),
        ),
        fix: format!("Let a mesh or the platform do mutual TLS between {}.", wording::list(case.services())),
        subject: Subject { edges: edges.iter().map(|edge| ends(graph, edge)).collect(), ..Subject::default() },
        evidence: vec![
            Evidence::of("plaintext_calls", plain as f64, "calls").against(1.0),
            Evidence::of("plaintext_edges", edges.len() as f64, "edges"),
        ],
        support,
        traces: edges.iter().filter_map(|edge| edge.facts.plain.typical(0)).collect(),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("plaintext-traffic", &traces.replace(" plain", " url.scheme=http"), expected);
    }

    #[test]
    fn one_call_to_the_outside_is_an_error() {
        let expected = "error proven: cart calls api.pay.example in plain text";
        check("cart GET /cart\n  host api.pay.example POST /pay plain", &[expected]);
        check("cart GET /cart\n  host api.pay.example POST /pay", &[]);
        check(
            "cart GET /cart\n  host 203.0.113.9 POST /pay plain",
            &["error proven: cart calls 203.0.113.9 in plain text"],
        );
    }

    #[test]
    fn all_calls_inside_are_one_note() {
        check(
            "web GET /\n  cart GET /cart plain\n    stock GET /stock plain",
            &["note proven: 2 edges inside of the system carry calls in plain text"],
        );
        check(
            "web GET /\n  cart GET /cart plain",
            &["note proven: web calls cart in plain text, inside of the system"],
        );
        for host in ["legacy", "10.0.0.7", "legacy.shop.svc.cluster.local", "legacy.corp"] {
            let expected = format!("note proven: web calls {host} in plain text, inside of the system");
            check(&format!("web GET /\n  host {host} GET /old plain"), &[&expected]);
        }
    }

    #[test]
    fn the_systems_own_zones_are_inside() {
        let traces = |host: &str| format!("web GET /\n  cart GET /cart\n  host {host} GET /old plain");
        for (host, is_outside) in [("legacy.cart", false), ("legacy.cart.example", true)] {
            let graph = crate::testing::graph(&traces(host).replace(" plain", " url.scheme=http"));
            let edge = graph.edges.iter().find(|edge| edge.facts.plain_calls > 0).unwrap();
            assert_eq!(leaves(&graph, edge, &OwnZones::of(&graph)), is_outside, "{host}");
        }
    }

    #[test]
    fn where_the_systems_databases_are_is_inside() {
        let check = |database: &str, is_outside| {
            let traces = format!("web GET /\n  sql {database} web SELECT lines\n  host old.corp.example GET /a plain");
            let graph = crate::testing::graph(&traces.replace(" plain", " url.scheme=http"));
            let edge = graph.edges.iter().find(|edge| edge.facts.plain_calls > 0).unwrap();
            assert_eq!(leaves(&graph, edge, &OwnZones::of(&graph)), is_outside, "{database}");
        };
        check("postgresql web-db.corp.example:5432", false);
        check("postgresql web-db.other.example:5432", true);
        check("postgresql corp.example:5432", true);
        check("postgresql 10.0.0.7:5432", true);
        check("redis web-cache.corp.example:6379", true);
        check("aws.dynamodb dynamodb.corp.example:443", true);
    }

    #[test]
    fn what_stays_on_the_host_cannot_be_read() {
        let silent: &[&str] = &["(no span tells how its call travelled)"];
        check("web GET /\n  host localhost GET /a plain\n  host 127.0.0.1 GET /b plain", silent);
        check("web GET /\n  host proxy GET /a network.transport=unix plain", silent);
        check("web GET /\n  host 169.254.169.254 GET /latest/meta-data plain", &[]);
    }

    #[test]
    fn nothing_said_proves_nothing() {
        check("web GET /\n  cart GET /cart unknown", &["(no span tells how its call travelled)"]);
    }

    #[test]
    fn a_sidecar_encrypts_unseen() {
        let mut graph = crate::testing::graph("web GET /\n  cart GET /cart url.scheme=http");
        let service = graph.nodes.iter_mut().find_map(|node| node.service.as_mut().filter(|it| it.name == "cart"));
        service.unwrap().facts.proxy_spans = 1;
        crate::testing::check_graph("plaintext-traffic", &graph, "", &[]);
    }

    #[test]
    fn names_of_networks_are_not_public() {
        for (host, is_public) in [
            ("api.pay.example", true),
            ("api.pay.example.", true),
            ("cart", false),
            ("cart.shop.svc", false),
            ("cart.internal", false),
            ("10.0.0.1", false),
            ("", false),
        ] {
            assert_eq!(is_public_name(host), is_public, "{host}");
        }
    }
}
