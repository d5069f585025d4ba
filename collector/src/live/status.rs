//! What the live side tells of itself: counts, and how fast spans come in.

use std::collections::VecDeque;
use std::time::Duration;

/// Counters since the start, and the present state. Every limit has its counter here.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Status {
    /// Spans taken.
    pub accepted_spans: u64,
    /// Spans refused by name.
    pub refused_spans: u64,
    /// Spans whose sender was told to come again, since the queue was full.
    pub busy_spans: u64,
    /// Spans taken per second, over the last seconds.
    pub spans_per_second: u64,
    /// Traces that settled.
    pub settled_traces: u64,
    /// Of these, those that a bound settled before their time.
    pub early_traces: u64,
    /// Traces that are not settled yet.
    pub pending_traces: u64,
    /// Their spans.
    pub pending_spans: u64,
    /// Bytes that they take.
    pub pending_bytes: u64,
    /// Spans that came after their trace had settled.
    pub late_spans: u64,
    /// Spans that came again after their trace had settled. Those that came again before are counted in the graph.
    pub late_duplicates: u64,
    /// Traces whose time was too long ago, or in the future, when they settled.
    pub misdated_traces: u64,
    /// Minutes that cannot be gone back to any more, since they were too many or too much.
    pub forgotten_minutes: u64,
    /// Names that the bound of the vocabulary turned away.
    pub dropped_names: u64,
    /// Log lines taken.
    pub log_lines: u64,
    /// Of these, those that are not kept any more, or never were, since a bound turned them away.
    pub dropped_log_lines: u64,
    /// Bytes of the log lines that can be looked at.
    pub log_bytes: u64,
    /// Points of standard metrics taken.
    pub measurements: u64,
    /// Of these, those of series that the bound turned away.
    pub dropped_measurements: u64,
    /// Traces that can be looked at.
    pub stored_traces: u64,
    /// Bytes that they take.
    pub stored_bytes: u64,
    /// Traces that were thrown away although a graph cites or may come to cite them, since they alone were too much.
    pub evicted_exemplars: u64,
    /// Whether the store is too small for the traces that the graphs cite.
    pub is_store_exhausted: bool,
}

/// Over how many whole seconds the rate is taken.
const RATE_SECONDS: u64 = 5;

/// How many spans came in each of the last seconds.
#[derive(Debug, Default)]
pub(super) struct SpanRate {
    /// Second and spans, none of them for seconds without spans.
    seconds: VecDeque<(u64, u64)>,
}

impl SpanRate {
    pub(super) fn add(&mut self, spans: u64, now: Duration) {
        match self.seconds.back_mut() {
            Some((second, count)) if *second == now.as_secs() => *count += spans,
            _ => self.seconds.push_back((now.as_secs(), spans)),
        }
        self.forget(now);
    }

    /// Spans per second, from the first of the last seconds that had any to the last whole one.
    pub(super) fn per_second(&mut self, now: Duration) -> u64 {
        self.forget(now);
        let Some(&(first, _)) = self.seconds.front() else {
            return 0;
        };
        let whole = self.seconds.iter().filter(|(second, _)| *second < now.as_secs());
        let spans: u64 = whole.map(|(_, spans)| spans).sum();
        spans / (now.as_secs() - first).max(1)
    }

    /// Whether no span came in the last seconds.
    pub(super) fn is_zero(&self) -> bool {
        self.seconds.is_empty()
    }

    fn forget(&mut self, now: Duration) {
        while self.seconds.front().is_some_and(|(second, _)| second + RATE_SECONDS < now.as_secs()) {
            self.seconds.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_rises_at_once_and_falls_to_zero() {
        let at = |tenths: u64| Duration::from_millis(tenths * 100);
        let mut rate = SpanRate::default();
        for tenths in 0..20 {
            rate.add(10, at(tenths));
        }
        assert_eq!(rate.per_second(at(20)), 100);
        assert_eq!(rate.per_second(at(40)), 50);
        assert_eq!(rate.per_second(at(70)), 0);
        assert!(rate.is_zero());
    }
}
