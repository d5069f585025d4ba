//! Security: what goes in the clear, what is told, and who comes past the door.

use super::super::land::Land;
use super::super::mesh::Mesh;
use super::super::model::{Address, Attributes, Call, Key, Protocol, Source, Speech, Step};
use super::{Plan, Planted};

fn serve(land: &mut Land, service: usize, steps: Vec<Step>) -> usize {
    let operation = land.operation(service, steps);
    land.front(operation);
    operation
}

fn calling(land: &mut Land, url: &str) -> usize {
    let service = land.service();
    serve(land, service, vec![Step::External { url: url.to_owned(), key: Key::Request, attributes: Vec::new() }]);
    service
}

pub(super) fn plaintext(land: &mut Land) -> Planted {
    let url = land.random.pick(&["http://api.weather.example/v2/at/{}", "http://198.51.100.7/v1/rates/{}"]);
    let service = calling(land, url);
    let beside = ["api.weather.example", "198.51.100.7"].map(str::to_owned).to_vec();
    Planted { beside, ..Planted::of(land, &[service]) }
}

pub(super) const LIKE_PLAINTEXT: &[(&str, Plan)] = &[
    ("an encrypted call", |land| {
        let service = calling(land, "https://api.bank.example/v2/at/{}");
        Planted::of(land, &[service])
    }),
    ("a socket of the same host", |land| {
        let [from, to] = land.services();
        land.system.services[to].speech = Speech::Http;
        let called = land.operation(to, Vec::new());
        let call = Call { address: Address::Socket, ..land.plain_call(called) };
        serve(land, from, vec![Step::Call(call)]);
        Planted::of(land, &[from, to]).noted(&["plaintext-traffic"])
    }),
    ("loopback", |land| {
        let service = calling(land, "http://localhost:8125/flush/{}");
        Planted::of(land, &[service])
    }),
];

pub(super) const SYSTEMS_LIKE_PLAINTEXT: &[(&str, Plan)] = &[("a mesh that encrypts", |land| {
    land.system.is_encrypted = false;
    land.system.mesh = Some(Mesh::Envoy);
    land.populate(6);
    Planted::of(land, &(0..land.system.services.len()).collect::<Vec<_>>())
})];

/// A service whose operation has these attributes.
fn telling(land: &mut Land, attributes: Attributes) -> Planted {
    let service = land.service();
    let operation = serve(land, service, Vec::new());
    land.system.operations[operation].attributes = attributes;
    Planted::of(land, &[service])
}

