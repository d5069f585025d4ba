//! The facts of one trace: from its spans to what ⊕ adds up.

use std::collections::BTreeSet;

use super::calls::{Calls, Made};
use super::histogram::bucket;
use super::{
    EdgeKey, EnvironmentFacts, Facts, LoopKey, MAX_LOOP_LENGTH, OperationKey, Parameters, PatternKey, Repetition,
    UsageKey,
};
use crate::name::Name;
use crate::span::{Access, NodeKey, ServiceKey, Span, TraceId, Vocabulary};
use crate::trace::{Trace, Tree};

/// How many failures of one group of calls wait for the attempt that follows them.
const MAX_OPEN_FAILURES: usize = 256;

impl Facts {
    /// Adds the facts of one settled trace.
    pub fn add_trace(&mut self, trace: &Trace, vocabulary: &Vocabulary) {
        for (environment, part) in trace.by_environment(vocabulary) {
            let facts = self.environments.entry(environment);
            let tree = Tree::of(part.spans());
            let calls = Calls::of(part.spans(), &tree);
            facts.counts.traces += 1;
            facts.counts.duplicate_spans += part.duplicates();
            facts.counts.circular_spans += tree.circular;
            facts.add_spans(part.spans(), &tree.is_orphan, vocabulary);
            facts.add_requests(&part, &calls);
            facts.add_calls(part.id(), &calls.made);
            facts.add_usages(&part, &calls);
            facts.add_loops(&part, &calls);
        }
    }

    /// Adds the facts of spans that came after their trace had settled: single spans, and calls to datastores and
    /// topics, never anything per request. Other calls of a fragment are left out, since the span of their callee may
    /// have settled before.
    pub fn add_fragment(&mut self, fragment: &Trace, vocabulary: &Vocabulary) {
        for (environment, part) in fragment.by_environment(vocabulary) {
            let facts = self.environments.entry(environment);
            let tree = Tree::of(part.spans());
            let mut made = Calls::of(part.spans(), &tree).made;
            made.retain(|call| !matches!(call.callee, NodeKey::Peer(_)));
            facts.counts.late_spans += part.spans().len() as u64;
            facts.counts.duplicate_spans += part.duplicates();
            facts.add_spans(part.spans(), &[], vocabulary);
            facts.add_calls(part.id(), &made);
        }
    }
}

impl EnvironmentFacts {
    fn add_spans(&mut self, spans: &[Span], is_orphan: &[bool], vocabulary: &Vocabulary) {
        self.counts.spans += spans.len() as u64;
        for (index, span) in spans.iter().enumerate() {
            let orphan = u64::from(is_orphan.get(index).copied().unwrap_or(false));
            let resource = vocabulary.resource(span.resource);
            self.counts.seen.widen(span.start_ns, span.end_ns);
            self.counts.orphan_spans += orphan;
            let service = self.services.entry(span.service);
            service.spans += 1;
            service.orphan_spans += orphan;
            let labels = [
                (&mut service.instances, resource.instance),
                (&mut service.versions, resource.version),
                (&mut service.owners, resource.owner),
                (&mut service.languages, resource.language),
            ];
            for (seen, name) in labels.into_iter().filter(|(_, name)| !name.is_empty()) {
                seen.entry(name).widen(span.start_ns, span.end_ns);
            }
        }
    }

    fn add_requests(&mut self, trace: &Trace, calls: &Calls<'_>) {
        let mut rest = &calls.made[..];
        for (index, request) in calls.requests.iter().enumerate() {
            let (made, later) = rest.split_at(rest.partition_point(|call| call.request <= index));
            rest = later;
            if request.is_probe {
                continue;
            }
            let span = &trace.spans()[request.span];
            let own: Vec<&Made<'_>> =
                made.iter().filter(|call| call.caller == NodeKey::Service(span.service)).collect();
            let key = OperationKey { service: span.service, operation: span.operation };
            let operation = self.operations.entry(key);
            operation.requests += 1;
            operation.outcomes[span.outcome.index()] += 1;
            operation.entries[request.entry as usize] += 1;
            operation.latency.record(span.duration_ns());
            operation.self_time_ns += u128::from(span.duration_ns() - union_within(span, &own));
            operation.exemplars.offer(span.duration_ns(), trace.id());
            self.add_edges_per_request(trace.id(), &own);
            self.add_patterns(key, trace.id(), &own);
        }
    }

