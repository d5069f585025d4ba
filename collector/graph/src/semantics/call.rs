//! What a span says of the other side of a call: the peer, what is called there, with which parameters.

use std::borrow::Cow;

use super::attributes::{Field, Known};
use super::database::{self, is_loopback};
use super::{intern, rpc_method, text, url};
use crate::facts::bounded::stable_hash;
use crate::name::{Name, NameTable};
use crate::span::{Access, Call, EdgeKind, NodeKey, SpanKind, SpanView, TopicKey, Transport};
use crate::text::scrub;

/// What the span says of the call that it makes or takes, none for internal spans; and whether it sets up, migrates or
/// locks.
pub(super) fn read(
    kind: SpanKind,
    view: &SpanView<'_>,
    known: &Known<'_>,
    own_host: Name,
    names: &mut NameTable,
) -> (Option<Call>, bool) {
    match kind {
        SpanKind::Internal | SpanKind::Unspecified => return (None, false),
        SpanKind::Server => {
            return (Some(Call { kind: edge_kind(kind, known), batch: 1, ..Call::default() }), false);
        }
        SpanKind::Client | SpanKind::Producer | SpanKind::Consumer => {}
    }
    let mut is_set_up = false;
    let mut call = match edge_kind(kind, known) {
        EdgeKind::Database => {
            let (call, sets_up) = database::read(view, known, own_host, names);
            is_set_up = sets_up;
            call
        }
        EdgeKind::Messaging => messaging_call(known, names),
        kind => remote_call(kind, view, known, names),
    };
    call.host = intern(names, &host(known));
    call.transport = transport(&call, known, names);
    call.is_resend = known.int(Field::ResendCount).is_some_and(|count| count > 0);
    (Some(call), is_set_up)
}

fn edge_kind(kind: SpanKind, known: &Known<'_>) -> EdgeKind {
    if database::has_datastore(kind, known) {
        EdgeKind::Database
    } else if matches!(kind, SpanKind::Producer | SpanKind::Consumer) || known.has(Field::MessagingSystem) {
        EdgeKind::Messaging
    } else if known.has(Field::RpcSystem) || known.has(Field::RpcMethod) || is_rpc_component(known) {
        EdgeKind::Rpc
    } else if known.has(Field::GraphqlOperation) {
        EdgeKind::Graphql
    } else if known.has(Field::HttpMethod) || known.has(Field::Url) {
        EdgeKind::Http
    } else {
        EdgeKind::Other
    }
}

/// Whether an older library says that it speaks gRPC: `component = gRPC`.
pub(super) fn is_rpc_component(known: &Known<'_>) -> bool {
    let component = known.text(Field::Component);
    component.eq_ignore_ascii_case("grpc") || component.eq_ignore_ascii_case("java-grpc")
}

fn remote_call(kind: EdgeKind, view: &SpanView<'_>, known: &Known<'_>, names: &mut NameTable) -> Call {
    let peer = peer_name(known);
    let path = http_path(known);
    let template = if let Some(method) = rpc_method(view, known) {
        method
    } else if let Some(template) = known.value(Field::UrlTemplate).or(known.value(Field::HttpRoute)) {
        http_template(known, &text(Some(template)))
    } else if let Some(path) = &path {
        http_template(known, &url::template(path))
    } else {
        url::template(&scrub(&view.name))
    };
    Call {
        peer: (!peer.is_empty()).then(|| NodeKey::Peer(intern(names, &peer))),
        kind,
        template: intern(names, &template),
        parameters: path.map(|path| stable_hash(&(path, without_paging(&http_query(known))))),
        access: if kind == EdgeKind::Http { access_of_method(&known.text(Field::HttpMethod)) } else { Access::None },
        batch: 1,
        ..Call::default()
    }
}

/// The name of an unmatched peer: as declared, else its address, else the remote service.
fn peer_name<'a>(known: &Known<'a>) -> Cow<'a, str> {
    if known.has(Field::PeerService) {
        return known.text(Field::PeerService);
    }
    let address = server_address(known);
    if !address.is_empty() {
        return Cow::Owned(address);
    }
    if known.has(Field::PeerAddress) {
        return Cow::Owned(join(&known.text(Field::PeerAddress), &known.text(Field::PeerPort)));
    }
    known.text(Field::RpcService)
}

/// The host as the caller names it. The address that the name led to is none: behind a balancer it differs from call to
/// call.
fn host<'a>(known: &Known<'a>) -> Cow<'a, str> {
    match part(address(known), |address| url::split_host(address).0) {
        host if host.is_empty() => part(known.text(Field::Url), |url| url::split(url).host),
        host => host,
    }
}

/// The address of the server as its client names it.
fn address<'a>(known: &Known<'a>) -> Cow<'a, str> {
    known.text(if known.has(Field::ServerAddress) { Field::ServerAddress } else { Field::PeerName })
}

