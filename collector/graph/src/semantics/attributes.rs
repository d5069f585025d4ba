//! Attribute names, current and old as equals, sorted into what they are about.

use crate::span::{Attribute, Value};

/// The attributes of a span that facts need, borrowed.
#[derive(Debug, Default)]
pub(super) struct Known<'a> {
    pub(super) http: Http<'a>,
    pub(super) database: Database<'a>,
    pub(super) messaging: Messaging<'a>,
    pub(super) rpc: Rpc<'a>,
    pub(super) peer: Peer<'a>,
    pub(super) error_type: Option<&'a Value<'a>>,
    /// `error = true`, as bridges from older libraries send it.
    pub(super) has_error_flag: bool,
    pub(super) graphql_operation: Option<&'a Value<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Http<'a> {
    pub(super) method: Option<&'a Value<'a>>,
    pub(super) route: Option<&'a Value<'a>>,
    pub(super) template: Option<&'a Value<'a>>,
    pub(super) url: Option<&'a Value<'a>>,
    pub(super) path: Option<&'a Value<'a>>,
    pub(super) query: Option<&'a Value<'a>>,
    pub(super) host: Option<&'a Value<'a>>,
    pub(super) status: Option<&'a Value<'a>>,
    pub(super) resend_count: Option<&'a Value<'a>>,
    pub(super) user_agent: Option<&'a Value<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Database<'a> {
    pub(super) system: Option<&'a Value<'a>>,
    pub(super) namespace: Option<&'a Value<'a>>,
    pub(super) collection: Option<&'a Value<'a>>,
    pub(super) operation: Option<&'a Value<'a>>,
    pub(super) text: Option<&'a Value<'a>>,
    pub(super) summary: Option<&'a Value<'a>>,
    pub(super) batch_size: Option<&'a Value<'a>>,
    pub(super) connection: Option<&'a Value<'a>>,
    /// Values of `db.query.parameter.*` and `db.operation.parameter.*`.
    pub(super) parameters: Vec<&'a Attribute<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Messaging<'a> {
    pub(super) system: Option<&'a Value<'a>>,
    pub(super) destination: Option<&'a Value<'a>>,
    pub(super) template: Option<&'a Value<'a>>,
    pub(super) operation_type: Option<&'a Value<'a>>,
    pub(super) batch_size: Option<&'a Value<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Rpc<'a> {
    pub(super) system: Option<&'a Value<'a>>,
    pub(super) service: Option<&'a Value<'a>>,
    pub(super) method: Option<&'a Value<'a>>,
    pub(super) status: Option<&'a Value<'a>>,
}

#[derive(Debug, Default)]
pub(super) struct Peer<'a> {
    pub(super) service: Option<&'a Value<'a>>,
    pub(super) address: Option<&'a Value<'a>>,
    pub(super) port: Option<&'a Value<'a>>,
    pub(super) network_address: Option<&'a Value<'a>>,
    pub(super) network_port: Option<&'a Value<'a>>,
}

impl<'a> Known<'a> {
    /// Sorts the attributes. Of a current and an old name the current wins; of a repeated name the first.
    pub(super) fn of(attributes: &'a [Attribute<'a>]) -> Self {
        let mut known = Self::default();
        for is_current in [true, false] {
            for attribute in attributes.iter().filter(|(_, value)| *value != Value::Text("".into())) {
                let place = if is_current { known.current(attribute) } else { known.old(attribute) };
                if let Some(place) = place {
                    place.get_or_insert(&attribute.1);
                }
            }
        }
        known
    }

    fn current(&mut self, attribute: &'a Attribute<'a>) -> Option<&mut Option<&'a Value<'a>>> {
        Some(match &*attribute.0 {
            "http.request.method" => &mut self.http.method,
            "http.route" => &mut self.http.route,
            "url.template" => &mut self.http.template,
            "url.full" => &mut self.http.url,
            "url.path" => &mut self.http.path,
            "url.query" => &mut self.http.query,
            "http.response.status_code" => &mut self.http.status,
            "http.request.resend_count" => &mut self.http.resend_count,
            "user_agent.original" => &mut self.http.user_agent,
            "db.system.name" => &mut self.database.system,
            "db.namespace" => &mut self.database.namespace,
            "db.collection.name" => &mut self.database.collection,
            "db.operation.name" => &mut self.database.operation,
            "db.query.text" => &mut self.database.text,
            "db.query.summary" => &mut self.database.summary,
            "db.operation.batch.size" => &mut self.database.batch_size,
            "messaging.system" => &mut self.messaging.system,
            "messaging.destination.name" => &mut self.messaging.destination,
            "messaging.destination.template" => &mut self.messaging.template,
            "messaging.operation.type" => &mut self.messaging.operation_type,
            "messaging.batch.message_count" => &mut self.messaging.batch_size,
            "rpc.system.name" => &mut self.rpc.system,
            "rpc.service" => &mut self.rpc.service,
            "rpc.method" => &mut self.rpc.method,
            "rpc.response.status_code" => &mut self.rpc.status,
            "service.peer.name" => &mut self.peer.service,
            "server.address" => &mut self.peer.address,
            "server.port" => &mut self.peer.port,
            "network.peer.address" => &mut self.peer.network_address,
            "network.peer.port" => &mut self.peer.network_port,
            "graphql.operation.name" => &mut self.graphql_operation,
            "error.type" => &mut self.error_type,
            "error" => {
                self.has_error_flag |= attribute.1.to_text() == "true";
                return None;
            }
            key if key.starts_with("db.query.parameter.") || key.starts_with("db.operation.parameter.") => {
                self.database.parameters.push(attribute);
                return None;
            }
            _ => return None,
        })
    }

    fn old(&mut self, attribute: &'a Attribute<'a>) -> Option<&mut Option<&'a Value<'a>>> {
        Some(match &*attribute.0 {
            "http.method" => &mut self.http.method,
            "http.url" => &mut self.http.url,
            "http.target" => &mut self.http.path,
            "http.host" => &mut self.http.host,
            "http.status_code" => &mut self.http.status,
            "http.user_agent" => &mut self.http.user_agent,
            "db.system" | "db.type" => &mut self.database.system,
            "db.name" | "db.instance" | "db.redis.database_index" => &mut self.database.namespace,
            "db.sql.table" | "db.mongodb.collection" | "db.cassandra.table" => &mut self.database.collection,
            "db.operation" => &mut self.database.operation,
            "db.statement" => &mut self.database.text,
            "db.connection_string" => &mut self.database.connection,
            "messaging.destination" => &mut self.messaging.destination,
            "messaging.operation" => &mut self.messaging.operation_type,
            "rpc.system" => &mut self.rpc.system,
            "rpc.status_code" | "rpc.grpc.status_code" => &mut self.rpc.status,
            "peer.service" => &mut self.peer.service,
            "net.peer.name" | "peer.hostname" => &mut self.peer.address,
            "net.peer.port" | "peer.port" => &mut self.peer.port,
            "net.peer.ip" | "net.sock.peer.addr" | "peer.ipv4" => &mut self.peer.network_address,
            _ => return None,
        })
    }
}
