//! Room for what a batch is likely to hold.

use crate::span::{SpanBatch, Vocabulary};

/// How much a batch is likely to hold: as much as the last one that had spans.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Expected {
    spans: usize,
    names: usize,
    resources: usize,
}

impl Expected {
    /// The most things of a kind for which room is made before they are seen.
    const MOST: usize = 1024;

    pub(super) fn like(batch: &SpanBatch) -> Self {
        let Vocabulary { names, resources } = &batch.vocabulary;
        let [spans, names, resources] =
            [batch.spans.len(), names.len(), resources.len()].map(|count| count.min(Self::MOST));
        Self { spans, names, resources }
    }

    pub(super) fn make_room(self, batch: &mut SpanBatch) {
        batch.spans.reserve(self.spans);
        batch.vocabulary.names.reserve(self.names);
        batch.vocabulary.resources.reserve(self.resources);
    }

    /// Gives back room for more than came.
    pub(super) fn give_back(self, batch: &mut SpanBatch) {
        let SpanBatch { spans, vocabulary: Vocabulary { names, resources }, .. } = batch;
        if spans.capacity() > 2 * spans.len() {
            spans.shrink_to_fit();
        }
        if self.names > 2 * names.len() {
            names.shrink_to_fit();
        }
        if self.resources > 2 * resources.len() {
            resources.shrink_to_fit();
        }
    }
}
