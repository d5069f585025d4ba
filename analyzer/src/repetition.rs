//! Calls that requests make again and again: which requests repeat one often enough, how often, and what that costs. What
//! is too often, and whose fault it is, is for the rules to say.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use spanlint_graph::facts::{Histogram, Parameters, Repetition, histogram};
use spanlint_graph::snapshot::{CallPattern, CodeLocation, Operation};
use spanlint_graph::{CallGraph, TraceId};

use crate::context::Options;
use crate::finding::{Impact, Location, Severity, Support};
use crate::wording;

/// The most places in the code that one finding names.
const MAX_LOCATIONS: usize = 4;

/// A pattern that some requests repeat often enough.
pub(crate) struct Repeated<'a> {
    /// What they call.
    pub(crate) pattern: &'a CallPattern,
    /// What the requests execute.
    pub(crate) caller: &'a Operation,
    /// Requests that repeat it.
    pub(crate) affected: u64,
    /// Differing calls → requests that make so many, among the affected.
    calls: BTreeMap<u64, u64>,
    /// Time with such a call under way, in nanoseconds → requests, among the affected.
    union_ns: BTreeMap<u64, u64>,
    /// That as a share of the request, in percent → requests, among the affected.
    share: BTreeMap<u64, u64>,
    /// Whether the parameters of most affected requests are unknown.
    pub(crate) is_unknown: bool,
    /// Whether enough of the requests repeat it, or what is missing.
    pub(crate) support: Result<Support, String>,
    traces: Vec<TraceId>,
    impact: Option<Impact>,
}

impl<'a> Repeated<'a> {
    /// The requests of a pattern whose repetition `is_fault`; none where there are none. Calls that went to a host of
    /// their own each never are.
    pub(crate) fn of(
        graph: &'a CallGraph,
        pattern: &'a CallPattern,
        options: &Options<'_>,
        is_fault: impl Fn(&Repetition) -> bool,
    ) -> Option<Self> {
        let mut repeated = Self::nothing(graph, pattern);
        let mut unknown = 0;
        for (repetition, &requests) in &pattern.facts.repetitions {
            if repetition.parameters != Parameters::Scattered && is_fault(repetition) {
                unknown += if repetition.parameters == Parameters::Unknown { requests } else { 0 };
                let calls = histogram::bucket_middle(repetition.distinct);
                repeated.add(requests, calls, repetition.union_ns, repetition.share);
            }
        }
        repeated.is_unknown = unknown * 2 > repeated.affected;
        let saved = &pattern.facts.saved;
        if saved.count() > 0 {
            let milliseconds = |quantile| wording::milliseconds(saved.quantile(quantile));
            repeated.impact = Some(Impact { latency_ms_p50: milliseconds(0.5), latency_ms_p95: milliseconds(0.95) });
        }
        repeated.traces = pattern.facts.exemplars.proof(repeated.median_calls());
        repeated.judged(options)
    }

    /// The requests that go through a sequence of statements which begins with that of `pattern`, by the calls of all
    /// rounds, where at least `min_rounds` and `is_long` by (bucket of the time, share).
    pub(crate) fn of_sequences(
        graph: &'a CallGraph,
        pattern: &'a CallPattern,
        options: &Options<'_>,
        min_rounds: u64,
        is_long: impl Fn(u16, u8) -> bool,
    ) -> Option<Self> {
        let mut repeated = Self::nothing(graph, pattern);
        for (sequence, &requests) in &pattern.facts.sequences {
            let rounds = histogram::bucket_middle(sequence.repeats);
            if rounds >= min_rounds && is_long(sequence.union_ns, sequence.share) {
                repeated.add(requests, rounds, sequence.union_ns, sequence.share);
            }
        }
        repeated.is_unknown = true;
        repeated.traces = pattern.facts.sequenced.proof(repeated.median_calls());
        repeated.judged(options)
    }

