//! What differs from call to call: parameters, clients, sizes of batches.

use std::net::IpAddr;
use std::num::NonZero;

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::asked::AskedUrl;
use super::attributes::{Field, Known};
use super::sql::Statement;
use super::url;
use crate::marks::Marks;
use crate::name::Name;
use crate::span::{Call, EdgeKind, Shape, SpanKind};

/// What differs from call to call of one shape.
#[derive(Debug, Default)]
pub(super) struct Varying {
    pub(super) parameters: Option<NonZero<u64>>,
    pub(super) batch: u32,
    pub(super) is_resend: bool,
    /// Whether it asks for a page.
    pub(super) is_page: bool,
}

/// What the URL of a request alone tells of what is asked for.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Requested {
    /// A hash of them; none where there is no path.
    parameters: Option<u64>,
    /// Whether it asks for a page.
    is_page: bool,
}

impl Requested {
    /// What a span of this shape asks for; nothing where it takes the request.
    pub(super) fn of(shape: &Shape, url: &AskedUrl<'_>) -> Self {
        if shape.kind == SpanKind::Server {
            return Self::default();
        }
        let is_page = url.query.split('&').any(turns_page);
        Self { parameters: request_parameters(&url.full_path, url.query), is_page }
    }
}

impl Varying {
    /// What differs of the call that a span of this shape tells of; nothing where it tells of none.
    pub(super) fn of(shape: &Shape, known: &Known<'_>, statement: &Statement, requested: Requested) -> Self {
        let Some(Call { kind: edge, .. }) = shape.call else { return Self::default() };
        let mut varying = Self { batch: 1, ..Self::default() };
        if shape.kind == SpanKind::Server {
            return varying;
        }
        let batch = if edge == EdgeKind::Database { Field::DbBatchSize } else { Field::MessageCount };
        if known.has(batch) {
            let count = known.int(batch).unwrap_or(1);
            varying.batch = u32::try_from(count).unwrap_or(u32::MAX).max(1);
        }
        varying.is_resend = known.int(Field::ResendCount).is_some_and(|count| count > 0);
        let parameters = match edge {
            EdgeKind::Database => {
                // The next rows of a cursor are other rows.
                varying.is_page = statement.template.get(..6).is_some_and(|verb| verb.eq_ignore_ascii_case("fetch "));
                query_parameters(known, statement)
            }
            EdgeKind::Messaging => None,
            _ => {
                varying.is_page = requested.is_page;
                requested.parameters.filter(|_| tells_all(edge, known))
            }
        };
        varying.parameters = parameters.and_then(|hash| NonZero::new(hash.max(1)));
        varying
    }
}

/// Whether the URL alone tells what is asked for. What has a body asks for more than its URL tells.
fn tells_all(kind: EdgeKind, known: &Known<'_>) -> bool {
    // Micrometer writes the method under a name that anybody may use, beside the class of the status.
    let bare = if known.has(Field::OutcomeClass) { known.text(Field::BareMethod) } else { "" };
    let method = Some(known.text(Field::HttpMethod)).filter(|method| !method.is_empty()).unwrap_or(bare);
    let has_body = ["POST", "PUT", "PATCH", "QUERY"].iter().any(|each| method.eq_ignore_ascii_case(each));
    kind != EdgeKind::Graphql && kind != EdgeKind::Rpc && !has_body
}

/// Known where the text holds all of its literals, or where the parameters are recorded beside it. Truncated text and
/// text with placeholders only are never evidence of sameness.
fn query_parameters(known: &Known<'_>, statement: &Statement) -> Option<u64> {
    let query = known.text(Field::DbText);
    let recorded = known.parameters().fold(None, |hash: Option<u64>, (key, value)| {
        let hash = xxh3_64_with_seed(key.as_bytes(), hash.unwrap_or_else(|| xxh3_64(query.as_bytes())));
        Some(xxh3_64_with_seed(value.to_text().as_bytes(), hash))
    });
    let is_truncated = || query.ends_with("...") || query.ends_with('…');
    let is_known = !query.is_empty() && !statement.has_placeholders && !is_truncated();
    recorded.or_else(|| is_known.then(|| xxh3_64(query.as_bytes())))
}

