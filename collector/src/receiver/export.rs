//! An export, whatever protocol it came by: decoded once, handed in, counted.

use std::sync::Arc;

use bytes::Bytes;
use spanlint_graph::{Reading, Sealing, SpanBatch, SpanVisitor};

use super::body::{Admitted, SPANS_FACTOR, admission};
use super::counters::OpenSpans;
use super::encode::{Encoding, PartialSuccess};
use super::meter::{Meter, Metered, too_many};
use super::problem::Problem;
use super::readers::{Reader, Readers};
use super::{Receiver, compression};
use crate::budget::Grant;
use crate::decode::kept::Keeping;
use crate::decode::layouts::Layouts;
use crate::decode::{DecodeError, Decoded, Signal, otlp_json, otlp_protobuf, zipkin_json};
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
        let (limit, keeper) = (self.limits.request_records, self.keeper(content(signal, encoding)));
        let read = move |request: &mut Admitted, reader: &mut Reader| {
            // Decoding is for nothing if there is no room for what comes of it.
            request.grant.check(request.bytes.len() * SPANS_FACTOR).map_err(admission)?;
            let mut meter = Meter::new(&mut reader.builder, &mut request.grant, limit);
            let decoded = decode(signal, encoding, &request.bytes, &mut reader.layouts, &mut meter)
                .map_err(|error| Problem::malformed(format!("not an OTLP request of {}: {error}", signal.as_str())))?;
            let metered = meter.finish();
            let request_kept = keeper.kept(&request.bytes, &metered, &mut reader.sealing);
            Ok((metered, decoded, request_kept))
        };
        let (request, (Metered { kept, spans }, decoded, request_kept)) =
            self.in_turn(request, compression, read).await?;
        let mut open = OpenSpans::new(&self.counters, spans);
        let (batch, grant) = match kept {
            Ok(_) if decoded.other_records() > limit => Err(too_many(decoded.other_records(), limit)),
            kept => kept,
        }
        .inspect_err(|problem| open.refuse(problem))?;
        let request_kept = request_kept.inspect_err(|problem| open.refuse(problem))?;
        let partial = partial_success(&batch);
        let copy = self.copy(signal, encoding, &request.bytes).inspect_err(|problem| open.refuse(problem))?;
        self.take(request_kept, (batch, grant), copy).await?;
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
            let read = readers.read(|reader| read(&mut request, reader));
            request.arrival = None;
            Ok((request, read?))
        };
        self.turns.take(arrived, is_compressed, decode).await
    }

    /// What makes of requests what may be kept of them.
    pub(super) fn keeper(&self, content: Content) -> Keeper {
        Keeper { content, reading: self.durable.is_some().then(|| Arc::clone(self.readers.reading())) }
    }

    /// The copy of a request for whoever records.
    fn copy(&self, signal: Signal, encoding: Encoding, request: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
        let copy = self.tap.as_ref().map(|tap| tap.copy(signal, encoding, request)).transpose();
        let copy = copy.map_err(|error| Problem::malformed(format!("the request cannot be recorded: {error}")))?;
        Ok(copy.flatten())
    }

    /// Puts a batch and the copy of its request in, both or none, and where requests are kept only after this one is on
    /// disk. Room comes first, so that what is kept is not turned away. A request without spans has only a copy.
    pub(super) async fn take(
        &self,
        request: Option<Kept>,
        (batch, grant): (SpanBatch, Grant),
        copy: Option<Vec<u8>>,
    ) -> Result<(), Problem> {
        let place = match self.tap.as_ref().zip(copy) {
            Some((tap, copy)) => Some(tap.place(copy).ok_or(Busy { retry_after: RETRY_AFTER })?),
            None => None,
        };
        if !batch.is_empty() || batch.refused > 0 {
            let traces = if request.is_some() { batch.traces() } else { Vec::new() };
            let reserved = self.intake.reserve(batch, grant)?;
            if let Some((durable, Kept { content, request })) = self.durable.as_ref().zip(request) {
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

/// A request as it may be kept on disk.
#[derive(Debug)]
pub(super) struct Kept {
    content: Content,
    request: Bytes,
}

/// Makes of requests what may be kept of them.
#[derive(Debug)]
pub(super) struct Keeper {
    content: Content,
    /// None where nothing is kept.
    reading: Option<Arc<Reading>>,
}

impl Keeper {
    /// Nothing where nothing is kept. Only what may hold something confidential is looked through once more.
    pub(super) fn kept(
        &self,
        request: &Bytes,
        metered: &Metered,
        sealing: &mut Sealing,
    ) -> Result<Option<Kept>, Problem> {
        let (Some(reading), Ok((batch, _))) = (&self.reading, &metered.kept) else { return Ok(None) };
        let keeping = Keeping { redaction: &reading.redaction, sealing };
        let content = self.content;
        if !batch.may_be_confidential && keeping.redaction.is_empty() {
            return Ok(Some(Kept { content, request: request.clone() }));
        }
        let kept = match kind(content) {
            Some((signal, Encoding::Protobuf)) => keeping.protobuf(signal, request),
            Some((_, Encoding::Json)) => keeping.json(request),
            None => keeping.zipkin(request),
        };
        let problem = |error| Problem::malformed(format!("the request cannot be kept: {error}"));
        kept.map(|kept| Some(Kept { content, request: kept.map_or_else(|| request.clone(), Bytes::from) }))
            .map_err(problem)
    }
}

/// Reads a request that was kept. It may have been kept before anything was dropped.
pub(crate) fn decode_kept(content: Content, request: &[u8], readers: &Readers) -> Result<SpanBatch, DecodeError> {
    readers.read(|Reader { builder, layouts, .. }| {
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
        (Encoding::Json, _) => otlp_json::decode(request, layouts, visitor),
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
