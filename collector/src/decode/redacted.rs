//! Requests without the attributes that their owner wants dropped, otherwise as they came: what is kept on disk where
//! attributes are dropped.
//!
//! It goes by the places of attributes in a format, not by what is read of them, so that nothing that nobody reads yet
//! slips through. A request that cannot be decoded is no input: it was refused before.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spanlint_graph::Redaction;

use super::wire::{Field, Fields};
use super::zipkin_json::attributes_of_tag;
use super::{DecodeError, Signal};

/// Where a protobuf message has attributes, and where messages that have some.
struct Layout {
    attributes: &'static [u32],
    within: &'static [(u32, &'static Layout)],
}

const fn attributes(fields: &'static [u32]) -> Layout {
    Layout { attributes: fields, within: &[] }
}

const fn within(fields: &'static [(u32, &'static Layout)]) -> Layout {
    Layout { attributes: &[], within: fields }
}

static RESOURCE: Layout = attributes(&[1]);
static SCOPE: Layout = attributes(&[3]);

/// Spans with their events and links.
static TRACES: Layout = within(&[(1, &within(&[(1, &RESOURCE), (2, &within(&[(1, &SCOPE), (2, &SPAN)]))]))]);
static SPAN: Layout = Layout { attributes: &[9], within: &[(11, &attributes(&[3])), (13, &attributes(&[4]))] };

static LOGS: Layout = within(&[(1, &within(&[(1, &RESOURCE), (2, &within(&[(1, &SCOPE), (2, &attributes(&[6]))]))]))]);

/// Points of gauges, sums, histograms, exponential histograms and summaries, with their exemplars.
static METRICS: Layout = within(&[(1, &within(&[(1, &RESOURCE), (2, &within(&[(1, &SCOPE), (2, &METRIC)]))]))]);
static METRIC: Layout = Layout {
    attributes: &[12],
    within: &[
        (5, &within(&[(1, &NUMBER)])),
        (7, &within(&[(1, &NUMBER)])),
        (9, &within(&[(1, &Layout { attributes: &[9], within: &[(8, &EXEMPLAR)] })])),
        (10, &within(&[(1, &Layout { attributes: &[1], within: &[(11, &EXEMPLAR)] })])),
        (11, &within(&[(1, &attributes(&[7]))])),
    ],
};
static NUMBER: Layout = Layout { attributes: &[7], within: &[(5, &EXEMPLAR)] };
static EXEMPLAR: Layout = attributes(&[7]);

/// OTLP as protobuf.
pub(crate) fn protobuf(signal: Signal, request: &[u8], redaction: &Redaction) -> Result<Vec<u8>, DecodeError> {
    let layout = match signal {
        Signal::Traces => &TRACES,
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
    };
    message(Fields::of(request), layout, redaction)
}

fn message(mut fields: Fields<'_>, layout: &Layout, redaction: &Redaction) -> Result<Vec<u8>, DecodeError> {
    let mut kept = Vec::with_capacity(fields.rest().len());
    loop {
        let before = fields.rest();
        let Some(field) = fields.next()? else { return Ok(kept) };
        let inner = layout.within.iter().find(|(number, _)| *number == field.number);
        if let Some((number, layout)) = inner {
            let inner = message(fields.enter(field)?, layout, redaction)?;
            write_varint(&mut kept, u64::from(*number) << 3 | 2);
            write_varint(&mut kept, inner.len() as u64);
            kept.extend(inner);
        } else if layout.attributes.contains(&field.number) && redaction.covers(key(&fields, field)?) {
            // Dropped.
        } else {
            fields.skip(field)?;
            kept.extend_from_slice(&before[..before.len() - fields.rest().len()]);
        }
    }
}

/// The key of an attribute. Of several the last counts, as everywhere in protobuf.
fn key<'a>(outer: &Fields<'a>, attribute: Field<'a>) -> Result<&'a str, DecodeError> {
    let mut fields = outer.enter(attribute)?;
    let mut key = "";
    while let Some(field) = fields.next()? {
        match field.number {
            1 => key = field.text()?,
            _ => fields.skip(field)?,
        }
    }
    Ok(key)
}

