//! OTLP in JSON: protobuf's JSON mapping with ids in hexadecimal digits, as the OTLP specification wants it.
//!
//! Lenient where senders differ: camel and snake case, 64-bit numbers as text or number, enumerations by number or name,
//! null for absent, fields that are not known. Spans are shown as they are parsed, so a request of many tiny spans
//! takes no more memory than its bytes. It does not read other projects' JSON, which has files of its own.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spanlint_graph::SpanVisitor;
use spanlint_graph::span::{Attribute, Link, SpanKind, SpanView, Value};

use super::composite::{self, CompositeText};
use super::ids::{self, IdError, RawId, SpanIds};
use super::otlp_protobuf::STATUS_CODE_ERROR;
use super::{DecodeError, Decoded};
use crate::limits::{MAX_ATTRIBUTES, MAX_LINKS};

/// Shows the spans of a request, or of an array of requests, to `visitor`; log records and metrics are counted.
pub fn decode(bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    let mut walk = Walk { visitor, decoded: Decoded::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Requests { walk: &mut walk, is_array_allowed: true }
        .deserialize(&mut deserializer)
        .and_then(|()| deserializer.end())?;
    Ok(walk.decoded)
}

/// What is shown and counted while the request is parsed.
struct Walk<'v, V> {
    visitor: &'v mut V,
    decoded: Decoded,
}

impl<V: SpanVisitor> Walk<'_, V> {
    /// The resource may stand after its spans, but is shown first: hence the spans are parsed from their raw text.
    fn resource_spans(&mut self, resource_spans: &ResourceSpans<'_>) -> Result<(), serde_json::Error> {
        let attributes = resource_spans.resource.as_ref().map(|resource| &resource.attributes);
        self.decoded.over_limit += attributes.map_or(0, |attributes| attributes.over_limit);
        self.visitor.resource(attributes.map_or(&[], |attributes| &attributes.list));
        each(resource_spans.scope_spans, |scope: ScopeSpans<'_>| {
            each(scope.spans, |span: JsonSpan<'_>| {
                self.span(&span);
                Ok(())
            })
        })
    }

    fn span(&mut self, span: &JsonSpan<'_>) {
        self.decoded.over_limit += span.attributes.over_limit + span.links.over_limit;
        let ids = SpanIds::check(
            RawId::Hex(&span.trace_id.0),
            RawId::Hex(&span.span_id.0),
            RawId::Hex(&span.parent_span_id.0),
        );
        match (ids, &span.links.wrong) {
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
                attributes: &span.attributes.list,
                links: &span.links.list,
            }),
            (Err(error), _) => self.visitor.refuse(ids::refusal(&span.name.0, &error)),
            (Ok(_), Some(error)) => self.visitor.refuse(ids::refusal(&span.name.0, error)),
        }
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
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "resourceSpans" | "resource_spans" => {
                    walk.decoded.is_otlp = true;
                    map.next_value_seed(Each::new(|resource| walk.resource_spans(&resource)))?;
                }
                "resourceLogs" | "resource_logs" => {
                    walk.decoded.is_otlp = true;
                    walk.decoded.log_records += map.next_value::<Total<ResourceRecords>>()?.count;
                }
                "resourceMetrics" | "resource_metrics" => {
                    walk.decoded.is_otlp = true;
                    walk.decoded.metrics += map.next_value::<Total<ResourceRecords>>()?.count;
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
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

/// Calls a function with each element of an array as it is parsed; null is an empty array.
struct Each<T, F> {
    visit: F,
    element: PhantomData<T>,
}

impl<T, F> Each<T, F> {
    fn new(visit: F) -> Self {
        Self { visit, element: PhantomData }
    }
}

impl<'de, T, F> DeserializeSeed<'de> for Each<T, F>
where
    T: Deserialize<'de>,
    F: FnMut(T) -> Result<(), serde_json::Error>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T, F> Visitor<'de> for Each<T, F>
where
    T: Deserialize<'de>,
    F: FnMut(T) -> Result<(), serde_json::Error>,
{
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(element) = sequence.next_element()? {
            (self.visit)(element).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

/// Calls `visit` with each element of an array that is still text.
fn each<'a, T: Deserialize<'a>>(
    array: Option<&'a RawValue>,
    visit: impl FnMut(T) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    let Some(array) = array else { return Ok(()) };
    Each::new(visit).deserialize(&mut serde_json::Deserializer::from_str(array.get())).map_err(without_place)
}

/// The place in a part of the request would mislead, so it is left out.
fn without_place(error: serde_json::Error) -> serde_json::Error {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => de::Error::custom(&message[..end]),
        None => error,
    }
}

#[derive(Deserialize)]
struct ResourceSpans<'a> {
    #[serde(borrow)]
    resource: Option<JsonResource<'a>>,
    #[serde(borrow, rename = "scopeSpans", alias = "scope_spans")]
    scope_spans: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct JsonResource<'a> {
    #[serde(borrow, default)]
    attributes: Attributes<'a>,
}

#[derive(Deserialize)]
struct ScopeSpans<'a> {
    #[serde(borrow)]
    spans: Option<&'a RawValue>,
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
    #[serde(borrow)]
    name: Text<'a>,
    kind: EnumNumber,
    #[serde(alias = "start_time_unix_nano")]
    start_time_unix_nano: Unsigned,
    #[serde(alias = "end_time_unix_nano")]
    end_time_unix_nano: Unsigned,
    #[serde(borrow)]
    attributes: Attributes<'a>,
    links: Links,
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

/// Log records or metrics of one resource, counted.
#[derive(Deserialize)]
struct ResourceRecords {
    #[serde(default, rename = "scopeLogs", alias = "scope_logs", alias = "scopeMetrics", alias = "scope_metrics")]
    scopes: Total<ScopeRecords>,
}

/// Log records or metrics of one scope, counted.
#[derive(Deserialize)]
struct ScopeRecords {
    #[serde(default, rename = "logRecords", alias = "log_records", alias = "metrics")]
    records: Total<IgnoredAny>,
}

trait CountRecords {
    fn count(&self) -> u64;
}

impl CountRecords for IgnoredAny {
    fn count(&self) -> u64 {
        1
    }
}

impl CountRecords for ScopeRecords {
    fn count(&self) -> u64 {
        self.records.count
    }
}

impl CountRecords for ResourceRecords {
    fn count(&self) -> u64 {
        self.scopes.count
    }
}

mod values;
use values::{AnyValue, Attributes, Elements, Entries, EnumNumber, Links, Text, Total, Unsigned};

#[cfg(test)]
mod tests;
