//! Writes spans as OTLP/JSON lines, as a real fleet sends them: shuffled, some lost, clocks apart, under current or old
//! attribute names.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write as _;

use super::dialect::{Kinds, Language, restrict, translate};
use super::mesh::{self, Mesh, enmesh};
use super::model::{Attributes, MS, System, Value};
use super::random::Random;
use super::simulate::{CLIENT, PRODUCER, SERVER, Span};

/// The beginning of every simulation: 2026-01-01.
const EPOCH: u64 = 1_767_225_600_000_000_000;
/// How far a host's clock may be off.
const SKEW: u64 = 20 * MS;

/// Which generation of attribute names a service speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Generation {
    Current,
    /// Before the semantic conventions were stable.
    Old,
    /// While a fleet moves from one to the other.
    Both,
}

/// What resources say of where a service runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Hosts,
    Kubernetes,
    /// Nothing but the name of the service.
    Bare,
}

/// What a recording is like.
#[derive(Debug, Clone)]
pub(super) struct Style {
    /// Share of the spans that never arrive.
    pub(super) dropped: f64,
    pub(super) is_skewed: bool,
    /// Of each service in turn.
    pub(super) generations: Vec<Generation>,
    /// Of each service in turn.
    pub(super) languages: Vec<Language>,
    pub(super) place: Place,
    pub(super) kinds: Kinds,
    /// A collector kept the traces with failures and the slow ones, of the others half.
    pub(super) is_tail_sampled: bool,
}

impl Style {
    fn of<T: Copy>(each: &[T], service: usize) -> T {
        each[service % each.len()]
    }
}

