//! Zipkin's v2 JSON: an array of spans, an array of traces, or one span.
//!
//! A span may come in pieces, in one document or in several of a file, so the pieces are kept until [`Pieces::show`]
//! puts together what belongs together. The two halves of a call may share one id; both are shown as they are, since
//! `spanlint_graph::Trace` knows how they relate. Annotations give times where a piece has no other, and are otherwise
//! not read. Zipkin v1 is refused.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};
use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spanlint_graph::span::{Refusal, SpanBatch, SpanId, SpanKind, SpanView, Value};
use spanlint_graph::{SpanVisitor, TraceId};

use super::ids::{self, IdError, RawId, SpanIds};
use super::json::{Each, Microseconds, Text, value};
use super::{DecodeError, Decoded, composite};
use crate::limits::MAX_ATTRIBUTES;

mod attributes;

/// Shows the spans of one document to `visitor`.
pub fn decode(bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    let mut pieces = Pieces::default();
    pieces.add(bytes)?;
    Ok(pieces.show(visitor))
}

/// The pieces of spans that one file or request holds.
#[derive(Debug, Default)]
pub struct Pieces {
    list: Vec<Piece>,
    refused: Refused,
    decoded: Decoded,
}

impl Pieces {
    /// Adds the spans of a document; of a bad one nothing is kept.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let mut walk = Walk { pieces: Self::default(), is_v1: false };
        let mut deserializer = serde_json::Deserializer::from_slice(bytes);
        let outcome = Spans(&mut walk).deserialize(&mut deserializer).and_then(|()| deserializer.end());
        if walk.is_v1 {
            return Err(DecodeError::ZipkinV1);
        }
        outcome?;
        self.list.append(&mut walk.pieces.list);
        self.refused.append(walk.pieces.refused);
        self.decoded.add(walk.pieces.decoded);
        Ok(())
    }

    /// Shows all spans to `visitor`, in the order in which their first pieces came.
    pub fn show(mut self, visitor: &mut impl SpanVisitor) -> Decoded {
        self.join();
        self.name_halves();
        let mut shown: Option<Endpoint> = None;
        for piece in self.list {
            if shown.as_ref() != Some(&piece.local) {
                visitor.resource(&piece.local.resource());
                shown = Some(piece.local.clone());
            }
            match piece.times() {
                Some((start_ns, end_ns)) => piece.show(start_ns, end_ns, visitor),
                None => self.refused.push(&piece.name, &"has no timestamp, and no other piece of it has one"),
            }
        }
        self.refused.show(visitor);
        self.decoded
    }

    /// Merges every piece into the first of its span.
    fn join(&mut self) {
        let places = places(&self.list);
        let mut joined: Vec<Piece> = Vec::with_capacity(self.list.len());
        let mut joined_at = vec![None; places.len()];
        for (place, piece) in places.into_iter().zip(std::mem::take(&mut self.list)) {
            if let Some(at) = joined_at[place] {
                let first: &mut Piece = &mut joined[at];
                self.decoded.over_limit += first.merge(piece);
            } else {
                joined_at[place] = Some(joined.len());
                joined.push(piece);
            }
        }
        self.list = joined;
    }

    /// A half of a shared span that has no name is called as the other half.
    fn name_halves(&mut self) {
        let id = |piece: &Piece| (piece.ids.trace, piece.ids.span);
        let unnamed: HashSet<_> = self.list.iter().filter(|piece| piece.name.is_empty()).map(id).collect();
        let mut names: HashMap<_, String> = HashMap::new();
        for piece in self.list.iter().filter(|piece| !piece.name.is_empty() && unnamed.contains(&id(piece))) {
            names.entry(id(piece)).or_insert_with(|| piece.name.clone());
        }
        for piece in self.list.iter_mut().filter(|piece| piece.name.is_empty()) {
            piece.name = names.get(&id(piece)).cloned().unwrap_or_default();
        }
    }
}

/// For each piece the first one of its span. Pieces with a start are of one span if id, service, kind and start agree;
/// one without a start belongs to the first that agrees in what it does say.
fn places(pieces: &[Piece]) -> Vec<usize> {
    let mut first = HashMap::new();
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|&index| pieces[index].start_ns == 0);
    let mut places = vec![0; pieces.len()];
    for index in order {
        let piece = &pieces[index];
        let exact = Identity {
            trace: piece.ids.trace,
            span: piece.ids.span,
            service: &piece.local.service,
            kind: piece.kind,
            start_ns: piece.start_ns,
        };
        let place = *first.entry(exact).or_insert(index);
        let any_start = Identity { start_ns: 0, ..exact };
        first.entry(any_start).or_insert(place);
        first.entry(Identity { kind: SpanKind::Unspecified, ..any_start }).or_insert(place);
        places[index] = place;
    }
    places
}

/// What the pieces of a span have in common: an unspecified kind and a start of zero stand for any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Identity<'a> {
    trace: TraceId,
    span: SpanId,
    service: &'a str,
    kind: SpanKind,
    start_ns: u64,
}

