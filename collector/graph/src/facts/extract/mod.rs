//! The facts of one trace: from its spans to what ⊕ adds up.

mod again;
mod data;
mod fan_out;
mod paths;
mod repetition;
mod serial;

use std::borrow::Cow;

use self::paths::Below;
use self::repetition::OfTrace;
use super::calls::{self, Calls, Made};
use super::exemplar::Candidate;
use super::latest::slice;
use super::{
    EdgeFacts, EdgeKey, Entry, EnvironmentFacts, Facts, Fold, Histogram, OperationFacts, OperationKey, Seen,
    ServiceFacts,
};
use crate::marks::{Marks, Transport};
use crate::name::Name;
use crate::span::{NodeKey, Outcome, Resource, ResourceId, ServiceKey, Span, SpanId, SpanKind, Vocabulary};
use crate::trace::{Trace, Tree};

/// For how many spans memory is kept: few traces have more.
const MAX_KEPT: usize = 1024;

/// Memory that is used again from trace to trace.
#[derive(Debug, Default)]
pub struct Room {
    tree: Tree,
    calls: calls::Room,
    services: Services,
    of_trace: OfTrace,
    below: Below,
}

impl Facts {
    /// Adds the facts of one settled trace.
    pub fn add_trace(&mut self, trace: &Trace, vocabulary: &Vocabulary) {
        self.add_trace_within(&mut Room::default(), trace, vocabulary);
    }

    /// Adds the facts of one settled trace, of many that are added within the same memory.
    pub fn add_trace_within(&mut self, room: &mut Room, trace: &Trace, vocabulary: &Vocabulary) {
        for (environment, part) in trace.by_environment(vocabulary, Name::EMPTY) {
            self.add_part(room, environment, part, vocabulary);
        }
        if trace.spans().len() > MAX_KEPT {
            *room = Room::default();
        }
    }

    /// Adds what a trace has in one environment.
    fn add_part(&mut self, room: &mut Room, environment: Name, part: Cow<'_, Trace>, vocabulary: &Vocabulary) {
        let facts = self.environments.entry(environment);
        let Room { tree, calls: room, services, of_trace, below } = room;
        tree.read(part.spans());
        let part = Trace::without_proxies(part, tree, vocabulary);
        let calls = Calls::of(part.spans(), tree, vocabulary, room);
        let reading = Reading { trace: part.id().into(), spans: part.spans(), calls: &calls, vocabulary };
        facts.counts.traces += 1;
        facts.counts.duplicate_spans += part.duplicates();
        facts.counts.circular_spans += tree.circular;
        services.read(&reading);
        facts.add_spans(&reading, services, &tree.is_orphan);
        facts.add_secrets(&reading);
        facts.add_requests(&reading, of_trace);
        facts.add_calls(&reading);
        facts.add_data(&reading);
        below.read(&reading, &of_trace.remote);
        facts.add_paths(&reading, below);
        calls.leave(room);
    }

    /// Adds the facts of spans that came after their trace had settled: single spans, and calls to datastores and
    /// topics, never anything per request. Other calls of a fragment are left out, since the span of their callee may
    /// have settled before. Spans that name no environment belong to that of their trace.
    pub fn add_fragment(&mut self, fragment: &Trace, environment: Name, vocabulary: &Vocabulary) {
        for (environment, part) in fragment.by_environment(vocabulary, environment) {
            let facts = self.environments.entry(environment);
            let tree = Tree::of(part.spans());
            let mut calls = Calls::of(part.spans(), &tree, vocabulary, &mut calls::Room::default());
            calls.made.retain(|call| !matches!(call.callee, NodeKey::Peer(_)));
            let reading = Reading { trace: part.id().into(), spans: part.spans(), calls: &calls, vocabulary };
            facts.counts.late_spans += part.spans().len() as u64;
            facts.counts.duplicate_spans += part.duplicates();
            let mut services = Services::default();
            services.read(&reading);
            facts.add_spans(&reading, &services, &[]);
            facts.add_secrets(&reading);
            facts.add_calls(&reading);
        }
    }

    /// Adds a service of which nothing but log lines or measurements came, the latest at `time_ns`: it is a node
    /// without an edge.
    pub fn add_silent_service(&mut self, resource: &Resource, time_ns: u64) {
        let service = self.environments.entry(resource.environment).services.entry(resource.service);
        add_labels(service, resource, Seen { first_ns: time_ns, last_ns: time_ns });
    }
}

