//! Roles: what a service is for, where that decides whether a pattern is a fault.
//!
//! Roles are declared in `[roles]`, and inferred where the traffic shows them. What only a name could tell needs the name and
//! the traffic to agree: names alone never make a role, since a service called `auth` may be anything.

mod inferred;

use globset::GlobSet;
use spanlint_graph::snapshot::Node;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::topology::{self, Calls};
pub use inferred::{GATEWAY_MIN_CLIENT_SHARE, GATEWAY_MIN_REACH};

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

    /// The key that `[roles]` uses, which is also the word of reports.
    pub fn as_str(self) -> &'static str {
        let named = Self::ALL.iter().find(|(_, role)| *role == self);
        named.expect("every role has a key").0
    }
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

/// A role of a service, and how that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AssignedRole {
    /// As people call it.
    pub service: String,
    /// What it is for.
    pub role: Role,
    /// Whether `[roles]` says so.
    pub is_declared: bool,
    /// `takes 96 % of the client requests and leads to 7 of 8 other services`.
    pub reason: String,
}

impl AssignedRole {
    /// The role and why, as a clause.
    pub fn sentence(&self) -> String {
        format!("{} is taken for {}, as it {}", self.service, self.role.as_str(), self.reason)
    }
}

/// The roles of one graph's services.
#[derive(Debug)]
pub struct Roles<'a> {
    declared: &'a DeclaredRoles,
    /// With the reason, by node and role; what is declared is not told again.
    inferred: Vec<(NodeIndex, Role, String)>,
}

impl<'a> Roles<'a> {
    /// Declared roles, and those that the graph shows.
    pub(crate) fn of(graph: &CallGraph, declared: &'a DeclaredRoles, calls: &Calls) -> Self {
        let mut inferred = inferred::roles(graph, calls);
        inferred.retain(|(service, role, _)| !declared.has(graph.node(*service), *role));
        inferred.sort_by_key(|(service, role, _)| (*service, *role));
        Self { declared, inferred }
    }

    /// The gateway that leads to each node, by index.
    pub(crate) fn behind_gateways(&self, graph: &CallGraph) -> Vec<Option<NodeIndex>> {
        let mut is_behind = vec![None; graph.nodes.len()];
        for gateway in topology::services(graph).filter(|index| self.has_any(graph, *index, &[Role::Gateway])) {
            let edges = graph.edges.iter().filter(|edge| topology::joins_services(graph, edge));
            let reached = topology::reached(graph, edges, vec![gateway]);
            for (behind, _) in
                is_behind.iter_mut().zip(reached).filter(|(behind, reached)| behind.is_none() && *reached)
            {
                *behind = Some(gateway);
            }
        }
        is_behind
    }

    /// Whether `[roles]` says that the service at `index` has `role`.
    pub(crate) fn is_declared(&self, graph: &CallGraph, index: NodeIndex, role: Role) -> bool {
        self.declared.has(graph.node(index), role)
    }

    /// Whether the service at `index` has any of `roles`.
    pub fn has_any(&self, graph: &CallGraph, index: NodeIndex, roles: &[Role]) -> bool {
        let first = self.inferred.partition_point(|(service, ..)| *service < index);
        let of_service = self.inferred[first..].iter().take_while(|(service, ..)| *service == index);
        let is_inferred = of_service.into_iter().any(|(_, role, _)| roles.contains(role));
        is_inferred || roles.iter().any(|&role| self.declared.has(graph.node(index), role))
    }

    /// Every role of every service, by name of the service.
    pub(crate) fn assigned(&self, graph: &CallGraph) -> Vec<AssignedRole> {
        let service = |index: NodeIndex| graph.node(index).name.clone();
        let inferred = self.inferred.iter().map(|(index, role, reason)| AssignedRole {
            service: service(*index),
            role: *role,
            is_declared: false,
            reason: reason.clone(),
        });
        let roles_of = |index| Role::ALL.into_iter().map(move |(_, role)| (index, role));
        let all = topology::services(graph).flat_map(roles_of);
        let declared = all.filter(|(index, role)| self.declared.has(graph.node(*index), *role));
        let declared = declared.map(|(index, role)| AssignedRole {
            service: service(index),
            role,
            is_declared: true,
            reason: "is declared in [roles]".to_owned(),
        });
        let mut assigned: Vec<_> = inferred.chain(declared).collect();
        assigned.sort_by(|left, right| (&left.service, left.role).cmp(&(&right.service, right.role)));
        assigned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::analysis;

    const TRACES: &str = "20 traces\nfront GET /\n  cart GET /cart\n    stock GET /stock";

    fn check(config: &str, expected: &[&str]) {
        let roles = analysis(TRACES, config).background.roles;
        let told = |assigned: &AssignedRole| format!("{}: {}", assigned.service, assigned.role.as_str());
        assert_eq!(roles.iter().map(told).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_gateway_that_nobody_named_is_one_in_all_of_its_processes() {
        let traces = "10 traces\nunknown_service@a GET /\n  cart GET /cart\n\n\
                      10 traces\nunknown_service@b GET /\n  stock GET /stock\n    unknown_service@c GET /inner";
        let roles = analysis(traces, "").background.roles;
        let gateways: Vec<_> = roles.iter().map(|assigned| assigned.service.as_str()).collect();
        assert_eq!(gateways, ["unknown_service (a)", "unknown_service (b)"]);
    }

    #[test]
    fn calls_that_lost_their_trace_come_from_no_client() {
        let traces = "20 traces\nfront GET /\n  cart GET /cart\n  host stock GET /stock\n\n\
                      20 traces\nstock GET /stock";
        let roles = analysis(traces, "").background.roles;
        let gateways: Vec<_> = roles.iter().map(|assigned| assigned.service.as_str()).collect();
        assert_eq!(gateways, ["front"]);
    }

    #[test]
    fn what_is_declared_adds_to_what_the_graph_shows() {
        check("", &["front: gateway"]);
        check("[roles]\nbff = \"front\"", &["front: bff", "front: gateway"]);
        check("[roles]\ngateway = \"front\"", &["front: gateway"]);
        check("[roles]\nauth = \"[cs]*\"", &["cart: auth", "front: gateway", "stock: auth"]);
    }
}
