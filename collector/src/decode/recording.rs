//! A visitor that remembers what it was shown, for tests.

use spanlint_graph::SpanVisitor;
use spanlint_graph::TraceId;
use spanlint_graph::span::{Attribute, Link, Refusal, SpanId, SpanKind, SpanView, Value};

pub(crate) type OwnedAttributes = Vec<(String, Value<'static>)>;

/// One call of the visitor.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Shown {
    Resource(OwnedAttributes),
    Span(Box<OwnedSpan>),
    Refused(Refusal),
}

#[derive(Debug, Clone, PartialEq, Default)]
pub(crate) struct OwnedSpan {
    pub(crate) trace_id: TraceId,
    pub(crate) span_id: SpanId,
    pub(crate) parent_id: SpanId,
    pub(crate) kind: SpanKind,
    pub(crate) name: String,
    pub(crate) start_ns: u64,
    pub(crate) end_ns: u64,
    pub(crate) is_error: bool,
    pub(crate) status_message: String,
    pub(crate) exception: String,
    pub(crate) attributes: OwnedAttributes,
    pub(crate) trace_state: String,
    pub(crate) links: Vec<Link>,
}

/// Everything that was shown, in its order.
#[derive(Debug, Default)]
pub(crate) struct Recording(pub(crate) Vec<Shown>);

impl Recording {
    pub(crate) fn spans(&self) -> impl Iterator<Item = &OwnedSpan> {
        self.0.iter().filter_map(|shown| if let Shown::Span(span) = shown { Some(&**span) } else { None })
    }

    pub(crate) fn refusals(&self) -> Vec<String> {
        let refused =
            |shown: &Shown| if let Shown::Refused(refusal) = shown { Some(refusal.to_string()) } else { None };
        self.0.iter().filter_map(refused).collect()
    }
}

impl SpanVisitor for Recording {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        self.0.push(Shown::Resource(owned(attributes)));
    }

    fn span(&mut self, span: &SpanView<'_>) {
        self.0.push(Shown::Span(Box::new(OwnedSpan {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_id: span.parent_id,
            kind: span.kind,
            name: span.name.to_string(),
            start_ns: span.start_ns,
            end_ns: span.end_ns,
            is_error: span.is_error,
            status_message: span.status_message.to_string(),
            exception: span.exception.to_string(),
            attributes: owned(span.attributes),
            trace_state: span.trace_state.to_string(),
            links: span.links.to_vec(),
        })));
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.0.push(Shown::Refused(refusal));
    }
}

/// Doubles become their text: no NaN equals itself.
fn owned(attributes: &[Attribute<'_>]) -> OwnedAttributes {
    let value = |value: &Value<'_>| match value {
        Value::Text(text) => Value::Text(text.to_string().into()),
        Value::Bool(value) => Value::Bool(*value),
        Value::Int(value) => Value::Int(*value),
        Value::Double(value) => Value::Composite(format!("{value:?}")),
        Value::Composite(text) => Value::Composite(text.clone()),
    };
    attributes.iter().map(|(key, found)| (key.to_string(), value(found))).collect()
}
