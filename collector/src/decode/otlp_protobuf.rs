//! OTLP in protobuf: one walk over the borrowed bytes of an export request that also validates them. The requests of the
//! three signals differ only in the records that lie three messages deep.
//!
//! It accepts and refuses what the public protobuf types do (a property test holds it to that), with their meaning of
//! repeated fields: the last one wins, messages merge. It builds no message, keeps no scope and of events only the
//! type of an exception, and leaves what goes over a bound uncopied but validated.

use std::borrow::Cow;

use spanlint_graph::SpanVisitor;
use spanlint_graph::reuse::emptied;
use spanlint_graph::semantics::EXCEPTION_TYPE;
use spanlint_graph::span::{Attribute, Link, SpanKind, SpanView, Value};

use super::composite;
use super::ids::{self, IdError, RawId, SpanIds};
use super::layouts::Layouts;
use super::texts::{Checked, Place, Texts};
use super::wire::{Field, Fields, Payload};
use super::{DecodeError, Decoded, Signal};
use crate::limits::{MAX_ATTRIBUTES, MAX_LINKS};

use self::layout::Protobuf;
use self::unread::Message;
use self::values::{PlainValue, key_value, plain_key_value};

mod layout;
mod logs;
mod metrics;
mod unread;
pub(super) mod values;

/// OTLP's number of the status code `ERROR`.
pub(super) const STATUS_CODE_ERROR: i64 = 2;

/// Shows the spans of an `ExportTraceServiceRequest` to `visitor`.
pub fn decode(bytes: &[u8], visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
    decode_signal(Signal::Traces, bytes, &mut Layouts::default(), visitor)
}

/// Shows the records of an export request to `visitor`; what is learned of them serves the next one.
pub fn decode_signal(
    signal: Signal,
    bytes: &[u8],
    layouts: &mut Layouts,
    visitor: &mut impl SpanVisitor,
) -> Result<Decoded, DecodeError> {
    let mut walk = Walk {
        signal,
        visitor,
        layouts,
        sender: 0,
        texts: Texts::default(),
        attributes: Vec::new(),
        spare: Vec::new(),
        links: Vec::new(),
        decoded: Decoded::default(),
    };
    walk.request(Fields::of(bytes))?;
    Ok(Decoded { is_recognized: !bytes.is_empty(), ..walk.decoded })
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

/// A span before its ids and texts are checked.
#[derive(Default)]
struct RawSpan<'a> {
    trace_id: &'a [u8],
    span_id: &'a [u8],
    parent_id: &'a [u8],
    trace_state: Place,
    name: Place,
    kind: i32,
    start_ns: u64,
    end_ns: u64,
    status_code: i32,
    status_message: Place,
    exception: Cow<'a, str>,
    wrong_link: Option<IdError>,
}

/// An attribute before its texts are checked.
type RawAttribute<'a> = (Place, RawValue<'a>);

enum RawValue<'a> {
    Text(Place),
    Other(Value<'a>),
}

/// The walk: buffers are reused from span to span.
struct Walk<'a, 'v, V> {
    signal: Signal,
    visitor: &'v mut V,
    layouts: &'v mut Layouts,
    /// Who has sent what is read, as the layouts know him.
    sender: u64,
    /// Of the record that is read.
    texts: Texts,
    attributes: Vec<RawAttribute<'a>>,
    /// Memory for the attributes that are shown.
    spare: Vec<Attribute<'static>>,
    links: Vec<Link>,
    decoded: Decoded,
}

