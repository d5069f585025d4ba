//! Data: who stores where.

use super::super::land::Land;
use super::super::model::{Key, Publish, Step};
use super::chatter::{into_sql, sql_service};
use super::{Plan, Planted};

/// An operation of `service` behind the gateway, without its own table.
fn serve(land: &mut Land, service: usize, steps: Vec<Step>) {
    let operation = land.operation(service, steps);
    land.front(operation);
}

pub(super) fn shared(land: &mut Land) -> Planted {
    let [left, right] = land.services();
    into_sql(land, left);
    let store = land.system.services[left].store;
    let table = land.system.services[left].table.clone();
    let verb = land.random.pick(&["UPDATE", "INSERT"]);
    let (own, foreign) = match land.random.below(2) {
        0 => {
            // Two writers of one table.
            let write = land.own(left, "INSERT", Key::Request);
            (write, land.access(store, verb, &table, Key::Request))
        }
        _ => {
            // Another table of the same namespace.
            (land.own(left, "UPDATE", Key::Request), land.access(store, verb, "extras", Key::Request))
        }
    };
    serve(land, left, vec![own]);
    serve(land, right, vec![foreign]);
    Planted::of(land, &[left, right]).may(&["lockstep-deployment"])
}

pub(super) const LIKE_SHARED: &[(&str, Plan)] = &[
    ("readers of a replica", |land| {
        let [owner, reader] = land.services();
        into_sql(land, owner);
        let own = land.own(owner, "UPDATE", Key::Request);
        serve(land, owner, vec![own]);
        let mut replica = land.system.stores[land.system.services[owner].store].clone();
        replica.address = format!("replica.{}", replica.address);
        land.system.stores.push(replica);
        let replica = land.system.stores.len() - 1;
        let table = land.system.services[owner].table.clone();
        let read = land.access(replica, "SELECT", &table, Key::Request);
        serve(land, reader, vec![read]);
        Planted::of(land, &[owner, reader]).may(&["shared-database"])
    }),
    ("a cache for all", |land| {
        let services = land.services::<3>();
        let cache = land.store("redis", "redis.shared");
        for service in services {
            let get = land.access(cache, "GET", "session", Key::Request);
            serve(land, service, vec![get]);
        }
        Planted::of(land, &services)
    }),
    ("migrations", |land| {
        let owner = sql_service(land);
        let own = land.own(owner, "UPDATE", Key::Request);
        serve(land, owner, vec![own]);
        let migrator = land.service();
        let ddl = land.own(owner, "CREATE", Key::Unknown);
        land.job(migrator, vec![ddl], 12);
        let other = land.operation(migrator, Vec::new());
        land.front(other);
        Planted::of(land, &[owner, migrator])
    }),
    ("default names on different hosts", |land| {
        let services = land.services::<3>();
        for service in services {
            let store = land.store("postgresql", land.random.clone().pick(&["localhost", "127.0.0.1"]));
            "postgres".clone_into(&mut land.system.stores[store].namespace);
            // Each on a host of its own, or loopback would be one place.
            land.system.hosts += 1;
            land.system.services[service].instances = vec![land.system.hosts - 1];
            land.system.services[service].store = store;
            let write = land.access(store, "UPDATE", "items", Key::Request);
            serve(land, service, vec![write]);
        }
        Planted::of(land, &services)
    }),
    ("namespaces of one server", |land| {
        let services = land.services::<2>();
        for service in services {
            let store = land.store("mysql", "mysql.shared");
            let write = land.access(store, "UPDATE", "items", Key::Request);
            serve(land, service, vec![write]);
        }
        Planted::of(land, &services)
    }),
];

pub(super) fn monolith(land: &mut Land) -> Planted {
    let store = land.store("postgresql", "main-db.internal");
    let services: Vec<usize> = (1..land.system.services.len()).collect();
    let chosen: Vec<usize> = services[1..].to_vec();
    let own: Vec<usize> = chosen.iter().map(|&service| land.system.services[service].store).collect();
    for operation in &mut land.system.operations {
        if chosen.contains(&operation.service) {
            for step in &mut operation.steps {
                if let Step::Access(access) = step
                    && own.contains(&access.store)
                {
                    access.store = store;
                    access.verb = match access.verb {
                        "find" => "SELECT",
                        "update" => "UPDATE",
                        verb => verb,
                    };
                }
            }
        }
    }
    Planted::of(land, &chosen).may(&["shared-database", "distributed-monolith"])
}

pub(super) const LIKE_MONOLITH: &[(&str, Plan)] = &[("a cache for all", |land| {
    let cache = land.store("redis", "redis.shared");
    let services = land.services::<3>();
    for service in services {
        let get = land.access(cache, "GET", "session", Key::Request);
        serve(land, service, vec![get]);
    }
    Planted::of(land, &services)
})];

pub(super) fn dual_write(land: &mut Land) -> Planted {
    let [from, to] = land.services();
    let topic = land.topic();
    land.consumer(topic, to, 1, Vec::new());
    let write = land.own(from, "INSERT", Key::Request);
    serve(land, from, vec![write, Step::Publish(Publish { topic, creates: 0 })]);
    Planted::of(land, &[from]).beside(land, &[to])
}

pub(super) const LIKE_DUAL_WRITE: &[(&str, Plan)] = &[("a relay publishes", |land| {
    let [from, to] = land.services();
    let topic = land.topic();
    land.consumer(topic, to, 1, Vec::new());
    into_sql(land, from);
    let store = land.system.services[from].store;
    let outbox = land.access(store, "INSERT", "outbox", Key::Request);
    let write = land.own(from, "INSERT", Key::Request);
    serve(land, from, vec![write, outbox]);
    let take = land.access(store, "SELECT", "outbox", Key::Unknown);
    let done = land.access(store, "DELETE", "outbox", Key::Unknown);
    let relay = Step::Repeat {
        times: (1, 2),
        at_once: false,
        gap_ms: 0,
        steps: vec![Step::Publish(Publish { topic, creates: 0 })],
    };
    land.job(from, vec![take, relay, done], 40);
    Planted::of(land, &[from]).beside(land, &[to])
})];
