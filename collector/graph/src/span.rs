//! Spans as facts need them: owned and small, with the vocabulary they refer to.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZero;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

pub use crate::detail::Detail;
use crate::facts::Key;
use crate::hash::HashMap;
pub use crate::key::{DatastoreKey, EdgeKind, NodeKey, ServiceKey, TopicKey};
use crate::log::LogLine;
pub use crate::marks::{Location, Marks, Secret, SecretKind, Transport};
use crate::measurement::Measurement;
use crate::name::{Name, NameTable};
use crate::text::without_counts;
pub use crate::view::{Attribute, Likeness, Refusal, SpanView, SpanVisitor, Value};

/// A trace id: 16 bytes, big-endian, never zero. Aligned as everything else in a span is, so that no room is lost.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(Rust, packed(8))]
pub struct TraceId(pub u128);

impl fmt::Display for TraceId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(id) = *self;
        write!(formatter, "{id:032x}")
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

/// A link from one span to another, as a batch receive has many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Link {
    /// The trace of the other span.
    pub trace_id: TraceId,
    /// The other span.
    pub span_id: SpanId,
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
    /// Host that was called, as recorded (no port); empty where unknown.
    pub host: Name,
    /// How it travels.
    pub transport: Transport,
    /// What the query does to its tables, or the request to what it asks for: GET reads, POST writes.
    pub access: Access,
    /// The tables or collections that it accesses so.
    pub tables: Box<[Name]>,
    /// The tables that a writing query only reads: `INSERT INTO a SELECT … FROM b`.
    pub also_read: Box<[Name]>,
}

/// What a span says, without what differs from call to call: many spans share one.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Shape {
    /// Its kind; unspecified becomes client where the span speaks of a datastore or a remote peer.
    pub kind: SpanKind,
    /// The service of its resource.
    pub service: ServiceKey,
    /// The resource that sent it.
    pub resource: ResourceId,
    /// How it ended.
    pub outcome: Outcome,
    /// Whether it is a health, readiness or metrics operation, which counts nowhere.
    pub is_probe: bool,
    /// Whether a clock asks for it over the network, as schedulers of platforms do.
    pub is_by_clock: bool,
    /// What else it shows.
    pub marks: Marks,
    /// What it offers, as a template: `GET /cart/{id}`.
    pub operation: Name,
    /// The call it makes or, for a server, takes; none for internal spans.
    pub call: Option<Call>,
    /// Where in the code it was made; none where no attribute tells.
    pub location: Option<Location>,
}

/// One span, as facts need it, with its details for people.
///
/// **Invariant:** spans are ordered by their contents, so that of two duplicates the greater is the same one wherever it
/// is decided.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its id.
    pub span_id: SpanId,
    /// Its parent, [`SpanId::NONE`] for a root.
    pub parent_id: SpanId,
    /// Unix time in nanoseconds.
    pub start_ns: u64,
    /// Unix time in nanoseconds, never before the start.
    pub end_ns: u64,
    /// What it shares with others.
    pub shape: Arc<Shape>,
    /// Hash of its name as it is shown; the text is in the detail.
    pub name: Name,
    /// Hash of the client's address, for telling clients apart; empty where not recorded.
    pub client: Name,
    /// Of its call: hash of the parameters; none where they are unknown. Never evidence of sameness when unknown.
    pub parameters: Option<NonZero<u64>>,
    /// Of its call: how many messages or statements it carries.
    pub batch: u32,
    /// Of its call: whether the instrumentation says that it repeats an earlier one (`http.request.resend_count` > 0).
    pub is_resend: bool,
    /// What it shows, that of its shape among it.
    pub marks: Marks,
    /// What few spans have.
    pub rare: Option<Box<Rare>>,
    /// Name and attributes, for the waterfall.
    pub detail: Detail,
}

/// What few spans have.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rare {
    /// Links to other spans.
    pub links: Box<[Link]>,
    /// Attributes whose values were confidential, sorted, once each.
    pub secrets: Box<[Secret]>,
}

impl Span {
    /// How long it took, in nanoseconds.
    pub fn duration_ns(&self) -> u64 {
        self.end_ns - self.start_ns
    }

    /// The place in the code that its name tells of, whatever items of a list it counts.
    pub(crate) fn place(&self) -> Name {
        self.detail.place().unwrap_or_else(|| match without_counts(self.detail.name()) {
            Cow::Borrowed(_) => self.name,
            Cow::Owned(name) => Name::of(&name),
        })
    }

    /// Links to other spans.
    pub fn links(&self) -> &[Link] {
        self.rare.as_deref().map_or(&[], |rare| &rare.links)
    }

    /// Attributes whose values were confidential, sorted, once each.
    pub fn secrets(&self) -> &[Secret] {
        self.rare.as_deref().map_or(&[], |rare| &rare.secrets)
    }
}

impl Span {
    /// Every name that the span refers to; its resource has more.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        self.secrets().iter().for_each(|secret| visit(secret.key));
        let Shape { service, operation, call, location, .. } = &*self.shape;
        visit(service.name);
        visit(*operation);
        if let Some(location) = location {
            [location.file, location.function].into_iter().for_each(&mut *visit);
        }
        if let Some(call) = call {
            call.for_each_name(visit);
        }
    }
}

impl Call {
    /// Every name that the call refers to.
    fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        let Self { peer, template, host, tables, also_read, .. } = self;
        visit(*template);
        visit(*host);
        tables.iter().chain(also_read).for_each(|&table| visit(table));
        if let Some(peer) = peer {
            peer.for_each_name(visit);
        }
    }
}

const _: () = assert!(size_of::<Span>() <= 120, "as many as possible wait for the rest of their trace");

/// The texts and resources that spans refer to.
#[derive(Debug, Clone, Default)]
pub struct Vocabulary {
    /// The texts behind names.
    pub names: NameTable,
    /// The resources behind resource ids.
    pub resources: HashMap<ResourceId, Resource>,
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

/// The spans of one request or file, with the log lines and measurements among them and the vocabulary they need.
#[derive(Debug, Clone, Default)]
pub struct SpanBatch {
    /// The spans, those of one trace together as far as they came soon after another, else in the order sent.
    pub spans: Vec<Span>,
    /// The log lines, in the order sent.
    pub logs: Vec<LogLine>,
    /// The points of standard metrics, in the order sent.
    pub measurements: Vec<Measurement>,
    /// What they refer to.
    pub vocabulary: Vocabulary,
    /// How many spans were refused.
    pub refused: u64,
    /// The first [`SpanBatch::MAX_REFUSALS`] refusals.
    pub refusals: Vec<Refusal>,
    /// Whether the request may hold what is confidential: something in it was masked, or nobody looked at it.
    pub may_be_confidential: bool,
}

impl SpanBatch {
    /// How many refusals are kept by name; the rest are only counted.
    pub const MAX_REFUSALS: usize = 8;

    /// The traces of its spans and log lines, sorted, once each.
    pub fn traces(&self) -> Vec<TraceId> {
        let lines = self.logs.iter().map(|line| line.trace_id).filter(|id| *id != TraceId(0));
        let mut traces: Vec<TraceId> = self.spans.iter().map(|span| span.trace_id).chain(lines).collect();
        traces.sort_unstable();
        traces.dedup();
        traces
    }

    /// Whether nothing was taken.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty() && self.logs.is_empty() && self.measurements.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trace_ids_show_all_their_digits() {
        let id: TraceId = "4bf9".parse().unwrap();
        assert_eq!(id.to_string(), "00000000000000000000000000004bf9");
    }
}