/// The spans of a trace by who sent them.
#[derive(Debug, Default)]
struct Services {
    /// Service, resource and index of each span, sorted.
    spans: Vec<(ServiceKey, ResourceId, usize)>,
    /// By index, whether a span opens a request that is no health check: these alone are no use of a service.
    is_asked: Vec<bool>,
}

impl Services {
    /// Becomes the services of a trace, in the memory that it has.
    fn read(&mut self, reading: &Reading<'_>) {
        let numbered = reading.spans.iter().enumerate();
        self.spans.clear();
        self.spans.extend(numbered.map(|(index, span)| (span.shape.service, span.shape.resource, index)));
        self.spans.sort_unstable();
        self.is_asked.clear();
        self.is_asked.resize(reading.spans.len(), false);
        for request in reading.calls.requests.iter().filter(|request| !request.is_probe) {
            self.is_asked[request.span] = true;
        }
    }
}

/// One trace, read: what all of its facts are taken from.
struct Reading<'a> {
    /// The trace, as proof.
    trace: Candidate,
    spans: &'a [Span],
    calls: &'a Calls<'a>,
    vocabulary: &'a Vocabulary,
}

impl<'a> Reading<'a> {
    /// The span that opens a request.
    fn opening(&self, request: usize) -> &'a Span {
        &self.spans[self.calls.requests[request].span]
    }

    /// The host that a request of the outside world was sent to.
    fn asked_host(&self, request: usize) -> Name {
        let opening = self.opening(request);
        let call = opening.shape.call.as_ref().filter(|_| opening.shape.kind == SpanKind::Server);
        call.map_or(Name::EMPTY, |call| call.host)
    }

    fn operation(&self, request: usize) -> OperationKey {
        let span = self.opening(request);
        OperationKey { service: span.shape.service, operation: span.shape.operation }
    }

    /// Shows each request that counts, with its number and the calls that it makes, not the deliveries that it takes.
    /// What is left of a lost one says neither what was asked nor how long it took.
    fn each_request(&self, mut show: impl FnMut(usize, &[&'a Made<'a>])) {
        let mut rest = &self.calls.made[..];
        let mut own = Vec::with_capacity(rest.len());
        for (index, request) in self.calls.requests.iter().enumerate() {
            let made = rest.iter().take_while(|call| call.request <= index).count();
            let (made, later) = rest.split_at(made);
            rest = later;
            if request.counts() {
                let service = NodeKey::Service(self.opening(index).shape.service);
                own.clear();
                own.extend(made.iter().filter(|call| call.caller == service));
                show(index, &own);
            }
        }
    }
}

impl EnvironmentFacts {
    fn add_spans(&mut self, reading: &Reading<'_>, services: &Services, is_orphan: &[bool]) {
        self.counts.spans += reading.spans.len() as u64;
        let orphan = |index: usize| is_orphan.get(index).copied().unwrap_or(false);
        for of_service in services.spans.chunk_by(|left, right| left.0 == right.0) {
            let spans = || of_service.iter().map(|&(.., index)| &reading.spans[index]);
            let orphans = of_service.iter().filter(|(.., index)| orphan(*index)).count() as u64;
            self.counts.orphan_spans += orphans;
            self.counts.sampled_spans += spans().filter(|span| span.marks.has(Marks::SAMPLED)).count() as u64;
            let devices = spans().filter(|span| span.marks.has(Marks::DEVICE)).count() as u64;
            self.counts.device_spans += devices;
            if devices > 0 {
                spans().for_each(|span| self.counts.seen.widen(span.start_ns, span.end_ns));
                continue;
            }
            let service = self.services.entry(of_service[0].0);
            for of_resource in of_service.chunk_by(|left, right| left.1 == right.1) {
                let mut seen = Seen::default();
                for &(.., index) in of_resource {
                    seen.widen(reading.spans[index].start_ns, reading.spans[index].end_ns);
                }
                self.counts.seen.fold(&seen);
                add_labels(service, &reading.vocabulary.resource(of_resource[0].1), seen);
            }
            service.spans += of_service.len() as u64;
            service.orphan_spans += orphans;
            service.traces += u64::from(of_service.iter().any(|(.., index)| services.is_asked[*index]));
            service.exemplars.offer(of_service.len() as u64, reading.trace);
            if orphans > 0 {
                service.orphaned.offer(orphans, reading.trace);
            }
            for span in spans() {
                service.child_spans += u64::from(span.parent_id != SpanId::NONE);
                service.proxy_spans += u64::from(span.marks.has(Marks::PROXY));
                service.sidecar_spans += u64::from(span.marks.has(Marks::PROXY) && span.marks.has(Marks::SIDECAR));
                service.function_spans += u64::from(span.marks.has(Marks::FUNCTION));
                service.span_names.insert(span.name.0);
            }
        }
    }

