//! The bytes of a segment: a header, then one record for each group of requests that was written together.
//!
//! ```text
//! segment = "spanlog\n" version:u32 checksum:u64 record*
//! record  = mark:4 stored:u32 plain:u32 unix_ns:u64 body_checksum:u64 header_checksum:u64 body
//! body    = zstd(request*)        `stored` bytes, `plain` bytes once decompressed
//! request = content:u8 length:u32 bytes
//! ```
//!
//! Numbers are little-endian, checksums are XXH3. The header of a record has a checksum of its own, so that a damaged
//! body is skipped by its length; behind a damaged header the next record is found by its mark.
//! Files are not touched here, and what is in the requests is not looked at.

use std::io;

use xxhash_rust::xxh3::xxh3_64;
use zstd::bulk::Compressor;

/// The bytes of a segment without records.
pub(super) const SEGMENT_HEADER_BYTES: usize = 20;

/// The most bytes that a record may claim to hold: far more than the greatest group.
const MAX_PLAIN_BYTES: usize = 1 << 30;

/// The most bytes that a buffer keeps from group to group; a greater group is rare.
const MAX_KEPT_BYTES: usize = 8 << 20;

const MAGIC: [u8; 8] = *b"spanlog\n";
const VERSION: u32 = 1;
const MARK: [u8; 4] = [0xf5, b's', b'r', b'\n'];
const RECORD_HEADER_BYTES: usize = 36;
/// A checksum at the end of both headers.
const CHECKSUM_BYTES: usize = 8;

/// Fast, and four times smaller than nothing; slower levels gain little on spans.
const COMPRESSION_LEVEL: i32 = 1;

/// What the bytes of a request are. The numbers are on disk: they never change, new ones are added.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Content {
    /// OTLP traces as protobuf.
    TracesProtobuf = 1,
    /// OTLP traces as JSON.
    TracesJson = 2,
    /// OTLP logs as protobuf.
    LogsProtobuf = 3,
    /// OTLP logs as JSON.
    LogsJson = 4,
    /// OTLP metrics as protobuf.
    MetricsProtobuf = 5,
    /// OTLP metrics as JSON.
    MetricsJson = 6,
    /// Spans of Zipkin v2 as JSON.
    ZipkinJson = 7,
}

impl Content {
    const ALL: [Self; 7] = [
        Self::TracesProtobuf,
        Self::TracesJson,
        Self::LogsProtobuf,
        Self::LogsJson,
        Self::MetricsProtobuf,
        Self::MetricsJson,
        Self::ZipkinJson,
    ];

    fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|content| *content as u8 == number)
    }
}

/// What a segment begins with.
pub(super) fn segment_header() -> [u8; SEGMENT_HEADER_BYTES] {
    let mut header = [0; SEGMENT_HEADER_BYTES];
    header[..8].copy_from_slice(&MAGIC);
    header[8..12].copy_from_slice(&VERSION.to_le_bytes());
    let checksum = xxh3_64(&header[..12]);
    header[12..].copy_from_slice(&checksum.to_le_bytes());
    header
}

/// The version of a segment that cannot be read, since another program version wrote it. A damaged header says nothing:
/// records are found without it.
pub(super) fn foreign_version(segment: &[u8]) -> Option<u32> {
    let header = segment.first_chunk::<SEGMENT_HEADER_BYTES>()?;
    let is_whole = header[..8] == MAGIC && xxh3_64(&header[..12]) == number_at(header, 12);
    let version = number_at(header, 8) as u32;
    (is_whole && version != VERSION).then_some(version)
}

/// Makes records. Its buffers are used again, since fresh memory for each group costs as much as half the compression.
pub(super) struct Encoder {
    compressor: Compressor<'static>,
    plain: Vec<u8>,
    body: Vec<u8>,
    record: Vec<u8>,
}

impl Encoder {
    pub(super) fn new() -> io::Result<Self> {
        let compressor = Compressor::new(COMPRESSION_LEVEL)?;
        Ok(Self { compressor, plain: Vec::new(), body: Vec::new(), record: Vec::new() })
    }

