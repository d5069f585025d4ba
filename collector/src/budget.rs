//! The bytes that all requests together may take, from the first byte of a body until the owner of the graph has taken
//! its spans: asked for before memory is spent, given back when it is free again.
//!
//! Nobody who has something waits for more, since others may wait for that. Whoever has nothing yet waits a moment: it
//! is the sender that is slowed then, and what it sends is read once. Whoever gets nothing even so is told to come again.
//!
//! The last part of it is for small requests alone: whoever sends much is told to come again before whoever sends little.
//! Where the process takes too much memory in all, there is less for everybody.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::pressure::left;

/// Of the bytes, the part that is for small grants: one in this many.
const PART_FOR_SMALL: usize = 8;

/// Of the bytes, the part that is free when somebody who waited comes in: one in this many.
const PART_TO_SPARE: usize = 16;

/// Of the bytes, the part that a grant may have under any pressure where there is no other: one in this many.
const PART_FOR_ONE: usize = 2;

/// The most bytes of a small grant: what a hundred spans take.
const SMALL_GRANT_BYTES: usize = 128 << 10;

/// A number of bytes shared by all requests.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Shares>);

#[derive(Debug)]
struct Shares {
    limit: usize,
    /// What to give less at present.
    pressure: AtomicUsize,
    used: AtomicUsize,
    /// Wakes one of those who wait whenever bytes come back.
    freed: Notify,
}

/// Why no more bytes were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exceeded {
    /// Others have them; they will give them back.
    ForNow,
    /// All bytes that it may have together would not be enough.
    ForGood,
}

impl Budget {
    /// A budget of `limit` bytes, all of them free.
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Shares { limit, pressure: AtomicUsize::new(0), used: AtomicUsize::new(0), freed: Notify::new() }))
    }

    /// A grant of no bytes yet.
    pub fn grant(&self) -> Grant {
        Grant { budget: self.clone(), bytes: 0 }
    }

    /// How many bytes there are in all.
    pub fn limit(&self) -> usize {
        self.0.limit
    }

    /// How many of them are taken.
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// How many bytes there are to give at present.
    pub fn left(&self) -> usize {
        left(self.limit(), self.pressure())
    }

    /// The pressure that it is under.
    pub(crate) fn pressure(&self) -> usize {
        self.0.pressure.load(Ordering::Relaxed)
    }

    /// Gives less, or more again, from now on; what was given stays.
    pub(crate) fn press(&self, pressure: usize) {
        self.0.pressure.store(pressure, Ordering::Relaxed);
        self.0.freed.notify_one();
    }

    /// Waits until a new grant could have `bytes` and some were left for those who come in at the same time, where so many
    /// are to be had at all, but no longer than `patience`. It is no grant that waits, so nobody does who has something.
    pub async fn wait(&self, bytes: usize, patience: Duration) -> Result<(), Exceeded> {
        let wanted = bytes.saturating_add(self.limit() / PART_TO_SPARE).min(most_for(bytes, self.limit()));
        let deadline = Instant::now() + patience;
        while self.used() > self.present_most_for(bytes).saturating_sub(wanted) {
            timeout_at(deadline, self.0.freed.notified()).await.map_err(|_| Exceeded::ForNow)?;
        }
        // There may be enough for the next, too.
        self.0.freed.notify_one();
        Ok(())
    }

    /// How many of them may be taken at present so that one grant has `bytes`.
    fn present_most_for(&self, bytes: usize) -> usize {
        most_for(bytes, self.left())
    }
}

/// How many of `limit` bytes may be taken so that one grant has `bytes`.
fn most_for(bytes: usize, limit: usize) -> usize {
    if bytes > SMALL_GRANT_BYTES { limit - limit / PART_FOR_SMALL } else { limit }
}

/// Bytes taken from a budget; dropping it gives them back. A request has one for all that it takes, so that it is known
/// when it alone takes too much.
#[derive(Debug)]
pub struct Grant {
    budget: Budget,
    bytes: usize,
}

impl Grant {
    /// How many bytes it has.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// `bytes` of it, at most what it has, as a grant of their own.
    #[must_use]
    pub fn split(&mut self, bytes: usize) -> Self {
        let bytes = bytes.min(self.bytes);
        self.bytes -= bytes;
        Self { budget: self.budget.clone(), bytes }
    }

    /// Takes `bytes` more, or none of them.
    pub fn grow(&mut self, bytes: usize) -> Result<(), Exceeded> {
        let wanted = self.bytes.saturating_add(bytes);
        if wanted > most_for(wanted, self.budget.limit()) {
            return Err(Exceeded::ForGood);
        }
        let (most, most_alone) = (self.budget.present_most_for(wanted), self.budget.limit() / PART_FOR_ONE);
        // Nobody is told to come again for ever: where no other has anything, there is more.
        let most = |used| if used == self.bytes { most.max(most_alone) } else { most };
        let add = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= most(used));
        self.budget.0.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).map_err(|_| Exceeded::ForNow)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Whether it could take `bytes` more now, where they are to be had at all.
    pub fn check(&mut self, bytes: usize) -> Result<(), Exceeded> {
        match self.grow(bytes) {
            Err(Exceeded::ForNow) => Err(Exceeded::ForNow),
            Err(Exceeded::ForGood) => Ok(()),
            Ok(()) => {
                self.shrink(bytes);
                Ok(())
            }
        }
    }

    /// Gives back `bytes`, at most what it has.
    pub fn shrink(&mut self, bytes: usize) {
        let bytes = bytes.min(self.bytes);
        if bytes > 0 {
            self.budget.0.used.fetch_sub(bytes, Ordering::Relaxed);
            self.bytes -= bytes;
            self.budget.0.freed.notify_one();
        }
    }

    /// Takes or gives back bytes until it has `bytes`; on failure it has what it had.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Exceeded> {
        self.shrink(self.bytes.saturating_sub(bytes));
        self.grow(bytes - self.bytes)
    }

    /// Makes room for `more` bytes in `buffer`, which this grant pays for. While the buffer moves, both places are paid.
    pub fn reserve(&mut self, buffer: &mut Vec<u8>, more: usize) -> Result<(), Exceeded> {
        let (old, needed) = (buffer.capacity(), buffer.len() + more);
        if needed > old {
            let new = needed.max(old * 2);
            self.grow(new)?;
            buffer.reserve_exact(new - buffer.len());
            self.shrink(old);
        }
        Ok(())
    }
}