/// A span, or a part of one.
#[derive(Debug)]
struct Piece {
    ids: SpanIds,
    /// Unspecified where the piece does not say.
    kind: SpanKind,
    name: String,
    /// Zero where the piece does not say.
    start_ns: u64,
    duration_ns: u64,
    /// The first and the last annotation.
    annotated: Option<(u64, u64)>,
    local: Endpoint,
    remote: Endpoint,
    tags: Vec<(String, Value<'static>)>,
}

impl Piece {
    /// Takes over what `other` says and `self` does not; answers how many tags went over the bound.
    fn merge(&mut self, other: Self) -> u64 {
        if self.ids.parent == SpanId::NONE {
            self.ids.parent = other.ids.parent;
        }
        if self.kind == SpanKind::Unspecified {
            self.kind = other.kind;
        }
        if self.name.is_empty() {
            self.name = other.name;
        }
        if self.start_ns == 0 {
            self.start_ns = other.start_ns;
        }
        self.duration_ns = self.duration_ns.max(other.duration_ns);
        self.annotated = match (self.annotated, other.annotated) {
            (Some(own), Some(other)) => Some((own.0.min(other.0), own.1.max(other.1))),
            (own, other) => own.or(other),
        };
        self.local.merge(other.local);
        self.remote.merge(other.remote);
        let known: HashSet<String> = self.tags.iter().map(|(key, _)| key.clone()).collect();
        self.tags.extend(other.tags.into_iter().filter(|(key, _)| !known.contains(key)));
        let over_limit = self.tags.len().saturating_sub(MAX_ATTRIBUTES);
        self.tags.truncate(MAX_ATTRIBUTES);
        over_limit as u64
    }

    /// Start and end; none where neither a timestamp nor an annotation tells when it was.
    fn times(&self) -> Option<(u64, u64)> {
        let (first, last) = self.annotated.unwrap_or_default();
        let start_ns = if self.start_ns > 0 { self.start_ns } else { first };
        let end_ns = if self.duration_ns > 0 { start_ns.saturating_add(self.duration_ns) } else { last.max(start_ns) };
        (start_ns > 0).then_some((start_ns, end_ns))
    }

    fn show(&self, start_ns: u64, end_ns: u64, visitor: &mut impl SpanVisitor) {
        let error = self.tags.iter().find(|(key, _)| key == "error").map(|(_, value)| value.to_text());
        let is_flag = error.as_deref().is_none_or(|error| matches!(error, "true" | "false"));
        visitor.span(&SpanView {
            trace_id: self.ids.trace,
            span_id: self.ids.span,
            parent_id: self.ids.parent,
            // In Zipkin no kind means work inside the service.
            kind: if self.kind == SpanKind::Unspecified { SpanKind::Internal } else { self.kind },
            name: Cow::Borrowed(&self.name),
            start_ns,
            end_ns,
            is_error: error.as_deref().is_some_and(|error| error != "false"),
            status_message: error.filter(|_| !is_flag).unwrap_or_default(),
            attributes: &attributes::of(self),
            links: &[],
        });
    }
}

/// One side of a call: texts are empty and the port is zero where not given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Endpoint {
    service: String,
    address: String,
    port: u16,
}

impl Endpoint {
    fn merge(&mut self, other: Self) {
        if self.service.is_empty() {
            self.service = other.service;
        }
        if self.address.is_empty() {
            (self.address, self.port) = (other.address, other.port);
        }
    }
}

/// The refusals of a file: all counted, the first few names kept.
#[derive(Debug, Default)]
struct Refused(Vec<(Refusal, u64)>);

impl Refused {
    fn push(&mut self, name: &str, reason: &impl fmt::Display) {
        self.add(ids::refusal(name, reason), 1);
    }

    fn append(&mut self, other: Self) {
        for (refusal, count) in other.0 {
            self.add(refusal, count);
        }
    }

    /// Refusals beyond the bound count for the last one that is kept.
    fn add(&mut self, refusal: Refusal, count: u64) {
        let is_full = self.0.len() == SpanBatch::MAX_REFUSALS;
        match self.0.last_mut() {
            Some(last) if is_full => last.1 += count,
            _ => self.0.push((refusal, count)),
        }
    }

    fn show(self, visitor: &mut impl SpanVisitor) {
        for (refusal, count) in self.0 {
            for _ in 0..count {
                visitor.refuse(refusal.clone());
            }
        }
    }
}

/// What is kept while a document is parsed.
struct Walk {
    pieces: Pieces,
    is_v1: bool,
}

impl Walk {
    fn span(&mut self, span: JsonSpan<'_>) {
        self.is_v1 |= span.binary_annotations.is_some() || span.annotations.is_v1;
        self.pieces.decoded.is_recognized = true;
        self.pieces.decoded.over_limit += span.tags.over_limit;
        match span.ids() {
            Ok(ids) => self.pieces.list.push(Piece {
                ids,
                kind: kind(&span.kind.0),
                name: span.name.0.into_owned(),
                start_ns: span.timestamp.ns,
                duration_ns: span.duration.ns,
                annotated: span.annotations.times,
                local: span.local_endpoint.unwrap_or_default().into(),
                remote: span.remote_endpoint.unwrap_or_default().into(),
                tags: span.tags.list,
            }),
            Err(error) => self.pieces.refused.push(&span.name.0, &error),
        }
    }
}