/// The recording, one OTLP request a line.
pub(super) fn emit(system: &System, spans: Vec<Span>, style: &Style, seed: u64) -> String {
    let mut random = Random::new(seed ^ 0x0e31);
    let mut spans = translate(restrict(spans, style.kinds), &style.languages, seed);
    if let Some(mesh) = system.mesh {
        spans = enmesh(spans, system, mesh, seed);
    }
    let mut by_chance = HashSet::new();
    if style.is_tail_sampled {
        by_chance = sample(&mut spans);
    }
    drop_some(&mut spans, system, style.dropped, &mut random);
    random.shuffle(&mut spans);
    let skews: Vec<u64> = (0..system.hosts).map(|_| random.between((0, 2 * SKEW))).collect();
    let mut lines = String::new();
    for request in spans.chunks(200) {
        let mut resources: BTreeMap<_, Vec<&Span>> = BTreeMap::new();
        for span in request {
            let versions = &system.services[span.service].versions;
            let version = versions.iter().rposition(|(from, _)| *from <= span.start).unwrap_or(0);
            resources.entry((span.service, span.instance, version, span.is_sidecar)).or_default().push(span);
        }
        lines.push_str(r#"{"resourceSpans":["#);
        for (place, ((service, instance, version, is_sidecar), spans)) in resources.into_iter().enumerate() {
            lines.push_str(if place > 0 { "," } else { "" });
            lines.push_str(r#"{"resource":{"attributes":"#);
            let mesh = system.mesh.filter(|_| is_sidecar);
            attributes(&resource(system, service, (instance, version, mesh), style), &mut lines);
            let (language, generation) = (Style::of(&style.languages, service), Style::of(&style.generations, service));
            let scope = language.scope(spans[0].kind);
            let _ = write!(lines, r#"}},"scopeSpans":[{{"scope":{{"name":"{scope}"}},"spans":["#);
            let host = system.services[service].instances[instance];
            let skew = if style.is_skewed { skews[host] } else { 0 };
            for (place, span) in spans.into_iter().enumerate() {
                lines.push_str(if place > 0 { "," } else { "" });
                let is_proxy = system.services[service].is_proxy;
                write_span(span, skew, (generation, is_proxy, by_chance.contains(&span.trace)), &mut lines);
            }
            lines.push_str("]}]}");
        }
        lines.push_str("]}\n");
    }
    lines
}

/// Keeps every trace with a failure, the slowest, and of the others half, which are returned.
fn sample(spans: &mut Vec<Span>) -> HashSet<u128> {
    let mut lasts: HashMap<u128, (bool, u64, u64)> = HashMap::new();
    for span in spans.iter() {
        let (is_error, start, end) = lasts.entry(span.trace).or_insert((false, span.start, span.end));
        (*is_error, *start, *end) = (*is_error || span.is_error, span.start.min(*start), span.end.max(*end));
    }
    let mut durations: Vec<u64> = lasts.values().map(|(_, start, end)| end - start).collect();
    durations.sort_unstable();
    let slow = durations.get(durations.len() * 19 / 20).copied().unwrap_or_default();
    let kept = |trace: u128| {
        let (is_error, start, end) = lasts[&trace];
        (is_error || end - start >= slow, trace.is_multiple_of(2))
    };
    spans.retain(|span| matches!(kept(span.trace), (true, _) | (_, true)));
    lasts.keys().copied().filter(|&trace| kept(trace) == (false, true)).collect()
}

/// Loses spans, evenly: no service loses so many that its traces could not be trusted any more.
fn drop_some(spans: &mut Vec<Span>, system: &System, share: f64, random: &mut Random) {
    let mut children: HashMap<u64, Vec<usize>> = HashMap::new();
    let mut below = vec![0_u64; system.services.len()];
    for span in spans.iter().filter(|span| span.parent != 0) {
        children.entry(span.parent).or_default().push(span.service);
        below[span.service] += 1;
    }
    let mut orphans = vec![0_u64; system.services.len()];
    spans.retain(|span| {
        if !random.chance(share) {
            return true;
        }
        let lost = children.get(&span.id).map_or(&[][..], Vec::as_slice);
        if lost.iter().any(|&service| (orphans[service] + lost.len() as u64 + 8) * 33 > below[service]) {
            return true;
        }
        for &service in lost {
            orphans[service] += 1;
        }
        false
    });
}

fn resource(
    system: &System,
    service: usize,
    (instance, version, mesh): (usize, usize, Option<Mesh>),
    style: &Style,
) -> Attributes {
    let language = Style::of(&style.languages, service);
    let generation = Style::of(&style.generations, service);
    let service = &system.services[service];
    let mut attributes: Attributes = vec![("telemetry.sdk.language", language.name().into())];
    if let Some(mesh) = mesh {
        attributes.push(("service.name", mesh::name(mesh, &service.name, &service.namespace).into()));
    } else if !service.name.is_empty() {
        attributes.push(("service.name", service.name.clone().into()));
    }
    if style.place == Place::Bare {
        attributes.extend(service.resource.iter().cloned());
        return attributes;
    }
    let environment =
        if generation == Generation::Old { "deployment.environment" } else { "deployment.environment.name" };
    let instance_id = format!("{}-{instance}", service.name);
    let node = format!("node-{}", service.instances[instance]);
    attributes.extend([
        (environment, "production".into()),
        ("service.namespace", service.namespace.clone().into()),
        ("service.version", service.versions[version].1.clone().into()),
        ("service.instance.id", instance_id.clone().into()),
    ]);
    if style.place == Place::Kubernetes {
        attributes.extend([
            ("k8s.cluster.name", "blue".into()),
            ("k8s.namespace.name", service.namespace.clone().into()),
            ("k8s.deployment.name", service.name.clone().into()),
            ("k8s.pod.name", instance_id.clone().into()),
            ("k8s.node.name", node.into()),
            ("host.name", instance_id.into()),
        ]);
    } else {
        attributes.push(("host.name", node.into()));
    }
    attributes.extend(service.owner.iter().map(|owner| ("service.owner", owner.clone().into())));
    attributes.retain(|(key, _)| service.resource.iter().all(|(own, _)| own != key));
    attributes.extend(service.resource.iter().cloned());
    attributes
}

fn write_span(
    span: &Span,
    skew: u64,
    (generation, is_proxy, is_by_chance): (Generation, bool, bool),
    out: &mut String,
) {
    let (start, end) = (EPOCH + span.start + skew, EPOCH + span.end + skew);
    let _ = write!(out, r#"{{"traceId":"{:032x}","spanId":"{:016x}","#, span.trace, span.id);
    if span.parent != 0 {
        let _ = write!(out, r#""parentSpanId":"{:016x}","#, span.parent);
    }
    if is_by_chance {
        out.push_str(r#""traceState":"ot=th:8","#);
    }
    out.push_str(r#""name":"#);
    quote(&span.name, out);
    let _ =
        write!(out, r#","kind":{},"startTimeUnixNano":"{start}","endTimeUnixNano":"{end}","attributes":"#, span.kind);
    let mesh;
    let span = if is_proxy {
        let component = vec![("component", "proxy".into())];
        mesh = Span { attributes: [span.attributes.clone(), component].concat(), ..span.clone() };
        &mesh
    } else {
        span
    };
    match generation {
        Generation::Current => attributes(&span.attributes, out),
        Generation::Old => attributes(&old(span), out),
        Generation::Both => {
            let mut both = span.attributes.clone();
            both.extend(old(span).into_iter().filter(|(key, _)| span.attributes.iter().all(|(known, _)| known != key)));
            attributes(&both, out);
        }
    }
    if !span.links.is_empty() {
        out.push_str(r#","links":["#);
        for (place, (trace, id)) in span.links.iter().enumerate() {
            out.push_str(if place > 0 { "," } else { "" });
            let _ = write!(out, r#"{{"traceId":"{trace:032x}","spanId":"{id:016x}"}}"#);
        }
        out.push(']');
    }
    out.push_str(if span.is_error { r#","status":{"code":2}}"# } else { r#","status":{}}"# });
}

/// The attributes under the names that they had before.
fn old(span: &Span) -> Attributes {
    let has = |name: &str| span.attributes.iter().any(|(key, _)| *key == name);
    let system = span.attributes.iter().find(|(key, _)| *key == "db.system.name").map(|(_, value)| value.clone());
    let is_of = |name: &str| system == Some(Value::from(name));
    let mut attributes = Attributes::new();
    for (key, value) in &span.attributes {
        let key = match *key {
            "http.request.method" => "http.method",
            "http.response.status_code" => "http.status_code",
            "url.full" => "http.url",
            "url.path" => "http.target",
            "url.scheme" => "http.scheme",
            "user_agent.original" => "http.user_agent",
            "client.address" => "http.client_ip",
            "network.peer.address" => "net.sock.peer.addr",
            "network.peer.port" => "net.sock.peer.port",
            "server.address" if span.kind == SERVER => "net.host.name",
            "server.port" if span.kind == SERVER => "net.host.port",
            "server.address" if matches!(span.kind, CLIENT | PRODUCER) => "net.peer.name",
            "server.port" if matches!(span.kind, CLIENT | PRODUCER) => "net.peer.port",
            "db.system.name" => "db.system",
            "db.namespace" if is_of("redis") => "db.redis.database_index",
            "db.namespace" => "db.name",
            "db.collection.name" if is_of("mongodb") => "db.mongodb.collection",
            "db.collection.name" => "db.sql.table",
            "db.operation.name" => "db.operation",
            "db.query.text" => "db.statement",
            "messaging.destination.name" => "messaging.destination",
            "messaging.operation.type" => "messaging.operation",
            "messaging.consumer.group.name" => "messaging.kafka.consumer.group",
            "messaging.operation.name" => continue,
            "rpc.system.name" => "rpc.system",
            "rpc.response.status_code" => "rpc.grpc.status_code",
            "service.peer.name" => "peer.service",
            "error.type" if !has("rpc.method") && *value != Value::from("timeout") => continue,
            other => other,
        };
        match (key, value) {
            ("messaging.system", value) if *value == Value::from("aws_sqs") => {
                attributes.push((key, "AmazonSQS".into()));
            }
            ("rpc.method", Value::Text(method)) if method.contains('/') => {
                let (service, method) = method.split_once('/').unwrap_or_default();
                attributes.push(("rpc.service", service.into()));
                attributes.push(("rpc.method", method.into()));
            }
            ("rpc.grpc.status_code", Value::Text(status)) => {
                let codes =
                    [("OK", 0), ("DEADLINE_EXCEEDED", 4), ("NOT_FOUND", 5), ("INTERNAL", 13), ("UNAVAILABLE", 14)];
                let code = codes.iter().find(|(name, _)| name == status).map_or(2, |(_, code)| *code);
                attributes.push((key, Value::Number(code)));
            }
            ("messaging.operation", Value::Text(kind)) if kind == "send" => attributes.push((key, "publish".into())),
            ("db.redis.database_index", _) => attributes.push((key, Value::Number(0))),
            _ => attributes.push((key, value.clone())),
        }
    }
    attributes
}

fn attributes(attributes: &Attributes, out: &mut String) {
    out.push('[');
    for (place, (key, value)) in attributes.iter().enumerate() {
        out.push_str(if place > 0 { "," } else { "" });
        let _ = write!(out, r#"{{"key":"{key}","value":"#);
        match value {
            Value::Text(text) => {
                out.push_str(r#"{"stringValue":"#);
                quote(text, out);
            }
            Value::Number(number) => drop(write!(out, r#"{{"intValue":"{number}""#)),
        }
        out.push_str("}}");
    }
    out.push(']');
}

fn quote(text: &str, out: &mut String) {
    out.push('"');
    for letter in text.chars() {
        if matches!(letter, '"' | '\\') {
            out.push('\\');
        }
        out.push(letter);
    }
    out.push('"');
}
