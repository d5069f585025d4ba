//! Chatter: too many calls, queries and messages for one request.

use super::super::land::Land;
use super::super::model::{Access, Address, Call, Key, Publish, Source, Speech, Step};
use super::{Plan, Planted};

fn rounds(times: (u64, u64), steps: Vec<Step>) -> Step {
    Step::Repeat { times, at_once: false, gap_ms: 0, steps }
}

/// A service that talks SQL, with an operation of these steps behind the gateway.
pub(super) fn sql_service(land: &mut Land) -> usize {
    let service = land.service();
    into_sql(land, service);
    service
}

pub(super) fn into_sql(land: &mut Land, service: usize) {
    let system = land.random.pick(&["postgresql", "mysql"]);
    let store = land.system.services[service].store;
    land.system.stores[store].system = system;
    land.system.stores[store].address = format!("{system}.{}.internal", land.system.services[service].namespace);
    land.system.stores[store].port = if system == "mysql" { 3306 } else { 5432 };
}

fn serve(land: &mut Land, service: usize, steps: Vec<Step>) {
    let other = land.operation(service, Vec::new());
    land.front(other);
    let operation = land.operation(service, steps);
    land.front(operation);
}

pub(super) fn many_queries(land: &mut Land) -> Planted {
    let service = if land.random.chance(0.7) { sql_service(land) } else { land.service() };
    if land.random.chance(0.2) {
        land.system.services[service].speech = Speech::Graphql;
    }
    let key = land.random.pick(&[Key::Round, Key::Unknown]);
    let store = land.system.services[service].store;
    let child = |land: &mut Land, table: &str| {
        let access = land.plain_access(store, "SELECT", table, key);
        Step::Access(Access { work_us: (4_000, 9_000), is_wrapped: false, ..access })
    };
    let lines = child(land, "lines");
    let times = land.random.pick(&[(7, 9), (10, 14), (24, 30)]);
    let step = match land.random.below(5) {
        0 => Step::Repeat { times, at_once: true, gap_ms: 0, steps: vec![lines] },
        1 => rounds(times, vec![Step::Internal("resolve line".to_owned(), vec![lines])]),
        2 => {
            let more = [child(land, "prices"), child(land, "labels")];
            rounds(times, [lines].into_iter().chain(more).collect())
        }
        3 => rounds(times, vec![lines, Step::Internal("render".to_owned(), Vec::new())]),
        _ => rounds(times, vec![lines]),
    };
    serve(land, service, vec![step]);
    Planted::of(land, &[service])
}

