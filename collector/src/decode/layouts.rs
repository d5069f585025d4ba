//! Spans like one that was shown before, read without walking through their fields: encoders write what is alike byte
//! for byte alike, so only what differs has to be read.
//!
//! It is a short cut, never a second opinion: a span that fits no layout is walked through, and a property test holds
//! that both ways show the same. Spans with events or links are not kept here. How spans are written is the business of
//! each format (`Writing`).

use std::borrow::Cow;
use std::hash::BuildHasher as _;
use std::ops::Range;

use spanlint_graph::SpanVisitor;
use spanlint_graph::hash::RandomState;
use spanlint_graph::recent::{Recent, Remember};
use spanlint_graph::span::{Attribute, Likeness, SpanId, SpanKind, SpanView, TraceId, Value};

use super::composite;
use super::texts::{Place, Texts};

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

/// How a format writes spans.
pub(super) trait Writing {
    /// Finds the way through a span behind its head: which of the attributes that may be `open` are written so that they
    /// can be, and what is the same between them. Answers how many attributes it has; none where it has something that
    /// makes a layout not worth its while.
    fn find(head: &Head<'_>, open: &[u16], way: &mut Way) -> Option<usize>;

    /// Reads the open values on that way through `rest`, and answers how long it is; none where it leads elsewhere.
    fn read(way: &Way, rest: &[u8], read: &mut Read) -> Option<usize>;
}

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

/// What a span begins with where it is written as encoders write it: all but its attributes, its status and what few
/// spans have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head<'a> {
    pub(super) trace_id: TraceId,
    pub(super) span_id: SpanId,
    pub(super) parent_id: SpanId,
    pub(super) name: &'a [u8],
    /// One byte, as nearly all have it; none where it is not given.
    pub(super) kind: Option<u8>,
    pub(super) start_ns: u64,
    pub(super) end_ns: u64,
    /// What follows; more than the span where its end is not known.
    pub(super) rest: &'a [u8],
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
    way: Way,
    kind: SpanKind,
    /// As its head has it.
    kind_byte: Option<u8>,
    name: Box<str>,
    is_error: bool,
    status_message: Box<str>,
    /// Those of the first of them; where values are open, those of the last.
    attributes: Box<[Attribute<'static>]>,
    /// How many bytes its texts have, but for values that are open.
    text_bytes: usize,
}

/// A way through the bytes of a span.
#[derive(Debug, Default)]
pub(super) struct Way {
    steps: Vec<Step>,
    /// What the first of them has behind its head.
    bytes: Box<[u8]>,
    /// The places of the attributes whose values are open, in ascending order.
    open: Vec<u16>,
    /// Up to here it goes.
    done: u16,
}

/// What comes next in the bytes of a span.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step {
    /// The same as in the first of them from here to there.
    Same(u16, u16),
    /// The same from here to there, and then the value of an attribute that is not, but is written so.
    Open(u16, u16, u8),
}

/// What is read of one span; memory for that of the next.
#[derive(Debug, Default)]
pub(super) struct Read {
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
    /// Takes a text that came in `field`.
    #[inline]
    pub(super) fn text(&mut self, field: u32, text: &[u8]) {
        self.open.push(Open::Text(self.texts.keep(field, text)));
    }

    /// Takes a boolean.
    pub(super) fn boolean(&mut self, value: bool) {
        self.open.push(Open::Bool(value));
    }

    /// Takes an integer.
    #[inline]
    pub(super) fn integer(&mut self, value: i64) {
        self.open.push(Open::Int(value));
    }

    /// Takes a double.
    pub(super) fn double(&mut self, value: f64) {
        self.open.push(Open::Double(value));
    }
}

impl Way {
    /// Goes on over what is the same up to `to`.
    pub(super) fn same(&mut self, to: usize) {
        if usize::from(self.done) < to {
            self.steps.push(Step::Same(self.done, to as u16));
            self.done = to as u16;
        }
    }

    /// Goes on to `to` over what the format reads by itself.
    pub(super) fn pass(&mut self, to: usize) {
        self.done = to as u16;
    }

    /// Goes on over what is the same up to the `value` of the attribute at `place`, which is open and written in the way
    /// `tag`, and over that.
    pub(super) fn open(&mut self, place: u16, value: Range<usize>, tag: u8) {
        self.steps.push(Step::Open(self.done, value.start as u16, tag));
        self.open.push(place);
        self.done = value.end as u16;
    }

