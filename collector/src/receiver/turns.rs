//! Where requests are decoded, so that one that takes long does not hold up the others.
//!
//! The threads that read from connections decode only what is small and not compressed. Everything else goes to other
//! threads, as many at a time as there are cores, and waits for its turn; what is small when it arrives has turns of its
//! own, so that it does not stand behind what is large.

use std::num::NonZero;
use std::sync::Arc;
use std::thread::available_parallelism;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;
use crate::live::RETRY_AFTER;

/// The largest request that is small: about forty spans.
const SMALL_BYTES: usize = 16 << 10;

/// The turns of one collector.
#[derive(Debug, Clone)]
pub struct Turns {
    small: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Default for Turns {
    fn default() -> Self {
        let cores = available_parallelism().map_or(1, NonZero::get);
        Self { small: Arc::new(Semaphore::new(cores)), large: Arc::new(Semaphore::new(cores)) }
    }
}

impl Turns {
    /// What `decode` makes of a request of so many bytes.
    pub(super) async fn take<T: Send + 'static>(
        &self,
        bytes: usize,
        is_compressed: bool,
        decode: impl FnOnce() -> Result<T, Problem> + Send + 'static,
    ) -> Result<T, Problem> {
        let is_small = bytes <= SMALL_BYTES;
        if is_small && !is_compressed {
            return decode();
        }
        let turns = if is_small { &self.small } else { &self.large };
        let turn = Arc::clone(turns).acquire_owned().await.expect("the semaphore is never closed");
        let decoded = tokio::task::spawn_blocking(move || decode_in(turn, decode)).await;
        // The runtime is ending, or the decoder has panicked.
        decoded.unwrap_or_else(|_| Err(Problem::busy(RETRY_AFTER)))
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
        let turns = Turns { small: Arc::new(Semaphore::new(1)), large: Arc::new(Semaphore::new(1)) };
        let (release, held) = oneshot::channel();
        let (begin, begun) = oneshot::channel();
        let holder = turns.clone();
        let hold = move || {
            begin.send(()).unwrap();
            Ok(held.blocking_recv().unwrap())
        };
        let large = tokio::spawn(async move { holder.take(SMALL_BYTES + 1, false, hold).await });
        begun.await.unwrap();
        let waiting = tokio::spawn({
            let turns = turns.clone();
            async move { turns.take(SMALL_BYTES + 1, false, || Ok(2)).await }
        });
        assert_eq!(turns.take(SMALL_BYTES, false, || Ok(3)).await, Ok(3));
        assert_eq!(turns.take(SMALL_BYTES, true, || Ok(4)).await, Ok(4));
        assert!(!waiting.is_finished());
        release.send(1).unwrap();
        assert_eq!((large.await.unwrap(), waiting.await.unwrap()), (Ok(1), Ok(2)));
    }
}
