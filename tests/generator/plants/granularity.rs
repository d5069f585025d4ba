//! Granularity: services cut too small, chains too long, and one system in many parts.

use super::super::land::Land;
use super::super::model::{Protocol, Publish, Speech, Step};
use super::{Plan, Planted};

fn serve(land: &mut Land, service: usize, steps: Vec<Step>) -> usize {
    let operation = land.operation(service, steps);
    land.front(operation);
    operation
}

pub(super) fn nano(land: &mut Land) -> Planted {
    let [from, nano] = land.services();
    let called = land.storeless(nano, Vec::new());
    land.system.operations[called].work_us = (80, 300);
    let call = land.call(called);
    let operation = land.operation(from, vec![call]);
    land.front_times(operation, 130);
    Planted::of(land, &[nano]).beside(land, &[from])
}

pub(super) const LIKE_NANO: &[(&str, Plan)] = &[
    ("it takes its time", |land| {
        let [from, worker] = land.services();
        let called = land.storeless(worker, Vec::new());
        land.system.operations[called].work_us = (20_000, 60_000);
        let call = land.call(called);
        let operation = land.operation(from, vec![call]);
        land.front_times(operation, 120);
        Planted::of(land, &[from, worker])
    }),
    ("apart on purpose, as the team declared", |land| {
        let planted = nano(land);
        land.system.settings.ignored.push(("nano-service", planted.services[0].clone()));
        planted
    }),
    ("two callers", |land| {
        let [left, right, small] = land.services();
        let called = land.storeless(small, Vec::new());
        land.system.operations[called].work_us = (80, 300);
        for from in [left, right] {
            let call = land.call(called);
            let operation = land.operation(from, vec![call]);
            land.front_times(operation, 60);
        }
        Planted::of(land, &[left, right, small])
    }),
    ("it stores", |land| {
        let [from, small] = land.services();
        let called = land.operation(small, Vec::new());
        land.system.operations[called].work_us = (80, 300);
        let call = land.call(called);
        let operation = land.operation(from, vec![call]);
        land.front_times(operation, 120);
        Planted::of(land, &[from, small])
    }),
];

/// A service without a store whose requests each make one call, and its callee.
fn passing(land: &mut Land, work_us: (u64, u64)) -> [usize; 2] {
    let [between, behind] = land.services();
    land.system.services[between].speech = land.system.services[behind].speech;
    for _ in 0..2 {
        let called = land.operation(behind, vec![Step::Wait { ms: (30, 50) }]);
        let call = land.call(called);
        let operation = land.storeless(between, vec![call]);
        land.system.operations[operation].work_us = work_us;
        land.front(operation);
    }
    [between, behind]
}

pub(super) fn pass_through(land: &mut Land) -> Planted {
    let [between, behind] = passing(land, (100, 400));
    Planted::of(land, &[between]).beside(land, &[behind])
}

pub(super) const LIKE_PASS_THROUGH: &[(&str, Plan)] = &[
    ("it works on the answer", |land| {
        let [between, behind] = passing(land, (25_000, 40_000));
        Planted::of(land, &[between, behind])
    }),
    ("another protocol outside than inside", |land| {
        let [between, behind] = land.services();
        land.system.services[between].speech = Speech::Http;
        land.system.services[behind].speech = Speech::Grpc;
        for _ in 0..2 {
            let called = land.operation(behind, vec![Step::Wait { ms: (30, 50) }]);
            let call = land.call(called);
            let operation = land.storeless(between, vec![call]);
            land.system.operations[operation].work_us = (100, 400);
            land.front(operation);
        }
        Planted::of(land, &[between, behind])
    }),
    ("half of its requests call nobody", |land| {
        let [between, behind] = land.services();
        let called = land.operation(behind, vec![Step::Wait { ms: (30, 50) }]);
        let call = land.call(called);
        let operation = land.storeless(between, vec![Step::Maybe(0.5, vec![call])]);
        land.system.operations[operation].work_us = (100, 400);
        let other = land.storeless(between, Vec::new());
        land.front(operation);
        land.front(other);
        Planted::of(land, &[between, behind])
    }),
];

