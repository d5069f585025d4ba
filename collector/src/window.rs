//! The live windows and the history: facts in buckets of ten seconds and in minutes, and the sums of what each window
//! holds.
//!
//! A trace belongs to the bucket of its earliest span. The buckets of the last 5 minutes are kept as such, so that the
//! windows of 1 and 5 minutes slide by ten seconds; the facts of every bucket are also those of its minute, of which the
//! window of 15 minutes and the past are made. Minutes are kept for a day or as long as they fit; older ones are folded
//! into one sum, so that the window of everything stays exact.
//!
//! New facts are gathered apart and folded in once per [`Windows::advance`]. ⊕ has no inverse: when a bucket leaves a
//! window, its sum is made anew, of the buckets of the minute that is left half and of whole minutes. Facts that rest
//! are packed.
//!
//! A trace whose time is before the window of 15 minutes or in the future (a clock that is wrong, a trace that is very
//! long) goes into the bucket of its arrival and is counted: a service with a wrong clock must not vanish silently.

mod block;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::Duration;

use spanlint_graph::facts::{FactLimits, Room};
use spanlint_graph::hash::HashSet;
use spanlint_graph::span::Resource;
use spanlint_graph::{Facts, Fold, Name, NameTable, Trace, TraceId, Vocabulary, Window};

use self::block::{Block, Packed};
use crate::size::facts_bytes;

/// How long a bucket is; the windows of 1 and 5 minutes slide by as much.
pub const BUCKET: Duration = Duration::from_secs(10);
/// The most minutes that can be gone back to.
pub const MAX_MINUTES: usize = 24 * 60;
/// The most bytes that they may take.
pub const MAX_HISTORY_BYTES: usize = 24 << 20;

/// How often a text is kept that facts name: in the table of names, and about once in each of two graphs.
const TEXT_COPIES: usize = 3;

const BUCKET_NS: u64 = BUCKET.as_nanos() as u64;
/// Buckets of a minute.
const MINUTE: u64 = 6;
/// Minutes that are kept in buckets as well.
const MINUTES_IN_BUCKETS: u64 = 5;
/// Minutes that a trace may be late.
const MINUTES_OPEN: u64 = 15;

/// The facts of every window and of the past.
#[derive(Debug)]
pub struct Windows {
    /// What the facts of one stretch of time may hold.
    limits: FactLimits,
    /// The window that graphs are made of.
    shown: Window,
    /// Bucket number (Unix time in tens of seconds) → what fell into it; of the last 5 minutes.
    buckets: BTreeMap<u64, Block>,
    /// Minute number → what fell into it, the buckets among it.
    minutes: BTreeMap<u64, Block>,
    /// ⊕ of the minutes that are not kept any more.
    earlier: Facts,
    /// Bucket number → what is not folded in yet.
    new: BTreeMap<u64, Facts>,
    /// ⊕ of what a window holds, by [`Window::index`], as of `current`; of those that are looked at all the time.
    sums: [Option<Facts>; Window::ALL.len()],
    /// The bucket of the last [`Windows::advance`].
    current: u64,
    /// The bucket of the last [`Windows::fit`].
    fitted: u64,
    misdated_traces: u64,
    forgotten_minutes: u64,
    /// What traces are read in.
    room: Room,
}

/// The facts of a window that ended earlier, still in parts; adding them up is for another thread.
#[derive(Debug)]
pub struct Past(Vec<Packed>);

impl Past {
    /// ⊕ of the parts.
    pub fn facts(&self) -> Facts {
        let mut sum = Facts::default();
        self.0.iter().for_each(|part| sum.fold(&part.unpack()));
        sum
    }
}

impl Windows {
    /// Windows without facts. Those of `shown` and of everything are kept at hand, others are summed when asked for.
    pub fn new(shown: Window, limits: FactLimits) -> Self {
        let sum = |window| (window == shown || window == Window::All).then(Facts::default);
        Self {
            limits,
            shown,
            buckets: BTreeMap::new(),
            minutes: BTreeMap::new(),
            earlier: Facts::default(),
            new: BTreeMap::new(),
            sums: Window::ALL.map(sum),
            current: 0,
            fitted: 0,
            misdated_traces: 0,
            forgotten_minutes: 0,
            room: Room::default(),
        }
    }

