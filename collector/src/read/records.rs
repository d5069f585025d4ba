//! What recordings hold together.

use spanlint_graph::span::Refusal;
use spanlint_graph::{Gathered, LogLine, SpanBatch, Vocabulary};

/// The records of recordings.
#[derive(Debug, Default)]
pub struct Records {
    /// The spans, each trace in the order recorded.
    pub spans: Gathered,
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
    /// Adds what one request held. Measurements of a recording say nothing of its graph.
    pub(super) fn add(&mut self, batch: SpanBatch) {
        let SpanBatch { spans, logs, vocabulary, refused, refusals, .. } = batch;
        self.spans.add(spans);
        self.merge(Self { spans: Gathered::default(), logs, vocabulary, refused, refusals });
    }

    /// Adds what other recordings hold.
    pub(super) fn merge(&mut self, other: Self) {
        self.spans.merge(other.spans);
        self.logs.extend(other.logs);
        self.vocabulary.merge(&other.vocabulary);
        self.refused += other.refused;
        let room = SpanBatch::MAX_REFUSALS.saturating_sub(self.refusals.len());
        self.refusals.extend(other.refusals.into_iter().take(room));
    }
}
