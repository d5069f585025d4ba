//! A service that many others call and that itself calls many: every change and every failure goes through it.
//!
//! The signal is the number of other services on both sides, against fixed limits and against the rest of the system.
//! Refused: what is a centre by its role (gateway, auth, discovery, configuration, broker, what starts all of its work by
//! itself), and edges with too few calls. What many ask and what itself asks hardly anybody is a note: the graph alone does
//! not tell it from a platform. Of a hub that a larger circle makes one, the circle's finding tells.

use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::Operation;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::case::{Case, Draft, trace_of_edge};
use crate::context::Options;
use crate::finding::{Confidence, Evidence, Finding, Severity, Subject, Support, Undecided, Verdict};
use crate::roles::Role;
use crate::rule::{Category, OptionMeta, Rule, RuleMeta, Status};
use crate::rules::cyclic_dependency;
use crate::topology;
use crate::wording;

/// Roles that make a centre by design.
const CENTRES: &[Role] =
    &[Role::Gateway, Role::Bff, Role::Auth, Role::Config, Role::Discovery, Role::Broker, Role::Schedule];
/// The largest services that may be hubs at all, where 2 % of the system is fewer.
const MIN_RANK: usize = 3;
/// The share of the system that may be hubs.
const MAX_SHARE: f64 = 0.02;
/// The percentile of the other services that a hub lies above.
const PERCENTILE: f64 = 0.9;
/// How many times as many callers as callees a service has that stands below others rather than between them.
const PLATFORM_RATIO: usize = 10;

/// The rule.
pub(super) struct HubService;

/// Its metadata.
static META: RuleMeta = RuleMeta {
    name: "hub-service",
    category: Category::Boundaries,
    severity: Severity::Warning,
    confidence: Confidence::Strong,
    status: Status::Stable("0.1.0"),
    summary: "One service stands between many others that call it and many that it calls.",
    looks_like: "Sooner or later every request passes through the order service: six teams wait for its next release, and \
                 when it is slow the whole shop is.",
    why: "A hub collects the knowledge of all its neighbours. It changes whenever one of them does, it is hard to test, and \
          its failure is everybody's.",
    how: "Services that call it and services that it calls are counted, over calls that somebody waits for. The pattern holds \
          from `min_neighbours` in all on, or where callers times callees reach `min_product`; and only for services that \
          lie above the 90th percentile of the others and are among the three largest (or the largest 2 %). Ten times as many \
          callers as callees are a note. A hub in a circle of more services than it has neighbours is told of with the \
          circle where its neighbours in the circle alone make it one.",
    fix: "Split it along its callers' tasks, let callers ask the services behind it directly, or replace its calls by events \
          that those who need them follow.",
    limits: "Gateways, back ends for front ends, auth, configuration, discovery, brokers and what starts all of its requests \
             by itself are centres by their role and are exempt; those that the graph does not show are declared in \
             `[roles]`. Gateways, clients, datastores and topics count as nobody's neighbour.",
    references: &[
        "Garcia, Popescu, Edwards, Medvidovic: Identifying Architectural Bad Smells, CSMR 2009",
        "Bogner, Wagner, Zimmermann: Automatically measuring the maintainability of service- and microservice-based systems, \
         IWSM Mensura 2017 (AIS, ADS, ACS)",
        "Taibi, Lenarduzzi, Pahl: Microservices Anti-patterns: A Taxonomy (2020)",
    ],
    instrumentation_score: &[],
    options: &[
        OptionMeta { name: "min_neighbours", default: 6.0, help: "Callers and callees together that make a hub." },
        OptionMeta { name: "min_product", default: 8.0, help: "Callers times callees that make a hub." },
    ],
    absorbs: &[],
};

impl Rule for HubService {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn detect(&self, graph: &CallGraph, options: &Options<'_>) -> Verdict {
        let mut verdict = Verdict::default();
        if let Err(missing) = options.required().system(graph) {
            verdict.undecided.push(Undecided::of_input(&META, missing));
            return verdict;
        }
        let judged: Vec<_> = topology::services(graph)
            .filter(|&service| !options.roles().has_any(graph, service, CENTRES))
            .map(|service| Neighbourhood::of(graph, options, service))
            .collect();
        let mut sizes: Vec<_> = judged.iter().map(Neighbourhood::size).collect();
        sizes.sort_unstable();
        for hub in judged.iter().filter(|each| each.is_hub(options) && each.stands_out(each.size(), &sizes)) {
            verdict.take(hub.judge(graph, options, &sizes));
        }
        verdict
    }
}

