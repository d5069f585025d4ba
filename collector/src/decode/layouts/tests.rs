//! Spans that are read by a layout are those that walking through them gives.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest as Request;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Kind;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message as _;
use spanlint_graph::span::Refusal;
use spanlint_graph::{BatchBuilder, Name, SpanBatch};

use super::*;
use crate::decode::oracle::{Random, mutate};
use crate::decode::otlp_protobuf::tests::compare;
use crate::decode::{DecodeError, Decoded, Signal, otlp_json, otlp_protobuf};
use crate::limits::MAX_ATTRIBUTES;

/// How requests are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Protobuf,
    Json,
}

impl Format {
    const ALL: [Self; 2] = [Self::Protobuf, Self::Json];

    fn write(self, request: &Request) -> Vec<u8> {
        match self {
            Self::Protobuf => request.encode_to_vec(),
            Self::Json => serde_json::to_vec(request).unwrap(),
        }
    }

    fn read(self, bytes: &[u8], layouts: &mut Layouts, visitor: &mut impl SpanVisitor) -> Result<Decoded, DecodeError> {
        match self {
            Self::Protobuf => otlp_protobuf::decode_signal(Signal::Traces, bytes, layouts, visitor),
            Self::Json => otlp_json::decode(bytes, layouts, visitor),
        }
    }
}

/// Shows a builder every span whole.
struct Whole(BatchBuilder);

impl SpanVisitor for Whole {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        self.0.resource(attributes);
    }

    fn span(&mut self, span: &SpanView<'_>) {
        self.0.span(span);
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.0.refuse(refusal);
    }
}

/// Counts the spans that were taken by a layout, and the resources that were recalled.
#[derive(Default)]
struct Counted {
    builder: BatchBuilder,
    by_layout: usize,
    recalled: usize,
}

impl SpanVisitor for Counted {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        self.builder.resource(attributes);
    }

    fn span(&mut self, span: &SpanView<'_>) {
        self.builder.span(span);
    }

    fn likeness(&mut self) -> Option<Likeness> {
        self.builder.likeness()
    }

    fn recalled_by(&mut self) -> Option<u128> {
        self.builder.recalled_by()
    }

    fn recall(&mut self, key: u128, text_bytes: usize) -> bool {
        let is_known = self.builder.recall(key, text_bytes);
        self.recalled += usize::from(is_known);
        is_known
    }

    fn alike(&mut self, span: &SpanView<'_>, key: u128, text_bytes: usize) -> bool {
        let is_taken = self.builder.alike(span, key, text_bytes);
        self.by_layout += usize::from(is_taken);
        is_taken
    }

    fn refuse(&mut self, refusal: Refusal) {
        self.builder.refuse(refusal);
    }
}

/// What spans say: all of it, and the texts that they refer to.
fn said(batch: &SpanBatch) -> String {
    let names = batch.vocabulary.names.sorted(|_: Name| true);
    let mut resources: Vec<_> = batch.vocabulary.resources.iter().collect();
    resources.sort();
    let names: Vec<_> =
        names.into_iter().filter(|(name, _)| batch.spans.iter().any(|span| refers(span, *name))).collect();
    let status: Vec<_> = batch.spans.iter().map(|span| (span.detail.name(), span.detail.status_message())).collect();
    format!("{:#?} {status:?} {names:?} {resources:?} {:?}", batch.spans, batch.refusals)
}

fn refers(span: &spanlint_graph::Span, name: Name) -> bool {
    let mut is_used = false;
    span.for_each_name(&mut |used| is_used |= used == name);
    is_used
}

/// Reads requests one after the other by layouts, and each by itself without; answers how many spans had a layout, and
/// how many resources were recalled.
fn check(format: Format, requests: &[Vec<u8>]) -> Result<(usize, usize), TestCaseError> {
    let (mut counted, mut layouts) = (Counted::default(), Layouts::default());
    for request in requests {
        let mut whole = Whole(BatchBuilder::default());
        let expected = format
            .read(request, &mut Layouts::default(), &mut whole)
            .map(|decoded| (decoded.over_limit, said(&whole.0.take())));
        let read = format.read(request, &mut layouts, &mut counted);
        let batch = counted.builder.take();
        prop_assert_eq!(read.map(|decoded| (decoded.over_limit, said(&batch))), expected);
    }
    Ok((counted.by_layout, counted.recalled))
}

/// Keys that mean something together, and one that does not.
const KEYS: [&[&str]; 5] = [
    &["http.request.method", "http.route", "url.path", "user_agent.original", "client.address", "network.peer.address"],
    &["http.method", "http.url", "http.request.resend_count", "net.peer.name", "http.target", "thread.name"],
    &["url.full", "server.address", "url.query", "http.response.status_code", "error.type", "enduser.id"],
    &["db.system.name", "db.query.text", "db.query.parameter.id", "db.operation.batch.size", "db.collection.name"],
    &["messaging.destination.name", "messaging.batch.message_count", "rpc.method", "network.peer.address"],
];