/// A service that serves the steps that `steps` makes of a statement to its own database.
fn querying(land: &mut Land, (verb, key): (&'static str, Key), steps: impl Fn(Access) -> Vec<Step>) -> Planted {
    let service = sql_service(land);
    let own = land.system.services[service].store;
    let access = land.plain_access(own, verb, "entries", key);
    serve(land, service, steps(access));
    Planted::of(land, &[service])
}

pub(super) const LIKE_MANY_QUERIES: &[(&str, Plan)] = &[
    ("reads of a cache", |land| {
        let service = land.service();
        let cache = land.store("redis", "redis.infra");
        let get = land.access(cache, "GET", "price", Key::Round);
        serve(land, service, vec![rounds((12, 25), vec![get])]);
        Planted::of(land, &[service])
    }),
    ("one query for each shard", |land| {
        querying(land, ("SELECT", Key::Request), |access| {
            let access = Access { is_sharded: true, work_us: (4_000, 8_000), ..access };
            vec![Step::Repeat { times: (8, 8), at_once: true, gap_ms: 0, steps: vec![Step::Access(access)] }]
        })
    }),
    ("a driver below its wrapper", |land| {
        querying(land, ("SELECT", Key::Round), |access| {
            let access = Access { is_wrapped: true, work_us: (4_000, 8_000), ..access };
            vec![rounds((4, 4), vec![Step::Access(access)])]
        })
    }),
    ("transactions and settings", |land| {
        let service = sql_service(land);
        let store = land.system.services[service].store;
        let steps = ["connect", "BEGIN", "SET search_path = own", "COMMIT"];
        let steps = steps.map(|verb| land.access(store, verb, "", Key::Unknown)).to_vec();
        serve(land, service, vec![rounds((8, 8), steps)]);
        Planted::of(land, &[service])
    }),
    ("quick queries in a long request", |land| {
        querying(land, ("SELECT", Key::Round), |access| {
            let access = Access { work_us: (200, 500), ..access };
            vec![rounds((7, 9), vec![Step::Access(access)]), Step::Wait { ms: (200, 300) }]
        })
    }),
    ("changes of the schema", |land| {
        let service = sql_service(land);
        let store = land.system.services[service].store;
        let create = land.access(store, "CREATE", "indexed", Key::Unknown);
        serve(land, service, vec![rounds((8, 12), vec![create])]);
        Planted::of(land, &[service])
    }),
    ("resolvers that load together", |land| {
        let service = sql_service(land);
        land.system.services[service].speech = Speech::Graphql;
        let store = land.system.services[service].store;
        let access = land.plain_access(store, "SELECT", "entries", Key::Unknown);
        let resolvers = rounds((8, 12), vec![Step::Internal("graphql.resolve entry".to_owned(), Vec::new())]);
        serve(land, service, vec![resolvers, Step::Access(Access { batch: 12, ..access })]);
        Planted::of(land, &[service])
    }),
    ("one batch", |land| {
        querying(land, ("INSERT", Key::Unknown), |access| vec![Step::Access(Access { batch: 50, ..access })])
    }),
];

/// Two services of one namespace, the second with operations; the first is yet to be given what it does.
fn pair<const N: usize>(land: &mut Land) -> (usize, usize, [usize; N]) {
    let [from, to] = land.services();
    let operations = [(); N].map(|()| land.operation(to, Vec::new()));
    (from, to, operations)
}

pub(super) fn many_calls(land: &mut Land) -> Planted {
    let (from, to, [called]) = pair(land);
    if land.random.chance(0.2) {
        land.system.services[from].speech = Speech::Graphql;
    }
    let times = land.random.pick(&[(7, 9), (10, 15), (22, 26)]);
    let at_once = land.random.chance(0.3);
    let call = land.call_of_round(called);
    let call = if land.random.chance(0.3) { Step::Internal("fetch".to_owned(), vec![call]) } else { call };
    serve(land, from, vec![Step::Repeat { times, at_once, gap_ms: 0, steps: vec![call] }]);
    Planted::of(land, &[from, to])
}

pub(super) const LIKE_MANY_CALLS: &[(&str, Plan)] = &[
    ("scatter to distinct hosts", |land| {
        let (from, to, [called]) = pair(land);
        let call = Call { address: Address::Shard, ..land.plain_call(called) };
        serve(
            land,
            from,
            vec![Step::Repeat { times: (8, 8), at_once: true, gap_ms: 0, steps: vec![Step::Call(call)] }],
        );
        Planted::of(land, &[from, to]).may(&["repeated-calls"])
    }),
    ("polling", |land| {
        let [from, to] = land.services();
        land.system.services[to].speech = Speech::Http;
        let called = land.operation(to, Vec::new());
        let route = format!("/v1/{}/{{id}}/state", land.system.services[to].table);
        land.system.operations[called].protocol = super::super::model::Protocol::Http { method: "GET", route };
        let call = land.call(called);
        serve(land, from, vec![Step::Repeat { times: (6, 7), at_once: false, gap_ms: 200, steps: vec![call] }]);
        Planted::of(land, &[from, to]).may(&["repeated-calls"])
    }),
    ("paging", |land| {
        let (from, to, []) = pair(land);
        let table = land.system.services[to].table.clone();
        land.system.services[to].speech = Speech::Http;
        let called = land.operation(to, Vec::new());
        let protocol = super::super::model::Protocol::Http { method: "GET", route: format!("/v1/{table}?page={{id}}") };
        land.system.operations[called].protocol = protocol;
        let call = land.call_of_round(called);
        serve(land, from, vec![rounds((6, 8), vec![call])]);
        Planted::of(land, &[from, to])
    }),
    ("redirects", |land| {
        let (from, to, [called]) = pair(land);
        land.system.services[to].speech = Speech::Http;
        let route = format!("/v1/{}/moved/{{id}}", land.system.services[to].table);
        let operation = &mut land.system.operations[called];
        operation.protocol = super::super::model::Protocol::Http { method: "GET", route };
        operation.redirects = true;
        let call = land.call_of_round(called);
        serve(land, from, vec![rounds((5, 6), vec![call])]);
        Planted::of(land, &[from, to])
    }),
    ("attempts after a failure", |land| {
        let (from, to, [called]) = pair(land);
        let call = Call { failing: 0.05, retries: 1, key: Key::Round, ..land.plain_call(called) };
        serve(land, from, vec![rounds((4, 4), vec![Step::Call(call)])]);
        Planted::of(land, &[from, to])
    }),
    ("four calls", |land| {
        let (from, to, [called]) = pair(land);
        let call = land.call_of_round(called);
        serve(land, from, vec![rounds((4, 4), vec![call])]);
        Planted::of(land, &[from, to])
    }),
];

pub(super) fn many_messages(land: &mut Land) -> Planted {
    let [from, to] = land.services();
    let topic = land.topic();
    land.consumer(topic, to, 1, Vec::new());
    serve(land, from, vec![rounds((21, 26), vec![Step::Publish(Publish { topic, creates: 0 })])]);
    land.system.entries.last_mut().expect("an entry").requests = 20;
    Planted::of(land, &[from]).beside(land, &[to])
}

pub(super) const LIKE_MANY_MESSAGES: &[(&str, Plan)] = &[("a batch published at once", |land| {
    let [from, to] = land.services();
    let topic = land.topic();
    land.consumer(topic, to, 25, Vec::new());
    serve(land, from, vec![Step::Publish(Publish { topic, creates: 25 })]);
    land.system.entries.last_mut().expect("an entry").requests = 20;
    Planted::of(land, &[from, to])
})];

pub(super) fn repeated(land: &mut Land) -> Planted {
    let [from, to] = land.services();
    land.system.services[to].speech = Speech::Http;
    let called = land.operation(to, Vec::new());
    // What a POST asks for is in its body, which nobody sees.
    let route = format!("/v1/{}/{{id}}/state", land.system.services[to].table);
    land.system.operations[called].protocol = super::super::model::Protocol::Http { method: "GET", route };
    let call = land.call(called);
    serve(land, from, vec![rounds((6, 8), vec![call])]);
    Planted::of(land, &[from, to])
}

pub(super) const LIKE_REPEATED: &[(&str, Plan)] = &[
    ("a write in between", |land| {
        let service = sql_service(land);
        let steps = ["SELECT", "UPDATE", "SELECT"].map(|verb| {
            let store = land.system.services[service].store;
            land.access(store, verb, "balances", Key::Request)
        });
        serve(land, service, steps.to_vec());
        Planted::of(land, &[service])
    }),
    ("locks", |land| {
        let service = sql_service(land);
        let cache = land.store("redis", "redis.infra");
        let lock = land.access(cache, "SETNX", "lock", Key::Request);
        let row = land.system.services[service].store;
        let row = land.access(row, "LOCK", "rows", Key::Request);
        serve(land, service, vec![rounds((3, 4), vec![lock]), rounds((3, 3), vec![row])]);
        Planted::of(land, &[service])
    }),
    ("the same operation with other parameters", |land| {
        let (from, to, [called]) = pair(land);
        let call = land.call_of_round(called);
        serve(land, from, vec![rounds((3, 3), vec![call])]);
        Planted::of(land, &[from, to])
    }),
];

/// Operations of three services of their own, each of which takes this long.
fn three(land: &mut Land, ms: (u64, u64)) -> (usize, [usize; 3], Vec<Step>) {
    let [from, a, b, c] = land.services();
    let called = [a, b, c].map(|service| land.operation(service, vec![Step::Wait { ms }]));
    (from, [a, b, c], called.iter().map(|&called| land.call(called)).collect())
}

pub(super) fn serial(land: &mut Land) -> Planted {
    let (from, behind, calls) = three(land, (70, 120));
    serve(land, from, calls);
    Planted::of(land, &[from]).beside(land, &behind)
}

pub(super) const LIKE_SERIAL: &[(&str, Plan)] = &[
    ("calls at once", |land| {
        let (from, behind, calls) = three(land, (70, 120));
        serve(land, from, vec![Step::AtOnce(calls)]);
        Planted::of(land, &[from]).beside(land, &behind)
    }),
    ("short calls", |land| {
        let (from, behind, calls) = three(land, (1, 10));
        serve(land, from, calls);
        Planted::of(land, &[from]).beside(land, &behind)
    }),
];

pub(super) fn chatty(land: &mut Land) -> Planted {
    let (from, to, called) = pair::<3>(land);
    let times = land.random.pick(&[(2, 3), (4, 4)]);
    let steps = called.map(|called| rounds(times, vec![land.call_of_round(called)]));
    serve(land, from, steps.to_vec());
    Planted::of(land, &[from, to])
}

pub(super) const LIKE_CHATTY: &[(&str, Plan)] = &[
    ("a gateway that composes a page", |land| {
        let service = land.service();
        let called = [(); 3].map(|()| land.operation(service, Vec::new()));
        let steps = called.map(|called| rounds((2, 2), vec![land.call_of_round(called)]));
        land.front_steps(steps.to_vec(), 40);
        Planted::of(land, &[service, land.system.gateway])
    }),
    ("a scheduled job", |land| {
        let (from, to, called) = pair::<3>(land);
        let other = land.operation(from, Vec::new());
        land.front(other);
        let called_directly = land.operation(to, Vec::new());
        land.front(called_directly);
        let steps = called.map(|called| rounds((4, 4), vec![land.call_of_round(called)]));
        land.job(from, steps.to_vec(), 35);
        Planted::of(land, &[from, to]).may(&["chatty-services"])
    }),
    ("a service for one front end", |land| {
        let (front, to, called) = pair::<3>(land);
        land.system.roles.push(("bff", land.name_of(front)));
        let steps = called.map(|called| rounds((2, 2), vec![land.call_of_round(called)]));
        serve(land, front, steps.to_vec());
        Planted::of(land, &[front, to])
    }),
    ("streams", |land| {
        let (from, to, called) = pair::<3>(land);
        land.system.services[to].speech = Speech::Http;
        for called in called {
            let table = &land.system.services[to].table;
            let route = format!("/v1/{table}/{{id}}/events/{}", super::super::land::words(called));
            land.system.operations[called].protocol = super::super::model::Protocol::Http { method: "GET", route };
            land.system.operations[called].is_stream = true;
        }
        let steps = called.map(|called| rounds((2, 2), vec![land.call_of_round(called)]));
        serve(land, from, steps.to_vec());
        Planted::of(land, &[from, to])
    }),
    ("two calls each", |land| {
        let (from, to, called) = pair::<2>(land);
        let steps = called.map(|called| rounds((2, 2), vec![land.call_of_round(called)]));
        serve(land, from, steps.to_vec());
        Planted::of(land, &[from, to])
    }),
];

/// A service that calls sixteen operations of four others.
fn many_callees(land: &mut Land) -> (usize, [usize; 4], Vec<Step>) {
    let [from, a, b, c, d] = land.services();
    let behind = [a, b, c, d];
    let called: Vec<usize> =
        behind.iter().flat_map(|&service| [(); 4].map(|()| land.operation(service, Vec::new()))).collect();
    (from, behind, called.iter().map(|&called| land.call(called)).collect())
}

pub(super) fn fan_out(land: &mut Land) -> Planted {
    let (from, behind, mut calls) = many_callees(land);
    let url = "https://rates.partner.example/v2/quote/{}".to_owned();
    for _ in 0..2 {
        calls.push(Step::External { url: url.clone(), key: Key::Round, attributes: Vec::new() });
    }
    serve(land, from, vec![Step::AtOnce(calls)]);
    Planted::of(land, &[from]).beside(land, &behind).may(&["repeated-calls"])
}

pub(super) const LIKE_FAN_OUT: &[(&str, Plan)] = &[
    ("shards", |land| {
        let (from, to, [called]) = pair(land);
        let call = Step::Call(Call { address: Address::Shard, ..land.plain_call(called) });
        serve(land, from, vec![Step::Repeat { times: (16, 16), at_once: true, gap_ms: 0, steps: vec![call] }]);
        Planted::of(land, &[from, to]).may(&["repeated-calls", "chatty-services"])
    }),
    ("a gateway", |land| {
        let (from, behind, calls) = many_callees(land);
        land.front_steps(vec![Step::AtOnce(calls)], 40);
        let other = land.operation(from, Vec::new());
        land.front(other);
        let gateway = land.system.gateway;
        Planted::of(land, &behind).beside(land, &[gateway])
    }),
    ("a batch of messages", |land| {
        let (from, behind, mut calls) = many_callees(land);
        calls.truncate(16);
        let [sender] = land.services();
        let topic = land.topic();
        serve(land, sender, vec![Step::Publish(Publish { topic, creates: 0 })]);
        land.system.entries.last_mut().expect("an entry").requests = 90;
        land.consumer(topic, from, 16, calls);
        Planted::of(land, &[from]).beside(land, &behind)
    }),
];

pub(super) fn ping_pong(land: &mut Land) -> Planted {
    let [left, right] = land.services();
    let last = land.operation(left, Vec::new());
    let call = land.call(last);
    let middle = land.operation(right, vec![call]);
    let call = land.call(middle);
    serve(land, left, vec![call]);
    Planted::of(land, &[left, right])
}

pub(super) const LIKE_PING_PONG: &[(&str, Plan)] = &[
    ("token checks", |land| {
        let namespace = land.system.services[1].namespace.clone();
        let number = land.system.services.len();
        let auth = land.named(&format!("auth-{}", super::super::land::words(number)), &namespace);
        let users = land.service();
        land.system.roles.push(("auth", land.name_of(auth)));
        let check = land.operation(auth, Vec::new());
        let call = land.call(check);
        let profile = land.operation(users, vec![call]);
        let call = land.call(profile);
        serve(land, auth, vec![call]);
        Planted::of(land, &[auth, users])
    }),
    ("a loop through the gateway", |land| {
        let [from, to] = land.services();
        let called = land.operation(to, Vec::new());
        let call = land.call(called);
        let route = format!("/v1/inner/{}/{{id}}", super::super::land::words(called));
        let protocol = super::super::model::Protocol::Http { method: "GET", route };
        let gateway = land.system.gateway;
        let through = land.bare(gateway, protocol, vec![call]);
        let call = land.call(through);
        serve(land, from, vec![call]);
        Planted::of(land, &[from, to]).beside(land, &[gateway]).may(&["cyclic-dependency"])
    }),
    ("a webhook later", |land| {
        let [from, to] = land.services();
        let hook = land.operation(from, Vec::new());
        let called = land.operation(to, Vec::new());
        let call = land.call(called);
        serve(land, from, vec![call]);
        let call = Step::Call(Call { key: Key::Request, ..land.plain_call(hook) });
        let job = land.job(to, vec![call], 12);
        let _ = (job, Source::Schedule);
        Planted::of(land, &[from, to]).may(&["cyclic-dependency"])
    }),
];
