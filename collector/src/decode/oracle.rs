//! What the public OpenTelemetry types say a request means, and random requests for both to read; for tests.

use std::fmt::Write as _;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Request;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Kind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, KeyValueList};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link as ProtoLink};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use spanlint_graph::TraceId;
use spanlint_graph::semantics::EXCEPTION_TYPE;
use spanlint_graph::span::{Link, Refusal, SpanId, SpanKind, Value};

use super::recording::{OwnedAttributes, OwnedSpan, Recording, Shown};

/// A request of one span called `GET /`, changed by `change`.
pub(crate) fn one_span(change: impl FnOnce(&mut Span)) -> Request {
    let mut span = Span { trace_id: vec![1; 16], span_id: vec![2; 8], name: "GET /".to_owned(), ..Span::default() };
    span.start_time_unix_nano = 1;
    change(&mut span);
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    Request { resource_spans: vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }] }
}

/// What a visitor should be shown of `request`; refusals without reasons.
pub(crate) fn shown(request: &Request) -> Vec<Shown> {
    let mut shown = Vec::new();
    for resource_spans in &request.resource_spans {
        let resource = resource_spans.resource.as_ref().map_or(&[][..], |resource| &resource.attributes);
        shown.push(Shown::Resource(attributes(resource)));
        shown.extend(resource_spans.scope_spans.iter().flat_map(|scope| &scope.spans).map(span));
    }
    shown
}

/// What was shown, without the reasons of refusals.
pub(crate) fn without_reasons(recording: Recording) -> Vec<Shown> {
    let without_reason = |shown| match shown {
        Shown::Refused(refusal) => Shown::Refused(Refusal { reason: String::new(), ..refusal }),
        shown => shown,
    };
    recording.0.into_iter().map(without_reason).collect()
}

fn span(span: &Span) -> Shown {
    let is_wrong = |link: &ProtoLink| !matches!(link.trace_id.len(), 0 | 16) || !matches!(link.span_id.len(), 0 | 8);
    let is_refused = span.trace_id.len() != 16
        || span.span_id.len() != 8
        || number(&span.trace_id) == 0
        || number(&span.span_id) == 0
        || !matches!(span.parent_span_id.len(), 0 | 8)
        || span.links.iter().any(is_wrong);
    if is_refused {
        return Shown::Refused(Refusal { span_name: cut_and_scrubbed(&span.name), reason: String::new() });
    }
    let link = |link: &ProtoLink| Link {
        trace_id: TraceId(number(&link.trace_id)),
        span_id: SpanId(number(&link.span_id) as u64),
    };
    Shown::Span(Box::new(OwnedSpan {
        trace_id: TraceId(number(&span.trace_id)),
        span_id: SpanId(number(&span.span_id) as u64),
        parent_id: SpanId(number(&span.parent_span_id) as u64),
        kind: SpanKind::from_otlp(span.kind.into()),
        name: span.name.clone(),
        start_ns: span.start_time_unix_nano,
        end_ns: span.end_time_unix_nano,
        is_error: span.status.as_ref().is_some_and(|status| status.code == 2),
        status_message: span.status.as_ref().map_or_else(String::new, |status| status.message.clone()),
        exception: exception(&span.events),
        attributes: attributes(&span.attributes),
        trace_state: span.trace_state.clone(),
        links: span.links.iter().map(link).filter(|link| link.trace_id.0 != 0 && link.span_id.0 != 0).collect(),
    }))
}

fn exception(events: &[Event]) -> String {
    let of_events = events.iter().flat_map(|event| attributes(&event.attributes));
    let mut texts = of_events.filter_map(|(key, value)| match value {
        Value::Text(text) if key == EXCEPTION_TYPE => Some(text.into_owned()),
        _ => None,
    });
    texts.next_back().unwrap_or_default()
}

fn cut_and_scrubbed(name: &str) -> String {
    let end = name.floor_char_boundary(crate::limits::MAX_REFUSED_NAME_BYTES);
    spanlint_graph::text::scrub(&name[..end]).into_owned()
}

fn number(id: &[u8]) -> u128 {
    id.iter().fold(0, |number, &byte| number << 8 | u128::from(byte))
}

fn attributes(attributes: &[KeyValue]) -> OwnedAttributes {
    let value = |value: Option<&AnyValue>| match value.and_then(|value| value.value.as_ref()) {
        None | Some(Kind::StringValueStrindex(_)) => Value::Text("".into()),
        Some(Kind::StringValue(text)) => Value::Text(text.clone().into()),
        Some(Kind::BoolValue(value)) => Value::Bool(*value),
        Some(Kind::IntValue(value)) => Value::Int(*value),
        Some(Kind::DoubleValue(value)) => Value::Composite(format!("{value:?}")),
        Some(_) => Value::Composite(json(value)),
    };
    attributes.iter().map(|attribute| (attribute.key.clone(), value(attribute.value.as_ref()))).collect()
}

