//! What a span says of the other side of a call: the peer, what is called there, with which parameters.

use std::borrow::Cow;

use super::attributes::{Database, Known};
use super::sql::{self, Statement};
use super::{intern, rpc_method, text, url};
use crate::facts::bounded::stable_hash;
use crate::name::{Name, NameTable};
use crate::span::{Access, Call, DatastoreKey, EdgeKind, NodeKey, SpanKind, SpanView, TopicKey, Value};
use crate::text::scrub;

/// The most tables that one statement names.
const MAX_TABLES: usize = 16;

/// Systems that live in a file or in the process, so that the same name on two hosts means two datastores.
const EMBEDDED_SYSTEMS: [&str; 6] = ["sqlite", "h2", "hsqldb", "derby", "duckdb", "rocksdb"];

/// What the span says of the call that it makes or takes; none for internal spans.
pub(super) fn read(
    kind: SpanKind,
    view: &SpanView<'_>,
    known: &Known<'_>,
    own_host: Name,
    names: &mut NameTable,
) -> Option<Call> {
    match kind {
        SpanKind::Internal | SpanKind::Unspecified => return None,
        SpanKind::Server => {
            return Some(Call { kind: edge_kind(kind, known), batch: 1, ..Call::default() });
        }
        SpanKind::Client | SpanKind::Producer | SpanKind::Consumer => {}
    }
    let mut call = match edge_kind(kind, known) {
        EdgeKind::Database => database_call(view, &known.database, known, own_host, names),
        EdgeKind::Messaging => messaging_call(known, names),
        kind => remote_call(kind, view, known, names),
    };
    call.host = names.intern(&host(known));
    call.is_resend = known.http.resend_count.and_then(Value::to_int).is_some_and(|count| count > 0);
    Some(call)
}

fn edge_kind(kind: SpanKind, known: &Known<'_>) -> EdgeKind {
    if known.database.system.is_some() {
        EdgeKind::Database
    } else if matches!(kind, SpanKind::Producer | SpanKind::Consumer) || known.messaging.system.is_some() {
        EdgeKind::Messaging
    } else if known.rpc.system.is_some() || known.rpc.method.is_some() {
        EdgeKind::Rpc
    } else if known.graphql_operation.is_some() {
        EdgeKind::Graphql
    } else if known.http.method.is_some() || known.http.url.is_some() {
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
    } else if let Some(template) = known.http.template.or(known.http.route) {
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
        batch: 1,
        ..Call::default()
    }
}

/// The name of an unmatched peer: as declared, else its address, else the remote service.
fn peer_name<'a>(known: &Known<'a>) -> Cow<'a, str> {
    if known.peer.service.is_some() {
        return text(known.peer.service);
    }
    let address = server_address(known);
    if !address.is_empty() {
        return Cow::Owned(address);
    }
    if known.peer.network_address.is_some() {
        return Cow::Owned(join(&text(known.peer.network_address), &text(known.peer.network_port)));
    }
    text(known.rpc.service)
}

/// The host as the caller names it. The address that the name led to is none: behind a balancer it differs from call to
/// call.
fn host<'a>(known: &Known<'a>) -> Cow<'a, str> {
    match part(text(known.peer.address), |address| url::split_host(address).0) {
        host if host.is_empty() => part(text(known.http.url), |url| url::split(url).host),
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
    let (address, port) = (text(known.peer.address), text(known.peer.port));
    let (full, host) = (text(known.http.url), text(known.http.host));
    let url = url::split(&full);
    let (address, host) = (url::split_host(&address), url::split_host(&host));
    let candidates = [(address.0, if address.1.is_empty() { &port } else { address.1 }), (url.host, url.port), host];
    candidates.into_iter().find(|(host, _)| !host.is_empty()).map_or_else(String::new, |(host, port)| join(host, port))
}

fn join(host: &str, port: &str) -> String {
    if port.is_empty() { host.to_owned() } else { format!("{host}:{port}") }
}

