//! Resolve: facts become the call graph of a window. Pure, and run once per snapshot.
//!
//! Here names are bound: a raw peer that is called like a known service *is* that service ("server side not traced"),
//! anything else that was called is an external. Links across traces join here, too: producer → topic → consumer.

mod binding;
mod edges;
mod nodes;
mod sidecars;

use std::collections::BTreeMap;

use self::binding::Binding;
pub use self::nodes::node_id;
use crate::facts::{
    DualWriteFacts, DualWriteKey, EnvironmentFacts, Facts, FailureFacts, FailureKey, Fold, LoopFacts, LoopKey,
    OperationKey, PatternFacts, PoolFacts, PoolKey, SecretFacts, SecretKey, ServiceFacts, UsageFacts, UsageKey,
};
use crate::hash::HashMap;
use crate::marks::Location;
use crate::name::{Name, NameTable};
use crate::snapshot::{
    CallGraph, CallPattern, CodeLocation, DualWrite, FailurePath, Loop, NodeIndex, Operation, OperationIndex, Pool,
    SecretUse, TableUsage,
};
use crate::span::{NodeKey, ServiceKey};

/// The call graph of one environment; an environment without facts has an empty one.
pub fn resolve(facts: &Facts, environment: Name, names: &NameTable) -> CallGraph {
    resolve_with(facts, environment, names, |outline, facts, binding, node_of| {
        let (operations, operation_of) = operations(facts, &node_of, names);
        let index = Index { nodes: node_of, operations: operation_of, names };
        CallGraph {
            patterns: index.patterns(facts, binding),
            usages: index.usages(facts),
            pools: index.pools(facts),
            loops: index.loops(facts),
            failures: index.failures(facts),
            dual_writes: index.dual_writes(facts),
            secrets: index.secrets(facts),
            operations,
            ..outline
        }
    })
}

/// The nodes and edges of that call graph alone, for whoever looks at nothing else: they take a part of its memory.
pub fn outline(facts: &Facts, environment: Name, names: &NameTable) -> CallGraph {
    resolve_with(facts, environment, names, |outline, _, _, _| outline)
}

/// What `complete` makes of an outline, of what that was made of, and of where each key of it is a node.
fn resolve_with(
    facts: &Facts,
    environment: Name,
    names: &NameTable,
    complete: impl FnOnce(CallGraph, &EnvironmentFacts, &Binding<'_>, HashMap<NodeKey, NodeIndex>) -> CallGraph,
) -> CallGraph {
    let empty = EnvironmentFacts::default();
    let lost = lost(facts, names);
    let facts = facts.environments.get(&environment).unwrap_or(&empty);
    let facts = &*sidecars::given_back(facts, names);
    let binding = Binding::of(facts, names);
    let bound = edges::bound(facts, &binding);
    let (nodes, node_of) = nodes::nodes(facts, &bound, names);
    let (edges, turned_away) = edges::with_derived(bound, &node_of, names);
    let mut overflow = overflow(facts);
    overflow.extend(lost);
    overflow.extend((turned_away > 0).then_some(("derived_edges", turned_away)));
    let environment = names.text(environment).to_owned();
    let outline =
        CallGraph { environment, counts: facts.counts.clone(), nodes, edges, overflow, ..CallGraph::default() };
    complete(outline, facts, &binding, node_of)
}

/// Every environment of `facts`, the one with the most spans first, ties by name.
pub fn environments(facts: &Facts, names: &NameTable) -> Vec<Name> {
    let mut all: Vec<_> =
        facts.environments.sorted().into_iter().map(|(name, facts)| (facts.counts.spans, name)).collect();
    all.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| names.text(left.1).cmp(names.text(right.1))));
    all.into_iter().map(|(_, name)| name).collect()
}

/// Where each key of facts ended up. Bounds may have turned away one end of something but not the other; then it has no
/// place in the graph, and the overflow says so.
struct Index<'a> {
    nodes: HashMap<NodeKey, NodeIndex>,
    operations: HashMap<OperationKey, OperationIndex>,
    names: &'a NameTable,
}

