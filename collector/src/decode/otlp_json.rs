//! OTLP in JSON: protobuf's JSON mapping with ids in hexadecimal digits, as the OTLP specification wants it. Recordings of
//! it are looser: Tempo's API and whatever writes messages of protobuf by itself have ids in base64, and some have
//! another envelope, or none.
//!
//! Lenient where senders differ: camel and snake case, 64-bit numbers as text or number, enumerations by number or name,
//! null for absent, fields that are not known. Of a field that is sent twice the last one counts, as in protobuf. Spans
//! are shown as they are read, so a request of many tiny spans takes no more memory than its bytes. It does not read
//! other projects' JSON, which has files of its own.

use std::borrow::Cow;

use spanlint_graph::SpanVisitor;
use spanlint_graph::semantics::EXCEPTION_TYPE;
use spanlint_graph::span::{Attribute, Link, SpanKind, SpanView, Value};

use super::composite;
use super::ids::{self, IdError, RawId, SpanIds};
use super::json_reader::{JsonReader, Read};
use super::layouts::{Head, Layouts};
use super::otlp_protobuf::STATUS_CODE_ERROR;
use super::{DecodeError, Decoded, Signal};
use crate::limits::{MAX_ATTRIBUTES, MAX_LINKS};

use self::layout::Json;
use self::values::{enumeration, key_value};

mod layout;
mod logs;
mod metrics;
pub(super) mod values;

/// Shows the records of a request, or of an array of requests, to `visitor`, whatever their signal; what is learned of
/// them serves the next one.
pub fn decode(bytes: &[u8], layouts: &mut Layouts, visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    decode_envelope(bytes, Envelope::Request, layouts, visitor)
}

/// The same for a recording, whose ids may be in base64. Besides requests it may hold an answer of Tempo's API (`batches`,
/// or a `trace` with `resourceSpans`; Jaeger's API says `result`), or the records of one resource (`scopeSpans`), as
/// OpenTelemetry's exporter for Java logs them.
pub fn decode_recording(
    bytes: &[u8],
    layouts: &mut Layouts,
    visitor: &mut impl SpanVisitor,
) -> Result<Decoded, DecodeError> {
    decode_envelope(bytes, Envelope::Recording, layouts, visitor)
}

fn decode_envelope(
    bytes: &[u8],
    envelope: Envelope,
    layouts: &mut Layouts,
    visitor: &mut impl SpanVisitor,
) -> Result<Decoded, DecodeError> {
    let mut reader = JsonReader::new(bytes);
    let mut walk = Walk {
        visitor,
        envelope,
        layouts,
        sender: 0,
        attributes: Vec::new(),
        links: Vec::new(),
        decoded: Decoded::default(),
    };
    walk.requests(&mut reader).and_then(|()| reader.end()).map_err(|error| *error)?;
    Ok(walk.decoded)
}

/// What stands around the spans.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Envelope {
    /// An export request of OTLP.
    Request,
    /// Whatever was written to a file.
    Recording,
}

impl Envelope {
    fn id(self, text: &str) -> RawId<'_> {
        match self {
            Self::Request => RawId::Hex(text),
            Self::Recording => RawId::Base64OrHex(text),
        }
    }
}

/// A span before its ids are checked.
#[derive(Default)]
struct RawSpan<'a> {
    trace_id: Cow<'a, str>,
    span_id: Cow<'a, str>,
    parent_id: Cow<'a, str>,
    trace_state: Cow<'a, str>,
    name: Cow<'a, str>,
    kind: i64,
    start_ns: u64,
    end_ns: u64,
    status_code: i64,
    status_message: Cow<'a, str>,
    exception: Cow<'a, str>,
    wrong_link: Option<IdError>,
}