fn write_varint(bytes: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        bytes.push(value as u8 | 0x80);
        value >>= 7;
    }
    bytes.push(value as u8);
}

/// Where OTLP as JSON has objects inside of each other that have attributes.
const CONTAINERS: [&str; 32] = [
    "resourceSpans",
    "resource_spans",
    "resourceLogs",
    "resource_logs",
    "resourceMetrics",
    "resource_metrics",
    "resource",
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
    "scopeLogs",
    "scope_logs",
    "instrumentationLibraryLogs",
    "instrumentation_library_logs",
    "scopeMetrics",
    "scope_metrics",
    "instrumentationLibraryMetrics",
    "instrumentation_library_metrics",
    "scope",
    "spans",
    "events",
    "links",
    "logRecords",
    "log_records",
    "metrics",
    "gauge",
    "sum",
    "histogram",
    "exponentialHistogram",
    "exponential_histogram",
    "summary",
];

/// Where points of metrics are.
const POINTS: [&str; 3] = ["dataPoints", "data_points", "exemplars"];

/// Lists of attributes.
const LISTS: [&str; 4] = ["attributes", "filteredAttributes", "filtered_attributes", "metadata"];

/// The most levels that are looked into; a point's exemplar is on the fourteenth.
const MAX_LEVELS: usize = 16;

/// OTLP as JSON.
pub(crate) fn json(request: &[u8], redaction: &Redaction) -> Result<Vec<u8>, DecodeError> {
    let mut kept = Vec::with_capacity(request.len());
    let part = container(serde_json::from_slice(request)?, &mut kept, redaction, MAX_LEVELS)?;
    Ok(if part == Part::Rewritten { kept } else { request.to_vec() })
}

/// Writes an object, or an array of them, that has attributes or holds others that do.
fn container(value: &RawValue, kept: &mut Vec<u8>, redaction: &Redaction, levels: usize) -> serde_json::Result<Part> {
    let Some(levels) = levels.checked_sub(1) else { return Ok(Part::Kept) };
    match value.get().as_bytes()[0] {
        b'{' => object(value, kept, |name, value, kept| {
            if LISTS.contains(&name) && value.get().starts_with('[') {
                array(value, kept, |attribute, _| {
                    let is_dropped = key_of(attribute)?.is_some_and(|key| redaction.covers(&key));
                    Ok(Part::dropped_if(is_dropped))
                })
            } else if CONTAINERS.contains(&name) || POINTS.contains(&name) {
                container(value, kept, redaction, levels)
            } else {
                Ok(Part::Kept)
            }
        }),
        b'[' => array(value, kept, |item, kept| container(item, kept, redaction, levels)),
        _ => Ok(Part::Kept),
    }
}

/// The key of an attribute, if it is one.
fn key_of(attribute: &RawValue) -> serde_json::Result<Option<String>> {
    #[derive(Deserialize)]
    struct Attribute {
        key: Option<String>,
    }
    let attribute: Option<Attribute> = serde_json::from_str(attribute.get())?;
    Ok(attribute.and_then(|attribute| attribute.key))
}

/// Zipkin v2.
pub(crate) fn zipkin(request: &[u8], redaction: &Redaction) -> Result<Vec<u8>, DecodeError> {
    let mut kept = Vec::with_capacity(request.len());
    let part = zipkin_spans(serde_json::from_slice(request)?, &mut kept, redaction, MAX_LEVELS)?;
    Ok(if part == Part::Rewritten { kept } else { request.to_vec() })
}

/// Writes a span, or an array of them.
fn zipkin_spans(
    value: &RawValue,
    kept: &mut Vec<u8>,
    redaction: &Redaction,
    levels: usize,
) -> serde_json::Result<Part> {
    let Some(levels) = levels.checked_sub(1) else { return Ok(Part::Kept) };
    if value.get().starts_with('[') {
        return array(value, kept, |item, kept| zipkin_spans(item, kept, redaction, levels));
    }
    object(value, kept, |name, value, kept| match name {
        "tags" | "localEndpoint" | "remoteEndpoint" => object(value, kept, |field, _, _| {
            let is_dropped = match name {
                "tags" => attributes_of_tag(field).any(|key| redaction.covers(key)),
                _ => attributes_of_endpoint(name, field).iter().any(|key| redaction.covers(key)),
            };
            Ok(Part::dropped_if(is_dropped))
        }),
        _ => Ok(Part::Kept),
    })
}

