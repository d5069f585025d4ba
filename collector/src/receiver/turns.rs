//! Where requests are decoded, so that one that takes long does not hold up the others.
//!
//! The threads that read from connections decode what is not compressed and soon done, as long as few requests are on
//! their way in: what is handed over wakes another thread, and is answered by waking this one again. Where many are, they
//! decode only what is small. Everything else goes to other threads, as many at a time as there are cores, and waits for
//! its turn; what is small when it arrives has turns of its own, so that it does not stand behind what is large.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::live::RETRY_AFTER;

/// The largest request that is small: about forty spans.
const SMALL_BYTES: usize = 16 << 10;

/// The largest request that is soon done: about 1,500 spans, a millisecond.
pub(super) const SHORT_BYTES: usize = 768 << 10;

/// Few requests are on their way in: for each thread that reads from connections, so many.
const FEW: usize = 4;

/// How many threads read from connections: the owner of the graph has a core of its own.
pub(crate) fn io_threads() -> usize {
    cores().saturating_sub(1).max(1)
}

fn cores() -> usize {
    available_parallelism().map_or(1, NonZero::get)
}

/// The turns of one collector.
#[derive(Debug, Clone)]
pub struct Turns {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
    arriving: Arc<Arriving>,
    /// How many requests on their way in are few.
    few: usize,
}

/// Counts the requests that are on their way in.
#[derive(Debug, Default)]
struct Arriving(Arc<()>);

/// A request that is on its way in, until this is dropped.
#[derive(Debug)]
pub(super) struct Arrival(#[expect(dead_code, reason = "it is counted")] Arc<()>);

impl Default for Turns {
    fn default() -> Self {
        Self::of(cores())
    }
}

impl Turns {
    /// So many at a time.
    fn of(turns: usize) -> Self {
        let [small, large] = [(); 2].map(|()| Arc::new(Semaphore::new(turns)));
        Self { small, large, arriving: Arc::default(), few: FEW * io_threads() }
    }

    /// A request begins to arrive.
    pub(super) fn arrive(&self) -> Arrival {
        Arrival(Arc::clone(&self.arriving.0))
    }

    /// What `decode` makes of a request of so many bytes.
    pub(super) async fn take<T: Send + 'static>(
        &self,
        bytes: usize,
        is_compressed: bool,
        decode: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let is_small = bytes <= SMALL_BYTES;
        if !is_compressed && (is_small || bytes <= SHORT_BYTES && self.has_few()) {
            return decode();
        }
        let turns = if is_small { &self.small } else { &self.large };
        let turn = Arc::clone(turns).acquire_owned().await.expect("the semaphore is never closed");
        let decoded = tokio::task::spawn_blocking(move || decode_in(turn, decode)).await;
        // The runtime is ending, or the decoder has panicked.
        decoded.unwrap_or_else(|_| Err(Problem::busy(RETRY_AFTER)))
    }

    /// Whether few requests are on their way in.
    fn has_few(&self) -> bool {
        Arc::strong_count(&self.arriving.0) - 1 <= self.few
    }
}

/// The turn ends with the decoding, also where nobody waits for it any more.
fn decode_in<T>(turn: OwnedSemaphorePermit, decode: impl FnOnce() -> T) -> T {
    let decoded = decode();
    drop(turn);
    decoded
}

#[cfg(test)]
mod tests {
    use tokio::sync::oneshot;

    use super::*;

    #[tokio::test]
    async fn the_small_do_not_wait_for_the_large() {
        let turns = Turns::of(1);
        let (release, held) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        let holder = turns.clone();
        let hold = move || {
            begin.send(()).unwrap();
            Ok(held.blocking_recv().unwrap())
        };
        let large = tokio::spawn(async move { holder.take(SHORT_BYTES + 1, false, hold).await });
        begun.await.unwrap();
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(SHORT_BYTES + 1, false, || Ok(2)).await }
        });
        assert_eq!(turns.take(SMALL_BYTES, false, || Ok(3)).await, Ok(3));
        assert_eq!(turns.take(SMALL_BYTES, true, || Ok(4)).await, Ok(4));
        assert!(!waiting.is_finished());
        release.send(1).unwrap();
        assert_eq!((large.await.unwrap(), waiting.await.unwrap()), (Ok(1), Ok(2)));
    }

    #[tokio::test]
    async fn what_is_soon_done_is_decoded_where_it_arrives_unless_many_arrive() {
        let turns = Turns::of(1);
        let decoded_here = async |bytes: usize| {
            let here = std::thread::current().id();
            turns.take(bytes, false, move || Ok(std::thread::current().id() == here)).await.unwrap()
        };
        let arrivals: Vec<Arrival> = (0..turns.few).map(|_| turns.arrive()).collect();
        assert!(decoded_here(SHORT_BYTES).await);
        assert!(!decoded_here(SHORT_BYTES + 1).await);
        let one_more = turns.arrive();
        assert!(!decoded_here(SHORT_BYTES).await);
        assert!(decoded_here(SMALL_BYTES).await);
        drop((arrivals, one_more));
        assert!(decoded_here(SHORT_BYTES).await);
    }
}
