//! What attributes mean: from [`crate::span::SpanView`] to [`crate::Span`].
use crate::span::{Attribute, Refusal, SpanBatch, SpanView, SpanVisitor};

/// Builds a [`SpanBatch`] of what a decoder shows.
#[derive(Debug, Default)]
pub struct BatchBuilder {
    batch: SpanBatch,
}

impl BatchBuilder {
    /// The batch.
    pub fn finish(self) -> SpanBatch {
        self.batch
    }
}

impl SpanVisitor for BatchBuilder {
    fn resource(&mut self, _attributes: &[Attribute<'_>]) {}
    fn span(&mut self, _span: &SpanView<'_>) {}
    fn refuse(&mut self, refusal: Refusal) {
        self.batch.refused += 1;
        self.batch.refusals.push(refusal);
    }
}