pub(super) fn deep(land: &mut Land) -> Planted {
    let services = land.services::<10>();
    let chain = &services[..8 + land.random.below(3)];
    let mut called = land.operation(chain[0], Vec::new());
    for &service in &chain[1..] {
        let call = land.call(called);
        called = land.operation(service, vec![call]);
    }
    land.front(called);
    let gateway = land.system.gateway;
    // Of one entry operation: the catalogue does not say whether the whole chain is named.
    let chain = [chain, &[gateway]].concat();
    Planted::default().beside(land, &chain)
}

pub(super) const LIKE_DEEP: &[(&str, Plan)] = &[
    ("recursion", |land| {
        let service = land.service();
        let mut called = land.operation(service, Vec::new());
        for _ in 0..7 {
            let call = land.call(called);
            called = land.operation(service, vec![call]);
        }
        land.front(called);
        Planted::of(land, &[service])
    }),
    ("sidecars on every hop", |land| {
        let services = land.services::<3>();
        let mut called = land.operation(services[0], Vec::new());
        let mut all = services.to_vec();
        for &service in &services[1..] {
            let (proxy, through) = super::boundaries::sidecar(land, called);
            all.push(proxy);
            let call = land.call(through);
            called = land.operation(service, vec![call]);
        }
        land.front(called);
        Planted::of(land, &all).may(&["broken-trace"])
    }),
    ("asynchronous hops", |land| {
        let services = land.services::<9>();
        let mut step: Option<Step> = None;
        for (place, &service) in services.iter().enumerate() {
            if place % 3 == 2 {
                let topic = land.topic();
                land.consumer(topic, service, 1, step.take().into_iter().collect());
                step = Some(Step::Publish(Publish { topic, creates: 0 }));
            } else {
                let operation = land.operation(service, step.take().into_iter().collect());
                step = Some(land.call(operation));
            }
        }
        let front = land.service();
        serve(land, front, step.into_iter().collect());
        Planted::of(land, &services)
    }),
];

/// Every request runs through everything, on one database.
pub(super) fn monolith(land: &mut Land) -> Planted {
    let services = land.services::<8>();
    let store = land.store("postgresql", "main-db.internal");
    for &service in &services {
        land.system.services[service].store = store;
    }
    for first in 0..4 {
        let called: Vec<Step> = services[4..]
            .iter()
            .map(|&service| {
                let operation = land.operation(service, Vec::new());
                land.call(operation)
            })
            .collect();
        serve(land, services[first], called);
    }
    // Half of them stand in one ring.
    let mut called = land.operation(services[0], Vec::new());
    for &service in services[..5].iter().rev() {
        let call = land.call(called);
        called = land.operation(service, vec![call]);
    }
    land.front(called);
    for operation in &mut land.system.operations {
        if let Protocol::Http { .. } | Protocol::Grpc { .. } = operation.protocol {
            for step in &mut operation.steps {
                if let Step::Access(access) = step {
                    access.store = store;
                }
            }
        }
    }
    let gateway = land.system.gateway;
    Planted { services: Vec::new(), ..Planted::of(land, &services) }
        .beside(land, &[services.as_slice(), &[gateway]].concat())
        .may(&["shared-database", "data-monolith", "cyclic-dependency", "hub-service", "ping-pong", "deep-call-chain"])
}

pub(super) const SYSTEMS_LIKE_MONOLITH: &[(&str, Plan)] = &[("a small demo", |land| {
    let services = land.services::<4>();
    let mut called: Vec<usize> = Vec::new();
    for &service in services.iter().rev() {
        let calls = called.iter().map(|&called| land.call(called)).collect();
        called.push(land.operation(service, calls));
    }
    for &operation in &called {
        land.front(operation);
    }
    Planted::of(land, &services)
})];