/// A service with its neighbours.
struct Neighbourhood {
    service: NodeIndex,
    callers: Vec<NodeIndex>,
    callees: Vec<NodeIndex>,
    /// Callers and callees as services: several processes without a name may be one.
    sizes: [usize; 2],
}

impl Neighbourhood {
    fn of(graph: &CallGraph, options: &Options<'_>, service: NodeIndex) -> Self {
        let is_gateway = |&&index: &&NodeIndex| options.roles().has_any(graph, index, &[Role::Gateway]);
        let counted = |nodes: &[NodeIndex]| nodes.iter().filter(|node| !is_gateway(node)).copied().collect();
        let calls = options.calls();
        Self::between(graph, counted(calls.callers(service)), service, counted(calls.callees(service)))
    }

    fn between(graph: &CallGraph, callers: Vec<NodeIndex>, service: NodeIndex, callees: Vec<NodeIndex>) -> Self {
        let sizes = [&callers, &callees].map(|nodes| topology::count_services(graph, nodes.iter().copied()));
        Self { service, callers, callees, sizes }
    }

    fn size(&self) -> usize {
        self.sizes.iter().sum()
    }

    fn is_hub(&self, options: &Options<'_>) -> bool {
        self.size() as u64 >= options.whole("min_neighbours")
            || self.sizes.iter().product::<usize>() as u64 >= options.whole("min_product")
    }

    /// Whether with so many neighbours it lies above the percentile of the others and is among the largest. `sizes` is
    /// sorted and has its own.
    fn stands_out(&self, size: usize, sizes: &[usize]) -> bool {
        let others = sizes.len() - 1;
        let rank = ((others as f64 * PERCENTILE).ceil() as usize).clamp(1, others.max(1)) - 1;
        // Its own entry is left out: where it stands at or before the rank, the next one takes its place.
        let own = sizes.partition_point(|&other| other < self.size());
        let percentile = sizes.get(if rank >= own { rank + 1 } else { rank }).copied().unwrap_or_default();
        let larger = sizes.len() - sizes.partition_point(|&other| other <= size) - usize::from(self.size() > size);
        let allowed = MIN_RANK.max((sizes.len() as f64 * MAX_SHARE) as usize);
        size > percentile && larger < allowed
    }

    /// The same with the edges alone that were seen often enough.
    fn supported(&self, graph: &CallGraph, options: &Options<'_>) -> Self {
        let is_supported = |from, to| {
            let edges = topology::edges_between(graph, from, to);
            edges.iter().any(|edge| options.required().edge(edge.facts.calls, edge.facts.traces).is_ok())
        };
        let callers = self.callers.iter().copied().filter(|&caller| is_supported(caller, self.service)).collect();
        let callees = self.callees.iter().copied().filter(|&callee| is_supported(self.service, callee)).collect();
        Self::between(graph, callers, self.service, callees)
    }

    /// Whether it has so many more callers than callees that it may be what all build on.
    fn is_platform(&self) -> bool {
        let [callers, callees] = self.sizes;
        callers >= callees.max(1) * PLATFORM_RATIO
    }

    /// Callers and callees, as pairs of caller and callee.
    fn pairs(&self) -> Vec<(NodeIndex, NodeIndex)> {
        let incoming = self.callers.iter().map(|&caller| (caller, self.service));
        incoming.chain(self.callees.iter().map(|&callee| (self.service, callee))).collect()
    }

    /// The same within a circle that makes it a hub: one of more services than it has neighbours, in which alone it would
    /// be one. None where nobody tells of circles.
    fn of_circle(&self, graph: &CallGraph, options: &Options<'_>) -> Option<Self> {
        if !cyclic_dependency::is_on(options) {
            return None;
        }
        let is_in = |circle: &[NodeIndex], service: NodeIndex| circle.binary_search(&service).is_ok();
        let mut circles = cyclic_dependency::circles(graph, options).iter();
        let circle = circles.find(|circle| circle.len() > self.size() && is_in(circle, self.service))?;
        let closes = |from, to| {
            let edges = topology::edges_between(graph, from, to);
            edges.iter().any(|edge| cyclic_dependency::closes_circle(graph, options, edge))
        };
        let part = |nodes: &[NodeIndex]| nodes.iter().copied().filter(|&node| is_in(circle, node)).collect::<Vec<_>>();
        let mut callers = part(&self.callers);
        callers.retain(|&caller| closes(caller, self.service));
        let mut callees = part(&self.callees);
        callees.retain(|&callee| closes(self.service, callee));
        let within = Self::between(graph, callers, self.service, callees);
        within.is_hub(options).then_some(within)
    }

