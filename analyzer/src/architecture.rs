//! `[architecture]`: what a team declared of its system, for the contract rules and the groups.
//!
//! ```toml
//! [architecture]
//! services = ["cart", "stock"]
//! allowed = ["cart -> stock", "* -> group:platform"]
//! forbidden = ["stock -> cart"]
//!
//! [architecture.groups]
//! platform = ["auth", "config"]
//!
//! [architecture.budgets]
//! "cart -> stock" = { calls = 3, latency_ms_p95 = 200 }
//! ```
//!
//! Both sides of an arrow are globs over names or ids of nodes, or `group:` and the name of a group.

use globset::GlobSet;
use spanlint_graph::snapshot::{Node, ServiceInfo};
use spanlint_graph::{CallGraph, NodeIndex};

use crate::groups::Groups;

/// What begins the side of an arrow that means a group.
pub(crate) const GROUP_PREFIX: &str = "group:";

/// What is declared; the default declares nothing.
#[derive(Debug, Clone, Default)]
pub struct Architecture {
    /// Services that belong to the system.
    pub services: Vec<Pattern>,
    /// Dependencies that are meant to be.
    pub allowed: Vec<Arrow>,
    /// Dependencies that must not be.
    pub forbidden: Vec<Arrow>,
    /// What a dependency may cost.
    pub budgets: Vec<Budget>,
    /// Name → services.
    pub groups: Vec<(String, Vec<Pattern>)>,
}

impl Architecture {
    /// Whether groups are declared.
    pub fn has_groups(&self) -> bool {
        !self.groups.is_empty()
    }

    /// The first declared group, by name, that a service is in.
    pub fn group_of(&self, service: &ServiceInfo) -> Option<&str> {
        let is_in = |patterns: &[Pattern]| patterns.iter().any(|pattern| pattern.is_service(service));
        self.groups.iter().find(|(_, patterns)| is_in(patterns)).map(|(name, _)| name.as_str())
    }
}

/// A glob as written.
#[derive(Debug, Clone)]
pub struct Pattern {
    /// As written.
    pub text: String,
    /// What it matches.
    pub glob: GlobSet,
}

impl Pattern {
    fn is_service(&self, service: &ServiceInfo) -> bool {
        let qualified = format!("{}/{}", service.namespace, service.name);
        self.glob.is_match(&service.name) || self.glob.is_match(qualified)
    }

    /// Whether it matches a node, by name, id or, for services, `service.name`.
    pub fn is_node(&self, node: &Node) -> bool {
        let is_service = node.service.as_ref().is_some_and(|service| self.is_service(service));
        is_service || self.glob.is_match(&node.name) || self.glob.is_match(&node.id)
    }
}

/// One side of an arrow.
#[derive(Debug, Clone)]
pub enum Side {
    /// Nodes with a name like this.
    Nodes(Pattern),
    /// Services of this group.
    Group(String),
}

impl Side {
    /// Whether a node is on this side.
    pub fn has(&self, graph: &CallGraph, groups: &Groups, node: NodeIndex) -> bool {
        match self {
            Self::Nodes(pattern) => pattern.is_node(graph.node(node)),
            Self::Group(name) => groups.get(node) == Some(name),
        }
    }
}

/// `from -> to`.
#[derive(Debug, Clone)]
pub struct Arrow {
    /// As written.
    pub text: String,
    /// The callers.
    pub from: Side,
    /// The callees.
    pub to: Side,
}

impl Arrow {
    /// Whether it covers a call from one node to another.
    pub fn covers(&self, graph: &CallGraph, groups: &Groups, (from, to): (NodeIndex, NodeIndex)) -> bool {
        self.from.has(graph, groups, from) && self.to.has(graph, groups, to)
    }
}

/// What a dependency may cost.
#[derive(Debug, Clone)]
pub struct Budget {
    /// Which dependency.
    pub arrow: Arrow,
    /// The most calls of one request of the caller.
    pub calls: Option<u64>,
    /// The latency at the 95th percentile, in milliseconds.
    pub latency_ms_p95: Option<f64>,
}