/// Values that change what a span means, and others.
const TEXTS: [&str; 22] = [
    "",
    "GET",
    "POST",
    "/cart/7",
    "/cart/8?page=2",
    "/healthz",
    "/ws/feed",
    "http://shop/cart/7?x=1",
    "https://shop/cart/9",
    "http://other/cart/9#top",
    "kube-probe/1.30",
    "Mozilla/5.0",
    "127.0.0.1",
    "10.0.0.7",
    "203.0.113.9",
    "SELECT * FROM carts WHERE id = 7",
    "SELECT * FROM carts WHERE id = 8",
    "SELECT * FROM carts WHERE id = $1",
    "INSERT INTO carts VALUES (?)",
    "grüße",
    "someone@example.com",
    "sk_live_51H8xQ2eZvKYlo2C8nR4t6u",
];

fn value(random: &mut Random) -> AnyValue {
    let kind = match random.below(12) {
        0 => Kind::IntValue(random.below(600) as i64),
        1 => Kind::BoolValue(random.below(2) == 0),
        2 => Kind::DoubleValue(random.below(9) as f64 / 8.0),
        3 => Kind::ArrayValue(ArrayValue {
            values: vec![AnyValue { value: Some(Kind::IntValue(random.below(3) as i64)) }],
        }),
        _ => Kind::StringValue(TEXTS[random.below(TEXTS.len())].to_owned()),
    };
    AnyValue { value: Some(kind) }
}

fn id(length: usize, random: &mut Random) -> Vec<u8> {
    (0..length).map(|_| random.below(256) as u8).collect()
}

fn span(random: &mut Random) -> Span {
    let keys = KEYS[random.below(KEYS.len())];
    let key_value = |random: &mut Random| KeyValue {
        key: keys[random.below(keys.len())].to_owned(),
        value: Some(value(random)),
        ..KeyValue::default()
    };
    let message = ["", "", "boom"][random.below(3)].to_owned();
    Span {
        name: ["GET /cart", "GET /cart/7", "carts", ""][random.below(4)].to_owned(),
        kind: random.below(6) as i32,
        attributes: (0..random.below(7)).map(|_| key_value(random)).collect(),
        status: (random.below(3) == 0).then(|| Status { message, code: random.below(3) as i32 }),
        trace_state: ["", "", "ot=th:8", "a=b"][random.below(4)].to_owned(),
        flags: 0x101,
        ..Span::default()
    }
}

/// A span as `like`, at another time, with some other values.
fn another(like: &Span, random: &mut Random) -> Span {
    let mut span = like.clone();
    (span.trace_id, span.span_id) = (id(16, random), id(8, random));
    if random.below(2) == 0 {
        span.parent_span_id = id(8, random);
    }
    span.start_time_unix_nano = random.below(1000) as u64;
    span.end_time_unix_nano = random.below(2000) as u64;
    for attribute in &mut span.attributes {
        if random.below(3) == 0 {
            attribute.value = Some(value(random));
        }
    }
    match random.below(40) {
        0 => span.events.push(Event::default()),
        1 => span.kind = 2,
        2 => span.trace_id = vec![0; 16],
        3 => drop(span.attributes.pop()),
        _ => {}
    }
    span
}

/// Requests of two services whose spans are like a few others.
fn requests(random: &mut Random) -> Vec<Request> {
    let models: Vec<Span> = (0..2).map(|_| span(random)).collect();
    let mut of = |service: usize| {
        let spans = (0..6).map(|_| another(&models[random.below(models.len())], random)).collect();
        let text = AnyValue { value: Some(Kind::StringValue(["shop", "bank"][service].to_owned())) };
        let attributes = vec![KeyValue { key: "service.name".to_owned(), value: Some(text), ..KeyValue::default() }];
        let resource = Some(Resource { attributes, ..Resource::default() });
        ResourceSpans {
            resource,
            scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
            ..ResourceSpans::default()
        }
    };
    (0..4).map(|_| Request { resource_spans: vec![of(0), of(1)] }).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn spans_that_are_alike_read_as_by_themselves(seed in any::<u64>()) {
        let requests = requests(&mut Random(seed));
        for format in Format::ALL {
            let requests: Vec<Vec<u8>> = requests.iter().map(|request| format.write(request)).collect();
            check(format, &requests)?;
        }
    }

    #[test]
    fn mutated_spans_read_as_by_themselves(seed in any::<u64>()) {
        let random = &mut Random(seed);
        let requests = requests(random);
        for format in Format::ALL {
            let with_mutated = |bytes: Vec<u8>| [mutate(&bytes, random), bytes];
            let mutated: Vec<Vec<u8>> =
                requests.iter().map(|request| format.write(request)).flat_map(with_mutated).collect();
            check(format, &mutated)?;
            if format == Format::Protobuf {
                mutated.iter().try_for_each(|request| compare(request))?;
            }
        }
    }
}