    fn title(&self, graph: &CallGraph) -> String {
        let ([callers, callees], name) = (self.sizes, &graph.node(self.service).name);
        if self.is_platform() {
            return format!("{name} is asked by {callers} services and asks {callees}");
        }
        let [callers, callees] =
            [(callers, "caller"), (callees, "callee")].map(|(count, noun)| wording::count(count as u64, noun));
        format!("{name} stands between {callers} and {callees}")
    }

    fn fix(&self, graph: &CallGraph) -> String {
        let name = &graph.node(self.service).name;
        if self.is_platform() {
            return format!(
                "Where {name} is what all others build on, keep what it offers small and stable, and declare its role in \
                 `[roles]`; else split it along the tasks of its callers."
            );
        }
        let around = match self.callees.as_slice() {
            [] => "",
            _ => ", or let those who ask through it ask the services behind it or follow their events",
        };
        format!("Split {name} along the tasks of its callers{around}.")
    }

    fn judge(&self, graph: &CallGraph, options: &Options<'_>, sizes: &[usize]) -> Result<Finding, Undecided> {
        let case = Case::new(graph, options, [self.service]);
        let supported = self.supported(graph, options);
        if !supported.is_hub(options) {
            let missing = format!(
                "{} with enough calls, {} needed",
                wording::count(supported.size() as u64, "neighbour"),
                options.whole("min_neighbours")
            );
            return Err(case.undecided(missing));
        }
        if !self.stands_out(supported.size(), sizes) {
            let seen = wording::count(supported.size() as u64, "neighbour");
            return Err(case.undecided(format!("{seen} with enough calls, as many as others have")));
        }
        if supported.callers.is_empty() && !is_asked(graph, self.service) {
            return Err(case.undecided("nobody was seen asking it, so it may be the gateway"));
        }
        let node = graph.node(self.service);
        let requests = node.service.as_ref().map_or(0, |service| service.requests);
        options.required().requests(requests).map_err(|missing| case.undecided(missing))?;
        // Of a hub that a circle makes one the circle's part is told, so that the circle explains it.
        let told = supported.of_circle(graph, options).unwrap_or(supported);
        let pairs = told.pairs();
        let edges = || pairs.iter().filter_map(|&(from, to)| topology::edges_between(graph, from, to).first());
        let used = edges().filter(|edge| edge.from == self.service).map(|edge| edge.facts.requests).max();
        let [callers, callees] = told.sizes;
        case.finding(Draft {
            severity: if told.is_platform() { Severity::Note } else { META.severity },
            title: told.title(graph),
            message: format!(
                "{} call {}, and it calls {}; few other services of this system have so many neighbours.",
                if callers == 0 { "No services".to_owned() } else { names(graph, &told.callers) },
                node.name,
                if callees == 0 { "none".to_owned() } else { names(graph, &told.callees) },
            ),
            fix: told.fix(graph),
            subject: Subject {
                edges: pairs
                    .iter()
                    .map(|&(from, to)| (graph.node(from).id.clone(), graph.node(to).id.clone()))
                    .collect(),
                ..Subject::default()
            },
            evidence: vec![
                Evidence::of("neighbours", told.size() as f64, "services").against(options.number("min_neighbours")),
                Evidence::of("callers", callers as f64, "services"),
                Evidence::of("callees", callees as f64, "services"),
            ],
            support: Support::of(used.unwrap_or(requests), requests),
            traces: edges().filter_map(trace_of_edge).collect(),
            ..case.draft()
        })
    }
}

/// Whether anything tells what the requests of a service are for. Calls alone do not, where nothing but calls is recorded.
fn is_asked(graph: &CallGraph, service: NodeIndex) -> bool {
    let untold = |operation: &Operation| operation.facts.entries[Entry::Untold as usize];
    topology::operations_of(graph, service).iter().any(|operation| operation.facts.requests > untold(operation))
}

