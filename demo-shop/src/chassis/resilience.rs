//! What keeps one slow or broken service from taking the others with it: deadline, retry and breaker.
//!
//! Each is small and knows nothing of HTTP; `client` puts them together.

use std::sync::Mutex;
use std::time::Duration;

use tokio::time::Instant;

/// How long one call may take with all its attempts, and how often it is tried.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) deadline: Duration,
    pub(crate) attempts: u32,
    pub(crate) backoff: Backoff,
}

impl Default for Policy {
    fn default() -> Self {
        Self {
            deadline: Duration::from_secs(5),
            attempts: 3,
            backoff: Backoff::new(Duration::from_millis(20), Duration::from_millis(200)),
        }
    }
}

/// Pauses that double from `first` up to `longest`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Backoff {
    first: Duration,
    longest: Duration,
}

impl Backoff {
    /// The bounds are constants of this crate, so a wrong pair is a mistake in the program.
    pub(crate) fn new(first: Duration, longest: Duration) -> Self {
        assert!(!first.is_zero() && first <= longest, "a backoff starts above zero and ends above its start");
        Self { first, longest }
    }

    /// The pause before attempt number `attempt`, counted from 1.
    pub(crate) fn pause(self, attempt: u32) -> Duration {
        let factor = 1_u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.longest)
    }
}

const FAILURES_TO_OPEN: u32 = 5;
const OPEN_FOR: Duration = Duration::from_secs(1);

/// Stops calls to a peer that keeps failing, and lets one through after a while to see whether it is back.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    retry_at: Option<Instant>,
}

/// The peer failed too often a moment ago.
#[derive(Debug, thiserror::Error)]
#[error("the breaker is open")]
pub(crate) struct Open;

impl Breaker {
    /// Asks for leave to call.
    pub(crate) fn permit(&self) -> Result<(), Open> {
        let mut state = self.lock();
        match state.retry_at {
            Some(retry_at) if Instant::now() < retry_at => Err(Open),
            Some(_) => {
                // One caller probes; the others keep failing fast until it reports back.
                state.retry_at = Some(Instant::now() + OPEN_FOR);
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Reports how the call went.
    pub(crate) fn record(&self, success: bool) {
        let mut state = self.lock();
        if success {
            *state = State::default();
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if state.failures >= FAILURES_TO_OPEN {
            state.retry_at = Some(Instant::now() + OPEN_FOR);
        }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the breaker")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let backoff = Backoff::new(Duration::from_millis(20), Duration::from_millis(50));
        let pauses: Vec<u128> = [1, 2, 3, 40].map(|attempt| backoff.pause(attempt).as_millis()).to_vec();
        assert_eq!(pauses, [20, 40, 50, 50]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_breaker_opens_probes_and_closes() {
        let breaker = Breaker::default();
        for _ in 0..FAILURES_TO_OPEN {
            breaker.permit().unwrap();
            breaker.record(false);
        }
        assert!(breaker.permit().is_err());
        tokio::time::advance(OPEN_FOR).await;
        breaker.permit().unwrap();
        assert!(breaker.permit().is_err(), "only one probe at a time");
        breaker.record(true);
        breaker.permit().unwrap();
    }
}
