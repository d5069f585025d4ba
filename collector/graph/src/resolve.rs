//! Resolve: facts become the call graph of a window. Pure, and run once per snapshot.
//!
//! Here names are bound: a raw peer that is called like a known service *is* that service ("server side not traced"),
//! anything else that was called is an external. Links across traces join here, too: producer → topic → consumer.

use std::collections::{BTreeMap, BTreeSet};

use crate::facts::{Bounded, EdgeFacts, EnvironmentFacts, Facts, Fold, OperationKey, PatternFacts, Seen, ServiceFacts};
use crate::hash::HashMap;
use crate::name::{Name, NameTable};
use crate::snapshot::{
    CallGraph, CallPattern, DatastoreInfo, Edge, Loop, Node, NodeIndex, NodeKind, Operation, OperationIndex,
    ServiceInfo, TableUsage,
};
use crate::span::{DatastoreKey, EdgeKind, NodeKey, ServiceKey};

/// The call graph of one environment; an environment without facts has an empty one.
pub fn resolve(facts: &Facts, environment: Name, names: &NameTable) -> CallGraph {
    let empty = EnvironmentFacts::default();
    let facts = facts.environments.get(&environment).unwrap_or(&empty);
    let binding = Binding::of(facts, names);
    let edges = bound_edges(facts, &binding);
    let (nodes, index_of) = nodes(facts, &edges, names);
    let (operations, operation_of) = operations(facts, &index_of, names);
    CallGraph {
        environment: names.text(environment).to_owned(),
        counts: facts.counts.clone(),
        edges: with_derived(edges, &index_of),
        patterns: patterns(facts, &binding, &index_of, &operation_of, names),
        usages: usages(facts, &index_of, names),
        loops: loops(facts, &index_of),
        overflow: overflow(facts),
        nodes,
        operations,
    }
}

/// Every environment of `facts`, the one with the most spans first, ties by name.
pub fn environments(facts: &Facts, names: &NameTable) -> Vec<Name> {
    let mut all: Vec<_> =
        facts.environments.sorted().into_iter().map(|(name, facts)| (facts.counts.spans, name)).collect();
    all.sort_by(|left, right| right.0.cmp(&left.0).then_with(|| names.text(left.1).cmp(names.text(right.1))));
    all.into_iter().map(|(_, name)| name).collect()
}

/// The stable id of a node, before binding: `service:shop/cart`, `datastore:postgresql/db:5432/orders`, `client`.
pub fn node_id(key: NodeKey, names: &NameTable) -> String {
    let text = |name| names.text(name);
    match key {
        NodeKey::Client => "client".to_owned(),
        NodeKey::Unknown => "unknown".to_owned(),
        NodeKey::Service(service) if service.namespace.is_empty() => format!("service:{}", text(service.name)),
        NodeKey::Service(service) => format!("service:{}/{}", text(service.namespace), text(service.name)),
        NodeKey::Peer(name) => format!("external:{}", text(name)),
        NodeKey::Datastore(DatastoreKey { system, address, namespace }) => {
            format!("datastore:{}/{}/{}", text(system), text(address), text(namespace))
        }
        NodeKey::Topic(topic) => format!("topic:{}/{}", text(topic.system), text(topic.destination)),
    }
}

/// Which raw peer is which service.
struct Binding<'a> {
    by_name: BTreeMap<&'a str, Vec<ServiceKey>>,
    names: &'a NameTable,
}

impl<'a> Binding<'a> {
    fn of(facts: &EnvironmentFacts, names: &'a NameTable) -> Self {
        let mut by_name: BTreeMap<&str, Vec<ServiceKey>> = BTreeMap::new();
        for (service, _) in facts.services.sorted() {
            by_name.entry(names.text(service.name)).or_default().push(service);
        }
        Self { by_name, names }
    }

    /// A peer is a service if it has its name, or if it is a host whose first label is that name, as cluster DNS
    /// builds them (`cart.shop.svc.cluster.local:8080`). Of several with one name the caller's namespace decides.
    fn bind(&self, caller: NodeKey, callee: NodeKey) -> NodeKey {
        let NodeKey::Peer(peer) = callee else { return callee };
        let text = self.names.text(peer);
        let host = text.rsplit_once(':').map_or(text, |(host, _)| host);
        let label = host.split('.').next().unwrap_or_default();
        let candidates = [text, host, label].into_iter().find_map(|name| self.by_name.get(name));
        let own_namespace =
            |service: &&ServiceKey| matches!(caller, NodeKey::Service(own) if own.namespace == service.namespace);
        match candidates.map(Vec::as_slice) {
            Some([only]) => NodeKey::Service(*only),
            Some(several) => several.iter().find(own_namespace).map_or(callee, |service| NodeKey::Service(*service)),
            None => callee,
        }
    }
}

