//! The one that owns the assembler, the window, the store and the vocabulary, as a pure state machine.

use std::sync::Arc;
use std::time::Duration;

use spanlint_graph::facts::EnvironmentFacts;
use spanlint_graph::facts::FactLimits;
use spanlint_graph::hash::HashSet;
use spanlint_graph::measurement::ServiceReadings;
use spanlint_graph::resolve::environments;
use spanlint_graph::span::{Resource, ResourceId};
use spanlint_graph::waterfall::LogRow;
use spanlint_graph::{
    CallGraph, Facts, Name, NameTable, SpanBatch, TraceId, Vocabulary, Waterfall, Window, file, resolve,
};

use super::queue::MAX_QUEUED_BYTES;
use super::records::{LogQuery, Records};
use super::status::{SpanRate, Status};
use crate::assemble::{Assembled, Assembler, AssemblyLimits, Settle};
use crate::clock::Moment;
use crate::limits::{MEMORY_BYTES, REQUEST_SHARE};
use crate::pressure::left_of_facts;
use crate::size::vocabulary_bytes;
use crate::store::{MAX_STORED_BYTES, Pins, TraceStore};
use crate::window::{Past, Windows};

/// A vocabulary of fewer bytes is not worth pruning.
const MIN_PRUNED_BYTES: usize = 4 << 20;
/// The most bytes that a vocabulary grows by before it is pruned: nothing pays for them until then.
const MAX_UNPRUNED_BYTES: usize = 16 << 20;

/// What the live side is asked to do, beside its limits.
#[derive(Debug, Clone, Copy)]
pub struct LiveSettings {
    /// When a trace is settled.
    pub settle: Settle,
    /// What may wait for that.
    pub assembly: AssemblyLimits,
    /// How far the published graphs reach back.
    pub window: Window,
    /// What the facts of one stretch of time may hold.
    pub facts: FactLimits,
    /// How many bytes all facts may take, with their names and the graphs made of them; bounds on what the facts of one
    /// stretch of time may hold get smaller until they do.
    pub facts_bytes: usize,
    /// How many bytes of recent traces are kept.
    pub stored_bytes: usize,
    /// How many bytes requests may take until the owner has their spans.
    pub request_bytes: usize,
    /// How many bytes the process may take in all; none where it does nothing else and ends with its input.
    pub memory_bytes: Option<usize>,
}

impl Default for LiveSettings {
    fn default() -> Self {
        Self {
            settle: Settle::default(),
            assembly: AssemblyLimits::default(),
            window: Window::default(),
            facts: FactLimits::default(),
            facts_bytes: MEMORY_BYTES / 16 * 7,
            stored_bytes: MAX_STORED_BYTES,
            request_bytes: MAX_QUEUED_BYTES,
            memory_bytes: None,
        }
    }
}

impl LiveSettings {
    /// These settings with their shares of `memory_bytes` in all; the rest is for facts, names and connections.
    #[must_use]
    pub fn within(self, memory_bytes: usize) -> Self {
        Self {
            assembly: AssemblyLimits { pending_bytes: memory_bytes / 16 * 3, ..self.assembly },
            facts: FactLimits::within(memory_bytes / 16),
            facts_bytes: memory_bytes / 16 * 7,
            stored_bytes: memory_bytes / 16,
            request_bytes: memory_bytes / REQUEST_SHARE,
            memory_bytes: Some(memory_bytes),
            ..self
        }
    }
}

/// What makes a graph of the facts of an environment, or as much of it as somebody looks at.
pub(super) type Resolve = fn(&Facts, Name, &NameTable) -> CallGraph;

/// What is published: immutable, and consistent in itself.
#[derive(Debug, Clone, Default)]
pub struct Published {
    /// When, in Unix nanoseconds.
    pub at_ns: u64,
    /// The window that the graphs are of; it ends now.
    pub window: Window,
    /// The call graph of each environment, the one with the most spans first.
    pub environments: Vec<Arc<CallGraph>>,
    /// What the services measure of themselves.
    pub readings: Arc<[ServiceReadings]>,
    /// What the collector tells of itself.
    pub status: Status,
}

