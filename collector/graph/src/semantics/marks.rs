//! What a span shows besides its call: streams, identities, proxies, devices, sampling, clients, places in the code.

use memchr::{memchr_iter, memrchr};

use super::attributes::Field;
use super::inputs::Inputs;
use super::{call, intern, messaging, waypoint};
use crate::name::NameTable;
use crate::span::{Attribute, Location, Marks, SpanKind, Value};

/// Request headers that show who is asking.
const IDENTITY_HEADERS: [&str; 8] = [
    "authorization",
    "proxy-authorization",
    "cookie",
    "x-api-key",
    "x-auth-token",
    "x-access-token",
    "x-amz-security-token",
    "x-forwarded-user",
];

/// Request headers that tell which version of an interface is asked for.
const VERSION_HEADERS: [&str; 5] = ["accept-version", "api-version", "x-api-version", "x-ms-version", "x-version"];

/// What a span shows by having an attribute of this key that is not empty.
pub(super) fn of_key(key: &str) -> Marks {
    let header = key.strip_prefix("http.request.header.");
    let is_one_of = |headers: &[&str]| header.is_some_and(|key| headers.iter().any(|header| same_header(key, header)));
    let is_user = ["enduser.", "user."].iter().any(|prefix| {
        key.strip_prefix(prefix).is_some_and(|rest| {
            matches!(rest, "id" | "name" | "email" | "full_name" | "hash" | "role" | "roles" | "scope")
        })
    });
    let is_identity = is_user
        || matches!(key, "session.id" | "enduser.pseudo.id" | "tls.client.subject" | "tls.client.hash.sha256")
        || is_one_of(&IDENTITY_HEADERS);
    let is_proxy = key == "upstream_cluster"
        || ["upstream_cluster.", "istio.", "linkerd.", "envoy."].iter().any(|prefix| key.starts_with(prefix));
    let mut marks = Marks::default();
    marks.set(Marks::IDENTITY, is_identity);
    marks.set(Marks::PROXY, is_proxy);
    // Dapr alone writes these, whose sidecar is called after the service by default.
    marks.set(Marks::SIDECAR, matches!(key, "dapr.api" | "dapr.protocol"));
    marks.set(Marks::VERSIONED, is_one_of(&VERSION_HEADERS));
    marks
}

/// Instrumentations write a header's hyphens as they are, or as underscores.
fn same_header(key: &str, header: &str) -> bool {
    key.len() == header.len()
        && key.bytes().zip(header.bytes()).all(|(key, header)| key == header || (key, header) == (b'_', b'-'))
}