pub(super) fn secret(land: &mut Land) -> Planted {
    // Taken apart, so that no scanner takes this file for a leak.
    let attributes: Attributes = match land.random.below(5) {
        0 => vec![(
            "http.request.header.authorization",
            concat!("Bearer ", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiI0MiJ9.", "c2lnbmF0dXJlLW9mLXRoaXM").into(),
        )],
        1 => vec![("aws.key", concat!("AKI", "AQ4JX7W2ZP5RT8KLM").into())],
        2 => vec![("upstream", concat!("https://ops:", "hunter2pass", "@intern.example/x").into())],
        3 => vec![("config.text", concat!("-----BEGIN RSA ", "PRIVATE KEY-----\\nMIIEowIBAAKCAQEA7").into())],
        _ => vec![("api_key", concat!("sk_", "live_", "9aHf83kQpL2mXz7Tq5Vw").into())],
    };
    telling(land, attributes)
}

pub(super) const LIKE_SECRET: &[(&str, Plan)] = &[
    ("redacted", |land| {
        telling(land, vec![("http.request.header.authorization", "REDACTED".into()), ("api_key", "****".into())])
    }),
    ("values of tests", |land| {
        let attributes = vec![
            ("api_key", "test".into()),
            ("http.request.header.authorization", "Bearer <token>".into()),
            ("contact", "noreply@shop.test".into()),
        ];
        telling(land, attributes)
    }),
    ("a hash and an id", |land| {
        let attributes = vec![
            ("content.sha256", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08".into()),
            ("cart.id", "0d4c6f0e-8a3b-4d7f-9a53-1f2e3d4c5b6a".into()),
            ("order.number", "4111111111111112".into()),
        ];
        telling(land, attributes)
    }),
];

/// Every operation of the gateway so far is for those who say who they are.
fn identify_all(land: &mut Land) {
    for operation in &mut land.system.operations {
        if operation.service == land.system.gateway
            && matches!(&operation.protocol, Protocol::Http { route, .. } if route.contains("{id}"))
        {
            operation.attributes.push(("enduser.id", "customer".into()));
        }
    }
}

pub(super) fn unauthenticated(land: &mut Land) -> Planted {
    identify_all(land);
    let service = land.service();
    let operation = land.operation(service, Vec::new());
    land.front_times(operation, 140);
    let gateway = land.system.gateway;
    Planted::of(land, &[gateway]).beside(land, &[service])
}

pub(super) const SYSTEMS_LIKE_UNAUTHENTICATED: &[(&str, Plan)] = &[
    ("public content", |land| {
        land.populate(6);
        identify_all(land);
        let service = land.service();
        for route in ["/static/{id}", "/public/news/{id}", "/login", "/.well-known/security.txt", "/robots.txt", "/"] {
            let called = land.operation(service, Vec::new());
            let call = land.call(called);
            let protocol = Protocol::Http { method: "GET", route: route.to_owned() };
            let open = land.bare(land.system.gateway, protocol, vec![call]);
            land.entry(open, 120, Source::Client);
        }
        Planted::of(land, &[land.system.gateway, service])
    }),
    ("nobody is known to the telemetry", |land| {
        land.populate(6);
        let service = land.service();
        let operation = land.operation(service, Vec::new());
        land.front_times(operation, 140);
        Planted::of(land, &[land.system.gateway, service])
    }),
];

pub(super) fn exposed(land: &mut Land) -> Planted {
    let [from, inner] = land.services();
    land.system.services[inner].speech = Speech::Http;
    let called = land.operation(inner, Vec::new());
    let call = land.call(called);
    serve(land, from, vec![call]);
    let open = land.operation(inner, Vec::new());
    land.entry(open, 25, Source::Client);
    Planted::of(land, &[inner]).may(&["gateway-bypass"])
}

pub(super) const LIKE_EXPOSED: &[(&str, Plan)] = &[
    ("one address that stands for a network", |land| {
        let [from, inner] = land.services();
        land.system.services[inner].speech = Speech::Http;
        let called = land.operation(inner, Vec::new());
        let call = land.call(called);
        serve(land, from, vec![call]);
        let open = land.operation(inner, Vec::new());
        land.entry(open, 12, Source::Translated);
        Planted::of(land, &[inner]).may(&["gateway-bypass"])
    }),
    ("webhooks", |land| {
        let [from, inner] = land.services();
        let called = land.operation(inner, Vec::new());
        let call = land.call(called);
        serve(land, from, vec![call]);
        let own = land.own(inner, "UPDATE", Key::Request);
        let hook = Protocol::Http { method: "POST", route: "/webhooks/payments".to_owned() };
        let hook = land.bare(inner, hook, vec![own]);
        land.entry(hook, 9, Source::Client);
        Planted::of(land, &[from, inner]).may(&["gateway-bypass"])
    }),
];

pub(super) fn bypass(land: &mut Land) -> Planted {
    let service = land.service();
    land.system.services[service].speech = Speech::Http;
    let operation = serve(land, service, Vec::new());
    land.entry(operation, 24, Source::Private);
    let gateway = land.system.gateway;
    Planted::of(land, &[service]).beside(land, &[gateway]).may(&["exposed-internal-service"])
}

pub(super) const LIKE_BYPASS: &[(&str, Plan)] = &[
    ("lost context", |land| {
        let service = land.service();
        let operation = land.operation(service, Vec::new());
        let call = Call { loses_context: true, ..land.plain_call(operation) };
        land.front_steps(vec![Step::Call(call)], 40);
        Planted::of(land, &[service]).may(&["unpropagated-context"])
    }),
    ("probes and schedules", |land| {
        let service = land.service();
        let operation = serve(land, service, Vec::new());
        let call = Step::Call(Call { key: Key::Request, ..land.plain_call(operation) });
        land.job(service, vec![call], 20);
        let route = Protocol::Http { method: "GET", route: "/metrics".to_owned() };
        let route = land.bare(service, route, Vec::new());
        land.entry(route, 40, Source::Probe);
        Planted::of(land, &[service])
    }),
];

pub(super) fn no_gateway(land: &mut Land) -> Planted {
    let services = land.services::<8>();
    for place in 0..8 {
        let steps = if place < 4 {
            let called = land.operation(services[place + 4], Vec::new());
            vec![land.call(called)]
        } else {
            Vec::new()
        };
        land.system.services[services[place]].speech = Speech::Http;
        let operation = land.operation(services[place], steps);
        if place < 4 {
            land.entry(operation, 60, Source::Client);
        }
    }
    // The gateway that stands in every other system has nothing to do here.
    let gateway = land.system.gateway;
    land.system.entries.retain(|entry| land.system.operations[entry.operation].service != gateway);
    Planted::of(land, &services[..4])
}

pub(super) const SYSTEMS_LIKE_NO_GATEWAY: &[(&str, Plan)] = &[("a gateway without telemetry", |land| {
    land.populate(8);
    land.system.services[land.system.gateway].is_mute = true;
    Planted::of(land, &(1..land.system.services.len()).collect::<Vec<_>>())
})];