impl<'a, V: SpanVisitor> Walk<'a, '_, V> {
    fn request(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.resource_records(message.enter(field)?)?,
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    /// The resource may stand anywhere among its records, but is shown first: hence two passes over this one level.
    fn resource_records(&mut self, message: Fields<'a>) -> Result<(), DecodeError> {
        self.sender = 0;
        let (mut only, mut resources) = (None, 0);
        let mut first = message;
        while let Some(field) = first.next()? {
            match field.number {
                1 => {
                    let resource = first.enter(field)?;
                    self.sender = self.layouts.sender(self.sender, resource.rest());
                    (only, resources) = (Some(resource), resources + 1);
                }
                2 => drop(field.bytes()?),
                3 => drop(field.text()?),
                _ => first.skip(field)?,
            }
        }
        let only = only.filter(|_| resources == 1).map(|resource: Fields<'_>| (self.sender, resource.rest()));
        if !only.is_some_and(|resource| self.layouts.recall(resource, self.visitor)) {
            let over_limit = self.decoded.over_limit;
            self.resources(message)?;
            if let Some((resource, key)) = only.zip(self.visitor.recalled_by())
                && self.decoded.over_limit == over_limit
            {
                self.layouts.learn_resource(resource, key);
            }
        }
        let mut second = message;
        while let Some(field) = second.next()? {
            match field.number {
                2 => self.scope_records(second.enter(field)?)?,
                _ => second.skip(field)?,
            }
        }
        Ok(())
    }

    /// Shows the resource of this level; several are one.
    fn resources(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        self.clear();
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.resource(message.enter(field)?)?,
                _ => message.skip(field)?,
            }
        }
        let (_, attributes) = checked(&self.texts, &self.attributes, [], &mut self.spare)?;
        self.visitor.resource(&attributes);
        self.spare = emptied(attributes);
        Ok(())
    }

    fn resource(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.attribute(message.enter(field)?)?,
                2 => drop(field.varint()?),
                3 => Message::EntityRef.validate(message.enter(field)?)?,
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    fn scope_records(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => self.scope(message.enter(field)?)?,
                2 => self.record(message.enter(field)?)?,
                3 => drop(field.text()?),
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    fn scope(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        Message::Scope.validate(message)?;
        while let Some(field) = message.next()? {
            if field.number == Message::ATTRIBUTES_OF_SCOPE {
                self.visitor.unread();
            }
            message.skip(field)?;
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
        let head = layout::head(message.rest());
        let head = head.as_ref().map(|head| (self.layouts.beginning(self.sender, head), head));
        if head.is_some_and(|head| self.layouts.show::<Protobuf>(head, self.visitor).is_some()) {
            return Ok(());
        }
        self.clear();
        self.links.clear();
        let mut raw = RawSpan::default();
        while let Some(field) = message.next()? {
            self.span_field(&mut raw, field, &mut message)?;
        }
        let others = [raw.trace_state, raw.name, raw.status_message];
        let (texts, attributes) = checked(&self.texts, &self.attributes, others, &mut self.spare)?;
        let name = texts.get(raw.name)?;
        let (status_message, trace_state) = (texts.get(raw.status_message)?, texts.get(raw.trace_state)?);
        let ids = SpanIds::check(RawId::Bytes(raw.trace_id), RawId::Bytes(raw.span_id), RawId::Bytes(raw.parent_id));
        match (ids, raw.wrong_link) {
            (Ok(ids), None) => {
                let view = SpanView {
                    trace_id: ids.trace,
                    span_id: ids.span,
                    parent_id: ids.parent,
                    kind: SpanKind::from_otlp(raw.kind.into()),
                    name: name.into(),
                    start_ns: raw.start_ns,
                    end_ns: raw.end_ns,
                    is_error: i64::from(raw.status_code) == STATUS_CODE_ERROR,
                    status_message: status_message.into(),
                    exception: raw.exception,
                    trace_state: trace_state.into(),
                    attributes: &attributes,
                    links: &self.links,
                };
                self.visitor.span(&view);
                if let Some((head, likeness)) = head.zip(self.visitor.likeness()) {
                    self.layouts.learn::<Protobuf>(head, &view, &likeness);
                }
            }
            (Err(error), _) | (Ok(_), Some(error)) => self.visitor.refuse(ids::refusal(name, &error)),
        }
        self.spare = emptied(attributes);
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
            3 => raw.trace_state = self.texts.keep(3, field.bytes()?),
            4 => raw.parent_id = field.bytes()?,
            5 => raw.name = self.texts.keep(5, field.bytes()?),
            6 => raw.kind = field.varint()? as i32,
            7 => raw.start_ns = field.fixed64()?,
            8 => raw.end_ns = field.fixed64()?,
            9 => self.attribute(message.enter(field)?)?,
            10 | 12 | 14 => drop(field.varint()?),
            11 => self.event(raw, message.enter(field)?)?,
            13 => self.link(raw, message.enter(field)?)?,
            15 => self.status(raw, message.enter(field)?)?,
            16 => field.fixed32()?,
            _ => message.skip(field)?,
        }
        Ok(())
    }

    /// Begins with the next record.
    fn clear(&mut self) {
        self.texts.clear();
        self.attributes.clear();
    }

    fn attribute(&mut self, message: Fields<'a>) -> Result<(), DecodeError> {
        if self.attributes.len() == MAX_ATTRIBUTES {
            let (key, value) = key_value(message)?;
            self.aside(key, &value);
            self.decoded.over_limit += 1;
            return Ok(());
        }
        if let Some((key, value)) = plain_key_value(message.rest()) {
            let key = self.texts.keep(1, key);
            let value = match value {
                PlainValue::Text(text) => RawValue::Text(self.texts.keep(1, text)),
                PlainValue::Int(number) => RawValue::Other(Value::Int(number)),
            };
            self.attributes.push((key, value));
            return Ok(());
        }
        let (key, value) = key_value(message)?;
        if composite::is_cut(&value) {
            self.visitor.unread();
            self.decoded.over_limit += 1;
        }
        self.attributes.push((self.texts.keep(1, key.as_bytes()), RawValue::Other(value)));
        Ok(())
    }

    fn status(&mut self, raw: &mut RawSpan<'a>, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                2 => raw.status_message = self.texts.keep(2, field.bytes()?),
                3 => raw.status_code = field.varint()? as i32,
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    fn link(&mut self, raw: &mut RawSpan<'a>, mut message: Fields<'a>) -> Result<(), DecodeError> {
        let (mut trace_id, mut span_id) = (&[][..], &[][..]);
        while let Some(field) = message.next()? {
            match field.number {
                1 => trace_id = field.bytes()?,
                2 => span_id = field.bytes()?,
                3 => drop(field.text()?),
                4 => {
                    let (key, value) = key_value(message.enter(field)?)?;
                    self.aside(key, &value);
                }
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

    /// An attribute of which nothing is kept.
    fn aside(&mut self, key: &str, value: &Value<'_>) {
        self.visitor.aside(key, value);
        if composite::is_cut(value) {
            self.visitor.unread();
        }
    }

    /// An event, of which only the type of an exception is kept.
    fn event(&mut self, raw: &mut RawSpan<'a>, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => drop(field.fixed64()?),
                2 => self.visitor.aside("", &Value::Text(field.text()?.into())),
                3 => {
                    let (key, value) = key_value(message.enter(field)?)?;
                    self.aside(key, &value);
                    if let (EXCEPTION_TYPE, Value::Text(exception)) = (key, value) {
                        raw.exception = exception;
                    }
                }
                4 => drop(field.varint()?),
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }
}

/// The texts of a record, and its attributes, in the memory of `spare`; `others` is where its texts stand beside those.
fn checked<'t, const N: usize>(
    texts: &'t Texts,
    attributes: &'t [RawAttribute<'_>],
    others: [Place; N],
    spare: &mut Vec<Attribute<'static>>,
) -> Result<(Checked<'t>, Vec<Attribute<'t>>), DecodeError> {
    let of_attribute = |(key, value): &RawAttribute<'_>| match value {
        RawValue::Text(value) => [*key, *value],
        RawValue::Other(_) => [*key; 2],
    };
    let texts = texts.check(others.into_iter().chain(attributes.iter().flat_map(of_attribute)))?;
    let mut views = emptied(std::mem::take(spare));
    views.reserve(attributes.len());
    for (key, value) in attributes {
        let value = match value {
            RawValue::Text(place) => Value::Text(texts.get(*place)?.into()),
            RawValue::Other(value) => value.clone(),
        };
        views.push((texts.get(*key)?.into(), value));
    }
    Ok((texts, views))
}

#[cfg(test)]
pub(super) mod tests;
