//! Groups spans by trace and says when a trace is settled.
//!
//! A pure state machine: the time is an argument, and what comes out is returned. It does not look at what spans mean
//! and does not remove duplicates within a trace, which is [`Trace::new`]'s business.
//!
//! A pending trace is in one of two queues, ordered by the time of its latest span. *Fresh* ones are looked at after
//! the short quiet time: whoever has every parent settles, the others move to the *waiting*, which settle after the
//! long one. A span for a fresh trace does not touch the queue, so the place there is a lower bound that is put right
//! when it comes to the front; a span costs one look-up.

mod settled;

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use std::vec::IntoIter;

use spanlint_graph::hash::HashMap;
use spanlint_graph::span::SpanId;
use spanlint_graph::{Name, Span, Trace, TraceId};

use self::settled::SettledTraces;
use crate::pressure::left;
use crate::size::{owned_bytes, room_bytes};

/// The most spans that wait for their trace to settle.
pub const MAX_PENDING_SPANS: usize = 300_000;
/// The most bytes of spans that wait for their trace to settle.
pub const MAX_PENDING_BYTES: usize = 96 << 20;
/// The most spans of one trace; with more it settles early, and the rest comes late.
pub const MAX_TRACE_SPANS: usize = 50_000;
/// The most spans of settled traces that are remembered, so that what comes late or again is known.
pub const MAX_REMEMBERED_SPANS: usize = 1_000_000;

/// When a trace is settled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settle {
    /// When it is quiet.
    Quiet {
        /// How long, once every referenced parent is present.
        complete: Duration,
        /// How long, while a referenced parent is missing; at least as long as for complete ones.
        incomplete: Duration,
    },
    /// When the input ends.
    AtEnd,
}

impl Default for Settle {
    fn default() -> Self {
        Self::Quiet { complete: Duration::from_secs(2), incomplete: Duration::from_mins(1) }
    }
}

/// The bounds of an [`Assembler`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AssemblyLimits {
    /// Spans that are pending in all.
    pub pending_spans: usize,
    /// Bytes that are pending in all.
    pub pending_bytes: usize,
    /// Spans of one trace.
    pub trace_spans: usize,
    /// Spans of settled traces that are remembered; a trace counts for some more.
    pub remembered_spans: usize,
}

impl Default for AssemblyLimits {
    fn default() -> Self {
        Self {
            pending_spans: MAX_PENDING_SPANS,
            pending_bytes: MAX_PENDING_BYTES,
            trace_spans: MAX_TRACE_SPANS,
            remembered_spans: MAX_REMEMBERED_SPANS,
        }
    }
}

/// What comes out.
#[derive(Debug, Clone, PartialEq)]
pub enum Assembled {
    /// A settled trace.
    Settled(Weighed),
    /// Spans that came after their trace had settled.
    Late(Weighed),
}

/// A trace with the bytes that it takes, its part of the vocabulary among them.
#[derive(Debug, Clone, PartialEq)]
pub struct Weighed {
    /// The trace.
    pub trace: Trace,
    /// What it takes.
    pub bytes: usize,
}

/// What happened so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AssemblyCounts {
    /// Traces that settled.
    pub settled_traces: u64,
    /// Of these, those that a bound settled before their time.
    pub early_traces: u64,
    /// Spans that came after their trace had settled.
    pub late_spans: u64,
    /// Spans that came again after their trace had settled.
    pub late_duplicates: u64,
}

/// Groups spans by trace until the trace is settled.
#[derive(Debug)]
pub struct Assembler {
    settle: Settle,
    limits: AssemblyLimits,
    pending: HashMap<TraceId, Pending>,
    fresh: BTreeSet<(Duration, TraceId)>,
    waiting: BTreeSet<(Duration, TraceId)>,
    spans: usize,
    bytes: usize,
    /// Bytes that may be pending at present.
    most_bytes: usize,
    settled: SettledTraces,
    counts: AssemblyCounts,
}

/// A trace that is not settled yet.
///
/// **Invariant:** exactly one queue holds `(queued_at, trace id)`; `queued_at <= last_seen`, and they are equal among
/// the waiting.
#[derive(Debug)]
struct Pending {
    spans: Vec<Span>,
    /// What it takes in all.
    bytes: usize,
    last_seen: Duration,
    queued_at: Duration,
    is_waiting: bool,
}

