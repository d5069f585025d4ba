//! The time, as an argument: the only place of the live side that reads a clock.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// One moment by both clocks: quiet times need one that never jumps, windows the one that spans carry.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Monotonic time since the clock was made.
    pub elapsed: Duration,
    /// Unix time in nanoseconds; may jump.
    pub unix_ns: u64,
}

/// Tells the time.
pub type Clock = Arc<dyn Fn() -> Moment + Send + Sync>;

/// The clock of the machine.
pub fn system_clock() -> Clock {
    let start = Instant::now();
    Arc::new(move || {
        let unix = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        Moment { elapsed: start.elapsed(), unix_ns: unix.as_nanos() as u64 }
    })
}
