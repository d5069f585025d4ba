//! OTLP in JSON: protobuf's JSON mapping with ids in hexadecimal digits, as the OTLP specification wants it, and the
//! answers of Tempo's API, which are the same with another envelope and ids in base64.
//!
//! Lenient where senders differ: camel and snake case, 64-bit numbers as text or number, enumerations by number or name,
//! null for absent, fields that are not known. Spans are shown as they are parsed, so a request of many tiny spans
//! takes no more memory than its bytes. It does not read other projects' JSON, which has files of its own.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::de::Read;
use serde_json::value::RawValue;
use spanlint_graph::SpanVisitor;
use spanlint_graph::span::{Attribute, Link, SpanKind, SpanView, Value};

use super::composite::{self, CompositeText};
use super::ids::{self, IdError, RawId, SpanIds};
use super::json::{Each, Text, each};
use super::otlp_protobuf::STATUS_CODE_ERROR;
use super::{DecodeError, Decoded, Signal};
use crate::limits::{MAX_ATTRIBUTES, MAX_LINKS};

/// Shows the records of a request, or of an array of requests, to `visitor`, whatever their signal.
pub fn decode(bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    decode_envelope(bytes, Envelope::Request, visitor)
}

/// Shows the spans of an answer of Tempo's API to `visitor`: `batches`, or a `trace` (Jaeger's API says `result`) with
/// `resourceSpans`.
pub fn decode_tempo(bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    decode_envelope(bytes, Envelope::Answer, visitor)
}

fn decode_envelope(bytes: &[u8], envelope: Envelope, visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    // Validated as a whole, no text in it is validated again. What is not UTF-8 is refused where it matters.
    match simdutf8::basic::from_utf8(bytes) {
        Ok(text) => decode_document(serde_json::Deserializer::from_str(text), envelope, visitor),
        Err(_) => decode_document(serde_json::Deserializer::from_slice(bytes), envelope, visitor),
    }
}

fn decode_document<'de>(
    mut deserializer: serde_json::Deserializer<impl Read<'de>>,
    envelope: Envelope,
    visitor: &mut impl SpanVisitor,
) -> Result<Decoded, DecodeError> {
    let mut walk = Walk { visitor, envelope, decoded: Decoded::default() };
    Requests { walk: &mut walk, is_array_allowed: true }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())?;
    Ok(walk.decoded)
}

/// What stands around the spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Envelope {
    /// An export request of OTLP.
    Request,
    /// An answer of Tempo's API.
    Answer,
}

impl Envelope {
    fn id(self, text: &str) -> RawId<'_> {
        match self {
            Self::Request => RawId::Hex(text),
            Self::Answer => RawId::Base64OrHex(text),
        }
    }
}

/// What is shown and counted while the request is parsed.
struct Walk<'v, V> {
    visitor: &'v mut V,
    envelope: Envelope,
    decoded: Decoded,
}

impl<V: SpanVisitor> Walk<'_, V> {
    /// Shows the resource whose records follow.
    fn resource(&mut self, resource: Option<&JsonResource<'_>>) {
        let attributes = resource.map(|resource| &resource.attributes);
        self.decoded.over_limit += attributes.map_or(0, |attributes| attributes.over_limit);
        self.visitor.resource(attributes.map_or(&[], |attributes| &attributes.list));
    }

    fn span(&mut self, span: &JsonSpan<'_>) -> Result<(), serde_json::Error> {
        let links = Links::read(span.links, self.envelope)?;
        self.decoded.over_limit += span.attributes.over_limit + links.over_limit;
        let [trace_id, span_id, parent_id] =
            [&span.trace_id, &span.span_id, &span.parent_span_id].map(|id| self.envelope.id(&id.0));
        match (SpanIds::check(trace_id, span_id, parent_id), &links.wrong) {
            (Ok(ids), None) => self.visitor.span(&SpanView {
                trace_id: ids.trace,
                span_id: ids.span,
                parent_id: ids.parent,
                kind: SpanKind::from_otlp(span.kind.0),
                name: Cow::Borrowed(&span.name.0),
                start_ns: span.start_time_unix_nano.0,
                end_ns: span.end_time_unix_nano.0,
                is_error: span.status.as_ref().is_some_and(|status| status.code.0 == STATUS_CODE_ERROR),
                status_message: Cow::Borrowed(span.status.as_ref().map_or("", |status| &status.message.0)),
                trace_state: Cow::Borrowed(&span.trace_state.0),
                attributes: &span.attributes.list,
                links: &links.list,
            }),
            (Err(error), _) => self.visitor.refuse(ids::refusal(&span.name.0, &error)),
            (Ok(_), Some(error)) => self.visitor.refuse(ids::refusal(&span.name.0, error)),
        }
        Ok(())
    }
}