    /// Adds a settled trace at `now_ns` (Unix time in nanoseconds).
    pub fn add_trace(&mut self, trace: &Trace, vocabulary: &Vocabulary, now_ns: u64) {
        let limits = self.limits;
        let mut room = std::mem::take(&mut self.room);
        let facts = self.place(trace, now_ns);
        facts.add_trace_within(&mut room, trace, vocabulary);
        facts.trim_roughly(limits);
        self.room = room;
    }

    /// Adds spans that came after their trace had settled, which names `environment`.
    pub fn add_fragment(&mut self, fragment: &Trace, environment: Name, vocabulary: &Vocabulary, now_ns: u64) {
        let limits = self.limits;
        let facts = self.place(fragment, now_ns);
        facts.add_fragment(fragment, environment, vocabulary);
        facts.trim_roughly(limits);
    }

    /// Adds a service of which something other than spans came at `now_ns`.
    pub fn add_silent_service(&mut self, resource: &Resource, now_ns: u64) {
        self.new.entry(now_ns / BUCKET_NS).or_default().add_silent_service(resource, now_ns);
    }

    /// Folds in what is new and drops what is too old at `now_ns`; answers by [`Window::index`] which windows changed.
    pub fn advance(&mut self, now_ns: u64) -> [bool; Window::ALL.len()] {
        let has_gone_on = now_ns / BUCKET_NS != self.current;
        let mut has_changed = self.slide(now_ns / BUCKET_NS);
        for (number, facts) in std::mem::take(&mut self.new) {
            // Time may have gone on, or back, since the facts were placed.
            let number = number.min(self.current);
            if number >= self.first_bucket_kept() {
                self.buckets.entry(number).or_default().fold(&facts, self.limits);
            }
            self.minutes.entry(number / MINUTE).or_default().fold(&facts, self.limits);
            for window in Window::ALL {
                if number >= first_bucket(window, self.current) {
                    if let Some(sum) = &mut self.sums[window.index()] {
                        sum.fold(&facts);
                        sum.trim(self.limits);
                    }
                    has_changed[window.index()] = true;
                }
            }
        }
        if has_gone_on {
            self.rest();
        }
        has_changed
    }

