//! Boundaries: who depends on whom, and what stands together.

use super::super::land::Land;
use super::super::model::{Call, Key, MINUTE, Protocol, Publish, Service, Speech, Step};
use super::chatter::sql_service;
use super::{Plan, Planted};

fn serve(land: &mut Land, service: usize, steps: Vec<Step>) -> usize {
    let operation = land.operation(service, steps);
    land.front(operation);
    operation
}

/// A ring of services, each of which calls the next on the way of one request.
fn ring(land: &mut Land, services: &[usize]) {
    let mut called = land.operation(services[0], Vec::new());
    for &service in services.iter().rev() {
        let call = land.call(called);
        called = land.operation(service, vec![call]);
    }
    land.front(called);
}

pub(super) fn cycle(land: &mut Land) -> Planted {
    let services = land.services::<4>();
    let services = &services[..3 + land.random.below(2)];
    ring(land, services);
    let unused: Vec<usize> = services.to_vec();
    Planted::of(land, &unused).may(&["ping-pong"])
}

pub(super) const LIKE_CYCLE: &[(&str, Plan)] = &[
    ("asynchronous edges", |land| {
        let [left, right] = land.services();
        let topic = land.topic();
        serve(land, left, vec![Step::Publish(Publish { topic, creates: 0 })]);
        let status = land.operation(left, Vec::new());
        let call = land.call(status);
        land.consumer(topic, right, 1, vec![call]);
        Planted::of(land, &[left, right])
    }),
    ("browser redirects", |land| {
        let [login, data] = land.services();
        for (from, to) in [(login, data), (data, login)] {
            for service in [from, to] {
                land.system.services[service].speech = Speech::Http;
            }
            let target = land.operation(to, Vec::new());
            let call = Call { is_browser_redirect: true, ..land.plain_call(target) };
            let first = land.operation(from, vec![Step::Call(call)]);
            land.system.operations[first].redirects = true;
            land.front(first);
        }
        // The browser does come past the gateway, on the way that it was sent.
        Planted::of(land, &[login, data]).may(&["gateway-bypass"])
    }),
    ("callbacks of a configuration service", |land| {
        let number = super::super::land::words(land.system.services.len());
        let config = land.named(&format!("settings-{number}"), "edge");
        land.system.roles.push(("config", land.name_of(config)));
        let service = land.service();
        let read = land.operation(config, Vec::new());
        let call = land.call(read);
        let state = serve(land, service, vec![call]);
        let call = land.call(state);
        serve(land, config, vec![call]);
        Planted::of(land, &[config, service])
    }),
];

pub(super) fn hub(land: &mut Land) -> Planted {
    let services = land.services::<9>();
    let (hub, around) = (services[8], &services[..8]);
    let called: Vec<Step> = around[..4]
        .iter()
        .map(|&service| {
            let operation = land.operation(service, Vec::new());
            land.call(operation)
        })
        .collect();
    let operations: Vec<usize> = (0..4).map(|place| land.operation(hub, vec![called[place].clone()])).collect();
    for (place, &service) in around[4..].iter().enumerate() {
        let call = land.call(operations[place]);
        serve(land, service, vec![call]);
    }
    Planted::of(land, &[hub]).beside(land, around)
}

/// A service of a role that all others ask.
fn asked_by_all(land: &mut Land, role: &'static str) -> Planted {
    let asked = land.named(&format!("{role}-of-all"), "edge");
    land.system.roles.push((role, land.name_of(asked)));
    let check = land.operation(asked, Vec::new());
    for service in land.services::<8>() {
        let call = land.call(check);
        serve(land, service, vec![call]);
    }
    Planted::of(land, &[asked])
}

pub(super) const LIKE_HUB: &[(&str, Plan)] = &[
    ("a service that checks tokens for all", |land| asked_by_all(land, "auth")),
    ("a registry", |land| asked_by_all(land, "discovery")),
    ("settings for all", |land| asked_by_all(land, "config")),
    ("many datastores and topics", |land| {
        let [service, left, right] = land.services();
        let mut steps: Vec<Step> = (0..5)
            .map(|number| {
                let cache = land.store("redis", &format!("cache-{number}.infra"));
                land.access(cache, "GET", "entries", Key::Request)
            })
            .collect();
        for _ in 0..3 {
            let topic = land.topic();
            steps.push(Step::Maybe(0.2, vec![Step::Publish(Publish { topic, creates: 0 })]));
        }
        let called = land.operation(service, steps);
        for caller in [left, right] {
            let call = land.call(called);
            serve(land, caller, vec![call]);
        }
        Planted::of(land, &[service])
    }),
];

