//! What a span says of the other side of a call: the peer, what is called there, how it travels.

use std::borrow::Cow;
use std::net::IpAddr;

use super::attributes::Field;
use super::database::{self, is_loopback};
use super::inputs::Inputs;
use super::url::part;
use super::{intern, messaging, rpc_method, url};
use crate::name::NameTable;
use crate::span::{Access, Call, EdgeKind, NodeKey, SpanKind, Transport};

/// What the span says of the call that it makes or takes, none for internal spans; and whether it sets up, migrates or
/// locks.
pub(super) fn read(kind: SpanKind, inputs: &Inputs<'_>, names: &mut NameTable) -> (Option<Call>, bool) {
    match kind {
        SpanKind::Internal | SpanKind::Unspecified => return (None, false),
        SpanKind::Server => {
            let host = intern(names, &asked_host(inputs));
            return (Some(Call { kind: edge_kind(kind, inputs), host, ..Call::default() }), false);
        }
        SpanKind::Client | SpanKind::Producer | SpanKind::Consumer => {}
    }
    let mut is_set_up = false;
    let mut call = match edge_kind(kind, inputs) {
        EdgeKind::Database => {
            let (call, sets_up) = database::read(inputs, names);
            is_set_up = sets_up;
            call
        }
        EdgeKind::Messaging => messaging::read(inputs, names),
        kind => remote_call(kind, inputs, names),
    };
    call.host = intern(names, &host(inputs));
    call.transport = transport(&call, inputs, names);
    (Some(call), is_set_up)
}

fn edge_kind(kind: SpanKind, inputs: &Inputs<'_>) -> EdgeKind {
    if database::has_datastore(kind, inputs) {
        EdgeKind::Database
    } else if matches!(kind, SpanKind::Producer | SpanKind::Consumer) || inputs.has(Field::MessagingSystem) {
        EdgeKind::Messaging
    } else if inputs.has(Field::RpcSystem) || inputs.has(Field::RpcMethod) || is_rpc_component(inputs) {
        EdgeKind::Rpc
    } else if inputs.has(Field::GraphqlOperation) {
        EdgeKind::Graphql
    } else if inputs.has(Field::HttpMethod) || inputs.has(Field::Url) {
        EdgeKind::Http
    } else {
        EdgeKind::Other
    }
}

/// Names of spans with which client libraries and data sources tell how a connection came to be and how bytes went over it.
const CONNECTION_STEPS: [&str; 11] = [
    "connection",
    "http.connect",
    "http.dns",
    "http.getconn",
    "http.headers",
    "http.receive",
    "http.send",
    "http.tls",
    "result-set",
    "tcp.connect",
    "tls.connect",
];

/// Names of spans with which pools tell that a connection was taken out of them. They name the database, but do not ask it.
const POOL_STEPS: [&str; 2] = ["pool.acquire", "pool.release"];

/// Whether a span is a step of a call, and none itself: a name is looked up, a connection opened, taken from its pool or
/// made known to its server. What asks for something says by which protocol.
pub(super) fn is_connection_step(inputs: &Inputs<'_>) -> bool {
    let name = &*inputs.name;
    match edge_kind(SpanKind::Client, inputs) {
        EdgeKind::Other => name.starts_with("dns.") || CONNECTION_STEPS.contains(&name),
        EdgeKind::Database => {
            !inputs.has(Field::DbText) && POOL_STEPS.contains(&name) || database::introduces_itself(inputs)
        }
        _ => false,
    }
}

/// Whether an older library says that it speaks gRPC: `component = gRPC`.
pub(super) fn is_rpc_component(inputs: &Inputs<'_>) -> bool {
    let component = inputs.text(Field::Component);
    component.eq_ignore_ascii_case("grpc") || component.eq_ignore_ascii_case("java-grpc")
}

fn remote_call(kind: EdgeKind, inputs: &Inputs<'_>, names: &mut NameTable) -> Call {
    let peer = peer_name(inputs);
    let template = if let Some(method) = rpc_method(inputs) {
        method
    } else if let Some(field) = [Field::UrlTemplate, Field::HttpRoute].into_iter().find(|&field| inputs.has(field)) {
        http_template(inputs, &inputs.text(field))
    } else if !inputs.asked.url.meant.path.is_empty() {
        http_template(inputs, &inputs.asked.url.meant.path)
    } else {
        inputs.name.clone().into_owned()
    };
    Call {
        peer: (!peer.is_empty()).then(|| NodeKey::Peer(intern(names, &peer))),
        kind,
        template: intern(names, &template),
        access: if kind == EdgeKind::Http { access_of_method(&inputs.text(Field::HttpMethod)) } else { Access::None },
        ..Call::default()
    }
}

