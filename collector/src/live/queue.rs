//! The bounded queue between receivers and the one owner of the graph.
//!
//! A batch is taken at once or not at all: nobody waits for room, since a waiting request would hold memory that no
//! limit counts. Whoever is turned away is told when to come again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use spanlint_graph::SpanBatch;
use tokio::sync::mpsc;

use crate::budget::{Budget, Grant};
use crate::limits::{MEMORY_BYTES, REQUEST_SHARE};
use crate::size::batch_bytes;

/// The most batches that wait for the owner of the graph: small ones fill their places long before their bytes count.
pub const MAX_QUEUED_BATCHES: usize = 8192;

/// The most bytes of requests in flight and batches that wait for the owner of the graph.
pub const MAX_QUEUED_BYTES: usize = MEMORY_BYTES / REQUEST_SHARE;

/// Of either bound, the part that is free in a queue that is about to turn senders away: one in this many.
const NEARLY_FULL: usize = 4;

/// When a sender that was turned away should come again: the owner empties a full queue in less.
pub(crate) const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Where receivers hand in what they decoded.
#[derive(Debug, Clone)]
pub struct Intake {
    sender: mpsc::Sender<Queued>,
    budget: Budget,
    busy_spans: Arc<AtomicU64>,
}

/// A batch that waits, with the memory it takes.
#[derive(Debug)]
pub(crate) struct Queued {
    pub(crate) batch: SpanBatch,
    _grant: Grant,
}

/// Room for one batch in the queue, and the batch itself, which is not in yet. Dropping it gives the room back.
#[derive(Debug)]
pub struct Reserved {
    place: mpsc::OwnedPermit<Queued>,
    queued: Queued,
}

impl Reserved {
    /// Puts the batch in; its spans are part of what the collector publishes.
    pub fn submit(self) {
        self.place.send(self.queued);
    }
}

/// The queue is full, or the collector is stopping; nothing of the batch was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the collector is busy, retry after {retry_after:?}")]
pub struct Busy {
    /// How long the sender should wait.
    pub retry_after: Duration,
}

impl Intake {
    /// Hands in a batch. Once this returns `Ok`, its spans are part of what the collector publishes.
    pub fn submit(&self, batch: SpanBatch) -> Result<(), Busy> {
        self.reserve(batch, self.budget.grant()).map(Reserved::submit)
    }

    /// What pays for requests and for batches that wait.
    pub fn budget(&self) -> &Budget {
        &self.budget
    }

    /// Makes sure of room for a batch, which is put in later: what is made durable must not be turned away then.
    /// `grant` has paid for the batch, or a part of it.
    pub fn reserve(&self, batch: SpanBatch, grant: Grant) -> Result<Reserved, Busy> {
        let spans = batch.spans.len() as u64;
        self.try_reserve(batch, grant).ok_or_else(|| {
            self.busy_spans.fetch_add(spans, Ordering::Relaxed);
            Busy { retry_after: RETRY_AFTER }
        })
    }

    /// Whether little of the queue is free, so that senders are turned away now or soon.
    pub fn is_nearly_full(&self) -> bool {
        self.sender.capacity() < MAX_QUEUED_BATCHES / NEARLY_FULL
            || self.budget.left().saturating_sub(self.budget.used()) < self.budget.left() / NEARLY_FULL
    }

    /// How many spans were in batches that were turned away.
    pub(super) fn busy_spans(&self) -> u64 {
        self.busy_spans.load(Ordering::Relaxed)
    }

    fn try_reserve(&self, batch: SpanBatch, mut grant: Grant) -> Option<Reserved> {
        grant.resize(batch_bytes(&batch)).ok()?;
        let place = self.sender.clone().try_reserve_owned().ok()?;
        Some(Reserved { place, queued: Queued { batch, _grant: grant } })
    }
}

/// A new queue: where batches go in, and where the owner of the graph takes them out; `bytes` for them and for the
/// requests that they come from.
pub(crate) fn queue(bytes: usize) -> (Intake, mpsc::Receiver<Queued>) {
    let (sender, receiver) = mpsc::channel(MAX_QUEUED_BATCHES);
    (Intake { sender, budget: Budget::new(bytes), busy_spans: Arc::default() }, receiver)
}

#[cfg(test)]
mod tests {
    use spanlint_graph::span::Detail;

    use super::*;
    use crate::testing::{batch, root};

    /// A batch of one span that takes a little more than `bytes`.
    fn heavy(bytes: usize) -> SpanBatch {
        let mut batch = batch(&[root(1, 1)]);
        batch.spans[0].detail = Detail::new(&"x".repeat(bytes), "", []);
        batch
    }

    #[tokio::test]
    async fn a_queue_full_of_batches_turns_away_until_one_is_taken() {
        let (intake, mut batches) = queue(MAX_QUEUED_BYTES);
        for _ in 0..MAX_QUEUED_BATCHES {
            intake.submit(SpanBatch::default()).unwrap();
        }
        assert_eq!(intake.submit(batch(&[root(1, 1)])), Err(Busy { retry_after: RETRY_AFTER }));
        assert_eq!(intake.busy_spans(), 1);
        batches.recv().await.unwrap();
        intake.submit(batch(&[root(1, 1)])).unwrap();
    }

    #[tokio::test]
    async fn a_queue_full_of_bytes_turns_away_until_they_are_used() {
        let (intake, mut batches) = queue(MAX_QUEUED_BYTES);
        intake.submit(heavy(MAX_QUEUED_BYTES / 2)).unwrap();
        intake.submit(heavy(MAX_QUEUED_BYTES / 2)).unwrap_err();
        let first = batches.recv().await.unwrap();
        intake.submit(heavy(MAX_QUEUED_BYTES / 2)).unwrap_err();
        drop(first);
        intake.submit(heavy(MAX_QUEUED_BYTES / 3)).unwrap();
    }

    #[tokio::test]
    async fn little_room_is_told_before_senders_are_turned_away() {
        let (intake, mut batches) = queue(MAX_QUEUED_BYTES);
        for _ in 0..MAX_QUEUED_BATCHES - MAX_QUEUED_BATCHES / NEARLY_FULL {
            intake.submit(SpanBatch::default()).unwrap();
        }
        assert!(!intake.is_nearly_full());
        intake.submit(SpanBatch::default()).unwrap();
        assert!(intake.is_nearly_full());
        for _ in 0..MAX_QUEUED_BATCHES / 2 {
            batches.recv().await.unwrap();
        }
        assert!(!intake.is_nearly_full());
        intake.submit(heavy(MAX_QUEUED_BYTES / NEARLY_FULL * (NEARLY_FULL - 1))).unwrap();
        assert!(intake.is_nearly_full());
    }

    #[tokio::test]
    async fn a_closed_queue_turns_away() {
        let (intake, batches) = queue(MAX_QUEUED_BYTES);
        drop(batches);
        intake.submit(SpanBatch::default()).unwrap_err();
    }
}