/// A request, or (outermost only) an array of requests.
struct Requests<'w, 'v, V> {
    walk: &'w mut Walk<'v, V>,
    is_array_allowed: bool,
}

impl<'de, V: SpanVisitor> DeserializeSeed<'de> for Requests<'_, '_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: SpanVisitor> Visitor<'de> for Requests<'_, '_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an OTLP request (an object with resourceSpans)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let walk = self.walk;
        let is_answer = walk.envelope == Envelope::Answer;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let signal = match &*key.0 {
                "trace" | "result" if is_answer => {
                    map.next_value_seed(Requests { walk: &mut *walk, is_array_allowed: false })?;
                    continue;
                }
                "resourceSpans" | "resource_spans" => Signal::Traces,
                "batches" if is_answer => Signal::Traces,
                "resourceLogs" | "resource_logs" => Signal::Logs,
                "resourceMetrics" | "resource_metrics" => Signal::Metrics,
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            walk.decoded.is_recognized = true;
            map.next_value_seed(Resources { walk: &mut *walk, signal })?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        if !self.is_array_allowed {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self));
        }
        while sequence.next_element_seed(Requests { walk: self.walk, is_array_allowed: false })?.is_some() {}
        Ok(())
    }
}

#[derive(Deserialize)]
struct JsonResource<'a> {
    #[serde(borrow, default)]
    attributes: Attributes<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[derive(Default)]
struct JsonSpan<'a> {
    #[serde(borrow, alias = "trace_id")]
    trace_id: Text<'a>,
    #[serde(borrow, alias = "span_id")]
    span_id: Text<'a>,
    #[serde(borrow, alias = "parent_span_id")]
    parent_span_id: Text<'a>,
    #[serde(borrow, alias = "trace_state")]
    trace_state: Text<'a>,
    #[serde(borrow)]
    name: Text<'a>,
    kind: EnumNumber,
    #[serde(alias = "start_time_unix_nano")]
    start_time_unix_nano: Unsigned,
    #[serde(alias = "end_time_unix_nano")]
    end_time_unix_nano: Unsigned,
    #[serde(borrow)]
    attributes: Attributes<'a>,
    #[serde(borrow)]
    links: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<JsonStatus<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonStatus<'a> {
    #[serde(borrow)]
    message: Text<'a>,
    code: EnumNumber,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase", default)]
struct JsonLink<'a> {
    #[serde(borrow, alias = "trace_id")]
    trace_id: Text<'a>,
    #[serde(borrow, alias = "span_id")]
    span_id: Text<'a>,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow, default)]
    key: Text<'a>,
    #[serde(borrow)]
    value: Option<AnyValue<'a>>,
}

impl<'a> KeyValue<'a> {
    fn value(self) -> Value<'a> {
        self.value.map_or(composite::EMPTY, |value| value.0)
    }
}

#[derive(Deserialize)]
struct ArrayFields {
    #[serde(default)]
    values: Elements,
}

#[derive(Deserialize)]
struct MapFields {
    #[serde(default)]
    values: Entries,
}

mod logs;
mod metrics;
mod records;
mod values;
use logs::JsonLogRecord;
use metrics::JsonMetric;
use records::Resources;
use values::{AnyValue, Attributes, Elements, Entries, EnumNumber, Links, Unsigned};

#[cfg(test)]
mod tests;