fn kind(name: &str) -> SpanKind {
    match name {
        "CLIENT" => SpanKind::Client,
        "SERVER" => SpanKind::Server,
        "PRODUCER" => SpanKind::Producer,
        "CONSUMER" => SpanKind::Consumer,
        _ => SpanKind::Unspecified,
    }
}

/// A span, an array of spans, or an array of arrays of spans.
struct Spans<'w>(&'w mut Walk);

impl<'de> DeserializeSeed<'de> for Spans<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Spans<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a span of Zipkin (an object with traceId and id)")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Spans(&mut *self.0))?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<(), A::Error> {
        let span = JsonSpan::deserialize(MapAccessDeserializer::new(map))?;
        self.0.span(span);
        Ok(())
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonSpan<'a> {
    #[serde(borrow)]
    trace_id: Text<'a>,
    #[serde(borrow)]
    id: Text<'a>,
    #[serde(borrow)]
    parent_id: Text<'a>,
    #[serde(borrow)]
    kind: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    timestamp: Microseconds,
    duration: Microseconds,
    #[serde(borrow)]
    local_endpoint: Option<JsonEndpoint<'a>>,
    #[serde(borrow)]
    remote_endpoint: Option<JsonEndpoint<'a>>,
    annotations: Annotations,
    tags: Tags,
    /// Only v1 has these.
    binary_annotations: Option<IgnoredAny>,
}

impl JsonSpan<'_> {
    fn ids(&self) -> Result<SpanIds, IdError> {
        let [trace_id, span_id, parent_id] = [&self.trace_id, &self.id, &self.parent_id].map(|id| RawId::Short(&id.0));
        SpanIds::check(trace_id, span_id, parent_id)
    }
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonEndpoint<'a> {
    #[serde(borrow)]
    service_name: Text<'a>,
    #[serde(borrow)]
    ipv4: Text<'a>,
    #[serde(borrow)]
    ipv6: Text<'a>,
    #[serde(borrow)]
    port: Option<&'a RawValue>,
}

impl From<JsonEndpoint<'_>> for Endpoint {
    fn from(endpoint: JsonEndpoint<'_>) -> Self {
        let address = if endpoint.ipv4.0.is_empty() { endpoint.ipv6.0 } else { endpoint.ipv4.0 };
        let port = endpoint.port.and_then(|json| value(json).to_int()).and_then(|port| u16::try_from(port).ok());
        Self {
            service: endpoint.service_name.0.into_owned(),
            address: address.into_owned(),
            port: port.unwrap_or_default(),
        }
    }
}

/// The times of the annotations.
#[derive(Default)]
struct Annotations {
    times: Option<(u64, u64)>,
    /// Whether one names its endpoint, as only those of v1 do.
    is_v1: bool,
}

#[derive(Deserialize)]
struct JsonAnnotation {
    #[serde(default)]
    timestamp: Microseconds,
    endpoint: Option<IgnoredAny>,
}

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut annotations = Self::default();
        Each::new(|annotation: JsonAnnotation| {
            let at_ns = annotation.timestamp.ns;
            let (first, last) = annotations.times.unwrap_or((at_ns, at_ns));
            annotations.times = Some((first.min(at_ns), last.max(at_ns)));
            annotations.is_v1 |= annotation.endpoint.is_some();
            Ok(())
        })
        .deserialize(deserializer)?;
        Ok(annotations)
    }
}

/// The first [`MAX_ATTRIBUTES`] tags.
#[derive(Default)]
struct Tags {
    list: Vec<(String, Value<'static>)>,
    /// Tags left out and values cut.
    over_limit: u64,
}

impl<'de> Deserialize<'de> for Tags {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TagsVisitor)
    }
}

struct TagsVisitor;

impl<'de> Visitor<'de> for TagsVisitor {
    type Value = Tags;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object of tags")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Tags, E> {
        Ok(Tags::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Tags, A::Error> {
        let mut tags = Tags::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let json: &'de RawValue = map.next_value()?;
            if tags.list.len() == MAX_ATTRIBUTES {
                tags.over_limit += 1;
                continue;
            }
            let value = match value(json) {
                Value::Text(text) => Value::Text(text.into_owned().into()),
                Value::Bool(value) => Value::Bool(value),
                Value::Int(value) => Value::Int(value),
                Value::Double(value) => Value::Double(value),
                Value::Composite(text) => Value::Composite(text),
            };
            tags.over_limit += u64::from(composite::is_cut(&value));
            tags.list.push((key.0.into_owned(), value));
        }
        Ok(tags)
    }
}

#[cfg(test)]
mod tests;
