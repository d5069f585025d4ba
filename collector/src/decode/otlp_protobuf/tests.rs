//! The public protobuf types are the oracle: what they read, the walk reads alike; what they refuse, it refuses.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Request;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message as _;
use spanlint_graph::TraceId;
use spanlint_graph::span::SpanId;

use super::*;
use crate::decode::oracle::{self, Random, one_span, request};
use crate::decode::recording::{OwnedSpan, Recording, Shown};

/// Reads `bytes` both ways and holds the walk to what the oracle says.
pub(in crate::decode) fn compare(bytes: &[u8]) -> Result<(), TestCaseError> {
    let mut recording = Recording::default();
    match (Request::decode(bytes), decode(bytes, &mut recording)) {
        (Ok(request), Ok(_)) => prop_assert_eq!(oracle::without_reasons(recording), oracle::shown(&request)),
        (Err(_), Err(_)) => {}
        (oracle, walk) => prop_assert!(false, "oracle {:?}, walk {:?}", oracle.map(drop), walk),
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn requests_read_alike(request in request()) {
        compare(&request.encode_to_vec())?;
    }

    #[test]
    fn fields_in_any_order_and_number_read_alike(request in request(), seed in any::<u64>()) {
        compare(&oracle::scramble(&request.encode_to_vec(), &mut Random(seed)))?;
    }

    #[test]
    fn mutated_requests_read_alike(request in request(), seed in any::<u64>()) {
        let bytes = request.encode_to_vec();
        let mut random = Random(seed);
        for _ in 0..20 {
            compare(&oracle::mutate(&bytes, &mut random))?;
        }
    }

    #[test]
    fn any_bytes_read_alike(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        compare(&bytes)?;
    }
}

#[test]
fn every_truncation_reads_alike() {
    let bytes = one_span(|_| {}).encode_to_vec();
    for end in 0..=bytes.len() {
        compare(&bytes[..end]).unwrap();
    }
}

/// `depth` messages in each other around `inside`, each as field `number`.
fn nest(number: u8, depth: usize, inside: &[u8]) -> Vec<u8> {
    (0..depth).fold(inside.to_vec(), |bytes, _| {
        let mut message = vec![number << 3 | 2];
        prost::encode_length_delimiter(bytes.len(), &mut message).unwrap();
        message.extend(bytes);
        message
    })
}

#[test]
fn nesting_ends_where_the_oracle_ends() {
    for depth in 0..120 {
        // An array of arrays: AnyValue.array_value = 5, ArrayValue.values = 1, in an attribute of a resource.
        let value = (0..depth).fold(Vec::new(), |value, _| nest(5, 1, &nest(1, 1, &value)));
        compare(&nest(1, 3, &nest(2, 1, &value))).unwrap();
        // Groups of a field that is not known.
        compare(&[0xfb, 1].repeat(depth)).unwrap();
        compare(&[[0xfb, 1].repeat(depth), [0xfc, 1].repeat(depth)].concat()).unwrap();
    }
}

#[test]
fn a_million_brackets_are_refused() {
    let bytes = nest(1, 20_000, &[]);
    assert_eq!(decode(&vec![0x0b; 1_000_000], &mut Recording::default()), Err(DecodeError::WireType { field: 1 }));
    assert!(decode(&bytes, &mut Recording::default()).is_err());
    let groups = decode(&[0xfb, 1].repeat(1_000_000), &mut Recording::default());
    assert_eq!(groups, Err(DecodeError::Depth { limit: 100 }));
}

#[test]
fn a_span_is_shown_with_all_it_has() {
    let bytes = one_span(|span| {
        span.parent_span_id = vec![9; 8];
        span.kind = 3;
        (span.start_time_unix_nano, span.end_time_unix_nano) = (7, 5);
        span.name = "GET /\u{1b}[2J".to_owned();
    })
    .encode_to_vec();
    let mut recording = Recording::default();
    let decoded = decode(&bytes, &mut recording).unwrap();
    assert_eq!(decoded, Decoded { is_recognized: true, ..Decoded::default() });
    let expected = OwnedSpan {
        trace_id: TraceId(0x0101_0101_0101_0101_0101_0101_0101_0101),
        span_id: SpanId(0x0202_0202_0202_0202),
        parent_id: SpanId(0x0909_0909_0909_0909),
        kind: SpanKind::Client,
        name: "GET /\u{1b}[2J".to_owned(),
        start_ns: 7,
        end_ns: 5,
        ..OwnedSpan::default()
    };
    assert_eq!(recording.0, [Shown::Resource(Vec::new()), Shown::Span(Box::new(expected))]);
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Span), expected: &str) {
    let mut request = one_span(change);
    let mut neighbour = one_span(|span| span.name = "neighbour".to_owned());
    request.resource_spans.append(&mut neighbour.resource_spans);
    let mut recording = Recording::default();
    decode(&request.encode_to_vec(), &mut recording).unwrap();
    assert_eq!(recording.refusals(), [expected]);
    assert_eq!(recording.spans().map(|span| &*span.name).collect::<Vec<_>>(), ["neighbour"]);
}

#[test]
fn wrong_ids_are_refused_by_name_and_neighbours_live() {
    check_refused(|span| span.trace_id = vec![1; 8], "span \"GET /\": trace id has 8 bytes, wants 16");
    check_refused(|span| span.trace_id = vec![0; 16], "span \"GET /\": trace id is missing or zero");
    check_refused(|span| span.span_id = vec![], "span \"GET /\": span id is missing or zero");
    check_refused(|span| span.parent_span_id = vec![1; 16], "span \"GET /\": parent span id has 16 bytes, wants 8");
    let link = || opentelemetry_proto::tonic::trace::v1::span::Link { trace_id: vec![1], ..Default::default() };
    check_refused(|span| span.links = vec![link()], "span \"GET /\": trace id of a link has 1 bytes, wants 16");
}

#[test]
fn what_goes_over_a_bound_is_counted() {
    let attribute = opentelemetry_proto::tonic::common::v1::KeyValue::default();
    let link = || opentelemetry_proto::tonic::trace::v1::span::Link {
        trace_id: vec![1; 16],
        span_id: vec![2; 8],
        ..Default::default()
    };
    let bytes = one_span(|span| {
        span.attributes = vec![attribute; MAX_ATTRIBUTES + 3];
        span.links = (0..MAX_LINKS + 2).map(|_| link()).collect();
    })
    .encode_to_vec();
    let mut recording = Recording::default();
    assert_eq!(decode(&bytes, &mut recording).unwrap().over_limit, 5);
    let span = recording.spans().next().unwrap();
    assert_eq!((span.attributes.len(), span.links.len()), (MAX_ATTRIBUTES, MAX_LINKS));
}

#[test]
fn signals_are_told_apart_by_their_records() {
    assert_eq!(signal(&one_span(|_| {}).encode_to_vec()), Ok(Some(Signal::Traces)));
    assert_eq!(signal(&[]), Ok(None));
    // A log record has a time in field 1, a metric its name there and its data points in a message.
    let log = nest(1, 1, &nest(2, 2, &[0x09, 1, 2, 3, 4, 5, 6, 7, 8]));
    assert_eq!(signal(&log), Ok(Some(Signal::Logs)));
    let metric = nest(1, 1, &nest(2, 2, &[nest(1, 1, b"requests"), nest(7, 1, &[])].concat()));
    assert_eq!(signal(&metric), Ok(Some(Signal::Metrics)));
}
