//! What a span says of the other side of a call: the peer, what is called there, with which parameters.

use std::borrow::Cow;

use super::attributes::{Field, Known};
use super::sql::{self, Statement};
use super::{rpc_method, text, url};
use crate::facts::bounded::stable_hash;
use crate::name::{Name, NameTable};
use crate::span::{Access, Call, DatastoreKey, EdgeKind, NodeKey, SpanKind, SpanView, TopicKey, Transport};
use crate::text::scrub;

/// The most tables that one statement names.
const MAX_TABLES: usize = 16;

/// Systems that live in a file or in the process, so that the same name on two hosts means two datastores.
const EMBEDDED_SYSTEMS: [&str; 6] = ["sqlite", "h2", "hsqldb", "derby", "duckdb", "rocksdb"];

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
            let (call, sets_up) = database_call(view, known, own_host, names);
            is_set_up = sets_up;
            call
        }
        EdgeKind::Messaging => messaging_call(known, names),
        kind => remote_call(kind, view, known, names),
    };
    call.host = names.intern(&host(known));
    call.transport = transport(&call, known, names);
    call.is_resend = known.int(Field::ResendCount).is_some_and(|count| count > 0);
    (Some(call), is_set_up)
}

fn edge_kind(kind: SpanKind, known: &Known<'_>) -> EdgeKind {
    if known.has(Field::DbSystem) {
        EdgeKind::Database
    } else if matches!(kind, SpanKind::Producer | SpanKind::Consumer) || known.has(Field::MessagingSystem) {
        EdgeKind::Messaging
    } else if known.has(Field::RpcSystem) || known.has(Field::RpcMethod) {
        EdgeKind::Rpc
    } else if known.has(Field::GraphqlOperation) {
        EdgeKind::Graphql
    } else if known.has(Field::HttpMethod) || known.has(Field::Url) {
        EdgeKind::Http
    } else {
        EdgeKind::Other
    }
}

fn remote_call(kind: EdgeKind, view: &SpanView<'_>, known: &Known<'_>, names: &mut NameTable) -> Call {
    let peer = peer_name(known);
    let path = http_path(known);
    let template = if let Some(method) = rpc_method(known) {
        method
    } else if let Some(template) = known.value(Field::UrlTemplate).or(known.value(Field::HttpRoute)) {
        http_template(known, &text(Some(template)))
    } else if let Some(path) = &path {
        http_template(known, &url::template(path))
    } else {
        url::template(&scrub(&view.name))
    };
    Call {
        peer: (!peer.is_empty()).then(|| NodeKey::Peer(names.intern(&peer))),
        kind,
        template: names.intern(&template),
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
    match part(known.text(Field::ServerAddress), |address| url::split_host(address).0) {
        host if host.is_empty() => part(known.text(Field::Url), |url| url::split(url).host),
        host => host,
    }
}

/// A part of a text, borrowed where the text is.
fn part(whole: Cow<'_, str>, pick: impl Fn(&str) -> &str) -> Cow<'_, str> {
    match whole {
        Cow::Borrowed(whole) => Cow::Borrowed(pick(whole)),
        Cow::Owned(whole) => Cow::Owned(pick(&whole).to_owned()),
    }
}

/// `host[:port]`, from whichever attribute has it; empty where none has.
fn server_address(known: &Known<'_>) -> String {
    let (address, port) = (known.text(Field::ServerAddress), known.text(Field::ServerPort));
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

fn join(host: &str, port: &str) -> String {
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
    let name = names.intern(&destination(known));
    let topic = TopicKey { system: names.intern(&known.text(Field::MessagingSystem)), destination: name };
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

fn database_call(view: &SpanView<'_>, known: &Known<'_>, own_host: Name, names: &mut NameTable) -> (Call, bool) {
    let query = known.text(Field::DbText);
    let statement = if query.is_empty() { Statement::default() } else { sql::read(&query) };
    let (operation, collection) = (known.text(Field::DbOperation), known.text(Field::DbCollection));
    let template = match &*known.text(Field::DbSummary) {
        "" if !statement.template.is_empty() => statement.template.clone(),
        "" if operation.is_empty() && collection.is_empty() => url::template(&scrub(&view.name)),
        "" => format!("{operation} {collection}").trim().to_owned(),
        summary => summary.to_owned(),
    };
    let access = match sql::access_of_operation(&operation) {
        Access::None => statement.access,
        access => access,
    };
    let tables: Box<[Name]> = if access == Access::None {
        Box::default()
    } else if collection.is_empty() {
        statement.tables.iter().take(MAX_TABLES).map(|table| names.intern(table)).collect()
    } else {
        Box::new([names.intern(&collection.to_lowercase())])
    };
    let key = datastore(known, own_host, names);
    let batch = known.int(Field::DbBatchSize).unwrap_or(1);
    let call = Call {
        peer: Some(NodeKey::Datastore(key)),
        kind: EdgeKind::Database,
        template: names.intern(&template),
        parameters: parameters(known, &statement, &query),
        access,
        tables,
        batch: u32::try_from(batch).unwrap_or(u32::MAX).max(1),
        ..Call::default()
    };
    let described = if operation.is_empty() { &*view.name } else { &*operation };
    let is_set_up = statement.is_set_up || query.is_empty() && sql::is_set_up_operation(described);
    (call, is_set_up)
}

/// Known where the text holds all of its literals, or where the parameters are recorded beside it. Truncated text and
/// text with placeholders only are never evidence of sameness.
fn parameters(known: &Known<'_>, statement: &Statement, query: &str) -> Option<u64> {
    let values: Vec<_> = known.parameters().map(|(key, value)| (key, value.to_text())).collect();
    if !values.is_empty() {
        return Some(stable_hash(&(query, values)));
    }
    let is_truncated = query.ends_with("...") || query.ends_with('…');
    (!query.is_empty() && !statement.has_placeholders && !is_truncated).then(|| stable_hash(&query))
}

/// (system, address, namespace). A missing address is taken from the declared peer or the connection string; what is
/// local to a host carries that host as a prefix.
fn datastore(known: &Known<'_>, own_host: Name, names: &mut NameTable) -> DatastoreKey {
    let system = known.text(Field::DbSystem).to_ascii_lowercase();
    let namespace = known.text(Field::DbNamespace);
    let connection = known.text(Field::DbConnection);
    let mut address = server_address(known);
    if address.is_empty() && connection.contains("://") {
        let parts = url::split(&connection);
        address = join(parts.host, parts.port);
    }
    if address.is_empty() {
        address = known.text(Field::PeerService).into_owned();
    }
    if EMBEDDED_SYSTEMS.contains(&&*system) || is_loopback(url::split_host(&address).0) {
        // Without a host nobody can tell one machine's `localhost` from another's, so the address stays unknown.
        address = if own_host.is_empty() { String::new() } else { format!("{}/{address}", names.text(own_host)) };
    }
    DatastoreKey { system: names.intern(&system), address: names.intern(&address), namespace: names.intern(&namespace) }
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host == "::1" || host.starts_with("127.")
}
