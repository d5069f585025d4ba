//! What the receivers of one collector received and answered.

use std::sync::atomic::{AtomicU64, Ordering};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `count`.
    pub fn add(&self, count: u64) {
        self.0.fetch_add(count, Ordering::Relaxed);
    }

    /// The number now.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The counters.
///
/// **Invariant:** the spans of all requests that could be read are accepted, rejected or asked to retry, each exactly
/// once per request.
#[derive(Debug, Default)]
pub struct Counters {
    /// Export requests, whatever their answer.
    pub requests: Counter,
    /// Spans that came, each time they came. Counted before the answer, so that those under way make the difference to
    /// the sum of the three that follow.
    pub sent_spans: Counter,
    /// Spans that are in.
    pub accepted_spans: Counter,
    /// Spans refused by name.
    pub rejected_spans: Counter,
    /// Spans whose sender was asked to come again.
    pub retry_spans: Counter,
    /// Requests that the data folder could not take, since its disk is full or fails; their senders come again.
    pub unkept_requests: Counter,
    /// Log records and metrics, which are accepted and not used yet.
    pub other_records: Counter,
    /// Requests that could not be read: malformed, of an unknown type, too slow.
    pub malformed_requests: Counter,
    /// Requests that can never fit.
    pub oversized_requests: Counter,
    /// Attributes, links and parts of values that went over a bound.
    pub over_limit: Counter,
}
