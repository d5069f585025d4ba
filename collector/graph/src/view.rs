//! Spans as a decoder shows them: borrowed. Decoders know wire formats and nothing of meaning, [`crate::semantics`] knows
//! meaning and nothing of wire formats; [`SpanVisitor`] is the seam between the two.

use std::borrow::Cow;
use std::fmt;

use crate::log::LogView;
use crate::measurement::PointView;
use crate::span::{Link, SpanId, SpanKind, TraceId};

/// The value of an attribute, borrowed from the request where that is possible.
#[derive(Debug, Clone, PartialEq)]
pub enum Value<'a> {
    /// A string.
    Text(Cow<'a, str>),
    /// A boolean.
    Bool(bool),
    /// A 64-bit integer.
    Int(i64),
    /// A double.
    Double(f64),
    /// An array, a map or bytes, as JSON text.
    Composite(String),
}

impl Value<'_> {
    /// The value as text, as it is shown.
    pub fn to_text(&self) -> Cow<'_, str> {
        match self {
            Self::Text(text) => Cow::Borrowed(text),
            Self::Bool(value) => Cow::Borrowed(if *value { "true" } else { "false" }),
            Self::Int(value) => Cow::Owned(value.to_string()),
            Self::Double(value) => Cow::Owned(value.to_string()),
            Self::Composite(text) => Cow::Borrowed(text),
        }
    }

    /// The value as an integer; decimal text counts, as old instrumentations send numbers so.
    pub fn to_int(&self) -> Option<i64> {
        match self {
            Self::Int(value) => Some(*value),
            Self::Text(text) => text.parse().ok(),
            Self::Double(value) if value.fract() == 0.0 => Some(*value as i64),
            _ => None,
        }
    }
}

/// Key and value of one attribute.
pub type Attribute<'a> = (Cow<'a, str>, Value<'a>);

/// One span as a decoder shows it: ids already validated, nothing copied that need not be.
#[derive(Debug, Clone, Default)]
pub struct SpanView<'a> {
    /// Never zero.
    pub trace_id: TraceId,
    /// Never zero.
    pub span_id: SpanId,
    /// [`SpanId::NONE`] for a root.
    pub parent_id: SpanId,
    /// As sent.
    pub kind: SpanKind,
    /// As sent, not yet scrubbed.
    pub name: Cow<'a, str>,
    /// Unix time in nanoseconds.
    pub start_ns: u64,
    /// Unix time in nanoseconds; may lie before the start in broken input.
    pub end_ns: u64,
    /// Whether the status code is `ERROR`.
    pub is_error: bool,
    /// The message of the status, empty where there is none.
    pub status_message: Cow<'a, str>,
    /// The type of the exception that its events tell of, of several that of the last; empty where there is none.
    pub exception: Cow<'a, str>,
    /// The W3C `tracestate`, empty where there is none.
    pub trace_state: Cow<'a, str>,
    /// In the order sent.
    pub attributes: &'a [Attribute<'a>],
    /// In the order sent.
    pub links: &'a [Link],
}

impl SpanView<'_> {
    /// The span that caused this one: its parent. One that has none, but follows one other span of its trace, is caused
    /// by that one: receivers and agents write so what crosses from one process or thread to another (`SkyWalking`,
    /// Jaeger's `FOLLOWS_FROM`).
    pub(crate) fn caused_by(&self) -> SpanId {
        let is_another = |link: &&Link| link.trace_id == self.trace_id && link.span_id != self.span_id;
        match self.links {
            [link] if self.parent_id == SpanId::NONE && is_another(&link) => link.span_id,
            _ if self.parent_id == self.span_id => SpanId::NONE,
            _ => self.parent_id,
        }
    }
}

/// A span that was not taken, and why; its neighbours live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The name of the span, scrubbed and cut.
    pub span_name: String,
    /// What is wrong with it, lower case, for example `trace id has 8 bytes, wants 16`.
    pub reason: String,
}

impl fmt::Display for Refusal {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "span \"{}\": {}", self.span_name, self.reason)
    }
}

/// By what spans are known to be like one another: those of a likeness have one meaning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Likeness {
    /// What it is recalled by.
    pub key: u128,
    /// The places of the attributes in whose values they may differ, in ascending order. Texts are not empty there, and
    /// numbers stay numbers. In ids and times they differ, in everything else they are the same.
    pub open: Box<[u16]>,
}

/// What a decoder tells of a request, in its order: each resource is followed by what it sent.
pub trait SpanVisitor {
    /// The spans that follow belong to the resource with these attributes.
    fn resource(&mut self, attributes: &[Attribute<'_>]);

    /// By what the last resource is recalled, where it is remembered.
    fn recalled_by(&mut self) -> Option<u128> {
        None
    }

    /// The spans that follow belong to the resource that is recalled by `key`, whose texts have so many bytes. False
    /// where it is forgotten: then nothing happened, and it is to be shown.
    fn recall(&mut self, _key: u128, _text_bytes: usize) -> bool {
        false
    }

    /// A span of the current resource.
    fn span(&mut self, span: &SpanView<'_>);

    /// What the last span is like, where others like it are known.
    fn likeness(&mut self) -> Option<Likeness> {
        None
    }

    /// A span of the current resource that differs from one that was shown before only in what the [`Likeness`] with
    /// this key leaves open; its texts have no more than so many bytes. False where it is not taken: then nothing
    /// happened, and it is to be shown as any other.
    fn alike(&mut self, _span: &SpanView<'_>, _key: u128, _text_bytes: usize) -> bool {
        false
    }

    /// An attribute of something that is not shown, as of an event; the key is empty for its name.
    fn aside(&mut self, _key: &str, _value: &Value<'_>) {}

    /// The request holds texts that nobody looked at.
    fn unread(&mut self) {}

    /// A span of the current resource that cannot be taken.
    fn refuse(&mut self, refusal: Refusal);

    /// A log record of the current resource; whoever looks for spans alone passes over it.
    fn log(&mut self, _log: &LogView<'_>) {}

    /// A point of a [`Standard`](crate::measurement::Standard) metric of the current resource; whoever looks for spans
    /// alone passes over it.
    fn point(&mut self, _point: &PointView<'_>) {}
}
