//! Jaeger's JSON, as its API answers and its user interface exports it: traces, each with spans and the processes that
//! sent them.
//!
//! Takes `{"data": [trace, ...]}`, one trace, an array of traces, traces as the user interface holds them, where a span
//! carries its process and a reference its whole span, and such spans alone, as Jaeger stores them. Tags keep their names: those of `OpenTracing` are known to
//! `spanlint_graph::semantics`. Of logs only the type of an exception is read, flags and warnings are not.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spanlint_graph::SpanVisitor;
use spanlint_graph::semantics::EXCEPTION_TYPE;
use spanlint_graph::span::{Attribute, Link, SpanKind, SpanView, Value};

use super::ids::{self, IdError, RawId, SpanIds};
use super::json::{Each, Microseconds, Text, each, value};
use super::{DecodeError, Decoded, composite};
use crate::limits::{MAX_ATTRIBUTES, MAX_LINKS, MAX_PROCESSES};

/// Where a log tells of an exception: OpenTelemetry's name, then those of `OpenTracing`, of which the kind may be any word.
const EXCEPTION_FIELDS: [&str; 3] = [EXCEPTION_TYPE, "error.object", "error.kind"];

/// Shows the spans of all traces to `visitor`.
pub fn decode(bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    let mut walk = Walk { visitor, decoded: Decoded::default() };
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    Traces(&mut walk).deserialize(&mut deserializer).and_then(|()| deserializer.end())?;
    Ok(walk.decoded)
}

/// What is shown and counted while the traces are parsed.
struct Walk<'v, V> {
    visitor: &'v mut V,
    decoded: Decoded,
}

impl<V: SpanVisitor> Walk<'_, V> {
    fn trace(&mut self, trace: &JsonTrace<'_>) -> Result<(), serde_json::Error> {
        let processes = trace.processes.map(|json| serde_json::from_str(json.get())).transpose()?;
        let processes: Processes<'_> = processes.unwrap_or_default();
        self.decoded.over_limit += processes.over_limit;
        let mut shown: Option<String> = None;
        each(trace.spans, |span: JsonSpan<'_>| {
            let id = &*span.process_id.0;
            if shown.as_deref() != Some(id) {
                let listed = processes.list.get(id);
                self.process(listed.or(span.process.as_ref()));
                shown = listed.map(|_| id.to_owned());
            }
            self.span(&trace.id.0, &span);
            Ok(())
        })
    }

    fn process(&mut self, process: Option<&Process<'_>>) {
        self.visitor.resource(process.map_or(&[], |process| &process.attributes));
    }

    fn span(&mut self, trace_id: &str, span: &JsonSpan<'_>) {
        let trace_id = if span.trace_id.0.is_empty() { trace_id } else { &span.trace_id.0 };
        let checked = References::read(trace_id, span).and_then(|references| {
            let parent_id = RawId::Label(references.parent);
            Ok((SpanIds::check(RawId::Label(trace_id), RawId::Label(&span.span_id.0), parent_id)?, references))
        });
        let (ids, references) = match checked {
            Ok(checked) => checked,
            Err(error) => return self.visitor.refuse(ids::refusal(&span.name.0, &error)),
        };
        self.decoded.over_limit += span.tags.over_limit + span.references.over_limit;
        let status = Status::of(&span.tags.list);
        self.visitor.span(&SpanView {
            trace_id: ids.trace,
            span_id: ids.span,
            parent_id: ids.parent,
            kind: span.tags.kind(),
            name: Cow::Borrowed(&span.name.0),
            start_ns: span.start_time.ns,
            end_ns: span.start_time.ns.saturating_add(span.duration.ns),
            is_error: status.is_error,
            status_message: status.message,
            exception: Cow::Borrowed(&span.logs.exception),
            trace_state: trace_state(&span.tags.list),
            attributes: &span.tags.list,
            links: &references.links,
        });
    }
}

/// Jaeger keeps the W3C `tracestate` as a tag.
fn trace_state<'a>(tags: &'a [Attribute<'_>]) -> Cow<'a, str> {
    let tag = tags.iter().find(|(key, _)| key == "w3c.tracestate");
    tag.map_or(Cow::Borrowed(""), |(_, value)| value.to_text())
}

/// A trace, an array of traces, or an object that holds them as its `data`; or a span that carries its process.
struct Traces<'w, 'v, V>(&'w mut Walk<'v, V>);

impl<'de, V: SpanVisitor> DeserializeSeed<'de> for Traces<'_, '_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: SpanVisitor> Visitor<'de> for Traces<'_, '_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a trace of Jaeger (an object with spans and processes)")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Traces(&mut *self.0))?.is_some() {}
        Ok(())
    }

    /// The processes may stand after the spans, but are shown first: hence both are parsed from their raw text.
    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let (mut trace, mut span) = (JsonTrace::default(), JsonSpan::default());
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "data" => map.next_value_seed(Traces(&mut *self.0))?,
                "traceID" => trace.id = map.next_value()?,
                "spans" => trace.spans = map.next_value()?,
                "processes" => trace.processes = map.next_value()?,
                key => span.member(key, &mut map)?,
            }
        }
        let is_span = trace.spans.is_none() && !span.span_id.0.is_empty();
        self.0.decoded.is_recognized |= trace.spans.is_some() || is_span;
        if is_span {
            self.0.process(span.process.as_ref());
            self.0.span(&trace.id.0, &span);
        }
        self.0.trace(&trace).map_err(de::Error::custom)
    }
}