    /// Adds what each request is and does; `of_trace` becomes what is needed of all of them.
    fn add_requests(&mut self, reading: &Reading<'_>, of_trace: &mut OfTrace) {
        of_trace.begin(reading.calls.requests.len());
        reading.each_request(|index, own| {
            let span = reading.opening(index);
            let entry = reading.calls.requests[index].entry;
            self.add_dual_writes(reading, index, own);
            let fan_out = self.add_repetition(reading, index, own, of_trace);
            let facts = self.operations.entry(reading.operation(index));
            facts.requests += 1;
            facts.outcomes[span.shape.outcome.index()] += 1;
            facts.entries[entry as usize] += 1;
            facts.identified += u64::from(span.marks.has(Marks::IDENTITY));
            facts.versioned += u64::from(span.marks.has(Marks::VERSIONED));
            if span.marks.has(Marks::STREAM) {
                facts.streams += 1;
            } else {
                add_time(facts, reading.trace, span, own);
                serial::add_runs(facts, reading.trace, span, own);
            }
            of_trace.remote[index] = fan_out.add_to(facts, reading.trace, span, entry);
            if entry == Entry::Client && CLIENTS.iter().any(|mark| span.marks.has(*mark)) {
                add_client(self.services.entry(span.shape.service), reading.trace, span);
            }
        });
        self.add_busiest(of_trace);
    }

    fn add_calls(&mut self, reading: &Reading<'_>) {
        let has_edge = |call: &&Made<'_>| call.caller != call.callee && call.callee != NodeKey::Unknown;
        let mut calls: Vec<&Made<'_>> = Vec::with_capacity(reading.calls.made.len());
        calls.extend(reading.calls.made.iter().filter(has_edge));
        calls.sort_unstable_by_key(|call| edge_of(call));
        for of_edge in calls.chunk_by(|left, right| edge_of(left) == edge_of(right)) {
            let edge = self.edges.entry(edge_of(of_edge[0]));
            edge.traces += 1;
            for call in of_edge {
                add_call(edge, call, reading);
            }
        }
    }
}

fn edge_of(call: &Made<'_>) -> EdgeKey {
    EdgeKey { caller: call.caller, callee: call.callee, kind: call.kind }
}

fn add_call(edge: &mut EdgeFacts, call: &Made<'_>, reading: &Reading<'_>) {
    edge.calls += 1;
    edge.outcomes[call.outcome.index()] += 1;
    edge.traced_calls += u64::from(call.callee_ns.is_some());
    edge.asynchronous_calls += u64::from(call.is_asynchronous);
    edge.items += u64::from(call.batch());
    edge.seen.widen(call.start_ns, call.end_ns);
    let host = match call.told_by {
        None if call.caller == NodeKey::Client => reading.asked_host(call.request),
        _ => call.host(),
    };
    if !host.is_empty() {
        *edge.hosts.entry(host) += 1;
    }
    if call.marks.has(Marks::ADDRESSED) {
        edge.addressed.offer(call.duration_ns(), reading.trace);
    }
    add_transport(edge, call, reading.trace);
    add_latency(edge, call, reading);
}

/// What a resource that was seen then says of its service.
fn add_labels(service: &mut ServiceFacts, resource: &Resource, seen: Seen) {
    let labels = [
        (&mut service.instances, resource.instance),
        (&mut service.versions, resource.version),
        (&mut service.owners, resource.owner),
        (&mut service.languages, resource.language),
    ];
    for (known, name) in labels.into_iter().filter(|(_, name)| !name.is_empty()) {
        known.entry(name).fold(&seen);
    }
}

/// What spans say of where a request that has no caller came from.
const CLIENTS: [Marks; 3] = [Marks::PUBLIC_CLIENT, Marks::FORWARDED, Marks::PRIVATE_CLIENT];

/// Where a request that has no caller came from.
fn add_client(service: &mut ServiceFacts, trace: Candidate, span: &Span) {
    if span.marks.has(Marks::PUBLIC_CLIENT) {
        service.public_requests += 1;
        *service.public_clients.entry(span.client) += 1;
        service.public.offer(1, trace);
    }
    if span.marks.has(Marks::FORWARDED) {
        service.forwarded_requests += 1;
    } else if span.marks.has(Marks::PRIVATE_CLIENT) {
        *service.private_clients.entry(span.client) += 1;
    }
}