/// The name of an unmatched peer: as declared, behind its namespace where that is given; else its address, else the
/// remote service.
fn peer_name<'a>(inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    if inputs.has(Field::PeerService) {
        let name = inputs.text(Field::PeerService);
        return match inputs.text(Field::PeerNamespace) {
            namespace if namespace.is_empty() => name,
            namespace => Cow::Owned(format!("{namespace}/{name}")),
        };
    }
    let address = server_address(inputs);
    if !address.is_empty() {
        return Cow::Owned(address);
    }
    if inputs.has(Field::PeerAddress) {
        return Cow::Owned(join(&inputs.text(Field::PeerAddress), &inputs.text(Field::PeerPort)));
    }
    inputs.text(Field::RpcService)
}

/// The host as the caller names it. The address that the name led to is none: behind a balancer it differs from call to
/// call.
fn host<'a>(inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    match part(address(inputs), |address| url::split_host(address).0) {
        host if host.is_empty() => part(inputs.text(Field::Url), |url| url::split(url).host),
        host => host,
    }
}

/// Whether a caller names a host by an IP address, or its own host, where others would use a name.
pub fn is_address(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost") || host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// The host that a request was sent to, as it says itself, with its port where that is not the usual one.
fn asked_host(inputs: &Inputs<'_>) -> String {
    let address = if inputs.has(Field::ServerAddress) {
        join(&inputs.text(Field::ServerAddress), &inputs.text(Field::ServerPort))
    } else if inputs.has(Field::HttpHost) {
        inputs.text(Field::HttpHost).into_owned()
    } else if inputs.has(Field::Url) {
        let url = inputs.text(Field::Url);
        let url = url::split(&url);
        join(url.host, url.port)
    } else {
        join(&inputs.text(Field::OwnName), &inputs.text(Field::OwnPort))
    };
    match url::split_host(&address) {
        (host, "80" | "443") => host.to_owned(),
        _ => address,
    }
}

/// The address of the server as its client names it.
fn address<'a>(inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    inputs.text(if inputs.has(Field::ServerAddress) { Field::ServerAddress } else { Field::PeerName })
}

/// `host[:port]`, from whichever attribute has it; empty where none has.
pub(super) fn server_address(inputs: &Inputs<'_>) -> String {
    let (address, port) = (address(inputs), inputs.text(Field::ServerPort));
    let (full, host) = (inputs.text(Field::Url), inputs.text(Field::HttpHost));
    let url = url::split(&full);
    let (address, host) = (url::split_host(&address), url::split_host(&host));
    let candidates = [(address.0, if address.1.is_empty() { &port } else { address.1 }), (url.host, url.port), host];
    candidates.into_iter().find(|(host, _)| !host.is_empty()).map_or_else(String::new, |(host, port)| join(host, port))
}

/// The scheme of a request, lower case as it is written everywhere; empty where no attribute has one.
pub(super) fn scheme<'a>(inputs: &'a Inputs<'_>) -> Cow<'a, str> {
    if inputs.has(Field::UrlScheme) {
        return inputs.text(Field::UrlScheme);
    }
    let fields = [Field::Url, Field::MessagingUrl, Field::ServerAddress, Field::DbConnection];
    let with_scheme = fields.into_iter().map(|field| inputs.text(field)).find(|url| url.contains("://"));
    with_scheme.map_or(Cow::Borrowed(""), |url| part(url, |url| url.split("://").next().unwrap_or_default()))
}

/// How a call travels. What stays on the host is neither readable on its way nor encrypted.
fn transport(call: &Call, inputs: &Inputs<'_>, names: &NameTable) -> Transport {
    let is_local = matches!(&*inputs.text(Field::NetworkTransport), "unix" | "pipe" | "inproc")
        || is_loopback(names.text(call.host))
        || inputs.asked.parties.is_peer_loopback;
    if is_local {
        return Transport::Unknown;
    }
    match &*inputs.text(Field::TlsEstablished) {
        "true" => return Transport::Encrypted,
        "false" => return Transport::Plain,
        _ if inputs.has(Field::TlsProtocol) => return Transport::Encrypted,
        _ => {}
    }
    match &*scheme(inputs) {
        "https" | "wss" | "amqps" | "rediss" | "mqtts" | "grpcs" => Transport::Encrypted,
        "http" | "ws" | "amqp" => Transport::Plain,
        _ => Transport::Unknown,
    }
}

/// What an HTTP method does to what it asks for.
fn access_of_method(method: &str) -> Access {
    match &*method.to_ascii_uppercase() {
        "GET" | "HEAD" | "OPTIONS" => Access::Read,
        "POST" | "PUT" | "PATCH" | "DELETE" => Access::Write,
        _ => Access::None,
    }
}

pub(super) fn join(host: &str, port: &str) -> String {
    if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

/// `METHOD template`.
pub(super) fn http_template(inputs: &Inputs<'_>, template: &str) -> String {
    // Rails lets every path end with a format.
    let template = template.strip_suffix("(.:format)").unwrap_or(template);
    match &*inputs.text(Field::HttpMethod) {
        "" => template.to_owned(),
        method => format!("{} {template}", method.to_ascii_uppercase()),
    }
}
