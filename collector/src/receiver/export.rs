//! An export, whatever protocol it came by: decoded once, handed in, counted.

use bytes::Bytes;
use spanlint_graph::{BatchBuilder, SpanBatch};

use super::Receiver;
use super::encode::{Encoding, PartialSuccess};
use super::problem::Problem;
use crate::decode::{DecodeError, Decoded, Signal, otlp_json, otlp_protobuf};
use crate::durable::Content;
use crate::live::{Busy, RETRY_AFTER};

impl Receiver {
    /// Takes one request. Success means that its spans are in, but for those refused by name.
    pub(super) async fn export(
        &self,
        signal: Signal,
        encoding: Encoding,
        request: &Bytes,
    ) -> Result<PartialSuccess, Problem> {
        let (batch, decoded) = decode(signal, encoding, request)
            .map_err(|error| Problem::malformed(format!("not an OTLP request of {}: {error}", signal.as_str())))?;
        let partial = partial_success(signal, &batch, &decoded);
        let copy = self.copy(signal, encoding, request)?;
        let (spans, refused) = (batch.spans.len() as u64, batch.refused);
        self.counters.sent_spans.add(spans + refused);
        self.take(content(signal, encoding), request, batch, copy).await.map_err(|busy| {
            self.counters.retry_spans.add(spans + refused);
            Problem::busy(busy.retry_after)
        })?;
        self.counters.accepted_spans.add(spans);
        self.counters.rejected_spans.add(refused);
        self.counters.other_records.add(decoded.other_records());
        self.counters.over_limit.add(decoded.over_limit);
        Ok(partial)
    }

    /// The copy of a request for whoever records.
    fn copy(&self, signal: Signal, encoding: Encoding, request: &[u8]) -> Result<Option<Vec<u8>>, Problem> {
        let copy = self.tap.as_ref().map(|tap| tap.copy(signal, encoding, request)).transpose();
        let copy = copy.map_err(|error| Problem::malformed(format!("the request cannot be recorded: {error}")))?;
        Ok(copy.flatten())
    }

    /// Puts a batch and the copy of its request in, both or none, and where requests are kept only after this one is on
    /// disk. Room comes first, so that what is kept is not turned away. A request without spans has only a copy.
    async fn take(
        &self,
        content: Content,
        request: &Bytes,
        batch: SpanBatch,
        copy: Option<Vec<u8>>,
    ) -> Result<(), Busy> {
        let place = match self.tap.as_ref().zip(copy) {
            Some((tap, copy)) => Some(tap.place(copy).ok_or(Busy { retry_after: RETRY_AFTER })?),
            None => None,
        };
        if !batch.spans.is_empty() || batch.refused > 0 {
            let reserved = self.intake.reserve(batch)?;
            if let Some(durable) = &self.durable {
                let kept = durable.append(content, request.clone()).await;
                kept.inspect_err(|_| self.counters.unkept_requests.add(1))?;
            }
            reserved.submit();
        }
        if let Some(place) = place {
            place.take();
        }
        Ok(())
    }

    /// Counts a request by its answer.
    pub(super) fn count<T>(&self, answer: &Result<T, Problem>) {
        self.counters.requests.add(1);
        match answer {
            Ok(_) => {}
            Err(problem) if problem.is_busy() => {}
            Err(problem) if problem.is_too_large() => self.counters.oversized_requests.add(1),
            Err(_) => self.counters.malformed_requests.add(1),
        }
    }
}

/// Reads a request that was kept.
pub(crate) fn decode_kept(content: Content, request: &[u8]) -> Result<SpanBatch, DecodeError> {
    let (signal, encoding) = match content {
        Content::TracesProtobuf => (Signal::Traces, Encoding::Protobuf),
        Content::TracesJson => (Signal::Traces, Encoding::Json),
        Content::LogsProtobuf => (Signal::Logs, Encoding::Protobuf),
        Content::LogsJson => (Signal::Logs, Encoding::Json),
        Content::MetricsProtobuf => (Signal::Metrics, Encoding::Protobuf),
        Content::MetricsJson => (Signal::Metrics, Encoding::Json),
    };
    decode(signal, encoding, request).map(|(batch, _)| batch)
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

fn decode(signal: Signal, encoding: Encoding, request: &[u8]) -> Result<(SpanBatch, Decoded), DecodeError> {
    let mut builder = BatchBuilder::default();
    let decoded = match (encoding, signal) {
        (Encoding::Json, _) => otlp_json::decode(request, &mut builder)?,
        (Encoding::Protobuf, Signal::Traces) => otlp_protobuf::decode(request, &mut builder)?,
        (Encoding::Protobuf, Signal::Logs) => {
            Decoded { log_records: otlp_protobuf::count_records(request)?, ..Decoded::default() }
        }
        (Encoding::Protobuf, Signal::Metrics) => {
            Decoded { metrics: otlp_protobuf::count_records(request)?, ..Decoded::default() }
        }
    };
    Ok((builder.finish(), decoded))
}

fn partial_success(signal: Signal, batch: &SpanBatch, decoded: &Decoded) -> PartialSuccess {
    let message = match batch.refusals.first() {
        Some(first) if batch.refused == 1 => first.to_string(),
        Some(first) => format!("{} spans refused, the first: {first}", batch.refused),
        None if signal == Signal::Traces && decoded.other_records() > 0 => {
            "logs and metrics among traces are not used: send them to /v1/logs and /v1/metrics".to_owned()
        }
        None => String::new(),
    };
    PartialSuccess { rejected: batch.refused, message }
}