/// What every span of a resource shows.
pub(super) fn of_resource(attributes: &[Attribute<'_>]) -> Marks {
    let mut marks = Marks::default();
    for (key, value) in attributes {
        let value = value.to_text();
        let is_device = key.starts_with("browser.")
            || key.starts_with("device.")
            || match &**key {
                "telemetry.sdk.language" => value == "webjs",
                "process.runtime.name" => value == "browser",
                "os.name" => value.eq_ignore_ascii_case("android") || value.eq_ignore_ascii_case("ios"),
                _ => false,
            };
        let is_proxy = match &**key {
            "component" => value == "proxy",
            "telemetry.sdk.name" => value == "envoy",
            "service.name" | "container.name" | "k8s.container.name" => {
                matches!(&*value, "linkerd-proxy" | "istio-proxy")
            }
            _ => false,
        };
        marks.set(Marks::DEVICE, is_device && !value.is_empty());
        marks.set(Marks::FUNCTION, key == "faas.name" && !value.is_empty());
        marks.set(Marks::PROXY, is_proxy);
        // Gateways run in such containers, too, but are called after what they are.
        marks.set(Marks::SIDECAR, is_proxy && key == "service.name");
    }
    marks
}

/// What a span shows by its values, beside what its keys show.
pub(super) fn of_span(kind: SpanKind, inputs: &Inputs<'_>) -> Marks {
    let mut marks = inputs.marks();
    marks.set(Marks::STREAM, is_stream(kind, inputs));
    marks.set(Marks::REDIRECT, matches!(inputs.int(Field::HttpStatus), Some(301 | 302 | 303 | 307 | 308)));
    marks.set(Marks::PROXY, inputs.text(Field::Component) == "proxy");
    marks.set(Marks::SAMPLED, inputs.is_sampled || has_sampling_rate(inputs));
    let node = inputs.text(Field::ProxyNode);
    marks.set(Marks::SIDECAR, node.starts_with("sidecar~") || node.starts_with(waypoint::NODE));
    if node.starts_with("router~") {
        marks.clear(Marks::PROXY);
        marks.clear(Marks::SIDECAR);
        marks.set(Marks::EDGE_PROXY, true);
    }
    marks
}

/// Parts of a path that only streams and long polls have.
const STREAM_PATHS: [&[u8]; 8] =
    [b"socket.io", b"engine.io", b"sockjs", b"sse", b"ws", b"websocket", b"longpoll", b"long-poll"];

/// Whether a path is one of streams.
pub(super) fn is_stream_path(path: &str) -> bool {
    path.as_bytes().split(|byte| *byte == b'/').any(|part| STREAM_PATHS.contains(&part))
}

/// The longest path that is looked at, in bytes.
const MAX_PROBE_PATH: usize = 64;

/// Whether a path is one of health checks: `/healthz/ready`, `/q/health/live`, `/api/v1/health`, `/orders/readyz`.
pub(super) fn is_probe_path(path: &str) -> bool {
    let Some(path) = path.strip_prefix('/').filter(|path| path.len() <= MAX_PROBE_PATH) else { return false };
    let path = path.trim_end_matches('/');
    let last = &path[memrchr(b'/', path.as_bytes()).map_or(0, |slash| slash + 1)..];
    // Nearly every path is asked about, and next to none ends so.
    let may_be = asks_for_health(last.trim_start_matches('_')) || begins_a_probe(last) || is_check(last);
    is_kubernetes(last) || may_be && is_a_check(path) || is_of_actuator(path)
}

/// Whether a path begins with a word for health and goes on with nothing but which of the checks is meant.
fn is_a_check(path: &str) -> bool {
    let mut parts = path.split('/');
    let mut first = parts.next().unwrap_or_default();
    let mut may_begin = true;
    // Where frameworks keep what only platforms ask for.
    if matches!(first, "-" | "_" | "internal" | "manage" | "management" | "q") {
        first = parts.next().unwrap_or_default();
    } else {
        while first == "api" || is_version(first) {
            (first, may_begin) = (parts.next().unwrap_or_default(), false);
        }
    }
    let first = first.trim_start_matches('_');
    (asks_for_health(first) || may_begin && begins_a_probe(first)) && parts.all(is_check)
}

/// Whether a path, without its first slash, is one of Spring's for health or metrics, wherever it has its place.
fn is_of_actuator(path: &str) -> bool {
    // Sought by the rarest of its letters.
    let below = memchr_iter(b'u', path.as_bytes()).find_map(|place| {
        let (before, found) = path.as_bytes().split_at(place.saturating_sub("act".len()));
        found.strip_prefix(b"actuator/").filter(|_| matches!(before, [] | [.., b'/']))
    });
    let asked = ["health", "metrics", "prometheus"];
    below.is_some_and(|below| asked.iter().any(|each| below.starts_with(each.as_bytes())))
}

/// Whether a word can be nothing but a question of Kubernetes, whatever stands before it.
fn is_kubernetes(word: &str) -> bool {
    matches!(word, "healthz" | "livez" | "readyz" | "startupz")
}

/// Whether a word asks for health, wherever the path of a service begins.
fn asks_for_health(word: &str) -> bool {
    is_kubernetes(word) || matches!(word, "health" | "health-check" | "health_check" | "healthcheck")
}

/// Whether a word asks for health, readiness or metrics where a path begins with it; further on it may mean anything.
fn begins_a_probe(word: &str) -> bool {
    let is_ready = matches!(word, "healthy" | "live" | "liveness" | "ping" | "readiness" | "ready" | "up");
    is_ready || matches!(word, "metrics" | "prometheus")
}

/// Whether a word tells which of the checks is meant.
fn is_check(word: &str) -> bool {
    matches!(word, "live" | "liveness" | "readiness" | "ready" | "started" | "startup" | "well")
}

/// Whether a part of a path is a version: `v1`.
fn is_version(part: &str) -> bool {
    part.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()))
}

/// What the user agents of platforms begin with that only ask for health or metrics.
const PROBE_AGENTS: [&str; 12] = [
    "AlwaysOn",
    "Amazon-Route53-Health-Check-Service",
    "Blackbox Exporter/",
    "Consul Health Check",
    "ELB-HealthChecker/",
    "Edge Health Probe",
    "Envoy/HC",
    "GoogleHC/",
    "HealthCheck/",
    "Load Balancer Agent",
    "Prometheus/",
    "kube-probe/",
];

/// With which bytes they begin: nearly every request has a user agent, and next to none is one of these.
const BEGIN_PROBES: [bool; 256] = {
    let mut begins = [false; 256];
    let mut index = 0;
    while index < PROBE_AGENTS.len() {
        begins[PROBE_AGENTS[index].as_bytes()[0] as usize] = true;
        index += 1;
    }
    begins
};

/// Whether a user agent only asks for health.
pub(super) fn is_probe_agent(agent: &str) -> bool {
    let may_be = agent.bytes().next().is_some_and(|first| BEGIN_PROBES[usize::from(first)]);
    may_be && PROBE_AGENTS.iter().any(|probe| agent.starts_with(probe))
}

/// What the user agents of schedulers begin with, which ask at the times that they were told.
const CLOCK_AGENTS: [&str; 4] = ["Google-Cloud-Scheduler", "cron-job.org", "easycron", "vercel-cron/"];

/// Whether a user agent asks by the clock.
pub(super) fn is_clock_agent(agent: &str) -> bool {
    CLOCK_AGENTS.iter().any(|clock| agent.get(..clock.len()).is_some_and(|start| start.eq_ignore_ascii_case(clock)))
}