#[derive(Default)]
struct JsonTrace<'a> {
    id: Text<'a>,
    spans: Option<&'a RawValue>,
    processes: Option<&'a RawValue>,
}

#[derive(Default)]
struct JsonSpan<'a> {
    trace_id: Text<'a>,
    span_id: Text<'a>,
    /// How the parent was told before there were references.
    parent_span_id: Text<'a>,
    name: Text<'a>,
    references: JsonReferences<'a>,
    start_time: Microseconds,
    duration: Microseconds,
    tags: Tags<'a>,
    logs: Logs<'a>,
    process_id: Text<'a>,
    process: Option<Process<'a>>,
}

impl<'a> JsonSpan<'a> {
    fn member<'de: 'a, A: MapAccess<'de>>(&mut self, key: &str, map: &mut A) -> Result<(), A::Error> {
        match key {
            "traceID" => self.trace_id = map.next_value()?,
            "spanID" => self.span_id = map.next_value()?,
            "parentSpanID" => self.parent_span_id = map.next_value()?,
            "operationName" => self.name = map.next_value()?,
            "references" => self.references = map.next_value()?,
            "startTime" => self.start_time = map.next_value()?,
            "duration" => self.duration = map.next_value()?,
            "tags" => self.tags = map.next_value()?,
            "logs" => self.logs = map.next_value()?,
            "processID" => self.process_id = map.next_value()?,
            "process" => self.process = map.next_value()?,
            _ => drop(map.next_value::<IgnoredAny>()?),
        }
        Ok(())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonSpan<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(JsonSpanVisitor(PhantomData))
    }
}

struct JsonSpanVisitor<'a>(PhantomData<&'a str>);

impl<'de: 'a, 'a> Visitor<'de> for JsonSpanVisitor<'a> {
    type Value = JsonSpan<'a>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a span of Jaeger (an object with spanID)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut span = JsonSpan::default();
        while let Some(key) = map.next_key::<Text<'de>>()? {
            span.member(&key.0, &mut map)?;
        }
        Ok(span)
    }
}

/// The first references: one for the parent and [`MAX_LINKS`] more.
#[derive(Default)]
struct JsonReferences<'a> {
    list: Vec<JsonReference<'a>>,
    over_limit: u64,
}

impl<'de: 'a, 'a> Deserialize<'de> for JsonReferences<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut references = Self::default();
        Each::new(|reference: JsonReference<'a>| {
            if references.list.len() > MAX_LINKS {
                references.over_limit += 1;
            } else {
                references.list.push(reference);
            }
            Ok(())
        })
        .deserialize(deserializer)?;
        Ok(references)
    }
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonReference<'a> {
    #[serde(borrow, rename = "refType")]
    kind: Text<'a>,
    #[serde(borrow, rename = "traceID")]
    trace_id: Text<'a>,
    #[serde(borrow, rename = "spanID")]
    span_id: Text<'a>,
}

/// What a span refers to: its parent and, as links, everything else.
struct References<'a> {
    parent: &'a str,
    links: Vec<Link>,
}

impl<'a> References<'a> {
    /// The parent is the first `CHILD_OF` of the same trace, else the first `FOLLOWS_FROM` of the same trace.
    fn read(trace_id: &'a str, span: &'a JsonSpan<'_>) -> Result<Self, IdError> {
        let references = &span.references.list;
        let trace_of = |reference: &'a JsonReference<'_>| match &*reference.trace_id.0 {
            "" => trace_id,
            other => other,
        };
        let is_parent = |reference: &'a JsonReference<'_>| {
            !reference.span_id.0.is_empty() && is_same_id(trace_of(reference), trace_id)
        };
        let child_of = references.iter().position(|it| it.kind.0 != "FOLLOWS_FROM" && is_parent(it));
        let parent = child_of.or_else(|| references.iter().position(is_parent));
        let mut links = Vec::new();
        for (_, reference) in references.iter().enumerate().filter(|(place, _)| Some(*place) != parent) {
            links.extend(ids::check_link(RawId::Label(trace_of(reference)), RawId::Label(&reference.span_id.0))?);
        }
        let parent = parent.map_or(&span.parent_span_id.0, |place| &references[place].span_id.0);
        Ok(Self { parent, links })
    }
}

/// Whether two ids are the same but for leading zeros.
fn is_same_id(left: &str, right: &str) -> bool {
    left.trim_start_matches('0').eq_ignore_ascii_case(right.trim_start_matches('0'))
}

/// How a span ended: OpenTelemetry's exporter says it in `otel.*` tags, others set `error`, to true or to what happened.
struct Status<'a> {
    is_error: bool,
    message: Cow<'a, str>,
}

