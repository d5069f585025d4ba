//! Pays for the records of a request while they are decoded, and stops keeping them when they are too many or too much.
//!
//! The price errs upward; what a batch really takes is known when it is whole. Every span is counted, kept or not.

use spanlint_graph::log::LogView;
use spanlint_graph::measurement::PointView;
use spanlint_graph::span::{Attribute, Likeness, Refusal, Span, SpanView, SpanVisitor, Value};
use spanlint_graph::text::MAX_VALUE_BYTES;
use spanlint_graph::{BatchBuilder, SpanBatch};

use super::body::admission;
use super::problem::Problem;
use crate::budget::{Exceeded, Grant};

/// What a span or resource takes beside its texts: itself, and its entries in the vocabulary.
const RECORD_BYTES: usize = size_of::<Span>() + 256;

/// How often a text is kept: for people, and in the vocabulary.
const TEXT_COPIES: usize = 2;

/// How many bytes are asked for at a time.
const STEP_BYTES: usize = 16 << 10;

/// A builder that is paid for.
#[derive(Debug)]
pub(super) struct Meter<'a> {
    builder: &'a mut BatchBuilder,
    /// That of the whole request.
    grant: &'a mut Grant,
    /// Paid for this.
    paid: usize,
    /// Paid and not used yet.
    ahead: usize,
    limit: u64,
    spans: u64,
    exceeded: Option<Exceeded>,
}

/// The spans of a request, with what they take.
#[derive(Debug)]
pub(super) struct Metered {
    /// What was kept, or why nothing was.
    pub(super) kept: Result<(SpanBatch, Grant), Problem>,
    /// How many spans the request held, kept or not.
    pub(super) spans: u64,
}

impl<'a> Meter<'a> {
    /// Builds for at most `limit` spans.
    pub(super) fn new(builder: &'a mut BatchBuilder, grant: &'a mut Grant, limit: u64) -> Self {
        Self { builder, grant, paid: 0, ahead: 0, limit, spans: 0, exceeded: None }
    }

    /// The spans.
    pub(super) fn finish(self) -> Metered {
        let Self { builder, grant, paid, limit, spans, exceeded, .. } = self;
        let batch = builder.take();
        let kept = match exceeded {
            _ if spans > limit => Err(too_many(spans, limit)),
            Some(exceeded) => Err(admission(exceeded)),
            None => Ok((batch, grant.split(paid))),
        };
        Metered { kept, spans }
    }

    /// Whether there is memory for one record more, with texts of so many bytes.
    fn pays(&mut self, text_bytes: usize) -> bool {
        if self.exceeded.is_some() || self.spans > self.limit {
            // What is kept so far is of no use.
            drop(self.builder.take());
            return false;
        }
        let price = RECORD_BYTES + TEXT_COPIES * text_bytes;
        if price > self.ahead {
            let more = price.max(STEP_BYTES);
            if let Err(exceeded) = self.grant.grow(more) {
                self.exceeded = Some(exceeded);
                return false;
            }
            self.paid += more;
            self.ahead += more;
        }
        self.ahead -= price;
        true
    }
}

/// Why a request is refused that holds so many records.
pub(super) fn too_many(records: u64, limit: u64) -> Problem {
    Problem::too_large(format!("the request has {records} records, more than {limit}: send fewer at a time"))
}

impl SpanVisitor for Meter<'_> {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        if self.pays(attribute_bytes(attributes)) {
            self.builder.resource(attributes);
        }
    }

    fn recalled_by(&mut self) -> Option<u128> {
        self.builder.recalled_by()
    }

    fn recall(&mut self, key: u128, text_bytes: usize) -> bool {
        self.pays(text_bytes) && self.builder.recall(key, text_bytes)
    }

    fn span(&mut self, span: &SpanView<'_>) {
        self.spans += 1;
        if self.pays(span_bytes(span)) {
            self.builder.span(span);
        }
    }

    fn likeness(&mut self) -> Option<Likeness> {
        self.builder.likeness()
    }

    fn alike(&mut self, span: &SpanView<'_>, key: u128, text_bytes: usize) -> bool {
        let is_taken = self.pays(text_bytes) && self.builder.alike(span, key, text_bytes);
        self.spans += u64::from(is_taken);
        is_taken
    }

    fn aside(&mut self, key: &str, value: &Value<'_>) {
        self.builder.aside(key, value);
    }

    fn unread(&mut self) {
        self.builder.unread();
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.spans += 1;
        self.builder.refuse(refusal);
    }

    fn log(&mut self, log: &LogView<'_>) {
        if self.pays(text_bytes(&log.body) + attribute_bytes(log.attributes)) {
            self.builder.log(log);
        }
    }

    fn point(&mut self, point: &PointView<'_>) {
        if self.pays(0) {
            self.builder.point(point);
        }
    }
}

fn span_bytes(span: &SpanView<'_>) -> usize {
    let texts = span.name.len() + span.status_message.len() + span.exception.len() + attribute_bytes(span.attributes);
    texts + size_of_val(span.links)
}

fn attribute_bytes(attributes: &[Attribute<'_>]) -> usize {
    attributes.iter().map(|(key, value)| key.len() + text_bytes(value)).sum()
}

/// How much of a value is kept.
fn text_bytes(value: &Value<'_>) -> usize {
    let bytes = match value {
        Value::Text(text) => text.len(),
        Value::Composite(text) => text.len(),
        Value::Bool(_) | Value::Int(_) | Value::Double(_) => size_of::<u64>(),
    };
    bytes.min(MAX_VALUE_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::budget::Budget;
    use crate::size::batch_bytes;

    fn metered(bytes: usize, limit: u64, spans: usize) -> Metered {
        let mut grant = Budget::new(bytes).grant();
        let mut builder = BatchBuilder::default();
        let mut meter = Meter::new(&mut builder, &mut grant, limit);
        meter.resource(&[("service.name".into(), Value::Text("shop".into()))]);
        let long = "x".repeat(1000);
        let attributes = [("key".into(), Value::Text(long.as_str().into()))];
        for _ in 0..spans {
            meter.span(&SpanView { name: "GET /".into(), attributes: &attributes, ..SpanView::default() });
        }
        meter.finish()
    }

    #[test]
    fn a_batch_takes_no_more_than_was_paid() {
        let Metered { kept, spans } = metered(1 << 20, 100, 100);
        let (batch, grant) = kept.unwrap();
        assert_eq!((spans, batch.spans.len()), (100, 100));
        assert!(batch_bytes(&batch) <= grant.bytes(), "{} > {}", batch_bytes(&batch), grant.bytes());
    }

    #[test]
    fn too_many_spans_are_all_counted_and_none_is_kept() {
        let Metered { kept, spans } = metered(1 << 20, 100, 150);
        assert!(kept.unwrap_err().is_too_large());
        assert_eq!(spans, 150);
    }

    #[test]
    fn spans_that_take_too_much_are_all_counted_and_none_is_kept() {
        let Metered { kept, spans } = metered(100 << 10, 1000, 150);
        assert!(kept.unwrap_err().is_too_large());
        assert_eq!(spans, 150);
    }
}
