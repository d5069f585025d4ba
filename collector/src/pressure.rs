//! What to give up where the process takes more memory than it may.
//!
//! Shares of the memory are kept by counting what is asked for. What the allocator adds to it, how buffers lie, and what
//! nobody counts shows in what the process takes in all. From three quarters of the limit on, the two shares that come and
//! go by the second, those of requests and of pending traces, each give up as much as is over. What facts forget is gone:
//! they give up only what is over nine tenths of it.

use std::time::Duration;

use tokio::time::MissedTickBehavior;

use crate::budget::Budget;

/// How often it is looked how much memory the process takes: in so short a time little is received.
const INTERVAL: Duration = Duration::from_millis(50);

/// Of the limit, the part that is free before anything is given up: one in this many.
const PART_FREE: usize = 4;

/// Of the limit, the part that is free before facts are given up, which takes longer: one in this many.
const PART_FREE_OF_FACTS: usize = 10;

/// Of a share, the part that is never given up: one in this many.
const PART_KEPT: usize = 16;

/// Presses `budget` by what the process takes of `limit` bytes, again and again. This is not for the thread that owns the
/// graph, which may take long and much at once.
pub(crate) async fn watch(budget: Budget, limit: usize) {
    let mut ticks = tokio::time::interval(INTERVAL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        if let Some(pressure) = present(limit) {
            budget.press(pressure);
        }
        ticks.tick().await;
    }
}

/// The present pressure on whoever shares `limit` bytes; none where the system does not tell what the process takes, be it
/// for once.
pub(crate) fn present(limit: usize) -> Option<usize> {
    resident().map(|resident| pressure(resident, limit))
}

/// How many bytes each share is to give up where the process takes `resident` of `limit` bytes.
fn pressure(resident: usize, limit: usize) -> usize {
    resident.saturating_sub(limit - limit / PART_FREE)
}

/// What is left of a share of `bytes` under `pressure`.
pub(crate) fn left(bytes: usize, pressure: usize) -> usize {
    bytes.saturating_sub(pressure).max(bytes / PART_KEPT)
}

/// What is left to facts of a share of `bytes`.
pub(crate) fn left_of_facts(bytes: usize, pressure: usize, limit: usize) -> usize {
    left(bytes, pressure.saturating_sub(limit / PART_FREE - limit / PART_FREE_OF_FACTS))
}

/// How many bytes of the machine's memory the process takes.
fn resident() -> Option<usize> {
    memory_stats::memory_stats().map(|stats| stats.physical_mem)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of shares of 400 of 1,600 bytes, what is left of one for requests and of one for facts.
    #[track_caller]
    fn check(resident: usize, expected: [usize; 2]) {
        let pressure = pressure(resident, 1600);
        assert_eq!([left(400, pressure), left_of_facts(400, pressure, 1600)], expected, "{resident} of 1600");
    }

    #[test]
    fn shares_shrink_when_much_is_taken_and_never_to_nothing() {
        check(0, [400, 400]);
        check(1200, [400, 400]);
        check(1201, [399, 400]);
        check(1440, [160, 400]);
        check(1600, [25, 240]);
        check(usize::MAX, [25, 25]);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_process_takes_memory() {
        assert!(resident().is_some_and(|bytes| bytes > 1 << 20));
    }
}
