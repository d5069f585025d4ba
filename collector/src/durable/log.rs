//! The segment log: append-only files of records, written in groups, read back at the start, dropped when they are old.
//!
//! **Invariants.** A group counts as written only after the segment that holds it was synced. A segment in which
//! anything failed is never written or synced again: after a failed sync the system may have dropped the bytes and
//! would report success the next time. A segment from before a restart is never appended to. Files are numbered
//! upward, and a number is used once.
//!
//! Each segment has an index of its traces: in memory while the segment is written, then in a file beside it. An index
//! may be missing, since nothing waits for it to be on disk; it is made again at the next start.
//!
//! It knows neither threads nor clocks, nor what requests mean.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use spanlint_graph::TraceId;

use super::disk::Disk;
use super::find::Finder;
use super::index::{Entries, Index, MAX_ENTRIES};
use super::pinned::{CitedTraces, Pinned};
use super::record::{self, Content, Encoder, Record, SEGMENT_HEADER_BYTES};

/// How much is kept, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// The most bytes of all segments; the one that is written is kept in any case.
    pub bytes: u64,
    /// How long a segment is kept after its latest request.
    pub age: Duration,
}

/// The most bytes of the log, unless the user says otherwise.
pub const MAX_LOG_BYTES: u64 = 1 << 30;

/// How long requests are kept, unless the user says otherwise.
pub const MAX_LOG_AGE: Duration = Duration::from_hours(24);

/// The size from which a segment is closed and another begun; smaller where less is kept.
const MAX_SEGMENT_BYTES: u64 = 64 << 20;

/// Of how many segments a full log consists at least, so that dropping the oldest drops little.
const MIN_SEGMENTS: u32 = 8;

const SUFFIX: &str = ".spanlog";
/// The number that no segment has.
const NO_SEGMENT: u64 = 0;
const INDEX_SUFFIX: &str = ".spanidx";
const PINNED_SUFFIX: &str = ".spanpin";
/// The file by which a disk is tried that could not be written.
const TRIAL_NAME: &str = "trial";

impl Default for Retention {
    fn default() -> Self {
        Self { bytes: MAX_LOG_BYTES, age: MAX_LOG_AGE }
    }
}

impl Retention {
    fn segment_bytes(self) -> u64 {
        MAX_SEGMENT_BYTES.min(self.bytes / u64::from(MIN_SEGMENTS))
    }

    fn is_too_old(self, unix_ns: u64, now_ns: u64) -> bool {
        u128::from(now_ns.saturating_sub(unix_ns)) > self.age.as_nanos()
    }
}

/// What was read back at the start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recovery {
    /// Requests that were read back.
    pub requests: u64,
    /// Spans in them.
    pub spans: u64,
    /// Places where records were damaged and skipped. Each may have held many requests.
    pub damaged_places: u64,
    /// The bytes there.
    pub damaged_bytes: u64,
    /// Bytes at the ends of segments that were cut off: not completely written and so never acknowledged, or damaged
    /// since.
    pub torn_bytes: u64,
    /// Requests of a kind that is not known here, or that could not be decoded.
    pub unreadable_requests: u64,
}

/// A request, and what it holds.
#[derive(Debug, Clone, Copy)]
pub(super) struct Request<'a> {
    /// What its bytes are.
    pub(super) content: Content,
    /// The bytes.
    pub(super) bytes: &'a [u8],
    /// The traces of its spans.
    pub(super) traces: &'a [TraceId],
}

/// What was found in a request that was read back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replayed {
    /// How many spans it held.
    pub spans: u64,
    /// Their traces.
    pub traces: Vec<TraceId>,
}

/// Why a log cannot be read at the start.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The disk fails.
    #[error("cannot read the log: {0}")]
    Disk(#[from] io::Error),
    /// A later version of the program wrote it.
    #[error(
        "{name} has version {version} of the log, which this spanlint does not know: use a newer one, or move the file away"
    )]
    Version {
        /// The file.
        name: String,
        /// Its version.
        version: u32,
    },
}