    /// The record of one group of requests, written at `unix_ns`.
    pub(super) fn record<'a>(
        &mut self,
        requests: impl Iterator<Item = (Content, &'a [u8])>,
        unix_ns: u64,
    ) -> io::Result<&[u8]> {
        let Self { compressor, plain, body, record } = self;
        for buffer in [&mut *plain, body, record] {
            buffer.clear();
            buffer.shrink_to(MAX_KEPT_BYTES);
        }
        let length = |bytes: usize| u32::try_from(bytes).expect("a group is bounded far below 4 GiB").to_le_bytes();
        for (content, request) in requests {
            plain.push(content as u8);
            plain.extend_from_slice(&length(request.len()));
            plain.extend_from_slice(request);
        }
        body.reserve(zstd::zstd_safe::compress_bound(plain.len()));
        compressor.compress_to_buffer(plain, body)?;
        record.extend_from_slice(&MARK);
        record.extend_from_slice(&length(body.len()));
        record.extend_from_slice(&length(plain.len()));
        record.extend_from_slice(&unix_ns.to_le_bytes());
        record.extend_from_slice(&xxh3_64(body).to_le_bytes());
        record.extend_from_slice(&xxh3_64(record).to_le_bytes());
        record.extend_from_slice(body);
        Ok(record)
    }
}

/// A record that is whole.
#[derive(Debug)]
pub(super) struct Record {
    /// Where it begins in its segment.
    pub(super) start: usize,
    /// Where it ends.
    pub(super) end: usize,
    /// When it was written, in Unix nanoseconds.
    pub(super) unix_ns: u64,
    plain: Vec<u8>,
}

impl Record {
    /// Its requests; none for one of a kind that is not known here.
    pub(super) fn requests(&self) -> impl Iterator<Item = Option<(Content, &[u8])>> {
        let mut rest = &*self.plain;
        std::iter::from_fn(move || {
            let (&[content, ref length @ ..], after) = rest.split_first_chunk::<5>()?;
            let (request, after) = after.split_at_checked(u32::from_le_bytes(*length) as usize)?;
            rest = after;
            Some(Content::from_number(content).map(|content| (content, request)))
        })
    }
}

/// The whole records of a segment; what is between them is damaged.
pub(super) struct Records<'a> {
    segment: &'a [u8],
    position: usize,
}

/// Finds the records of a segment.
pub(super) fn records(segment: &[u8]) -> Records<'_> {
    Records { segment, position: SEGMENT_HEADER_BYTES }
}

impl Iterator for Records<'_> {
    type Item = Record;

    fn next(&mut self) -> Option<Record> {
        loop {
            let start = self.position;
            let rest = self.segment.get(start..)?;
            let Some((header, body)) = split_header(rest) else {
                let skipped = rest.get(1..)?.windows(MARK.len()).position(|window| window == MARK)?;
                self.position += 1 + skipped;
                continue;
            };
            self.position = start + RECORD_HEADER_BYTES + body.len();
            if let Some(plain) = open(header, body) {
                return Some(Record { start, end: self.position, unix_ns: number_at(header, 12), plain });
            }
        }
    }
}

/// The record that `bytes` are, if it is whole.
pub(super) fn record(bytes: &[u8]) -> Option<Record> {
    let (header, body) = split_header(bytes)?;
    let plain = open(header, body)?;
    Some(Record { start: 0, end: RECORD_HEADER_BYTES + body.len(), unix_ns: number_at(header, 12), plain })
}

/// The header and the body at the beginning of `bytes`, if the header is undamaged and the body not cut off.
fn split_header(bytes: &[u8]) -> Option<(&[u8; RECORD_HEADER_BYTES], &[u8])> {
    let (header, rest) = bytes.split_first_chunk::<RECORD_HEADER_BYTES>()?;
    let (fields, _) = header.split_at(RECORD_HEADER_BYTES - CHECKSUM_BYTES);
    if !header.starts_with(&MARK) || xxh3_64(fields) != number_at(header, fields.len()) {
        return None;
    }
    let stored = number_at(header, 4) as u32 as usize;
    Some((header, rest.get(..stored)?))
}

/// The requests of an undamaged body.
fn open(header: &[u8; RECORD_HEADER_BYTES], body: &[u8]) -> Option<Vec<u8>> {
    let plain_bytes = number_at(header, 8) as u32 as usize;
    if plain_bytes > MAX_PLAIN_BYTES || xxh3_64(body) != number_at(header, 20) {
        return None;
    }
    zstd::bulk::decompress(body, plain_bytes).ok().filter(|plain| plain.len() == plain_bytes)
}

/// The eight bytes at `position` as a number; a `u32` is its lower half.
fn number_at(header: &[u8], position: usize) -> u64 {
    let bytes = header[position..].first_chunk().expect("headers end with eight bytes of checksum");
    u64::from_le_bytes(*bytes)
}