type BoundEdges = BTreeMap<(NodeKey, NodeKey, EdgeKind), EdgeFacts>;

fn bound_edges(facts: &EnvironmentFacts, binding: &Binding<'_>) -> BoundEdges {
    let mut edges = BoundEdges::new();
    for (key, facts) in facts.edges.sorted() {
        let callee = binding.bind(key.caller, key.callee);
        if callee != key.caller {
            edges.entry((key.caller, callee, key.kind)).or_default().fold(facts);
        }
    }
    edges
}

/// Nodes sorted by id, and where each key ended up.
fn nodes(facts: &EnvironmentFacts, edges: &BoundEdges, names: &NameTable) -> (Vec<Node>, HashMap<NodeKey, NodeIndex>) {
    let services = facts.services.sorted();
    let mut keys: BTreeSet<NodeKey> = services.iter().map(|(service, _)| NodeKey::Service(*service)).collect();
    keys.extend(edges.keys().flat_map(|(from, to, _)| [*from, *to]));
    let infos: HashMap<ServiceKey, &ServiceFacts> = services.into_iter().collect();
    let mut requests: HashMap<ServiceKey, (u64, u64)> = HashMap::default();
    for (key, operation) in facts.operations.sorted() {
        let sums = requests.entry(key.service).or_default();
        sums.0 += operation.requests;
        sums.1 += operation.failures();
    }
    let mut with_name: HashMap<Name, usize> = HashMap::default();
    for service in keys.iter().filter_map(|key| if let NodeKey::Service(service) = key { Some(service) } else { None })
    {
        *with_name.entry(service.name).or_default() += 1;
    }
    let mut nodes: Vec<(NodeKey, Node)> = Vec::with_capacity(keys.len());
    for key in keys {
        let mut node = node(key, names);
        if let NodeKey::Service(service) = key {
            let sums = requests.get(&service).copied().unwrap_or_default();
            node.service = Some(service_info(service, infos.get(&service).copied(), sums, names));
            if with_name[&service.name] > 1 && !service.namespace.is_empty() {
                node.name = format!("{}/{}", names.text(service.namespace), node.name);
            }
        }
        nodes.push((key, node));
    }
    nodes.sort_by(|left, right| left.1.id.cmp(&right.1.id));
    let index_of = nodes.iter().enumerate().map(|(index, (key, _))| (*key, NodeIndex(index as u32))).collect();
    (nodes.into_iter().map(|(_, node)| node).collect(), index_of)
}

fn node(key: NodeKey, names: &NameTable) -> Node {
    let text = |name| names.text(name).to_owned();
    let (kind, name, datastore) = match key {
        NodeKey::Client => (NodeKind::Client, "client".to_owned(), None),
        NodeKey::Unknown => (NodeKind::Client, "unknown".to_owned(), None),
        NodeKey::Service(service) => (NodeKind::Service, text(service.name), None),
        NodeKey::Peer(name) => (NodeKind::External, text(name), None),
        NodeKey::Topic(topic) => (NodeKind::Topic, text(topic.destination), None),
        NodeKey::Datastore(key) => {
            let info =
                DatastoreInfo { system: text(key.system), address: text(key.address), namespace: text(key.namespace) };
            let shown = [&info.namespace, &info.address, &info.system].into_iter().find(|part| !part.is_empty());
            (NodeKind::Datastore, shown.cloned().unwrap_or_default(), Some(info))
        }
    };
    Node { id: node_id(key, names), kind, name, service: None, datastore }
}

