//! OTLP in protobuf: one request, or requests each behind its length.

use std::io::{self, BufRead};
use std::sync::Arc;

use spanlint_graph::{BatchBuilder, Reading, SpanBatch};

use super::bad::BadRecord;
use super::source::{self, Contents, Format};
use crate::decode::layouts::Layouts;
use crate::decode::wire::varint;
use crate::decode::{DecodeError, Decoded, Signal, otlp_protobuf};
use crate::limits::Limits;

/// What stands before each request of a file that has several.
#[derive(Debug, Clone, Copy)]
enum Framing {
    /// Protobuf's own delimiter.
    Varint,
    /// Four bytes, big-endian, as the file exporter of the OpenTelemetry Collector writes.
    BigEndian,
}

/// Reads a source that is not JSON; what is not protobuf either comes back without spans and with the reason as a bad
/// record.
pub(super) fn read(reader: &mut impl BufRead, reading: &Arc<Reading>, limits: &Limits) -> io::Result<Contents> {
    let mut bytes = Vec::new();
    let damage = source::read_whole(reader, limits.document_bytes, &mut bytes)?;
    let mut contents = read_messages(&bytes, reading);
    match damage {
        Some(damage) if contents.records.spans.is_empty() => return Err(damage),
        Some(damage) => {
            contents.bad.push(BadRecord { unit: "byte", number: bytes.len() as u64 + 1, reason: damage.to_string() });
        }
        None => {}
    }
    Ok(contents)
}

fn read_messages(bytes: &[u8], reading: &Arc<Reading>) -> Contents {
    let mut contents = Contents::new(Format::OtlpProtobuf);
    match Requests::new(reading).decode(bytes) {
        Ok((batch, decoded)) => contents.add(batch, decoded),
        Err(error) => {
            let framed = [Framing::Varint, Framing::BigEndian]
                .into_iter()
                .find_map(|framing| read_framed(bytes, framing, reading));
            if let Some(framed) = framed {
                return framed;
            }
            contents.bad.push(BadRecord { unit: "message", number: 1, reason: error.to_string() });
        }
    }
    contents
}

/// Reads requests behind their lengths; none if the first one cannot be read so.
fn read_framed(bytes: &[u8], framing: Framing, reading: &Arc<Reading>) -> Option<Contents> {
    let mut contents = Contents::new(Format::OtlpProtobuf);
    let mut requests = Requests::new(reading);
    let mut rest = bytes;
    for number in 1.. {
        if rest.is_empty() {
            break;
        }
        let frame = take_frame(&mut rest, framing);
        let is_torn = frame.is_err();
        match frame.and_then(|frame| requests.decode(frame)) {
            Ok((_, decoded)) if number == 1 && !decoded.is_recognized => return None,
            Ok((batch, decoded)) => contents.add(batch, decoded),
            Err(_) if number == 1 => return None,
            Err(error) => contents.bad.push(BadRecord { unit: "message", number, reason: error.to_string() }),
        }
        if is_torn {
            break;
        }
    }
    Some(contents)
}

fn take_frame<'a>(rest: &mut &'a [u8], framing: Framing) -> Result<&'a [u8], DecodeError> {
    let length = match framing {
        Framing::Varint => varint(rest)?,
        Framing::BigEndian => {
            let (length, after) = rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
            *rest = after;
            u32::from_be_bytes(*length).into()
        }
    };
    let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
    let (frame, after) = rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
    *rest = after;
    Ok(frame)
}

/// Decodes one request after another; what it learns of one serves the next.
struct Requests {
    builder: BatchBuilder,
    layouts: Layouts,
}

impl Requests {
    fn new(reading: &Arc<Reading>) -> Self {
        Self { builder: BatchBuilder::with_reading(Arc::clone(reading)), layouts: Layouts::default() }
    }

    /// Decodes a request of any signal. Bytes in which no record shows a signal count as OTLP only if a resource is in
    /// them.
    fn decode(&mut self, bytes: &[u8]) -> Result<(SpanBatch, Decoded), DecodeError> {
        // What a bad request left behind is nobody's.
        drop(self.builder.take());
        let signal = otlp_protobuf::signal(bytes)?.unwrap_or(Signal::Traces);
        let mut decoded = otlp_protobuf::decode_signal(signal, bytes, &mut self.layouts, &mut self.builder)?;
        let batch = self.builder.take();
        let has_records = !batch.spans.is_empty() || batch.refused > 0 || decoded.other_records() > 0;
        decoded.is_recognized = has_records || bytes.first() == Some(&0x0a);
        Ok((batch, decoded))
    }
}
