//! Attribute names, current and old as equals, sorted into what they are about.

use std::sync::LazyLock;

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

/// Where a value goes.
type Slot<'a> = Option<&'a Value<'a>>;
type SlotOf = for<'k, 'a> fn(&'k mut Known<'a>) -> &'k mut Slot<'a>;

/// One name of the semantic conventions.
struct Row {
    name: &'static str,
    is_current: bool,
    slot: SlotOf,
}

const fn current(name: &'static str, slot: SlotOf) -> Row {
    Row { name, is_current: true, slot }
}

const fn old(name: &'static str, slot: SlotOf) -> Row {
    Row { name, is_current: false, slot }
}

/// Every name that facts read.
const ROWS: [Row; 62] = [
    current("http.request.method", |known| &mut known.http.method),
    current("http.route", |known| &mut known.http.route),
    current("url.template", |known| &mut known.http.template),
    current("url.full", |known| &mut known.http.url),
    current("url.path", |known| &mut known.http.path),
    current("url.query", |known| &mut known.http.query),
    current("http.response.status_code", |known| &mut known.http.status),
    current("http.request.resend_count", |known| &mut known.http.resend_count),
    current("user_agent.original", |known| &mut known.http.user_agent),
    current("db.system.name", |known| &mut known.database.system),
    current("db.namespace", |known| &mut known.database.namespace),
    current("db.collection.name", |known| &mut known.database.collection),
    current("db.operation.name", |known| &mut known.database.operation),
    current("db.query.text", |known| &mut known.database.text),
    current("db.query.summary", |known| &mut known.database.summary),
    current("db.operation.batch.size", |known| &mut known.database.batch_size),
    current("messaging.system", |known| &mut known.messaging.system),
    current("messaging.destination.name", |known| &mut known.messaging.destination),
    current("messaging.destination.template", |known| &mut known.messaging.template),
    current("messaging.operation.type", |known| &mut known.messaging.operation_type),
    current("messaging.batch.message_count", |known| &mut known.messaging.batch_size),
    current("rpc.system.name", |known| &mut known.rpc.system),
    current("rpc.service", |known| &mut known.rpc.service),
    current("rpc.method", |known| &mut known.rpc.method),
    current("rpc.response.status_code", |known| &mut known.rpc.status),
    current("service.peer.name", |known| &mut known.peer.service),
    current("server.address", |known| &mut known.peer.address),
    current("server.port", |known| &mut known.peer.port),
    current("network.peer.address", |known| &mut known.peer.network_address),
    current("network.peer.port", |known| &mut known.peer.network_port),
    current("graphql.operation.name", |known| &mut known.graphql_operation),
    current("error.type", |known| &mut known.error_type),
    old("http.method", |known| &mut known.http.method),
    old("http.url", |known| &mut known.http.url),
    old("http.target", |known| &mut known.http.path),
    old("http.host", |known| &mut known.http.host),
    old("http.status_code", |known| &mut known.http.status),
    old("http.user_agent", |known| &mut known.http.user_agent),
    old("db.system", |known| &mut known.database.system),
    old("db.type", |known| &mut known.database.system),
    old("db.name", |known| &mut known.database.namespace),
    old("db.instance", |known| &mut known.database.namespace),
    old("db.redis.database_index", |known| &mut known.database.namespace),
    old("db.sql.table", |known| &mut known.database.collection),
    old("db.mongodb.collection", |known| &mut known.database.collection),
    old("db.cassandra.table", |known| &mut known.database.collection),
    old("db.operation", |known| &mut known.database.operation),
    old("db.statement", |known| &mut known.database.text),
    old("db.connection_string", |known| &mut known.database.connection),
    old("messaging.destination", |known| &mut known.messaging.destination),
    old("messaging.operation", |known| &mut known.messaging.operation_type),
    old("rpc.system", |known| &mut known.rpc.system),
    old("rpc.status_code", |known| &mut known.rpc.status),
    old("rpc.grpc.status_code", |known| &mut known.rpc.status),
    old("peer.service", |known| &mut known.peer.service),
    old("net.peer.name", |known| &mut known.peer.address),
    old("peer.hostname", |known| &mut known.peer.address),
    old("net.peer.port", |known| &mut known.peer.port),
    old("peer.port", |known| &mut known.peer.port),
    old("net.peer.ip", |known| &mut known.peer.network_address),
    old("net.sock.peer.addr", |known| &mut known.peer.network_address),
    old("peer.ipv4", |known| &mut known.peer.network_address),
];

/// One more than the length of the longest name.
const LENGTHS: usize = 32;

/// The rows by the length of their name, which alone tells most names apart.
static BY_LENGTH: LazyLock<[Vec<&'static Row>; LENGTHS]> = LazyLock::new(|| {
    let mut by_length = [const { Vec::new() }; LENGTHS];
    for row in &ROWS {
        by_length[row.name.len()].push(row);
    }
    by_length
});

impl<'a> Known<'a> {
    /// Sorts the attributes. Of a current and an old name the current wins; of a repeated name the first.
    pub(super) fn of(attributes: &'a [Attribute<'a>]) -> Self {
        let mut known = Self::default();
        let mut old: Vec<(SlotOf, &'a Value<'a>)> = Vec::new();
        for attribute in attributes {
            let (key, value) = attribute;
            let row = BY_LENGTH.get(key.len()).and_then(|rows| rows.iter().find(|row| row.name == key));
            match row {
                _ if *value == Value::Text("".into()) => {}
                Some(row) if row.is_current => {
                    (row.slot)(&mut known).get_or_insert(value);
                }
                Some(row) => old.push((row.slot, value)),
                None => known.take_other(attribute),
            }
        }
        for (slot, value) in old {
            slot(&mut known).get_or_insert(value);
        }
        known
    }

    fn take_other(&mut self, attribute: &'a Attribute<'a>) {
        let (key, value) = attribute;
        if key == "error" {
            self.has_error_flag |= value.to_text() == "true";
        } else if key.starts_with("db.query.parameter.") || key.starts_with("db.operation.parameter.") {
            self.database.parameters.push(attribute);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_found_once_and_current_names_win() {
        for row in &ROWS {
            let same = ROWS.iter().filter(|other| other.name == row.name).count();
            assert_eq!(same, 1, "{}", row.name);
            let attributes = [(row.name.into(), Value::Int(7))];
            let mut known = Known::of(&attributes);
            assert_eq!(*(row.slot)(&mut known), Some(&Value::Int(7)), "{}", row.name);
        }
        let attributes = [("http.method".into(), Value::Int(1)), ("http.request.method".into(), Value::Int(2))];
        assert_eq!(Known::of(&attributes).http.method, Some(&Value::Int(2)));
    }
}