    /// How often one request calls each of its callees.
    fn add_edges_per_request(&mut self, trace_id: TraceId, own: &[&Made<'_>]) {
        for group in groups(own, |call| (call.callee, call.kind)) {
            let first = group[0];
            let retries = mark_retries(&group);
            let kept = || group.iter().zip(&retries).filter(|(_, is_retry)| !**is_retry).map(|(call, _)| call);
            let operations: BTreeSet<Name> = kept().map(|call| call.template).collect();
            let count = kept().count() as u64;
            let edge = self.edges.entry(EdgeKey { caller: first.caller, callee: first.callee, kind: first.kind });
            edge.requests += 1;
            edge.retries += group.len() as u64 - count;
            edge.chatty.offer(count, trace_id);
            *edge.per_request.entry((bucket(count), bucket(operations.len() as u64))).or_default() += 1;
        }
    }

    /// How one request repeats each of its calls.
    fn add_patterns(&mut self, caller: OperationKey, trace_id: TraceId, own: &[&Made<'_>]) {
        for group in groups(own, |call| (call.callee, call.kind, call.template)) {
            let first = group[0];
            let retries = mark_retries(&group);
            let kept: Vec<&Made<'_>> =
                group.iter().zip(&retries).filter(|(_, is_retry)| !**is_retry).map(|(call, _)| *call).collect();
            let mut known: Vec<u64> = kept.iter().filter_map(|call| call.parameters).collect();
            known.sort_unstable();
            let repeats = known.chunk_by(|left, right| left == right).map(<[u64]>::len).max().unwrap_or(0) as u64;
            let unknown = (kept.len() - known.len()) as u64;
            known.dedup();
            let distinct = known.len() as u64 + unknown;
            let hosts: BTreeSet<Name> = kept.iter().map(|call| call.host).collect();
            let parameters = if kept.len() > 1 && hosts.len() == kept.len() {
                Parameters::Scattered
            } else if unknown > 0 {
                Parameters::Unknown
            } else {
                Parameters::Known
            };
            let key = PatternKey { caller, callee: first.callee, kind: first.kind, template: first.template };
            let pattern = self.patterns.entry(key);
            pattern.requests += 1;
            pattern.calls += group.len() as u64;
            pattern.retries += (group.len() - kept.len()) as u64;
            let union_ns = bucket(union(kept.iter().map(|call| (call.start_ns, call.end_ns))));
            let repetition = Repetition { distinct: bucket(distinct), union_ns, parameters };
            *pattern.repetitions.entry(repetition).or_default() += 1;
            if parameters != Parameters::Scattered {
                pattern.exemplars.offer(distinct, trace_id);
            }
            if repeats > 1 {
                pattern.repeats.record(repeats);
            }
        }
    }

    fn add_calls(&mut self, trace_id: TraceId, made: &[Made<'_>]) {
        let mut touched = BTreeSet::new();
        for call in made.iter().filter(|call| call.caller != call.callee) {
            let key = EdgeKey { caller: call.caller, callee: call.callee, kind: call.kind };
            let edge = self.edges.entry(key);
            edge.calls += 1;
            edge.outcomes[call.outcome.index()] += 1;
            edge.traced_calls += u64::from(call.callee_ns.is_some());
            edge.asynchronous_calls += u64::from(call.is_asynchronous);
            edge.items += u64::from(call.batch);
            edge.traces += u64::from(touched.insert(key));
            call.caller_ns.into_iter().for_each(|duration| edge.caller_latency.record(duration));
            call.callee_ns.into_iter().for_each(|duration| edge.callee_latency.record(duration));
            edge.seen.widen(call.start_ns, call.end_ns);
            let duration_ns = call.end_ns - call.start_ns;
            edge.slow.offer(duration_ns, trace_id);
            if call.outcome.is_failure() {
                edge.failed.offer(duration_ns, trace_id);
            }
        }
    }

    /// Statements within requests. A statement that is itself the root of its trace belongs to none: migrations and
    /// start-up code look so.
    fn add_usages(&mut self, trace: &Trace, calls: &Calls<'_>) {
        let mut uses: Vec<(UsageKey, Access)> = Vec::new();
        for call in &calls.made {
            let (NodeKey::Service(service), NodeKey::Datastore(datastore)) = (call.caller, call.callee) else {
                continue;
            };
            let opening = &trace.spans()[calls.requests[call.request].span];
            let is_outside = opening.call.as_ref().is_some_and(|own| own.peer == Some(call.callee));
            if call.access == Access::None || is_outside {
                continue;
            }
            let tables = if call.tables.is_empty() { &[Name::EMPTY] } else { call.tables };
            uses.extend(tables.iter().map(|&table| (UsageKey { datastore, service, table }, call.access)));
        }
        uses.sort_unstable();
        for group in uses.chunk_by(|left, right| left.0 == right.0) {
            let usage = self.usages.entry(group[0].0);
            let writes = group.iter().filter(|(_, access)| *access == Access::Write).count() as u64;
            usage.writes += writes;
            usage.reads += group.len() as u64 - writes;
            usage.traces += 1;
            usage.exemplars.offer(group.len() as u64, trace.id());
        }
    }

    /// Loops: requests whose service is already on the synchronous path that leads to them.
    fn add_loops(&mut self, trace: &Trace, calls: &Calls<'_>) {
        let service = |request: usize| trace.spans()[calls.requests[request].span].service;
        let mut walked: Vec<LoopKey> = Vec::new();
        for (index, _) in calls.requests.iter().enumerate().filter(|(_, request)| !request.is_probe) {
            let mut path: Vec<ServiceKey> = Vec::new();
            for caller in calls.synchronous_path(index).map(service) {
                if caller == service(index) && !path.is_empty() {
                    path.push(caller);
                    walked.extend(loop_key(path));
                    break;
                }
                if caller != service(index) {
                    path.push(caller);
                }
            }
        }
        walked.sort_unstable();
        for group in walked.chunk_by(|left, right| left == right) {
            let facts = self.loops.entry(group[0]);
            facts.walks += group.len() as u64;
            facts.traces += 1;
            facts.exemplars.offer(group.len() as u64, trace.id());
        }
    }
}

/// The key of the loop that `path` closes, given from its end to its start; none for a service that calls itself and
/// for loops longer than a key holds.
fn loop_key(mut path: Vec<ServiceKey>) -> Option<LoopKey> {
    path.dedup();
    if path.len() < 2 || path.len() > MAX_LOOP_LENGTH {
        return None;
    }
    path.reverse();
    let smallest = (0..path.len()).min_by_key(|&place| path[place])?;
    path.rotate_left(smallest);
    let mut services = [ServiceKey::default(); MAX_LOOP_LENGTH];
    services[..path.len()].copy_from_slice(&path);
    Some(LoopKey { services })
}

/// The calls in groups of equal key; within a group they keep their order of start.
fn groups<'a, 'b, K: Ord>(own: &[&'b Made<'a>], key: impl Fn(&Made<'a>) -> K) -> Vec<Vec<&'b Made<'a>>> {
    let mut sorted = own.to_vec();
    sorted.sort_by_key(|call| key(call));
    sorted.chunk_by(|left, right| key(left) == key(right)).map(<[_]>::to_vec).collect()
}

/// Which calls of a group (in order of start) are attempts after a failure: each failure that has ended excuses the
/// next call of the same template whose parameters are not known to differ.
fn mark_retries(group: &[&Made<'_>]) -> Vec<bool> {
    let mut open_failures: Vec<&Made<'_>> = Vec::new();
    let mut is_retry = Vec::with_capacity(group.len());
    for call in group {
        let repeats = |failure: &&Made<'_>| {
            let may_be_same = failure.parameters.is_none() || failure.parameters == call.parameters;
            failure.end_ns <= call.start_ns && failure.template == call.template && may_be_same
        };
        let excused = open_failures.iter().position(repeats).map(|place| open_failures.remove(place)).is_some();
        is_retry.push(excused || call.is_retry);
        if call.outcome.is_failure() && open_failures.len() < MAX_OPEN_FAILURES {
            open_failures.push(call);
        }
    }
    is_retry
}

/// How long at least one of the intervals lasts.
fn union(intervals: impl Iterator<Item = (u64, u64)>) -> u64 {
    let mut intervals: Vec<_> = intervals.collect();
    intervals.sort_unstable();
    let mut covered_to = 0;
    let mut total = 0;
    for (start, end) in intervals {
        total += end.saturating_sub(start.max(covered_to));
        covered_to = covered_to.max(end);
    }
    total
}

/// How much of a span's time is covered by calls.
fn union_within(span: &Span, own: &[&Made<'_>]) -> u64 {
    let within = |time: u64| time.clamp(span.start_ns, span.end_ns);
    let waited = own.iter().filter(|call| !call.is_asynchronous);
    union(waited.map(|call| (within(call.start_ns), within(call.end_ns))))
}
