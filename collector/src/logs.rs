//! The log lines of recent traces, kept beside them: bounded for each trace and in all, what goes over is counted.
//!
//! When the store is full, the lines of traces that were not heard of for the longest go first, those of cited traces
//! last. Lines of no trace are among themselves, the oldest go first. Nobody judges by log lines.

use std::collections::VecDeque;

use spanlint_graph::hash::{HashMap, HashSet};
use spanlint_graph::{LogLine, TraceId};

use crate::size::{detail_bytes, room_bytes};

/// The most bytes of log lines that are kept.
pub const MAX_LOG_BYTES: usize = 16 << 20;
/// The most lines of one trace.
pub const MAX_TRACE_LINES: usize = 500;
/// Of the bytes, the part that lines of no trace may take: one in this many.
const PART_WITHOUT_TRACE: usize = 4;

/// Lines by trace, as many as fit.
#[derive(Debug)]
pub struct LogStore {
    limit_bytes: usize,
    traces: HashMap<TraceId, TraceLines>,
    without_trace: VecDeque<LogLine>,
    bytes: usize,
    /// Of these, those of lines without a trace.
    bytes_without_trace: usize,
    /// How many lines were ever taken; the age of a trace's latest line.
    taken: u64,
    dropped: u64,
}

#[derive(Debug, Default)]
struct TraceLines {
    lines: Vec<LogLine>,
    bytes: usize,
    age: u64,
}

impl TraceLines {
    /// What it takes beside what its lines own; nothing while it has none.
    fn room_bytes(&self) -> usize {
        if self.lines.is_empty() { 0 } else { room_bytes(&self.lines) }
    }
}

impl LogStore {
    /// An empty store for `limit_bytes`.
    pub fn new(limit_bytes: usize) -> Self {
        Self {
            limit_bytes,
            traces: HashMap::default(),
            without_trace: VecDeque::new(),
            bytes: 0,
            bytes_without_trace: 0,
            taken: 0,
            dropped: 0,
        }
    }

    /// Takes a line. The store may be over its limit afterwards: see [`LogStore::is_full`].
    pub fn insert(&mut self, line: LogLine) {
        self.taken += 1;
        if line.trace_id.0 == 0 {
            self.insert_without_trace(line);
            return;
        }
        let trace = self.traces.entry(line.trace_id).or_default();
        trace.age = self.taken;
        if trace.lines.len() >= MAX_TRACE_LINES {
            self.dropped += 1;
            return;
        }
        let room_before = trace.room_bytes();
        let owned = detail_bytes(&line.detail);
        trace.lines.push(line);
        let bytes = owned + trace.room_bytes() - room_before;
        trace.bytes += bytes;
        self.bytes += bytes;
    }

    fn insert_without_trace(&mut self, line: LogLine) {
        let bytes = line_bytes(&line);
        self.without_trace.push_back(line);
        self.bytes += bytes;
        self.bytes_without_trace += bytes;
        while self.bytes_without_trace > self.limit_bytes / PART_WITHOUT_TRACE {
            let Some(oldest) = self.without_trace.pop_front() else { break };
            let bytes = line_bytes(&oldest);
            self.bytes -= bytes;
            self.bytes_without_trace -= bytes;
            self.dropped += 1;
        }
    }

    /// Whether [`LogStore::make_room`] is due.
    pub fn is_full(&self) -> bool {
        self.bytes > self.limit_bytes
    }

    /// Drops the lines of traces until a quarter of the store is free, so that making room is rare.
    pub fn make_room(&mut self, cited: &HashSet<TraceId>) {
        let mut order: Vec<(bool, u64, TraceId)> =
            self.traces.iter().map(|(id, trace)| (cited.contains(id), trace.age, *id)).collect();
        order.sort_unstable();
        for (_, _, id) in order {
            if self.bytes <= self.limit_bytes / 4 * 3 {
                break;
            }
            let trace = self.traces.remove(&id).expect("the order lists what is there");
            self.bytes -= trace.bytes;
            self.dropped += trace.lines.len() as u64;
        }
    }

