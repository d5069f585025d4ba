//! What a span costs on its way in, stage by stage, in CPU seconds per million spans, beside decoding to the public
//! protobuf types in the same run: `cargo bench -p spanlint-collector`.
//!
//! The spans are like those of a web shop: about 450 bytes and 10 attributes each, 512 to a request, 8 to a trace. One
//! thread does all the work, and what is learned of requests is kept for the next, as receivers keep it. Each stage is
//! the best of several rounds. The last stages say what the number of services does to that.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::hint::black_box;
use std::io::{Cursor, Write};
use std::sync::Arc;
use std::time::Instant;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use spanlint_collector::decode::layouts::Layouts;
use spanlint_collector::decode::{DecodeError, Decoded, Signal, otlp_json, otlp_protobuf};
use spanlint_collector::limits::Limits;
use spanlint_collector::read::{Input, read};
use spanlint_graph::facts::Room;
use spanlint_graph::span::{Attribute, Refusal, SpanView, SpanVisitor};
use spanlint_graph::{BatchBuilder, Facts, SpanBatch, Trace};

/// As in the binary.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const REQUESTS: u64 = 64;
const SPANS_PER_REQUEST: u64 = 512;
const SPANS_PER_TRACE: u64 = 8;
const SERVICES_PER_TRACE: u64 = SPANS_PER_TRACE / 2;
/// Of how many services the last stages tell, and in how many requests each of these is met.
const SERVICES: [u64; 4] = [10, 100, 1000, 20_000];
const REQUESTS_OF_MANY: u64 = 80;
const ROUNDS: usize = 7;
/// How often a round does the work: the system counts CPU time in steps of some milliseconds.
const PASSES: usize = 8;

fn main() {
    let messages: Vec<ExportTraceServiceRequest> =
        (0..REQUESTS).map(|number| request(number, SERVICES_PER_TRACE)).collect();
    let requests: Vec<Vec<u8>> = messages.iter().map(Message::encode_to_vec).collect();
    let bytes: usize = requests.iter().map(Vec::len).sum();
    let spans = REQUESTS * SPANS_PER_REQUEST;
    say(&format!("{spans} spans, {} bytes each; CPU seconds per million spans", bytes as u64 / spans));
    let public = stage("decode to the public types", requests.len(), None, || {
        requests
            .iter()
            .map(|bytes| ExportTraceServiceRequest::decode(&bytes[..]).expect("a request"))
            .for_each(drop_black);
    });
    stage("walk as borrowed views", requests.len(), Some(public), || {
        let mut count = Count(0);
        for bytes in &requests {
            drop_black(otlp_protobuf::decode(bytes, &mut count));
        }
        assert_eq!(count.0, spans);
    });
    meaning("walk and read what attributes mean", &requests, Some(public), of_protobuf);
    let documents: Vec<Vec<u8>> =
        messages.iter().map(|message| serde_json::to_vec(message).expect("a request is JSON")).collect();
    stage("walk JSON as borrowed views", requests.len(), Some(public), || {
        let (mut layouts, mut count) = (Layouts::default(), Count(0));
        for bytes in &documents {
            drop_black(otlp_json::decode(bytes, &mut layouts, &mut count).expect("a request"));
        }
        assert_eq!(count.0, spans);
    });
    meaning("walk JSON and read what it means", &documents, Some(public), of_json);
    stage("read a file of JSON lines", requests.len(), Some(public), || {
        let lines = documents.join(&b'\n');
        let input = Input::Stream { name: "lines".to_owned(), reader: Box::new(Cursor::new(lines)) };
        drop_black(read(vec![input], &Arc::default(), &Limits::default()).expect("a recording"));
    });
    facts_of("traces and their facts", &requests, Some(public));
    for services in SERVICES {
        let requests: Vec<Vec<u8>> =
            (0..REQUESTS_OF_MANY).map(|number| request(number, services).encode_to_vec()).collect();
        meaning(&format!("walk and read, {services} services"), &requests, Some(public), of_protobuf);
        facts_of(&format!("traces and facts, {services} services"), &requests, Some(public));
    }
}