impl Index<'_> {
    fn service(&self, key: ServiceKey) -> Option<NodeIndex> {
        self.nodes.get(&NodeKey::Service(key)).copied()
    }

    /// The nodes of the services in a key; unused places are empty.
    fn path(&self, services: &[ServiceKey]) -> Option<Vec<NodeIndex>> {
        let used = services.iter().filter(|service| **service != ServiceKey::default());
        used.map(|service| self.service(*service)).collect()
    }

    fn text(&self, name: Name) -> String {
        self.names.text(name).to_owned()
    }

    fn patterns(&self, facts: &EnvironmentFacts, binding: &Binding<'_>) -> Vec<CallPattern> {
        let mut patterns: BTreeMap<_, PatternFacts> = BTreeMap::new();
        for (key, facts) in facts.patterns.sorted() {
            let own = NodeKey::Service(key.caller.service);
            let is_known = key.callee != NodeKey::Unknown;
            let callee = if is_known { binding.bind(own, key.callee) } else { own };
            if is_known && callee == own {
                continue;
            }
            if let (Some(&caller), Some(&callee)) = (self.operations.get(&key.caller), self.nodes.get(&callee)) {
                let key = (caller, callee, key.kind, self.names.text(key.template), is_known);
                patterns.entry(key).or_default().fold(facts);
            }
        }
        let pattern = |((caller, callee, kind, template, is_callee_known), facts): (_, PatternFacts)| {
            let mut tables: Vec<String> = facts.tables.keys().map(|table| self.text(table)).collect();
            tables.sort_unstable();
            let locations = self.locations(&facts);
            CallPattern {
                caller,
                callee,
                is_callee_known,
                kind,
                template: String::from(template),
                tables,
                locations,
                facts,
            }
        };
        patterns.into_iter().map(pattern).collect()
    }

    fn locations(&self, facts: &PatternFacts) -> Vec<CodeLocation> {
        let located = |(Location { file, function, line }, calls): (Location, &u64)| {
            let location = CodeLocation { file: self.text(file), function: self.text(function), line };
            (std::cmp::Reverse(*calls), location)
        };
        let mut locations: Vec<_> = facts.locations.sorted().into_iter().map(located).collect();
        locations.sort_unstable();
        locations.into_iter().map(|(_, location)| location).collect()
    }

    fn usages(&self, facts: &EnvironmentFacts) -> Vec<TableUsage> {
        let usage = |(key, facts): (UsageKey, &UsageFacts)| {
            let datastore = *self.nodes.get(&NodeKey::Datastore(key.datastore))?;
            let service = self.service(key.service)?;
            Some(TableUsage { datastore, table: self.text(key.table), service, facts: facts.clone() })
        };
        let mut usages: Vec<TableUsage> = facts.usages.sorted().into_iter().filter_map(usage).collect();
        usages.sort_by(|left, right| {
            (left.datastore, &left.table, left.service).cmp(&(right.datastore, &right.table, right.service))
        });
        usages
    }

    fn pools(&self, facts: &EnvironmentFacts) -> Vec<Pool> {
        let pool = |(key, facts): (PoolKey, &PoolFacts)| {
            let datastore = *self.nodes.get(&NodeKey::Datastore(key.datastore))?;
            let service = self.service(key.service)?;
            Some(Pool { service, instance: self.text(key.instance), datastore, facts: facts.clone() })
        };
        let mut pools: Vec<Pool> = facts.pools.sorted().into_iter().filter_map(pool).collect();
        pools.sort_by(|left, right| {
            (left.service, &left.instance, left.datastore).cmp(&(right.service, &right.instance, right.datastore))
        });
        pools
    }

    fn loops(&self, facts: &EnvironmentFacts) -> Vec<Loop> {
        let walked = |(key, facts): (LoopKey, &LoopFacts)| {
            let mut nodes = self.path(&key.services)?;
            let smallest = (0..nodes.len()).min_by_key(|&place| nodes[place])?;
            nodes.rotate_left(smallest);
            Some(Loop { nodes, facts: facts.clone() })
        };
        let mut loops: Vec<Loop> = facts.loops.sorted().into_iter().filter_map(walked).collect();
        loops.sort_by(|left, right| left.nodes.cmp(&right.nodes));
        loops
    }

    fn failures(&self, facts: &EnvironmentFacts) -> Vec<FailurePath> {
        let path = |(key, facts): (FailureKey, &FailureFacts)| {
            let entry = *self.operations.get(&key.entry)?;
            Some(FailurePath { entry, nodes: self.path(&key.services)?, facts: facts.clone() })
        };
        let mut failures: Vec<FailurePath> = facts.failures.sorted().into_iter().filter_map(path).collect();
        failures.sort_by(|left, right| (left.entry, &left.nodes).cmp(&(right.entry, &right.nodes)));
        failures
    }

    fn dual_writes(&self, facts: &EnvironmentFacts) -> Vec<DualWrite> {
        let write = |(key, facts): (DualWriteKey, &DualWriteFacts)| {
            let operation = *self.operations.get(&key.operation)?;
            let datastore = *self.nodes.get(&NodeKey::Datastore(key.datastore))?;
            let other = *self.nodes.get(&key.other)?;
            Some(DualWrite { operation, datastore, other, facts: facts.clone() })
        };
        let mut writes: Vec<DualWrite> = facts.dual_writes.sorted().into_iter().filter_map(write).collect();
        writes.sort_by_key(|write| (write.operation, write.datastore, write.other));
        writes
    }

    fn secrets(&self, facts: &EnvironmentFacts) -> Vec<SecretUse> {
        let secret = |(key, facts): (SecretKey, &SecretFacts)| {
            let service = self.service(key.service)?;
            let kind = key.secret.kind;
            Some(SecretUse { service, kind, key: self.text(key.secret.key), facts: facts.clone() })
        };
        let mut secrets: Vec<SecretUse> = facts.secrets.sorted().into_iter().filter_map(secret).collect();
        secrets
            .sort_by(|left, right| (left.service, left.kind, &left.key).cmp(&(right.service, right.kind, &right.key)));
        secrets
    }
}