/// The minute that was asked for is not kept any more, or has not come yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotKept {
    /// The beginning of the first minute that is kept, in Unix nanoseconds.
    pub first_ns: u64,
}

/// What a collector leaves behind.
#[derive(Debug)]
pub struct Finished {
    /// ⊕ of the facts of every trace of the run.
    pub facts: Facts,
    /// The texts behind them.
    pub vocabulary: Vocabulary,
    /// What the collector tells of itself.
    pub status: Status,
}

/// Owns everything that spans become.
#[derive(Debug)]
pub(super) struct Owner {
    assembler: Assembler,
    /// What is published.
    shown: Window,
    windows: Windows,
    store: TraceStore,
    records: Records,
    vocabulary: Vocabulary,
    /// How many bytes the process may take in all.
    memory_bytes: Option<usize>,
    /// How many bytes facts may take, with their names and graphs.
    facts_bytes: usize,
    /// How many of them at present.
    facts_left: usize,
    /// How many bytes the vocabulary had after it was pruned last.
    pruned_bytes: usize,
    accepted_spans: u64,
    refused_spans: u64,
    rate: SpanRate,
    /// Whether the window changed since its graphs were published.
    is_graph_old: bool,
    published: Arc<Published>,
    /// What the store keeps longest; none since windows or graphs have changed.
    pins: Option<Pins>,
}

impl Owner {
    pub(super) fn new(settings: &LiveSettings) -> Self {
        Self {
            assembler: Assembler::new(settings.settle, settings.assembly),
            shown: settings.window,
            windows: Windows::new(settings.window, settings.facts),
            store: TraceStore::new(settings.stored_bytes),
            records: Records::new(),
            vocabulary: Vocabulary::default(),
            memory_bytes: settings.memory_bytes,
            facts_bytes: settings.facts_bytes,
            facts_left: settings.facts_bytes,
            pruned_bytes: 0,
            accepted_spans: 0,
            refused_spans: 0,
            rate: SpanRate::default(),
            is_graph_old: false,
            published: Arc::new(Published { window: settings.window, ..Published::default() }),
            pins: None,
        }
    }

    /// Takes a batch that arrived at `now`.
    pub(super) fn absorb(&mut self, batch: SpanBatch, now: Moment) {
        let spans = batch.spans.len() as u64;
        self.accepted_spans += spans;
        self.refused_spans += batch.refused;
        self.rate.add(spans, now.elapsed);
        self.vocabulary.merge(&batch.vocabulary);
        self.records.add(batch.logs, batch.measurements, &self.vocabulary, now);
        if self.records.logs.is_full() {
            let cited = self.cited();
            self.records.logs.make_room(&cited);
        }
        let assembled = self.assembler.add(batch.spans, vocabulary_bytes(&batch.vocabulary), now.elapsed);
        self.take(assembled, now);
        self.prune();
    }

    /// Settles what is quiet at `now`, and answers what there is to publish, if it differs from the last time.
    pub(super) fn tick(&mut self, now: Moment, busy_spans: u64) -> Option<Arc<Published>> {
        self.settle(now);
        let status = self.status(now.elapsed, busy_spans);
        let readings = self.records.readings(&self.vocabulary, now);
        let has_new_readings = !Arc::ptr_eq(&readings, &self.published.readings);
        if !self.is_graph_old && !has_new_readings && status == self.published.status {
            return None;
        }
        let environments = if std::mem::take(&mut self.is_graph_old) {
            self.graphs(self.shown, resolve)
        } else {
            self.published.environments.clone()
        };
        self.published = Arc::new(Published { at_ns: now.unix_ns, window: self.shown, environments, readings, status });
        self.pins = None;
        Some(Arc::clone(&self.published))
    }

    /// Holds less under pressure, and more without.
    pub(super) fn press(&mut self, pressure: usize) {
        self.assembler.press(pressure);
        if let Some(memory_bytes) = self.memory_bytes {
            self.facts_left = left_of_facts(self.facts_bytes, pressure, memory_bytes);
        }
    }

    /// What was published last.
    pub(super) fn published(&self) -> Arc<Published> {
        Arc::clone(&self.published)
    }

    /// Takes the facts of traces that are quiet at `now`; no window shows them yet.
    pub(super) fn settle_quiet(&mut self, now: Moment) {
        let assembled = self.assembler.tick(now.elapsed);
        self.take(assembled, now);
    }

