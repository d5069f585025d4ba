//! How one request repeats its calls: per edge, per pattern, and in sequences of statements.

use std::borrow::Cow;

use super::again::{Asked, asked_of, same_parameters};
use super::fan_out::FanOut;
use super::{Made, Reading, percent, union};
use crate::facts::histogram::bucket;
use crate::facts::{
    EdgeKey, EnvironmentFacts, MAX_SEQUENCE, MIN_REPEATED, MIN_ROUNDS, Parameters, PatternFacts, PatternKey,
    Repetition, Sequence,
};
use crate::marks::Marks;
use crate::name::Name;
use crate::span::{Access, EdgeKind, NodeKey};

/// How many sequences of statements are looked for in one place of a request.
const MAX_SEQUENCES: usize = 16;
/// The fewest calls of one request among which one for each of many like hosts is looked for.
const MIN_FAN_OUT: u64 = 8;
/// The fewest differing statements that go through a list: two may be two questions that are asked again.
const MIN_LISTED: usize = 3;
/// The fewest calls of one request that make it busy on an edge.
const MIN_BUSY: u64 = 2;

/// What is found out request by request of a trace, and needed of all.
#[derive(Debug, Default)]
pub(super) struct OfTrace {
    /// Which requests belong to attempts at one thing.
    attempts: Vec<bool>,
    /// (bucket of calls, bucket of distinct operations called) of each request that is busy on an edge.
    busy: Vec<(EdgeKey, (u16, u16))>,
    /// What each call of a group is to the others, group by group in the same memory.
    asked: Vec<Asked>,
    /// How many calls to services and external hosts each request makes itself, by what is too many of them.
    pub(super) remote: Vec<u64>,
}

impl OfTrace {
    /// Begins with a trace of so many requests, before the first is looked at.
    pub(super) fn begin(&mut self, requests: usize) {
        self.attempts.clear();
        self.attempts.resize(requests, false);
        self.remote.clear();
        self.remote.resize(requests, 0);
        self.busy.clear();
    }
}

