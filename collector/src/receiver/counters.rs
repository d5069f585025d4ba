//! What the receivers of one collector received and answered.

use std::sync::atomic::{AtomicU64, Ordering};

use super::problem::Problem;

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
/// **Invariant:** every request is in exactly one of the counters that end in `_requests`, but for those under way, and
/// for [`Counters::unkept_requests`], which are asked to retry as well. The spans of all requests that could be read are
/// accepted, rejected or asked to retry, each exactly once per request.
#[derive(Debug, Default)]
pub struct Counters {
    /// Export requests, whatever their answer. Counted before the answer.
    pub requests: Counter,
    /// Requests that are in, all of them or but for what was refused by name.
    pub accepted_requests: Counter,
    /// Requests whose sender was asked to come again.
    pub retry_requests: Counter,
    /// Requests that could not be read: malformed, or of an unknown type.
    pub malformed_requests: Counter,
    /// Requests that can never fit.
    pub oversized_requests: Counter,
    /// Requests of those who may not send.
    pub unauthorized_requests: Counter,
    /// Requests whose sender hung up before the answer.
    pub abandoned_requests: Counter,
    /// Requests that the data folder could not take, since its disk is full or fails; their senders come again.
    pub unkept_requests: Counter,
    /// Spans that came, each time they came. Counted before the answer, so that those under way make the difference to
    /// the sum of the three that follow.
    pub sent_spans: Counter,
    /// Spans that are in.
    pub accepted_spans: Counter,
    /// Spans refused by name, or with a request that can never fit.
    pub rejected_spans: Counter,
    /// Spans whose sender was asked to come again, or hung up before the answer.
    pub retry_spans: Counter,
    /// Log records and metrics, which are accepted and not used yet.
    pub other_records: Counter,
    /// Attributes, links and parts of values that went over a bound.
    pub over_limit: Counter,
}

/// A request that is counted by its answer, or as abandoned when it is dropped without one.
#[derive(Debug)]
pub(super) struct OpenRequest<'a>(Option<&'a Counters>);

impl<'a> OpenRequest<'a> {
    /// Counts a request.
    pub(super) fn new(counters: &'a Counters) -> Self {
        counters.requests.add(1);
        Self(Some(counters))
    }

    /// Counts the answer.
    pub(super) fn answered<T>(mut self, answer: &Result<T, Problem>) {
        let counters = self.0.take().expect("a request is answered once");
        let counter = match answer {
            Ok(_) => &counters.accepted_requests,
            Err(problem) if problem.is_busy() => &counters.retry_requests,
            Err(problem) if problem.is_too_large() => &counters.oversized_requests,
            Err(problem) if problem.is_unauthorized() => &counters.unauthorized_requests,
            Err(_) => &counters.malformed_requests,
        };
        counter.add(1);
    }
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        if let Some(counters) = self.0 {
            counters.abandoned_requests.add(1);
        }
    }
}

/// Spans that came and wait for their answer; when they are dropped without one, their sender has hung up and will come
/// again.
#[derive(Debug)]
pub(super) struct OpenSpans<'a> {
    counters: &'a Counters,
    /// Without an answer.
    spans: u64,
}

impl<'a> OpenSpans<'a> {
    /// Counts spans that came.
    pub(super) fn new(counters: &'a Counters, spans: u64) -> Self {
        counters.sent_spans.add(spans);
        Self { counters, spans }
    }

    /// So many of them were refused, and all others are in.
    pub(super) fn accepted_but(mut self, rejected: u64) {
        self.counters.accepted_spans.add(self.spans - rejected);
        self.counters.rejected_spans.add(rejected);
        self.spans = 0;
    }

    /// None of them is in, as `problem` says.
    pub(super) fn refuse(&mut self, problem: &Problem) {
        if !problem.is_busy() {
            self.counters.rejected_spans.add(self.spans);
            self.spans = 0;
        }
    }
}

impl Drop for OpenSpans<'_> {
    fn drop(&mut self) {
        self.counters.retry_spans.add(self.spans);
    }
}