fn service_info(key: ServiceKey, facts: Option<&ServiceFacts>, sums: (u64, u64), names: &NameTable) -> ServiceInfo {
    let none = ServiceFacts::default();
    let is_traced = facts.is_some();
    let facts = facts.unwrap_or(&none);
    let seen = |labels: &Bounded<Name, Seen, { crate::facts::MAX_LABELS }>| {
        let mut labels: Vec<_> =
            labels.sorted().into_iter().map(|(name, seen)| (names.text(name).to_owned(), *seen)).collect();
        labels.sort_by(|left, right| left.0.cmp(&right.0));
        labels
    };
    let texts = |labels| seen(labels).into_iter().map(|(text, _)| text).collect();
    ServiceInfo {
        namespace: names.text(key.namespace).to_owned(),
        name: names.text(key.name).to_owned(),
        is_traced,
        spans: facts.spans,
        orphan_spans: facts.orphan_spans,
        requests: sums.0,
        failures: sums.1,
        instances: seen(&facts.instances),
        versions: seen(&facts.versions),
        owners: texts(&facts.owners),
        languages: texts(&facts.languages),
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

/// The edges in order, with one derived edge from each producer to each consumer of a topic. Its numbers are those of
/// the deliveries to the consumer, whoever produced them.
fn with_derived(bound: BoundEdges, index_of: &HashMap<NodeKey, NodeIndex>) -> Vec<Edge> {
    let mut derived: BTreeMap<(NodeIndex, NodeIndex), EdgeFacts> = BTreeMap::new();
    let producers = |topic: NodeKey| bound.keys().filter(move |(_, to, _)| *to == topic).map(|(from, _, _)| *from);
    for ((from, to, _), facts) in bound.iter().filter(|((from, _, _), _)| matches!(from, NodeKey::Topic(_))) {
        for producer in producers(*from).filter(|producer| producer != to) {
            derived.entry((index_of[&producer], index_of[to])).or_default().fold(facts);
        }
    }
    let mut edges: Vec<Edge> = Vec::with_capacity(bound.len() + derived.len());
    for ((from, to, kind), facts) in bound {
        edges.push(Edge { from: index_of[&from], to: index_of[&to], kind, is_derived: false, facts });
    }
    for ((from, to), facts) in derived {
        edges.push(Edge { from, to, kind: EdgeKind::Messaging, is_derived: true, facts });
    }
    edges.sort_by_key(|edge| (edge.from, edge.to, edge.kind, edge.is_derived));
    edges
}

fn patterns(
    facts: &EnvironmentFacts,
    binding: &Binding<'_>,
    index_of: &HashMap<NodeKey, NodeIndex>,
    operation_of: &HashMap<OperationKey, OperationIndex>,
    names: &NameTable,
) -> Vec<CallPattern> {
    let mut patterns: BTreeMap<_, PatternFacts> = BTreeMap::new();
    for (key, facts) in facts.patterns.sorted() {
        let callee = binding.bind(NodeKey::Service(key.caller.service), key.callee);
        if callee == NodeKey::Service(key.caller.service) {
            continue;
        }
        // Bounds may have turned away one end of a pattern but not the other.
        if let (Some(&caller), Some(&callee)) = (operation_of.get(&key.caller), index_of.get(&callee)) {
            patterns.entry((caller, callee, key.kind, names.text(key.template))).or_default().fold(facts);
        }
    }
    let pattern = |((caller, callee, kind, template), facts)| CallPattern {
        caller,
        callee,
        kind,
        template: String::from(template),
        facts,
    };
    patterns.into_iter().map(pattern).collect()
}

fn usages(facts: &EnvironmentFacts, index_of: &HashMap<NodeKey, NodeIndex>, names: &NameTable) -> Vec<TableUsage> {
    let mut usages = Vec::with_capacity(facts.usages.len());
    for (key, facts) in facts.usages.sorted() {
        let datastore = index_of.get(&NodeKey::Datastore(key.datastore));
        let service = index_of.get(&NodeKey::Service(key.service));
        if let (Some(&datastore), Some(&service)) = (datastore, service) {
            let table = names.text(key.table).to_owned();
            usages.push(TableUsage { datastore, table, service, facts: facts.clone() });
        }
    }
    usages.sort_by(|left, right| {
        (left.datastore, &left.table, left.service).cmp(&(right.datastore, &right.table, right.service))
    });
    usages
}

fn loops(facts: &EnvironmentFacts, index_of: &HashMap<NodeKey, NodeIndex>) -> Vec<Loop> {
    let mut loops = Vec::with_capacity(facts.loops.len());
    for (key, facts) in facts.loops.sorted() {
        let services = key.services.iter().filter(|service| **service != ServiceKey::default());
        let nodes: Option<Vec<NodeIndex>> =
            services.map(|service| index_of.get(&NodeKey::Service(*service)).copied()).collect();
        loops.extend(nodes.map(|mut nodes| {
            let smallest = (0..nodes.len()).min_by_key(|&place| nodes[place]).unwrap_or_default();
            nodes.rotate_left(smallest);
            Loop { nodes, facts: facts.clone() }
        }));
    }
    loops.sort_by(|left, right| left.nodes.cmp(&right.nodes));
    loops
}

/// What went over the bounds: how many spans, requests, calls or statements have no entry of their own.
fn overflow(facts: &EnvironmentFacts) -> Vec<(&'static str, u64)> {
    let usages = facts.usages.overflow();
    let folded = [
        ("services", facts.services.has_overflow(), facts.services.overflow().spans),
        ("operations", facts.operations.has_overflow(), facts.operations.overflow().requests),
        ("edges", facts.edges.has_overflow(), facts.edges.overflow().calls),
        ("patterns", facts.patterns.has_overflow(), facts.patterns.overflow().calls),
        ("usages", facts.usages.has_overflow(), usages.reads + usages.writes),
        ("loops", facts.loops.has_overflow(), facts.loops.overflow().walks),
    ];
    folded.into_iter().filter(|(_, has_overflow, _)| *has_overflow).map(|(bound, _, count)| (bound, count)).collect()
}
