//! The live window: facts in buckets of ten seconds that slide out one by one, and the facts of the whole run.
//!
//! A trace belongs to the bucket of its earliest span. New facts are gathered apart and folded in once per
//! [`Window::advance`], so a trace costs one pass over its spans and a publication costs what is new since the last
//! one. ⊕ has no inverse: when a bucket leaves, the sum is made anew from those that stay, once in ten seconds.
//!
//! A trace whose time is outside the window (a clock that is wrong by more than the window, a trace longer than it)
//! goes into the bucket of its arrival and is counted: a service with a wrong clock must not vanish silently.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use spanlint_graph::span::Resource;
use spanlint_graph::{Facts, Fold, Name, Trace, TraceId, Vocabulary};

/// How long a bucket is; windows slide by as much.
pub const BUCKET: Duration = Duration::from_secs(10);
/// The longest live window.
pub const MAX_WINDOW: Duration = Duration::from_mins(5);

const BUCKET_NS: u64 = BUCKET.as_nanos() as u64;

/// The facts of the live window and of the whole run.
#[derive(Debug, Default)]
pub struct Window {
    /// How many buckets the window has, the current one among them.
    length: u64,
    /// Bucket number (Unix time in tens of seconds) → what fell into it.
    buckets: BTreeMap<u64, Bucket>,
    /// Bucket number → what is not folded in yet.
    new: BTreeMap<u64, Facts>,
    /// ⊕ of the buckets.
    live: Facts,
    /// ⊕ of everything that was folded in since the start.
    run: Facts,
    misdated_traces: u64,
}

#[derive(Debug, Default)]
struct Bucket {
    facts: Facts,
    /// The traces that the facts cite; none until they are asked for again after a change.
    exemplars: Option<BTreeSet<TraceId>>,
}

impl Window {
    /// An empty window of `length`, rounded up to whole buckets, between one bucket and [`MAX_WINDOW`].
    pub fn new(length: Duration) -> Self {
        let buckets = length.min(MAX_WINDOW).as_nanos().div_ceil(BUCKET.as_nanos());
        Self { length: (buckets as u64).max(1), ..Self::default() }
    }

    /// Adds a settled trace at `now_ns` (Unix time in nanoseconds).
    pub fn add_trace(&mut self, trace: &Trace, vocabulary: &Vocabulary, now_ns: u64) {
        self.place(trace, now_ns).add_trace(trace, vocabulary);
    }

    /// Adds spans that came after their trace had settled, which names `environment`.
    pub fn add_fragment(&mut self, fragment: &Trace, environment: Name, vocabulary: &Vocabulary, now_ns: u64) {
        self.place(fragment, now_ns).add_fragment(fragment, environment, vocabulary);
    }

    /// Adds a service of which something other than spans came at `time_ns`.
    pub fn add_silent_service(&mut self, resource: &Resource, time_ns: u64) {
        self.new.entry(time_ns / BUCKET_NS).or_default().add_silent_service(resource, time_ns);
    }

    /// Folds in what is new and drops what is too old at `now_ns`; answers whether the window changed.
    pub fn advance(&mut self, now_ns: u64) -> bool {
        let has_gained = !self.new.is_empty();
        for (number, facts) in std::mem::take(&mut self.new) {
            self.buckets.entry(number).or_default().fold(&facts);
            self.live.fold(&facts);
            self.run.fold(&facts);
        }
        let has_lost = self.slide(now_ns / BUCKET_NS);
        has_gained || has_lost
    }

    /// ⊕ of the facts inside the window, as of the last [`Window::advance`].
    pub fn live(&self) -> &Facts {
        &self.live
    }

    /// ⊕ of the facts since the start, as of the last [`Window::advance`].
    pub fn run(&self) -> &Facts {
        &self.run
    }

    /// How many traces and fragments have a time outside the window they arrived in.
    pub fn misdated_traces(&self) -> u64 {
        self.misdated_traces
    }

    /// Whether nothing is inside the window.
    pub fn is_empty(&self) -> bool {
        self.buckets.is_empty() && self.new.is_empty()
    }

    /// The traces that may be cited as long as these buckets live: a bucket that leaves brings the exemplars of the
    /// others forward. As of the last [`Window::advance`].
    pub fn exemplars(&mut self) -> BTreeSet<TraceId> {
        let mut all = BTreeSet::new();
        for bucket in self.buckets.values_mut() {
            all.extend(&*bucket.exemplars.get_or_insert_with(|| bucket.facts.exemplar_traces()));
        }
        all
    }

    /// Visits every name that any facts refer to.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        // The facts of the run hold every key of the buckets, but for those that a bound turned away.
        let parts = self.buckets.values().map(|bucket| &bucket.facts).chain(self.new.values());
        parts.chain([&self.live, &self.run]).for_each(|facts| facts.for_each_name(visit));
    }

    /// The facts of the whole run, with `rest` as its last traces.
    pub fn finish<'a>(mut self, rest: impl IntoIterator<Item = &'a Trace>, vocabulary: &Vocabulary) -> Facts {
        self.new.values().for_each(|facts| self.run.fold(facts));
        rest.into_iter().for_each(|trace| self.run.add_trace(trace, vocabulary));
        self.run
    }

    /// The facts that a trace at `now_ns` goes into.
    fn place(&mut self, trace: &Trace, now_ns: u64) -> &mut Facts {
        let current = now_ns / BUCKET_NS;
        let own = trace.start_ns() / BUCKET_NS;
        let is_inside = own <= current && own >= self.first(current);
        // A clock may be a little ahead at the turn of a bucket without being wrong.
        self.misdated_traces += u64::from(!is_inside && own != current + 1);
        self.new.entry(if is_inside { own } else { current }).or_default()
    }

    /// The number of the oldest bucket inside the window.
    fn first(&self, current: u64) -> u64 {
        (current + 1).saturating_sub(self.length)
    }

    /// Drops the buckets before the window; answers whether there were any.
    fn slide(&mut self, current: u64) -> bool {
        // Buckets of the future are from before the clock was set back; they shall not outlive the others.
        for (_, bucket) in self.buckets.split_off(&(current + 2)) {
            self.buckets.entry(current).or_default().fold(&bucket.facts);
        }
        let inside = self.buckets.split_off(&self.first(current));
        let outside = std::mem::replace(&mut self.buckets, inside);
        if outside.is_empty() {
            return false;
        }
        self.live = Facts::default();
        self.buckets.values().for_each(|bucket| self.live.fold(&bucket.facts));
        true
    }
}

impl Bucket {
    fn fold(&mut self, facts: &Facts) {
        self.facts.fold(facts);
        self.exemplars = None;
    }
}

#[cfg(test)]
mod tests;
