//! The nodes of a graph: their identity, and what is known of them.

use std::collections::BTreeSet;

use super::edges::BoundEdges;
use crate::facts::{Bounded, EnvironmentFacts, MAX_LABELS, Seen, ServiceFacts};
use crate::hash::HashMap;
use crate::name::{Name, NameTable};
use crate::snapshot::{DatastoreInfo, Node, NodeIndex, NodeKind, ServiceInfo};
use crate::span::{DatastoreKey, NodeKey, ServiceKey};

/// The stable id of a node, before binding: `service:shop/cart`, `datastore:postgresql/db:5432/orders`, `client`. A
/// slash within a part is written `%2F`, so that different nodes never share an id.
pub fn node_id(key: NodeKey, names: &NameTable) -> String {
    let text = |name| names.text(name);
    let part = |name| text(name).replace('%', "%25").replace('/', "%2F");
    match key {
        NodeKey::Client => "client".to_owned(),
        NodeKey::Unknown => "unknown".to_owned(),
        NodeKey::Service(service) if service.namespace.is_empty() => format!("service:{}", part(service.name)),
        NodeKey::Service(service) => format!("service:{}/{}", part(service.namespace), part(service.name)),
        NodeKey::Peer(name) => format!("external:{}", text(name)),
        NodeKey::Datastore(DatastoreKey { system, address, namespace }) => {
            format!("datastore:{}/{}/{}", part(system), text(address), part(namespace))
        }
        NodeKey::Topic(topic) => format!("topic:{}/{}", part(topic.system), text(topic.destination)),
    }
}

/// Nodes sorted by id, and where each key ended up.
pub(super) fn nodes(
    facts: &EnvironmentFacts,
    edges: &BoundEdges,
    names: &NameTable,
) -> (Vec<Node>, HashMap<NodeKey, NodeIndex>) {
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
            (NodeKind::Datastore, shown_as(&info), Some(info))
        }
    };
    Node { id: node_id(key, names), kind, name, service: None, datastore }
}

/// What people know a datastore by. Some systems number their databases, which says nothing without the server.
fn shown_as(info: &DatastoreInfo) -> String {
    let server = if info.address.is_empty() { &info.system } else { &info.address };
    match &*info.namespace {
        "" => server.clone(),
        number if number.bytes().all(|byte| byte.is_ascii_digit()) => format!("{server}/{number}"),
        name => name.to_owned(),
    }
}

fn service_info(key: ServiceKey, facts: Option<&ServiceFacts>, sums: (u64, u64), names: &NameTable) -> ServiceInfo {
    let none = ServiceFacts::default();
    let is_traced = facts.is_some_and(|facts| facts.spans > 0);
    let facts = facts.unwrap_or(&none);
    let seen = |labels: &Bounded<Name, Seen, MAX_LABELS>| {
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
        facts: facts.clone(),
        requests: sums.0,
        failures: sums.1,
        instances: seen(&facts.instances),
        versions: seen(&facts.versions),
        owners: texts(&facts.owners),
        languages: texts(&facts.languages),
    }
}