pub(super) fn god(land: &mut Land) -> Planted {
    let god = land.service();
    for _ in 0..16 {
        let operation = land.operation(god, Vec::new());
        land.front_times(operation, 15);
    }
    Planted::of(land, &[god])
}

pub(super) const LIKE_GOD: &[(&str, Plan)] = &[("ids in names", |land| {
    let service = land.service();
    land.system.services[service].speech = Speech::Http;
    let operation = serve(land, service, Vec::new());
    land.system.operations[operation].is_raw = true;
    let table = land.system.services[service].table.clone();
    land.system.operations[operation].protocol =
        Protocol::Http { method: "GET", route: format!("/v1/{table}/{{id}}/items/{{id}}") };
    // It is hard to tell its requests apart, but it is no god.
    Planted::of(land, &[service]).may(&["high-cardinality-name"])
})];

pub(super) fn tight(land: &mut Land) -> Planted {
    let [from, to] = land.services();
    let called = [(); 2].map(|()| land.operation(to, Vec::new()));
    let steps = called.map(|called| Step::Repeat {
        times: (3, 4),
        at_once: false,
        gap_ms: 0,
        steps: vec![land.call_of_round(called)],
    });
    let operation = land.operation(from, steps.to_vec());
    land.front_times(operation, 130);
    // The callee can do something else, too, which is rarely wanted.
    let other = land.operation(to, Vec::new());
    land.front_times(other, 2);
    Planted::of(land, &[from, to]).may(&["chatty-services"])
}

/// A service behind a sidecar of a mesh, through which `called` of it is asked: the sidecar and its operation.
pub(super) fn sidecar(land: &mut Land, called: usize) -> (usize, usize) {
    let service = land.system.operations[called].service;
    let (name, namespace) = (land.name_of(service), land.system.services[service].namespace.clone());
    let proxy = land.named(&format!("{name}-envoy"), &namespace);
    let Service { instances, speech, table, .. } = land.system.services[service].clone();
    let sidecar = &mut land.system.services[proxy];
    (sidecar.is_proxy, sidecar.speech, sidecar.table, sidecar.instances) = (true, speech, table, instances);
    let protocol = land.system.operations[called].protocol.clone();
    let call = land.call(called);
    let through = land.bare(proxy, protocol, vec![call]);
    land.system.operations[through].work_us = (50, 200);
    (proxy, through)
}

pub(super) const LIKE_TIGHT: &[(&str, Plan)] = &[
    ("sidecars", |land| {
        let [from, to] = land.services();
        let (mut steps, mut sidecars) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let called = land.operation(to, Vec::new());
            let (proxy, through) = sidecar(land, called);
            sidecars.push(proxy);
            steps.push(land.call(through));
        }
        let operation = land.operation(from, steps);
        land.front_times(operation, 60);
        // What is left of a request that was torn apart stays with its sidecar.
        Planted::of(land, &[&[from, to], sidecars.as_slice()].concat()).may(&["broken-trace"])
    }),
    ("always together, once", |land| {
        let [from, to] = land.services();
        let called = land.operation(to, Vec::new());
        let call = land.call(called);
        serve(land, from, vec![call]);
        Planted::of(land, &[from, to])
    }),
    ("four calls of one consumer", |land| {
        let [from, to] = land.services();
        let called = land.operation(to, Vec::new());
        let call = land.call_of_round(called);
        serve(land, from, vec![Step::Repeat { times: (4, 4), at_once: false, gap_ms: 0, steps: vec![call] }]);
        Planted::of(land, &[from, to])
    }),
];

pub(super) fn wrong_cut(land: &mut Land) -> Planted {
    let foreign: [usize; 2] = [(); 2].map(|()| land.service_in("aisles"));
    let service = land.service_in("yards");
    let home = land.service_in("yards");
    let near = land.operation(home, Vec::new());
    let near = land.call(near);
    let calls: Vec<Step> = foreign
        .iter()
        .flat_map(|&service| {
            let called = [(); 2].map(|()| land.operation(service, Vec::new()));
            called.map(|called| land.call(called))
        })
        .collect();
    let operation = land.operation(service, [vec![Step::Maybe(0.4, vec![near])], calls].concat());
    land.front_times(operation, 90);
    Planted::of(land, &[service]).beside(land, &[foreign[0], foreign[1], home])
}