/// What it costs to read what spans say.
fn meaning(name: &str, requests: &[Vec<u8>], reference: Option<f64>, decode: Decode) {
    let reader = RefCell::new((BatchBuilder::default(), Layouts::default()));
    stage(name, requests.len(), reference, || {
        let (builder, layouts) = &mut *reader.borrow_mut();
        for bytes in requests {
            drop_black(decode(bytes, layouts, builder).expect("a request"));
            drop_black(builder.take());
        }
    });
}

/// A decoder of requests.
type Decode = fn(&[u8], &mut Layouts, &mut BatchBuilder) -> Result<Decoded, DecodeError>;

fn of_protobuf(bytes: &[u8], layouts: &mut Layouts, builder: &mut BatchBuilder) -> Result<Decoded, DecodeError> {
    otlp_protobuf::decode_signal(Signal::Traces, bytes, layouts, builder)
}

fn of_json(bytes: &[u8], layouts: &mut Layouts, builder: &mut BatchBuilder) -> Result<Decoded, DecodeError> {
    otlp_json::decode(bytes, layouts, builder)
}

/// What traces and their facts cost, once spans are read.
fn facts_of(name: &str, requests: &[Vec<u8>], reference: Option<f64>) {
    let mut batches: Vec<SpanBatch> = requests.iter().map(|bytes| batch(bytes)).collect();
    for batch in &mut batches {
        batch.spans.sort_by_key(|span| span.trace_id);
    }
    let facts = RefCell::new((Facts::default(), Room::default()));
    stage(name, requests.len(), reference, || {
        let (facts, room) = &mut *facts.borrow_mut();
        for batch in &batches {
            for spans in batch.spans.chunk_by(|left, right| left.trace_id == right.trace_id) {
                facts.add_trace_within(room, &Trace::new(spans.to_vec()), &batch.vocabulary);
            }
        }
    });
    drop_black(facts);
}

/// Runs a stage over so many requests and says what it costs, also as a share of `reference`.
fn stage(name: &str, requests: usize, reference: Option<f64>, run: impl Fn()) -> f64 {
    if std::env::args().skip(1).filter(|wanted| !wanted.starts_with("--")).any(|wanted| !name.contains(&wanted)) {
        return 0.0;
    }
    let round = |_| {
        let (started, cpu) = (Instant::now(), cpu_seconds());
        (0..PASSES).for_each(|_| run());
        match (cpu, cpu_seconds()) {
            (Some(before), Some(after)) => after - before,
            _ => started.elapsed().as_secs_f64(),
        }
    };
    let best = (0..ROUNDS).map(round).fold(f64::INFINITY, f64::min);
    let cost = best * 1e6 / (PASSES as u64 * requests as u64 * SPANS_PER_REQUEST) as f64;
    let ratio = reference.filter(|reference| *reference > 0.0);
    let ratio = ratio.map_or(String::new(), |reference| format!("{:.2} of the public types", cost / reference));
    say(&format!("{name:36} {cost:6.3}  {ratio}"));
    cost
}

/// How long this thread has run, where the system tells: on a busy machine wall time is the neighbours', too.
fn cpu_seconds() -> Option<f64> {
    let status = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    let running_ns: u64 = status.split(' ').next()?.parse().ok()?;
    Some(running_ns as f64 / 1e9)
}

fn batch(bytes: &[u8]) -> SpanBatch {
    let mut builder = BatchBuilder::default();
    otlp_protobuf::decode(bytes, &mut builder).expect("a request");
    builder.finish()
}

/// Sees every span and keeps none.
struct Count(u64);