#[test]
fn most_spans_that_are_alike_have_a_layout() {
    let random = &mut Random(7);
    let model = Span {
        name: "GET /cart".to_owned(),
        attributes: [("http.route", "/cart/{id}"), ("url.path", "/cart/7"), ("thread.name", "main")]
            .map(|(key, text)| KeyValue {
                key: key.to_owned(),
                value: Some(AnyValue { value: Some(Kind::StringValue(text.to_owned())) }),
                ..KeyValue::default()
            })
            .to_vec(),
        ..Span::default()
    };
    let mut spans: Vec<Span> =
        (0..20).map(|_| another(&Span { attributes: vec![], ..model.clone() }, random)).collect();
    for (number, span) in spans.iter_mut().enumerate() {
        span.parent_span_id = vec![1; 8];
        span.trace_id = vec![1; 16];
        span.kind = 2;
        span.events.clear();
        span.attributes.clone_from(&model.attributes);
        span.attributes[1].value = Some(AnyValue { value: Some(Kind::StringValue(format!("/cart/{number}"))) });
    }
    let scope = ScopeSpans { spans, ..ScopeSpans::default() };
    let request =
        Request { resource_spans: vec![ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() }] };
    for format in Format::ALL {
        let (by_layout, _) = check(format, &[format.write(&request)]).unwrap();
        assert_eq!(by_layout, 18, "all but the two that teach, in {format:?}");
    }
}

#[test]
fn a_resource_that_comes_again_is_recalled() {
    let resource = |service: &str| {
        let value = AnyValue { value: Some(Kind::StringValue(service.to_owned())) };
        let name = KeyValue { key: "service.name".to_owned(), value: Some(value), ..KeyValue::default() };
        Resource { attributes: vec![name], ..Resource::default() }
    };
    let request = |resource: Resource| {
        let span = Span { trace_id: vec![1; 16], span_id: vec![1; 8], ..Span::default() };
        let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
        let sent = ResourceSpans { resource: Some(resource), scope_spans: vec![scope], ..ResourceSpans::default() };
        Request { resource_spans: vec![sent] }
    };
    let crowded = Resource { attributes: vec![KeyValue::default(); MAX_ATTRIBUTES + 1], ..Resource::default() };
    let [crowded, cart, shop] = [crowded, resource("cart"), resource("shop")].map(request);
    for format in Format::ALL {
        let recalled = |requests: &[&Request]| {
            let requests: Vec<Vec<u8>> = requests.iter().map(|request| format.write(request)).collect();
            check(format, &requests).unwrap().1
        };
        assert_eq!(recalled(&[&crowded; 3]), 0, "what goes over a limit is not recalled, in {format:?}");
        let twice = [&cart, &shop, &cart, &shop, &cart, &cart];
        assert_eq!(recalled(&twice), 2, "all but the first two of each, which teach, in {format:?}");
    }
}

/// Values of one attribute, and what may stand around them: those that a layout reads, and those that it must not.
#[test]
fn json_that_looks_alike_reads_as_by_itself() {
    let values = [
        r#"{"intValue":"7"}"#,
        r#"{"intValue":7}"#,
        r#"{"intValue":-7}"#,
        r#"{"intValue":"-0"}"#,
        r#"{"intValue":"007"}"#,
        r#"{"intValue":7.0}"#,
        r#"{"intValue":7e2}"#,
        r#"{"intValue":"9223372036854775807"}"#,
        r#"{"doubleValue":0.5}"#,
        r#"{"doubleValue":-1.5e3}"#,
        r#"{"doubleValue":"NaN"}"#,
        r#"{"boolValue":true}"#,
        r#"{"boolValue":false}"#,
        r#"{"stringValue":"a"}"#,
        r#"{"stringValue":"grüße"}"#,
        r#"{"stringValue":"a\"b"}"#,
        r#"{"stringValue":"\u00e4"}"#,
        r#"{"stringValue":""}"#,
        r#"{"stringValue":"a","intValue":"8"}"#,
        r#"{"stringValue":"a"},"key":"other""#,
        r#"{"stringValue":"a"},"more":[1]"#,
        r#"{ "stringValue":"a"}"#,
        r#"{"arrayValue":{"values":[{"stringValue":"a"}]}}"#,
        "{}",
        "null",
    ];
    let behind = ["", r#","name":"other""#, r#","attributes":[]"#, r#","traceState":"a=b""#, r#","status":{"code":2}"#];
    let span = |number: usize, value: &str, behind: &str| {
        let head = format!(r#""traceId":"{:032x}","spanId":"{:016x}","name":"GET /","kind":2"#, number + 1, number + 1);
        let times = r#""startTimeUnixNano":"5","endTimeUnixNano":9"#;
        format!(r#"{{{head},{times},"attributes":[{{"key":"thread.id","value":{value}}}]{behind}}}"#)
    };
    for behind in behind {
        for first in values {
            // Twice the one that teaches, then all others.
            let taught = [first; 2].into_iter().chain(values);
            let spans: Vec<String> = taught.enumerate().map(|(number, value)| span(number, value, behind)).collect();
            let request = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{}]}}]}}]}}"#, spans.join(","));
            check(Format::Json, &[request.into_bytes()]).unwrap();
        }
    }
}