fn json(value: Option<&AnyValue>) -> String {
    let quoted = |text: &str| serde_json::to_string(text).unwrap();
    match value.and_then(|value| value.value.as_ref()) {
        None | Some(Kind::StringValueStrindex(_)) => quoted(""),
        Some(Kind::StringValue(text)) => quoted(text),
        Some(Kind::BoolValue(value)) => value.to_string(),
        Some(Kind::IntValue(value)) => value.to_string(),
        Some(Kind::DoubleValue(value)) if value.is_finite() => format!("{value:?}"),
        Some(Kind::DoubleValue(value)) if value.is_nan() => quoted("NaN"),
        Some(Kind::DoubleValue(value)) => quoted(if *value > 0.0 { "Infinity" } else { "-Infinity" }),
        Some(Kind::BytesValue(bytes)) => {
            use base64::Engine as _;
            quoted(&base64::engine::general_purpose::STANDARD.encode(bytes))
        }
        Some(Kind::ArrayValue(array)) => {
            let elements: Vec<_> = array.values.iter().map(|value| json(Some(value))).collect();
            format!("[{}]", elements.join(","))
        }
        Some(Kind::KvlistValue(map)) => {
            let mut text = String::new();
            for entry in &map.values {
                let comma = if text.is_empty() { "" } else { "," };
                write!(text, "{comma}{}:{}", quoted(&entry.key), json(entry.value.as_ref())).unwrap();
            }
            format!("{{{text}}}")
        }
    }
}

/// Random requests: mostly right, with some wrong ids.
pub(crate) fn request() -> impl Strategy<Value = Request> {
    prop::collection::vec(resource_spans(), 0..3).prop_map(|resource_spans| Request { resource_spans })
}

fn resource_spans() -> impl Strategy<Value = ResourceSpans> {
    let resource = key_values().prop_map(|attributes| Resource { attributes, ..Resource::default() });
    let scope = (".{0,4}", key_values()).prop_map(|(name, attributes)| InstrumentationScope {
        name,
        attributes,
        ..InstrumentationScope::default()
    });
    let scope_spans = (prop::option::of(scope), prop::collection::vec(spans(), 0..4))
        .prop_map(|(scope, spans)| ScopeSpans { scope, spans, schema_url: String::new() });
    (prop::option::of(resource), prop::collection::vec(scope_spans, 0..3), ".{0,2}")
        .prop_map(|(resource, scope_spans, schema_url)| ResourceSpans { resource, scope_spans, schema_url })
}

fn spans() -> impl Strategy<Value = Span> {
    let status = (".{0,4}", 0..4i32).prop_map(|(message, code)| Status { message, code });
    let exception =
        key_value(any_value()).prop_map(|attribute| KeyValue { key: EXCEPTION_TYPE.to_owned(), ..attribute });
    let of_event = prop_oneof![key_values(), prop::collection::vec(exception, 0..3)];
    let event = (any::<u64>(), ".{0,4}", of_event).prop_map(|(time_unix_nano, name, attributes)| Event {
        time_unix_nano,
        name,
        attributes,
        dropped_attributes_count: 1,
    });
    let link = (id(16), id(8)).prop_map(|(trace_id, span_id)| ProtoLink {
        trace_id,
        span_id,
        flags: 3,
        ..ProtoLink::default()
    });
    (
        (id(16), id(8), prop_oneof![Just(Vec::new()), id(8)]),
        (".{0,8}", -1..7i32, any::<u64>(), any::<u64>()),
        (key_values(), prop::collection::vec(event, 0..2), prop::collection::vec(link, 0..2)),
        prop::option::of(status),
    )
        .prop_map(
            |((trace_id, span_id, parent_span_id), (name, kind, start, end), (attributes, events, links), status)| {
                Span {
                    trace_id,
                    span_id,
                    parent_span_id,
                    name,
                    kind,
                    start_time_unix_nano: start,
                    end_time_unix_nano: end,
                    attributes,
                    events,
                    links,
                    status,
                    trace_state: "a=b".to_owned(),
                    flags: 0x301,
                    ..Span::default()
                }
            },
        )
}

fn id(length: usize) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        20 => prop::collection::vec(any::<u8>(), length),
        1 => prop::collection::vec(any::<u8>(), 0..20),
        1 => Just(vec![0; length]),
    ]
}

