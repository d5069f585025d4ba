//! The identity of nodes and edges, as facts name them.

use serde::{Deserialize, Serialize};

use crate::facts::Key;
use crate::name::Name;

/// A service within one environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// `service.namespace`, empty where not given.
    pub namespace: Name,
    /// `service.name`; for `unknown_service*` with the instance appended, since each is a node of its own.
    pub name: Name,
}

/// The kind of an edge: the protocol of its calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum EdgeKind {
    /// HTTP.
    Http = 0,
    /// gRPC and other remote procedure calls.
    Rpc = 1,
    /// A query to a datastore.
    Database = 2,
    /// A message to or from a topic, or derived through one.
    Messaging = 3,
    /// GraphQL.
    Graphql = 4,
    /// A call whose protocol no attribute tells.
    #[default]
    Other = 5,
}

impl EdgeKind {
    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Rpc => "rpc",
            Self::Database => "database",
            Self::Messaging => "messaging",
            Self::Graphql => "graphql",
            Self::Other => "other",
        }
    }
}

/// A node as facts name it: raw, before [`mod@crate::resolve`] binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeKey {
    /// The outside world that starts a trace.
    Client,
    /// A caller whose span never arrived.
    Unknown,
    /// A service that sends spans.
    Service(ServiceKey),
    /// A host or declared peer that was called; resolve binds it to a service or makes it an external.
    Peer(Name),
    /// A database, cache, search or object store.
    Datastore(DatastoreKey),
    /// A queue or topic on a broker.
    Topic(TopicKey),
}

impl Key for NodeKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        match *self {
            Self::Client | Self::Unknown => {}
            Self::Service(service) => service.for_each_name(visit),
            Self::Peer(name) => visit(name),
            Self::Datastore(key) => key.for_each_name(visit),
            Self::Topic(key) => [key.system, key.destination].into_iter().for_each(visit),
        }
    }
}

impl Key for ServiceKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        [self.namespace, self.name].into_iter().for_each(visit);
    }
}

impl Key for DatastoreKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        [self.system, self.address, self.namespace].into_iter().for_each(visit);
    }
}

/// The identity of a datastore: (system, address, port, namespace).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DatastoreKey {
    /// `db.system.name`, lower case.
    pub system: Name,
    /// `host:port` or `host`; loopback addresses, `:memory:` and relative paths carry the client's host as a prefix
    /// (`host/…`), since the same text on two hosts means two datastores; empty where no address was recorded.
    pub address: Name,
    /// `db.namespace`.
    pub namespace: Name,
}

/// The identity of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicKey {
    /// `messaging.system`.
    pub system: Name,
    /// `messaging.destination.template`, else `messaging.destination.name`.
    pub destination: Name,
}
