//! Resilience and performance: what failures and slowness do to others.

use super::super::land::Land;
use super::super::model::{Access, Call, Entry, Key, MINUTE, Protocol, S, Speech, Step};
use super::chatter::into_sql;
use super::{Plan, Planted};

/// A service that calls another, as `change` says, so many times.
fn calling(land: &mut Land, requests: u64, change: fn(&mut Call)) -> [usize; 3] {
    let [from, to] = land.services();
    let called = land.operation(to, Vec::new());
    let mut call = land.plain_call(called);
    change(&mut call);
    let operation = land.operation(from, vec![Step::Call(call)]);
    land.front_times(operation, requests);
    [from, to, called]
}

pub(super) fn retries(land: &mut Land) -> Planted {
    if land.random.chance(0.4) {
        return layered_retries(land);
    }
    let [from, to, _] = calling(land, 70, |call| {
        call.failing = 0.3;
        call.retries = 3;
    });
    Planted::of(land, &[from, to])
}

/// Whoever calls the caller asks again, too, which is not another fault.
fn layered_retries(land: &mut Land) -> Planted {
    let [top, from, to] = land.services();
    let called = land.operation(to, Vec::new());
    let call = Call { failing: 0.45, retries: 1, degrades: false, ..land.plain_call(called) };
    let middle = land.operation(from, vec![Step::Call(call)]);
    let call = Call { retries: 2, ..land.plain_call(middle) };
    let operation = land.operation(top, vec![Step::Call(call)]);
    land.front_times(operation, 70);
    Planted::of(land, &[from, to]).beside(land, &[top])
}

pub(super) const LIKE_RETRIES: &[(&str, Plan)] = &[
    ("a retry now and then", |land| {
        let [from, to, _] = calling(land, 80, |call| {
            call.failing = 0.02;
            call.retries = 2;
        });
        Planted::of(land, &[from, to])
    }),
    ("failures without retries", |land| {
        let [from, to, _] = calling(land, 60, |call| call.failing = 0.1);
        Planted::of(land, &[from, to])
    }),
    ("failures of one thing after another", |land| {
        let [from, to] = land.services();
        let called = land.operation(to, Vec::new());
        let key = land.random.pick(&[Key::Round, Key::Unknown]);
        let call = Call { key, failing: 0.2, degrades: true, ..land.plain_call(called) };
        let each = Step::Repeat { times: (4, 4), at_once: false, gap_ms: 0, steps: vec![Step::Call(call)] };
        let operation = land.operation(from, vec![each]);
        land.front_times(operation, 60);
        Planted::of(land, &[from, to])
    }),
];

pub(super) fn abandoned(land: &mut Land) -> Planted {
    let [from, to, called] = calling(land, 60, |call| {
        call.stalls = (0.3, 600);
        call.timeout = Some(S / 4);
    });
    let _ = called;
    Planted::of(land, &[from, to])
}

pub(super) const LIKE_ABANDONED: &[(&str, Plan)] = &[
    ("work after the answer", |land| {
        let [from, to, called] = calling(land, 50, |_| {});
        let wait = Step::Internal("index".to_owned(), vec![Step::Wait { ms: (200, 400) }]);
        land.system.operations[called].steps.push(Step::Afterwards(vec![wait]));
        Planted::of(land, &[from, to])
    }),
    ("a callee that stops in time", |land| {
        let [from, to, _] = calling(land, 50, |call| {
            call.stalls = (0.2, 260);
            call.timeout = Some(S / 4);
        });
        Planted::of(land, &[from, to])
    }),
];

pub(super) fn no_timeout(land: &mut Land) -> Planted {
    let [from, to, _] = calling(land, 1_150, |call| call.stalls = (0.025, 34_000));
    let gateway = land.system.gateway;
    Planted::of(land, &[from, to]).beside(land, &[gateway]).may(&["missing-timeout"])
}

