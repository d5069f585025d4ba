//! Traces read back from the log: those that memory no longer holds.
//!
//! One at a time, on a thread that may block, with their log lines. What is read is bounded; of a trace with more spans
//! or lines the first ones are shown.

use std::fmt;
use std::sync::Arc;

use spanlint_graph::span::Vocabulary;
use spanlint_graph::{LogLine, Span, Trace, TraceId, Waterfall};
use tokio::sync::Semaphore;

use super::find::Finder;
use crate::receiver::{self, Readers};

/// The most spans of one trace that are read back.
const MAX_SPANS: usize = 100_000;

/// The most log lines of one trace that are read back.
const MAX_LINES: usize = 1000;

/// Where traces that were kept on disk are asked for.
#[derive(Clone)]
pub struct KeptTraces {
    finder: Arc<Finder>,
    readers: Readers,
    turn: Arc<Semaphore>,
}

impl KeptTraces {
    pub(super) fn new(finder: Finder, readers: Readers) -> Self {
        Self { finder: Arc::new(finder), readers, turn: Arc::new(Semaphore::new(1)) }
    }

    /// The trace with this id, as far as it is kept; none if it is not, or the disk fails.
    pub async fn waterfall(&self, id: TraceId) -> Option<Waterfall> {
        let turn = Arc::clone(&self.turn).acquire_owned().await.ok()?;
        let (finder, readers) = (Arc::clone(&self.finder), self.readers.clone());
        let found = tokio::task::spawn_blocking(move || {
            let found = read(&finder, id, &readers);
            drop(turn);
            found
        });
        found.await.expect("reading back does not panic")
    }
}

impl fmt::Debug for KeptTraces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("KeptTraces").finish_non_exhaustive()
    }
}

fn read(finder: &Finder, id: TraceId, readers: &Readers) -> Option<Waterfall> {
    let (mut spans, mut lines) = (Vec::<Span>::new(), Vec::<LogLine>::new());
    let mut vocabulary = Vocabulary::default();
    let read = finder.requests_of(id, |content, request| {
        if let Ok(batch) = receiver::decode_kept(content, request, readers) {
            let before = spans.len() + lines.len();
            spans.extend(batch.spans.into_iter().filter(|span| span.trace_id == id));
            lines.extend(batch.logs.into_iter().filter(|line| line.trace_id == id).take(MAX_LINES - lines.len()));
            if spans.len() + lines.len() > before {
                vocabulary.merge(&batch.vocabulary);
            }
        }
        spans.len() < MAX_SPANS
    });
    if let Err(error) = read {
        tracing::warn!(%error, "traces cannot be read back from the log");
    }
    spans.truncate(MAX_SPANS);
    (!spans.is_empty()).then(|| Trace::new(spans).waterfall(&vocabulary).with_logs(&lines, &vocabulary))
}
