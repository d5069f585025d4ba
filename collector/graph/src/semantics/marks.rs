//! What a span shows besides its call: streams, identities, proxies, devices, sampling, clients, places in the code.

use std::borrow::Cow;
use std::net::IpAddr;

use super::attributes::{Field, Known};
use super::{call, intern, url};
use crate::name::{Name, NameTable};
use crate::span::{Attribute, Location, Marks, SpanKind, SpanView, Value};

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

/// What a span shows by having an attribute of this key that is not empty.
pub(super) fn of_key(key: &str) -> Marks {
    let is_header = |key: &str| IDENTITY_HEADERS.iter().any(|header| same_header(key, header));
    let is_user = ["enduser.", "user."].iter().any(|prefix| {
        key.strip_prefix(prefix).is_some_and(|rest| {
            matches!(rest, "id" | "name" | "email" | "full_name" | "hash" | "role" | "roles" | "scope")
        })
    });
    let is_identity = is_user
        || matches!(key, "session.id" | "enduser.pseudo.id" | "tls.client.subject" | "tls.client.hash.sha256")
        || key.strip_prefix("http.request.header.").is_some_and(is_header);
    let is_proxy = key == "upstream_cluster"
        || ["upstream_cluster.", "istio.", "linkerd.", "envoy."].iter().any(|prefix| key.starts_with(prefix));
    let mut marks = Marks::default();
    marks.set(Marks::IDENTITY, is_identity);
    marks.set(Marks::PROXY, is_proxy);
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
        marks.set(Marks::PROXY, is_proxy);
    }
    marks
}

/// What a span shows by its values, beside what its keys show.
pub(super) fn of_span(kind: SpanKind, view: &SpanView<'_>, known: &Known<'_>) -> Marks {
    let mut marks = known.marks;
    marks.set(Marks::STREAM, is_stream(kind, view, known));
    marks.set(Marks::PROXY, known.text(Field::Component) == "proxy");
    marks.set(Marks::SAMPLED, has_threshold(&view.trace_state) || has_sampling_rate(known));
    // An ingress gateway is a proxy, too, but stands before no service: it is one.
    if known.text(Field::ProxyNode).starts_with("router~") {
        marks.clear(Marks::PROXY);
    }
    marks
}

/// Parts of a path that only streams and long polls have.
const STREAM_PATHS: [&str; 7] = ["socket.io", "sockjs", "sse", "ws", "websocket", "longpoll", "long-poll"];

fn is_stream(kind: SpanKind, view: &SpanView<'_>, known: &Known<'_>) -> bool {
    let has = |field: Field, words: &[&str]| known.has(field) && contains_any(&known.text(field), words);
    has(Field::ContentType, &["text/event-stream", "application/x-ndjson", "multipart/x-mixed-replace"])
        || has(Field::Accept, &["text/event-stream"])
        || has(Field::Upgrade, &["websocket"])
        || has(Field::RpcStreaming, &["stream"])
        || has(Field::NetworkProtocol, &["websocket"])
        || matches!(&*call::scheme(known), "ws" | "wss")
        || known.int(Field::HttpStatus) == Some(101)
        || call::http_path(known).is_some_and(|path| path.split('/').any(|part| STREAM_PATHS.contains(&part)))
        || has(Field::UrlQuery, &["transport=polling", "transport=websocket"])
        || kind == SpanKind::Consumer && matches!(&*known.text(Field::MessagingOperation), "receive" | "poll")
        || (known.has(Field::RpcMethod) || known.has(Field::RpcSystem))
            && is_stream_method(&known.text(Field::RpcMethod), view)
}

fn contains_any(text: &str, words: &[&str]) -> bool {
    let text = text.to_ascii_lowercase();
    words.iter().any(|word| text.contains(word))
}

/// Methods of remote procedure calls that stream, told by their names: `Watch`, `SubscribeOrders`, `EventStream`.
fn is_stream_method(method: &str, view: &SpanView<'_>) -> bool {
    let method = if method.is_empty() { &view.name } else { method };
    let method = method.rsplit(['/', '.']).next().unwrap_or_default();
    let begins = |word: &&str| {
        let rest = method.strip_prefix(*word);
        rest.is_some_and(|rest| !rest.starts_with(|character: char| character.is_ascii_lowercase()))
    };
    ["Watch", "Subscribe", "Stream", "Tail", "Listen", "watch", "subscribe", "stream"].iter().any(begins)
        || ["Stream", "Streaming", "Watch"].iter().any(|word| method.ends_with(word))
}

