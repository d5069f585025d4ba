//! Governance, telemetry and contracts: what cannot be trusted, and what was not agreed.

use super::super::land::{Land, words};
use super::super::model::{Address, Call, Key, Protocol, Source, Speech, Step};
use super::{Plan, Planted};

fn serve(land: &mut Land, service: usize, steps: Vec<Step>) -> usize {
    let operation = land.operation(service, steps);
    land.front(operation);
    operation
}

fn edge(land: &mut Land, change: fn(&mut Call)) -> [usize; 2] {
    let [from, to] = land.services();
    let called = land.operation(to, Vec::new());
    let mut call = land.plain_call(called);
    change(&mut call);
    serve(land, from, vec![Step::Call(call)]);
    [from, to]
}

pub(super) fn hard_coded(land: &mut Land) -> Planted {
    let [from, to, named] = land.services();
    let called = land.operation(to, Vec::new());
    let call = Call { address: Address::Ip, ..land.plain_call(called) };
    serve(land, from, vec![Step::Call(call)]);
    let call = land.call(called);
    serve(land, named, vec![call]);
    Planted::of(land, &[from, to]).beside(land, &[named])
}

pub(super) const LIKE_HARD_CODED: &[(&str, Plan)] = &[
    ("addresses of pods, which change", |land| {
        let [from, to, named] = land.services();
        let called = land.operation(to, Vec::new());
        let call = Call { address: Address::Pod, ..land.plain_call(called) };
        serve(land, from, vec![Step::Call(call)]);
        let call = land.call(called);
        serve(land, named, vec![call]);
        Planted::of(land, &[from, to])
    }),
    ("a name", |land| {
        let services = edge(land, |_| {});
        Planted::of(land, &services)
    }),
];

pub(super) fn unversioned(land: &mut Land) -> Planted {
    let [service, callers @ ..]: [usize; 3] = land.services();
    for _ in 0..4 {
        let route = format!("/plain/{{id}}/{}", words(land.system.operations.len()));
        let own = land.own(service, "SELECT", Key::Request);
        let operation = land.bare(service, Protocol::Http { method: "GET", route }, vec![own]);
        for from in callers {
            let call = land.call(operation);
            serve(land, from, vec![call]);
        }
    }
    Planted::of(land, &[service]).may(&["hub-service"])
}

pub(super) const LIKE_UNVERSIONED: &[(&str, Plan)] = &[("operations for one consumer", |land| {
    let [service, from] = land.services();
    for _ in 0..4 {
        let route = format!("/inner/{{id}}/{}", words(land.system.operations.len()));
        let own = land.own(service, "SELECT", Key::Request);
        let operation = land.bare(service, Protocol::Http { method: "GET", route }, vec![own]);
        let call = land.call(operation);
        serve(land, from, vec![call]);
    }
    Planted::of(land, &[service])
})];

pub(super) fn ownerless(land: &mut Land) -> Planted {
    let service = land.service();
    serve(land, service, Vec::new());
    land.system.services[service].owner = None;
    Planted::of(land, &[service])
}

pub(super) fn broken(land: &mut Land) -> Planted {
    let service = land.service();
    land.system.services[service].speech = Speech::Http;
    let operation = serve(land, service, Vec::new());
    land.entry(operation, 60, Source::Lost);
    Planted::of(land, &[service]).may(&["gateway-bypass"])
}

pub(super) const LIKE_BROKEN: &[(&str, Plan)] = &[("a few lost parents", |land| {
    let service = land.service();
    let operation = land.operation(service, Vec::new());
    land.front_times(operation, 100);
    land.entry(operation, 3, Source::Lost);
    Planted::of(land, &[service])
})];

pub(super) fn unpropagated(land: &mut Land) -> Planted {
    let services = edge(land, |call| call.loses_context = true);
    if land.random.chance(0.4) {
        // Most of the calls keep it: one of several clients in the code does not hand it on.
        for _ in 0..3 {
            let called = land.operation(services[1], Vec::new());
            let call = land.call(called);
            serve(land, services[0], vec![call]);
        }
    }
    Planted::of(land, &services).may(&["gateway-bypass"])
}

pub(super) const LIKE_UNPROPAGATED: &[(&str, Plan)] = &[("a callee with a schedule of its own", |land| {
    let services = edge(land, |_| {});
    land.job(services[1], Vec::new(), 30);
    Planted::of(land, &services)
})];

pub(super) fn unnamed(land: &mut Land) -> Planted {
    let service = land.service();
    serve(land, service, Vec::new());
    "unknown_service:java".clone_into(&mut land.system.services[service].name);
    land.system.services[service].instances.truncate(1);
    // Whatever it is called now: a fault has no other service in its system.
    let named = land.name_of(service);
    let beside = ["", "unknown_service", "unknown_service:java (unknown_service:java-0)", &named].map(str::to_owned);
    Planted { beside: beside.to_vec(), ..Planted::default() }
}

pub(super) fn many_names(land: &mut Land) -> Planted {
    let service = land.service();
    land.system.services[service].speech = Speech::Http;
    for _ in 0..3 {
        let route = format!("/v1/{}/{{id}}", words(land.system.operations.len()));
        let operation = land.bare(service, Protocol::Http { method: "GET", route }, Vec::new());
        land.system.operations[operation].is_raw = true;
        land.front_times(operation, 450);
    }
    let own = land.operation(service, Vec::new());
    land.front(own);
    Planted::of(land, &[service])
}

pub(super) const LIKE_MANY_NAMES: &[(&str, Plan)] = &[("many operations", |land| {
    let service = land.service();
    for _ in 0..30 {
        let operation = land.operation(service, Vec::new());
        land.front_times(operation, 12);
    }
    Planted::of(land, &[service]).may(&["god-service"])
})];
