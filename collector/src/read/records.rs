//! What recordings hold together.

use spanlint_graph::span::{Refusal, Span};
use spanlint_graph::{LogLine, SpanBatch, Vocabulary};

/// The records of recordings.
#[derive(Debug, Default)]
pub struct Records {
    /// The spans, request by request as they were recorded, none without any: to move them all together would take as
    /// much memory again.
    pub spans: Vec<Vec<Span>>,
    /// The log lines, in the order recorded.
    pub logs: Vec<LogLine>,
    /// What they refer to.
    pub vocabulary: Vocabulary,
    /// How many spans were refused.
    pub refused: u64,
    /// The first [`SpanBatch::MAX_REFUSALS`] refusals.
    pub refusals: Vec<Refusal>,
}

impl Records {
    /// How many spans there are.
    pub fn span_count(&self) -> usize {
        self.spans.iter().map(Vec::len).sum()
    }

    /// Adds what one request held. Measurements of a recording say nothing of its graph.
    pub(super) fn add(&mut self, batch: SpanBatch) {
        let SpanBatch { spans, logs, vocabulary, refused, refusals, .. } = batch;
        let spans = Some(spans).filter(|spans| !spans.is_empty()).into_iter().collect();
        self.merge(Self { spans, logs, vocabulary, refused, refusals });
    }

    /// Adds what other recordings hold.
    pub(super) fn merge(&mut self, other: Self) {
        self.spans.extend(other.spans);
        self.logs.extend(other.logs);
        self.vocabulary.merge(&other.vocabulary);
        self.refused += other.refused;
        let room = SpanBatch::MAX_REFUSALS.saturating_sub(self.refusals.len());
        self.refusals.extend(other.refusals.into_iter().take(room));
    }
}