/// A segment that is not written any more.
#[derive(Debug, Clone, Copy)]
struct Closed {
    number: u64,
    /// With its index.
    bytes: u64,
    last_ns: u64,
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
    number: u64,
    name: String,
    /// Up to here everything is on disk.
    bytes: u64,
    first_ns: u64,
    last_ns: u64,
}

/// A log on a disk.
pub(super) struct Log<D> {
    disk: D,
    retention: Retention,
    encoder: Encoder,
    /// Oldest first.
    closed: VecDeque<Closed>,
    open: Option<Open>,
    next_number: u64,
    written: Arc<Written>,
    pinned: Pinned,
}

/// The traces of the segment that is written, as far as they are on disk: its number, and its index.
pub(super) type Written = Mutex<(u64, Entries)>;

impl<D: Disk> Log<D> {
    /// Opens the log, and shows every request in it that is young enough to `replay`, with the time it was written.
    /// `replay` answers what it held, none if it cannot be read. What is damaged is skipped and counted, torn
    /// ends are cut off.
    ///
    /// # Errors
    ///
    /// When the disk fails, or a later version wrote the log. Nothing is lost then; it can be tried again.
    pub(super) fn recover(
        disk: D,
        retention: Retention,
        now_ns: u64,
        mut replay: impl FnMut(u64, Content, &[u8]) -> Option<Replayed>,
    ) -> Result<(Self, Recovery), LogError> {
        let encoder = Encoder::new()?;
        let names = disk.list()?;
        let (numbers, pinned) = (segments(&names), Pinned::found(&names));
        let (closed, written, next_number) = (VecDeque::new(), Arc::default(), pinned.last_number() + 1);
        let mut log = Self { disk, retention, encoder, closed, open: None, next_number, written, pinned };
        let pins = pinned_numbers(&names);
        for lost in names.iter().filter_map(|name| number(name, INDEX_SUFFIX)) {
            if numbers.binary_search(&lost).is_err() && !pins.contains(&lost) {
                log.forget(&index_name(lost));
            }
        }
        let mut recovery = Recovery::default();
        for number in numbers {
            log.next_number = log.next_number.max(number.saturating_add(1));
            log.recover_segment(number, now_ns, &mut recovery, &mut replay)?;
        }
        log.retain(now_ns)?;
        Ok((log, recovery))
    }