/// How long a request took, and how much of that it waited for nobody.
fn add_time(facts: &mut OperationFacts, trace: Candidate, span: &Span, own: &[&Made<'_>]) {
    let duration_ns = span.duration_ns();
    let within = |time: u64| time.clamp(span.start_ns, span.end_ns);
    let waited = own.iter().filter(|call| !call.is_asynchronous);
    let self_ns = duration_ns - union(waited.map(|call| (within(call.start_ns), within(call.end_ns))));
    facts.latency.record(duration_ns);
    facts.exemplars.offer(duration_ns, trace);
    facts.self_time.record(self_ns);
    facts.self_share.record(percent(self_ns, duration_ns).into());
}

fn add_transport(edge: &mut EdgeFacts, call: &Made<'_>, trace: Candidate) {
    match call.transport() {
        Transport::Unknown => {}
        Transport::Encrypted => edge.encrypted_calls += 1,
        Transport::Plain => {
            edge.plain_calls += 1;
            edge.plain.offer(call.duration_ns(), trace);
        }
    }
}

/// Everything about the time of a call. How long a stream lasts says nothing.
fn add_latency(edge: &mut EdgeFacts, call: &Made<'_>, reading: &Reading<'_>) {
    let duration_ns = call.duration_ns();
    let is_failure = call.outcome.is_failure();
    let slice = edge.slices.entry(slice(call.start_ns));
    slice.calls += 1;
    slice.failures += u64::from(is_failure);
    if call.is_stream() {
        edge.streams += 1;
        return;
    }
    slice.busy_ns = slice.busy_ns.saturating_add(duration_ns);
    if is_failure {
        slice.failed_ns = slice.failed_ns.saturating_add(duration_ns);
        edge.failed.offer(duration_ns, reading.trace);
    }
    edge.slow.offer(duration_ns, reading.trace);
    let record = |histogram: &mut Histogram, time: Option<u64>| time.into_iter().for_each(|ns| histogram.record(ns));
    record(&mut edge.caller_latency, call.caller_ns);
    record(&mut edge.callee_latency, call.callee_ns);
    if let (Some(caller_ns), Some(callee_ns), Some(opened)) = (call.caller_ns, call.callee_ns, call.callee_request) {
        edge.overhead.record(caller_ns.saturating_sub(callee_ns));
        add_mismatch(edge, call, reading.opening(opened), reading);
    }
}

/// Where the callee's time does not lie within the caller's: clocks that differ, or work that nobody waits for.
fn add_mismatch(edge: &mut EdgeFacts, call: &Made<'_>, callee: &Span, reading: &Reading<'_>) {
    let before_ns = call.start_ns.saturating_sub(callee.start_ns);
    let beyond_ns = callee.end_ns.saturating_sub(call.end_ns);
    let has_given_up = matches!(call.outcome, Outcome::TimedOut | Outcome::Cancelled);
    // A callee may well outlast a call that failed, for whatever reason it did.
    let skew_ns = if call.outcome.is_failure() { before_ns } else { before_ns.max(beyond_ns) };
    let host = |span: &Span| reading.vocabulary.resource(span.shape.resource).host;
    let are_apart = || {
        let (caller, callee) = (host(reading.opening(call.request)), host(callee));
        !caller.is_empty() && !callee.is_empty() && caller != callee
    };
    if skew_ns > 0 && !call.is_asynchronous && are_apart() {
        edge.skew.record(skew_ns);
    }
    if beyond_ns > 0 && has_given_up {
        edge.abandoned.record(beyond_ns);
        edge.abandoned_exemplars.offer(beyond_ns, reading.trace);
    }
}

/// `part` of `whole` in percent, 0 to 100; nothing of nothing is everything.
fn percent(part: u64, whole: u64) -> u8 {
    if whole == 0 { 100 } else { (u128::from(part.min(whole)) * 100 / u128::from(whole)) as u8 }
}

/// How long at least one of the intervals lasts.
fn union(intervals: impl Iterator<Item = (u64, u64)> + Clone) -> u64 {
    // Calls mostly come in order of their start.
    if intervals.clone().is_sorted_by_key(|(start, _)| start) {
        return covered(intervals);
    }
    let mut intervals: Vec<_> = intervals.collect();
    intervals.sort_unstable();
    covered(intervals.into_iter())
}

/// How long at least one of the intervals lasts that come in order of their start.
fn covered(intervals: impl Iterator<Item = (u64, u64)>) -> u64 {
    let mut covered_to = 0;
    let mut total = 0;
    for (start, end) in intervals {
        total += end.saturating_sub(start.max(covered_to));
        covered_to = covered_to.max(end);
    }
    total
}