/// The path of a request, scrubbed; none where no attribute has one.
pub(super) fn http_path<'a>(known: &Known<'a>) -> Option<Cow<'a, str>> {
    let paths = [known.http.path, known.http.url].map(|value| part(text(value), |url| url::split(url).path));
    paths.into_iter().find(|path| !path.is_empty())
}

fn http_query<'a>(known: &Known<'a>) -> Cow<'a, str> {
    if known.http.query.is_some() {
        return text(known.http.query);
    }
    let queries = [known.http.url, known.http.path].map(|value| part(text(value), |url| url::split(url).query));
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
    match &*text(known.http.method) {
        "" => template.to_owned(),
        method => format!("{} {template}", method.to_ascii_uppercase()),
    }
}

/// The topic as the conventions name it, the template before the name.
pub(super) fn destination<'a>(known: &Known<'a>) -> Cow<'a, str> {
    if known.messaging.template.is_some() {
        return text(known.messaging.template);
    }
    Cow::Owned(url::template(&text(known.messaging.destination)))
}

fn messaging_call(known: &Known<'_>, names: &mut NameTable) -> Call {
    let name = names.intern(&destination(known));
    let topic = TopicKey { system: intern(names, known.messaging.system), destination: name };
    // A `create` span only announces the message that a `send` span carries, and `settle` only acknowledges it.
    let moves = !matches!(&*text(known.messaging.operation_type), "create" | "settle");
    let batch = known.messaging.batch_size.and_then(Value::to_int).unwrap_or(1);
    Call {
        peer: (moves && !name.is_empty()).then_some(NodeKey::Topic(topic)),
        kind: EdgeKind::Messaging,
        template: name,
        batch: u32::try_from(batch).unwrap_or(u32::MAX).max(1),
        ..Call::default()
    }
}

fn database_call(
    view: &SpanView<'_>,
    database: &Database<'_>,
    known: &Known<'_>,
    own_host: Name,
    names: &mut NameTable,
) -> Call {
    let query = text(database.text);
    let statement = if query.is_empty() { Statement::default() } else { sql::read(&query) };
    let (operation, collection) = (text(database.operation), text(database.collection));
    let template = match &*text(database.summary) {
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
    let key = datastore(database, known, own_host, names);
    let batch = database.batch_size.and_then(Value::to_int).unwrap_or(1);
    Call {
        peer: Some(NodeKey::Datastore(key)),
        kind: EdgeKind::Database,
        template: names.intern(&template),
        parameters: parameters(database, &statement, &query),
        access,
        tables,
        batch: u32::try_from(batch).unwrap_or(u32::MAX).max(1),
        ..Call::default()
    }
}

/// Known where the text holds all of its literals, or where the parameters are recorded beside it. Truncated text and
/// text with placeholders only are never evidence of sameness.
fn parameters(database: &Database<'_>, statement: &Statement, query: &str) -> Option<u64> {
    if !database.parameters.is_empty() {
        let values: Vec<_> = database.parameters.iter().map(|(key, value)| (key, value.to_text())).collect();
        return Some(stable_hash(&(query, values)));
    }
    let is_truncated = query.ends_with("...") || query.ends_with('…');
    (!query.is_empty() && !statement.has_placeholders && !is_truncated).then(|| stable_hash(&query))
}

/// (system, address, namespace). A missing address is taken from the declared peer or the connection string; what is
/// local to a host carries that host as a prefix.
fn datastore(database: &Database<'_>, known: &Known<'_>, own_host: Name, names: &mut NameTable) -> DatastoreKey {
    let system = text(database.system).to_ascii_lowercase();
    let namespace = text(database.namespace);
    let connection = text(database.connection);
    let mut address = server_address(known);
    if address.is_empty() && connection.contains("://") {
        let parts = url::split(&connection);
        address = join(parts.host, parts.port);
    }
    if address.is_empty() {
        address = text(known.peer.service).into_owned();
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
