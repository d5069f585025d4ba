//! Calls one after another: what a request would have saved by making them at once. Whether one needs the answer of
//! another cannot be seen.

use super::{Made, percent};
use crate::facts::exemplar::Candidate;
use crate::facts::histogram::bucket;
use crate::facts::{OperationFacts, SERIAL_FLOORS_MS, SerialRun};
use crate::span::{Marks, Span};

/// The fewest calls that make a run.
const MIN_RUN: u64 = 3;
/// A pause between two calls, in nanoseconds, after which another run begins.
const MAX_PAUSE_NS: u64 = 1_000_000_000;

/// A run while it is followed.
#[derive(Debug, Clone, Copy, Default)]
struct Run {
    calls: u64,
    sum_ns: u64,
    longest_ns: u64,
    end_ns: u64,
}

impl Run {
    fn saved_ns(&self) -> u64 {
        self.sum_ns - self.longest_ns
    }
}

/// Adds the longest run of a request's calls for each floor. What follows a failure or a redirect had to wait for it.
pub(super) fn add_runs(facts: &mut OperationFacts, trace: Candidate, span: &Span, own: &[&Made<'_>]) {
    if (own.len() as u64) < MIN_RUN {
        return;
    }
    let is_waited_for = |call: &&&Made<'_>| !call.is_asynchronous && call.is_remote() && !call.is_stream();
    let leads_on = |call: &&&Made<'_>| call.outcome.is_failure() || call.marks.has(Marks::REDIRECT);
    let independent = own.iter().filter(|call| is_waited_for(call) && !leads_on(call));
    let waited: Vec<&Made<'_>> = independent.copied().collect();
    if (waited.len() as u64) < MIN_RUN {
        return;
    }
    let mut before = None;
    for (floor, floor_ms) in SERIAL_FLOORS_MS.into_iter().enumerate() {
        let Some(run) = longest(&waited, floor_ms * 1_000_000) else { break };
        let saved_ns = run.saved_ns();
        let share = percent(saved_ns, span.duration_ns());
        let (calls, saved) = (bucket(run.calls), bucket(saved_ns));
        *facts.serial.entry(SerialRun { floor: floor as u8, calls, saved_ns: saved, share }).or_default() += 1;
        if before != Some(saved_ns) {
            facts.serialized.offer(saved_ns, trace);
            before = Some(saved_ns);
        }
    }
}

/// Of runs of at least [`MIN_RUN`] calls without overlap, each of at least `floor_ns`, the one that saves most.
fn longest(calls: &[&Made<'_>], floor_ns: u64) -> Option<Run> {
    let mut best = None;
    let mut run = Run::default();
    for call in calls.iter().filter(|call| call.duration_ns() >= floor_ns) {
        let continues = run.calls > 0 && run.end_ns <= call.start_ns && call.start_ns - run.end_ns <= MAX_PAUSE_NS;
        if !continues {
            run = Run::default();
        }
        run.calls += 1;
        run.sum_ns += call.duration_ns();
        run.longest_ns = run.longest_ns.max(call.duration_ns());
        run.end_ns = call.end_ns;
        if run.calls >= MIN_RUN && best.is_none_or(|best: Run| best.saved_ns() < run.saved_ns()) {
            best = Some(run);
        }
    }
    best
}
