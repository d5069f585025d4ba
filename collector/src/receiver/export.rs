//! An export, whatever protocol it came by: decoded once, handed in, counted.

use bytes::Bytes;
use spanlint_graph::{SpanBatch, SpanVisitor};

use super::body::{Admitted, SPANS_FACTOR, admission};
use super::counters::OpenSpans;
use super::encode::{Encoding, PartialSuccess};
use super::meter::{Meter, Metered, too_many};
use super::problem::Problem;
use super::readers::{Reader, Readers};
use super::{Receiver, compression};
use crate::budget::Grant;
use crate::decode::otlp_protobuf::Layouts;
use crate::decode::{DecodeError, Decoded, Signal, otlp_json, otlp_protobuf, redacted, zipkin_json};
use crate::durable::Content;
use crate::live::{Busy, RETRY_AFTER};

impl Receiver {
    /// Takes one request, compressed as `compression` says. Success means that its spans are in, but for those refused by
    /// name.
    pub(super) async fn export(
        &self,
        signal: Signal,
        encoding: Encoding,
        request: Admitted,
        compression: String,
    ) -> Result<PartialSuccess, Problem> {
        let limit = self.limits.request_records;
        let read = move |request: &mut Admitted, reader: &mut Reader| {
            // Decoding is for nothing if there is no room for what comes of it.
            request.grant.check(request.bytes.len() * SPANS_FACTOR).map_err(admission)?;
            let mut meter = Meter::new(&mut reader.builder, &mut request.grant, limit);
            let decoded = decode(signal, encoding, &request.bytes, &mut reader.layouts, &mut meter)
                .map_err(|error| Problem::malformed(format!("not an OTLP request of {}: {error}", signal.as_str())))?;
            Ok((meter.finish(), decoded))
        };
        let (request, (Metered { kept, spans }, decoded)) = self.in_turn(request, compression, read).await?;
        let mut open = OpenSpans::new(&self.counters, spans);
        let (batch, grant) = match kept {
            Ok(_) if decoded.other_records() > limit => Err(too_many(decoded.other_records(), limit)),
            kept => kept,
        }
        .inspect_err(|problem| open.refuse(problem))?;
        let partial = partial_success(&batch);
        let copy = self.copy(signal, encoding, &request.bytes).inspect_err(|problem| open.refuse(problem))?;
        self.take(content(signal, encoding), &request.bytes, (batch, grant), copy).await?;
        open.accepted_but(partial.rejected);
        self.counters.other_records.add(decoded.other_records());
        self.counters.over_limit.add(decoded.over_limit);
        Ok(partial)
    }

    /// A request as it was before it was compressed, with what `read` makes of it in its turn.
    pub(super) async fn in_turn<T: Send + 'static>(
        &self,
        request: Admitted,
        compression: String,
        read: impl FnOnce(&mut Admitted, &mut Reader) -> Result<T, Problem> + Send + 'static,
    ) -> Result<(Admitted, T), Problem> {
        let (arrived, is_compressed) = (request.bytes.len(), compression::is_compressed(&compression));
        let (limits, readers) = (self.limits, self.readers.clone());
        let decode = move || {
            let mut request = compression::decompress(request, &compression, &limits)?;
            let read = readers.read(|reader| read(&mut request, reader))?;
            Ok((request, read))
        };
        self.turns.take(arrived, is_compressed, decode).await
    }

    /// The copy of a request for whoever records.
    fn copy(&self, signal: Signal, encoding: Encoding, request: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
        let copy = self.tap.as_ref().map(|tap| tap.copy(signal, encoding, request)).transpose();
        let copy = copy.map_err(|error| Problem::malformed(format!("the request cannot be recorded: {error}")))?;
        Ok(copy.flatten())
    }

    /// The request as it may be kept: without the attributes that are dropped.
    fn redacted(&self, content: Content, request: &Bytes) -> Result<Bytes, Problem> {
        if self.readers.reading().redaction.is_empty() {
            return Ok(request.clone());
        }
        let kept = match kind(content) {
            Some((signal, Encoding::Protobuf)) => {
                redacted::protobuf(signal, request, &self.readers.reading().redaction)
            }
            Some((_, Encoding::Json)) => redacted::json(request, &self.readers.reading().redaction),
            None => redacted::zipkin(request, &self.readers.reading().redaction),
        };
        let problem =
            |error| Problem::malformed(format!("the request cannot be kept without what is redacted: {error}"));
        kept.map(Bytes::from).map_err(problem)
    }

    /// Puts a batch and the copy of its request in, both or none, and where requests are kept only after this one is on
    /// disk. Room comes first, so that what is kept is not turned away. A request without spans has only a copy.
    pub(super) async fn take(
        &self,
        content: Content,
        request: &Bytes,
        (batch, grant): (SpanBatch, Grant),
        copy: Option<Vec<u8>>,
    ) -> Result<(), Problem> {
        let place = match self.tap.as_ref().zip(copy) {
            Some((tap, copy)) => Some(tap.place(copy).ok_or(Busy { retry_after: RETRY_AFTER })?),
            None => None,
        };
        if !batch.is_empty() || batch.refused > 0 {
            let traces = if self.durable.is_some() { batch.traces() } else { Vec::new() };
            let reserved = self.intake.reserve(batch, grant)?;
            if let Some(durable) = &self.durable {
                let request = self.redacted(content, request)?;
                let kept = durable.append(content, request, traces).await;
                kept.inspect_err(|_| self.counters.unkept_requests.add(1))?;
            }
            reserved.submit();
        }
        if let Some(place) = place {
            place.take();
        }
        Ok(())
    }
}