    /// ⊕ of the facts inside a window, as of the last [`Windows::advance`].
    pub fn live(&self, window: Window) -> Cow<'_, Facts> {
        self.sums[window.index()].as_ref().map_or_else(|| Cow::Owned(self.sum(window)), Cow::Borrowed)
    }

    /// What a window held that ended with the minute of `until_ns`; none where that minute is not kept any more, or has
    /// not come yet. As of the last [`Windows::advance`].
    pub fn past(&self, window: Window, until_ns: u64) -> Option<Past> {
        let last = until_ns / BUCKET_NS / MINUTE;
        let first_kept = self.minutes.keys().next().copied().unwrap_or(self.current / MINUTE);
        if last > self.current / MINUTE || last < first_kept {
            return None;
        }
        let first = window.minutes().map_or(0, |minutes| (last + 1).saturating_sub(minutes));
        let earlier = (window == Window::All).then(|| Packed::of(&self.earlier));
        let minutes = self.minutes.range(first..=last).map(|(_, block)| block.packed());
        Some(Past(earlier.into_iter().chain(minutes).collect()))
    }

    /// The beginning of the first minute that can be gone back to, in Unix nanoseconds.
    pub fn first_minute_ns(&self) -> u64 {
        self.minutes.keys().next().map_or(0, |minute| minute * MINUTE * BUCKET_NS)
    }

    /// Keeps fewer services from now on, should facts, their names and the graphs made of them take more than `most` bytes;
    /// answers whether they did. That is looked after once in each bucket, since it costs a walk over all of them; bounds
    /// that facts are far from take several. They only ever get smaller, so that what is kept is what the last ones would
    /// have kept from the beginning.
    pub fn fit(&mut self, most: usize, names: &NameTable) -> bool {
        if std::mem::replace(&mut self.fitted, self.current) == self.current {
            return false;
        }
        let bytes = self.bytes() + TEXT_COPIES * self.text_bytes(names);
        if bytes > most {
            self.limits = self.limits.reduced(bytes, most);
            let sums = self.sums.iter_mut().flatten();
            sums.chain(self.new.values_mut()).chain([&mut self.earlier]).for_each(|facts| facts.trim(self.limits));
            let blocks = self.buckets.values_mut().chain(self.minutes.values_mut());
            blocks.for_each(|block| block.trim(self.limits));
        }
        bytes > most
    }

    /// How many bytes facts take, with those of the graphs made of them: one that is shown, and one that is made.
    pub fn bytes(&self) -> usize {
        let sums: usize = self.sums.iter().flatten().map(facts_bytes).sum();
        let graphs = 2 * self.sums[self.shown.index()].as_ref().map_or(0, facts_bytes);
        let others: usize = self.new.values().chain([&self.earlier]).map(facts_bytes).sum();
        let blocks: usize = self.buckets.values().chain(self.minutes.values()).map(Block::bytes).sum();
        sums + graphs + others + blocks
    }

    /// How many bytes the texts of all names have.
    fn text_bytes(&self, names: &NameTable) -> usize {
        let mut known: HashSet<Name> = HashSet::default();
        self.for_each_name(&mut |name| {
            known.insert(name);
        });
        known.iter().map(|name| names.text(*name).len()).sum()
    }

    /// How many traces and fragments have a time that they could not be placed at.
    pub fn misdated_traces(&self) -> u64 {
        self.misdated_traces
    }

    /// How many minutes cannot be gone back to any more, since they were too many or too much.
    pub fn forgotten_minutes(&self) -> u64 {
        self.forgotten_minutes
    }

    /// Whether time alone changes no window.
    pub fn is_at_rest(&self) -> bool {
        let is_open = |minute: &u64| *minute * MINUTE >= first_bucket(Window::QuarterHour, self.current);
        self.new.is_empty() && !self.minutes.keys().next_back().is_some_and(is_open)
    }

    /// The traces that may be cited as long as these buckets and minutes live: one that leaves brings the exemplars of
    /// the others forward. As of the last [`Windows::advance`].
    pub fn exemplars(&mut self) -> HashSet<TraceId> {
        let first_minute = first_bucket(Window::QuarterHour, self.current) / MINUTE;
        let minutes = self.minutes.range_mut(first_minute..).map(|(_, block)| block);
        let mut all = HashSet::default();
        for block in self.buckets.values_mut().chain(minutes) {
            all.extend(block.exemplars());
        }
        all
    }

    /// The traces that the next [`Windows::advance`] may bring forward.
    pub fn new_exemplars(&self) -> HashSet<TraceId> {
        self.new.values().flat_map(Facts::exemplar_traces).collect()
    }

    /// Visits every name that any facts refer to.
    pub fn for_each_name(&self, visit: &mut impl FnMut(Name)) {
        // The sum of everything holds every key of the past, but for those that a bound turned away.
        self.new.values().chain(self.sums.iter().flatten()).for_each(|facts| facts.for_each_name(visit));
    }

    /// The facts of the whole run, with `rest` as its last traces.
    pub fn finish<'a>(mut self, rest: impl IntoIterator<Item = &'a Trace>, vocabulary: &Vocabulary) -> Facts {
        let [.., run] = self.sums;
        let mut run = run.expect("everything is kept at hand");
        self.new.values().for_each(|facts| run.fold(facts));
        for trace in rest {
            run.add_trace_within(&mut self.room, trace, vocabulary);
            run.trim_roughly(self.limits);
        }
        run.trim(self.limits);
        run
    }

    /// The facts that a trace at `now_ns` goes into.
    fn place(&mut self, trace: &Trace, now_ns: u64) -> &mut Facts {
        let current = now_ns / BUCKET_NS;
        let own = trace.start_ns() / BUCKET_NS;
        let is_inside = own <= current && own / MINUTE + MINUTES_OPEN > current / MINUTE;
        // A clock may be a little ahead at the turn of a bucket without being wrong.
        self.misdated_traces += u64::from(!is_inside && own != current + 1);
        self.new.entry(if is_inside { own } else { current }).or_default()
    }

    fn first_bucket_kept(&self) -> u64 {
        (self.current + 1).saturating_sub(MINUTES_IN_BUCKETS * MINUTE)
    }

    /// Goes on to the bucket `current`; answers by [`Window::index`] which windows lost anything.
    fn slide(&mut self, current: u64) -> [bool; Window::ALL.len()] {
        let mut has_lost = [false; Window::ALL.len()];
        if current == self.current {
            return has_lost;
        }
        let was = std::mem::replace(&mut self.current, current);
        let is_back = current < was && self.take_back();
        for window in [Window::Minute, Window::FiveMinutes, Window::QuarterHour] {
            let left = first_bucket(window, was)..first_bucket(window, current).max(first_bucket(window, was));
            let loses = match window {
                Window::QuarterHour => self.minutes.range(left.start / MINUTE..left.end / MINUTE).next().is_some(),
                _ => self.buckets.range(left).next().is_some(),
            };
            if is_back || loses {
                if self.sums[window.index()].is_some() {
                    self.sums[window.index()] = Some(self.sum(window));
                }
                has_lost[window.index()] = true;
            }
        }
        self.buckets = self.buckets.split_off(&self.first_bucket_kept());
        has_lost
    }

    /// The clock was set back: what is in the future now becomes the present, so that it does not outlive the rest.
    /// Answers whether there was anything.
    fn take_back(&mut self) -> bool {
        let (current, minute) = (self.current, self.current / MINUTE);
        let future_buckets = self.buckets.split_off(&(current + 1));
        let future_minutes = self.minutes.split_off(&(minute + 1));
        let has_future = !future_buckets.is_empty() || !future_minutes.is_empty();
        for block in future_buckets.range(..(minute + 1) * MINUTE).map(|(_, block)| block) {
            self.buckets.entry(current).or_default().fold(&block.packed().unpack(), self.limits);
        }
        for block in future_minutes.values() {
            let facts = block.packed().unpack();
            self.buckets.entry(current).or_default().fold(&facts, self.limits);
            self.minutes.entry(minute).or_default().fold(&facts, self.limits);
        }
        has_future
    }

    /// ⊕ of what a window holds: the buckets of the minute that is half inside, and whole minutes.
    fn sum(&self, window: Window) -> Facts {
        let first = first_bucket(window, self.current);
        let whole = first.div_ceil(MINUTE);
        let buckets = self.buckets.range(first..whole * MINUTE).map(|(_, block)| block);
        let minutes = self.minutes.range(whole..).map(|(_, block)| block);
        let mut sum = Facts::default();
        for block in buckets.chain(minutes) {
            block.fold_into(&mut sum);
            sum.trim(self.limits);
        }
        sum
    }

    /// Packs what did not change lately, and folds minutes together that are too many or too much.
    fn rest(&mut self) {
        self.buckets.values_mut().chain(self.minutes.values_mut()).for_each(Block::rest);
        let open = first_bucket(Window::QuarterHour, self.current) / MINUTE;
        self.minutes.range_mut(..open).for_each(|(_, block)| block.forget_exemplars());
        let mut bytes: usize = self.minutes.values().map(Block::packed_bytes).sum();
        while self.minutes.len() > MAX_MINUTES || bytes > MAX_HISTORY_BYTES {
            let Some(oldest) = self.minutes.first_entry().filter(|oldest| *oldest.key() < open) else { break };
            let oldest = oldest.remove();
            bytes -= oldest.packed_bytes();
            oldest.fold_into(&mut self.earlier);
            self.earlier.trim(self.limits);
            self.forgotten_minutes += 1;
        }
    }
}

/// The number of the oldest bucket inside a window that ends with the bucket `current`. The window of 15 minutes begins
/// with a minute, as its oldest facts are kept by the minute.
fn first_bucket(window: Window, current: u64) -> u64 {
    match window {
        Window::Minute | Window::FiveMinutes => {
            (current + 1).saturating_sub(window.minutes().unwrap_or_default() * MINUTE)
        }
        Window::QuarterHour => (current / MINUTE + 1).saturating_sub(MINUTES_OPEN) * MINUTE,
        Window::All => 0,
    }
}

#[cfg(test)]
mod tests;
