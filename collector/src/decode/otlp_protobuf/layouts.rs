//! Spans like one that was shown before, read without walking through their fields: encoders write what is alike byte
//! for byte alike, so only what differs has to be read.
//!
//! It is a short cut, never a second opinion: a span that fits no layout is walked through, and a property test holds
//! that both ways show the same. Spans with events or links are not kept here.

use std::borrow::Cow;
use std::hash::BuildHasher as _;

use spanlint_graph::SpanVisitor;
use spanlint_graph::hash::RandomState;
use spanlint_graph::recent::{Recent, Remember};
use spanlint_graph::span::{Attribute, Likeness, SpanId, SpanKind, SpanView, TraceId, Value};

use super::texts::{Place, Texts};
use super::values::{INT, KEY, TEXT, VALUE, field};
use crate::decode::composite;
use crate::decode::wire::{Fields, Payload, varint};

/// How many bytes layouts take, where nobody says otherwise.
const LAYOUT_BYTES: usize = 8 << 20;
/// The longest span that a layout is made of, and the longest resource that is remembered.
const MAX_BYTES: usize = 4096;
/// Of the bytes that are remembered, the part that resources take: one in so many.
const RESOURCES_SHARE: usize = 16;
/// The longest value that stays in memory until its place is needed for that of the next span.
const MAX_KEPT_BYTES: usize = 128;
/// The most layouts of spans that begin alike.
const MAX_ALIKE: usize = 8;
/// Of spans that begin alike so many are learned from when they fit no layout, and later one of as many.
const LESSONS: u64 = 64;

/// How spans are written that were read before.
#[derive(Debug)]
pub struct Layouts {
    by_beginning: Recent<Beginning, Alike>,
    /// Resources by the hash that tells their sender.
    resources: Recent<u64, KnownResource>,
    /// For hashes that nobody can foresee.
    hasher: RandomState,
    read: Read,
}

/// A resource as it is written, and what the visitor recalls it by.
#[derive(Debug)]
struct KnownResource {
    bytes: Box<[u8]>,
    key: u128,
}

/// What a span begins with where it is written as encoders write it, in the order of the fields: all but its
/// attributes, its status and what few spans have.
#[derive(Debug)]
pub(super) struct Head<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    parent_id: SpanId,
    name: &'a [u8],
    /// One byte, as nearly all have it; none where it is not given.
    kind: Option<u8>,
    start_ns: u64,
    end_ns: u64,
    rest: &'a [u8],
}

/// A hash of the sender, name and kind of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Beginning(u64);

/// Spans that begin alike.
#[derive(Debug, Default)]
struct Alike {
    layouts: Vec<Layout>,
    /// How many of them fitted none.
    misses: u64,
}

/// How the spans of one likeness are written.
#[derive(Debug)]
struct Layout {
    /// That of the likeness.
    key: u128,
    /// Behind the head.
    steps: Box<[Step]>,
    /// Those of the first of them behind its head.
    bytes: Box<[u8]>,
    kind: SpanKind,
    /// As its head has it.
    kind_byte: Option<u8>,
    name: Box<str>,
    is_error: bool,
    status_message: Box<str>,
    /// Those of the first of them; where values are open, those of the last.
    attributes: Box<[Attribute<'static>]>,
    /// The places of those attributes whose values are open.
    open: Box<[u16]>,
    /// How many bytes of its texts are not bytes of the span: arrays and maps are shown as JSON.
    composite_bytes: usize,
}

/// What comes next in the bytes of a span.
#[derive(Debug, Clone, Copy)]
enum Step {
    /// The same as in the first of them from here to there.
    Same(u16, u16),
    /// An attribute whose key, from here to there, is the same, and whose value is not, but is of this type.
    Open(u16, u16, ValueTag),
}

/// What a value begins with.
type ValueTag = u8;
const BOOL: ValueTag = 2 << 3;
const DOUBLE: ValueTag = 4 << 3 | 1;
/// What an attribute begins with.
const ATTRIBUTE: u8 = 9 << 3 | 2;

/// What is read of one span; memory for that of the next.
#[derive(Debug, Default)]
struct Read {
    texts: Texts,
    open: Vec<Open>,
}

/// A value of its own.
#[derive(Debug, Clone, Copy)]
enum Open {
    Text(Place),
    Bool(bool),
    Int(i64),
    Double(f64),
}

impl Read {
    /// Reads a value that begins with `tag`.
    #[inline]
    fn open_value(&mut self, tag: ValueTag, value: &[u8]) -> Option<()> {
        if tag == TEXT {
            let (text @ [_, ..], []) = field(TEXT, value)? else { return None };
            self.open.push(Open::Text(self.texts.keep(u32::from(TEXT >> 3), text)));
            return Some(());
        }
        let mut rest = value.strip_prefix(&[tag])?;
        if tag == DOUBLE {
            self.open.push(Open::Double(f64::from_le_bytes(rest.try_into().ok()?)));
            return Some(());
        }
        let number = varint(&mut rest).ok().filter(|_| rest.is_empty())?;
        match tag {
            BOOL => self.open.push(Open::Bool(number != 0)),
            INT => self.open.push(Open::Int(number as i64)),
            _ => return None,
        }
        Some(())
    }
}

impl Default for Layouts {
    fn default() -> Self {
        Self::within(LAYOUT_BYTES)
    }
}

impl Layouts {
    /// Layouts that take no more than `bytes`, about.
    pub fn within(bytes: usize) -> Self {
        let (resources, spans) = (bytes / RESOURCES_SHARE, bytes - bytes / RESOURCES_SHARE);
        Self {
            by_beginning: Recent::within(spans),
            resources: Recent::within(resources),
            hasher: RandomState::default(),
            read: Read::default(),
        }
    }