/// What becomes of a field of an endpoint.
fn attributes_of_endpoint(endpoint: &str, field: &str) -> &'static [&'static str] {
    match (endpoint, field) {
        ("localEndpoint", "serviceName") => &["service.name"],
        ("localEndpoint", "ipv4" | "ipv6") => &["service.instance.id", "host.name"],
        ("remoteEndpoint", "serviceName") => &["peer.service", "messaging.system"],
        ("remoteEndpoint", "ipv4" | "ipv6") => &["network.peer.address"],
        ("remoteEndpoint", "port") => &["network.peer.port"],
        _ => &[],
    }
}

/// What becomes of a part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Kept,
    Dropped,
    /// Another text was written in its place.
    Rewritten,
}

impl Part {
    fn dropped_if(is_dropped: bool) -> Self {
        if is_dropped { Self::Dropped } else { Self::Kept }
    }
}

/// Writes an array, each element as `write` says; anything but an array is kept.
fn array<'de>(
    value: &'de RawValue,
    kept: &mut Vec<u8>,
    mut write: impl FnMut(&'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>,
) -> serde_json::Result<Part> {
    if !value.get().starts_with('[') {
        return Ok(Part::Kept);
    }
    let write = |_: &str, value, kept: &mut Vec<u8>| write(value, kept);
    serde_json::Deserializer::from_str(value.get()).deserialize_seq(Parts { kept, write })?;
    Ok(Part::Rewritten)
}

/// The same for the fields of an object.
fn object<'de>(
    value: &'de RawValue,
    kept: &mut Vec<u8>,
    write: impl FnMut(&str, &'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>,
) -> serde_json::Result<Part> {
    if !value.get().starts_with('{') {
        return Ok(Part::Kept);
    }
    serde_json::Deserializer::from_str(value.get()).deserialize_map(Parts { kept, write })?;
    Ok(Part::Rewritten)
}

/// Writes an array or an object, part by part, so that no more of it is in memory than its text.
struct Parts<'k, W> {
    kept: &'k mut Vec<u8>,
    write: W,
}

impl<'de, W: FnMut(&str, &'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>> Parts<'_, W> {
    /// Writes one part behind the others, unless it is dropped.
    fn part<E: de::Error>(&mut self, name: Option<&str>, value: &'de RawValue, is_first: &mut bool) -> Result<(), E> {
        let start = self.kept.len();
        if !*is_first {
            self.kept.push(b',');
        }
        if let Some(name) = name {
            serde_json::to_writer(&mut *self.kept, name).map_err(E::custom)?;
            self.kept.push(b':');
        }
        match (self.write)(name.unwrap_or_default(), value, self.kept).map_err(E::custom)? {
            Part::Dropped => {
                self.kept.truncate(start);
                return Ok(());
            }
            Part::Kept => self.kept.extend_from_slice(value.get().as_bytes()),
            Part::Rewritten => {}
        }
        *is_first = false;
        Ok(())
    }
}