    /// What comes after another.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What is the same from here to there.
    #[inline]
    pub(super) fn bytes(&self, from: u16, to: u16) -> &[u8] {
        &self.bytes[usize::from(from)..usize::from(to)]
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

    /// Learns how a resource is written that the visitor recalls by `key`. Nothing of it went over a limit, which would
    /// have to be told each time.
    pub(super) fn learn_resource(&mut self, (sender, bytes): (u64, &[u8]), key: u128) {
        if bytes.len() <= MAX_BYTES {
            self.resources.remove(&sender);
            self.resources.insert(sender, KnownResource { bytes: bytes.into(), key });
        }
    }

    /// Shows a span to `visitor` where a layout fits, and answers how long it is behind its head.
    pub(super) fn show<W: Writing>(
        &mut self,
        (beginning, head): (Beginning, &Head<'_>),
        visitor: &mut impl SpanVisitor,
    ) -> Option<usize> {
        let alike = self.by_beginning.get(&beginning)?;
        let read = &mut self.read;
        let show = |layout: &mut Layout| {
            let length = layout.read::<W>(head, read)?;
            layout.show(head, read, visitor).then_some(length)
        };
        let shown = alike.layouts.iter_mut().map(show).enumerate().find_map(|(found, length)| Some((found, length?)));
        let Some((found, length)) = shown else {
            alike.misses += 1;
            return None;
        };
        // The next is likely to be as this one.
        if found > 0 {
            alike.layouts.swap(0, found);
        }
        Some(length)
    }

    /// Learns how spans of a likeness are written; `view` is what this one says, and nothing follows it in `head`.
    pub(super) fn learn<W: Writing>(
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
        if let Some(layout) = Layout::of::<W>(head, view, likeness) {
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

impl Layout {
    fn of<W: Writing>(head: &Head<'_>, view: &SpanView<'_>, likeness: &Likeness) -> Option<Self> {
        let is_cut = view.attributes.iter().any(|(_, value)| composite::is_cut(value));
        if head.rest.len() > MAX_BYTES || is_cut {
            return None;
        }
        let mut way = Way { bytes: head.rest.into(), ..Way::default() };
        let attributes = W::find(head, &likeness.open, &mut way)?;
        way.steps.shrink_to_fit();
        way.open.shrink_to_fit();
        let is_open = |place: usize| u16::try_from(place).is_ok_and(|place| way.open.binary_search(&place).is_ok());
        let of_attribute = |(place, (key, value)): (usize, &Attribute<'_>)| match value {
            Value::Text(_) if is_open(place) => key.len(),
            Value::Text(text) => key.len() + text.len(),
            Value::Composite(text) => key.len() + text.len(),
            Value::Bool(_) | Value::Int(_) | Value::Double(_) => key.len() + size_of::<u64>(),
        };
        let of_attributes: usize = view.attributes.iter().enumerate().map(of_attribute).sum();
        (attributes == view.attributes.len()).then(|| Self {
            key: likeness.key,
            way,
            kind: view.kind,
            kind_byte: head.kind,
            name: (*view.name).into(),
            is_error: view.is_error,
            status_message: (*view.status_message).into(),
            attributes: view.attributes.iter().map(owned).collect(),
            text_bytes: view.name.len() + view.status_message.len() + of_attributes,
        })
    }

    /// How many bytes it takes, about.
    fn size(&self) -> usize {
        let Self { way: Way { steps, bytes, .. }, attributes, text_bytes, .. } = self;
        size_of::<Self>() + size_of_val(&**steps) + bytes.len() + text_bytes + size_of_val(&**attributes)
    }

    /// Reads what is open in a span, and answers how long it is behind its head; none where it is not one of these.
    fn read<W: Writing>(&self, head: &Head<'_>, read: &mut Read) -> Option<usize> {
        if *head.name != *self.name.as_bytes() || head.kind != self.kind_byte {
            return None;
        }
        read.texts.clear();
        read.open.clear();
        W::read(&self.way, head.rest, read)
    }

    /// Shows a span that was read to `visitor`; false where it is not taken.
    fn show(&mut self, head: &Head<'_>, read: &Read, visitor: &mut impl SpanVisitor) -> bool {
        let Ok(texts) = read.texts.check([]) else { return false };
        for (place, value) in self.way.open.iter().zip(&read.open) {
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
        let is_taken = visitor.alike(&view, self.key, self.text_bytes + read.texts.len());
        // No text is longer than all of them.
        if read.texts.len() > MAX_KEPT_BYTES {
            for place in &self.way.open {
                forget_long(&mut self.attributes[usize::from(*place)].1);
            }
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
