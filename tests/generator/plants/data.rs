//! Data: who stores where.

use super::super::land::Land;
use super::super::model::{Key, Publish, Step, Store};
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
    ("a read model", |land| {
        let [owner, reader] = land.services();
        into_sql(land, owner);
        let store = land.system.services[owner].store;
        let project = land.access(store, "UPDATE", "items_read_model", Key::Request);
        serve(land, owner, vec![project]);
        let read = land.access(store, "SELECT", "items_read_model", Key::Request);
        serve(land, reader, vec![read]);
        Planted::of(land, &[owner, reader]).noted(&["shared-database"])
    }),
    ("reports by the clock", |land| {
        let owner = sql_service(land);
        let own = land.own(owner, "UPDATE", Key::Request);
        serve(land, owner, vec![own]);
        let analyst = land.service();
        let read = land.own(owner, "SELECT", Key::Unknown);
        land.job(analyst, vec![read], 40);
        Planted::of(land, &[owner, analyst]).noted(&["shared-database"])
    }),
    ("a host that nobody tells", |land| {
        let services = land.services::<2>();
        let store = land.store("postgresql", "");
        "warehouse".clone_into(&mut land.system.stores[store].namespace);
        for service in services {
            let write = land.access(store, "UPDATE", "pallets", Key::Request);
            serve(land, service, vec![write]);
        }
        Planted::of(land, &services).noted(&["shared-database"])
    }),
    ("files of each its own", |land| {
        let services = land.services::<3>();
        let file = land.random.pick(&[":memory:", "db.sqlite3", "data/app.db"]);
        for service in services {
            let store = land.store("sqlite", "");
            land.system.stores[store].port = 0;
            file.clone_into(&mut land.system.stores[store].namespace);
            land.system.hosts += 1;
            land.system.services[service].instances = vec![land.system.hosts - 1];
            land.system.services[service].store = store;
            let write = land.access(store, "UPDATE", "items", Key::Request);
            serve(land, service, vec![write]);
        }
        Planted::of(land, &services).noted(&["shared-database"])
    }),
    ("two names of one deployable", |land| {
        let [web, worker] = land.services();
        into_sql(land, web);
        let id = format!("6f1c2d3e-8a3b-4d7f-9a53-{:012x}", land.random.next() % (1 << 48));
        for service in [web, worker] {
            land.system.services[service].resource.push(("service.instance.id", id.clone().into()));
            land.system.services[service].instances.truncate(1);
        }
        let write = land.own(web, "UPDATE", Key::Request);
        serve(land, web, vec![write]);
        let topic = land.topic();
        let table = land.system.services[web].table.clone();
        let store = land.system.services[web].store;
        land.system.services[worker].store = store;
        let write = land.access(store, "UPDATE", &table, Key::Unknown);
        let sender = land.service();
        serve(land, sender, vec![Step::Publish(Publish { topic, creates: 0 })]);
        land.consumer(topic, worker, 1, vec![write]);
        Planted::of(land, &[web, worker]).noted(&["shared-database"])
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
    ("a queue for all", |land| {
        let [taker, senders @ ..]: [usize; 4] = land.services();
        let topic = land.topic();
        for sender in senders {
            serve(land, sender, vec![Step::Maybe(0.5, vec![Step::Publish(Publish { topic, creates: 0 })])]);
        }
        land.consumer(topic, taker, 1, Vec::new());
        Planted::of(land, &[&[taker], senders.as_slice()].concat())
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

/// A system whose services keep their data in stores that are changed by `change`.
fn stored(land: &mut Land, change: fn(&mut Store)) -> Planted {
    land.populate(8);
    for store in land.system.stores.iter_mut().filter(|store| store.system != "redis") {
        change(store);
    }
    Planted::of(land, &(1..land.system.services.len()).collect::<Vec<_>>())
}

pub(super) const SYSTEMS_LIKE_MONOLITH: &[(&str, Plan)] = &[
    ("one server with a namespace for each", |land| {
        stored(land, |store| "all.internal".clone_into(&mut store.address))
    }),
    ("one name on hosts that nobody tells", |land| {
        let planted = stored(land, |store| {
            store.address.clear();
            "warehouse".clone_into(&mut store.namespace);
        });
        planted.noted(&["data-monolith", "shared-database"])
    }),
];

pub(super) fn dual_write(land: &mut Land) -> Planted {
    let [from, to] = land.services();
    let topic = land.topic();
    land.consumer(topic, to, 1, Vec::new());
    let write = land.own(from, "INSERT", Key::Request);
    serve(land, from, vec![write, Step::Publish(Publish { topic, creates: 0 })]);
    Planted::of(land, &[from]).beside(land, &[to])
}

pub(super) const LIKE_DUAL_WRITE: &[(&str, Plan)] = &[
    ("a saga's own step", |land| {
        let [first, step, last] = land.services();
        let [wanted, done] = [(); 2].map(|()| land.topic());
        serve(land, first, vec![Step::Publish(Publish { topic: wanted, creates: 0 })]);
        land.system.entries.last_mut().expect("an entry").requests = 60;
        land.system.operations.last_mut().expect("the gateway's").failing = 0.0;
        land.consumer(wanted, step, 1, vec![Step::Publish(Publish { topic: done, creates: 0 })]);
        land.consumer(done, last, 1, Vec::new());
        Planted::of(land, &[step]).beside(land, &[last])
    }),
    ("a write that rarely tells of itself", |land| {
        let [from, to] = land.services();
        let topic = land.topic();
        land.consumer(topic, to, 1, Vec::new());
        let write = land.own(from, "INSERT", Key::Request);
        serve(land, from, vec![write, Step::Maybe(0.2, vec![Step::Publish(Publish { topic, creates: 0 })])]);
        Planted::of(land, &[from]).beside(land, &[to])
    }),
    ("a relay publishes", |land| {
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
    }),
];
