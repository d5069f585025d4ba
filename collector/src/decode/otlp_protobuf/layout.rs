//! How encoders write spans in protobuf: the fields in the order of their numbers.

use spanlint_graph::span::{SpanId, TraceId};

use super::values::{INT, KEY, TEXT, VALUE, field};
use crate::decode::layouts::{Head, Read, Step, Way, Writing};
use crate::decode::wire::{Fields, Payload, varint};

/// What a value begins with.
const BOOL: u8 = 2 << 3;
const DOUBLE: u8 = 4 << 3 | 1;
/// The field of a text in its value.
const TEXT_FIELD: u32 = (TEXT >> 3) as u32;
/// What an attribute begins with.
const ATTRIBUTE: u8 = 9 << 3 | 2;

/// Protobuf as encoders write it. A value that is open is told by what it begins with.
pub(super) struct Protobuf;

impl Writing for Protobuf {
    fn find(head: &Head<'_>, open: &[u16], way: &mut Way) -> Option<usize> {
        let mut fields = Fields::of(head.rest);
        let mut attributes = 0;
        loop {
            let from = head.rest.len() - fields.rest().len();
            let Some(field) = fields.next().ok()? else { break };
            let to = head.rest.len() - fields.rest().len();
            match (field.number, field.payload) {
                (9, Payload::Bytes(attribute)) => {
                    let place = attributes;
                    attributes += 1;
                    let is_open = open.binary_search(&place).is_ok();
                    let Some((key, tag)) = key_and_tag(attribute).filter(|_| is_open) else { continue };
                    let from_key = to - attribute.len();
                    way.same(from);
                    way.pass(from_key);
                    way.open(place, from_key + key..to, tag);
                }
                (10 | 12 | 14..=16, _) => {}
                // What belongs into the head, or makes a layout not worth its while.
                _ => return None,
            }
        }
        way.same(head.rest.len());
        Some(attributes.into())
    }

    fn read(way: &Way, mut rest: &[u8], read: &mut Read) -> Option<usize> {
        let length = rest.len();
        for step in way.steps() {
            match *step {
                Step::Same(from, to) => rest = rest.strip_prefix(way.bytes(from, to))?,
                Step::Open(from, to, tag) => {
                    let (attribute, after) = field(ATTRIBUTE, rest)?;
                    let value = attribute.strip_prefix(way.bytes(from, to))?;
                    match short_text(value).filter(|_| tag == TEXT) {
                        Some(text) => read.text(TEXT_FIELD, text),
                        None => open_value(tag, value, read)?,
                    }
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(length)
    }
}

/// The head of a span; none where it is written in another way, or has a state, which may be another in each trace.
pub(super) fn head(message: &[u8]) -> Option<Head<'_>> {
    const TRACE_ID: [u8; 2] = [1 << 3 | 2, 16];
    const SPAN_ID: [u8; 2] = [2 << 3 | 2, 8];
    const PARENT_ID: [u8; 2] = [4 << 3 | 2, 8];
    const NAME: u8 = 5 << 3 | 2;
    const KIND: u8 = 6 << 3;
    const START: u8 = 7 << 3 | 1;
    const END: u8 = 8 << 3 | 1;
    let mut rest = message.strip_prefix(&TRACE_ID)?;
    let trace_id = TraceId(u128::from_be_bytes(take(&mut rest)?));
    rest = rest.strip_prefix(&SPAN_ID)?;
    let span_id = SpanId(u64::from_be_bytes(take(&mut rest)?));
    let mut parent_id = SpanId::NONE;
    if let Some(parent) = rest.strip_prefix(&PARENT_ID) {
        rest = parent;
        parent_id = SpanId(u64::from_be_bytes(take(&mut rest)?));
    }
    let (name, mut rest) = field(NAME, rest)?;
    let mut kind = None;
    if let [KIND, byte @ ..0x80, after @ ..] = rest {
        (kind, rest) = (Some(*byte), after);
    }
    rest = rest.strip_prefix(&[START])?;
    let start_ns = u64::from_le_bytes(take(&mut rest)?);
    rest = rest.strip_prefix(&[END])?;
    let end_ns = u64::from_le_bytes(take(&mut rest)?);
    let has_ids = trace_id != TraceId(0) && span_id != SpanId::NONE;
    has_ids.then_some(Head { trace_id, span_id, parent_id, name, kind, start_ns, end_ns, rest })
}

/// The text of a value that is a short one, as most are, and not empty.
#[inline]
fn short_text(value: &[u8]) -> Option<&[u8]> {
    match value {
        [VALUE, outer @ ..0x80, TEXT, inner, text @ ..] => {
            let is_short = *inner > 0 && usize::from(*inner) == text.len() && usize::from(*outer) == text.len() + 2;
            is_short.then_some(text)
        }
        _ => None,
    }
}

/// Reads the value of an attribute, which begins with `tag`.
fn open_value(tag: u8, value: &[u8], read: &mut Read) -> Option<()> {
    let (value, []) = field(VALUE, value)? else { return None };
    if tag == TEXT {
        let (text @ [_, ..], []) = field(TEXT, value)? else { return None };
        read.text(TEXT_FIELD, text);
        return Some(());
    }
    let mut rest = value.strip_prefix(&[tag])?;
    if tag == DOUBLE {
        read.double(f64::from_le_bytes(rest.try_into().ok()?));
        return Some(());
    }
    let number = varint(&mut rest).ok().filter(|_| rest.is_empty())?;
    match tag {
        BOOL => read.boolean(number != 0),
        INT => read.integer(number as i64),
        _ => return None,
    }
    Some(())
}

/// How long the key of an attribute is, with its tag and length, and what its value begins with; none where that is
/// empty, or is neither a text nor a number.
fn key_and_tag(attribute: &[u8]) -> Option<(usize, u8)> {
    let (_, rest) = field(KEY, attribute)?;
    let tag = *field(VALUE, rest)?.0.first()?;
    open_value(tag, rest, &mut Read::default())?;
    Some((attribute.len() - rest.len(), tag))
}

#[inline]
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}