impl EnvironmentFacts {
    /// Adds what one request calls, and how often. `own` are its calls in order of start; gives where they go.
    pub(super) fn add_repetition<'a>(
        &mut self,
        reading: &Reading<'a>,
        request: usize,
        own: &[&'a Made<'a>],
        of_trace: &mut OfTrace,
    ) -> FanOut {
        self.add_sequences(reading, request, own);
        let own: &[_] = &without_steps(by_question(own));
        let mut asked = std::mem::take(&mut of_trace.asked);
        let mut fan_out = FanOut::default();
        let mut questions: Vec<&Made<'_>> = Vec::new();
        for calls in own.chunk_by(|left, right| (left.callee, left.kind) == (right.callee, right.kind)) {
            let mut edge = EdgeOfRequest::default();
            let questions_before = questions.len();
            for group in calls.chunk_by(|left, right| left.template == right.template) {
                asked_of(group, &mut of_trace.attempts, &mut asked);
                edge.add(group, &asked);
                // Most requests call too few others to be looked at again.
                if own.len() as u64 >= MIN_FAN_OUT {
                    let new = group.iter().zip(&asked).filter(|(_, asked)| **asked == Asked::New);
                    questions.extend(new.map(|(call, _)| *call));
                }
                self.add_pattern(reading, request, group, &asked, &mut edge, calls);
            }
            fan_out.add(calls[0], edge.kept, edge.continued);
            let of_edge = &questions[questions_before..];
            if of_edge.len() as u64 >= MIN_FAN_OUT {
                edge.scattered = scattered(reading, of_edge);
            }
            if calls[0].callee != NodeKey::Unknown && calls[0].callee != calls[0].caller {
                self.add_edge_of_request(reading, request, calls, &edge, of_trace);
            }
        }
        if fan_out.remote - fan_out.continued >= MIN_FAN_OUT {
            fan_out.scattered = scattered(reading, &questions);
        }
        of_trace.asked = asked;
        fan_out
    }

    fn add_edge_of_request(
        &mut self,
        reading: &Reading<'_>,
        request: usize,
        calls: &[&Made<'_>],
        of_request: &EdgeOfRequest,
        of_trace: &mut OfTrace,
    ) {
        let first = calls[0];
        let key = EdgeKey { caller: first.caller, callee: first.callee, kind: first.kind };
        let edge = self.edges.entry(key);
        edge.requests += 1;
        edge.retries += of_request.retries;
        edge.overlapping_calls += overlapping(calls);
        let asked = of_request.kept - of_request.continued - of_request.scattered;
        edge.chatty.offer(of_request.kept, reading.trace);
        let cell = |calls| (bucket(calls), bucket(of_request.operations));
        *edge.per_request.entry(cell(of_request.kept)).or_default() += 1;
        let cell = cell(asked);
        if asked > 0 {
            *edge.asked_per_request.entry(cell).or_default() += 1;
        }
        if asked >= MIN_BUSY {
            of_trace.busy.push((key, cell));
        }
        if of_request.retries > 0 {
            let is_layered = |at: &usize| of_trace.attempts[*at];
            let own = [request].into_iter();
            let above = own.chain(reading.calls.synchronous_path(request)).any(|at| is_layered(&at));
            edge.layered_retries += u64::from(above);
            edge.attempts.record(of_request.attempts);
            edge.retried.offer(of_request.attempts, reading.trace);
        }
    }

    /// Adds the busiest request of each edge, once all requests are known.
    pub(super) fn add_busiest(&mut self, of_trace: &mut OfTrace) {
        of_trace.busy.sort_unstable();
        for of_edge in of_trace.busy.chunk_by(|left, right| left.0 == right.0) {
            let (key, cell) = of_edge[of_edge.len() - 1];
            *self.edges.entry(key).per_trace.entry(cell).or_default() += 1;
        }
    }

    fn add_pattern(
        &mut self,
        reading: &Reading<'_>,
        request: usize,
        group: &[&Made<'_>],
        asked: &[Asked],
        edge: &mut EdgeOfRequest,
        on_edge: &[&Made<'_>],
    ) {
        let first = group[0];
        let span = reading.opening(request);
        let key = PatternKey {
            caller: reading.operation(request),
            callee: first.callee,
            kind: first.kind,
            template: first.template,
        };
        let pattern = self.patterns.entry(key);
        pattern.requests += 1;
        pattern.calls += group.len() as u64;
        pattern.retries += count(asked, Asked::Attempt);
        pattern.resends += group.iter().filter(|call| call.is_resend()).count() as u64;
        pattern.retried_requests += u64::from(asked.contains(&Asked::Attempt));
        for call in group {
            add_call(pattern, call, reading);
        }
        // Who is sent on asks one question, however many places it leads through; and a batch is sent once.
        let is_kept = |(call, asked): &(&&Made<'_>, &Asked)| {
            let is_of_batch = **asked == Asked::Continued && matches!(call.callee, NodeKey::Topic(_));
            **asked != Asked::Attempt && !call.marks.has(Marks::REDIRECT) && !is_of_batch
        };
        let kept = || group.iter().zip(asked).filter(is_kept);
        if kept().next().is_none() {
            return;
        }
        edge.operations += 1;
        let repeated = if let [only] = group {
            Repeated::once(only)
        } else {
            Repeated::most(kept().map(|(call, _)| *call).collect(), first.kind == EdgeKind::Database)
        };
        let parameters = repeated.parameters;
        // Most calls are made once; how long that took is in the latency, and here would only make more cells.
        let (union_ns, share) = match repeated.distinct {
            0 | 1 => (0, 0),
            _ => (bucket(repeated.union_ns), percent(repeated.union_ns, span.duration_ns())),
        };
        let repetition = Repetition { distinct: bucket(repeated.distinct), union_ns, share, parameters };
        *pattern.repetitions.entry(repetition).or_default() += 1;
        if parameters != Parameters::Scattered {
            pattern.exemplars.offer(repeated.distinct, reading.trace);
        }
        if repeated.distinct >= MIN_REPEATED {
            pattern.saved.record(repeated.union_ns - repeated.longest_ns.min(repeated.union_ns));
        }
        let repeats = if group.len() > 1 { same_parameters(group, asked, on_edge) } else { 1 };
        if repeats > 1 {
            pattern.repeats.record(repeats);
            pattern.repeated.offer(repeats, reading.trace);
        }
    }

    /// Statements that come again in turn: A B C A B C A B C. What lies between them does not matter, unless it is a
    /// statement to the same datastore from a place of the same name.
    fn add_sequences(&mut self, reading: &Reading<'_>, request: usize, own: &[&Made<'_>]) {
        let is_statement =
            |call: &&&Made<'_>| call.kind == EdgeKind::Database && !call.template.is_empty() && !call.is_asynchronous;
        let repeats = |call: &&&Made<'_>| is_statement(call) && !call.marks.has(Marks::SET_UP);
        let mut statements: Vec<&Made<'_>> = own.iter().filter(repeats).copied().collect();
        if (statements.len() as u64) < 2 * MIN_ROUNDS {
            return;
        }
        statements.sort_by_key(|call| (call.callee, call.place, call.start_ns));
        for of_callee in statements.chunk_by(|left, right| left.callee == right.callee) {
            // What maps objects names a place of its own for each statement: `OrderRepository.find`.
            let mut wrapped: Vec<&Made<'_>> = Vec::new();
            for of_place in of_callee.chunk_by(|left, right| left.place == right.place) {
                if of_place.iter().all(|call| call.template == of_place[0].template) {
                    wrapped.extend(of_place);
                } else {
                    self.add_sequences_of(reading, request, of_place);
                }
            }
            wrapped.sort_by_key(|call| call.start_ns);
            self.add_sequences_of(reading, request, &wrapped);
        }
    }

    /// Adds the sequences of statements in their order.
    fn add_sequences_of(&mut self, reading: &Reading<'_>, request: usize, statements: &[&Made<'_>]) {
        let mut from = 0;
        for _ in 0..MAX_SEQUENCES {
            let Some(found) = first_sequence(&statements[from..]) else { break };
            let calls = &statements[from + found.start..from + found.start + found.length * found.rounds as usize];
            from += found.start + calls.len();
            let union_ns = union(calls.iter().map(|call| (call.start_ns, call.end_ns)));
            let (first, span) = (calls[0], reading.opening(request));
            let caller = reading.operation(request);
            let key = PatternKey { caller, callee: first.callee, kind: first.kind, template: first.template };
            let pattern = self.patterns.entry(key);
            let sequence = Sequence {
                length: found.length as u8,
                repeats: bucket(found.rounds),
                union_ns: bucket(union_ns),
                share: percent(union_ns, span.duration_ns()),
            };
            *pattern.sequences.entry(sequence).or_default() += 1;
            pattern.sequenced.offer(found.rounds, reading.trace);
        }
    }
}

