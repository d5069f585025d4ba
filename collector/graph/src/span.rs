//! Spans: as a decoder shows them ([`SpanView`], borrowed), and as facts need them ([`Span`], owned and small).
//!
//! Decoders know wire formats and nothing of meaning; [`crate::semantics`] knows meaning and nothing of wire formats.
//! [`SpanVisitor`] is the seam between the two.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::name::{Name, NameTable};

/// A trace id: 16 bytes, big-endian, never zero.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:032x}", self.0)
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

impl std::str::FromStr for TraceId {
    type Err = std::num::ParseIntError;

    /// Reads 1 to 32 hexadecimal digits; leading zeros may be missing.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Self)
    }
}

/// A span id: 8 bytes, big-endian; zero stands for "no span".
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct SpanId(pub u64);

impl SpanId {
    /// No span: the parent of a root.
    pub const NONE: Self = Self(0);
}

impl fmt::Display for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:016x}", self.0)
    }
}

impl fmt::Debug for SpanId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// The kind of a span, numbered as OTLP numbers it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum SpanKind {
    /// Not given.
    #[default]
    Unspecified = 0,
    /// Work inside one service.
    Internal = 1,
    /// The receiving side of a request.
    Server = 2,
    /// The sending side of a request.
    Client = 3,
    /// The sending side of a message.
    Producer = 4,
    /// The receiving side of a message.
    Consumer = 5,
}

impl SpanKind {
    /// The kind behind OTLP's number; unknown numbers are unspecified.
    pub fn from_otlp(number: i64) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }

    /// The word that screens and reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unspecified => "unspecified",
            Self::Internal => "internal",
            Self::Server => "server",
            Self::Client => "client",
            Self::Producer => "producer",
            Self::Consumer => "consumer",
        }
    }
}

/// How a span ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Outcome {
    /// Without an error.
    #[default]
    Ok = 0,
    /// The caller's fault: a status of 400 to 499 other than a timeout.
    Rejected = 1,
    /// The callee failed.
    Failed = 2,
    /// Nobody answered in time.
    TimedOut = 3,
    /// The caller gave up.
    Cancelled = 4,
}

impl Outcome {
    /// Every outcome, in the order of [`Outcome::index`].
    pub const ALL: [Self; 5] = [Self::Ok, Self::Rejected, Self::Failed, Self::TimedOut, Self::Cancelled];

    /// Its place in [`Outcome::ALL`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// Whether a caller may want to try again: everything but success and the caller's own fault.
    pub fn is_failure(self) -> bool {
        !matches!(self, Self::Ok | Self::Rejected)
    }
}

/// The value of an attribute, borrowed from the request where that is possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// An array, a map or bytes, as JSON text.
    Composite(String),
}

impl Value<'_> {
    /// The value as text, as it is shown.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(value.to_string()),
            Self::Composite(text) => Cow::Borrowed(text),
        }
    }

    /// The value as an integer; decimal text counts, as old instrumentations send numbers so.
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
            Self::Double(value) if value.fract() == 0.0 => Some(*value as i64),
            _ => None,
        }
    }
}

/// Key and value of one attribute.
pub type Attribute<'a> = (Cow<'a, str>, Value<'a>);

/// A link from one span to another, as a batch receive has many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The trace of the other span.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
}

/// One span as a decoder shows it: ids already validated, nothing copied that need not be.
#[derive(Debug, Clone, Default)]
pub struct SpanView<'a> {
    /// Never zero.
    pub trace_id: TraceId,
    /// Never zero.
    pub span_id: SpanId,
    /// [`SpanId::NONE`] for a root.
    pub parent_id: SpanId,
    /// As sent.
    pub kind: SpanKind,
    /// As sent, not yet scrubbed.
    pub name: Cow<'a, str>,
    /// Unix time in nanoseconds.
    pub start_ns: u64,
    /// Unix time in nanoseconds; may lie before the start in broken input.
    pub end_ns: u64,
    /// Whether the status code is `ERROR`.
    pub is_error: bool,
    /// The message of the status, empty where there is none.
    pub status_message: Cow<'a, str>,
    /// In the order sent.
    pub attributes: &'a [Attribute<'a>],
    /// In the order sent.
    pub links: &'a [Link],
}

/// A span that was not taken, and why; its neighbours live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the span, scrubbed and cut.
    pub span_name: String,
    /// What is wrong with it, lower case, for example `trace id has 8 bytes, wants 16`.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "span \"{}\": {}", self.span_name, self.reason)
    }
}