impl Assembler {
    /// An assembler without spans.
    pub fn new(settle: Settle, limits: AssemblyLimits) -> Self {
        Self {
            settle,
            limits,
            pending: HashMap::default(),
            fresh: BTreeSet::new(),
            waiting: BTreeSet::new(),
            spans: 0,
            bytes: 0,
            most_bytes: limits.pending_bytes,
            settled: SettledTraces::new(limits.remembered_spans),
            counts: AssemblyCounts::default(),
        }
    }

    /// Takes spans that arrived at `now` with a vocabulary of `vocabulary_bytes`, and gives out what is late and what a
    /// bound settles early.
    ///
    /// `now` is a monotonic time; it never goes back from call to call.
    pub fn add(&mut self, spans: Vec<Span>, vocabulary_bytes: usize, now: Duration) -> Vec<Assembled> {
        let mut out = Vec::new();
        let mut late: BTreeMap<TraceId, Vec<Span>> = BTreeMap::new();
        let bytes_each = vocabulary_bytes / spans.len().max(1);
        let mut spans = spans.into_iter();
        // Spans of one trace mostly stand together.
        while let Some(id) = spans.as_slice().first().map(|span| span.trace_id) {
            let run = spans.as_slice().iter().take_while(|span| span.trace_id == id).count();
            if !self.pending.contains_key(&id) && self.settled.contains(id) {
                self.add_late(spans.by_ref().take(run), late.entry(id).or_default());
            } else if self.hold(id, &mut spans, run, bytes_each, now) >= self.limits.trace_spans {
                self.counts.early_traces += 1;
                out.push(Assembled::Settled(self.release(id)));
            }
        }
        self.release_early(&mut out);
        let late = late.into_values().filter(|spans| !spans.is_empty());
        out.extend(late.map(|spans| {
            let owned: usize = spans.iter().map(|span| bytes_each + owned_bytes(span)).sum();
            let bytes = room_bytes(&spans) + owned;
            Assembled::Late(Weighed { trace: Trace::new(spans), bytes })
        }));
        out
    }

    /// Gives out the traces that are settled at `now`.
    pub fn tick(&mut self, now: Duration) -> Vec<Assembled> {
        let mut out = Vec::new();
        self.release_early(&mut out);
        let Settle::Quiet { complete, incomplete } = self.settle else {
            return out;
        };
        let mut ids = Vec::new();
        while let Some(&(at, id)) = self.fresh.first()
            && now.saturating_sub(at) >= complete
        {
            let pending = &self.pending[&id];
            if pending.last_seen > at {
                self.requeue(id, false);
            } else if is_complete(&pending.spans, &mut ids) {
                out.push(Assembled::Settled(self.release(id)));
            } else {
                self.requeue(id, true);
            }
        }
        while let Some(&(at, id)) = self.waiting.first()
            && now.saturating_sub(at) >= incomplete
        {
            out.push(Assembled::Settled(self.release(id)));
        }
        out
    }

    /// Gives out the quietest traces until what is pending is within its bounds.
    fn release_early(&mut self, out: &mut Vec<Assembled>) {
        while self.spans > self.limits.pending_spans || self.bytes > self.most_bytes {
            let quietest = self.quietest().expect("pending spans belong to a pending trace");
            self.counts.early_traces += 1;
            out.push(Assembled::Settled(self.release(quietest)));
        }
    }

    /// Holds less, or more again, from the next call on.
    pub(crate) fn press(&mut self, pressure: usize) {
        self.most_bytes = left(self.limits.pending_bytes, pressure);
    }

    /// Settles everything.
    pub fn finish(&mut self) -> Vec<Trace> {
        let mut ids: Vec<TraceId> = self.pending.keys().copied().collect();
        ids.sort_unstable();
        ids.into_iter().map(|id| self.release(id).trace).collect()
    }

    /// Remembers the environment that a settled trace names, for its spans that come late and name none.
    pub fn set_environment(&mut self, id: TraceId, environment: Name) {
        self.settled.set_environment(id, environment);
    }

    /// The environment that a settled trace named; empty for none or several, and where the trace is forgotten.
    pub fn environment(&self, id: TraceId) -> Name {
        self.settled.environment(id)
    }

    /// What happened so far.
    pub fn counts(&self) -> AssemblyCounts {
        self.counts
    }