    /// Writes a group of requests at `now_ns`. Once this returns `Ok`, they survive a power cut.
    ///
    /// After an error nobody may be told that they are in, though some may come back at the next start.
    pub(super) fn write<'a>(
        &mut self,
        requests: impl Iterator<Item = Request<'a>> + Clone,
        now_ns: u64,
    ) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(now_ns)?,
        };
        let contents = requests.clone().map(|request| (request.content, request.bytes));
        let written = self.encoder.record(contents, now_ns).and_then(|record| {
            self.disk.append(&open.name, record)?;
            self.disk.sync(&open.name)?;
            Ok(record.len() as u64)
        });
        let end = match written {
            Ok(bytes) => open.bytes + bytes,
            Err(error) => {
                self.abandon(open);
                return Err(error);
            }
        };
        let entries = self.note(&(open.bytes..end), requests.flat_map(|request| request.traces));
        (open.bytes, open.last_ns) = (end, open.last_ns.max(now_ns));
        if end < self.retention.segment_bytes() && entries <= MAX_ENTRIES {
            self.open = Some(open);
        } else {
            self.close(open);
        }
        Ok(())
    }

    /// Whether so many bytes could be written now. Nothing of them stays.
    pub(super) fn try_disk(&mut self, bytes: usize) -> io::Result<()> {
        // The file of a trial that a crash cut short.
        self.forget(TRIAL_NAME);
        let written = self.disk.create(TRIAL_NAME).and_then(|()| {
            self.disk.append(TRIAL_NAME, &vec![0; bytes])?;
            self.disk.sync(TRIAL_NAME)
        });
        self.forget(TRIAL_NAME);
        written
    }

    /// Removes the oldest segments while all are too much, and those that are too old.
    pub(super) fn retain(&mut self, now_ns: u64) -> io::Result<()> {
        // A segment that is filled slowly is closed in time, or its first requests would be kept for ever.
        let segment_age = Retention { age: self.retention.age / MIN_SEGMENTS, ..self.retention };
        if let Some(open) = self.open.take_if(|open| segment_age.is_too_old(open.first_ns, now_ns)) {
            self.close(open);
        }
        let mut bytes: u64 = self.closed.iter().map(|closed| closed.bytes).sum();
        bytes += self.open.as_ref().map_or(0, |open| open.bytes);
        while let Some(&Closed { number, bytes: oldest_bytes, last_ns }) = self.closed.front()
            && (bytes + self.pinned.bytes() > self.retention.bytes || self.retention.is_too_old(last_ns, now_ns))
        {
            let carried = self.pinned.carry(&mut self.disk, number, self.next_number, self.retention.bytes);
            self.next_number += 1;
            if let Err(error) = carried {
                // Room for what comes is worth more than what was.
                tracing::debug!(%error, "traces that a graph cites are dropped with their segment");
            }
            self.disk.remove(&name(number))?;
            bytes -= oldest_bytes;
            self.closed.pop_front();
            self.forget(&index_name(number));
        }
        Ok(())
    }

    /// Where to tell which traces shall stay when their segments are dropped.
    pub(super) fn cited(&self) -> CitedTraces {
        self.pinned.cited.clone()
    }

    /// Finds requests by trace, also from other threads.
    pub(super) fn finder(&self) -> Finder {
        Finder::new(self.disk.reader(), Arc::clone(&self.written))
    }

    fn written(&self) -> MutexGuard<'_, (u64, Entries)> {
        self.written.lock().expect("nothing panics while it holds the index")
    }

    fn recover_segment(
        &mut self,
        number: u64,
        now_ns: u64,
        recovery: &mut Recovery,
        replay: &mut impl FnMut(u64, Content, &[u8]) -> Option<Replayed>,
    ) -> Result<(), LogError> {
        let name = name(number);
        let segment = self.disk.read(&name)?;
        if let Some(version) = record::foreign_version(&segment) {
            return Err(LogError::Version { name, version });
        }
        let (mut end, mut last_ns) = (SEGMENT_HEADER_BYTES, 0);
        let mut entries = Entries::default();
        for record in record::records(&segment) {
            let damaged_bytes = (record.start - end) as u64;
            recovery.damaged_places += u64::from(damaged_bytes > 0);
            recovery.damaged_bytes += damaged_bytes;
            (end, last_ns) = (record.end, last_ns.max(record.unix_ns));
            if !self.retention.is_too_old(record.unix_ns, now_ns) {
                let traces = show(&record, recovery, replay);
                entries.add(&(record.start as u64..record.end as u64), traces.into_iter());
            }
        }
        recovery.torn_bytes += segment.len().saturating_sub(end) as u64;
        if end == SEGMENT_HEADER_BYTES {
            self.disk.remove(&name)?;
            self.forget(&index_name(number));
            return Ok(());
        }
        if end < segment.len() {
            self.disk.truncate(&name, end as u64)?;
        }
        let index = self.disk.read(&index_name(number)).unwrap_or_default();
        let index_bytes = match Index::open(&index) {
            Some(known) if known.is_of(end as u64) => index.len() as u64,
            _ => {
                self.forget(&index_name(number));
                self.write_index(number, &entries.to_bytes(end as u64))
            }
        };
        self.closed.push_back(Closed { number, bytes: end as u64 + index_bytes, last_ns });
        Ok(())
    }

    /// Begins a segment, whose name and header are on disk when its first group is.
    fn begin(&mut self, now_ns: u64) -> io::Result<Open> {
        let number = self.next_number;
        let name = name(number);
        self.next_number += 1;
        self.disk.create(&name)?;
        let header = record::segment_header();
        if let Err(error) = self.disk.append(&name, &header).and_then(|()| self.disk.sync_folder()) {
            self.forget(&name);
            return Err(error);
        }
        *self.written() = (number, Entries::default());
        Ok(Open { number, name, bytes: header.len() as u64, first_ns: now_ns, last_ns: now_ns })
    }

    /// Notes that the record at `range` of the open segment holds spans of these traces; answers how many notes there
    /// are.
    fn note<'a>(&self, range: &Range<u64>, traces: impl Iterator<Item = &'a TraceId>) -> usize {
        let mut written = self.written();
        written.1.add(range, traces.copied());
        written.1.len()
    }

    fn close(&mut self, Open { number, bytes, last_ns, .. }: Open) {
        let index = self.written().1.to_bytes(bytes);
        let index_bytes = self.write_index(number, &index);
        // Only now, so that whoever looks always finds one of the two.
        *self.written() = (NO_SEGMENT, Entries::default());
        self.closed.push_back(Closed { number, bytes: bytes + index_bytes, last_ns });
    }

    /// Writes the index of a segment, and answers how many bytes it has: none where that fails, since it can be done
    /// without.
    fn write_index(&mut self, number: u64, index: &[u8]) -> u64 {
        let name = index_name(number);
        if let Err(error) = self.disk.create(&name).and_then(|()| self.disk.append(&name, index)) {
            tracing::debug!(%error, name, "an index cannot be written");
            self.forget(&name);
            return 0;
        }
        index.len() as u64
    }

    /// Leaves a segment alone in which something failed, without what was not acknowledged.
    fn abandon(&mut self, open: Open) {
        if open.bytes == SEGMENT_HEADER_BYTES as u64 {
            self.forget(&open.name);
            return;
        }
        // Room for others where the disk is full. What stays when this fails is cut off, or read again, at the start.
        if let Err(error) = self.disk.truncate(&open.name, open.bytes) {
            tracing::debug!(%error, name = open.name, "cannot cut off what was not written completely");
        }
        self.close(open);
    }

    /// Removes a segment in which nothing was acknowledged, or an index, if it is there.
    fn forget(&mut self, name: &str) {
        // What stays when this fails is removed, or read again, at the start.
        if let Err(error) = self.disk.remove(name)
            && error.kind() != io::ErrorKind::NotFound
        {
            tracing::debug!(%error, name, "cannot remove a file that is not needed");
        }
    }
}

