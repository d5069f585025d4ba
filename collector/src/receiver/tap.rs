//! A copy of every request that was taken, for whoever records: in one encoding, whatever it came in, and otherwise as it
//! arrived.
//!
//! The copy is part of the answer: where there is no room for it, the sender is asked to come again, so that a
//! recording lacks nothing that was accepted. Requests without a place in a recording are counted.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::mpsc::OwnedPermit;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use super::encode::Encoding;
use crate::decode::Signal;

/// The most requests that wait for the one who records.
pub const MAX_TAPPED_REQUESTS: usize = 1024;

/// The most bytes of them.
pub const MAX_TAPPED_BYTES: usize = 64 << 20;

/// What copies are written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TapEncoding {
    /// Traces only: nothing in the bytes tells one signal from another.
    Protobuf,
    /// Traces and logs, each request without line breaks.
    JsonLine,
}

/// Where receivers put copies.
#[derive(Debug, Clone)]
pub struct Tap {
    encoding: TapEncoding,
    sender: mpsc::Sender<Tapped>,
    room: Arc<Semaphore>,
    left_out: Arc<AtomicU64>,
}

/// A copy of a request, with the room it takes; dropping it gives the room back.
#[derive(Debug)]
pub struct Tapped {
    /// The request.
    pub bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// A copy with a place in the queue, which it takes only once the request is in.
#[derive(Debug)]
pub(super) struct Place {
    permit: OwnedPermit<Tapped>,
    tapped: Tapped,
}

impl Tap {
    /// A new tap, and where the copies come out. When the latter is dropped, senders are asked to come again.
    pub fn new(encoding: TapEncoding) -> (Self, mpsc::Receiver<Tapped>) {
        let (sender, tapped) = mpsc::channel(MAX_TAPPED_REQUESTS);
        let room = Arc::new(Semaphore::new(MAX_TAPPED_BYTES));
        (Self { encoding, sender, room, left_out: Arc::default() }, tapped)
    }

    /// How many requests have no place in a recording: metrics, and logs where they cannot be told from traces.
    pub fn left_out(&self) -> u64 {
        self.left_out.load(Ordering::Relaxed)
    }

    /// Waits until nobody records any more.
    pub async fn closed(&self) {
        self.sender.closed().await;
    }

    /// The copy of a request that could be decoded; none of one that is left out.
    pub(super) fn copy(&self, signal: Signal, from: Encoding, request: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let copy = match (self.encoding, from, signal) {
            (_, _, Signal::Metrics) | (TapEncoding::Protobuf, _, Signal::Logs) => {
                self.left_out.fetch_add(1, Ordering::Relaxed);
                return Ok(None);
            }
            (TapEncoding::Protobuf, Encoding::Protobuf, _) => request.to_vec(),
            (TapEncoding::Protobuf, Encoding::Json, _) => to_protobuf::<ExportTraceServiceRequest>(request)?,
            (TapEncoding::JsonLine, Encoding::Json, _) => in_one_line(request),
            (TapEncoding::JsonLine, Encoding::Protobuf, Signal::Traces) => {
                to_json::<ExportTraceServiceRequest>(request)?
            }
            (TapEncoding::JsonLine, Encoding::Protobuf, Signal::Logs) => to_json::<ExportLogsServiceRequest>(request)?,
        };
        Ok(Some(copy))
    }

    /// A place for a copy; none where the queue is full or nobody records any more. A copy greater than the whole queue
    /// is taken when the queue is empty.
    pub(super) fn place(&self, bytes: Vec<u8>) -> Option<Place> {
        let size = bytes.len().min(MAX_TAPPED_BYTES) as u32;
        let room = Arc::clone(&self.room).try_acquire_many_owned(size).ok()?;
        let permit = self.sender.clone().try_reserve_owned().ok()?;
        Some(Place { permit, tapped: Tapped { bytes, _room: room } })
    }
}

impl Place {
    /// Hands in the copy.
    pub(super) fn take(self) {
        self.permit.send(self.tapped);
    }
}

fn to_json<T: Message + Default + Serialize>(request: &[u8]) -> Result<Vec<u8>, String> {
    let request = T::decode(request).map_err(|error| error.to_string())?;
    serde_json::to_vec(&request).map_err(|error| error.to_string())
}

fn to_protobuf<T: Message + DeserializeOwned>(request: &[u8]) -> Result<Vec<u8>, String> {
    let request: T = serde_json::from_slice(request).map_err(|error| error.to_string())?;
    Ok(request.encode_to_vec())
}

/// JSON without line breaks. Texts have none, as JSON wants them escaped there.
fn in_one_line(json: &[u8]) -> Vec<u8> {
    json.iter().map(|&byte| if matches!(byte, b'\n' | b'\r') { b' ' } else { byte }).collect()
}

#[cfg(test)]
mod tests {
    use spanlint_graph::BatchBuilder;

    use super::*;
    use crate::decode::layouts::Layouts;
    use crate::decode::oracle::one_span;
    use crate::decode::{otlp_json, otlp_protobuf};

    fn copy(encoding: TapEncoding, signal: Signal, from: Encoding, request: &[u8]) -> Option<Vec<u8>> {
        Tap::new(encoding).0.copy(signal, from, request).unwrap()
    }

    #[test]
    fn a_copy_in_the_other_encoding_holds_the_same_spans() {
        let request = one_span(|span| span.name = "GET\n/".to_owned());
        let protobuf = request.encode_to_vec();
        let json = serde_json::to_vec_pretty(&request).unwrap();
        let mut expected = BatchBuilder::default();
        otlp_protobuf::decode(&protobuf, &mut expected).unwrap();
        let expected = expected.finish().spans;
        for (from, request) in [(Encoding::Protobuf, &protobuf), (Encoding::Json, &json)] {
            let line = copy(TapEncoding::JsonLine, Signal::Traces, from, request).unwrap();
            assert!(!line.contains(&b'\n'));
            let mut builder = BatchBuilder::default();
            otlp_json::decode(&line, &mut Layouts::default(), &mut builder).unwrap();
            assert_eq!(builder.finish().spans, expected);
            assert_eq!(copy(TapEncoding::Protobuf, Signal::Traces, from, request).unwrap(), protobuf);
        }
    }

    #[test]
    fn logs_have_a_place_among_lines_only_and_metrics_none() {
        let (tap, _tapped) = Tap::new(TapEncoding::Protobuf);
        for signal in [Signal::Logs, Signal::Metrics] {
            assert_eq!(tap.copy(signal, Encoding::Protobuf, &[]).unwrap(), None);
        }
        assert_eq!(tap.left_out(), 2);
        let line = copy(TapEncoding::JsonLine, Signal::Logs, Encoding::Protobuf, &[]).unwrap();
        assert_eq!(String::from_utf8(line).unwrap(), r#"{"resourceLogs":[]}"#);
        assert_eq!(copy(TapEncoding::JsonLine, Signal::Metrics, Encoding::Json, b"{}"), None);
    }

    #[test]
    fn places_are_bounded_and_given_back_when_the_request_is_not_taken() {
        let (tap, mut tapped) = Tap::new(TapEncoding::Protobuf);
        let place = tap.place(vec![0; MAX_TAPPED_BYTES + 1]).unwrap();
        assert!(tap.place(vec![0]).is_none());
        drop(place);
        tap.place(vec![7]).unwrap().take();
        assert_eq!(tapped.try_recv().unwrap().bytes, [7]);
        assert!(tapped.try_recv().is_err());
        drop(tapped);
        assert!(tap.place(vec![0]).is_none());
    }
}