/// What a decoder tells of a request, in its order: each resource is followed by its spans.
pub trait SpanVisitor {
    /// The spans that follow belong to the resource with these attributes.
    fn resource(&mut self, attributes: &[Attribute<'_>]);

    /// A span of the current resource.
    fn span(&mut self, span: &SpanView<'_>);

    /// A span of the current resource that cannot be taken.
    fn refuse(&mut self, refusal: Refusal);
}

/// A service within one environment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ServiceKey {
    /// `service.namespace`, empty where not given.
    pub namespace: Name,
    /// `service.name`; for `unknown_service*` with the instance appended, since each is a node of its own.
    pub name: Name,
}

/// Content hash of a [`Resource`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct ResourceId(pub u64);

/// What facts need of an OpenTelemetry resource. Empty names stand for attributes that were not given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    /// `deployment.environment.name`.
    pub environment: Name,
    /// Who it is.
    pub service: ServiceKey,
    /// `service.version`.
    pub version: Name,
    /// `service.instance.id`, else the pod, else the host and process.
    pub instance: Name,
    /// The team that owns it.
    pub owner: Name,
    /// `telemetry.sdk.language`.
    pub language: Name,
    /// `host.id`, else `host.name`, else the pod.
    pub host: Name,
}

/// The kind of an edge: the protocol of its calls.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum EdgeKind {
    /// HTTP.
    Http = 0,
    /// gRPC and other remote procedure calls.
    Rpc = 1,
    /// A query to a datastore.
    Database = 2,
    /// A message to or from a topic, or derived through one.
    Messaging = 3,
    /// GraphQL.
    Graphql = 4,
    /// A call whose protocol no attribute tells.
    #[default]
    Other = 5,
}

impl EdgeKind {
    /// The word that reports use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Rpc => "rpc",
            Self::Database => "database",
            Self::Messaging => "messaging",
            Self::Graphql => "graphql",
            Self::Other => "other",
        }
    }
}

/// A node as facts name it: raw, before [`crate::resolve`] binds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum NodeKey {
    /// The outside world that starts a trace.
    Client,
    /// A caller whose span never arrived.
    Unknown,
    /// A service that sends spans.
    Service(ServiceKey),
    /// A host or declared peer that was called; resolve binds it to a service or makes it an external.
    Peer(Name),
    /// A database, cache, search or object store.
    Datastore(DatastoreKey),
    /// A queue or topic on a broker.
    Topic(TopicKey),
}

impl NodeKey {
    /// Every name in the key.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        match *self {
            Self::Client | Self::Unknown => {}
            Self::Service(service) => service.for_each_name(visit),
            Self::Peer(name) => visit(name),
            Self::Datastore(key) => [key.system, key.address, key.namespace].into_iter().for_each(visit),
            Self::Topic(key) => [key.system, key.destination].into_iter().for_each(visit),
        }
    }
}

impl ServiceKey {
    /// Every name in the key.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        [self.namespace, self.name].into_iter().for_each(visit);
    }
}

/// The identity of a datastore: (system, address, port, namespace).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DatastoreKey {
    /// `db.system.name`, lower case.
    pub system: Name,
    /// `host:port` or `host`; loopback addresses, `:memory:` and relative paths carry the client's host as a prefix
    /// (`host/…`), since the same text on two hosts means two datastores; empty where no address was recorded.
    pub address: Name,
    /// `db.namespace`.
    pub namespace: Name,
}

/// The identity of a topic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TopicKey {
    /// `messaging.system`.
    pub system: Name,
    /// `messaging.destination.template`, else `messaging.destination.name`.
    pub destination: Name,
}

/// What a query does to its tables.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Access {
    /// Nothing that counts as use: connect, transaction control, DDL.
    #[default]
    None = 0,
    /// Reads.
    Read = 1,
    /// Writes.
    Write = 2,
}

/// What a span says of a call that it makes, or (server, consumer) takes.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Call {
    /// The node it goes to, for a consumer the topic it comes from; none for servers, or where no attribute names one.
    pub peer: Option<NodeKey>,
    /// The protocol.
    pub kind: EdgeKind,
    /// What is called there: a route, a method, a query template; empty where unknown.
    pub template: Name,
    /// Hash of the parameters; none where they are unknown. Never evidence of sameness when unknown.
    pub parameters: Option<u64>,
    /// Host that was called, as recorded (no port); empty where unknown.
    pub host: Name,
    /// What the query does to its tables.
    pub access: Access,
    /// The tables or collections it touches.
    pub tables: Box<[Name]>,
    /// How many messages or statements this one call carries.
    pub batch: u32,
    /// Whether the instrumentation says that this call repeats an earlier one (`http.request.resend_count` > 0).
    pub is_resend: bool,
}