/// Reads a request that was kept. It may have been kept before anything was dropped.
pub(crate) fn decode_kept(content: Content, request: &[u8], readers: &Readers) -> Result<SpanBatch, DecodeError> {
    readers.read(|Reader { builder, layouts }| {
        match kind(content) {
            Some((signal, encoding)) => decode(signal, encoding, request, layouts, builder)?,
            None => zipkin_json::decode(request, builder)?,
        };
        Ok(builder.take())
    })
}

/// What the log calls by one name; none for Zipkin.
fn kind(content: Content) -> Option<(Signal, Encoding)> {
    match content {
        Content::TracesProtobuf => Some((Signal::Traces, Encoding::Protobuf)),
        Content::TracesJson => Some((Signal::Traces, Encoding::Json)),
        Content::LogsProtobuf => Some((Signal::Logs, Encoding::Protobuf)),
        Content::LogsJson => Some((Signal::Logs, Encoding::Json)),
        Content::MetricsProtobuf => Some((Signal::Metrics, Encoding::Protobuf)),
        Content::MetricsJson => Some((Signal::Metrics, Encoding::Json)),
        Content::ZipkinJson => None,
    }
}

/// The reverse, for the log.
fn content(signal: Signal, encoding: Encoding) -> Content {
    match (signal, encoding) {
        (Signal::Traces, Encoding::Protobuf) => Content::TracesProtobuf,
        (Signal::Traces, Encoding::Json) => Content::TracesJson,
        (Signal::Logs, Encoding::Protobuf) => Content::LogsProtobuf,
        (Signal::Logs, Encoding::Json) => Content::LogsJson,
        (Signal::Metrics, Encoding::Protobuf) => Content::MetricsProtobuf,
        (Signal::Metrics, Encoding::Json) => Content::MetricsJson,
    }
}

fn decode(
    signal: Signal,
    encoding: Encoding,
    request: &[u8],
    layouts: &mut Layouts,
    visitor: &mut impl SpanVisitor,
) -> Result<Decoded, DecodeError> {
    match (encoding, signal) {
        (Encoding::Json, _) => otlp_json::decode(request, visitor),
        (Encoding::Protobuf, _) => otlp_protobuf::decode_signal(signal, request, layouts, visitor),
    }
}

fn partial_success(batch: &SpanBatch) -> PartialSuccess {
    let message = match batch.refusals.first() {
        Some(first) if batch.refused == 1 => first.to_string(),
        Some(first) => format!("{} spans refused, the first: {first}", batch.refused),
        None => String::new(),
    };
    PartialSuccess { rejected: batch.refused, message }
}
