//! OTLP in protobuf: one walk over the borrowed bytes of an export request that also validates them. The requests of the
//! three signals differ only in the records that lie three messages deep.
//!
//! It accepts and refuses what the public protobuf types do (a property test holds it to that), with their meaning of
//! repeated fields: the last one wins, messages merge. It builds no message, keeps no scope and no event, and leaves
//! what goes over a bound uncopied but validated.

use spanlint_graph::SpanVisitor;
use spanlint_graph::span::{Attribute, Link, SpanKind, SpanView, Value};

use super::composite::{self, CompositeText};
use super::ids::{self, IdError, RawId, SpanIds};
use super::wire::{Field, Fields, Payload};
use super::{DecodeError, Decoded, Signal};
use crate::limits::{MAX_ATTRIBUTES, MAX_LINKS};

mod logs;
mod metrics;

/// OTLP's number of the status code `ERROR`.
pub(super) const STATUS_CODE_ERROR: i64 = 2;

/// Shows the spans of an `ExportTraceServiceRequest` to `visitor`.
pub fn decode(bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    decode_signal(Signal::Traces, bytes, visitor)
}

/// Shows the records of an export request to `visitor`.
pub fn decode_signal(signal: Signal, bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    let mut walk = Walk { signal, visitor, attributes: Vec::new(), links: Vec::new(), decoded: Decoded::default() };
    let mut request = Fields::of(bytes);
    while let Some(field) = request.next()? {
        match field.number {
            1 => walk.resource_records(request.enter(field)?)?,
            _ => request.skip(field)?,
        }
    }
    walk.decoded.is_recognized = !bytes.is_empty();
    Ok(walk.decoded)
}

/// What kind of export request `bytes` are, judged by the first record that shows it; none where no record does.
pub fn signal(bytes: &[u8]) -> Result<Option<Signal>, DecodeError> {
    let mut signal = None;
    each_record(bytes, |record| {
        signal = record_signal(record)?;
        Ok(signal.is_none())
    })?;
    Ok(signal)
}

/// Spans and log records have times of fixed width, and spans an id, where metrics have a name and messages.
fn record_signal(mut record: Fields<'_>) -> Result<Option<Signal>, DecodeError> {
    let mut guess = None;
    while let Some(field) = record.next()? {
        match (field.number, field.payload) {
            (7 | 8, Payload::Fixed64(_)) => return Ok(Some(Signal::Traces)),
            (1 | 11, Payload::Fixed64(_)) | (2, Payload::Varint(_)) | (8, Payload::Fixed32) => {
                return Ok(Some(Signal::Logs));
            }
            (7, Payload::Bytes(_)) => return Ok(Some(Signal::Metrics)),
            (1, Payload::Bytes(id)) if id.len() == 16 && id.iter().any(|byte| !matches!(byte, b' '..=b'~')) => {
                guess = Some(Signal::Traces);
            }
            // The span id of a log record stands in field 10, too.
            (1 | 10, Payload::Bytes(_)) => guess = Some(Signal::Metrics),
            _ => {}
        }
        record.skip(field)?;
    }
    Ok(guess)
}

/// Shows the messages at path 1, 2, 2 until `visit` answers false.
fn each_record(
    bytes: &[u8],
    mut visit: impl FnMut(Fields<'_>) -> Result<bool, DecodeError>,
) -> Result<(), DecodeError> {
    let mut levels = [Fields::of(bytes); 3];
    let mut level = 0;
    loop {
        let Some(field) = levels[level].next()? else {
            if level == 0 {
                return Ok(());
            }
            level -= 1;
            continue;
        };
        match (level, field.number) {
            (0, 1) | (1, 2) => {
                levels[level + 1] = levels[level].enter(field)?;
                level += 1;
            }
            (2, 2) => {
                if !visit(levels[2].enter(field)?)? {
                    return Ok(());
                }
            }
            _ => levels[level].skip(field)?,
        }
    }
}

/// A span before its ids are checked.
#[derive(Default)]
struct RawSpan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    trace_state: &'a str,
    name: &'a str,
    kind: i32,
    start_ns: u64,
    end_ns: u64,
    status_code: i32,
    status_message: &'a str,
    wrong_link: Option<IdError>,
}

/// The walk: buffers are reused from span to span.
struct Walk<'a, 'v, V> {
    signal: Signal,
    visitor: &'v mut V,
    attributes: Vec<Attribute<'a>>,
    links: Vec<Link>,
    decoded: Decoded,
}

