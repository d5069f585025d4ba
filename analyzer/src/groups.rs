//! Groups: which services belong together in the eyes of those who own them.
//!
//! Configured groups win over `service.namespace`, and that over owners; one source serves all services, so that the
//! same boundary is meant everywhere. Where no source tells at least two groups apart there are none.

use std::collections::BTreeSet;

use spanlint_graph::snapshot::ServiceInfo;
use spanlint_graph::{CallGraph, NodeIndex};

use crate::architecture::Architecture;

/// Where groups come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSource {
    /// `[architecture.groups]`.
    Configuration,
    /// `service.namespace`.
    Namespace,
    /// The owner.
    Owner,
}

impl GroupSource {
    /// What messages call a group of this source.
    pub fn noun(self) -> &'static str {
        match self {
            Self::Configuration => "group",
            Self::Namespace => "namespace",
            Self::Owner => "team",
        }
    }
}

/// The groups of one graph's services.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Groups {
    source: Option<GroupSource>,
    /// By node.
    of: Vec<Option<String>>,
}

impl Groups {
    /// The groups of `graph`.
    pub fn of(graph: &CallGraph, architecture: &Architecture) -> Self {
        type Read<'a> = &'a dyn Fn(&ServiceInfo) -> Option<String>;
        let configured = |service: &ServiceInfo| architecture.group_of(service).map(str::to_owned);
        let namespace = |service: &ServiceInfo| (!service.namespace.is_empty()).then(|| service.namespace.clone());
        let owner =
            |service: &ServiceInfo| if let [only] = service.owners.as_slice() { Some(only.clone()) } else { None };
        let sources: [(GroupSource, Read<'_>); 3] = [
            (GroupSource::Configuration, &configured),
            (GroupSource::Namespace, &namespace),
            (GroupSource::Owner, &owner),
        ];
        for (source, read) in sources {
            let of: Vec<_> = graph.nodes.iter().map(|node| node.service.as_ref().and_then(read)).collect();
            let is_configured = source == GroupSource::Configuration && architecture.has_groups();
            if is_configured || of.iter().flatten().collect::<BTreeSet<_>>().len() > 1 {
                return Self { source: Some(source), of };
            }
        }
        Self::default()
    }

    /// Where they come from; none where there are none.
    pub fn source(&self) -> Option<GroupSource> {
        self.source
    }

    /// The group of a service.
    pub fn get(&self, node: NodeIndex) -> Option<&str> {
        self.of.get(node.0 as usize)?.as_deref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;
    use crate::testing::graph;

    const CALLS: &str = "a GET /\n  b GET /b\n    c GET /c";

    fn check(declared: &str, config: &str, expected: &[&str]) {
        let graph = graph(&format!("{declared}\n\n{CALLS}"));
        let config = Config::parse(config, "test").unwrap();
        let groups = Groups::of(&graph, config.architecture());
        let mut of: Vec<_> = graph.indexed_nodes().filter(|(_, node)| node.service.is_some()).collect();
        of.sort_by_key(|(_, node)| &node.name);
        let of: Vec<_> = of.into_iter().map(|(index, _)| groups.get(index).unwrap_or("-")).collect();
        assert_eq!(of, expected);
    }

    #[test]
    fn configuration_wins_over_namespaces_and_those_over_owners() {
        let owners = "a is team=x\nb is team=y\nc is team=y";
        check(owners, "", &["x", "y", "y"]);
        let namespaces =
            format!("{owners}\na is service.namespace=n\nb is service.namespace=n\nc is service.namespace=m");
        check(&namespaces, "", &["n", "n", "m"]);
        let config = "[architecture.groups]\nfront = [\"a\"]\nback = \"[bc]\"";
        check(owners, config, &["front", "back", "back"]);
    }

    #[test]
    fn one_group_is_none() {
        check("a is team=x\nb is team=x", "", &["-", "-", "-"]);
    }
}
