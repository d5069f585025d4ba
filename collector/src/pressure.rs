//! What to give up where the process takes more memory than it may.
//!
//! Shares of the memory are kept by counting what is asked for. What the allocator adds to it, how buffers lie, and what
//! nobody counts shows in what the process takes in all, so the two shares that come and go by the second, those of requests
//! and of pending traces, shrink by as much as is missing. Facts and names do not: what they forget is gone.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::budget::Budget;

/// How often it is looked how much memory the process takes: in so short a time little is received.
const INTERVAL: Duration = Duration::from_millis(50);

/// Of the limit, the part that is free before anything is given up: one in this many.
const PART_UNPRESSED: usize = 4;

/// Of a share, the part that is never given up: one in this many.
const PART_KEPT: usize = 4;

/// Presses `budget` by what the process takes of `limit` bytes, again and again. Not on the thread of whoever takes much.
pub(crate) async fn watch(budget: Budget, limit: usize) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // Where the system does not tell once, it never does.
    while let Some(resident) = resident() {
        budget.press(pressure(resident, limit));
        ticks.tick().await;
    }
}

/// How many bytes each share is to give up where the process takes `resident` of `limit` bytes.
fn pressure(resident: usize, limit: usize) -> usize {
    resident.saturating_sub(limit - limit / PART_UNPRESSED)
}

/// What is left of a share of `bytes` under `pressure`.
pub(crate) fn left(bytes: usize, pressure: usize) -> usize {
    bytes.saturating_sub(pressure).max(bytes / PART_KEPT)
}

/// How many bytes of the machine's memory the process takes; none where the system does not tell.
fn resident() -> Option<usize> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(resident: usize, expected: usize) {
        assert_eq!(left(400, pressure(resident, 1600)), expected, "{resident} of 1600");
    }

    #[test]
    fn shares_shrink_when_nearly_all_is_taken_and_never_to_nothing() {
        check(0, 400);
        check(1200, 400);
        check(1201, 399);
        check(1400, 200);
        check(1600, 100);
        check(usize::MAX, 100);
    }

    #[test]
    fn a_process_takes_memory() {
        assert!(resident().is_none_or(|bytes| bytes > 1 << 20));
    }
}