fn names(graph: &CallGraph, nodes: &[NodeIndex]) -> String {
    wording::list(&nodes.iter().map(|&node| graph.node(node).name.as_str()).collect::<Vec<_>>())
}

#[cfg(test)]
mod tests {
    use super::{Entry, Finding};
    use crate::testing::check_with;

    fn check(traces: &str, expected: &[&str]) {
        crate::testing::check("hub-service", traces, expected);
    }

    /// Two ways in, so that neither is a gateway, and services around the hub.
    fn system(hub: &str) -> String {
        format!(
            "40 traces\nweb GET /\n  shop GET /\n{hub}\n\n40 traces\nmobile GET /\n  shop GET /\n  a GET /a\n    b GET /b"
        )
    }

    const HUB: &str = "    c GET /c\n    d GET /d\n    e GET /e\n    f GET /f";

    #[test]
    fn six_neighbours_are_a_hub() {
        check(&system(HUB), &["warning strong: shop stands between 2 callers and 4 callees"]);
    }

    #[test]
    fn two_callers_and_three_callees_are_none() {
        check(&system("    c GET /c\n    d GET /d\n    e GET /e"), &[]);
    }

    #[test]
    fn processes_that_nobody_named_may_be_one_neighbour() {
        let unnamed = ["c", "d", "e", "f"].iter().fold(system(HUB), |text, name| {
            text.replace(&format!("{name} GET /{name}"), &format!("unknown_service@{name} GET /c"))
        });
        check(&unnamed, &[]);
    }

    #[test]
    fn the_gateway_counts_on_neither_side_and_is_no_hub() {
        check(&format!("40 traces\nweb GET /\n  shop GET /\n{HUB}\n  a GET /a\n    b GET /b\n  g GET /g"), &[]);
    }

    #[test]
    fn datastores_topics_and_externals_are_no_neighbours() {
        check(
            &system(
                "    c GET /c\n    sql postgresql db:5432 x SELECT t\n    publish seen\n    host api.example GET /x\n    d GET /d",
            ),
            &[],
        );
    }

    #[test]
    fn declared_centres_are_exempt() {
        for role in ["gateway", "auth", "config", "discovery", "broker", "bff"] {
            check_with("hub-service", &system(HUB), &format!("[roles]\n{role} = \"shop\""), &[]);
        }
    }

    #[test]
    fn what_starts_by_itself_is_in_nobodys_way() {
        let night = ["c", "d", "e", "f", "a", "b"].map(|service| format!("    {service} GET /{service}\n"));
        let traces =
            format!("{}\n\n40 traces\nschedule night report\n{}", system(""), night.concat().replace("    ", "  "));
        check(&traces, &[]);
    }

    #[test]
    fn where_everybody_has_many_neighbours_nobody_is_a_hub() {
        let all = ["a", "b", "c", "d", "e", "f", "g"];
        let below = |from: &&str| {
            let to = all.iter().filter(|to| *to != from).map(|to| format!("\n  {to} GET /{to}"));
            format!("40 traces\n{from} GET /{}", to.collect::<Vec<_>>().concat())
        };
        let everybody = all.iter().map(below).collect::<Vec<_>>().join("\n\n");
        check(&everybody, &[]);
        // Neighbours that are hardly ever called make nobody larger.
        let rarely = ["h", "i", "j", "k", "l", "m", "n"].map(|to| format!("\n  {to} GET /{to}")).concat();
        check(
            &format!("{everybody}\n\n{}\n\nz GET /{rarely}", below(&"z")),
            &["(z: 7 neighbours with enough calls, as many as others have)"],
        );
    }

    #[test]
    fn of_whom_nothing_but_calls_is_seen_may_be_the_gateway() {
        let mut graph = crate::testing::graph(&format!("40 traces\nshop GET /\n{HUB}\n    g GET /g\n    h GET /h"));
        crate::testing::check_graph("hub-service", &graph, "", &[]);
        for operation in &mut graph.operations {
            let asked = operation.facts.entries[Entry::Client as usize];
            operation.facts.entries = [0, 0, 0, 0, 0, asked];
        }
        let expected = ["(shop: nobody was seen asking it, so it may be the gateway)"];
        crate::testing::check_graph("hub-service", &graph, "", &expected);
    }

