//! One source of bytes: decompressed while it is read, bounded, handed to the reader of its format.

use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use flate2::bufread::MultiGzDecoder;
use spanlint_graph::file::{self, SnapshotError};
use spanlint_graph::{Facts, NameTable, Reading, SpanBatch};

use super::bad::BadRecords;
use super::records::Records;
use super::{json, protobuf, sniff};
use crate::decode::Decoded;
use crate::limits::{Limits, MAX_ZSTD_WINDOW_LOG};

/// What a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// OTLP in JSON: one object, an array, or lines.
    OtlpJson,
    /// OTLP in protobuf: one request, or several.
    OtlpProtobuf,
    /// An answer of Tempo's API, which is OTLP in JSON but for its envelope and its ids.
    TempoJson,
    /// Jaeger's JSON, as its API and its user interface export it.
    JaegerJson,
    /// Zipkin's v2 JSON.
    ZipkinJson,
    /// A snapshot of spanlint: facts, not spans.
    Snapshot,
}

/// What is likely to have happened to compressed data that end too early.
fn cut_off(error: &io::Error) -> &'static str {
    let is_cut_off = error.kind() == io::ErrorKind::UnexpectedEof;
    if is_cut_off { "; it is cut off: was it written or copied to its end?" } else { "" }
}

/// Why a source gives neither span nor log line.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The system cannot read it, or its compression is damaged.
    #[error("cannot be read: {0}{hint}", hint = cut_off(.0))]
    Io(io::Error),
    /// It has no bytes.
    #[error("is empty")]
    Empty,
    /// It is something else.
    #[error(
        "is not a recording of traces, it looks like {looks_like}; spanlint reads OTLP (JSON or protobuf), Jaeger and \
         Zipkin v2 JSON, answers of Tempo, and its own snapshots, also compressed with gzip or zstd"
    )]
    NotTraces {
        /// What it looks like.
        looks_like: String,
    },
    /// It is a recording, but no span of it can be read.
    #[error("has no readable span: {reason}")]
    NoSpans {
        /// Where and why.
        reason: String,
    },
    /// It is a snapshot of another version, or a damaged one.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// It is larger than the bound.
    #[error("is larger than {limit} bytes")]
    TooLarge {
        /// The bound.
        limit: u64,
    },
}

/// What a source holds.
#[derive(Debug)]
pub(super) struct Contents {
    pub(super) format: Format,
    pub(super) records: Records,
    /// The facts and names of a snapshot, which has no spans.
    pub(super) snapshot: Option<(Facts, NameTable)>,
    pub(super) decoded: Decoded,
    pub(super) bad: BadRecords,
}

impl Contents {
    /// Nothing yet.
    pub(super) fn new(format: Format) -> Self {
        let (records, decoded, bad) = Default::default();
        Self { format, records, snapshot: None, decoded, bad }
    }

    /// Adds what one record holds.
    pub(super) fn add(&mut self, batch: SpanBatch, decoded: Decoded) {
        self.records.add(batch);
        self.decoded.add(decoded);
    }

    /// The contents if they hold a span or a log line, else why they do not.
    fn with_records(self) -> Result<Self, SourceError> {
        let other_records = self.decoded.other_records();
        if !self.records.spans.is_empty() || !self.records.logs.is_empty() {
            Ok(self)
        } else if let Some(refusal) = self.records.refusals.first() {
            Err(SourceError::NoSpans { reason: refusal.to_string() })
        } else if let Some(bad) = self.bad.first.first() {
            Err(SourceError::NoSpans { reason: bad.to_string() })
        } else if other_records > 0 {
            let looks_like = format!("OTLP metrics ({other_records} records)");
            Err(SourceError::NotTraces { looks_like })
        } else {
            Err(SourceError::NoSpans { reason: "it holds none".to_owned() })
        }
    }
}

/// Reads a whole source; never empty of spans and log lines, unless it is a snapshot.
pub(super) fn read(reader: impl Read, reading: &Arc<Reading>, limits: &Limits) -> Result<Contents, SourceError> {
    let (head, reader) = with_head(reader, sniff::ZSTD_MAGIC.len()).map_err(SourceError::Io)?;
    if head.is_empty() {
        Err(SourceError::Empty)
    } else if head.starts_with(&sniff::GZIP_MAGIC) {
        read_decompressed(MultiGzDecoder::new(BufReader::new(reader)), reading, limits)
    } else if head == sniff::ZSTD_MAGIC {
        let mut decoder = zstd::Decoder::new(reader).map_err(SourceError::Io)?;
        decoder.window_log_max(MAX_ZSTD_WINDOW_LOG).map_err(SourceError::Io)?;
        read_decompressed(decoder, reading, limits)
    } else {
        read_decompressed(reader, reading, limits)
    }
}