/// Whether `ot=th:…` (or the older `ot=p:…`) of a `tracestate` says that other traces were dropped.
fn has_threshold(trace_state: &str) -> bool {
    let members = trace_state.split(',').filter_map(|member| member.trim().strip_prefix("ot="));
    members.flat_map(|member| member.split(';')).any(|entry| match entry.split_once(':') {
        Some(("th", threshold)) => threshold.bytes().any(|digit| digit.is_ascii_hexdigit() && digit != b'0'),
        Some(("p", power)) => power.parse().is_ok_and(|power: u8| (1..63).contains(&power)),
        _ => false,
    })
}

fn has_sampling_rate(known: &Known<'_>) -> bool {
    let number = |field: Field| match known.value(field) {
        Some(Value::Double(number)) => Some(*number),
        Some(value) => value.to_text().parse::<f64>().ok(),
        None => None,
    };
    number(Field::SamplingProbability).is_some_and(|probability| probability < 1.0)
        || number(Field::SampleRate).is_some_and(|rate| rate > 1.0)
}

/// The client of a request as its server saw it, and whether its address is public.
pub(super) fn client(kind: SpanKind, known: &Known<'_>, names: &mut NameTable) -> (Name, bool) {
    if kind != SpanKind::Server {
        return (Name::EMPTY, false);
    }
    let forwarded = first_of(known.text(Field::ForwardedFor));
    // On the span of a server, `net.peer.*` is the client's.
    let fallback = [Field::ClientSocketAddress, Field::PeerAddress, Field::PeerName].map(|field| known.text(field));
    let mut candidates = [known.text(Field::ClientAddress), forwarded].into_iter().chain(fallback);
    let Some(client) = candidates.find(|client| !client.is_empty()) else {
        return (Name::EMPTY, false);
    };
    let host = url::split_host(&client).0;
    let is_public = host.parse::<IpAddr>().is_ok_and(is_public);
    (intern(names, host), is_public)
}

/// The first of the addresses that proxies added to a header; headers are recorded as lists.
fn first_of(header: Cow<'_, str>) -> Cow<'_, str> {
    let first = header.trim_start_matches(['[', '"', ' ']).split([',', '"', ']', ' ']).next().unwrap_or_default();
    if first.len() == header.len() { header } else { Cow::Owned(first.to_owned()) }
}

/// Whether an address is of the outside world: not loopback, private, link-local, shared or unspecified. Ranges for
/// documentation count as public, so that examples behave as what they stand for.
fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let [first, second, ..] = address.octets();
            let is_shared = first == 100 && (64..128).contains(&second);
            !(address.is_loopback()
                || address.is_private()
                || address.is_link_local()
                || address.is_multicast()
                || address.is_broadcast()
                || first == 0
                || is_shared)
        }
        IpAddr::V6(address) => {
            !(address.is_loopback()
                || address.is_unspecified()
                || address.is_unique_local()
                || address.is_unicast_link_local()
                || address.is_multicast())
        }
    }
}

/// Where in the code a span was made; none where no attribute tells.
pub(super) fn location(known: &Known<'_>, names: &mut NameTable) -> Option<Box<Location>> {
    if !known.has(Field::CodeFile) && !known.has(Field::CodeFunction) {
        return None;
    }
    let (namespace, function) = (known.text(Field::CodeNamespace), known.text(Field::CodeFunction));
    // The current name of a function is qualified already.
    let function = if namespace.is_empty() || function.contains(&*namespace) {
        function
    } else {
        format!("{namespace}.{function}").into()
    };
    let line = known.int(Field::CodeLine).and_then(|line| u32::try_from(line).ok()).unwrap_or_default();
    Some(Box::new(Location {
        file: intern(names, &known.text(Field::CodeFile)),
        function: intern(names, &function),
        line,
    }))
}