impl<'de, W: FnMut(&str, &'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>> Visitor<'de> for Parts<'_, W> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        let mut is_first = true;
        self.kept.push(b'[');
        while let Some(value) = sequence.next_element()? {
            self.part(None, value, &mut is_first)?;
        }
        self.kept.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut is_first = true;
        self.kept.push(b'{');
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            self.part(Some(&name), value, &mut is_first)?;
        }
        self.kept.push(b'}');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
    use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use prost::Message;
    use serde::Serialize;
    use serde::de::DeserializeOwned;
    use serde_json::{Value, json};

    use super::*;

    fn attributes(keys: &[&str]) -> Value {
        let attribute = |key: &&str| json!({"key": key, "value": {"stringValue": "text"}});
        keys.iter().map(attribute).collect()
    }

    /// What stays of a request that `request` makes of a list of attributes, in both encodings.
    fn check<T: Message + Default + Serialize + DeserializeOwned>(signal: Signal, request: impl Fn(Value) -> Value) {
        let redaction = Redaction::new(["secret", "enduser.*"]);
        let normal = |value: Value| serde_json::to_value(serde_json::from_value::<T>(value).unwrap()).unwrap();
        let whole = normal(request(attributes(&["enduser.id", "kept", "secret", "kept too"])));
        let expected = normal(request(attributes(&["kept", "kept too"])));
        assert!(whole.to_string().matches("secret").count() > 2);
        let kept = json(&serde_json::to_vec(&whole).unwrap(), &redaction).unwrap();
        assert_eq!(serde_json::from_slice::<Value>(&kept).unwrap(), expected);
        let bytes = serde_json::from_value::<T>(whole).unwrap().encode_to_vec();
        let kept = protobuf(signal, &bytes, &redaction).unwrap();
        assert_eq!(serde_json::to_value(T::decode(&*kept).unwrap()).unwrap(), expected);
    }

    #[test]
    fn every_list_of_spans_loses_them() {
        check::<ExportTraceServiceRequest>(Signal::Traces, |attributes| {
            let span = json!({
                "traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "name": "[{\"}",
                "attributes": attributes, "status": {"message": "secret"},
                "events": [{"name": "e", "attributes": attributes}],
                "links": [{"traceId": "000102030405060708090a0b0c0d0e0f", "spanId": "0001020304050607", "attributes": attributes}],
            });
            let scope = json!({"name": "s", "attributes": attributes});
            json!({"resourceSpans": [
                {"resource": {"attributes": attributes}, "scopeSpans": [{"scope": scope, "spans": [span, span]}]},
            ]})
        });
    }

    #[test]
    fn every_list_of_logs_loses_them() {
        check::<ExportLogsServiceRequest>(Signal::Logs, |attributes| {
            let record = json!({"body": {"stringValue": "secret"}, "attributes": attributes});
            let scope = json!({"name": "s", "attributes": attributes});
            json!({"resourceLogs": [
                {"resource": {"attributes": attributes}, "scopeLogs": [{"scope": scope, "logRecords": [record]}]},
            ]})
        });
    }

    #[test]
    fn every_list_of_metrics_loses_them() {
        check::<ExportMetricsServiceRequest>(Signal::Metrics, |attributes| {
            let exemplars = json!([{"filteredAttributes": attributes, "asInt": "1"}]);
            let points = json!({"dataPoints": [{"attributes": attributes, "exemplars": exemplars}]});
            let kinds = ["gauge", "sum", "histogram", "exponentialHistogram"];
            let mut metrics: Vec<Value> = kinds.iter().map(|kind| json!({"name": "m", *kind: points})).collect();
            metrics.push(json!({"name": "m", "summary": {"dataPoints": [{"attributes": attributes}]}}));
            json!({"resourceMetrics": [
                {"resource": {"attributes": attributes}, "scopeMetrics": [{"scope": {"name": "s"}, "metrics": metrics}]},
            ]})
        });
    }

    #[test]
    fn tags_and_endpoints_lose_what_becomes_of_them() {
        let check = |key: &str, expected: &str| {
            let span = r#"[{"id":"1","tags":{"sql.query":"a","b":"c"},"remoteEndpoint":{"serviceName":"d","ipv4":"e"}},{"id":"2"}]"#;
            let kept = zipkin(span.as_bytes(), &Redaction::new([key])).unwrap();
            assert_eq!(String::from_utf8(kept).unwrap(), expected, "{key}");
        };
        let rest = r#","remoteEndpoint":{"serviceName":"d","ipv4":"e"}},{"id":"2"}]"#;
        check("b", &(r#"[{"id":"1","tags":{"sql.query":"a"}"#.to_owned() + rest));
        check("sql.query", &(r#"[{"id":"1","tags":{"b":"c"}"#.to_owned() + rest));
        check("db.query.text", &(r#"[{"id":"1","tags":{"b":"c"}"#.to_owned() + rest));
        let tags = r#"[{"id":"1","tags":{"sql.query":"a","b":"c"},"remoteEndpoint":"#;
        check("network.*", &(tags.to_owned() + r#"{"serviceName":"d"}},{"id":"2"}]"#));
        check("peer.service", &(tags.to_owned() + r#"{"ipv4":"e"}},{"id":"2"}]"#));
    }
}