impl Drop for Grant {
    fn drop(&mut self) {
        self.shrink(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_comes_back() {
        let budget = Budget::new(100);
        let mut first = budget.grant();
        let mut second = budget.grant();
        first.grow(60).unwrap();
        assert_eq!(second.grow(41), Err(Exceeded::ForNow));
        second.grow(40).unwrap();
        assert_eq!((budget.used(), second.bytes()), (100, 40));
        let part = first.split(50);
        assert_eq!((first.bytes(), part.bytes(), budget.used()), (10, 50, 100));
        drop(part);
        assert_eq!(second.resize(91), Err(Exceeded::ForNow));
        second.resize(90).unwrap();
        drop((first, second));
        assert_eq!(budget.used(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_nothing_waits_for_a_moment() {
        let budget = Budget::new(100);
        let patience = Duration::from_secs(1);
        let mut first = budget.grant();
        first.grow(90).unwrap();
        let waiting: [_; 3] = std::array::from_fn(|_| {
            let budget = budget.clone();
            tokio::spawn(async move { budget.wait(20, patience).await })
        });
        tokio::task::yield_now().await;
        // One wakes the next.
        first.shrink(50);
        for each in waiting {
            assert_eq!(each.await.unwrap(), Ok(()));
        }
        first.grow(50).unwrap();
        let begun = Instant::now();
        assert_eq!(budget.wait(20, patience).await, Err(Exceeded::ForNow));
        assert_eq!(begun.elapsed(), patience);
        drop(first);
        assert_eq!(budget.wait(101, patience).await, Ok(()), "it is told so when it asks for them");
    }

    #[test]
    fn under_pressure_less_is_given_and_nothing_is_refused_for_good() {
        let budget = Budget::new(400);
        let mut grant = budget.grant();
        grant.grow(250).unwrap();
        budget.press(200);
        assert_eq!((budget.left(), grant.grow(1)), (200, Err(Exceeded::ForNow)));
        grant.shrink(100);
        assert_eq!(grant.grow(51), Err(Exceeded::ForNow));
        grant.grow(50).unwrap();
        budget.press(0);
        grant.grow(200).unwrap();
    }

    #[test]
    fn under_any_pressure_one_alone_has_something() {
        let budget = Budget::new(400);
        budget.press(usize::MAX);
        let (mut first, mut second) = (budget.grant(), budget.grant());
        first.grow(200).unwrap();
        assert_eq!((first.grow(1), second.grow(1)), (Err(Exceeded::ForNow), Err(Exceeded::ForNow)));
        first.shrink(190);
        second.grow(15).unwrap();
        assert_eq!(first.grow(1), Err(Exceeded::ForNow));
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_waits_goes_on_when_the_pressure_is_off() {
        let budget = Budget::new(400);
        let mut grant = budget.grant();
        grant.grow(100).unwrap();
        budget.press(400);
        let waiting = tokio::spawn({
            let budget = budget.clone();
            async move { budget.wait(100, Duration::from_secs(1)).await }
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        budget.press(0);
        assert_eq!(waiting.await.unwrap(), Ok(()));
    }

    #[test]
    fn what_can_never_fit_is_told_apart() {
        let budget = Budget::new(100);
        let mut grant = budget.grant();
        assert_eq!(grant.grow(101), Err(Exceeded::ForGood));
        grant.grow(1).unwrap();
        assert_eq!(grant.grow(usize::MAX), Err(Exceeded::ForGood));
        assert_eq!(budget.used(), 1);
    }

    #[test]
    fn the_last_part_is_for_small_grants() {
        let limit = 64 * SMALL_GRANT_BYTES;
        let budget = Budget::new(limit);
        let (mut large, mut small) = (budget.grant(), budget.grant());
        large.grow(limit / 8 * 7).unwrap();
        assert_eq!(large.grow(1), Err(Exceeded::ForGood));
        let mut other = budget.grant();
        assert_eq!(other.check(SMALL_GRANT_BYTES + 1), Err(Exceeded::ForNow));
        assert_eq!(other.check(limit), Ok(()));
        small.grow(SMALL_GRANT_BYTES).unwrap();
        assert_eq!(small.grow(1), Err(Exceeded::ForNow));
        assert_eq!(budget.used(), limit / 8 * 7 + SMALL_GRANT_BYTES);
    }

    #[test]
    fn a_buffer_is_paid_before_it_grows() {
        let budget = Budget::new(100);
        let (mut grant, mut buffer) = (budget.grant(), Vec::new());
        grant.reserve(&mut buffer, 30).unwrap();
        assert_eq!((buffer.capacity(), grant.bytes()), (30, 30));
        buffer.resize(30, 0);
        // Old and new place together.
        assert_eq!(grant.reserve(&mut buffer, 41), Err(Exceeded::ForGood));
        grant.reserve(&mut buffer, 1).unwrap();
        assert_eq!((buffer.capacity(), grant.bytes()), (60, 60));
    }
}
