//! JSON: a document per line, read line by line, or documents over many lines, each told by its own keys.

use std::io::{self, BufRead};
use std::sync::Arc;

use serde_json::value::RawValue;
use spanlint_graph::{BatchBuilder, Reading};

use super::bad::BadRecord;
use super::lines::{self, Line};
use super::sniff::{self, Shape};
use super::source::{self, Contents, Format};
use crate::decode::layouts::Layouts;
use crate::decode::zipkin_json::Pieces;
use crate::decode::{DecodeError, Decoded, jaeger_json, otlp_json};
use crate::limits::Limits;

/// Reads a source that starts like JSON.
///
/// The first line decides: if it ends in the middle of a document, the documents of this source go over many lines and
/// it is held as a whole.
pub(super) fn read(reader: &mut impl BufRead, reading: &Arc<Reading>, limits: &Limits) -> io::Result<Contents> {
    let mut documents = Documents::new(reading);
    let mut line = Vec::new();
    let mut number = 0;
    while let Some(read) = next_line(reader, limits, &mut line, number, &mut documents.contents)? {
        number += 1;
        if read == Line::TooLong {
            let reason = format!("is longer than {} bytes", limits.document_bytes);
            documents.contents.bad.push(BadRecord { unit: "line", number, reason });
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match documents.add(&line) {
            Err(error) if error.is_end_of_input() && documents.is_empty() => {
                line.push(b'\n');
                return read_rest(reader, reading, limits, &mut line, number);
            }
            outcome => documents.count(number, outcome),
        }
    }
    Ok(documents.finish())
}

/// Reads the next line. A source whose compression is damaged behind good lines ends there, which is counted.
fn next_line(
    reader: &mut impl BufRead,
    limits: &Limits,
    line: &mut Vec<u8>,
    number: u64,
    contents: &mut Contents,
) -> io::Result<Option<Line>> {
    match lines::read(reader, limits.document_bytes, line) {
        Ok(Line::End) => Ok(None),
        Ok(read) => Ok(Some(read)),
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge || !contents.decoded.is_recognized => Err(error),
        Err(error) => {
            contents.bad.push(BadRecord { unit: "line", number: number + 1, reason: error.to_string() });
            Ok(None)
        }
    }
}

/// Reads documents over many lines, of which `bytes` holds the first `number` lines.
fn read_rest(
    reader: &mut impl BufRead,
    reading: &Arc<Reading>,
    limits: &Limits,
    bytes: &mut Vec<u8>,
    number: u64,
) -> io::Result<Contents> {
    let damage = source::read_whole(reader, limits.document_bytes, bytes)?;
    let mut contents = read_documents(bytes, reading, number);
    match damage {
        Some(damage) if !contents.decoded.is_recognized => return Err(damage),
        Some(damage) => {
            let number = number + newlines(bytes);
            contents.bad.push(BadRecord { unit: "line", number, reason: damage.to_string() });
        }
        None => {}
    }
    Ok(contents)
}

/// Reads documents that follow each other, the first of which starts in line `first_line`. If they turn out not to be
/// documents, they are lines of which the first is bad.
fn read_documents(bytes: &[u8], reading: &Arc<Reading>, first_line: u64) -> Contents {
    let mut documents = Documents::new(reading);
    let mut values = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    let mut start = 0;
    while let Some(value) = values.next() {
        let line = first_line + newlines(&bytes[..start]);
        let document = match value {
            Ok(document) => document.get(),
            Err(_) if start == 0 => return read_lines(bytes, reading, first_line),
            Err(error) => {
                documents.contents.bad.push(BadRecord::of_json(first_line, &error.into()));
                break;
            }
        };
        let leading = bytes[start..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        let outcome = documents.add(document.as_bytes());
        documents.count(line + newlines(&bytes[start..start + leading]), outcome);
        start = values.byte_offset();
    }
    documents.finish()
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.split(|&byte| byte == b'\n').count() as u64 - 1
}

fn read_lines(bytes: &[u8], reading: &Arc<Reading>, first_line: u64) -> Contents {
    let mut documents = Documents::new(reading);
    for (number, line) in (first_line..).zip(bytes.split(|&byte| byte == b'\n')) {
        if !line.iter().all(u8::is_ascii_whitespace) {
            let outcome = documents.add(line);
            documents.count(number, outcome);
        }
    }
    documents.finish()
}

/// The documents of one source.
struct Documents {
    contents: Contents,
    /// A span of Zipkin may come in pieces, in several documents.
    zipkin: Pieces,
    /// What it learns of one document serves the next.
    builder: BatchBuilder,
    layouts: Layouts,
}

impl Documents {
    fn new(reading: &Arc<Reading>) -> Self {
        Self {
            contents: Contents::new(Format::OtlpJson),
            zipkin: Pieces::default(),
            builder: BatchBuilder::with_reading(Arc::clone(reading)),
            layouts: Layouts::default(),
        }
    }

    /// Whether nothing was read yet, neither good nor bad.
    fn is_empty(&self) -> bool {
        !self.contents.decoded.is_recognized && self.contents.bad.count == 0
    }

    /// Decodes one document into a batch of its own: of a bad one nothing is kept.
    fn add(&mut self, bytes: &[u8]) -> Result<(), DecodeError> {
        let builder = &mut self.builder;
        drop(builder.take());
        let (format, decoded) = match sniff::shape(bytes) {
            Shape::Jaeger => (Format::JaegerJson, jaeger_json::decode(bytes, builder)?),
            Shape::TempoAnswer => (Format::TempoJson, otlp_json::decode_recording(bytes, &mut self.layouts, builder)?),
            Shape::Zipkin => {
                self.zipkin.add(bytes)?;
                (Format::ZipkinJson, Decoded { is_recognized: true, ..Decoded::default() })
            }
            _ => (Format::OtlpJson, otlp_json::decode_recording(bytes, &mut self.layouts, builder)?),
        };
        if decoded.is_recognized && !self.contents.decoded.is_recognized {
            self.contents.format = format;
        }
        self.contents.add(self.builder.take(), decoded);
        Ok(())
    }

    /// Counts the document that starts in line `number` if it is bad.
    fn count(&mut self, number: u64, outcome: Result<(), DecodeError>) {
        if let Err(error) = outcome {
            self.contents.bad.push(BadRecord::of_json(number, &error));
        }
    }

    /// What all documents hold.
    fn finish(mut self) -> Contents {
        // What a bad document left behind is nobody's.
        drop(self.builder.take());
        let decoded = self.zipkin.show(&mut self.builder);
        self.contents.add(self.builder.finish(), decoded);
        self.contents
    }
}