    /// The lines of a trace, in the order in which they came.
    pub fn of_trace(&self, id: TraceId) -> &[LogLine] {
        self.traces.get(&id).map_or(&[], |trace| &trace.lines)
    }

    /// Every line, in no particular order.
    pub fn lines(&self) -> impl Iterator<Item = &LogLine> {
        self.traces.values().flat_map(|trace| &trace.lines).chain(&self.without_trace)
    }

    /// The newest lines that `is_wanted` takes, at most `limit`, the newest first.
    pub fn newest(&self, limit: usize, is_wanted: impl Fn(&LogLine) -> bool) -> Vec<&LogLine> {
        let mut found: Vec<&LogLine> = self.lines().filter(|line| is_wanted(line)).collect();
        found.sort_unstable_by(|left, right| right.time_ns.cmp(&left.time_ns).then_with(|| left.cmp(right)));
        found.truncate(limit);
        found
    }

    /// How many bytes the lines take.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// How many lines were taken.
    pub fn taken(&self) -> u64 {
        self.taken
    }

    /// How many of them are not there any more, or never were, since a bound turned them away.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

/// How many bytes a line takes, with everything that it owns.
pub(crate) fn line_bytes(line: &LogLine) -> usize {
    size_of::<LogLine>() + detail_bytes(&line.detail)
}

#[cfg(test)]
mod tests {
    use spanlint_graph::log::Severity;
    use spanlint_graph::span::{Detail, ResourceId, SpanId};

    use super::*;

    fn line(trace: u128, time_ns: u64, body: &str) -> LogLine {
        LogLine {
            trace_id: TraceId(trace),
            time_ns,
            span_id: SpanId::NONE,
            resource: ResourceId(0),
            severity: Severity::Info,
            detail: Detail::new(body, "", []),
        }
    }

    fn bodies(lines: &[&LogLine]) -> Vec<String> {
        lines.iter().map(|line| line.body().to_owned()).collect()
    }

    #[test]
    fn lines_are_found_by_trace_and_newest_first() {
        let mut store = LogStore::new(MAX_LOG_BYTES);
        for (trace, time_ns, body) in [(1, 5, "a"), (2, 9, "b"), (1, 7, "c"), (0, 8, "d")] {
            store.insert(line(trace, time_ns, body));
        }
        assert_eq!(bodies(&store.of_trace(TraceId(1)).iter().collect::<Vec<_>>()), ["a", "c"]);
        assert_eq!(bodies(&store.newest(3, |_| true)), ["b", "d", "c"]);
        assert_eq!(bodies(&store.newest(3, |line| line.trace_id == TraceId(1))), ["c", "a"]);
    }

    #[test]
    fn a_trace_that_talks_too_much_is_cut_and_counted() {
        let mut store = LogStore::new(MAX_LOG_BYTES);
        (0..MAX_TRACE_LINES as u64 + 3).for_each(|time_ns| store.insert(line(1, time_ns, "x")));
        assert_eq!((store.of_trace(TraceId(1)).len(), store.dropped()), (MAX_TRACE_LINES, 3));
    }

    #[test]
    fn the_store_stays_bounded_and_cited_traces_go_last() {
        let limit = 40 * line_bytes(&line(1, 1, "x"));
        let mut store = LogStore::new(limit);
        let cited = HashSet::from_iter([TraceId(1)]);
        for trace in 1..1_000 {
            store.insert(line(trace, trace as u64, "x"));
            store.insert(line(0, trace as u64, "x"));
            if store.is_full() {
                store.make_room(&cited);
            }
            assert!(store.bytes() <= limit);
        }
        assert_eq!(store.of_trace(TraceId(1)).len(), 1);
        assert!(store.of_trace(TraceId(2)).is_empty());
        assert_eq!(store.lines().count() as u64 + store.dropped(), store.taken());
        assert_eq!(store.without_trace.len(), 10);
    }
}
