//! Both protocols on one router, and on one real port.

use std::convert::Infallible;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Mutex;

use ::http::{Request, StatusCode, header};
use axum::body::Body;
use axum::response::Response;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::stream;
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::logs::v1::logs_service_client::LogsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message as _;
use spanlint_graph::{Reading, Redaction};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tower::ServiceExt as _;

use super::*;
use crate::budget::{Budget, Grant};
use crate::decode::oracle::one_span;
use crate::live::{LiveSettings, Queued, queue};

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const TRACE_SERVICE: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// A receiver whose spans end up in a queue that nobody empties but the test.
fn receiver(limits: Limits) -> (Receiver, mpsc::Receiver<Queued>) {
    let (intake, queued) = queue(LiveSettings::default().request_bytes);
    let reading = Arc::new(Reading { redaction: Redaction::new(["http.*"]), ..Reading::default() });
    (
        Receiver {
            intake,
            durable: None,
            counters: Arc::default(),
            limits,
            turns: Turns::default(),
            tap: None,
            token: None,
            readers: Readers::new(reading, 16 << 20),
        },
        queued,
    )
}

/// A receiver whose collector takes nothing any more.
fn busy_receiver() -> Receiver {
    receiver(Limits::default()).0
}

/// A request of one good span and, if so wanted, one with wrong ids.
fn request(with_bad_span: bool) -> ExportTraceServiceRequest {
    let mut request = one_span(|_| {});
    if with_bad_span {
        let mut bad = one_span(|span| span.trace_id = vec![1; 8]);
        request.resource_spans.append(&mut bad.resource_spans);
    }
    request
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

async fn send(receiver: &Receiver, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Response {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    router(receiver.clone()).oneshot(request.body(body.into()).unwrap()).await.unwrap()
}

async fn post(receiver: &Receiver, path: &str, content_type: &str, body: impl Into<Body>) -> Response {
    send(receiver, path, &[("content-type", content_type)], body).await
}

async fn body(response: Response) -> Vec<u8> {
    response.into_body().collect().await.unwrap().to_bytes().to_vec()
}

async fn json(response: Response) -> serde_json::Value {
    assert_eq!(response.headers()[header::CONTENT_TYPE], JSON);
    serde_json::from_slice(&body(response).await).unwrap()
}

/// Accepted, rejected and asked to retry.
fn spans(receiver: &Receiver) -> [u64; 3] {
    let counters = &receiver.counters;
    let answered = [&counters.accepted_spans, &counters.rejected_spans, &counters.retry_spans].map(Counter::get);
    assert_eq!(counters.sent_spans.get(), answered.iter().sum::<u64>());
    answered
}

#[tokio::test]
async fn traces_are_taken_in_both_encodings() {
    let (receiver, mut queued) = receiver(Limits::default());
    let request = request(false);
    let response = post(&receiver, "/v1/traces", PROTOBUF, request.encode_to_vec()).await;
    assert_eq!(
        (response.status(), response.headers()[header::CONTENT_TYPE].as_bytes()),
        (StatusCode::OK, PROTOBUF.as_bytes())
    );
    assert!(body(response).await.is_empty());
    let content_type = "application/json; charset=utf-8";
    let response = post(&receiver, "/v1/traces", content_type, serde_json::to_vec(&request).unwrap()).await;
    assert_eq!(json(response).await, serde_json::json!({}));
    let [first, second] = [queued.try_recv().unwrap().batch, queued.try_recv().unwrap().batch];
    assert_eq!(first.spans, second.spans);
    assert_eq!(spans(&receiver), [2, 0, 0]);
}

#[tokio::test]
async fn a_request_is_taken_with_its_copy_or_not_at_all() {
    let (mut receiver, mut queued) = receiver(Limits::default());
    let (tap, mut tapped) = Tap::new(TapEncoding::Protobuf);
    receiver.tap = Some(tap.clone());
    let bytes = request(true).encode_to_vec();
    assert_eq!(post(&receiver, "/v1/traces", PROTOBUF, bytes.clone()).await.status(), StatusCode::OK);
    assert_eq!(tapped.try_recv().unwrap().bytes, bytes);
    queued.try_recv().unwrap();
    let held = tap.place(vec![0; MAX_TAPPED_BYTES]).unwrap();
    assert_eq!(post(&receiver, "/v1/traces", PROTOBUF, bytes.clone()).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(queued.try_recv().is_err());
    drop(held);
    queued.close();
    assert_eq!(post(&receiver, "/v1/traces", PROTOBUF, bytes).await.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(tapped.try_recv().is_err());
    assert_eq!(spans(&receiver), [1, 1, 4]);
}

#[tokio::test]
async fn bad_spans_are_refused_by_name_and_the_rest_is_taken() {
    let (receiver, mut queued) = receiver(Limits::default());
    let request = request(true);
    let response = post(&receiver, "/v1/traces", PROTOBUF, request.encode_to_vec()).await;
    let partial = ExportTraceServiceResponse::decode(&*body(response).await).unwrap().partial_success.unwrap();
    assert_eq!(partial.rejected_spans, 1);
    assert_eq!(partial.error_message, "span \"GET /\": trace id has 8 bytes, wants 16");
    let response = post(&receiver, "/v1/traces", JSON, serde_json::to_vec(&request).unwrap()).await;
    let partial = &json(response).await["partialSuccess"];
    assert_eq!(partial["rejectedSpans"], 1);
    assert_eq!(partial["errorMessage"], "span \"GET /\": trace id has 16 hexadecimal digits, wants 32");
    assert_eq!(queued.try_recv().unwrap().batch.spans.len(), 1);
    assert_eq!(spans(&receiver), [2, 2, 0]);
}

#[tokio::test]
async fn logs_and_metrics_are_taken_and_counted() {
    let (receiver, mut queued) = receiver(Limits::default());
    let logs = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{}]}]}]}"#;
    assert_eq!(json(post(&receiver, "/v1/logs", JSON, &logs[..]).await).await, serde_json::json!({}));
    // A resource, a scope, a metric: three messages in each other.
    let metrics = [0x0a, 4, 0x12, 2, 0x12, 0];
    assert_eq!(post(&receiver, "/v1/metrics", PROTOBUF, metrics.to_vec()).await.status(), StatusCode::OK);
    assert_eq!(receiver.counters.other_records.get(), 3);
    // Logs that come among traces are as good.
    assert_eq!(json(post(&receiver, "/v1/traces", JSON, &logs[..]).await).await, serde_json::json!({}));
    assert_eq!(queued.try_recv().unwrap().batch.logs.len(), 2);
    assert_eq!(queued.try_recv().unwrap().batch.logs.len(), 2);
}