/// Health, readiness and metrics operations count nowhere.
pub(super) fn is_probe(operation: &str, inputs: &Inputs<'_>) -> bool {
    let path = operation.split_once(' ').map_or(operation, |(_, path)| path);
    inputs.asked.is_probe()
        || is_probe_path(path)
        || operation.starts_with("grpc.health.v1.Health/")
        || inputs.text(Field::RpcService) == "grpc.health.v1.Health"
}

fn is_stream(kind: SpanKind, inputs: &Inputs<'_>) -> bool {
    let has = |field: Field, words: &[&str]| inputs.has(field) && contains_any(&inputs.text(field), words);
    has(Field::ContentType, &["text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace"])
        || has(Field::Accept, &["text/event-stream"])
        || has(Field::Upgrade, &["websocket"])
        || has(Field::RpcStreaming, &["stream"])
        || has(Field::NetworkProtocol, &["websocket"])
        || matches!(&*call::scheme(inputs), "ws" | "wss")
        || inputs.int(Field::HttpStatus) == Some(101)
        || inputs.asked.url.meant.is_stream_path
        || messaging::only_receives(kind, inputs)
        || (inputs.has(Field::RpcMethod) || inputs.has(Field::RpcSystem)) && is_stream_method(inputs)
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Keys of a query that ask to wait for what comes, or for all of it, unless their value says no.
const WAITING_KEYS: [&str; 6] = ["follow", "long-poll", "long_poll", "longpoll", "wait", "watch"];

/// Whether a query asks for a stream or a long poll: `watch=true`, `index=7&wait=5m`.
pub(super) fn is_waiting_query(query: &str) -> bool {
    query.split('&').filter_map(|part| part.split_once('=')).any(|(key, value)| {
        let waits = !matches!(value, "" | "0" | "no" | "off") && !value.eq_ignore_ascii_case("false");
        waits && WAITING_KEYS.iter().any(|waiting| key.eq_ignore_ascii_case(waiting))
    })
}

/// Methods of remote procedure calls that stream or wait, told by their names: `Watch`, `SubscribeOrders`, `EventStream`,
/// `PollTaskQueue`.
fn is_stream_method(inputs: &Inputs<'_>) -> bool {
    let method = inputs.text(Field::RpcMethod);
    let method = if method.is_empty() { &*inputs.name } else { &*method };
    let method = method.rsplit(['/', '.']).next().unwrap_or_default();
    let begins = |word: &&str| {
        let rest = method.strip_prefix(*word);
        rest.is_some_and(|rest| !rest.starts_with(|character: char| character.is_ascii_lowercase()))
    };
    // A workflow engine's, whose name does not say that it waits for work.
    let waits = method == "ActivateJobs";
    let words =
        ["Watch", "Subscribe", "Stream", "Streaming", "Tail", "Listen", "Poll", "watch", "subscribe", "stream", "poll"];
    waits || words.iter().any(begins) || ["Stream", "Streaming", "Watch"].iter().any(|word| method.ends_with(word))
}

/// Whether `ot=th:…` (or the older `ot=p:…`) of a `tracestate` says that other traces were dropped.
pub(super) fn has_threshold(trace_state: &str) -> bool {
    let members = trace_state.split(',').filter_map(|member| member.trim().strip_prefix("ot="));
    members.flat_map(|member| member.split(';')).any(|entry| match entry.split_once(':') {
        Some(("th", threshold)) => threshold.bytes().any(|digit| digit.is_ascii_hexdigit() && digit != b'0'),
        Some(("p", power)) => power.parse().is_ok_and(|power: u8| (1..63).contains(&power)),
        _ => false,
    })
}

fn has_sampling_rate(inputs: &Inputs<'_>) -> bool {
    let number = |field: Field| match inputs.value(field) {
        Some(Value::Double(number)) => Some(*number),
        Some(value) => value.to_text().parse::<f64>().ok(),
        None => None,
    };
    number(Field::SamplingProbability).is_some_and(|probability| probability < 1.0)
        || number(Field::SampleRate).is_some_and(|rate| rate > 1.0)
}

/// Where in the code a span was made; none where no attribute tells.
pub(super) fn location(inputs: &Inputs<'_>, names: &mut NameTable) -> Option<Location> {
    if !inputs.has(Field::CodeFile) && !inputs.has(Field::CodeFunction) {
        return None;
    }
    let (namespace, function) = (inputs.text(Field::CodeNamespace), inputs.text(Field::CodeFunction));
    // The current name of a function is qualified already.
    let function = if namespace.is_empty() || function.contains(&*namespace) {
        function
    } else {
        format!("{namespace}.{function}").into()
    };
    let line = inputs.int(Field::CodeLine).and_then(|line| u32::try_from(line).ok()).unwrap_or_default();
    Some(Location { file: intern(names, &inputs.text(Field::CodeFile)), function: intern(names, &function), line })
}