/// What is asked of whom.
fn asked(call: &Made<'_>) -> (NodeKey, EdgeKind, Name) {
    (call.callee, call.kind, call.template)
}

/// Calls in order of what is asked of whom, then as before.
fn by_question<'s, 'a>(own: &'s [&'a Made<'a>]) -> Cow<'s, [&'a Made<'a>]> {
    if own.is_sorted_by_key(|call| asked(call)) {
        return Cow::Borrowed(own);
    }
    let mut sorted = own.to_vec();
    sorted.sort_by_key(|call| asked(call));
    Cow::Owned(sorted)
}

/// Calls without those that only repeat the text of a statement beside it, as drivers do that prepare or fetch.
fn without_steps<'s, 'a>(own: Cow<'s, [&'a Made<'a>]>) -> Cow<'s, [&'a Made<'a>]> {
    let is_step = |call: &&Made<'_>| call.marks.has(Marks::SET_UP);
    if !own.iter().any(is_step) {
        return own;
    }
    let mut kept: Vec<&Made<'_>> = Vec::with_capacity(own.len());
    for group in own.chunk_by(|left, right| asked(left) == asked(right)) {
        let is_asked = !group.iter().all(is_step);
        kept.extend(group.iter().filter(|call| !is_asked || !is_step(call)));
    }
    Cow::Owned(kept)
}

/// What one call adds to its pattern.
fn add_call(pattern: &mut PatternFacts, call: &Made<'_>, reading: &Reading<'_>) {
    pattern.set_up_calls += u64::from(call.marks.has(Marks::SET_UP));
    pattern.writes += u64::from(call.access() == Access::Write);
    if !call.is_stream() {
        pattern.latency.record(call.duration_ns());
        pattern.slow.offer(call.duration_ns(), reading.trace);
    }
    for &table in call.tables() {
        *pattern.tables.entry(table) += 1;
    }
    if let Some(&location) = call.location {
        *pattern.locations.entry(location) += 1;
    }
}

/// Of the calls of one request, those that a scatter has too many: the same is asked of hosts whose names differ in
/// digits alone, of each once. That is one question, whatever the number of shards.
fn scattered(reading: &Reading<'_>, own: &[&Made<'_>]) -> u64 {
    let text = |name| reading.vocabulary.names.text(name);
    let host = |call: &Made<'_>| match call.callee {
        NodeKey::Service(service) => text(service.name),
        NodeKey::Peer(peer) => text(peer),
        _ => text(call.host()),
    };
    let stem = |host: &str| host.chars().filter(|letter| !letter.is_ascii_digit()).collect::<String>();
    let remote = own.iter().filter(|call| call.is_remote());
    let mut asked: Vec<_> = remote
        .map(|call| (call.kind, text(call.template), stem(host(call)), call.callee, call.host()))
        .filter(|asked| !asked.1.is_empty() && !asked.2.is_empty())
        .collect();
    asked.sort_unstable();
    let alike = asked.chunk_by(|left, right| (left.0, left.1, &left.2) == (right.0, right.1, &right.2));
    let is_scatter = |group: &&[_]| group.windows(2).all(|pair| pair[0] != pair[1]);
    alike.filter(is_scatter).map(|group| group.len() as u64 - 1).sum()
}

