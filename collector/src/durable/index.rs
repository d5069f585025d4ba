//! The index of a segment: which of its records hold spans of which trace.
//!
//! ```text
//! index = "spanidx\n" version:u32 segment_bytes:u64 count:u32 entry* checksum:u64
//! entry = trace_id:u128 start:u32 length:u32          sorted, each once
//! ```
//!
//! Numbers are big-endian, so that entries are in the order of their bytes; the checksum is XXH3. An index is never
//! needed to know what is kept: one that is missing or damaged is made again, or done without. Files are not touched
//! here.

use std::ops::Range;

use spanlint_graph::TraceId;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: [u8; 8] = *b"spanidx\n";
const VERSION: u32 = 1;
const HEADER_BYTES: usize = 24;
const ENTRY_BYTES: usize = 24;
const CHECKSUM_BYTES: usize = 8;

/// The most entries of the segment that is written, which are held in memory: 32 MiB. A segment is closed when it has
/// more, which takes a million traces in 64 MiB.
pub(super) const MAX_ENTRIES: usize = 1 << 20;

/// The index of the segment that is written: entries in the order of the records.
#[derive(Debug, Default)]
pub(super) struct Entries(Vec<(TraceId, Place)>);

/// Where a record lies in its segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    start: u32,
    length: u32,
}

impl Place {
    fn range(self) -> Range<u64> {
        u64::from(self.start)..u64::from(self.start) + u64::from(self.length)
    }
}

impl Entries {
    /// Notes that the record at `range` holds spans of these traces. A record that no entry can point to, behind the
    /// first 4 GiB, is left out.
    pub(super) fn add(&mut self, range: &Range<u64>, traces: impl Iterator<Item = TraceId>) {
        let (Ok(start), Ok(length)) = (range.start.try_into(), (range.end - range.start).try_into()) else { return };
        let before = self.0.len();
        self.0.extend(traces.map(|trace| (trace, Place { start, length })));
        self.0[before..].sort_unstable();
        let mut record = self.0.split_off(before);
        record.dedup();
        self.0.append(&mut record);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The records that hold spans of `trace`.
    pub(super) fn find(&self, trace: TraceId) -> Vec<Range<u64>> {
        self.0.iter().filter(|(found, _)| *found == trace).map(|(_, place)| place.range()).collect()
    }

    /// The bytes of the index of a segment that has `segment_bytes`.
    pub(super) fn to_bytes(&self, segment_bytes: u64) -> Vec<u8> {
        let mut entries = self.0.clone();
        entries.sort_unstable();
        let mut bytes = Vec::with_capacity(HEADER_BYTES + entries.len() * ENTRY_BYTES + CHECKSUM_BYTES);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&VERSION.to_be_bytes());
        bytes.extend_from_slice(&segment_bytes.to_be_bytes());
        bytes.extend_from_slice(&(entries.len() as u32).to_be_bytes());
        for (trace, place) in entries {
            bytes.extend_from_slice(&trace.0.to_be_bytes());
            bytes.extend_from_slice(&place.start.to_be_bytes());
            bytes.extend_from_slice(&place.length.to_be_bytes());
        }
        let checksum = xxh3_64(&bytes);
        bytes.extend_from_slice(&checksum.to_be_bytes());
        bytes
    }
}

/// An index that is whole.
#[derive(Debug)]
pub(super) struct Index<'a> {
    segment_bytes: u64,
    entries: &'a [[u8; ENTRY_BYTES]],
}

impl<'a> Index<'a> {
    /// None if the bytes are damaged, or were written by another version.
    pub(super) fn open(bytes: &'a [u8]) -> Option<Self> {
        let (contents, checksum) = bytes.split_last_chunk::<CHECKSUM_BYTES>()?;
        let (header, entries) = contents.split_first_chunk::<HEADER_BYTES>()?;
        let (entries, rest) = entries.as_chunks::<ENTRY_BYTES>();
        let count = u32::from_be_bytes(*header[20..].first_chunk()?);
        let is_whole = header.starts_with(&MAGIC)
            && header[8..12] == VERSION.to_be_bytes()
            && count as usize == entries.len()
            && rest.is_empty()
            && xxh3_64(contents) == u64::from_be_bytes(*checksum);
        is_whole.then_some(Self { segment_bytes: u64::from_be_bytes(*header[12..].first_chunk()?), entries })
    }

    /// Whether it was made of a segment of this size.
    pub(super) fn is_of(&self, segment_bytes: u64) -> bool {
        self.segment_bytes == segment_bytes
    }

    /// The records that hold spans of `trace`.
    pub(super) fn find(&self, trace: TraceId) -> Vec<Range<u64>> {
        let id = trace.0.to_be_bytes();
        let from = self.entries.partition_point(|entry| entry[..16] < id[..]);
        let own = self.entries[from..].iter().take_while(|entry| entry.starts_with(&id));
        let number = |entry: &[u8; ENTRY_BYTES], at: usize| {
            u32::from_be_bytes(*entry[at..].first_chunk().expect("an entry ends with two numbers"))
        };
        own.map(|entry| Place { start: number(entry, 16), length: number(entry, 20) }.range()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries() -> Entries {
        let mut entries = Entries::default();
        entries.add(&(20..70), [7, 3, 7].into_iter().map(TraceId));
        entries.add(&(70..90), [3, u128::MAX].into_iter().map(TraceId));
        entries
    }

    #[test]
    fn every_record_of_a_trace_is_found_and_no_other() {
        let bytes = entries().to_bytes(90);
        let index = Index::open(&bytes).unwrap();
        assert!(index.is_of(90) && !index.is_of(91));
        let records = [20..70, 70..90];
        for (trace, expected) in [(3, &records[..]), (7, &records[..1]), (u128::MAX, &records[1..]), (5, &[])] {
            assert_eq!(index.find(TraceId(trace)), expected);
            assert_eq!(entries().find(TraceId(trace)), expected);
        }
        assert_eq!(entries().len(), 4);
    }

    #[test]
    fn damage_is_found() {
        let bytes = entries().to_bytes(90);
        for position in 0..bytes.len() {
            assert!(Index::open(&bytes[..position]).is_none(), "cut at {position}");
            let mut flipped = bytes.clone();
            flipped[position] ^= 1;
            assert!(Index::open(&flipped).is_none(), "byte {position}");
        }
    }

    #[test]
    fn what_no_entry_can_point_to_is_left_out() {
        let mut entries = Entries::default();
        entries.add(&(u64::from(u32::MAX) + 1..u64::from(u32::MAX) + 2), std::iter::once(TraceId(1)));
        assert_eq!(entries.len(), 0);
    }
}