impl SpanVisitor for Count {
    fn resource(&mut self, attributes: &[Attribute<'_>]) {
        black_box(attributes);
    }

    fn span(&mut self, span: &SpanView<'_>) {
        black_box(span);
        self.0 += 1;
    }

    fn refuse(&mut self, refusal: Refusal) {
        black_box(refusal);
    }
}

fn drop_black<T>(value: T) {
    drop(black_box(value));
}

fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The `number`-th request of a system of so many services, each of which is met before any is met again.
fn request(number: u64, services: u64) -> ExportTraceServiceRequest {
    let traces = SPANS_PER_REQUEST / SPANS_PER_TRACE;
    let mut sent: BTreeMap<u64, Vec<Span>> = BTreeMap::new();
    for trace in number * traces..(number + 1) * traces {
        for place in 0..SPANS_PER_TRACE {
            let service = |hop: u64| (trace * SERVICES_PER_TRACE + hop) % services;
            let span = span(trace + 1, place, &service);
            sent.entry(service(place / 2)).or_default().push(span);
        }
    }
    let of = |(service, spans): (u64, Vec<Span>)| ResourceSpans {
        resource: Some(Resource {
            attributes: vec![
                text("service.name", &format!("service-{service}")),
                text("service.instance.id", &format!("service-{service}-7f9c")),
                text("telemetry.sdk.language", "go"),
            ],
            ..Resource::default()
        }),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    };
    ExportTraceServiceRequest { resource_spans: sent.into_iter().map(of).collect() }
}

/// The `place`-th span of a chain: each service has a server span and a client span, the last one queries a database.
fn span(trace: u64, place: u64, service: &dyn Fn(u64) -> u64) -> Span {
    let is_server = place.is_multiple_of(2);
    let is_query = place == SPANS_PER_TRACE - 1;
    let id = |place: u64| (trace * SPANS_PER_TRACE + place + 1).to_be_bytes().to_vec();
    let common = [
        text("network.protocol.version", "1.1"),
        text("thread.name", &format!("http-nio-8080-exec-{}", trace % 64)),
        int("thread.id", trace % 64),
        text(
            "server.address",
            &format!("service-{}.shop.svc.cluster.local", service(place / 2 + u64::from(!is_server))),
        ),
        int("server.port", 8080),
    ];
    let own = if is_query {
        vec![
            text("db.system.name", "postgresql"),
            text("db.namespace", "orders"),
            text("db.operation.name", "SELECT"),
            text("db.collection.name", "orders"),
            text("db.query.text", "SELECT o.id, o.total, o.created_at FROM orders o WHERE o.user_id = $1 LIMIT 20"),
        ]
    } else if is_server {
        vec![
            text("http.request.method", "GET"),
            text("http.route", "/orders/{id}"),
            text("url.path", &format!("/orders/{trace}")),
            text("url.scheme", "http"),
            int("http.response.status_code", 200),
            text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"),
            text("client.address", &format!("10.42.{}.{}", trace % 8, trace % 255)),
        ]
    } else {
        vec![
            text("http.request.method", "GET"),
            text("url.full", &format!("http://service-{}:8080/orders/{trace}", service(place / 2 + 1))),
            int("http.response.status_code", 200),
            text("network.peer.address", &format!("10.43.{place}.{}", trace % 255)),
            int("network.peer.port", 8080),
        ]
    };
    Span {
        trace_id: u128::from(trace).to_be_bytes().to_vec(),
        span_id: id(place),
        parent_span_id: if place == 0 { Vec::new() } else { id(place - 1) },
        name: if is_query { "SELECT orders" } else { "GET /orders/{id}" }.to_owned(),
        kind: if is_server { 2 } else { 3 },
        start_time_unix_nano: trace * 1_000_000 + place * 1_000,
        end_time_unix_nano: trace * 1_000_000 + 900_000 - place * 1_000,
        attributes: own.into_iter().chain(common).collect(),
        ..Span::default()
    }
}

fn int(key: &str, value: u64) -> KeyValue {
    let value = any_value::Value::IntValue(value.cast_signed());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    let value = any_value::Value::StringValue(value.to_owned());
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