/// Shows the requests of a record, and counts them; answers the traces of their spans.
fn show(
    record: &Record,
    recovery: &mut Recovery,
    replay: &mut impl FnMut(u64, Content, &[u8]) -> Option<Replayed>,
) -> Vec<TraceId> {
    let mut traces = Vec::new();
    for request in record.requests() {
        match request.and_then(|(content, request)| replay(record.unix_ns, content, request)) {
            Some(replayed) => {
                recovery.requests += 1;
                recovery.spans += replayed.spans;
                traces.extend(replayed.traces);
            }
            None => recovery.unreadable_requests += 1,
        }
    }
    traces
}

/// The name of the segment with this number.
pub(super) fn name(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

/// The name of the index of that segment.
pub(super) fn index_name(number: u64) -> String {
    format!("{number:020}{INDEX_SUFFIX}")
}

/// The name of the file with this number that holds what stays of dropped segments.
pub(super) fn pinned_name(number: u64) -> String {
    format!("{number:020}{PINNED_SUFFIX}")
}

/// The numbers of the segments among files, in order.
pub(super) fn segments(files: &[String]) -> Vec<u64> {
    numbers(files, SUFFIX)
}

/// The numbers of the files with what stays of dropped segments, in order.
pub(super) fn pinned_numbers(files: &[String]) -> Vec<u64> {
    numbers(files, PINNED_SUFFIX)
}

fn numbers(files: &[String], suffix: &str) -> Vec<u64> {
    let mut numbers: Vec<u64> = files.iter().filter_map(|file| number(file, suffix)).collect();
    numbers.sort_unstable();
    numbers
}

/// The number in the name of a file of this kind; none for other files.
fn number(file: &str, suffix: &str) -> Option<u64> {
    let number = file.strip_suffix(suffix)?.parse().ok()?;
    (format!("{number:020}{suffix}") == file).then_some(number)
}

#[cfg(test)]
mod tests;