impl<'a> Status<'a> {
    fn of(tags: &'a [Attribute<'_>]) -> Self {
        let text = |key: &str| tags.iter().find(|(name, _)| name == key).map(|(_, value)| value.to_text());
        let error = text("error").unwrap_or_default();
        let is_flag = matches!(&*error, "" | "true" | "false" | "0" | "1");
        let is_error = match text("otel.status_code").as_deref() {
            Some("ERROR") => true,
            Some("OK") => false,
            _ => !matches!(&*error, "" | "false" | "0"),
        };
        let description = text("otel.status_description").or_else(|| (!is_flag).then_some(error));
        Self { is_error, message: description.unwrap_or_default() }
    }
}

/// A process: its service and its tags, as the attributes of a resource.
struct Process<'a> {
    attributes: Vec<Attribute<'a>>,
    over_limit: u64,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonProcess<'a> {
    #[serde(borrow, rename = "serviceName")]
    service_name: Text<'a>,
    #[serde(borrow)]
    tags: Tags<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Process<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let process = JsonProcess::deserialize(deserializer)?;
        let mut attributes = vec![("service.name".into(), Value::Text(process.service_name.0))];
        attributes.extend(process.tags.list);
        Ok(Self { attributes, over_limit: process.tags.over_limit })
    }
}

/// The first [`MAX_PROCESSES`] processes of a trace.
#[derive(Default)]
struct Processes<'a> {
    list: HashMap<Cow<'a, str>, Process<'a>>,
    /// Processes and tags left out, and values cut.
    over_limit: u64,
}

impl<'de: 'a, 'a> Deserialize<'de> for Processes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProcessesVisitor)
    }
}

struct ProcessesVisitor;

impl<'de> Visitor<'de> for ProcessesVisitor {
    type Value = Processes<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("processes by their ids")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Processes::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut processes = Processes::default();
        while let Some(id) = map.next_key::<Text<'de>>()? {
            if processes.list.len() == MAX_PROCESSES {
                processes.over_limit += 1;
                map.next_value::<IgnoredAny>()?;
            } else {
                let process: Process<'de> = map.next_value()?;
                processes.over_limit += process.over_limit;
                processes.list.insert(id.0, process);
            }
        }
        Ok(processes)
    }
}

/// The first [`MAX_ATTRIBUTES`] tags.
#[derive(Default)]
struct Tags<'a> {
    list: Vec<Attribute<'a>>,
    /// Tags left out and values cut.
    over_limit: u64,
}

impl Tags<'_> {
    /// The kind, which is a tag here.
    fn kind(&self) -> SpanKind {
        let kind = self.list.iter().find(|(key, _)| key == "span.kind").map(|(_, value)| value.to_text());
        match kind.as_deref() {
            Some("internal") => SpanKind::Internal,
            Some("server") => SpanKind::Server,
            Some("client") => SpanKind::Client,
            Some("producer") => SpanKind::Producer,
            Some("consumer") => SpanKind::Consumer,
            _ => SpanKind::Unspecified,
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Tags<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut tags = Self::default();
        Each::new(|tag: JsonTag<'a>| {
            if tags.list.len() == MAX_ATTRIBUTES {
                tags.over_limit += 1;
                return Ok(());
            }
            let value = tag.value.map_or(composite::EMPTY, |json| typed(&tag.kind.0, value(json)));
            tags.over_limit += u64::from(composite::is_cut(&value));
            tags.list.push((tag.key.0, value));
            Ok(())
        })
        .deserialize(deserializer)?;
        Ok(tags)
    }
}

/// What happened during a span, of which only the type of an exception is kept.
#[derive(Default)]
struct Logs<'a> {
    exception: Cow<'a, str>,
}

#[derive(Deserialize, Default)]
#[serde(default)]
struct JsonLog<'a> {
    #[serde(borrow)]
    fields: Tags<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Logs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut logs = Self::default();
        Each::new(|log: JsonLog<'a>| {
            let field = |name: &str| {
                let (_, value) = log.fields.list.iter().find(|(key, _)| key == name)?;
                Some(value.to_text().into_owned()).filter(|text| !text.is_empty())
            };
            if let Some(exception) = EXCEPTION_FIELDS.into_iter().find_map(field) {
                logs.exception = exception.into();
            }
            Ok(())
        })
        .deserialize(deserializer)?;
        Ok(logs)
    }
}

#[derive(Deserialize)]
struct JsonTag<'a> {
    #[serde(borrow, default)]
    key: Text<'a>,
    #[serde(borrow, default, rename = "type")]
    kind: Text<'a>,
    #[serde(borrow)]
    value: Option<&'a RawValue>,
}

/// A value that was sent as text although its tag has another type, as large integers are for JavaScript's sake.
fn typed<'a>(kind: &str, value: Value<'a>) -> Value<'a> {
    let Value::Text(text) = &value else { return value };
    let typed = match kind {
        "bool" => text.parse().ok().map(Value::Bool),
        "int64" => text.parse().ok().map(Value::Int),
        "float64" => text.parse().ok().map(Value::Double),
        "binary" => Some(composite::base64_text(text)),
        _ => None,
    };
    typed.unwrap_or(value)
}

#[cfg(test)]
mod tests;