    /// Settles what is quiet at `now`, and lets windows go on.
    pub(super) fn settle(&mut self, now: Moment) {
        self.settle_quiet(now);
        self.add_silent_services(now);
        self.advance(now);
        self.prune();
        if self.windows.fit(self.facts_left, &self.vocabulary.names) {
            // Facts refer to fewer names now, and graphs show less.
            self.pruned_bytes = 0;
            self.is_graph_old = true;
        }
    }

    /// Whether traces wait to be settled.
    pub(super) fn has_pending(&self) -> bool {
        self.assembler.pending_traces() > 0
    }

    /// Whether nothing changes until a batch comes.
    pub(super) fn is_idle(&self) -> bool {
        !self.has_pending() && self.windows.is_at_rest() && self.rate.is_zero() && self.records.measurements.is_empty()
    }

    /// A stored trace, as people look at it.
    pub(super) fn waterfall(&self, id: TraceId) -> Option<Waterfall> {
        let waterfall = self.store.get(id)?.waterfall(&self.vocabulary);
        Some(waterfall.with_logs(self.records.logs.of_trace(id), &self.vocabulary))
    }

    /// The newest log lines.
    pub(super) fn logs(&self, query: &LogQuery) -> Vec<LogRow> {
        self.records.answer(query, &self.vocabulary)
    }

    /// The graph of each environment in a window that ends now.
    pub(super) fn graphs(&self, window: Window, resolve: Resolve) -> Vec<Arc<CallGraph>> {
        graphs(&self.windows.live(window), &self.vocabulary.names, resolve)
    }

    /// The facts of a window that ends now, as the bytes of a snapshot file.
    pub(super) fn snapshot(&self, window: Window) -> Vec<u8> {
        file::write(&self.windows.live(window), &self.vocabulary.names)
    }

    /// What a window held that ended earlier, with the names to show it.
    pub(super) fn past(&self, window: Window, until_ns: u64) -> Result<(Past, NameTable), NotKept> {
        let past = self.windows.past(window, until_ns);
        let past = past.ok_or(NotKept { first_ns: self.windows.first_minute_ns() })?;
        Ok((past, self.vocabulary.names.clone()))
    }

    /// Settles everything at once.
    pub(super) fn finish(mut self, now: Moment, busy_spans: u64) -> Finished {
        let rest = self.assembler.finish();
        let status = self.status(now.elapsed, busy_spans);
        let facts = self.windows.finish(&rest, &self.vocabulary);
        Finished { facts, vocabulary: self.vocabulary, status }
    }

    fn take(&mut self, assembled: Vec<Assembled>, now: Moment) {
        for each in assembled {
            let weighed = match each {
                Assembled::Settled(weighed) => {
                    let trace = &weighed.trace;
                    let environment = trace.environment(&self.vocabulary);
                    if !environment.is_empty() {
                        self.assembler.set_environment(trace.id(), environment);
                    }
                    self.windows.add_trace(trace, &self.vocabulary, now.unix_ns);
                    weighed
                }
                Assembled::Late(weighed) => {
                    let environment = self.assembler.environment(weighed.trace.id());
                    self.windows.add_fragment(&weighed.trace, environment, &self.vocabulary, now.unix_ns);
                    weighed
                }
            };
            self.store.insert(weighed);
            if self.store.is_full() {
                self.make_room();
            }
        }
    }

    /// Makes room in the store for what is stored next. Nothing goes before its time that a graph may cite: the pins are
    /// those of the windows and graphs as they are, and what is not folded into them yet comes on top.
    fn make_room(&mut self) {
        let pins = self.pins.take().unwrap_or_else(|| {
            let mut next = self.windows.exemplars();
            next.extend(self.windows.live(Window::All).exemplar_traces());
            Pins { cited: self.cited(), next }
        });
        self.store.make_room(&pins, &self.windows.new_exemplars());
        self.pins = Some(pins);
    }

    fn cited(&self) -> HashSet<TraceId> {
        let mut cited: HashSet<TraceId> = self.windows.live(self.shown).exemplar_traces().into_iter().collect();
        cited.extend(self.published.environments.iter().flat_map(|graph| graph.exemplar_traces()));
        cited
    }