    /// How many traces are pending.
    pub fn pending_traces(&self) -> usize {
        self.pending.len()
    }

    /// How many spans are pending.
    pub fn pending_spans(&self) -> usize {
        self.spans
    }

    /// How many bytes the pending traces take.
    pub fn pending_bytes(&self) -> usize {
        self.bytes
    }

    /// The spans that are pending, in no particular order.
    pub fn spans(&self) -> impl Iterator<Item = &Span> {
        self.pending.values().flat_map(|pending| &pending.spans)
    }

    /// Takes spans of a trace that has settled, those that it did not have into `late`.
    fn add_late(&mut self, run: impl Iterator<Item = Span>, late: &mut Vec<Span>) {
        for span in run {
            if self.settled.add_span(&span) {
                self.counts.late_spans += 1;
                late.push(span);
            } else {
                self.counts.late_duplicates += 1;
            }
        }
    }

    /// Takes the next `run` spans, of a trace that has not settled, or as many of them as one trace may have; each has
    /// `bytes_each` beside what it owns. Gives how many spans the trace has then.
    fn hold(&mut self, id: TraceId, spans: &mut IntoIter<Span>, run: usize, bytes_each: usize, now: Duration) -> usize {
        let pending = self.pending.entry(id).or_insert_with(|| {
            self.fresh.insert((now, id));
            Pending { spans: Vec::new(), bytes: 0, last_seen: now, queued_at: now, is_waiting: false }
        });
        let (spans_before, bytes_before) = (pending.spans.len(), pending.bytes);
        let taken = run.min(self.limits.trace_spans.saturating_sub(spans_before).max(1));
        let room_before = if spans_before == 0 {
            // Mostly a trace comes as a whole.
            pending.spans.reserve_exact(taken);
            0
        } else {
            room_bytes(&pending.spans)
        };
        pending.bytes += spans.as_slice()[..taken].iter().map(|span| bytes_each + owned_bytes(span)).sum::<usize>();
        pending.spans.extend(spans.take(taken));
        pending.bytes += room_bytes(&pending.spans) - room_before;
        let held = pending.spans.len();
        self.spans += held - spans_before;
        self.bytes += pending.bytes - bytes_before;
        pending.last_seen = now;
        if pending.is_waiting {
            self.requeue(id, false);
        }
        held
    }

    /// Puts a pending trace to its true place in the queue.
    fn requeue(&mut self, id: TraceId, to_waiting: bool) {
        let pending = self.pending.get_mut(&id).expect("queued traces are pending");
        let from = if pending.is_waiting { &mut self.waiting } else { &mut self.fresh };
        from.remove(&(pending.queued_at, id));
        pending.queued_at = pending.last_seen;
        pending.is_waiting = to_waiting;
        let to = if to_waiting { &mut self.waiting } else { &mut self.fresh };
        to.insert((pending.queued_at, id));
    }

    /// The trace whose latest span came first.
    fn quietest(&mut self) -> Option<TraceId> {
        while let Some(&(at, id)) = self.fresh.first()
            && self.pending[&id].last_seen > at
        {
            self.requeue(id, false);
        }
        let first = [self.fresh.first(), self.waiting.first()].into_iter().flatten().min();
        first.map(|&(_, id)| id)
    }

    fn release(&mut self, id: TraceId) -> Weighed {
        let pending = self.pending.remove(&id).expect("only pending traces are released");
        let queue = if pending.is_waiting { &mut self.waiting } else { &mut self.fresh };
        queue.remove(&(pending.queued_at, id));
        self.spans -= pending.spans.len();
        self.bytes -= pending.bytes;
        self.counts.settled_traces += 1;
        let trace = Trace::new(pending.spans);
        self.settled.add_trace(&trace);
        Weighed { trace, bytes: pending.bytes }
    }
}

/// Whether every referenced parent is present; `ids` is used again from trace to trace.
fn is_complete(spans: &[Span], ids: &mut Vec<SpanId>) -> bool {
    ids.clear();
    ids.extend(spans.iter().map(|span| span.span_id));
    ids.sort_unstable();
    let mut parents = spans.iter().map(|span| span.parent_id).filter(|&parent| parent != SpanId::NONE);
    parents.all(|parent| ids.binary_search(&parent).is_ok())
}

#[cfg(test)]
mod tests;