/// What one request does on one edge.
#[derive(Debug, Default)]
struct EdgeOfRequest {
    /// Calls that are no attempts after a failure.
    kept: u64,
    /// Of these, those that only go on with what another one asked.
    continued: u64,
    /// Of those that ask anew, those that a scatter has too many.
    scattered: u64,
    retries: u64,
    /// The most attempts at one thing.
    attempts: u64,
    /// Different operations called.
    operations: u64,
}

impl EdgeOfRequest {
    fn add(&mut self, group: &[&Made<'_>], asked: &[Asked]) {
        let retries = count(asked, Asked::Attempt);
        let kept = group.len() as u64 - retries;
        self.retries += retries;
        self.kept += kept;
        self.continued += count(asked, Asked::Continued);
        if retries == 0 {
            return;
        }
        let repeated = group.iter().zip(asked).filter(|(_, asked)| **asked == Asked::Attempt);
        let mut known: Vec<u64> = repeated.filter_map(|(call, _)| call.parameters()).collect();
        known.sort_unstable();
        let most = known.chunk_by(|left, right| left == right).map(<[u64]>::len).max().unwrap_or(0) as u64;
        let unknown = retries - known.len() as u64;
        self.attempts = self.attempts.max(1 + most.max(unknown.div_ceil(kept.max(1))));
    }
}

/// How many calls of a group are asked like this.
fn count(asked: &[Asked], like: Asked) -> u64 {
    asked.iter().filter(|asked| **asked == like).count() as u64
}

/// How often a request makes one call.
struct Repeated {
    distinct: u64,
    union_ns: u64,
    longest_ns: u64,
    parameters: Parameters,
}

impl Repeated {
    /// Of a single call.
    fn once(call: &Made<'_>) -> Self {
        let parameters = if call.parameters().is_some() { Parameters::Known } else { Parameters::Unknown };
        Self { distinct: 1, union_ns: call.duration_ns(), longest_ns: call.duration_ns(), parameters }
    }

