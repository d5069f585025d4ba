//! Metrics beside the findings, over synchronous calls between services. `docs/metrics.md` defines each.
//!
//! Rud, Schmietendorf, Dumke: Product Metrics for Service-Oriented Infrastructures, IWSM/MetriKon 2006. Perepletchikov,
//! Ryan, Frampton, Tari: Coupling Metrics, ASWEC 2007; Perepletchikov, Ryan, Tari: The Impact of Service Cohesion, IEEE
//! TSC 2010. Qingqing, Xinke: Research on Metrics for Service-Oriented Systems, 2009. Bogner, Wagner, Zimmermann:
//! Automatically Measuring the Maintainability of Service- and Microservice-based Systems, IWSM Mensura 2017.

use std::collections::{BTreeMap, BTreeSet};

use schemars::JsonSchema;
use serde::Serialize;
use spanlint_graph::facts::Histogram;
use spanlint_graph::{CallGraph, NodeIndex};

use super::json::rounded;
use crate::communities;
use crate::groups::Groups;
use crate::topology::{self, Calls};

/// The largest system in which each service's reach is walked, as that takes time by the square of it.
const MAX_SERVICES_WALKED: usize = 2_000;

/// `metrics` of the report.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Metrics {
    system: SystemMetrics,
    /// By the name that findings use.
    services: BTreeMap<String, ServiceMetrics>,
}

/// Of the whole system.
#[derive(Debug, Serialize, JsonSchema)]
struct SystemMetrics {
    /// Services.
    services: usize,
    /// Services interdependent with another: pairs with calls in both directions.
    siy: usize,
    /// Service coupling factor: edges over possible edges; null for fewer than two services.
    scf: Option<f64>,
    /// Mean of the longest synchronous way, in hops, of the requests that came from outside; null without any.
    mean_depth: Option<f64>,
    /// How much more of the traffic stays within the declared groups than chance would have it; null without groups.
    modularity: Option<f64>,
}

/// Of one service.
#[derive(Debug, Default, Serialize, JsonSchema)]
struct ServiceMetrics {
    /// Absolute importance: services that call it.
    ais: usize,
    /// Absolute dependence: services that it calls.
    ads: usize,
    /// Absolute criticality: their product.
    acs: usize,
    /// Relative importance: `ais` over the other services.
    ris: f64,
    /// Relative coupling: `ads` over the other services.
    rcs: f64,
    /// Services involved: those that it reaches over any number of calls, itself among them; null in large systems.
    nsic: Option<usize>,
    /// Interface usage cohesion: operations used by each calling service, over callers times operations; null without
    /// callers.
    siuc: Option<f64>,
    /// Interface data cohesion: pairs of operations with a table in common, over all pairs; null for fewer than two
    /// operations that touch tables.
    sidc: Option<f64>,
    /// Share of the time on the critical path of requests from outside; null without any.
    critical_path_share: Option<f64>,
}

impl Metrics {
    pub(super) fn of(graph: &CallGraph, groups: &Groups) -> Self {
        let calls = Calls::of(graph);
        let services: Vec<_> = topology::services(graph).collect();
        let mut of_services: BTreeMap<NodeIndex, ServiceMetrics> = BTreeMap::new();
        let others = services.len().saturating_sub(1).max(1) as f64;
        let is_small = services.len() <= MAX_SERVICES_WALKED;
        for &service in &services {
            let (ais, ads) = (calls.callers(service).len(), calls.callees(service).len());
            let info = graph.node(service).service.as_ref();
            let critical_ns = info.map_or(0, |service| service.facts.critical_ns);
            let all_ns = graph.counts.critical_ns;
            let metrics = ServiceMetrics {
                ais,
                ads,
                acs: ais * ads,
                ris: rounded(ais as f64 / others, 4),
                rcs: rounded(ads as f64 / others, 4),
                nsic: is_small.then(|| reach(&calls, service)),
                critical_path_share: (all_ns > 0).then(|| rounded(critical_ns as f64 / all_ns as f64, 4)),
                ..ServiceMetrics::default()
            };
            of_services.insert(service, metrics);
        }
        for (service, cohesion) in usage_cohesion(graph) {
            of_services.entry(service).or_default().siuc = Some(rounded(cohesion, 4));
        }
        for (service, cohesion) in data_cohesion(graph) {
            of_services.entry(service).or_default().sidc = Some(rounded(cohesion, 4));
        }
        let named = of_services.into_iter().map(|(index, service)| (graph.node(index).name.clone(), service));
        Self { system: SystemMetrics::of(graph, &calls, groups, services.len()), services: named.collect() }
    }
}

impl SystemMetrics {
    fn of(graph: &CallGraph, calls: &Calls, groups: &Groups, services: usize) -> Self {
        let mut depth = Histogram::default();
        graph.operations.iter().for_each(|operation| depth.merge(&operation.facts.depth));
        let possible = services * services.saturating_sub(1);
        let share = |edges: usize| rounded(edges as f64 / possible as f64, 4);
        let traffic = || communities::traffic(graph);
        let is_mutual = |(from, to): &(NodeIndex, NodeIndex)| from < to && calls.callees(*to).contains(from);
        Self {
            services,
            siy: calls.pairs().filter(is_mutual).count(),
            scf: (possible > 0).then(|| share(calls.pairs().count())),
            mean_depth: (depth.count() > 0).then(|| rounded(depth.sum() as f64 / depth.count() as f64, 3)),
            modularity: groups
                .source()
                .and_then(|_| communities::modularity(&traffic(), |node| groups.get(node)))
                .map(|modularity| rounded(modularity, 4)),
        }
    }
}