/// The walk: buffers are reused from record to record.
struct Walk<'a, 'v, V> {
    visitor: &'v mut V,
    envelope: Envelope,
    layouts: &'v mut Layouts,
    /// Who has sent what is read, as the layouts know him.
    sender: u64,
    /// Of the resource or record that is read.
    attributes: Vec<Attribute<'a>>,
    links: Vec<Link>,
    decoded: Decoded,
}

impl<'a, V: SpanVisitor> Walk<'a, '_, V> {
    /// A request, or an array of them.
    fn requests(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        if reader.is_array()? { reader.array("requests", |reader| self.request(reader)) } else { self.request(reader) }
    }

    fn request(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        let is_recording = self.envelope == Envelope::Recording;
        let mut start = *reader;
        let mut of_one_resource = None;
        reader.object("an OTLP request (an object with resourceSpans)", |reader, name| {
            let signal = match name {
                "trace" | "result" if is_recording => return self.request(reader),
                "resourceSpans" | "resource_spans" => Signal::Traces,
                "batches" if is_recording => Signal::Traces,
                "resourceLogs" | "resource_logs" => Signal::Logs,
                "resourceMetrics" | "resource_metrics" => Signal::Metrics,
                _ => {
                    of_one_resource = of_one_resource.or(signal_of_scopes(name).filter(|_| is_recording));
                    return reader.skip();
                }
            };
            self.decoded.is_recognized = true;
            reader.array("an array of resources", |reader| self.resource_records(reader, signal))
        })?;
        let Some(signal) = of_one_resource else { return Ok(()) };
        self.decoded.is_recognized = true;
        self.resource_records(&mut start, signal)
    }

    /// One resource with its records. The resource is shown first: where it stands behind its records, which no SDK
    /// writes, they are passed over until it is known.
    fn resource_records(&mut self, reader: &mut JsonReader<'a>, signal: Signal) -> Read<()> {
        let (mut has_resource, mut has_scopes) = (false, false);
        let mut waiting = None;
        reader.object("a resource with its scopes (an object)", |reader, name| match name {
            "resource" if has_resource => reader.refuse("a second `resource`"),
            "resource" => {
                has_resource = true;
                self.resource(reader)
            }
            name if signal_of_scopes(name).is_some() => {
                if std::mem::replace(&mut has_scopes, true) {
                    return reader.refuse(&format!("a second `{name}`"));
                }
                if has_resource {
                    return self.scopes(reader, signal);
                }
                waiting = Some(*reader);
                reader.skip()
            }
            _ => reader.skip(),
        })?;
        if !has_resource {
            self.sender = self.sender_of(reader, &[]);
            self.visitor.resource(&[]);
        }
        waiting.map_or(Ok(()), |mut scopes| self.scopes(&mut scopes, signal))
    }

    /// Shows a resource. What is wrong with one is said where it is read.
    fn resource(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        let mut behind = *reader;
        if behind.skip().is_err() {
            return self.resource_attributes(reader);
        }
        let bytes = &reader.rest()[..behind.at() - reader.at()];
        self.sender = self.sender_of(reader, bytes);
        if self.layouts.recall((self.sender, bytes), self.visitor) {
            *reader = behind;
            return Ok(());
        }
        let over_limit = self.decoded.over_limit;
        self.resource_attributes(reader)?;
        if let Some(key) = self.visitor.recalled_by()
            && self.decoded.over_limit == over_limit
        {
            self.layouts.learn_resource((self.sender, bytes), key);
        }
        Ok(())
    }

    /// The sender with these bytes, as the layouts know him. Where values are nested deeper, fewer may be nested in them.
    fn sender_of(&self, reader: &JsonReader<'a>, resource: &[u8]) -> u64 {
        self.layouts.sender(u64::from(reader.depth()) + 1, resource)
    }

    fn resource_attributes(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        self.attributes.clear();
        if !reader.null()? {
            reader.object("a resource (an object)", |reader, name| match name {
                "attributes" => self.attributes(reader),
                _ => reader.skip(),
            })?;
        }
        self.visitor.resource(&self.attributes);
        Ok(())
    }

    fn scopes(&mut self, reader: &mut JsonReader<'a>, signal: Signal) -> Read<()> {
        reader.array("an array of scopes", |reader| {
            reader.object("a scope with its records (an object)", |reader, name| match name {
                "spans" | "logRecords" | "log_records" | "metrics" => {
                    reader.array("an array of records", |reader| self.record(reader, signal))
                }
                "scope" => self.scope(reader),
                _ => reader.skip(),
            })
        })
    }

    /// Nothing is kept of a scope, whatever it is.
    fn scope(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        if reader.is_object()? {
            reader.object("", |reader, name| {
                if name == "attributes" {
                    self.visitor.unread();
                }
                reader.skip()
            })
        } else {
            reader.skip()
        }
    }

    fn record(&mut self, reader: &mut JsonReader<'a>, signal: Signal) -> Read<()> {
        self.attributes.clear();
        match signal {
            Signal::Traces => self.span(reader),
            Signal::Logs => self.log_record(reader),
            Signal::Metrics => self.metric(reader),
        }
    }

    fn span(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        let head = layout::head(*reader, self.envelope).map(|head| (self.layouts.beginning(self.sender, &head), head));
        if let Some((beginning, head)) = &head
            && let Some(length) = self.layouts.show::<Json>((*beginning, head), self.visitor)
        {
            reader.pass(reader.rest().len() - head.rest.len() + length);
            return Ok(());
        }
        self.links.clear();
        let mut raw = RawSpan::default();
        reader.object("a span (an object)", |reader, name| self.span_member(&mut raw, name, reader))?;
        let [trace_id, span_id, parent_id] =
            [&raw.trace_id, &raw.span_id, &raw.parent_id].map(|id| self.envelope.id(id));
        match (SpanIds::check(trace_id, span_id, parent_id), raw.wrong_link) {
            (Ok(ids), None) => {
                let view = SpanView {
                    trace_id: ids.trace,
                    span_id: ids.span,
                    parent_id: ids.parent,
                    kind: SpanKind::from_otlp(raw.kind),
                    name: raw.name,
                    start_ns: raw.start_ns,
                    end_ns: raw.end_ns,
                    is_error: raw.status_code == STATUS_CODE_ERROR,
                    status_message: raw.status_message,
                    exception: raw.exception,
                    trace_state: raw.trace_state,
                    attributes: &self.attributes,
                    links: &self.links,
                };
                self.visitor.span(&view);
                if let Some(((beginning, head), likeness)) = head.zip(self.visitor.likeness()) {
                    let rest = &head.rest[..head.rest.len() - reader.rest().len()];
                    self.layouts.learn::<Json>((beginning, &Head { rest, ..head }), &view, &likeness);
                }
            }
            (Err(error), _) | (Ok(_), Some(error)) => self.visitor.refuse(ids::refusal(&raw.name, &error)),
        }
        Ok(())
    }

    fn span_member(&mut self, raw: &mut RawSpan<'a>, name: &str, reader: &mut JsonReader<'a>) -> Read<()> {
        match name {
            "traceId" | "trace_id" => raw.trace_id = reader.text()?,
            "spanId" | "span_id" => raw.span_id = reader.text()?,
            "parentSpanId" | "parent_span_id" => raw.parent_id = reader.text()?,
            "traceState" | "trace_state" => raw.trace_state = reader.text()?,
            "name" => raw.name = reader.text()?,
            "kind" => raw.kind = enumeration(reader)?,
            "startTimeUnixNano" | "start_time_unix_nano" => raw.start_ns = reader.integer()?,
            "endTimeUnixNano" | "end_time_unix_nano" => raw.end_ns = reader.integer()?,
            "attributes" => self.attributes(reader)?,
            "events" => reader.array("an array of events", |reader| self.event(raw, reader))?,
            "links" => self.links(raw, reader)?,
            "status" => status(raw, reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    }

    /// The first [`MAX_ATTRIBUTES`] attributes; the rest is counted.
    fn attributes(&mut self, reader: &mut JsonReader<'a>) -> Read<()> {
        self.attributes.clear();
        reader.array("an array of attributes", |reader| {
            let attribute = key_value(reader)?;
            if self.attributes.len() == MAX_ATTRIBUTES {
                self.aside(&attribute.0, &attribute.1);
                self.decoded.over_limit += 1;
                return Ok(());
            }
            if composite::is_cut(&attribute.1) {
                self.visitor.unread();
                self.decoded.over_limit += 1;
            }
            self.attributes.push(attribute);
            Ok(())
        })
    }

    /// An attribute of which nothing is kept.
    fn aside(&mut self, key: &str, value: &Value<'_>) {
        self.visitor.aside(key, value);
        if composite::is_cut(value) {
            self.visitor.unread();
        }
    }

    /// An event, of which only the type of an exception is kept.
    fn event(&mut self, raw: &mut RawSpan<'a>, reader: &mut JsonReader<'a>) -> Read<()> {
        reader.object("an event (an object)", |reader, name| match name {
            "name" => {
                // Whatever else it may be says nothing.
                let mut name = *reader;
                if let Ok(name) = name.text() {
                    self.visitor.aside("", &Value::Text(name));
                }
                reader.skip()
            }
            "attributes" => reader.array("an array of attributes", |reader| {
                let (key, value) = key_value(reader)?;
                self.aside(&key, &value);
                if let Value::Text(exception) = value
                    && key == EXCEPTION_TYPE
                {
                    raw.exception = exception;
                }
                Ok(())
            }),
            _ => reader.skip(),
        })
    }

    /// The first [`MAX_LINKS`] links that lead somewhere; the rest is counted.
    fn links(&mut self, raw: &mut RawSpan<'a>, reader: &mut JsonReader<'a>) -> Read<()> {
        self.links.clear();
        reader.array("an array of links", |reader| {
            let (mut trace_id, mut span_id) = (Cow::default(), Cow::default());
            reader.object("a link (an object)", |reader, name| {
                match name {
                    "traceId" | "trace_id" => trace_id = reader.text()?,
                    "spanId" | "span_id" => span_id = reader.text()?,
                    _ => {
                        self.visitor.unread();
                        reader.skip()?;
                    }
                }
                Ok(())
            })?;
            match ids::check_link(self.envelope.id(&trace_id), self.envelope.id(&span_id)) {
                Ok(Some(_)) if self.links.len() == MAX_LINKS => self.decoded.over_limit += 1,
                Ok(link) => self.links.extend(link),
                Err(error) => raw.wrong_link = raw.wrong_link.take().or(Some(error)),
            }
            Ok(())
        })
    }
}

/// What scopes under a name hold; none for a name that is not theirs. Before OTLP 0.15 they were libraries.
fn signal_of_scopes(name: &str) -> Option<Signal> {
    match name {
        "scopeSpans" | "scope_spans" | "instrumentationLibrarySpans" | "instrumentation_library_spans" => {
            Some(Signal::Traces)
        }
        "scopeLogs" | "scope_logs" | "instrumentationLibraryLogs" | "instrumentation_library_logs" => {
            Some(Signal::Logs)
        }
        "scopeMetrics" | "scope_metrics" | "instrumentationLibraryMetrics" | "instrumentation_library_metrics" => {
            Some(Signal::Metrics)
        }
        _ => None,
    }
}

fn status<'a>(raw: &mut RawSpan<'a>, reader: &mut JsonReader<'a>) -> Read<()> {
    if reader.null()? {
        return Ok(());
    }
    reader.object("a status (an object)", |reader, name| {
        match name {
            "message" => raw.status_message = reader.text()?,
            "code" => raw.status_code = enumeration(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })
}

#[cfg(test)]
mod tests;
