//! OTLP in JSON: a request per line, read line by line, or documents over many lines.

use std::io::{self, BufRead};

use serde_json::value::RawValue;
use spanlint_graph::{BatchBuilder, SpanBatch};

use super::bad::BadRecord;
use super::lines::{self, Line};
use super::source::{self, Contents, Format};
use crate::decode::{DecodeError, Decoded, otlp_json};
use crate::limits::Limits;

/// Reads a source that starts like JSON.
///
/// The first line decides: if it ends in the middle of a document, the documents of this source go over many lines and
/// it is held as a whole.
pub(super) fn read(reader: &mut impl BufRead, limits: &Limits) -> io::Result<Contents> {
    let mut contents = Contents::new(Format::OtlpJson);
    let mut line = Vec::new();
    let mut number = 0;
    while let Some(read) = next_line(reader, limits, &mut line, number, &mut contents)? {
        number += 1;
        if read == Line::TooLong {
            let reason = format!("is longer than {} bytes", limits.document_bytes);
            contents.bad.push(BadRecord { unit: "line", number, reason });
            continue;
        }
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match decode(&line) {
            Ok((batch, decoded)) => contents.add(batch, decoded),
            Err(error) if error.is_end_of_input() && !contents.decoded.is_recognized && contents.bad.count == 0 => {
                line.push(b'\n');
                source::read_whole(reader, limits.document_bytes, &mut line)?;
                return Ok(read_documents(&line, number));
            }
            Err(error) => contents.bad.push(BadRecord::of_json(number, &error)),
        }
    }
    Ok(contents)
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
        Err(error) if error.kind() == io::ErrorKind::FileTooLarge || contents.batch.spans.is_empty() => Err(error),
        Err(error) => {
            contents.bad.push(BadRecord { unit: "line", number: number + 1, reason: error.to_string() });
            Ok(None)
        }
    }
}

/// Reads documents that follow each other, the first of which starts in line `first_line`. If they turn out not to be
/// documents, they are lines of which the first is bad.
fn read_documents(bytes: &[u8], first_line: u64) -> Contents {
    let mut contents = Contents::new(Format::OtlpJson);
    let mut documents = serde_json::Deserializer::from_slice(bytes).into_iter::<&RawValue>();
    let mut start = 0;
    while let Some(document) = documents.next() {
        let line = first_line + newlines(&bytes[..start]);
        let document = match document {
            Ok(document) => document.get(),
            Err(_) if start == 0 => return read_lines(bytes, first_line),
            Err(error) => {
                contents.bad.push(BadRecord::of_json(first_line, &error.into()));
                break;
            }
        };
        match decode(document.as_bytes()) {
            Ok((batch, decoded)) => contents.add(batch, decoded),
            Err(error) => {
                let leading = bytes[start..].iter().take_while(|byte| byte.is_ascii_whitespace()).count();
                let line = line + newlines(&bytes[start..start + leading]);
                contents.bad.push(BadRecord::of_json(line, &error));
            }
        }
        start = documents.byte_offset();
    }
    contents
}

fn newlines(bytes: &[u8]) -> u64 {
    bytes.split(|&byte| byte == b'\n').count() as u64 - 1
}

fn read_lines(bytes: &[u8], first_line: u64) -> Contents {
    let mut contents = Contents::new(Format::OtlpJson);
    for (number, line) in (first_line..).zip(bytes.split(|&byte| byte == b'\n')) {
        if line.iter().all(u8::is_ascii_whitespace) {
            continue;
        }
        match decode(line) {
            Ok((batch, decoded)) => contents.add(batch, decoded),
            Err(error) => contents.bad.push(BadRecord::of_json(number, &error)),
        }
    }
    contents
}

/// Decodes one document into a batch of its own: of a bad one nothing is kept.
fn decode(bytes: &[u8]) -> Result<(SpanBatch, Decoded), DecodeError> {
    let mut builder = BatchBuilder::default();
    let decoded = otlp_json::decode(bytes, &mut builder)?;
    Ok((builder.finish(), decoded))
}
