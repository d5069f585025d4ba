//! Zipkin's v2 JSON: an array of spans, an array of traces, or one span.
//!
//! A span may come in pieces, in one document or in several of a file, so the pieces are kept until [`Pieces::show`]
//! puts together what belongs together. The two halves of a call may share one id; both are shown as they are, since
//! `spanlint_graph::Trace` knows how they relate. Annotations give times where a piece has no other, and are otherwise
//! not read. Zipkin v1 is refused.

use std::fmt;

use serde::Deserialize;
use serde::de::value::MapAccessDeserializer;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spanlint_graph::SpanVisitor;
use spanlint_graph::span::{SpanKind, Value};

pub(super) use self::attributes::attributes_of_tag;
use self::pieces::{Endpoint, Piece, Refused};
use super::ids::{IdError, RawId, SpanIds};
use super::json::{Each, Microseconds, Text, value};
use super::{DecodeError, Decoded, composite};
use crate::limits::MAX_ATTRIBUTES;

mod attributes;
mod pieces;

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
