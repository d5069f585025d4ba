//! A caller that reaches a service by a fixed address, although others reach it by a name.
//!
//! The signal is the host as callers name it. Refused: addresses that change, which discovery gives, and peers that nobody
//! calls by a name, as on a developer's machine.

use std::cell::LazyCell;
use std::collections::{BTreeMap, BTreeSet};

use spanlint_graph::semantics::is_address;
use spanlint_graph::snapshot::Edge;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::case::{Case, Draft};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::rule::{Category, Rule, RuleMeta, Status};
use crate::wording;

/// The rule.
pub(super) struct HardCodedEndpoint;

/// Callees that one caller reaches by an address each: it asks a registry, as nobody writes down so many.
const MIN_RESOLVED: usize = 3;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "hard-coded-endpoint",
    category: Category::Governance,
    severity: Severity::Warning,
    confidence: Confidence::Heuristic,
    status: Status::Stable("0.1.0"),
    summary: "A service is called by a fixed address, although it has a name.",
    looks_like: "The service was moved to another machine; everything works but one caller, in whose settings somebody once \
                 wrote the address of the old one.",
    why: "A fixed address binds a caller to one machine: the callee cannot be moved, scaled or replaced without changing its \
          callers, and no balancer or failover stands between them.",
    how: "The hosts are taken as callers name them. The pattern holds where a service reaches a peer by one and the same IP \
          address, or by `localhost`, and another service, or other code of it, reaches the same peer by a name.",
    fix: "Call the service by the name that the others use, and let discovery or configuration lead to its address.",
    limits: "Some instrumentations record the address that a name led to. Where there are several of these, as pods come and \
             go, they are told apart; a single one that never changes in what was seen looks fixed. Callers that reach \
             several services by an address of its own each, and none by a name, are told these by a registry.",
    references: &[
        "Taibi, Lenarduzzi: On the Definition of Microservice Bad Smells, IEEE Software 35(3), 2018 (Hard-Coded Endpoints)",
        "Wiggins: The Twelve-Factor App (2011), III. Config",
        "Pigazzini, Arcelli Fontana, Lenarduzzi, Taibi: Towards Microservice Smells Detection, TechDebt 2020",
    ],
    instrumentation_score: &[],
    options: &[],
    absorbs: &[],
};

impl Rule for HardCodedEndpoint {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if graph.edges.iter().all(|edge| edge.hosts.is_empty()) {
            verdict.undecided.push(Undecided::of_input(&META, "no span tells the host that it calls"));
            return verdict;
        }
        let names = names(graph);
        let resolving = LazyCell::new(|| callers_that_resolve(graph));
        let of_services =
            graph.edges.iter().filter(|edge| !edge.is_derived && graph.node(edge.from).kind == NodeKind::Service);
        for edge in of_services {
            let (Some(address), Some((name, caller))) = (fixed(edge), &names[edge.to.0 as usize]) else { continue };
            if !resolving.contains(&edge.from) {
                verdict.take(judge(graph, options, edge, address, (name, caller)));
            }
        }
        verdict
    }
}

/// The name that most calls use to reach each node, and who uses it; by node.
fn names(graph: &CallGraph) -> Vec<Option<(&str, &str)>> {
    let mut most = vec![0; graph.nodes.len()];
    let mut names = vec![None; graph.nodes.len()];
    for edge in graph.edges.iter().filter(|edge| graph.node(edge.from).kind == NodeKind::Service) {
        let caller = graph.node(edge.from).name.as_str();
        for (host, calls) in edge.hosts.iter().filter(|(host, _)| !is_address(host)) {
            let to = edge.to.0 as usize;
            if *calls > most[to] {
                (most[to], names[to]) = (*calls, Some((host.as_str(), caller)));
            }
        }
    }
    names
}

/// Services that reach nobody by a name, and several by an address of its own each: gateways and balancers, which are told
/// where the instances are.
fn callers_that_resolve(graph: &CallGraph) -> BTreeSet<NodeIndex> {
    let joins = |edge: &&Edge| {
        !edge.is_derived && [edge.from, edge.to].into_iter().all(|node| graph.node(node).kind == NodeKind::Service)
    };
    let mut addresses: BTreeMap<NodeIndex, BTreeSet<&str>> = BTreeMap::new();
    let mut callers_by_name = BTreeSet::new();
    for edge in graph.edges.iter().filter(joins) {
        if edge.hosts.iter().any(|(host, _)| !is_address(host)) {
            callers_by_name.insert(edge.from);
        }
        addresses.entry(edge.from).or_default().extend(fixed(edge).map(|(address, _)| address));
    }
    let resolves = |(caller, addresses): (NodeIndex, BTreeSet<&str>)| {
        (addresses.len() >= MIN_RESOLVED && !callers_by_name.contains(&caller)).then_some(caller)
    };
    addresses.into_iter().filter_map(resolves).collect()
}

/// The only address that an edge's calls name, and how many do; others of them may use a name.
fn fixed(edge: &Edge) -> Option<(&str, u64)> {
    let mut addresses = edge.hosts.iter().filter(|(host, _)| is_address(host));
    match (addresses.next(), addresses.next()) {
        (Some((host, calls)), None) if !edge.facts.hosts.has_overflow() => Some((host, *calls)),
        _ => None,
    }
}

