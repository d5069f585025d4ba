//! `[architecture]`: what a team declared of its system, for the contract rules and the groups.
//!
//! ```toml
//! [architecture]
//! services = ["cart", "stock"]
//! allowed = ["cart -> stock", "* -> group:platform"]
//! forbidden = ["stock -> cart"]
//! optional = ["cart -> recommendations"]
//!
//! [architecture.groups]
//! platform = ["auth", "config"]
//!
//! [architecture.budgets]
//! "cart -> stock" = { calls = 3, latency_ms_p95 = 200 }
//! ```
//!
//! Both sides of an arrow are globs over names of services and externals or over ids of any node
//! (`datastore:postgresql/*`, `topic:kafka/orders`), or `group:` and the name of a group.

use std::cmp::Reverse;

use globset::GlobSet;
use spanlint_graph::snapshot::{Edge, Node, ServiceInfo};
use spanlint_graph::{CallGraph, NodeIndex, NodeKind};

use crate::groups::Groups;
use crate::topology;

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
    /// Dependencies that their caller is meant to do without.
    pub optional: Vec<Arrow>,
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

/// The edges that a contract is about: what services and topics do, once for each pair, the busiest protocol standing for
/// all.
pub(crate) fn dependencies(graph: &CallGraph) -> Vec<&Edge> {
    let is_dependency = |edge: &&Edge| {
        let has_caller = matches!(graph.node(edge.from).kind, NodeKind::Service | NodeKind::Topic);
        !edge.is_derived && edge.from != edge.to && has_caller
    };
    let mut edges: Vec<&Edge> = graph.edges.iter().filter(is_dependency).collect();
    edges.sort_by_key(|edge| (edge.from, edge.to, Reverse(edge.facts.calls)));
    edges.dedup_by_key(|edge| (edge.from, edge.to));
    edges
}

/// What findings about a contract call a node.
pub(crate) fn called(node: &Node) -> String {
    match node.kind {
        NodeKind::Datastore => format!("the datastore {}", node.name),
        NodeKind::Topic => format!("the topic {}", node.name),
        NodeKind::Client | NodeKind::Service | NodeKind::External => node.name.clone(),
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

    /// Whether it matches a node: services and externals by name or id, externals also without their port, others, which
    /// are often named like their service, by id alone.
    pub fn is_node(&self, node: &Node) -> bool {
        let has_name = match (&node.service, node.kind) {
            (Some(service), _) => self.is_service(service) || self.glob.is_match(&node.name),
            (None, NodeKind::External) => {
                self.glob.is_match(&node.name) || self.glob.is_match(topology::without_port(&node.name))
            }
            _ => false,
        };
        has_name || self.glob.is_match(&node.id)
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
    /// Whether it is a lone `*`, which names nothing in particular.
    pub(crate) fn is_anything(&self) -> bool {
        matches!(self, Self::Nodes(pattern) if pattern.text == "*")
    }

    /// Whether it names nodes of this kind by their id, be they seen or not.
    pub(crate) fn is_id_of(&self, kind: NodeKind) -> bool {
        let is_id = |text: &str| text.strip_prefix(kind.as_str()).is_some_and(|rest| rest.starts_with(':'));
        matches!(self, Self::Nodes(pattern) if is_id(&pattern.text))
    }

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