    fn add_silent_services(&mut self, now: Moment) {
        let run = self.windows.live(Window::All);
        let is_traced = |resource: &Resource| {
            let is_in = |facts: &EnvironmentFacts| {
                facts.services.get(&resource.service).is_some_and(|service| service.spans > 0)
            };
            // Whoever logs often leaves out the environment that its spans name.
            let anywhere = resource.environment.is_empty();
            if anywhere {
                run.environments.values().any(is_in)
            } else {
                run.environments.get(&resource.environment).is_some_and(is_in)
            }
        };
        for (resource, time_ns) in self.records.silent_services(&self.vocabulary, is_traced, now) {
            self.windows.add_silent_service(&resource, time_ns);
        }
    }

    fn advance(&mut self, now: Moment) {
        self.pins = None;
        self.is_graph_old |= self.windows.advance(now.unix_ns)[self.shown.index()];
    }

    fn status(&mut self, now: Duration, busy_spans: u64) -> Status {
        let assembly = self.assembler.counts();
        Status {
            accepted_spans: self.accepted_spans,
            refused_spans: self.refused_spans,
            busy_spans,
            spans_per_second: self.rate.per_second(now),
            settled_traces: assembly.settled_traces,
            early_traces: assembly.early_traces,
            pending_traces: self.assembler.pending_traces() as u64,
            pending_spans: self.assembler.pending_spans() as u64,
            pending_bytes: self.assembler.pending_bytes() as u64,
            late_spans: assembly.late_spans,
            late_duplicates: assembly.late_duplicates,
            misdated_traces: self.windows.misdated_traces(),
            forgotten_minutes: self.windows.forgotten_minutes(),
            dropped_names: self.vocabulary.names.dropped(),
            log_lines: self.records.logs.taken(),
            dropped_log_lines: self.records.logs.dropped(),
            log_bytes: self.records.logs.bytes() as u64,
            measurements: self.records.measurements.taken(),
            dropped_measurements: self.records.measurements.dropped(),
            stored_traces: self.store.len() as u64,
            stored_bytes: self.store.bytes() as u64,
            evicted_exemplars: self.store.evicted_exemplars(),
            is_store_exhausted: self.store.is_exhausted(),
        }
    }

    /// Forgets the names and resources that nothing refers to, each time the vocabulary has grown by half, or by much.
    fn prune(&mut self) {
        let growth = (self.pruned_bytes / 2).min(MAX_UNPRUNED_BYTES);
        if vocabulary_bytes(&self.vocabulary) < (self.pruned_bytes + growth).max(MIN_PRUNED_BYTES) {
            return;
        }
        let mut names: HashSet<Name> = HashSet::default();
        let mut resources: HashSet<ResourceId> = HashSet::default();
        self.windows.for_each_name(&mut |name| {
            names.insert(name);
        });
        for span in self.assembler.spans().chain(self.store.spans()) {
            span.for_each_name(&mut |name| {
                names.insert(name);
            });
            resources.insert(span.shape.resource);
        }
        self.records.for_each(
            &mut |name| {
                names.insert(name);
            },
            &mut |resource| {
                resources.insert(resource);
            },
        );
        self.vocabulary.resources.retain(|id, _| resources.contains(id));
        self.vocabulary.resources.shrink_to_fit();
        names.extend(self.vocabulary.resources.values().flat_map(resource_names));
        self.vocabulary.names.retain(|name| names.contains(&name));
        self.pruned_bytes = vocabulary_bytes(&self.vocabulary);
    }
}

/// The graph of each environment, the one with the most spans first.
pub(super) fn graphs(facts: &Facts, names: &NameTable, resolve: Resolve) -> Vec<Arc<CallGraph>> {
    environments(facts, names).into_iter().map(|name| Arc::new(resolve(facts, name, names))).collect()
}

/// The names that a resource refers to.
fn resource_names(resource: &Resource) -> [Name; 8] {
    let Resource { environment, service, version, instance, owner, language, host } = *resource;
    [environment, service.namespace, service.name, version, instance, owner, language, host]
}

#[cfg(test)]
mod tests;