fn judge(
    graph: &CallGraph,
    options: &Options<'_>,
    edge: &Edge,
    (address, named): (&str, u64),
    (name, other): (&str, &str),
) -> Result<Finding, Undecided> {
    let case = Case::new(graph, options, [edge.from, edge.to]);
    let facts = &edge.facts;
    options.required().edge(named, facts.traces).map_err(|missing| case.undecided(missing))?;
    let (from, to) = (graph.node(edge.from), graph.node(edge.to));
    case.finding(Draft {
        title: format!("{} calls {} by the fixed address {address}", from.name, to.name),
        message: format!(
            "{} of {} to {} name the host {address}, while {other} calls it by the name {name}.",
            wording::count(named, "call"),
            from.name,
            to.name,
        ),
        fix: format!(
            "Let {} call {} by the name {name}, too, and take the address from discovery.",
            from.name, to.name
        ),
        subject: Subject { edges: vec![(from.id.clone(), to.id.clone())], ..Subject::default() },
        evidence: vec![Evidence::of("calls_by_fixed_address", named as f64, "calls")],
        support: Support::of(named, facts.calls),
        traces: facts.addressed.typical(1).into_iter().collect(),
        ..case.draft()
    })
}

#[cfg(test)]
mod tests {
    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("hard-coded-endpoint", traces, expected);
    }

    const BY_NAME: &str = "\n\n10 traces\nmobile GET /\n  cart GET /cart";

    fn by(host: &str) -> String {
        format!("10 traces\nweb GET /\n  cart GET /cart server.address={host}{BY_NAME}")
    }

    #[test]
    fn one_address_beside_a_name_is_hard_coded() {
        check(&by("10.0.0.7"), &["warning heuristic: web calls cart by the fixed address 10.0.0.7"]);
        check(&by("localhost"), &["warning heuristic: web calls cart by the fixed address localhost"]);
        check(&by("cart.shop.svc"), &[]);
        let mixed = by("10.0.0.7").replacen("\n\n", "\n  cart GET /price\n\n", 1);
        check(&mixed, &["warning heuristic: web calls cart by the fixed address 10.0.0.7"]);
    }

    #[test]
    fn the_trace_shows_the_address() {
        let by_name = "20 traces\nweb GET /\n  cart GET /cart";
        let orders = [
            (format!("{}\n\n{by_name}", by("10.0.0.7")), 1..=10),
            (format!("{by_name}\n\n{}", by("10.0.0.7")), 21..=30),
        ];
        for (traces, of_address) in orders {
            let findings = crate::testing::analysis(&traces, "").findings;
            let finding = findings.iter().find(|finding| finding.rule.name == "hard-coded-endpoint").unwrap();
            assert!(finding.traces.iter().all(|trace| of_address.contains(&{ trace.0 })), "{:?}", finding.traces);
        }
    }

    #[test]
    fn addresses_that_change_come_from_discovery() {
        let pod = |last: u32| format!("5 traces\nweb GET /\n  cart GET /cart server.address=10.0.0.{last}");
        check(&format!("{}\n\n{}{BY_NAME}", pod(7), pod(8)), &[]);
    }

    #[test]
    fn a_gateway_that_is_told_where_everybody_is_writes_down_nothing() {
        let call = |name: &str, host: &str| format!("\n  {name} GET /{name} server.address={host}");
        let by_address =
            ["cart", "price", "stock"].iter().zip(7..).map(|(name, last)| call(name, &format!("10.0.0.{last}")));
        let by_name = "\n\n10 traces\nmobile GET /\n  cart GET /cart\n  price GET /price\n  stock GET /stock";
        let all = by_address.collect::<Vec<_>>().concat();
        check(&format!("10 traces\nedge GET /{all}{by_name}"), &[]);
        let local = all.replace("10.0.0.7", "localhost").replace("10.0.0.8", "localhost");
        let finding =
            |name: &str, address: &str| format!("warning heuristic: edge calls {name} by the fixed address {address}");
        let expected = [finding("cart", "localhost"), finding("price", "localhost"), finding("stock", "10.0.0.9")];
        check(&format!("10 traces\nedge GET /{local}{by_name}"), &expected.each_ref().map(String::as_str));
        let expected = [finding("cart", "10.0.0.7"), finding("price", "10.0.0.8"), finding("stock", "10.0.0.9")];
        let also = call("users", "users");
        check(&format!("10 traces\nedge GET /{all}{also}{by_name}"), &expected.each_ref().map(String::as_str));
    }

    #[test]
    fn what_nobody_calls_by_a_name_has_none() {
        check(&by("localhost").replace("cart GET /cart\n\n", "").replace(BY_NAME, ""), &[]);
        check(
            "10 traces\nweb GET /\n  cart GET /cart unknown server.address=",
            &["(no span tells the host that it calls)"],
        );
    }

    #[test]
    fn few_calls_are_undecided() {
        check(
            &by("10.0.0.7").replacen("10 traces", "9 traces", 1),
            &["(cart web: 9 calls in 9 traces seen, 10 in 3 needed)"],
        );
    }
}