fn read_decompressed(reader: impl Read, reading: &Arc<Reading>, limits: &Limits) -> Result<Contents, SourceError> {
    let limit = limits.file_bytes;
    let (head, reader) = with_head(Bounded { reader, limit, left: limit }, sniff::HEAD_BYTES).map_err(bounded)?;
    let mut reader = BufReader::with_capacity(sniff::HEAD_BYTES, reader);
    if file::is_snapshot(&head) {
        return read_snapshot(&mut reader, limits);
    }
    let is_blank = head.iter().all(u8::is_ascii_whitespace);
    let is_json = is_blank || sniff::is_json(&head);
    let contents =
        if is_json { json::read(&mut reader, reading, limits) } else { protobuf::read(&mut reader, reading, limits) };
    let contents = contents.map_err(bounded)?;
    let looks_like = sniff::looks_like(&head);
    // A torn recording shows what it is only by how it starts.
    let is_torn = if is_json { contents.bad.count > 0 } else { head[0] == b'\n' && looks_like == sniff::BINARY };
    if contents.decoded.is_recognized || is_torn {
        contents.with_records()
    } else if is_blank {
        Err(SourceError::Empty)
    } else {
        Err(SourceError::NotTraces { looks_like: looks_like.to_owned() })
    }
}

fn read_snapshot(reader: &mut impl BufRead, limits: &Limits) -> Result<Contents, SourceError> {
    let mut bytes = Vec::new();
    match read_whole(reader, limits.document_bytes, &mut bytes).map_err(bounded)? {
        Some(damage) => Err(SourceError::Io(damage)),
        None => Ok(Contents { snapshot: Some(file::read(&bytes)?), ..Contents::new(Format::Snapshot) }),
    }
}

/// The first bytes of a reader, and the reader with them still in it. A reader that fails behind its first bytes fails
/// there again, so that what was good before is read.
fn with_head(mut reader: impl Read, bytes: usize) -> io::Result<(Vec<u8>, impl Read)> {
    let mut head = Vec::new();
    let failure = match reader.by_ref().take(bytes as u64).read_to_end(&mut head) {
        Err(error) if head.is_empty() => return Err(error),
        outcome => Failure(outcome.err()),
    };
    Ok((head.clone(), io::Cursor::new(head).chain(failure).chain(reader)))
}

/// Fails once, or is empty.
struct Failure(Option<io::Error>);

impl Read for Failure {
    fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// A reader that fails once more than `limit` bytes come out: a bomb ends here.
struct Bounded<R> {
    reader: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.reader.read(buffer)?;
        self.left = self.left.checked_sub(count as u64).ok_or_else(|| over_limit(self.limit))?;
        Ok(count)
    }
}

/// The bound that a source went over, on its way through readers that know only I/O errors.
#[derive(Debug, thiserror::Error)]
#[error("more than {0} bytes")]
struct OverLimit(u64);

fn over_limit(limit: u64) -> io::Error {
    io::Error::new(io::ErrorKind::FileTooLarge, OverLimit(limit))
}

fn bounded(error: io::Error) -> SourceError {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<OverLimit>()) {
        Some(OverLimit(limit)) => SourceError::TooLarge { limit: *limit },
        None => SourceError::Io(error),
    }
}

/// Reads the rest of a source that must be held as a whole. Where its compression is damaged the bytes before that are
/// kept, and the damage is the answer.
pub(super) fn read_whole(reader: &mut impl BufRead, limit: usize, into: &mut Vec<u8>) -> io::Result<Option<io::Error>> {
    let room = limit.saturating_sub(into.len()) as u64;
    let damage = match reader.take(room + 1).read_to_end(into) {
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge => return Err(error),
        outcome => outcome.err(),
    };
    if into.len() > limit { Err(over_limit(limit as u64)) } else { Ok(damage) }
}