pub(super) const LIKE_NO_TIMEOUT: &[(&str, Plan)] = &[
    ("streams that stay open", |land| {
        let [from, to, called] = calling(land, 1_050, |call| call.stalls = (0.01, 40_000));
        land.system.services[to].speech = Speech::Http;
        let route = format!("/v1/{}/{{id}}/events", land.system.services[to].table);
        land.system.operations[called].protocol = Protocol::Http { method: "GET", route };
        // What waits for a stream streams itself.
        for operation in &mut land.system.operations[called..] {
            operation.is_stream = true;
        }
        let gateway = land.system.gateway;
        Planted::of(land, &[from, to]).beside(land, &[gateway])
    }),
    ("a timeout that holds", |land| {
        let [from, to, _] = calling(land, 200, |call| {
            call.stalls = (0.02, 45_000);
            call.timeout = Some(2 * S);
        });
        Planted::of(land, &[from, to]).may(&["abandoned-work"])
    }),
];

/// An outage of two minutes at the callee; one call in `breaker` is still made then.
fn out(land: &mut Land, breaker: u64) -> [usize; 2] {
    let [from, to] = land.services();
    let called = land.operation(to, Vec::new());
    let call = Call { breaker, ..land.plain_call(called) };
    let operation = land.operation(from, vec![Step::Call(call)]);
    land.front_times(operation, 260);
    land.system.operations[called].outage = Some((3 * MINUTE, 5 * MINUTE + 10 * S));
    land.system.operations[called].work_us = (40_000, 60_000);
    [from, to]
}

pub(super) fn no_breaker(land: &mut Land) -> Planted {
    if land.random.chance(0.4) {
        return no_breaker_in_between(land);
    }
    let services = out(land, 1);
    Planted::of(land, &services)
}

/// The caller is down for as long as its callee is, which is not another fault.
fn no_breaker_in_between(land: &mut Land) -> Planted {
    let [top, from, to] = land.services();
    let called = land.operation(to, Vec::new());
    land.system.operations[called].outage = Some((3 * MINUTE, 5 * MINUTE + 10 * S));
    land.system.operations[called].work_us = (40_000, 60_000);
    let call = Call { degrades: false, ..land.plain_call(called) };
    let middle = land.operation(from, vec![Step::Call(call)]);
    let call = land.call(middle);
    let operation = land.operation(top, vec![call]);
    land.front_times(operation, 260);
    Planted::of(land, &[from, to]).beside(land, &[top])
}

pub(super) const LIKE_NO_BREAKER: &[(&str, Plan)] = &[("a breaker that opens", |land| {
    let services = out(land, 12);
    Planted::of(land, &services)
})];

/// A chain of three behind the gateway, whose last fails so often.
fn chain(land: &mut Land, degrades: bool, failing: f64, refusing: f64) -> [usize; 3] {
    let [first, second, last] = land.services();
    let called = land.operation(last, Vec::new());
    land.system.operations[called].failing = failing;
    land.system.operations[called].refusing = refusing;
    let call = Step::Call(Call { degrades, ..land.plain_call(called) });
    let middle = land.operation(second, vec![call]);
    let call = Step::Call(Call { degrades, ..land.plain_call(middle) });
    let operation = land.operation(first, vec![call]);
    let call = Step::Call(Call { degrades, ..land.plain_call(operation) });
    land.front_steps(vec![call], 100);
    [first, second, last]
}

pub(super) fn cascade(land: &mut Land) -> Planted {
    let services = chain(land, false, 0.25, 0.0);
    let gateway = land.system.gateway;
    Planted::of(land, &services).beside(land, &[gateway])
}

pub(super) const LIKE_CASCADE: &[(&str, Plan)] = &[
    ("failures that are caught", |land| {
        let services = chain(land, true, 0.25, 0.0);
        Planted::of(land, &services)
    }),
    ("refusals", |land| {
        let services = chain(land, false, 0.0, 0.3);
        Planted::of(land, &services)
    }),
];