/// Query keys that turn the page of one answer. Pages differ in them alone, so they are no parameters.
const PAGING_KEYS: [&str; 34] = [
    "$skip",
    "$skiptoken",
    "$top",
    "after",
    "before",
    "continuation",
    "continuation-token",
    "continuationtoken",
    "continuation_token",
    "cursor",
    "ending_before",
    "limit",
    "marker",
    "next_token",
    "nexttoken",
    "offset",
    "page",
    "page-token",
    "page_info",
    "page_no",
    "page_number",
    "page_size",
    "page_token",
    "pageno",
    "pagenumber",
    "pagesize",
    "pagetoken",
    "per_page",
    "skip",
    "start",
    "start_after",
    "startat",
    "startindex",
    "starting_after",
];

/// Whether a part of a query, `key=value`, turns the page.
fn turns_page(part: &str) -> bool {
    // `page[number]`, as JSON:API has it.
    let end = part.bytes().position(|byte| matches!(byte, b'=' | b'[' | b'%')).unwrap_or(part.len());
    let key = &part[..end];
    !key.is_empty() && PAGING_KEYS.iter().any(|paging| key.eq_ignore_ascii_case(paging))
}

/// Path and query of a request; none where there is no path.
fn request_parameters(path: &str, query: &str) -> Option<u64> {
    if path.is_empty() {
        return None;
    }
    let kept = query.split('&').filter(|part| !part.is_empty() && !turns_page(part));
    Some(kept.fold(xxh3_64(path.as_bytes()), |hash, part| xxh3_64_with_seed(part.as_bytes(), hash)))
}

/// A hash of the client of a request as its server saw it, and what its address tells.
pub(super) fn client(kind: SpanKind, known: &Known<'_>) -> (Name, Marks) {
    // On the span of a server, `net.peer.*` is the client's.
    let fields =
        [Field::ClientAddress, Field::ForwardedFor, Field::ClientSocketAddress, Field::PeerAddress, Field::PeerName];
    let mut marks = Marks::default();
    let Some(field) = fields.into_iter().find(|&field| kind == SpanKind::Server && known.has(field)) else {
        return (Name::EMPTY, marks);
    };
    let host = |field| url::split_host(first_of(known.text(field))).0;
    let (client, socket) = (host(field), host(Field::PeerAddress));
    if let Ok(address) = client.parse() {
        marks.set(Marks::PUBLIC_CLIENT, is_public(address));
        marks.set(Marks::PRIVATE_CLIENT, is_private(address));
    }
    let is_forwarded = !socket.is_empty() && client != socket && socket.parse().is_ok_and(is_private);
    marks.set(Marks::FORWARDED, is_forwarded);
    (Name::of(client), marks)
}

/// The first of the addresses that proxies added to a header; headers are recorded as lists.
fn first_of(header: &str) -> &str {
    let is_around = |byte: &u8| matches!(byte, b'[' | b'"' | b' ' | b',' | b']');
    // Mostly it is an address alone.
    if !header.as_bytes().iter().fold(false, |any, byte| any | is_around(byte)) {
        return header;
    }
    header.trim_start_matches(['[', '"', ' ']).split([',', '"', ']', ' ']).next().unwrap_or_default()
}

/// Whether an address is of a private network, and not of the host itself.
fn is_private(address: IpAddr) -> bool {
    !is_public(address) && !address.to_canonical().is_loopback() && !address.is_unspecified()
}

/// Whether an address is of the outside world: not loopback, private, link-local, shared or unspecified. Ranges for
/// documentation count as public, so that examples behave as what they stand for.
pub fn is_public(address: IpAddr) -> bool {
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