pub(super) const LIKE_WRONG_CUT: &[(&str, Plan)] = &[("a platform for all", |land| {
    let platform = land.named("translations", "platform");
    land.system.roles.push(("config", "translations".to_owned()));
    let called = land.operation(platform, Vec::new());
    for service in land.services::<3>() {
        let call = land.call(called);
        let operation = land.operation(service, vec![call]);
        land.front_times(operation, 60);
    }
    Planted::of(land, &[platform]).may(&["hub-service"])
})];

pub(super) fn low_cohesion(land: &mut Land) -> Planted {
    let [service, left, right] = land.services();
    super::chatter::into_sql(land, service);
    let store = land.system.services[service].store;
    for (table, callee) in [("stamps", left), ("coins", right)] {
        let called = land.operation(callee, Vec::new());
        for verb in ["SELECT", "UPDATE"] {
            let access = land.access(store, verb, table, Key::Request);
            let call = land.call(called);
            let operation = land.storeless(service, vec![access, call]);
            land.front(operation);
        }
    }
    Planted::of(land, &[service]).beside(land, &[left, right])
}

pub(super) const LIKE_LOW_COHESION: &[(&str, Plan)] = &[
    ("an administration of tables", |land| {
        let service = sql_service(land);
        let store = land.system.services[service].store;
        for table in ["stamps", "coins", "medals"] {
            for verb in ["SELECT", "INSERT", "UPDATE", "DELETE"] {
                let access = land.access(store, verb, table, Key::Request);
                let operation = land.storeless(service, vec![access]);
                land.front_times(operation, 14);
            }
        }
        Planted::of(land, &[service]).may(&["god-service"])
    }),
    ("two sides of one table", |land| {
        let service = sql_service(land);
        let store = land.system.services[service].store;
        for table in ["stamps", "coins"] {
            for verb in ["SELECT", "UPDATE"] {
                let access = land.access(store, verb, table, Key::Request);
                serve(land, service, vec![access]);
            }
        }
        Planted::of(land, &[service])
    }),
    ("a page composer", |land| {
        let number = super::super::land::words(land.system.services.len());
        let composer = land.named(&format!("web-bff-{number}"), "edge");
        land.system.roles.push(("bff", land.name_of(composer)));
        for service in land.services::<2>() {
            let called = [(); 2].map(|()| land.operation(service, Vec::new()));
            for _ in 0..2 {
                let calls = called.map(|called| land.call(called));
                let operation = land.storeless(composer, calls.to_vec());
                land.front(operation);
            }
        }
        Planted::of(land, &[composer])
    }),
];

/// Versions of a service that change at these minutes.
fn deploy(land: &mut Land, service: usize, minutes: &[u64]) {
    let versions = minutes.iter().enumerate().map(|(number, minute)| (minute * MINUTE, format!("2.{number}.0")));
    land.system.services[service].versions = [(0, "1.9.0".to_owned())].into_iter().chain(versions).collect();
}

pub(super) fn lockstep(land: &mut Land) -> Planted {
    land.system.duration = 130 * MINUTE;
    let [from, to] = land.services();
    let called = land.operation(to, Vec::new());
    let call = land.call(called);
    let operation = land.operation(from, vec![call]);
    land.front_times(operation, 400);
    deploy(land, from, &[25, 60, 95]);
    deploy(land, to, &[27, 63, 96]);
    Planted::of(land, &[from, to])
}

pub(super) const LIKE_LOCKSTEP: &[(&str, Plan)] = &[
    ("a platform that is rolled out as a whole", |land| {
        for service in 0..land.system.services.len() {
            if land.system.services[service].versions.len() == 1 {
                deploy(land, service, &[5, 43, 115]);
            }
        }
        Planted::default()
    }),
    ("each in its own time", |land| {
        let [from, to] = land.services();
        let called = land.operation(to, Vec::new());
        let call = land.call(called);
        let operation = land.operation(from, vec![call]);
        land.front_times(operation, 400);
        deploy(land, from, &[10, 45, 80]);
        deploy(land, to, &[30, 62, 110]);
        Planted::of(land, &[from, to])
    }),
];
