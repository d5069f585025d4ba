//! What is asked again within one request: the same once more, or the next part of one answer. Whose attempts follow a
//! failure is told by who calls this.

use super::Made;
use crate::marks::Marks;
use crate::name::Name;
use crate::span::Access;

/// A pause between two calls to a service, in nanoseconds, after which the same question is asked for a new answer.
const MIN_POLL_PAUSE_NS: u64 = 100_000_000;

/// How many calls of a group only go on with what another one asked: for its next page, where it was sent on, or to look
/// again, after a pause, whether something is ready.
pub(super) fn continued(group: &[&Made<'_>], is_retry: &[bool]) -> u64 {
    // Most calls are made once.
    if group.len() < 2 {
        return 0;
    }
    let kept = || group.iter().zip(is_retry).filter(|(_, is_retry)| !**is_retry).map(|(call, _)| *call);
    let marked = |mark: Marks| kept().filter(|call| call.marks.has(mark)).count() as u64;
    let mut known: Vec<((u64, Name), u64, u64)> = kept()
        .filter(|call| !call.marks.has(Marks::PAGE) && !call.marks.has(Marks::REDIRECT))
        .filter_map(|call| call.parameters().map(|asked| ((asked, call.host()), call.start_ns, call.end_ns)))
        .collect();
    known.sort_unstable();
    let is_look =
        |pair: &&[((u64, Name), u64, u64)]| pair[0].0 == pair[1].0 && is_after_pause(group[0], pair[0].2, pair[1].1);
    let looks = known.windows(2).filter(is_look).count() as u64;
    let continued = marked(Marks::PAGE).saturating_sub(1) + marked(Marks::REDIRECT) + looks;
    continued.min((kept().count() as u64).saturating_sub(1))
}

/// Whether a service is asked so long after it has answered that another answer is hoped for.
fn is_after_pause(call: &Made<'_>, answered_ns: u64, asked_ns: u64) -> bool {
    call.is_remote() && asked_ns.saturating_sub(answered_ns) >= MIN_POLL_PAUSE_NS
}

/// The most calls of a group with the same known parameters, with no write to the callee and no pause between two of
/// them: who waits before asking again waits for a change.
pub(super) fn same_parameters(group: &[&Made<'_>], is_retry: &[bool], on_edge: &[&Made<'_>]) -> u64 {
    let differs = |call: &Made<'_>| call.marks.has(Marks::SET_UP) || call.marks.has(Marks::PAGE);
    let kept = group.iter().zip(is_retry).filter(|(call, is_retry)| !**is_retry && !differs(call));
    // The same question to two hosts is two questions, as to the shards of one service.
    let asked = |call: &Made<'_>| call.parameters().map(|parameters| (parameters, call.host()));
    let mut known: Vec<((u64, Name), u64, u64)> =
        kept.filter_map(|(call, _)| asked(call).map(|asked| (asked, call.start_ns, call.end_ns))).collect();
    if known.len() < 2 {
        return known.len() as u64;
    }
    known.sort_unstable();
    let mut writes: Vec<u64> = on_edge
        .iter()
        .filter(|call| call.access() == Access::Write && call.template != group[0].template)
        .map(|call| call.start_ns)
        .collect();
    writes.sort_unstable();
    let (mut most, mut run) = (1, 1);
    for pair in known.windows(2) {
        let (earlier, later) = (pair[0].1, pair[1].1);
        let next = writes.partition_point(|&write| write < earlier);
        let is_written_between = writes.get(next).is_some_and(|&write| write < later);
        let is_polled = is_after_pause(group[0], pair[0].2, later);
        run = if pair[0].0 == pair[1].0 && !is_written_between && !is_polled { run + 1 } else { 1 };
        most = most.max(run);
    }
    most
}