/// A part of a text, borrowed where the text is.
fn part(whole: Cow<'_, str>, pick: impl Fn(&str) -> &str) -> Cow<'_, str> {
    match whole {
        Cow::Borrowed(whole) => Cow::Borrowed(pick(whole)),
        Cow::Owned(whole) => Cow::Owned(pick(&whole).to_owned()),
    }
}

/// `host[:port]`, from whichever attribute has it; empty where none has.
pub(super) fn server_address(known: &Known<'_>) -> String {
    let (address, port) = (address(known), known.text(Field::ServerPort));
    let (full, host) = (known.text(Field::Url), known.text(Field::HttpHost));
    let url = url::split(&full);
    let (address, host) = (url::split_host(&address), url::split_host(&host));
    let candidates = [(address.0, if address.1.is_empty() { &port } else { address.1 }), (url.host, url.port), host];
    candidates.into_iter().find(|(host, _)| !host.is_empty()).map_or_else(String::new, |(host, port)| join(host, port))
}

/// The scheme of a request, lower case as it is written everywhere; empty where no attribute has one.
pub(super) fn scheme<'a>(known: &Known<'a>) -> Cow<'a, str> {
    if known.has(Field::UrlScheme) {
        return known.text(Field::UrlScheme);
    }
    let fields = [Field::Url, Field::MessagingUrl, Field::ServerAddress, Field::DbConnection];
    let with_scheme = fields.into_iter().map(|field| known.text(field)).find(|url| url.contains("://"));
    with_scheme.map_or(Cow::Borrowed(""), |url| part(url, |url| url.split("://").next().unwrap_or_default()))
}

/// How a call travels. What stays on the host is neither readable on its way nor encrypted.
fn transport(call: &Call, known: &Known<'_>, names: &NameTable) -> Transport {
    let is_local = matches!(&*known.text(Field::NetworkTransport), "unix" | "pipe" | "inproc")
        || is_loopback(names.text(call.host))
        || is_loopback(&known.text(Field::PeerAddress));
    if is_local {
        return Transport::Unknown;
    }
    match &*known.text(Field::TlsEstablished) {
        "true" => return Transport::Encrypted,
        "false" => return Transport::Plain,
        _ if known.has(Field::TlsProtocol) => return Transport::Encrypted,
        _ => {}
    }
    match &*scheme(known) {
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

/// The path of a request, scrubbed; none where no attribute has one.
pub(super) fn http_path<'a>(known: &Known<'a>) -> Option<Cow<'a, str>> {
    let paths = [Field::UrlPath, Field::Url].map(|field| part(known.text(field), |url| url::split(url).path));
    paths.into_iter().find(|path| !path.is_empty())
}

fn http_query<'a>(known: &Known<'a>) -> Cow<'a, str> {
    if known.has(Field::UrlQuery) {
        return known.text(Field::UrlQuery);
    }
    let queries = [Field::Url, Field::UrlPath].map(|field| part(known.text(field), |url| url::split(url).query));
    queries.into_iter().find(|query| !query.is_empty()).unwrap_or_default()
}

/// Query keys that turn the page of one answer. Pages differ in them alone, so they are no parameters.
const PAGING_KEYS: [&str; 10] =
    ["page", "offset", "cursor", "limit", "after", "before", "start", "page_token", "pagetoken", "per_page"];

fn without_paging(query: &str) -> Vec<&str> {
    let key = |part: &str| part.split('=').next().unwrap_or_default().to_ascii_lowercase();
    query.split('&').filter(|part| !PAGING_KEYS.contains(&key(part).as_str())).collect()
}

/// `METHOD template`.
pub(super) fn http_template(known: &Known<'_>, template: &str) -> String {
    match &*known.text(Field::HttpMethod) {
        "" => template.to_owned(),
        method => format!("{} {template}", method.to_ascii_uppercase()),
    }
}

/// The topic as the conventions name it, the template before the name.
pub(super) fn destination<'a>(known: &Known<'a>) -> Cow<'a, str> {
    if known.has(Field::DestinationTemplate) {
        return known.text(Field::DestinationTemplate);
    }
    Cow::Owned(url::template(&known.text(Field::Destination)))
}

fn messaging_call(known: &Known<'_>, names: &mut NameTable) -> Call {
    let name = intern(names, &destination(known));
    let topic = TopicKey { system: intern(names, &known.text(Field::MessagingSystem)), destination: name };
    // A `create` span only announces the message that a `send` span carries, and `settle` only acknowledges it.
    let moves = !matches!(&*known.text(Field::MessagingOperation), "create" | "settle");
    let batch = known.int(Field::MessageCount).unwrap_or(1);
    Call {
        peer: (moves && !name.is_empty()).then_some(NodeKey::Topic(topic)),
        kind: EdgeKind::Messaging,
        template: name,
        batch: u32::try_from(batch).unwrap_or(u32::MAX).max(1),
        ..Call::default()
    }
}
