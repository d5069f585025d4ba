//! What is asked again within one request: an attempt after a failure, the same once more, or the next part of one answer.

use super::Made;
use crate::marks::Marks;
use crate::name::Name;
use crate::span::{Access, NodeKey};

/// A pause between two calls to a service, in nanoseconds, after which the same question is asked for a new answer.
const MIN_POLL_PAUSE_NS: u64 = 100_000_000;
/// How long messages must be on their way at once, in nanoseconds, to be known to go together: clocks that count
/// milliseconds put what follows each other closely into one of them.
const MIN_TOGETHER_NS: u64 = 1_000_000;
/// How many failures of one group of calls wait for the attempt that follows them.
const MAX_OPEN_FAILURES: usize = 256;

/// What a call is to the others of its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asked {
    /// A question of its own.
    New,
    /// An attempt after a failure.
    Attempt,
    /// It only goes on with what another one asked: for its next page, where it was sent on, to look again, after a
    /// pause, whether something is ready; or it goes along with another message, as one batch.
    Continued,
}

/// Finds out what each call of a group (in order of start) is to the others. The requests of attempts become `attempts`.
pub(super) fn asked_of(group: &[&Made<'_>], attempts: &mut [bool], asked: &mut Vec<Asked>) {
    asked.clear();
    mark_attempts(group, attempts, asked);
    mark_continued(group, asked);
    if matches!(group[0].callee, NodeKey::Topic(_)) {
        mark_sent_together(group, asked);
    }
}

/// Each failure that has ended excuses the next call of the same template whose parameters are not known to differ. The
/// requests of both are attempts.
fn mark_attempts(group: &[&Made<'_>], attempts: &mut [bool], asked: &mut Vec<Asked>) {
    let mut open_failures: Vec<&Made<'_>> = Vec::new();
    for call in group {
        let repeats = |failure: &&Made<'_>| {
            let may_be_same = failure.parameters().is_none() || failure.parameters() == call.parameters();
            failure.end_ns <= call.start_ns && may_be_same
        };
        let excused = open_failures.iter().position(repeats).map(|place| open_failures.remove(place));
        let is_attempt = excused.is_some() || call.is_resend();
        asked.push(if is_attempt { Asked::Attempt } else { Asked::New });
        if is_attempt {
            let requests = [Some(*call), excused].into_iter().flatten().filter_map(|call| call.callee_request);
            requests.for_each(|request| attempts[request] = true);
        }
        if call.outcome.is_failure() && open_failures.len() < MAX_OPEN_FAILURES {
            open_failures.push(call);
        }
    }
}

/// Marks the calls that only go on with what another one of the group asked.
fn mark_continued(group: &[&Made<'_>], asked: &mut [Asked]) {
    // Most calls are made once, and are sent nowhere.
    if let [only] = group
        && !only.marks.has(Marks::REDIRECT)
    {
        return;
    }
    let mut has_page = false;
    for (call, asked) in group.iter().zip(&mut *asked).filter(|(_, asked)| **asked == Asked::New) {
        let is_page = call.marks.has(Marks::PAGE);
        if call.marks.has(Marks::REDIRECT) || (is_page && has_page) {
            *asked = Asked::Continued;
        }
        has_page |= is_page;
    }
    for pair in known(group, asked).windows(2) {
        if pair[0].question == pair[1].question && is_after_pause(group[0], &pair[0], &pair[1]) {
            asked[pair[1].place] = Asked::Continued;
        }
    }
}

/// Marks all but the first of the messages that go together: some clients tell of each message of a batch by a span of
/// its own, from the one call that sends it to the one answer. Messages that are sent one by one, even without waiting for
/// each, are answered one after another.
fn mark_sent_together(group: &[&Made<'_>], asked: &mut [Asked]) {
    let mut batch: Option<Sending> = None;
    for (call, asked) in group.iter().zip(asked).filter(|(_, asked)| **asked == Asked::New) {
        match batch.as_ref().and_then(|batch| batch.with(call)) {
            Some(more) => {
                batch = Some(more);
                *asked = Asked::Continued;
            }
            None => batch = Some(Sending::of(call)),
        }
    }
}

/// When the messages of a batch are sent and answered.
struct Sending {
    place: Name,
    first_start: u64,
    last_start: u64,
    first_end: u64,
    last_end: u64,
}

impl Sending {
    fn of(call: &Made<'_>) -> Self {
        Self {
            place: call.place,
            first_start: call.start_ns,
            last_start: call.start_ns,
            first_end: call.end_ns,
            last_end: call.end_ns,
        }
    }

    /// With another message, where all are on their way at once, and are answered at once.
    fn with(&self, call: &Made<'_>) -> Option<Self> {
        let all = Self {
            place: self.place,
            first_start: self.first_start.min(call.start_ns),
            last_start: self.last_start.max(call.start_ns),
            first_end: self.first_end.min(call.end_ns),
            last_end: self.last_end.max(call.end_ns),
        };
        let at_once = all.first_end.saturating_sub(all.last_start);
        let is_answered_at_once = all.last_end - all.first_end <= MIN_TOGETHER_NS + at_once / 16;
        let is_together = at_once >= MIN_TOGETHER_NS.max(all.last_start - all.first_start) && is_answered_at_once;
        (call.place == self.place && is_together).then_some(all)
    }
}

/// The most calls of a group with the same known parameters, with no write to the callee and no pause between two of
/// them: who waits before asking again waits for a change.
pub(super) fn same_parameters(group: &[&Made<'_>], asked: &[Asked], on_edge: &[&Made<'_>]) -> u64 {
    let known = known(group, asked);
    if known.len() < 2 {
        return known.len() as u64;
    }
    let mut writes: Vec<u64> = on_edge
        .iter()
        .filter(|call| call.access() == Access::Write && call.template != group[0].template)
        .map(|call| call.start_ns)
        .collect();
    writes.sort_unstable();
    let (mut most, mut run) = (1, 1);
    for pair in known.windows(2) {
        let next = writes.partition_point(|&write| write < pair[0].start_ns);
        let is_written_between = writes.get(next).is_some_and(|&write| write < pair[1].start_ns);
        let is_polled = is_after_pause(group[0], &pair[0], &pair[1]);
        run = if pair[0].question == pair[1].question && !is_written_between && !is_polled { run + 1 } else { 1 };
        most = most.max(run);
    }
    most
}

/// A call whose parameters are known.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Known {
    /// Its parameters, and the host: the same question to two hosts is two questions, as to the shards of one service.
    question: (u64, Name),
    start_ns: u64,
    end_ns: u64,
    place: usize,
}

/// The calls of a group that may ask the same, by question and time: no attempts, nothing that prepares a statement,
/// pages or is sent on.
fn known(group: &[&Made<'_>], asked: &[Asked]) -> Vec<Known> {
    let differs =
        |call: &Made<'_>| [Marks::SET_UP, Marks::PAGE, Marks::REDIRECT].iter().any(|mark| call.marks.has(*mark));
    let kept = group.iter().zip(asked).enumerate();
    let kept = kept.filter(|(_, (call, asked))| **asked != Asked::Attempt && !differs(call));
    let mut known: Vec<Known> = kept
        .filter_map(|(place, (call, _))| {
            let question = (call.parameters()?, call.host());
            Some(Known { question, start_ns: call.start_ns, end_ns: call.end_ns, place })
        })
        .collect();
    known.sort_unstable();
    known
}

/// Whether a service is asked so long after it has answered that another answer is hoped for.
fn is_after_pause(call: &Made<'_>, earlier: &Known, later: &Known) -> bool {
    call.is_remote() && later.start_ns.saturating_sub(earlier.end_ns) >= MIN_POLL_PAUSE_NS
}