fn operations(
    facts: &EnvironmentFacts,
    index_of: &HashMap<NodeKey, NodeIndex>,
    names: &NameTable,
) -> (Vec<Operation>, HashMap<OperationKey, OperationIndex>) {
    let mut operations: Vec<(OperationKey, Operation)> = Vec::with_capacity(facts.operations.len());
    for (key, facts) in facts.operations.sorted() {
        if let Some(&node) = index_of.get(&NodeKey::Service(key.service)) {
            let name = names.text(key.operation).to_owned();
            operations.push((key, Operation { node, name, facts: facts.clone() }));
        }
    }
    operations.sort_by(|(_, left), (_, right)| (left.node, &left.name).cmp(&(right.node, &right.name)));
    let numbered = operations.iter().enumerate();
    let operation_of = numbered.map(|(index, (key, _))| (*key, OperationIndex(index as u32))).collect();
    (operations.into_iter().map(|(_, operation)| operation).collect(), operation_of)
}

/// What went over the bounds: how many spans, requests, calls or statements have no entry of their own.
fn overflow(facts: &EnvironmentFacts) -> Vec<(&'static str, u64)> {
    let usages = facts.usages.overflow();
    let has_lost_labels = |service: &&ServiceFacts| {
        [&service.instances, &service.versions, &service.owners, &service.languages]
            .iter()
            .any(|kept| kept.has_overflow())
    };
    let labels = facts.services.values().filter(has_lost_labels).count() as u64;
    let folded = [
        ("services", facts.services.has_overflow(), facts.services.overflow().spans),
        ("operations", facts.operations.has_overflow(), facts.operations.overflow().requests),
        ("edges", facts.edges.has_overflow(), facts.edges.overflow().calls),
        ("patterns", facts.patterns.has_overflow(), facts.patterns.overflow().calls),
        ("usages", facts.usages.has_overflow(), usages.reads + usages.writes),
        ("pools", facts.pools.has_overflow(), facts.pools.overflow().slices.earlier().calls),
        ("loops", facts.loops.has_overflow(), facts.loops.overflow().walks),
        ("failures", facts.failures.has_overflow(), facts.failures.overflow().failed),
        ("dual_writes", facts.dual_writes.has_overflow(), facts.dual_writes.overflow().requests),
        ("secrets", facts.secrets.has_overflow(), facts.secrets.overflow().spans),
        ("labels", labels > 0, labels),
    ];
    folded.into_iter().filter(|(_, has_overflow, _)| *has_overflow).map(|(bound, _, count)| (bound, count)).collect()
}

/// What was lost of all environments together: the spans of environments over the bound, and texts of names.
fn lost(facts: &Facts, names: &NameTable) -> Vec<(&'static str, u64)> {
    let spans = facts.environments.overflow().counts.spans;
    let lost = [("environments", spans), ("names", names.dropped())];
    lost.into_iter().filter(|(_, count)| *count > 0).collect()
}
