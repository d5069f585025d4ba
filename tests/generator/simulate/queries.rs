//! Queries of datastores.

use super::super::model::{Access, Attributes, Key, Store, Value};
use super::{CLIENT, Frame, Simulation, text};

impl<'s> Simulation<'s> {
    pub(super) fn access(&mut self, access: &'s Access, frame: &mut Frame) {
        let store = &self.system.stores[access.store];
        let (outer, id, start) = (self.random.next(), self.random.next(), frame.at);
        let work =
            if self.random.chance(access.slow.0) { (access.slow.1, access.slow.1 * 3 / 2) } else { access.work_us };
        let mut end = start + self.random.between(work) * 1_000;
        if access.queues {
            let running = self.busy.entry((frame.service, frame.instance, access.store)).or_default();
            running.retain(|&other| other > start);
            end += (running.len() as u64) * (end - start) / 4;
            running.push(end);
        }
        let (name, attributes) = query(access, store, frame);
        let parent = frame.parent;
        if access.is_wrapped {
            let name = format!("{} {}", access.verb, access.table);
            let mut attributes = attributes.clone();
            attributes.retain(|(key, _)| !matches!(*key, "server.address" | "server.port"));
            self.push(frame, outer, CLIENT, name, start - 10_000, end + 10_000, false, attributes);
            frame.parent = outer;
        }
        self.push(frame, id, CLIENT, name, start, end, false, attributes);
        frame.parent = parent;
        frame.at = end + 10_000;
    }
}

/// Name and attributes of the span of a query.
fn query(access: &Access, store: &Store, frame: &Frame) -> (String, Attributes) {
    let key = match access.key {
        Key::Request => Some(frame.key),
        Key::Round => Some(frame.round),
        Key::Unknown => None,
    };
    let (verb, table) = (access.verb, &access.table);
    let shown = key.map_or_else(|| "$1".to_owned(), |key| key.to_string());
    let mut attributes: Attributes = vec![("db.system.name", text(store.system))];
    let (statement, namespace) = match store.system {
        "redis" => (format!("{verb} {table}:{shown}"), "0".to_owned()),
        "mongodb" => {
            let shown = key.map_or_else(|| "?".to_owned(), |key| key.to_string());
            (format!("{{\"{verb}\":\"{table}\",\"filter\":{{\"_id\":\"{shown}\"}}}}"), store.namespace.clone())
        }
        _ => (sql(verb, table, &shown), store.namespace.clone()),
    };
    attributes.push(("db.query.text", text(statement)));
    attributes.push(("db.operation.name", text(verb.split(' ').next().unwrap_or_default())));
    attributes.push(("db.namespace", text(namespace)));
    let is_statement = ["SELECT", "INSERT", "UPDATE", "DELETE"].contains(&verb);
    if store.system != "redis" && (is_statement || store.system == "mongodb") {
        attributes.push(("db.collection.name", text(table.clone())));
    }
    if access.batch > 1 {
        attributes.push(("db.operation.batch.size", Value::Number(access.batch as i64)));
    }
    if !store.address.is_empty() {
        let address = if access.is_sharded {
            format!("shard-{}.{}", frame.round % 64, store.address)
        } else {
            store.address.clone()
        };
        attributes.push(("server.address", text(address)));
        if store.port > 0 {
            attributes.push(("server.port", Value::Number(i64::from(store.port))));
        }
    }
    let name = if store.system == "redis" || !is_statement { verb.to_owned() } else { format!("{verb} {table}") };
    (name, attributes)
}

fn sql(verb: &str, table: &str, key: &str) -> String {
    match verb {
        "SELECT" => format!("SELECT id, name, state FROM {table} WHERE id = {key}"),
        "INSERT" => format!("INSERT INTO {table} (id, state) VALUES ({key}, 'new')"),
        "UPDATE" => format!("UPDATE {table} SET state = 'done' WHERE id = {key}"),
        "DELETE" => format!("DELETE FROM {table} WHERE id = {key}"),
        "LOCK" => format!("SELECT id FROM {table} WHERE id = {key} FOR UPDATE"),
        "CREATE" => format!("CREATE INDEX IF NOT EXISTS {table}_id ON {table} (id)"),
        other => other.to_owned(),
    }
}
