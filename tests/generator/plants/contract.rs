//! Contracts: what a team declared of its system, and what does not keep to it.

use super::super::land::Land;
use super::super::model::{Call, Key, Step};
use super::{Plan, Planted};

/// A service that calls another on the way of `requests` requests, so many times each, and the arrow between them.
fn edge(land: &mut Land, requests: u64, times: u64) -> ([usize; 2], String) {
    let [from, to] = land.services();
    let called = land.operation(to, Vec::new());
    let call = Step::Call(Call { key: Key::Round, ..land.plain_call(called) });
    let steps = vec![Step::Repeat { times: (times, times), at_once: false, gap_ms: 0, steps: vec![call] }];
    let operation = land.operation(from, steps);
    land.front_times(operation, requests);
    let arrow = format!("{} -> {}", land.name_of(from), land.name_of(to));
    ([from, to], arrow)
}

pub(super) fn forbidden(land: &mut Land) -> Planted {
    let requests = land.random.between((1, 40));
    let (services, arrow) = edge(land, requests, 1);
    land.system.settings.forbidden.push(arrow);
    Planted::of(land, &services)
}

pub(super) const LIKE_FORBIDDEN: &[(&str, Plan)] = &[("only the other direction is forbidden", |land| {
    let (services, _) = edge(land, 20, 1);
    let [to, from] = services.map(|service| land.name_of(service));
    land.system.settings.forbidden.push(format!("{from} -> {to}"));
    Planted::of(land, &services)
})];

pub(super) fn undeclared(land: &mut Land) -> Planted {
    let (services, _) = edge(land, 12, 1);
    land.system.settings.undeclared = Some((services[0], services[1]));
    Planted::of(land, &services)
}

pub(super) const LIKE_UNDECLARED: &[(&str, Plan)] = &[("everything is declared", |land| {
    let (services, arrow) = edge(land, 12, 1);
    land.system.settings.allowed.push(arrow);
    Planted::of(land, &services)
})];

pub(super) fn unused(land: &mut Land) -> Planted {
    let [from, to] = land.services();
    for service in [from, to] {
        let operation = land.operation(service, Vec::new());
        land.front(operation);
    }
    let arrow = match land.random.below(2) {
        0 => format!("{} -> {}", land.name_of(from), land.name_of(to)),
        _ => format!("{} -> {}*", land.name_of(from), land.name_of(to)),
    };
    land.system.settings.allowed.push(arrow);
    Planted::of(land, &[from]).beside(land, &[to])
}

pub(super) const LIKE_UNUSED: &[(&str, Plan)] = &[("an arrow of a service that was not seen", |land| {
    land.system.settings.allowed.push("nightly-report -> archive".to_owned());
    Planted::default()
})];

pub(super) fn over_budget(land: &mut Land) -> Planted {
    if land.random.chance(0.5) {
        let (services, arrow) = edge(land, 40, 4);
        land.system.settings.budgets.push((arrow, "calls = 2".to_owned()));
        return Planted::of(land, &services);
    }
    let (services, arrow) = edge(land, 40, 1);
    let called = land.system.operations.iter_mut().rfind(|operation| operation.service == services[1]);
    called.expect("it was just made").steps.push(Step::Wait { ms: (120, 200) });
    land.system.settings.budgets.push((arrow, "latency_ms_p95 = 100".to_owned()));
    Planted::of(land, &services)
}

pub(super) const LIKE_OVER_BUDGET: &[(&str, Plan)] = &[
    ("as many as agreed on, and attempts after a failure", |land| {
        let [from, to] = land.services();
        let called = land.operation(to, Vec::new());
        let call = Call { key: Key::Round, failing: 0.03, retries: 1, ..land.plain_call(called) };
        let steps = vec![Step::Repeat { times: (2, 2), at_once: false, gap_ms: 0, steps: vec![Step::Call(call)] }];
        let operation = land.operation(from, steps);
        land.front(operation);
        let arrow = format!("{} -> {}", land.name_of(from), land.name_of(to));
        land.system.settings.budgets.push((arrow, "calls = 2".to_owned()));
        Planted::of(land, &[from, to])
    }),
    ("quick enough", |land| {
        let (services, arrow) = edge(land, 40, 1);
        land.system.settings.budgets.push((arrow, "latency_ms_p95 = 400, calls = 1".to_owned()));
        Planted::of(land, &services)
    }),
];