    fn nothing(graph: &'a CallGraph, pattern: &'a CallPattern) -> Self {
        Self {
            pattern,
            caller: graph.operation(pattern.caller),
            affected: 0,
            calls: BTreeMap::new(),
            union_ns: BTreeMap::new(),
            share: BTreeMap::new(),
            is_unknown: false,
            support: Err(String::new()),
            traces: Vec::new(),
            impact: None,
        }
    }

    fn add(&mut self, requests: u64, calls: u64, union_ns: u16, share: u8) {
        self.affected += requests;
        *self.calls.entry(calls).or_default() += requests;
        *self.union_ns.entry(histogram::bucket_middle(union_ns)).or_default() += requests;
        *self.share.entry(share.into()).or_default() += requests;
    }

    fn judged(mut self, options: &Options<'_>) -> Option<Self> {
        self.support = options.required().proven(self.affected, self.requests());
        (self.affected > 0).then_some(self)
    }

    /// Requests of the caller's operation.
    pub(crate) fn requests(&self) -> u64 {
        self.caller.facts.requests.max(self.affected)
    }

    /// Differing calls of the median affected request.
    pub(crate) fn median_calls(&self) -> u64 {
        quantile(&self.calls, 0.5)
    }

    /// The most differing calls of one request.
    pub(crate) fn most_calls(&self) -> u64 {
        self.calls.last_key_value().map_or(0, |(calls, _)| *calls)
    }

    /// Time with such a call under way in the median affected request, in milliseconds.
    pub(crate) fn median_time_ms(&self) -> f64 {
        wording::milliseconds(quantile(&self.union_ns, 0.5))
    }

    /// That as a share of the request, in percent.
    pub(crate) fn median_share(&self) -> u64 {
        quantile(&self.share, 0.5)
    }

    /// Error from so many calls in the median affected request, else `usual`; less for requests that nobody waits for.
    pub(crate) fn severity(&self, usual: Severity, raised: Severity, from: f64) -> Severity {
        let severity = if self.median_calls() as f64 >= from { raised } else { usual };
        severity.for_entries(&self.caller.facts.entries)
    }

    /// Traces that prove it, the best first.
    pub(crate) fn traces(&self) -> Vec<TraceId> {
        self.traces.clone()
    }

    /// What one call in place of many would save, where that was measured.
    pub(crate) fn impact(&self) -> Option<Impact> {
        self.impact
    }

    /// What decides which of several leads: support, severity, then the calls that could be saved.
    pub(crate) fn weight(&self, severity: Severity) -> Reverse<(bool, Severity, u64)> {
        Reverse((self.support.is_ok(), severity, self.median_calls() * self.affected))
    }
}

/// The value at or under which the share `quantile` of the counted values lies.
pub(crate) fn quantile(counts: &BTreeMap<u64, u64>, quantile: f64) -> u64 {
    let total: u64 = counts.values().sum();
    let rank = (total as f64 * quantile).ceil() as u64;
    let mut seen = 0;
    let reached = counts.iter().find(|(_, count)| {
        seen += **count;
        seen >= rank
    });
    reached.map_or(0, |(value, _)| *value)
}

/// The median of the values that are at least `least`.
pub(crate) fn median_from(histogram: &Histogram, least: u64) -> u64 {
    let from = histogram::bucket(least);
    let reached = histogram.buckets().filter(|(bucket, _)| *bucket >= from);
    quantile(&reached.map(|(bucket, count)| (histogram::bucket_middle(bucket), count)).collect(), 0.5)
}

/// Where in the code patterns are called, the first pattern's first.
pub(crate) fn locations<'a>(patterns: impl IntoIterator<Item = &'a CallPattern>) -> Vec<Location> {
    let mut locations: Vec<Location> = Vec::new();
    for CodeLocation { file, function, line } in patterns.into_iter().flat_map(|pattern| &pattern.locations) {
        let location = Location { file: file.clone(), line: *line, function: function.clone() };
        if locations.len() < MAX_LOCATIONS && !locations.contains(&location) {
            locations.push(location);
        }
    }
    locations
}
