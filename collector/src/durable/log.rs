//! The segment log: append-only files of records, written in groups, read back at the start, dropped when they are old.
//!
//! **Invariants.** A group counts as written only after the segment that holds it was synced. A segment in which
//! anything failed is never written or synced again: after a failed sync the system may have dropped the bytes and
//! would report success the next time. A segment from before a restart is never appended to. Files are numbered
//! upward, and a number is used once.
//!
//! It knows neither threads nor clocks, nor what requests mean.

use std::collections::VecDeque;
use std::io;
use std::time::Duration;

use super::disk::Disk;
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
#[derive(Debug)]
struct Closed {
    name: String,
    bytes: u64,
    last_ns: u64,
}

/// The segment that is written.
#[derive(Debug)]
struct Open {
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
}

impl<D: Disk> Log<D> {
    /// Opens the log, and shows every request in it that is young enough to `replay`, with the time it was written.
    /// `replay` answers how many spans it held, none if it cannot be read. What is damaged is skipped and counted, torn
    /// ends are cut off.
    ///
    /// # Errors
    ///
    /// When the disk fails, or a later version wrote the log. Nothing is lost then; it can be tried again.
    pub(super) fn recover(
        disk: D,
        retention: Retention,
        now_ns: u64,
        mut replay: impl FnMut(u64, Content, &[u8]) -> Option<u64>,
    ) -> Result<(Self, Recovery), LogError> {
        let encoder = Encoder::new()?;
        let mut log = Self { disk, retention, encoder, closed: VecDeque::new(), open: None, next_number: 1 };
        let mut numbers: Vec<u64> = log.disk.list()?.iter().filter_map(|name| number(name)).collect();
        numbers.sort_unstable();
        let mut recovery = Recovery::default();
        for number in numbers {
            log.next_number = number.saturating_add(1);
            log.recover_segment(name(number), now_ns, &mut recovery, &mut replay)?;
        }
        log.retain(now_ns)?;
        Ok((log, recovery))
    }

    /// Writes a group of requests at `now_ns`. Once this returns `Ok`, they survive a power cut.
    ///
    /// After an error nobody may be told that they are in, though some may come back at the next start.
    pub(super) fn write<'a>(
        &mut self,
        requests: impl Iterator<Item = (Content, &'a [u8])>,
        now_ns: u64,
    ) -> io::Result<()> {
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.begin(now_ns)?,
        };
        let written = self.encoder.record(requests, now_ns).and_then(|record| {
            self.disk.append(&open.name, record)?;
            self.disk.sync(&open.name)?;
            Ok(record.len() as u64)
        });
        match written {
            Ok(bytes) => open.bytes += bytes,
            Err(error) => {
                self.abandon(open);
                return Err(error);
            }
        }
        open.last_ns = open.last_ns.max(now_ns);
        if open.bytes < self.retention.segment_bytes() {
            self.open = Some(open);
        } else {
            self.close(open);
        }
        Ok(())
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
        while let Some(oldest) = self.closed.front()
            && (bytes > self.retention.bytes || self.retention.is_too_old(oldest.last_ns, now_ns))
        {
            self.disk.remove(&oldest.name)?;
            bytes -= oldest.bytes;
            self.closed.pop_front();
        }
        Ok(())
    }

    fn recover_segment(
        &mut self,
        name: String,
        now_ns: u64,
        recovery: &mut Recovery,
        replay: &mut impl FnMut(u64, Content, &[u8]) -> Option<u64>,
    ) -> Result<(), LogError> {
        let segment = self.disk.read(&name)?;
        if let Some(version) = record::foreign_version(&segment) {
            return Err(LogError::Version { name, version });
        }
        let (mut end, mut last_ns) = (SEGMENT_HEADER_BYTES, 0);
        for record in record::records(&segment) {
            let damaged_bytes = (record.start - end) as u64;
            recovery.damaged_places += u64::from(damaged_bytes > 0);
            recovery.damaged_bytes += damaged_bytes;
            (end, last_ns) = (record.end, last_ns.max(record.unix_ns));
            if !self.retention.is_too_old(record.unix_ns, now_ns) {
                show(&record, recovery, replay);
            }
        }
        recovery.torn_bytes += segment.len().saturating_sub(end) as u64;
        if end == SEGMENT_HEADER_BYTES {
            self.disk.remove(&name)?;
            return Ok(());
        }
        if end < segment.len() {
            self.disk.truncate(&name, end as u64)?;
        }
        self.closed.push_back(Closed { name, bytes: end as u64, last_ns });
        Ok(())
    }

    /// Begins a segment, whose name and header are on disk when its first group is.
    fn begin(&mut self, now_ns: u64) -> io::Result<Open> {
        let name = name(self.next_number);
        self.next_number += 1;
        self.disk.create(&name)?;
        let header = record::segment_header();
        if let Err(error) = self.disk.append(&name, &header).and_then(|()| self.disk.sync_folder()) {
            self.forget(&name);
            return Err(error);
        }
        Ok(Open { name, bytes: header.len() as u64, first_ns: now_ns, last_ns: now_ns })
    }

    fn close(&mut self, open: Open) {
        self.closed.push_back(Closed { name: open.name, bytes: open.bytes, last_ns: open.last_ns });
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

    /// Removes a segment in which nothing was acknowledged.
    fn forget(&mut self, name: &str) {
        // What stays when this fails is removed, or read again, at the start.
        if let Err(error) = self.disk.remove(name) {
            tracing::debug!(%error, name, "cannot remove a segment without requests");
        }
    }
}

/// Shows the requests of a record, and counts them.
fn show(record: &Record, recovery: &mut Recovery, replay: &mut impl FnMut(u64, Content, &[u8]) -> Option<u64>) {
    for request in record.requests() {
        match request.and_then(|(content, request)| replay(record.unix_ns, content, request)) {
            Some(spans) => {
                recovery.requests += 1;
                recovery.spans += spans;
            }
            None => recovery.unreadable_requests += 1,
        }
    }
}

/// The name of the segment with this number.
fn name(number: u64) -> String {
    format!("{number:020}{SUFFIX}")
}

/// The number of the segment with this name; none for other files.
fn number(file: &str) -> Option<u64> {
    let number = file.strip_suffix(SUFFIX)?.parse().ok()?;
    (name(number) == file).then_some(number)
}

#[cfg(test)]
mod tests;