impl<'a, V: SpanVisitor> Walk<'a, '_, V> {
    /// The resource may stand anywhere among its records, but is shown first: hence two passes over this one level.
    fn resource_records(&mut self, message: Fields<'a>) -> Result<(), DecodeError> {
        self.attributes.clear();
        let mut first = message;
        while let Some(field) = first.next()? {
            match field.number {
                1 => self.resource(first.enter(field)?)?,
                2 => drop(field.bytes()?),
                3 => drop(field.text()?),
                _ => first.skip(field)?,
            }
        }
        self.visitor.resource(&self.attributes);
        let mut second = message;
        while let Some(field) = second.next()? {
            match field.number {
                2 => self.scope_records(second.enter(field)?)?,
                _ => second.skip(field)?,
            }
        }
        Ok(())
    }

    fn resource(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.attribute(message.enter(field)?)?,
                2 => drop(field.varint()?),
                3 => entity_reference(message.enter(field)?)?,
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    fn scope_records(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => scope(message.enter(field)?)?,
                2 => self.record(message.enter(field)?)?,
                3 => drop(field.text()?),
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    fn record(&mut self, message: Fields<'a>) -> Result<(), DecodeError> {
        match self.signal {
            Signal::Traces => self.span(message),
            Signal::Logs => self.log_record(message),
            Signal::Metrics => self.metric(message),
        }
    }

    fn span(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        self.attributes.clear();
        self.links.clear();
        let mut raw = RawSpan::default();
        while let Some(field) = message.next()? {
            self.span_field(&mut raw, field, &mut message)?;
        }
        let ids = SpanIds::check(RawId::Bytes(raw.trace_id), RawId::Bytes(raw.span_id), RawId::Bytes(raw.parent_id));
        match (ids, raw.wrong_link) {
            (Ok(ids), None) => self.visitor.span(&SpanView {
                trace_id: ids.trace,
                span_id: ids.span,
                parent_id: ids.parent,
                kind: SpanKind::from_otlp(raw.kind.into()),
                name: raw.name.into(),
                start_ns: raw.start_ns,
                end_ns: raw.end_ns,
                is_error: i64::from(raw.status_code) == STATUS_CODE_ERROR,
                status_message: raw.status_message.into(),
                trace_state: raw.trace_state.into(),
                attributes: &self.attributes,
                links: &self.links,
            }),
            (Err(error), _) | (Ok(_), Some(error)) => self.visitor.refuse(ids::refusal(raw.name, &error)),
        }
        Ok(())
    }

    fn span_field(
        &mut self,
        raw: &mut RawSpan<'a>,
        field: Field<'a>,
        message: &mut Fields<'a>,
    ) -> Result<(), DecodeError> {
        match field.number {
            1 => raw.trace_id = field.bytes()?,
            2 => raw.span_id = field.bytes()?,
            3 => raw.trace_state = field.text()?,
            4 => raw.parent_id = field.bytes()?,
            5 => raw.name = field.text()?,
            6 => raw.kind = field.varint()? as i32,
            7 => raw.start_ns = field.fixed64()?,
            8 => raw.end_ns = field.fixed64()?,
            9 => self.attribute(message.enter(field)?)?,
            10 | 12 | 14 => drop(field.varint()?),
            11 => event(message.enter(field)?)?,
            13 => self.link(raw, message.enter(field)?)?,
            15 => status(raw, message.enter(field)?)?,
            16 => field.fixed32()?,
            _ => message.skip(field)?,
        }
        Ok(())
    }

    fn attribute(&mut self, message: Fields<'a>) -> Result<(), DecodeError> {
        let (key, value) = key_value(message)?;
        if self.attributes.len() == MAX_ATTRIBUTES {
            self.decoded.over_limit += 1;
            return Ok(());
        }
        self.decoded.over_limit += u64::from(composite::is_cut(&value));
        self.attributes.push((key.into(), value));
        Ok(())
    }

    fn link(&mut self, raw: &mut RawSpan<'a>, mut message: Fields<'a>) -> Result<(), DecodeError> {
        let (mut trace_id, mut span_id) = (&[][..], &[][..]);
        while let Some(field) = message.next()? {
            match field.number {
                1 => trace_id = field.bytes()?,
                2 => span_id = field.bytes()?,
                3 => drop(field.text()?),
                4 => drop(key_value(message.enter(field)?)?),
                5 => drop(field.varint()?),
                6 => field.fixed32()?,
                _ => message.skip(field)?,
            }
        }
        match ids::check_link(RawId::Bytes(trace_id), RawId::Bytes(span_id)) {
            Ok(Some(_)) if self.links.len() == MAX_LINKS => self.decoded.over_limit += 1,
            Ok(link) => self.links.extend(link),
            Err(error) => raw.wrong_link = raw.wrong_link.take().or(Some(error)),
        }
        Ok(())
    }
}

fn status<'a>(raw: &mut RawSpan<'a>, mut message: Fields<'a>) -> Result<(), DecodeError> {
    while let Some(field) = message.next()? {
        match field.number {
            2 => raw.status_message = field.text()?,
            3 => raw.status_code = field.varint()? as i32,
            _ => message.skip(field)?,
        }
    }
    Ok(())
}