    #[test]
    fn what_hardly_asks_anybody_may_be_a_platform() {
        let callers = |count| {
            let callers = ('a'..='z').take(count);
            callers.map(|name| format!("40 traces\n{name} GET /\n  stock GET /s")).collect::<Vec<_>>().join("\n\n")
        };
        check(&callers(9), &["warning strong: stock stands between 9 callers and 0 callees"]);
        check(&callers(10), &["note strong: stock is asked by 10 services and asks 0"]);
        let asking = |callees: &str| callers(10).replacen("/s", &format!("/s{callees}"), 1);
        check(&asking("\n    y GET /y"), &["note strong: stock is asked by 10 services and asks 1"]);
        check(
            &asking("\n    y GET /y\n    z GET /z"),
            &["warning strong: stock stands between 10 callers and 2 callees"],
        );
    }

    /// What the findings of both rules are and absorb.
    fn check_circle(traces: &str, expected: &[(&str, &str, usize)]) {
        let told = |finding: &Finding| (finding.rule.name, finding.severity.as_str(), finding.absorbs.len());
        let findings = crate::testing::analysis(traces, "").findings;
        let is_judged = |finding: &&Finding| ["hub-service", "cyclic-dependency"].contains(&finding.rule.name);
        assert_eq!(findings.iter().filter(is_judged).map(told).collect::<Vec<_>>(), expected);
    }

    /// A circle of seven services in which `shop` has six neighbours, and `others` that call it from outside.
    fn circle(others: &[&str]) -> String {
        let ways = ["a GET /a\n    d GET /d", "b GET /b\n    e GET /e", "c GET /c\n    f GET /f"];
        let ways = ways.map(|way| format!("40 traces\nshop GET /\n  {way}")).join("\n\n");
        let callers = ["d", "e", "f"].iter().chain(others);
        let back: Vec<_> = callers.map(|from| format!("\n\n40 traces\n{from} GET /\n  shop GET /back")).collect();
        format!("{ways}{}", back.concat())
    }

    #[test]
    fn a_circle_explains_a_hub_that_it_makes() {
        check_circle(&circle(&[]), &[("cyclic-dependency", "warning", 1)]);
        // Most of what it stands between is no part of the circle.
        check_circle(&circle(&["g"]), &[("hub-service", "warning", 0), ("cyclic-dependency", "note", 0)]);
    }

    #[test]
    fn of_a_hub_that_a_circle_makes_the_circles_part_is_told() {
        let larger = circle(&["g"]).replace("c GET /c\n    f GET /f", "c GET /c\n    f GET /f\n      h GET /h");
        let larger = format!("{larger}\n\n40 traces\nh GET /\n  i GET /i\n    a GET /a");
        let absorbed = |config: &str| {
            let analysis = crate::testing::analysis(&larger, config);
            let absorbs = analysis.findings.into_iter().flat_map(|finding| finding.absorbs);
            absorbs.filter(|absorbed| absorbed.rule == "hub-service").map(|absorbed| absorbed.title).collect::<Vec<_>>()
        };
        assert_eq!(absorbed(""), ["shop stands between 3 callers and 3 callees"]);
        // Where nobody tells of the circle, all neighbours are told.
        check(&larger, &["warning strong: shop stands between 4 callers and 3 callees"]);
    }

    #[test]
    fn the_fix_is_one_for_what_stands_there() {
        let fix = |callers: usize| {
            let callers = ('a'..='z').take(callers);
            let traces: Vec<_> = callers.map(|name| format!("40 traces\n{name} GET /\n  stock GET /s")).collect();
            let findings = crate::testing::analysis(&traces.join("\n\n"), "").findings;
            findings.into_iter().find(|finding| finding.rule.name == "hub-service").unwrap().fix
        };
        assert_eq!(fix(9), "Split stock along the tasks of its callers.");
        assert!(fix(10).starts_with("Where stock is what all others build on"), "{}", fix(10));
    }

    #[test]
    fn a_hub_beside_a_small_circle_is_told_apart() {
        let beside = format!("{}\n\n40 traces\nd GET /\n  shop GET /", system(HUB));
        check_circle(&beside, &[("hub-service", "warning", 0), ("cyclic-dependency", "note", 0)]);
    }

    #[test]
    fn few_calls_are_undecided() {
        let few = system(HUB).replace("40 traces", "9 traces");
        check(&few, &["(shop: 0 neighbours with enough calls, 6 needed)"]);
        check("40 traces\nweb GET /\n  shop GET /", &["(2 services seen, 6 needed)"]);
    }
}
