//! Requests as bytes that are made new each time they are sent: other trace ids, and times that have just been. What
//! comes again unchanged counts once in the collector, which would make it look fast.
//!
//! Ids and times are found once, by what nothing else in a request looks like.

use std::io::Write;

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::shop::{EPOCH_NS, LATEST_NS, SPANS_PER_REQUEST, TRACE_MARK, mix};

/// How requests are encoded.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    Protobuf,
    /// Protobuf in one message of a stream.
    Grpc,
    Json,
}

/// An encoded request.
pub(crate) struct Template {
    encoding: Encoding,
    bytes: Vec<u8>,
    /// Where trace ids are, each with the number of its trace.
    trace_ids: Vec<(usize, u64)>,
    /// Where times are, each in nanoseconds.
    times: Vec<(usize, u64)>,
}

impl Template {
    pub(crate) fn new(encoding: Encoding, request: &ExportTraceServiceRequest) -> Self {
        let bytes = match encoding {
            Encoding::Protobuf => request.encode_to_vec(),
            Encoding::Grpc => {
                let length = u32::try_from(request.encoded_len()).expect("requests are below 4 GiB");
                [&[0], &length.to_be_bytes()[..], &request.encode_to_vec()].concat()
            }
            Encoding::Json => serde_json::to_vec(request).expect("a request is JSON"),
        };
        let (trace_ids, times) = match encoding {
            Encoding::Json => (json_trace_ids(&bytes), json_times(&bytes)),
            Encoding::Protobuf | Encoding::Grpc => (trace_ids(&bytes), times(&bytes)),
        };
        let spans =
            request.resource_spans.iter().flat_map(|resource| &resource.scope_spans).flat_map(|scope| &scope.spans);
        let expected: usize = spans.map(|span| 2 + span.events.len()).sum();
        assert_eq!(
            (trace_ids.len() as u64, times.len()),
            (SPANS_PER_REQUEST, expected),
            "ids and times look like nothing else"
        );
        Self { encoding, bytes, trace_ids, times }
    }

    /// The request with trace ids of this round, and times of which the earliest possible is `earliest_ns`.
    pub(crate) fn fresh(&self, round: u64, earliest_ns: u64) -> Bytes {
        let mut bytes = self.bytes.clone();
        for &(place, trace) in &self.trace_ids {
            let number = round << 32 | trace;
            let id = u128::from(mix(number)) << 64 | u128::from(mix(!number));
            match self.encoding {
                Encoding::Json => write!(&mut bytes[place..], "{id:032x}").expect("an id has its place"),
                Encoding::Protobuf | Encoding::Grpc => bytes[place..place + 16].copy_from_slice(&id.to_be_bytes()),
            }
        }
        for &(place, time_ns) in &self.times {
            let time_ns = time_ns - EPOCH_NS + earliest_ns;
            match self.encoding {
                Encoding::Json => write!(&mut bytes[place..], "{time_ns:019}").expect("a time has its place"),
                Encoding::Protobuf | Encoding::Grpc => bytes[place..place + 8].copy_from_slice(&time_ns.to_le_bytes()),
            }
        }
        bytes.into()
    }
}

fn trace_ids(bytes: &[u8]) -> Vec<(usize, u64)> {
    let marks = bytes.windows(16).enumerate().filter(|(_, id)| id.starts_with(&TRACE_MARK));
    marks.map(|(place, id)| (place, u64::from_be_bytes(id[8..].try_into().expect("eight bytes")))).collect()
}

fn times(bytes: &[u8]) -> Vec<(usize, u64)> {
    let numbers = bytes.windows(8).map(|number| u64::from_le_bytes(number.try_into().expect("eight bytes")));
    numbers.enumerate().filter(|(_, number)| (EPOCH_NS..EPOCH_NS + LATEST_NS).contains(number)).collect()
}

fn json_trace_ids(bytes: &[u8]) -> Vec<(usize, u64)> {
    let mark = format!("{:016x}", u64::from_be_bytes(TRACE_MARK));
    let marks = bytes.windows(32).enumerate().filter(|(_, id)| id.starts_with(mark.as_bytes()));
    marks.map(|(place, id)| (place, number(&id[16..], 16))).collect()
}

fn json_times(bytes: &[u8]) -> Vec<(usize, u64)> {
    const KEY: &[u8] = b"imeUnixNano\":\"";
    let keys = bytes.windows(KEY.len() + 19).enumerate().filter(|(_, window)| window.starts_with(KEY));
    keys.map(|(place, window)| (place + KEY.len(), number(&window[KEY.len()..], 10))).collect()
}

fn number(digits: &[u8], radix: u32) -> u64 {
    let digits = str::from_utf8(digits).expect("digits are text");
    u64::from_str_radix(digits, radix).expect("digits are a number")
}