#[tokio::test]
async fn gzip_is_read_over_all_its_members() {
    let (receiver, _queued) = receiver(Limits::default());
    let bytes = [compress(&request(false).encode_to_vec()), compress(&request(true).encode_to_vec())].concat();
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(send(&receiver, "/v1/traces", &headers, bytes).await.status(), StatusCode::OK);
    assert_eq!(spans(&receiver), [2, 1, 0]);
}

#[tokio::test]
async fn zstd_is_read_over_all_its_frames() {
    let (receiver, _queued) = receiver(Limits::default());
    let frames = [request(false), request(true)].map(|request| zstd::encode_all(&*request.encode_to_vec(), 1).unwrap());
    let headers = [("content-type", PROTOBUF), ("content-encoding", "zstd")];
    assert_eq!(send(&receiver, "/v1/traces", &headers, frames.concat()).await.status(), StatusCode::OK);
    assert_eq!(spans(&receiver), [2, 1, 0]);
}

#[tokio::test]
async fn a_request_of_too_many_spans_is_counted_and_not_asked_for_again() {
    let (receiver, _queued) = receiver(Limits { request_records: 1, ..Limits::default() });
    let response = post(&receiver, "/v1/traces", PROTOBUF, request(true).encode_to_vec()).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(spans(&receiver), [0, 2, 0]);
    let logs = br#"{"resourceLogs":[{"scopeLogs":[{"logRecords":[{},{}]}]}]}"#;
    let response = post(&receiver, "/v1/logs", JSON, &logs[..]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert_eq!(receiver.counters.oversized_requests.get(), 2);
}

#[tokio::test(start_paused = true)]
async fn memory_is_asked_for_before_it_is_spent() {
    let (receiver, mut queued) = receiver(Limits::default());
    let bytes = request(false).encode_to_vec();
    let budget = receiver.intake.budget();
    // Read and decoded, but not kept; read, but not decoded; then not read to the end.
    for free in [bytes.len() * 4, bytes.len(), bytes.len() - 1] {
        let others = Arc::default();
        let body = Body::from_stream(stream::iter(squeezed(&bytes, free, budget, &others)));
        let response = post(&receiver, "/v1/traces", PROTOBUF, body).await;
        assert_eq!((response.status(), spans(&receiver)), (StatusCode::SERVICE_UNAVAILABLE, [0, 0, 1]), "{free}");
    }
    // Where its length is known, none of it is read.
    let compressed = compress(&bytes);
    let others = all_but(compressed.len(), budget);
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let response = send(&receiver, "/v1/traces", &headers, compressed).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(response.headers()[header::RETRY_AFTER], "1");
    drop(others);
    assert_eq!(budget.used(), 0);
    assert_eq!(post(&receiver, "/v1/traces", PROTOBUF, bytes).await.status(), StatusCode::OK);
    assert!(budget.used() > 0);
    drop(queued.try_recv().unwrap());
    assert_eq!(budget.used(), 0);
    let counters = &receiver.counters;
    assert_eq!((counters.requests.get(), counters.retry_requests.get(), counters.accepted_requests.get()), (5, 4, 1));
}

/// A request in two pieces: when the second is asked for, all of the memory but `free` bytes goes to others.
fn squeezed(
    bytes: &[u8],
    free: usize,
    budget: &Budget,
    others: &Arc<Mutex<Vec<Grant>>>,
) -> impl Iterator<Item = Result<Vec<u8>, Infallible>> + use<> {
    let (first, rest) = bytes.split_at(1);
    let (budget, others) = (budget.clone(), Arc::clone(others));
    [first.to_vec(), rest.to_vec()].into_iter().enumerate().map(move |(place, piece)| {
        if place == 1 {
            others.lock().unwrap().extend(all_but(free, &budget));
        }
        Ok(piece)
    })
}

/// What others have, in pieces so small that they may have everything.
fn all_but(free: usize, budget: &Budget) -> Vec<Grant> {
    let mut grants = Vec::new();
    while budget.limit() - budget.used() > free {
        let mut grant = budget.grant();
        grant.grow((budget.limit() - budget.used() - free).min(64 << 10)).unwrap();
        grants.push(grant);
    }
    grants
}

#[tokio::test]
async fn what_is_redacted_is_never_stored() {
    let (receiver, mut queued) = receiver(Limits::default());
    let attributes =
        ["http.secret", "color"].map(|key| format!(r#"{{"key":"{key}","value":{{"stringValue":"red"}}}}"#));
    let span = r#""traceId":"000102030405060708090a0b0c0d0e0f","spanId":"0001020304050607","name":"a""#;
    let span = format!(r#"{{{span},"attributes":[{}]}}"#, attributes.join(","));
    let body = format!(r#"{{"resourceSpans":[{{"scopeSpans":[{{"spans":[{span}]}}]}}]}}"#);
    assert_eq!(post(&receiver, "/v1/traces", JSON, body).await.status(), StatusCode::OK);
    let batch = queued.try_recv().unwrap().batch;
    assert_eq!(batch.spans[0].detail.attributes().collect::<Vec<_>>(), [("color", "red")]);
}

#[tokio::test]
async fn without_the_token_nobody_sends() {
    let (mut receiver, _queued) = receiver(Limits::default());
    let token = Token::new("0123456789abcdef").unwrap();
    let known = token.authorization();
    receiver.token = Some(token);
    let bytes = request(false).encode_to_vec();
    let headers = [("content-type", PROTOBUF), ("authorization", &*known)];
    assert_eq!(send(&receiver, "/v1/traces", &headers, bytes.clone()).await.status(), StatusCode::OK);
    let response = post(&receiver, "/v1/traces", JSON, bytes.clone()).await;
    assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    assert_eq!(json(response).await["code"], 16);
    let headers = [("content-type", "application/grpc"), ("authorization", "Bearer 0123456789abcdeF")];
    let response = send(&receiver, TRACE_SERVICE, &headers, bytes).await;
    assert_eq!((response.status(), &response.headers()["grpc-status"]), (StatusCode::OK, &"16".parse().unwrap()));
    assert_eq!(post(&receiver, "/nowhere", JSON, "").await.status(), StatusCode::UNAUTHORIZED);
    assert_eq!(spans(&receiver), [1, 0, 0]);
    assert_eq!(receiver.counters.unauthorized_requests.get(), 3);
    // A browser asks for leave without it.
    let response = from_page(&receiver, "OPTIONS", "http://localhost:3000").await;
    assert_eq!(response.status(), StatusCode::NO_CONTENT);
}

/// What the Zipkin port answers.
async fn to_zipkin(receiver: &Receiver, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> (u16, String) {
    let mut request = Request::post(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let response = zipkin_router(receiver.clone()).oneshot(request.body(body.into()).unwrap()).await.unwrap();
    (response.status().as_u16(), String::from_utf8(self::body(response).await).unwrap())
}

#[tokio::test]
async fn zipkin_v2_is_taken_and_v1_is_told_so() {
    let (receiver, mut queued) = receiver(Limits::default());
    let spans_v2 = r#"[{"traceId":"1","id":"2","name":"get","kind":"SERVER","localEndpoint":{"serviceName":"shop"},
        "timestamp":1700000000000000,"duration":5},{"traceId":"x","id":"2"}]"#;
    let json = [("content-type", JSON)];
    assert_eq!(to_zipkin(&receiver, "/api/v2/spans", &json, spans_v2).await, (202, String::new()));
    let gzip = [("content-type", JSON), ("content-encoding", "gzip")];
    assert_eq!(to_zipkin(&receiver, "/api/v2/spans", &gzip, compress(spans_v2.as_bytes())).await.0, 202);
    assert_eq!(queued.try_recv().unwrap().batch.spans, queued.try_recv().unwrap().batch.spans);
    assert_eq!((spans(&receiver), receiver.intake.budget().used()), ([2, 2, 0], 0));
    let old = r#"[{"traceId":"1","id":"2","annotations":[],"binaryAnnotations":[]}]"#;
    for (path, headers, body, status, words) in [
        ("/api/v2/spans", &json[..], old, 400, "this is Zipkin v1"),
        ("/api/v2/spans", &[("content-type", "application/x-thrift")], "", 400, "send spans to /api/v2/spans"),
        ("/api/v1/spans", &json, spans_v2, 400, "send spans to /api/v2/spans"),
        ("/api/v2/spans", &[("content-type", PROTOBUF)], "", 415, "POST /api/v2/spans as application/json"),
        ("/api/v2/spans", &json, "[7]", 400, "not spans of Zipkin v2: invalid type"),
        ("/v1/traces", &json, "{}", 404, "POST /api/v2/spans as application/json"),
    ] {
        let (found, sentence) = to_zipkin(&receiver, path, headers, body).await;
        assert_eq!(found, status, "{sentence}");
        assert!(sentence.contains(words) && sentence.lines().count() == 1, "{sentence}");
    }
}

#[tokio::test]
async fn a_sender_that_hangs_up_is_counted() {
    let (receiver, _queued) = receiver(Limits::default());
    let body = Body::from_stream(stream::pending::<Result<Vec<u8>, std::io::Error>>());
    let answer = post(&receiver, "/v1/traces", PROTOBUF, body);
    assert!(tokio::time::timeout(std::time::Duration::ZERO, answer).await.is_err());
    let counters = &receiver.counters;
    assert_eq!((counters.requests.get(), counters.abandoned_requests.get()), (1, 1));
}

async fn from_page(receiver: &Receiver, method: &str, origin: &str) -> Response {
    let request = Request::builder().method(method).uri("/v1/traces").header("origin", origin);
    let request = request.header("content-type", JSON).header("access-control-request-headers", "content-type,x-mine");
    let request = request.header("access-control-request-method", "POST").body(Body::from("{}")).unwrap();
    router(receiver.clone()).oneshot(request).await.unwrap()
}

#[tokio::test]
async fn pages_of_this_machine_may_send_and_no_others() {
    let (receiver, _queued) = receiver(Limits::default());
    for origin in ["http://localhost:3000", "https://127.0.0.1", "http://[::1]:8080"] {
        let asked = from_page(&receiver, "OPTIONS", origin).await;
        assert_eq!(asked.status(), StatusCode::NO_CONTENT);
        assert_eq!(asked.headers()["access-control-allow-origin"], origin);
        assert_eq!(asked.headers()["access-control-allow-headers"], "content-type,x-mine");
        let sent = from_page(&receiver, "POST", origin).await;
        assert_eq!(sent.status(), StatusCode::OK);
        assert_eq!(sent.headers()["access-control-allow-origin"], origin);
        assert_eq!(sent.headers()["vary"], "origin");
    }
    for origin in ["http://evil.test", "http://localhost.evil.test", "null", "file://", "localhost"] {
        for method in ["OPTIONS", "POST"] {
            let answer = from_page(&receiver, method, origin).await;
            assert!(!answer.headers().contains_key("access-control-allow-origin"), "{origin}");
        }
    }
    let wrong = Request::post("/v1/trace").header("origin", "http://localhost").body(Body::empty()).unwrap();
    let told = router(receiver.clone()).oneshot(wrong).await.unwrap();
    assert_eq!(
        (told.status(), told.headers().contains_key("access-control-allow-origin")),
        (StatusCode::NOT_FOUND, true)
    );
}

#[tokio::test]
async fn what_can_never_fit_is_413_and_counted() {
    let limits = Limits { request_bytes: 1000, decompressed_bytes: 5000, ..Limits::default() };
    let (receiver, _queued) = receiver(limits);
    let response = post(&receiver, "/v1/traces", JSON, vec![b' '; 1001]).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let problem = json(response).await;
    assert_eq!(problem["code"], 8);
    assert_eq!(problem["message"], "the request is larger than 1000 bytes, send fewer spans at a time");
    let headers = [("content-type", JSON), ("content-encoding", "gzip")];
    let response = send(&receiver, "/v1/traces", &headers, compress(&vec![b' '; 5001])).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
    assert!(!response.headers().contains_key(header::RETRY_AFTER));
    assert_eq!(receiver.counters.oversized_requests.get(), 2);
    let chunks = stream::iter([Ok::<_, std::io::Error>(vec![b' '; 600]), Ok(vec![b' '; 600])]);
    let response = post(&receiver, "/v1/traces", JSON, Body::from_stream(chunks)).await;
    assert_eq!(response.status(), StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn what_is_malformed_is_400_in_the_encoding_of_the_request() {
    let (receiver, _queued) = receiver(Limits::default());
    let response = post(&receiver, "/v1/traces", JSON, "{\"resourceSpans\":7}").await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    let problem = json(response).await;
    assert_eq!(problem["code"], 3);
    let message = problem["message"].as_str().unwrap();
    assert!(message.starts_with("not an OTLP request of traces: expected an array of resources"), "{message}");
    let response = post(&receiver, "/v1/traces", PROTOBUF, vec![0x0a, 9]).await;
    assert_eq!(response.status(), StatusCode::BAD_REQUEST);
    assert_eq!(response.headers()[header::CONTENT_TYPE], PROTOBUF);
    let body = body(response).await;
    let expected = b"not an OTLP request of traces: the protobuf message ends in the middle of a field";
    assert_eq!(body, [&[0x08, 3, 0x12, expected.len() as u8][..], expected].concat());
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(send(&receiver, "/v1/traces", &headers, "no gzip").await.status(), StatusCode::BAD_REQUEST);
    assert_eq!(receiver.counters.malformed_requests.get(), 3);
    assert_eq!(spans(&receiver), [0, 0, 0]);
}

#[tokio::test]
async fn the_wrong_door_names_the_right_one() {
    let (receiver, _queued) = receiver(Limits::default());
    for (method, path, status) in [
        ("GET", "/", StatusCode::NOT_FOUND),
        ("POST", "/", StatusCode::NOT_FOUND),
        ("POST", "/api/v2/spans", StatusCode::NOT_FOUND),
        ("POST", "/v1/traces/", StatusCode::NOT_FOUND),
        ("GET", "/v1/traces", StatusCode::METHOD_NOT_ALLOWED),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        let response = router(receiver.clone()).oneshot(request).await.unwrap();
        assert_eq!(response.status(), status, "{method} {path}");
        assert_eq!(response.headers().contains_key(header::ALLOW), status == StatusCode::METHOD_NOT_ALLOWED);
        let sentence = String::from_utf8(body(response).await).unwrap();
        assert!(sentence.contains("POST /v1/traces") && sentence.contains(path), "{sentence}");
    }
}

#[tokio::test]
async fn the_wrong_type_is_415() {
    let (receiver, _queued) = receiver(Limits::default());
    let response = post(&receiver, "/v1/traces", "text/plain", "hello").await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let sentence = String::from_utf8(body(response).await).unwrap();
    assert!(sentence.starts_with("cannot read \"text/plain\"; spanlint takes OTLP here"), "{sentence}");
    let headers = [("content-type", JSON), ("content-encoding", "br")];
    let response = send(&receiver, "/v1/traces", &headers, "hello").await;
    assert_eq!(response.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(json(response).await["message"], "cannot read a body compressed as \"br\", only gzip, zstd or none");
    assert_eq!(post(&receiver, TRACE_SERVICE, PROTOBUF, "").await.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn a_full_collector_asks_to_come_again() {
    let receiver = busy_receiver();
    let response = post(&receiver, "/v1/traces", JSON, serde_json::to_vec(&request(true)).unwrap()).await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(response.headers()[header::RETRY_AFTER].to_str().unwrap().parse::<u64>().unwrap() >= 1);
    assert_eq!(json(response).await["code"], 14);
    assert_eq!(spans(&receiver), [0, 0, 2]);
    assert_eq!(receiver.counters.malformed_requests.get(), 0);
}

#[tokio::test]
async fn grpc_frames_that_are_wrong_are_told_so() {
    let (receiver, _queued) = receiver(Limits::default());
    for (frame, encoding, status, message) in [
        (&[][..], "", "3", "a gRPC call without a message"),
        (&[0, 0, 0, 0, 9, 1], "", "3", "the gRPC message has 1 bytes where it says 9"),
        (&[7, 0, 0, 0, 0], "", "3", "the gRPC message has the impossible flag 7"),
        (&[1, 0, 0, 0, 0], "", "3", "the gRPC message is compressed, but grpc-encoding does not say how"),
        (&[1, 0, 0, 0, 0], "br", "12", "cannot read a body compressed as \"br\", only gzip, zstd or none"),
        (&[1, 0, 0, 0, 1, 7], "zstd", "3", "the zstd data is damaged: Unknown frame descriptor"),
        (&[0, 0, 0, 0, 1, 0x0b], "", "3", "not an OTLP request of traces: protobuf field 1 has the wrong wire type"),
    ] {
        let headers = [("content-type", "application/grpc"), ("grpc-encoding", encoding)];
        let response = send(&receiver, TRACE_SERVICE, &headers, frame.to_vec()).await;
        assert_eq!(response.status(), StatusCode::OK);
        let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!((&*header("grpc-status"), &*header("grpc-message")), (status, message));
    }
}

/// A receiver on a real port, until it is dropped.
struct Port {
    address: SocketAddr,
    receiver: Receiver,
    queued: mpsc::Receiver<Queued>,
    shutdown: CancellationToken,
    served: JoinHandle<()>,
}

impl Port {
    async fn open(limits: Limits) -> Self {
        let (receiver, queued) = receiver(limits);
        let listener = bind("127.0.0.1:0".parse().unwrap(), "--otlp-grpc").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, None, receiver.clone(), shutdown.clone()));
        Self { address, receiver, queued, shutdown, served }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

#[tokio::test]
async fn one_port_speaks_grpc_and_both_versions_of_http() {
    let mut port = Port::open(Limits::default()).await;
    let plain = TraceServiceClient::connect(port.url()).await.unwrap();
    let [gzip, zstd] = [CompressionEncoding::Gzip, CompressionEncoding::Zstd];
    for mut client in [plain.clone(), plain.clone().send_compressed(gzip), plain.send_compressed(zstd)] {
        let answer = client.export(request(true)).await.unwrap().into_inner();
        assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
        assert_eq!(client.export(request(false)).await.unwrap().into_inner(), ExportTraceServiceResponse::default());
    }
    let url = format!("{}/v1/traces", port.url());
    for client in [reqwest::Client::builder(), reqwest::Client::builder().http2_prior_knowledge()] {
        let request = client.build().unwrap().post(&url).header("content-type", PROTOBUF);
        let response = request.body(self::request(false).encode_to_vec()).send().await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
    }
    assert_eq!(spans(&port.receiver), [8, 3, 0]);
    for _ in 0..8 {
        assert_eq!(port.queued.try_recv().unwrap().batch.spans.len(), 1);
    }
    port.shutdown.cancel();
    port.served.await.unwrap();
    assert!(tokio::net::TcpStream::connect(port.address).await.is_err());
}

#[tokio::test]
async fn grpc_tells_what_to_send_again_and_what_never() {
    let mut port = Port::open(Limits { request_bytes: 500, decompressed_bytes: 600, ..Limits::default() }).await;
    let mut client = TraceServiceClient::connect(port.url()).await.unwrap();
    let large = one_span(|span| span.name = "x".repeat(600));
    let status = client.export(large.clone()).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::ResourceExhausted);
    assert!(status.details().is_empty());
    let status = client.clone().send_compressed(CompressionEncoding::Gzip).export(large).await.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (tonic::Code::ResourceExhausted, "the request is larger than 600 bytes when decompressed")
    );
    assert_eq!(port.receiver.counters.oversized_requests.get(), 2);
    port.queued.close();
    let status = client.export(request(false)).await.unwrap_err();
    assert_eq!(status.code(), tonic::Code::Unavailable);
    assert!(String::from_utf8_lossy(status.details()).contains("google.rpc.RetryInfo"));
    assert_eq!(spans(&port.receiver), [0, 0, 1]);
}

#[tokio::test]
async fn grpc_takes_logs_and_names_what_it_does_not_know() {
    let port = Port::open(Limits::default()).await;
    let mut logs = LogsServiceClient::connect(port.url()).await.unwrap();
    logs.export(ExportLogsServiceRequest::default()).await.unwrap();
    let unknown = "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export";
    let response = send(&port.receiver, unknown, &[("content-type", "application/grpc")], "").await;
    assert_eq!(response.headers()["grpc-status"], "12");
    assert!(response.headers()["grpc-message"].to_str().unwrap().contains("gRPC on the same port"));
}

#[tokio::test]
async fn a_taken_port_says_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap();
    let error = bind(address, "--otlp-grpc").await.unwrap_err();
    assert_eq!(
        error.to_string(),
        format!("address {address} is taken by another program: stop it, or choose another with --otlp-grpc")
    );
    let elsewhere = bind("192.0.2.1:4317".parse().unwrap(), "--otlp-http").await.unwrap_err().to_string();
    assert!(elsewhere.starts_with("cannot listen on 192.0.2.1:4317: "), "{elsewhere}");
}

#[tokio::test]
async fn a_silent_connection_does_not_hold_its_place_for_good() {
    let idle_timeout = std::time::Duration::from_millis(20);
    let port = Port::open(Limits { connections: 1, idle_timeout, ..Limits::default() }).await;
    let mut silent = tokio::net::TcpStream::connect(port.address).await.unwrap();
    // The first byte of either version of HTTP.
    tokio::io::AsyncWriteExt::write_all(&mut silent, b"P").await.unwrap();
    let response = reqwest::get(port.url()).await.unwrap();
    assert_eq!(response.status(), StatusCode::NOT_FOUND);
}
