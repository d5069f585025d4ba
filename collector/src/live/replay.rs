//! What arrived before a restart, lived through again at its own times.
//!
//! The owner is shown every batch with the time it arrived, and settles in between as it did then. So traces fall into
//! the buckets they fell into, those that were pending still are, and the window has slid on to now. Where the batches
//! were kept is not known here.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use spanlint_graph::SpanBatch;

use super::owner::{LiveSettings, Owner};
use super::{Live, run};
use crate::clock::{Clock, Moment};
use crate::pressure;

/// How often traces are settled in the time that is lived through again: at whole seconds since the first batch.
const STEP: Duration = Duration::from_secs(1);

/// An owner that catches up with the present before it starts to run.
#[derive(Debug)]
pub struct Replay {
    owner: Owner,
    request_bytes: usize,
    memory_bytes: Option<usize>,
    /// The time of the latest batch; none before the first.
    now: Option<Moment>,
    settled_at: Duration,
}

impl Replay {
    /// An owner to which nothing has happened.
    pub fn new(settings: &LiveSettings) -> Self {
        let LiveSettings { request_bytes, memory_bytes, .. } = *settings;
        Self { owner: Owner::new(settings), request_bytes, memory_bytes, now: None, settled_at: Duration::ZERO }
    }

    /// Takes a batch that arrived at `unix_ns` (Unix time in nanoseconds).
    pub fn add(&mut self, batch: SpanBatch, unix_ns: u64) {
        if let Some(pressure) = self.memory_bytes.and_then(pressure::present) {
            self.owner.press(pressure);
        }
        let now = self.pass_to(unix_ns);
        self.owner.absorb(batch, now);
    }

    /// Catches up with `clock`, publishes, and runs on a thread of its own; see [`Live::start`].
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(mut self, clock: Clock) -> io::Result<Live> {
        let caught_up = self.pass_to(clock().unix_ns);
        // The monotonic time goes on from where the replayed one ended.
        let continued: Clock = Arc::new(move || {
            let now = clock();
            Moment { elapsed: caught_up.elapsed + now.elapsed, ..now }
        });
        run(self.owner, self.request_bytes, continued)
    }

    /// Lets the time pass until `unix_ns`. Should that be in the past, a clock was set back, and no time passes.
    fn pass_to(&mut self, unix_ns: u64) -> Moment {
        let from = self.now.unwrap_or(Moment { elapsed: Duration::ZERO, unix_ns });
        let passed = Duration::from_nanos(unix_ns.saturating_sub(from.unix_ns));
        let to = Moment { elapsed: from.elapsed + passed, unix_ns };
        while self.settled_at + STEP <= to.elapsed && self.owner.has_pending() {
            self.settled_at += STEP;
            let until_then = to.elapsed.saturating_sub(self.settled_at).as_nanos() as u64;
            let then = Moment { elapsed: self.settled_at, unix_ns: unix_ns.saturating_sub(until_then) };
            self.owner.settle(then);
        }
        if !self.owner.has_pending() {
            self.settled_at = Duration::from_secs(to.elapsed.as_secs());
        }
        self.now = Some(to);
        to
    }
}

#[cfg(test)]
mod tests;