/// How many services one reaches, itself among them.
fn reach(calls: &Calls, service: NodeIndex) -> usize {
    let mut reached = BTreeSet::from([service]);
    let mut open = vec![service];
    while let Some(node) = open.pop() {
        open.extend(calls.callees(node).iter().copied().filter(|&callee| reached.insert(callee)));
    }
    reached.len()
}

/// Operations used by each calling service, over callers times operations.
fn usage_cohesion(graph: &CallGraph) -> BTreeMap<NodeIndex, f64> {
    let mut uses: BTreeMap<NodeIndex, BTreeSet<(NodeIndex, &str)>> = BTreeMap::new();
    for pattern in &graph.patterns {
        let caller = graph.operation(pattern.caller).node;
        if caller != pattern.callee && topology::operation(graph, pattern.callee, &pattern.template).is_some() {
            uses.entry(pattern.callee).or_default().insert((caller, &pattern.template));
        }
    }
    let cohesion = |(service, uses): (NodeIndex, BTreeSet<(NodeIndex, &str)>)| {
        let callers: BTreeSet<_> = uses.iter().map(|(caller, _)| caller).collect();
        let possible = callers.len() * topology::operations_of(graph, service).len();
        (service, uses.len() as f64 / possible.max(1) as f64)
    };
    uses.into_iter().map(cohesion).collect()
}

/// Tables, each with its datastore.
type Tables<'a> = BTreeSet<(NodeIndex, &'a str)>;

/// Pairs of operations with a table in common, over all pairs of operations that touch tables.
fn data_cohesion(graph: &CallGraph) -> BTreeMap<NodeIndex, f64> {
    let mut touched: BTreeMap<NodeIndex, BTreeMap<u32, Tables<'_>>> = BTreeMap::new();
    for pattern in graph.patterns.iter().filter(|pattern| !pattern.tables.is_empty()) {
        let tables = pattern.tables.iter().map(|table| (pattern.callee, table.as_str()));
        let of_service = touched.entry(graph.operation(pattern.caller).node).or_default();
        of_service.entry(pattern.caller.0).or_default().extend(tables);
    }
    let mut cohesion = BTreeMap::new();
    for (service, operations) in touched.into_iter().filter(|(_, operations)| operations.len() > 1) {
        let tables: Vec<_> = operations.values().collect();
        let pairs = (0..tables.len()).flat_map(|left| (0..left).map(move |right| (left, right)));
        let common = pairs.clone().filter(|&(left, right)| !tables[left].is_disjoint(tables[right])).count();
        cohesion.insert(service, common as f64 / pairs.count() as f64);
    }
    cohesion
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::architecture::Architecture;
    use crate::testing::graph;

    fn metrics(traces: &str) -> Metrics {
        let graph = graph(traces);
        Metrics::of(&graph, &Groups::of(&graph, &Architecture::default()))
    }

    #[test]
    fn metrics_count_services_not_calls() {
        let Metrics { system, services } =
            metrics("a GET /\n  3 x b GET /b\n    c GET /c\n      a GET /back\n  c GET /c\n  sql sqlite - a SELECT t");
        assert_eq!((system.siy, system.scf), (1, Some(0.6667)));
        let of = |name: &str| (services[name].ais, services[name].ads, services[name].acs, services[name].nsic);
        assert_eq!([of("a"), of("b"), of("c")], [(1, 2, 2, Some(3)), (1, 1, 1, Some(3)), (2, 1, 2, Some(3))]);
        assert!((services["c"].ris - 1.0).abs() < 1e-9 && (services["c"].rcs - 0.5).abs() < 1e-9);
        assert!(services.values().all(|service| service.critical_path_share.is_some()));
    }

    #[test]
    fn cohesion_is_of_operations() {
        let Metrics { services, .. } = metrics(
            "x GET /\n  a GET /1\n    sql sqlite - a SELECT t\n  a GET /2\n    sql sqlite - a SELECT t\n\n\
             y GET /\n  a GET /3\n    sql sqlite - a SELECT u",
        );
        // Three uses of two callers times three operations; one of three pairs has a table in common.
        assert_eq!((services["a"].siuc, services["a"].sidc), (Some(0.5), Some(0.3333)));
        assert_eq!((services["x"].siuc, services["x"].sidc), (None, None));
    }

    #[test]
    fn depth_and_modularity_are_of_the_system() {
        let Metrics { system, .. } =
            metrics("a is team=x\nb is team=x\nc is team=y\n\na GET /\n  b GET /b\n    c GET /c");
        assert_eq!((system.mean_depth, system.modularity), (Some(2.0), Some(-0.125)));
    }
}
