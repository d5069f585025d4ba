//! How encoders write spans in JSON: without white space, the members in the order of their numbers in protobuf.

use std::ops::Range;

use super::Envelope;
use super::values::enumeration;
use crate::decode::ids::SpanIds;
use crate::decode::json_reader::{JsonReader, plain_digits, plain_length};
use crate::decode::layouts::{Head, Read, Step, Way, Writing};

/// The kinds of values that may be open.
const TEXT: u8 = 0;
const BOOL: u8 = 1;
const INT: u8 = 2;
const DOUBLE: u8 = 3;
/// What stands before a value, its kind, and what stands behind it. Integers are texts or numbers, but digits in both.
const AROUND_VALUES: [(&str, u8, &str); 5] = [
    ("stringValue\":\"", TEXT, "\"}}"),
    ("intValue\":\"", INT, "\"}}"),
    ("intValue\":", INT, "}}"),
    ("boolValue\":", BOOL, "}}"),
    ("doubleValue\":", DOUBLE, "}}"),
];
/// The number of the field, as errors of protobuf name it; nobody sees it here.
const NO_FIELD: u32 = 0;

/// JSON as encoders write it.
pub(super) struct Json;

impl Writing for Json {
    fn find(head: &Head<'_>, open: &[u16], way: &mut Way) -> Option<usize> {
        let mut reader = JsonReader::new(head.rest);
        let mut attributes = None;
        while reader.exactly("}").is_none() {
            reader.exactly(",")?;
            let name = reader.plain_text()?;
            reader.exactly(":")?;
            match name {
                "attributes" if attributes.is_none() => attributes = Some(find_open(&mut reader, open, way)?),
                "events" | "links" => reader.exactly("[]")?,
                "status" | "flags" | "droppedAttributesCount" | "droppedEventsCount" | "droppedLinksCount" => {
                    reader.skip().ok()?;
                }
                // What belongs into the head, or makes a layout not worth its while.
                _ => return None,
            }
        }
        way.same(head.rest.len());
        Some(attributes.unwrap_or_default())
    }

    fn read(way: &Way, rest: &[u8], read: &mut Read) -> Option<usize> {
        let mut left = rest;
        for step in way.steps() {
            match *step {
                Step::Same(from, to) => left = left.strip_prefix(way.bytes(from, to))?,
                Step::Open(from, to, kind) => {
                    left = left.strip_prefix(way.bytes(from, to))?;
                    left = &left[open_value(kind, left, read)?..];
                }
            }
        }
        Some(rest.len() - left.len())
    }
}

/// Finds the open ones in an array of attributes, and answers how many there are in all.
fn find_open(reader: &mut JsonReader<'_>, open: &[u16], way: &mut Way) -> Option<usize> {
    let mut attributes = 0;
    reader.exactly("[")?;
    if reader.exactly("]").is_some() {
        return Some(0);
    }
    loop {
        let attribute = *reader;
        reader.skip().ok()?;
        if open.binary_search(&attributes).is_ok()
            && let Some((value, kind)) = find_value(attribute)
        {
            way.open(attributes, value, kind);
        }
        attributes += 1;
        if reader.exactly("]").is_some() {
            return Some(attributes.into());
        }
        reader.exactly(",")?;
    }
}

/// Where the value of an attribute stands and of which kind it is; none where it is not the only one.
fn find_value(mut attribute: JsonReader<'_>) -> Option<(Range<usize>, u8)> {
    attribute.exactly("{\"key\":")?;
    attribute.plain_text()?;
    attribute.exactly(",\"value\":{\"")?;
    let is_before = |(before, ..): &(&str, u8, &str)| attribute.exactly(before).is_some();
    let (_, kind, after) = AROUND_VALUES.into_iter().find(is_before)?;
    let start = attribute.at();
    attribute.pass(open_value(kind, attribute.rest(), &mut Read::default())?);
    let end = attribute.at();
    attribute.exactly(after)?;
    Some((start..end, kind))
}

/// Reads a value that `text` begins with, and answers how long it is. What comes behind it is the same again: a
/// quotation mark ends no number, nor a bracket a text.
#[inline]
fn open_value(kind: u8, text: &[u8], read: &mut Read) -> Option<usize> {
    match kind {
        TEXT => {
            let length = plain_length(text);
            let is_whole = length > 0 && text.get(length) == Some(&b'"');
            is_whole.then(|| read.text(NO_FIELD, &text[..length]))?;
            Some(length)
        }
        INT => {
            let (number, length) = integer(text)?;
            read.integer(number);
            Some(length)
        }
        BOOL => {
            let value = text.starts_with(b"true");
            let length = if value { "true".len() } else { text.starts_with(b"false").then_some("false".len())? };
            read.boolean(value);
            Some(length)
        }
        _ => {
            let is_part = |byte: &u8| matches!(byte, b'0'..=b'9' | b'+' | b'-' | b'.' | b'e' | b'E');
            let length = text.iter().position(|byte| !is_part(byte))?;
            let mut number = JsonReader::new(&text[..length]);
            read.double(number.double().ok()?);
            number.end().ok()?;
            Some(length)
        }
    }
}

/// The integer that `text` begins with, and how long it is; none where it has zeros before its digits, or many digits.
fn integer(text: &[u8]) -> Option<(i64, usize)> {
    let digits = text.strip_prefix(b"-").unwrap_or(text);
    let (number, count) = plain_digits(digits)?;
    if count > 1 && digits[0] == b'0' {
        return None;
    }
    let number = i64::try_from(number).ok()?;
    let sign = text.len() - digits.len();
    Some((if sign == 0 { number } else { -number }, sign + count))
}

/// The head of the span that `reader` is before; none where it is written in another way, or has a state, which may be
/// another in each trace.
pub(super) fn head(mut reader: JsonReader<'_>, envelope: Envelope) -> Option<Head<'_>> {
    reader.exactly("{\"traceId\":")?;
    let trace_id = envelope.id(reader.plain_text()?);
    reader.exactly(",\"spanId\":")?;
    let span_id = envelope.id(reader.plain_text()?);
    // Most write it although it is empty.
    let _ = reader.exactly(",\"traceState\":\"\"");
    let has_parent = reader.exactly(",\"parentSpanId\":").is_some();
    let parent_id = envelope.id(if has_parent { reader.plain_text()? } else { "" });
    if reader.exactly(",\"flags\":").is_some() {
        reader.integer::<u32>().ok()?;
    }
    reader.exactly(",\"name\":")?;
    let name = reader.plain_text()?.as_bytes();
    let mut kind = None;
    if reader.exactly(",\"kind\":").is_some() {
        kind = Some(u8::try_from(enumeration(&mut reader).ok()?).ok()?);
    }
    reader.exactly(",\"startTimeUnixNano\":")?;
    let start_ns = reader.integer().ok()?;
    reader.exactly(",\"endTimeUnixNano\":")?;
    let end_ns = reader.integer().ok()?;
    let ids = SpanIds::check(trace_id, span_id, parent_id).ok()?;
    let (trace_id, span_id, parent_id) = (ids.trace, ids.span, ids.parent);
    Some(Head { trace_id, span_id, parent_id, name, kind, start_ns, end_ns, rest: reader.rest() })
}