pub(super) fn single_point(land: &mut Land) -> Planted {
    land.system.duration = 75 * MINUTE;
    let point = land.service();
    land.system.services[point].instances.truncate(1);
    let called = land.operation(point, Vec::new());
    let gateway = land.system.gateway;
    let call = land.call(called);
    for operation in &mut land.system.operations {
        if operation.service == gateway && !operation.steps.is_empty() {
            operation.steps.push(call.clone());
        }
    }
    Planted::of(land, &[point]).beside(land, &[gateway]).may(&["single-point-of-failure", "hub-service"])
}

pub(super) const LIKE_SINGLE_POINT: &[(&str, Plan)] = &[];

/// A service with a query of this kind.
fn querying(land: &mut Land, requests: u64, change: fn(&mut Access)) -> usize {
    let service = land.service();
    into_sql(land, service);
    let store = land.system.services[service].store;
    let mut access = land.plain_access(store, "SELECT", "reports", Key::Request);
    change(&mut access);
    let operation = land.operation(service, vec![Step::Access(access)]);
    land.front_times(operation, requests);
    service
}

pub(super) fn slow_query(land: &mut Land) -> Planted {
    let service = querying(land, 45, |access| access.slow = (0.4, 700_000));
    Planted::of(land, &[service])
}

pub(super) const LIKE_SLOW_QUERY: &[(&str, Plan)] = &[
    ("one slow query in two hundred", |land| {
        let service = querying(land, 100, |access| access.slow = (0.005, 800_000));
        Planted::of(land, &[service])
    }),
    ("queries that stay below", |land| {
        let service = querying(land, 45, |access| access.work_us = (150_000, 350_000));
        Planted::of(land, &[service])
    }),
];

/// Half a minute of load with so many requests a second, in which an instance runs some fifteen queries at once, between quiet minutes.
fn loaded(land: &mut Land, requests: u64, change: fn(&mut Access)) -> usize {
    let service = querying(land, 60, change);
    let entry = land.system.entries.last_mut().expect("an entry");
    let from = 3 * MINUTE + S / 2;
    let load = Entry { requests: 32 * requests, within: Some((from, from + 32 * S)), ..entry.clone() };
    land.system.entries.push(load);
    land.system.services[service].instances.truncate(1);
    service
}

pub(super) fn pool(land: &mut Land) -> Planted {
    let service = loaded(land, 48, |access| {
        access.work_us = (60_000, 90_000);
        access.queues = true;
    });
    // Under a high load the queries of the full pool wait for half a minute, and nothing ends them.
    Planted::of(land, &[service]).may(&["slow-query", "missing-timeout"])
}

pub(super) const LIKE_POOL: &[(&str, Plan)] = &[
    ("many at once, as quick as ever", |land| {
        let service = loaded(land, 90, |access| access.work_us = (120_000, 160_000));
        Planted::of(land, &[service])
    }),
    ("queries that are slow whatever the load", |land| {
        let service = querying(land, 400, |access| access.work_us = (350_000, 420_000));
        Planted::of(land, &[service])
    }),
];

pub(super) fn slow_call(land: &mut Land) -> Planted {
    let [from, to, called] = calling(land, 60, |_| {});
    land.system.operations[called].steps.push(Step::Wait { ms: (600, 800) });
    // Whatever calls the slow one is slow itself.
    land.system.settings.thresholds.push(("slow-call", "budget_ms", 500.0));
    let gateway = land.system.gateway;
    Planted::of(land, &[from, to]).beside(land, &[gateway]).may(&["slow-call"])
}

pub(super) const LIKE_SLOW_CALL: &[(&str, Plan)] = &[("a call that is slow once in a hundred times", |land| {
    let [from, to, _] = calling(land, 200, |call| call.stalls = (0.01, 900));
    Planted::of(land, &[from, to])
})];