fn key_values() -> impl Strategy<Value = Vec<KeyValue>> {
    prop::collection::vec(key_value(any_value()), 0..3)
}

fn key_value(value: impl Strategy<Value = AnyValue>) -> impl Strategy<Value = KeyValue> {
    (".{0,4}", prop::option::of(value)).prop_map(|(key, value)| KeyValue { key, value, key_strindex: 0 })
}

fn any_value() -> impl Strategy<Value = AnyValue> {
    let leaf = prop_oneof![
        ".{0,6}".prop_map(Kind::StringValue),
        any::<bool>().prop_map(Kind::BoolValue),
        any::<i64>().prop_map(Kind::IntValue),
        (-1e9..1e9f64).prop_map(Kind::DoubleValue),
        prop::collection::vec(any::<u8>(), 0..6).prop_map(Kind::BytesValue),
        any::<i32>().prop_map(Kind::StringValueStrindex),
    ];
    let leaf = prop::option::of(leaf).prop_map(|value| AnyValue { value });
    leaf.prop_recursive(3, 12, 3, |inner| {
        let array = prop::collection::vec(inner.clone(), 0..3)
            .prop_map(|values| AnyValue { value: Some(Kind::ArrayValue(ArrayValue { values })) });
        let map = prop::collection::vec(key_value(inner), 0..3)
            .prop_map(|values| AnyValue { value: Some(Kind::KvlistValue(KeyValueList { values })) });
        prop_oneof![array, map]
    })
}

/// A small random sequence (xorshift), so that a failing case is its seed.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.max(1);
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

/// Changes, removes, inserts or repeats a few bytes.
pub(crate) fn mutate(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let at = random.below(bytes.len());
        match random.below(5) {
            0 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            1 if !bytes.is_empty() => bytes[at] ^= 1 << random.below(8),
            2 if !bytes.is_empty() => drop(bytes.remove(at)),
            3 => bytes.insert(at, random.below(256) as u8),
            _ => {
                let piece = bytes[at..(at + random.below(20)).min(bytes.len())].to_vec();
                bytes.splice(at..at, piece);
            }
        }
    }
    bytes
}

/// A message of the schema, as far as messages nest in it.
#[derive(Clone, Copy)]
enum Schema {
    Request,
    ResourceSpans,
    Resource,
    ScopeSpans,
    Span,
    KeyValue,
    AnyValue,
    ArrayValue,
    KeyValueList,
    Leaf,
}

impl Schema {
    fn field(self, number: u64) -> Option<Self> {
        Some(match (self, number) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Resource,
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Resource | Self::KeyValueList, 1) | (Self::Span, 9) => Self::KeyValue,
            (Self::Span, 11 | 13 | 15) => Self::Leaf,
            (Self::KeyValue, 2) | (Self::ArrayValue, 1) => Self::AnyValue,
            (Self::AnyValue, 5) => Self::ArrayValue,
            (Self::AnyValue, 6) => Self::KeyValueList,
            _ => return None,
        })
    }
}

/// The same request with the fields of every message repeated, left out and in another order.
pub(crate) fn scramble(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    scramble_message(bytes, Schema::Request, random)
}

fn scramble_message(bytes: &[u8], schema: Schema, random: &mut Random) -> Vec<u8> {
    let mut fields = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let field = take_field(&mut rest, schema, random);
        for _ in 0..[0, 1, 1, 1, 1, 1, 2, 2][random.below(8)] {
            fields.insert(random.below(fields.len() + 1), field.clone());
        }
    }
    if random.below(10) == 0 {
        fields.push(vec![0xfb, 1, 0x08, 5, 0xfc, 1]);
    }
    fields.concat()
}

fn take_field(rest: &mut &[u8], schema: Schema, random: &mut Random) -> Vec<u8> {
    let whole = *rest;
    let key = super::wire::varint(rest).unwrap();
    let length = match key & 7 {
        0 => {
            super::wire::varint(rest).unwrap();
            0
        }
        1 => 8,
        2 => super::wire::varint(rest).unwrap() as usize,
        _ => 4,
    };
    let (content, after) = rest.split_at(length);
    *rest = after;
    let Some(inner) = schema.field(key >> 3).filter(|_| key & 7 == 2) else {
        return whole[..whole.len() - after.len()].to_vec();
    };
    let content = scramble_message(content, inner, random);
    let mut field = vec![key as u8];
    prost::encode_length_delimiter(content.len(), &mut field).unwrap();
    field.extend(content);
    field
}