/// Validates an event, which nothing reads yet.
fn event(mut message: Fields<'_>) -> Result<(), DecodeError> {
    while let Some(field) = message.next()? {
        match field.number {
            1 => drop(field.fixed64()?),
            2 => drop(field.text()?),
            3 => drop(key_value(message.enter(field)?)?),
            4 => drop(field.varint()?),
            _ => message.skip(field)?,
        }
    }
    Ok(())
}

/// Validates an instrumentation scope, which nothing reads yet.
fn scope(mut message: Fields<'_>) -> Result<(), DecodeError> {
    while let Some(field) = message.next()? {
        match field.number {
            1 | 2 => drop(field.text()?),
            3 => drop(key_value(message.enter(field)?)?),
            4 => drop(field.varint()?),
            _ => message.skip(field)?,
        }
    }
    Ok(())
}

/// Validates a reference to an entity, whose keys are attributes of the resource anyway.
fn entity_reference(mut message: Fields<'_>) -> Result<(), DecodeError> {
    while let Some(field) = message.next()? {
        match field.number {
            1..=4 => drop(field.text()?),
            _ => message.skip(field)?,
        }
    }
    Ok(())
}

fn key_value(mut message: Fields<'_>) -> Result<(&str, Value<'_>), DecodeError> {
    let mut key = "";
    let mut value = PartialValue::Scalar(composite::EMPTY);
    while let Some(field) = message.next()? {
        match field.number {
            1 => key = field.text()?,
            2 => value.merge(message.enter(field)?)?,
            // An index into a table of strings that requests of traces do not carry.
            3 => drop(field.varint()?),
            _ => message.skip(field)?,
        }
    }
    Ok((key, value.finish()))
}

/// An `AnyValue` while it is read: another kind replaces it, a further array or map of the same kind is appended.
enum PartialValue<'a> {
    Scalar(Value<'a>),
    Array(CompositeText),
    Map(CompositeText),
}

impl<'a> PartialValue<'a> {
    fn merge(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => *self = Self::Scalar(Value::Text(field.text()?.into())),
                2 => *self = Self::Scalar(Value::Bool(field.varint()? != 0)),
                3 => *self = Self::Scalar(Value::Int(field.varint()? as i64)),
                4 => *self = Self::Scalar(Value::Double(f64::from_bits(field.fixed64()?))),
                5 => self.append_array(message.enter(field)?)?,
                6 => self.append_map(message.enter(field)?)?,
                7 => *self = Self::Scalar(composite::bytes(field.bytes()?)),
                // An index into a table of strings that requests of traces do not carry.
                8 => {
                    field.varint()?;
                    *self = Self::Scalar(composite::EMPTY);
                }
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    fn append_array(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        if !matches!(self, Self::Array(_)) {
            *self = Self::Array(CompositeText::array());
        }
        while let Some(field) = message.next()? {
            if field.number != 1 {
                message.skip(field)?;
                continue;
            }
            let mut element = Self::Scalar(composite::EMPTY);
            element.merge(message.enter(field)?)?;
            if let Self::Array(text) = self {
                text.element(&element.finish());
            }
        }
        Ok(())
    }

    fn append_map(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(CompositeText::map());
        }
        while let Some(field) = message.next()? {
            if field.number != 1 {
                message.skip(field)?;
                continue;
            }
            let (key, value) = key_value(message.enter(field)?)?;
            if let Self::Map(text) = self {
                text.entry(key, &value);
            }
        }
        Ok(())
    }

    fn finish(self) -> Value<'a> {
        match self {
            Self::Scalar(value) => value,
            Self::Array(text) | Self::Map(text) => text.finish(),
        }
    }
}

#[cfg(test)]
mod tests;