    /// A number for a sender who is told by these bytes and by what `before` tells.
    pub(super) fn sender(&self, before: u64, resource: &[u8]) -> u64 {
        self.hasher.hash_one((before, resource))
    }

    /// What tells spans of `sender` that begin with `head` from others.
    pub(super) fn beginning(&self, sender: u64, head: &Head<'_>) -> Beginning {
        Beginning(self.hasher.hash_one((sender, head.kind, head.name)))
    }

    /// Shows a resource to `visitor` that both know; its sender is told by the hash.
    pub(super) fn recall(&mut self, (sender, bytes): (u64, &[u8]), visitor: &mut impl SpanVisitor) -> bool {
        let known = self.resources.get(&sender).filter(|known| *known.bytes == *bytes);
        known.is_some_and(|known| visitor.recall(known.key, bytes.len()))
    }

    /// Learns how a resource is written that the visitor recalls by `key`.
    pub(super) fn learn_resource(&mut self, (sender, bytes): (u64, &[u8]), key: u128) {
        if bytes.len() <= MAX_BYTES {
            self.resources.remove(&sender);
            self.resources.insert(sender, KnownResource { bytes: bytes.into(), key });
        }
    }

    /// Shows a span to `visitor` where a layout fits.
    pub(super) fn show(&mut self, (beginning, head): (Beginning, &Head<'_>), visitor: &mut impl SpanVisitor) -> bool {
        let Some(alike) = self.by_beginning.get(&beginning) else { return false };
        let read = &mut self.read;
        let is_shown = |layout: &mut Layout| layout.read(head, read).is_some() && layout.show(head, read, visitor);
        let Some(found) = alike.layouts.iter_mut().position(is_shown) else {
            alike.misses += 1;
            return false;
        };
        // The next is likely to be as this one.
        alike.layouts.swap(0, found);
        true
    }

    /// Learns how spans of a likeness are written; `view` is what this one says.
    pub(super) fn learn(
        &mut self,
        (beginning, head): (Beginning, &Head<'_>),
        view: &SpanView<'_>,
        likeness: &Likeness,
    ) {
        let misses = self.by_beginning.get(&beginning).map_or(0, |alike| alike.misses);
        if misses >= LESSONS && !misses.is_multiple_of(LESSONS) {
            return;
        }
        let mut alike = self.by_beginning.remove(&beginning).unwrap_or_default();
        if let Some(layout) = Layout::of(head, view, likeness) {
            alike.layouts.truncate(MAX_ALIKE - 1);
            alike.layouts.insert(0, layout);
        }
        self.by_beginning.insert(beginning, alike);
    }
}

impl Remember for KnownResource {
    fn bytes(&self) -> usize {
        size_of::<(u64, Self)>() + self.bytes.len()
    }
}

impl Remember for Alike {
    fn bytes(&self) -> usize {
        size_of::<(Beginning, Self)>() + self.layouts.iter().map(Layout::size).sum::<usize>()
    }
}

impl<'a> Head<'a> {
    /// The head of a span; none where it is written in another way, or has a state, which may be another in each trace.
    pub(super) fn of(message: &'a [u8]) -> Option<Self> {
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
        has_ids.then_some(Self { trace_id, span_id, parent_id, name, kind, start_ns, end_ns, rest })
    }
}

impl Layout {
    fn of(head: &Head<'_>, view: &SpanView<'_>, likeness: &Likeness) -> Option<Self> {
        let is_cut = view.attributes.iter().any(|(_, value)| composite::is_cut(value));
        if head.rest.len() > MAX_BYTES || is_cut {
            return None;
        }
        let mut fields = Fields::of(head.rest);
        let (mut steps, mut open) = (Vec::new(), Vec::new());
        // Up to here the steps go.
        let (mut done, mut place) = (0, 0);
        loop {
            let from = head.rest.len() - fields.rest().len();
            let Some(field) = fields.next().ok()? else { break };
            let to = head.rest.len() - fields.rest().len();
            match (field.number, field.payload) {
                (9, Payload::Bytes(attribute)) => {
                    place += 1;
                    let is_open = likeness.open.binary_search(&(place - 1)).is_ok();
                    let Some((key, tag)) = key_and_tag(attribute).filter(|_| is_open) else { continue };
                    open.push(place - 1);
                    let from_key = to - attribute.len();
                    let attribute = Step::Open(from_key as u16, (from_key + key) as u16, tag);
                    steps.extend([Step::Same(done as u16, from as u16), attribute]);
                    done = to;
                }
                (10 | 12 | 14..=16, _) => {}
                // What belongs into the head, or makes a layout not worth its while.
                _ => return None,
            }
        }
        steps.push(Step::Same(done as u16, head.rest.len() as u16));
        (usize::from(place) == view.attributes.len()).then(|| Self {
            key: likeness.key,
            steps: steps.into_boxed_slice(),
            bytes: head.rest.into(),
            kind: view.kind,
            kind_byte: head.kind,
            name: (*view.name).into(),
            is_error: view.is_error,
            status_message: (*view.status_message).into(),
            attributes: view.attributes.iter().map(owned).collect(),
            open: open.into_boxed_slice(),
            composite_bytes: view.attributes.iter().map(composite_bytes).sum(),
        })
    }

    /// How many bytes it takes, about.
    fn size(&self) -> usize {
        let Self { steps, bytes, attributes, composite_bytes, .. } = self;
        let texts = 2 * bytes.len() + composite_bytes;
        size_of::<Self>() + size_of_val(&**steps) + texts + size_of_val(&**attributes)
    }

    /// Reads what is open in a span; none where it is not one of these.
    fn read(&self, head: &Head<'_>, read: &mut Read) -> Option<()> {
        if *head.name != *self.name.as_bytes() || head.kind != self.kind_byte {
            return None;
        }
        read.texts.clear();
        read.open.clear();
        let mut rest = head.rest;
        let same = |from: u16, to: u16| &self.bytes[usize::from(from)..usize::from(to)];
        for step in &self.steps {
            match *step {
                Step::Same(from, to) => rest = rest.strip_prefix(same(from, to))?,
                Step::Open(from, to, tag) => {
                    let (attribute, after) = field(ATTRIBUTE, rest)?;
                    let (value, []) = field(VALUE, attribute.strip_prefix(same(from, to))?)? else { return None };
                    read.open_value(tag, value)?;
                    rest = after;
                }
            }
        }
        rest.is_empty().then_some(())
    }

    /// Shows a span that was read to `visitor`; false where it is not taken.
    fn show(&mut self, head: &Head<'_>, read: &Read, visitor: &mut impl SpanVisitor) -> bool {
        let Ok(texts) = read.texts.check([]) else { return false };
        for (place, value) in self.open.iter().zip(&read.open) {
            let known = &mut self.attributes[usize::from(*place)].1;
            match *value {
                Open::Text(place) => {
                    let Ok(text) = texts.get(place) else { return false };
                    put(known, text);
                }
                Open::Bool(value) => *known = Value::Bool(value),
                Open::Int(value) => *known = Value::Int(value),
                Open::Double(value) => *known = Value::Double(value),
            }
        }
        let view = SpanView {
            trace_id: head.trace_id,
            span_id: head.span_id,
            parent_id: head.parent_id,
            kind: self.kind,
            name: Cow::Borrowed(&self.name),
            start_ns: head.start_ns,
            end_ns: head.end_ns,
            is_error: self.is_error,
            status_message: Cow::Borrowed(&self.status_message),
            attributes: &self.attributes,
            ..SpanView::default()
        };
        let text_bytes = head.name.len() + head.rest.len() + self.composite_bytes;
        let is_taken = visitor.alike(&view, self.key, text_bytes);
        for place in &self.open {
            forget_long(&mut self.attributes[usize::from(*place)].1);
        }
        is_taken
    }
}

/// Makes `text` the value, in the memory that the last one had.
fn put(value: &mut Value<'static>, text: &str) {
    if let Value::Text(Cow::Owned(known)) = value {
        known.clear();
        known.push_str(text);
    } else {
        *value = Value::Text(Cow::Owned(text.to_owned()));
    }
}

/// Gives back what nobody pays for.
fn forget_long(value: &mut Value<'static>) {
    if matches!(value, Value::Text(Cow::Owned(text)) if text.capacity() > MAX_KEPT_BYTES) {
        *value = composite::EMPTY;
    }
}

fn composite_bytes((_, value): &Attribute<'_>) -> usize {
    if let Value::Composite(text) = value { text.len() } else { 0 }
}

/// How long the key of an attribute is, with its tag and length, and the type of its value; none where that is empty,
/// or is neither a text nor a number.
fn key_and_tag(attribute: &[u8]) -> Option<(usize, ValueTag)> {
    let (_, rest) = field(KEY, attribute)?;
    let (value, []) = field(VALUE, rest)? else { return None };
    let tag = *value.first()?;
    Read::default().open_value(tag, value)?;
    Some((attribute.len() - rest.len(), tag))
}

#[inline]
fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*taken)
}

fn owned((key, value): &Attribute<'_>) -> Attribute<'static> {
    let value = match value {
        Value::Text(text) => Value::Text(Cow::Owned(text.to_string())),
        Value::Composite(text) => Value::Composite(text.clone()),
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Double(value) => Value::Double(*value),
    };
    (Cow::Owned(key.to_string()), value)
}

const _: () = assert!(MAX_BYTES <= u16::MAX as usize, "steps count in 16 bits");

#[cfg(test)]
mod tests;