    /// Of the calls under parents of one name (or of all, where places do not matter) those that repeat most.
    fn most(mut kept: Vec<&Made<'_>>, by_place: bool) -> Self {
        if !by_place {
            return Self::of(&kept, |differing| differing * 2 > kept.len());
        }
        kept.sort_by_key(|call| call.place);
        let places = kept.chunk_by(|left, right| left.place == right.place);
        let places = places.map(|calls| Self::of(calls, |differing| differing >= MIN_LISTED));
        places.max_by_key(|place| (place.distinct, place.union_ns)).expect("a group has calls")
    }

    /// `is_list` tells whether so many differing calls go through a list, in which some entries are alike.
    fn of(calls: &[&Made<'_>], is_list: impl Fn(usize) -> bool) -> Self {
        let mut known: Vec<u64> = calls.iter().filter_map(|call| call.parameters()).collect();
        let unknown = calls.len() - known.len();
        known.sort_unstable();
        known.dedup();
        let parameters = match unknown {
            _ if calls.len() > 1 && are_scattered(calls) => Parameters::Scattered,
            0 => Parameters::Known,
            _ => Parameters::Unknown,
        };
        let differing = known.len() + unknown;
        Self {
            distinct: if is_list(differing) { calls.len() } else { differing } as u64,
            union_ns: union(calls.iter().map(|call| (call.start_ns, call.end_ns))),
            longest_ns: calls.iter().map(|call| call.duration_ns()).max().unwrap_or(0),
            parameters,
        }
    }
}

/// Whether every call went to a host of its own.
fn are_scattered(calls: &[&Made<'_>]) -> bool {
    let mut hosts: Vec<Name> = calls.iter().map(|call| call.host()).collect();
    hosts.sort_unstable();
    hosts.windows(2).all(|pair| pair[0] != pair[1])
}

/// Calls in order of callee and template that overlap another of them in time.
fn overlapping(calls: &[&Made<'_>]) -> u64 {
    if calls.len() < 2 {
        return 0;
    }
    let mut times: Vec<(u64, u64)> = calls.iter().map(|call| (call.start_ns, call.end_ns)).collect();
    times.sort_unstable();
    let mut count = 0;
    let mut latest_end = 0;
    for (place, &(start, end)) in times.iter().enumerate() {
        let is_before = start < latest_end;
        let is_after = times.get(place + 1).is_some_and(|next| next.0 < end);
        count += u64::from(is_before || is_after);
        latest_end = latest_end.max(end);
    }
    count
}

/// A sequence of statements that is gone through again and again.
struct Found {
    start: usize,
    length: usize,
    rounds: u64,
}

/// The first run of at least [`MIN_ROUNDS`] rounds of a sequence of 2 to [`MAX_SEQUENCE`] statements, not all alike; of
/// several that begin there the shortest.
fn first_sequence(calls: &[&Made<'_>]) -> Option<Found> {
    let found = (2..=MAX_SEQUENCE).filter_map(|length| {
        let mut alike = 0;
        for place in length..=calls.len() {
            if place < calls.len() && calls[place].template == calls[place - length].template {
                alike += 1;
                continue;
            }
            let rounds = (alike / length + 1) as u64;
            let start = place - alike - length;
            let are_different = calls[start..start + length].iter().any(|call| call.template != calls[start].template);
            if rounds >= MIN_ROUNDS && are_different {
                return Some(Found { start, length, rounds });
            }
            alike = 0;
        }
        None
    });
    found.min_by_key(|found| (found.start, found.length))
}
