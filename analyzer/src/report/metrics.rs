//! Metrics beside the findings, over synchronous calls between services.
//!
//! AIS, ADS, ACS, SIY: Rud, Schmietendorf, Dumke (2006), Product metrics for service-oriented infrastructures. SCF:
//! Qingqing, Xinke (2009), as collected by Bogner, Wagner, Zimmermann (2017).

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::topology;

/// `metrics` of the report.
#[derive(Debug, Serialize)]
pub(super) struct Metrics {
    system: SystemMetrics,
    services: BTreeMap<String, ServiceMetrics>,
}

#[derive(Debug, Serialize)]
struct SystemMetrics {
    /// Services interdependent with another: pairs with calls in both directions.
    siy: usize,
    /// Edges over possible edges; null for fewer than two services.
    scf: Option<f64>,
}

#[derive(Debug, Default, Serialize)]
struct ServiceMetrics {
    /// Absolute importance: services that call it.
    ais: usize,
    /// Absolute dependence: services that it calls.
    ads: usize,
    /// Absolute criticality: their product.
    acs: usize,
}

impl Metrics {
    pub(super) fn of(graph: &CallGraph) -> Self {
        let calls = graph.edges.iter().filter(|edge| topology::is_synchronous_call(graph, edge));
        let pairs: BTreeSet<(NodeIndex, NodeIndex)> = calls.map(|edge| (edge.from, edge.to)).collect();
        let mut services: BTreeMap<NodeIndex, ServiceMetrics> = BTreeMap::new();
        for (index, _) in graph.indexed_nodes().filter(|(_, node)| node.kind == NodeKind::Service) {
            services.insert(index, ServiceMetrics::default());
        }
        for (from, to) in &pairs {
            services.entry(*from).or_default().ads += 1;
            services.entry(*to).or_default().ais += 1;
        }
        for service in services.values_mut() {
            service.acs = service.ais * service.ads;
        }
        let possible = services.len() * services.len().saturating_sub(1);
        let system = SystemMetrics {
            siy: pairs.iter().filter(|&&(from, to)| from < to && pairs.contains(&(to, from))).count(),
            scf: (possible > 0).then(|| super::json::rounded(pairs.len() as f64 / possible as f64, 4)),
        };
        let named = services.into_iter().map(|(index, service)| (graph.node(index).name.clone(), service));
        Self { system, services: named.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::graph;

    #[test]
    fn metrics_count_services_not_calls() {
        let graph =
            graph("a GET /\n  3 x b GET /b\n    c GET /c\n      a GET /back\n  c GET /c\n  sql sqlite - a SELECT t");
        let Metrics { system, services } = Metrics::of(&graph);
        assert_eq!((system.siy, system.scf), (1, Some(0.6667)));
        let of = |name: &str| (services[name].ais, services[name].ads, services[name].acs);
        assert_eq!([of("a"), of("b"), of("c")], [(1, 2, 2), (1, 1, 1), (2, 1, 2)]);
    }
}
