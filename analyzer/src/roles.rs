//! Roles: what a service is for, where that decides whether a pattern is a fault.
//!
//! Roles are declared in `[roles]`; the gateway and schedules are also inferred. Names alone never make a role.

use globset::GlobSet;
use spanlint_graph::facts::Entry;
use spanlint_graph::snapshot::Node;
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::topology;

/// The share of client requests that an inferred gateway takes.
pub const GATEWAY_MIN_CLIENT_SHARE: f64 = 0.8;
/// The share of the other services that an inferred gateway reaches, over any number of hops.
pub const GATEWAY_MIN_REACH: f64 = 0.5;

/// What a service is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Checks who somebody is.
    Auth,
    /// Gathers for one front end.
    Bff,
    /// Carries messages.
    Broker,
    /// Hands out configuration.
    Config,
    /// Knows where services are.
    Discovery,
    /// Takes the requests of clients and passes them on.
    Gateway,
    /// Does work that nobody outside waits for, by the clock: reports, migrations, clean-up.
    Schedule,
}

impl Role {
    /// Every role, by the key that `[roles]` uses.
    pub const ALL: [(&'static str, Self); 7] = [
        ("auth", Self::Auth),
        ("bff", Self::Bff),
        ("broker", Self::Broker),
        ("config", Self::Config),
        ("discovery", Self::Discovery),
        ("gateway", Self::Gateway),
        ("schedule", Self::Schedule),
    ];
}

/// The roles that `[roles]` declares: globs over service names.
#[derive(Debug, Clone, Default)]
pub struct DeclaredRoles {
    globs: Vec<(Role, GlobSet)>,
}

impl DeclaredRoles {
    /// Declares that services whose name matches `globs` have `role`.
    pub(crate) fn declare(&mut self, role: Role, globs: Vec<GlobSet>) {
        self.globs.extend(globs.into_iter().map(|glob| (role, glob)));
    }

    fn has(&self, node: &Node, role: Role) -> bool {
        let Some(service) = &node.service else { return false };
        let of_role = self.globs.iter().filter(|(declared, _)| *declared == role);
        of_role.map(|(_, globs)| globs).any(|globs| globs.is_match(&service.name) || globs.is_match(&node.name))
    }
}

/// The roles of one graph's services.
#[derive(Debug)]
pub struct Roles<'a> {
    declared: &'a DeclaredRoles,
    inferred_gateway: Option<NodeIndex>,
    /// Whether every request was started by a schedule; by node.
    is_scheduled: Vec<bool>,
}

impl<'a> Roles<'a> {
    /// Declared roles, and the gateway that the graph shows.
    pub fn of(graph: &CallGraph, declared: &'a DeclaredRoles) -> Self {
        let is_scheduled = (0..graph.nodes.len()).map(|index| is_scheduled(graph, NodeIndex(index as u32))).collect();
        Self { declared, inferred_gateway: inferred_gateway(graph), is_scheduled }
    }

    /// Whether the service at `index` has any of `roles`.
    pub fn has_any(&self, graph: &CallGraph, index: NodeIndex, roles: &[Role]) -> bool {
        let is_inferred = self.inferred_gateway == Some(index) && roles.contains(&Role::Gateway);
        let is_scheduled = roles.contains(&Role::Schedule) && self.is_scheduled[index.0 as usize];
        is_inferred || is_scheduled || roles.iter().any(|&role| self.declared.has(graph.node(index), role))
    }
}

/// Whether every request of a service was started by a schedule.
fn is_scheduled(graph: &CallGraph, service: NodeIndex) -> bool {
    let operations = topology::operations_of(graph, service);
    let requests: u64 = operations.iter().map(|operation| operation.facts.requests).sum();
    let of_schedules = operations.iter().map(|operation| operation.facts.entries[Entry::Schedule as usize]);
    requests > 0 && requests == of_schedules.sum::<u64>()
}

/// The service that takes [`GATEWAY_MIN_CLIENT_SHARE`] of all client requests and reaches [`GATEWAY_MIN_REACH`] of the
/// other services. Messages count as a way.
fn inferred_gateway(graph: &CallGraph) -> Option<NodeIndex> {
    let mut client_requests = vec![0; graph.nodes.len()];
    for operation in &graph.operations {
        client_requests[operation.node.0 as usize] += operation.facts.entries[Entry::Client as usize];
    }
    let all: u64 = client_requests.iter().sum();
    let (front, &most) = client_requests.iter().enumerate().max_by_key(|(_, requests)| **requests)?;
    if all == 0 || (most as f64) < all as f64 * GATEWAY_MIN_CLIENT_SHARE {
        return None;
    }
    let front = NodeIndex(front as u32);
    let edges = graph.edges.iter().filter(|edge| topology::joins_services(graph, edge));
    let is_reached = topology::reached(graph, edges, front);
    let services = graph.indexed_nodes().filter(|(_, node)| node.kind == NodeKind::Service);
    let others: Vec<_> = services.map(|(index, _)| index).filter(|index| *index != front).collect();
    let reached = others.iter().filter(|index| is_reached[index.0 as usize]).count();
    (reached > 0 && reached as f64 >= others.len() as f64 * GATEWAY_MIN_REACH).then_some(front)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::graph;

    fn check(traces: &str, gateway: Option<&str>) {
        let graph = graph(traces);
        let inferred = inferred_gateway(&graph).map(|index| graph.node(index).name.as_str());
        assert_eq!(inferred, gateway);
    }

    #[test]
    fn the_gateway_takes_client_requests_and_reaches_the_others() {
        check("front GET /\n  cart GET /cart\n    stock GET /stock", Some("front"));
        check("4 traces\nfront GET /\n  cart GET /cart\n\ncart GET /cart", Some("front"));
    }

    #[test]
    fn two_ways_in_make_no_gateway() {
        check("web GET /\n  cart GET /cart\n\nmobile GET /\n  cart GET /cart", None);
    }

    #[test]
    fn an_entry_that_reaches_few_is_no_gateway() {
        check("search GET /\n\nschedule a nightly\n  b GET /b\n    c GET /c", None);
    }
}