/// One span, as facts need it, with its details for people.
///
/// **Invariant:** spans are ordered by their contents, with what identifies a span within its trace (id, kind, service)
/// first, so that of two duplicates the greater is the same one wherever it is decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its kind; unspecified becomes client where the span speaks of a datastore or a remote peer.
    pub kind: SpanKind,
    /// The service of its resource.
    pub service: ServiceKey,
    /// Its parent, [`SpanId::NONE`] for a root.
    pub parent_id: SpanId,
    /// The resource that sent it.
    pub resource: ResourceId,
    /// Unix time in nanoseconds.
    pub start_ns: u64,
    /// Unix time in nanoseconds, never before the start.
    pub end_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it is a health, readiness or metrics operation, which counts nowhere.
    pub is_probe: bool,
    /// What it offers, as a template: `GET /cart/{id}`.
    pub operation: Name,
    /// The call it makes or, for a server, takes; none for internal spans.
    pub call: Option<Call>,
    /// Links to other spans.
    pub links: Box<[Link]>,
    /// Name and attributes, for the waterfall.
    pub detail: Detail,
}

impl Span {
    /// How long it took, in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }
}

/// Name, status message and attributes of a span: scrubbed, masked, packed into one allocation.
///
/// Layout: pairs of length-prefixed (LEB128) UTF-8 texts; the first pair is name and status message.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Detail(Box<[u8]>);

impl Detail {
    /// Packs what people look at.
    pub fn new<'a>(
        name: &str,
        status_message: &str,
        attributes: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Self {
        let mut bytes = Vec::with_capacity(256);
        push_text(&mut bytes, name);
        push_text(&mut bytes, status_message);
        for (key, value) in attributes {
            push_text(&mut bytes, &key);
            push_text(&mut bytes, &value);
        }
        Self(bytes.into_boxed_slice())
    }

    /// The name of the span.
    pub fn name(&self) -> &str {
        self.texts().next().unwrap_or_default()
    }

    /// The message of the status, empty where there is none.
    pub fn status_message(&self) -> &str {
        self.texts().nth(1).unwrap_or_default()
    }

    /// Keys and values in the order sent.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = self.texts().skip(2);
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }

    /// How many bytes it takes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was packed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let mut length = 0usize;
            let mut shift = 0;
            loop {
                let (&byte, tail) = rest.split_first()?;
                rest = tail;
                length |= usize::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
                shift += 7;
            }
            let (text, tail) = rest.split_at(length);
            rest = tail;
            Some(std::str::from_utf8(text).expect("packed from texts"))
        })
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.attributes()).finish()
    }
}

fn push_text(bytes: &mut Vec<u8>, text: &str) {
    let mut length = text.len();
    while length >= 0x80 {
        bytes.push(length as u8 | 0x80);
        length >>= 7;
    }
    bytes.push(length as u8);
    bytes.extend_from_slice(text.as_bytes());
}

/// The texts and resources that spans refer to.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// The texts behind names.
    pub names: NameTable,
    /// The resources behind resource ids.
    pub resources: std::collections::HashMap<ResourceId, Resource>,
}

impl Vocabulary {
    /// The resource of a span; an unknown id is the resource without attributes.
    pub fn resource(&self, id: ResourceId) -> Resource {
        self.resources.get(&id).copied().unwrap_or_default()
    }

    /// Takes over everything that `other` knows.
    pub fn merge(&mut self, other: &Self) {
        self.names.merge(&other.names);
        self.resources.extend(other.resources.iter().map(|(&id, &resource)| (id, resource)));
    }
}

/// The spans of one request or file, with the vocabulary they need.
#[derive(Debug, Clone, Default)]
pub struct SpanBatch {
    /// The spans, in the order sent.
    pub spans: Vec<Span>,
    /// What they refer to.
    pub vocabulary: Vocabulary,
    /// How many spans were refused.
    pub refused: u64,
    /// The first [`SpanBatch::MAX_REFUSALS`] refusals.
    pub refusals: Vec<Refusal>,
}

impl SpanBatch {
    /// How many refusals are kept by name; the rest are only counted.
    pub const MAX_REFUSALS: usize = 8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_gives_back_what_was_packed() {
        let long = "x".repeat(300);
        let attributes = [("a", "1"), ("empty", ""), ("long", &long)];
        let detail = Detail::new("GET /cart", "boom", attributes.map(|(k, v)| (k.into(), v.into())));
        assert_eq!(detail.name(), "GET /cart");
        assert_eq!(detail.status_message(), "boom");
        assert_eq!(detail.attributes().collect::<Vec<_>>(), attributes);
        assert!(Detail::default().attributes().next().is_none());
    }

    #[test]
    fn trace_ids_show_all_their_digits() {
        let id: TraceId = "4bf9".parse().unwrap();
        assert_eq!(id.to_string(), "00000000000000000000000000004bf9");
    }
}
