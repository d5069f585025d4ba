//! One test for each MUST and MUST NOT that the OTLP specification 1.x has for servers, with its sentence:
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/docs/specification.md>.
//!
//! Asked without a socket; what needs one (HTTP/1.1 and 2 on one port) is tested beside the receiver. One answer
//! differs on purpose: a body of an unknown type is refused in plain text, since it names no encoding for a `Status`.

use std::io::Write;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderMap, Request, StatusCode};
use flate2::Compression;
use flate2::write::GzEncoder;
use http_body_util::BodyExt as _;
use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceResponse;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceResponse;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use serde_json::{Value, json};
use spanlint_collector::budget::Grant;
use spanlint_collector::clock::system_clock;
use spanlint_collector::limits::Limits;
use spanlint_collector::live::{Live, LiveSettings};
use spanlint_collector::receiver::{Receiver, Turns, router};
use tower::ServiceExt as _;

const PROTOBUF: &str = "application/x-protobuf";
const JSON: &str = "application/json";
const GRPC: &str = "application/grpc";
const SIGNALS: [(&str, &str); 3] = [
    ("/v1/traces", "/opentelemetry.proto.collector.trace.v1.TraceService/Export"),
    ("/v1/metrics", "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"),
    ("/v1/logs", "/opentelemetry.proto.collector.logs.v1.LogsService/Export"),
];
const TRACES: &str = SIGNALS[0].0;
const TRACES_GRPC: &str = SIGNALS[0].1;

/// A port of a collector, and what it answers.
struct Port {
    router: Router,
    _live: Live,
}

/// An answer, whole.
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Vec<u8>,
    trailers: HeaderMap,
}

impl Port {
    fn new() -> Self {
        Self::with(LiveSettings::default(), Limits::default())
    }

    fn with(settings: LiveSettings, limits: Limits) -> Self {
        let live = Live::start(&settings, system_clock()).expect("a thread");
        let receiver = Receiver {
            intake: live.intake(),
            durable: None,
            counters: std::sync::Arc::default(),
            limits,
            turns: Turns::default(),
            tap: None,
            token: None,
            readers: spanlint_collector::receiver::Readers::default(),
        };
        Self { router: router(receiver), _live: live }
    }

    async fn send(&self, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Answer {
        let mut request = Request::post(path);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = self.router.clone().oneshot(request.body(body.into()).unwrap()).await.unwrap();
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, body: body.to_bytes().to_vec(), trailers }
    }

    async fn post(&self, content_type: &str, body: impl Into<Body>) -> Answer {
        self.send(TRACES, &[("content-type", content_type)], body).await
    }

    async fn json(&self, body: &Value) -> Answer {
        self.post(JSON, body.to_string()).await
    }

    async fn grpc(&self, path: &str, message: &[u8]) -> Answer {
        self.send(path, &[("content-type", GRPC)], frame(0, message)).await
    }
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name).or_else(|| self.trailers.get(name));
        value.map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        assert_eq!(self.header("content-type"), JSON);
        serde_json::from_slice(&self.body).unwrap()
    }

    /// The message of a gRPC answer.
    fn message(&self) -> &[u8] {
        assert_eq!((self.status, self.header("content-type"), self.header("grpc-status")), (StatusCode::OK, GRPC, "0"));
        assert_eq!(self.body[0], 0);
        assert_eq!(self.body[1..5], ((self.body.len() - 5) as u32).to_be_bytes());
        &self.body[5..]
    }

    /// The rejected spans and the sentence that an answer in protobuf has.
    fn partial(message: &[u8]) -> Option<(i64, String)> {
        let partial = ExportTraceServiceResponse::decode(message).unwrap().partial_success?;
        Some((partial.rejected_spans, partial.error_message))
    }

    /// The code and sentence of a `google.rpc.Status`, in the encoding of the answer.
    fn problem(&self) -> (u64, String) {
        if self.header("content-type") == JSON {
            let status = self.json();
            return (status["code"].as_u64().unwrap(), status["message"].as_str().unwrap().to_owned());
        }
        assert_eq!(self.header("content-type"), PROTOBUF);
        let [0x08, code, 0x12, rest @ ..] = &self.body[..] else { panic!("no status: {:?}", self.body) };
        let mut rest = rest;
        let length = prost::encoding::decode_varint(&mut rest).unwrap();
        (u64::from(*code), String::from_utf8(rest[..length as usize].to_vec()).unwrap())
    }
}

fn frame(flag: u8, message: &[u8]) -> Vec<u8> {
    [&[flag][..], &(message.len() as u32).to_be_bytes(), message].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn span(fields: &Value) -> Value {
    let mut span = json!({"traceId": "5B8EFFF798038103D269B633813FC60C", "spanId": "EEE19B7EC3C1B174", "name": "work",
        "kind": 2, "startTimeUnixNano": "1544712660000000000", "endTimeUnixNano": 1_544_712_661_000_000_000_u64});
    for (name, value) in fields.as_object().unwrap() {
        span[name] = value.clone();
    }
    span
}

fn request(spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]})
}

/// The same in protobuf.
fn protobuf(request: &Value) -> Vec<u8> {
    serde_json::from_value::<ExportTraceServiceRequest>(request.clone()).unwrap().encode_to_vec()
}

fn good() -> Value {
    request(&[span(&json!({}))])
}

/// One good span, one with an id of the wrong length.
fn mixed() -> Value {
    request(&[span(&json!({})), span(&json!({"spanId": "EEE1"}))])
}

/// A collector that takes no request of more than a hundred bytes.
fn small() -> Port {
    Port::with(LiveSettings::default(), Limits { request_bytes: 100, decompressed_bytes: 200, ..Limits::default() })
}

/// A collector that has no memory for requests, but for their first bytes.
fn full() -> (Port, Vec<Grant>) {
    let live = Live::start(&LiveSettings::default(), system_clock()).expect("a thread");
    let intake = live.intake();
    let grant = || {
        let mut grant = intake.budget().grant();
        grant.grow(intake.budget().limit() / 1024).is_ok().then_some(grant)
    };
    let others = std::iter::from_fn(grant).collect();
    let receiver = Receiver {
        intake,
        durable: None,
        counters: std::sync::Arc::default(),
        limits: Limits::default(),
        turns: Turns::default(),
        tap: None,
        token: None,
        readers: spanlint_collector::receiver::Readers::default(),
    };
    (Port { router: router(receiver), _live: live }, others)
}

/// "All server components MUST support the following transport compression options: No compression, denoted by `none`.
/// Gzip compression, denoted by `gzip`."
#[tokio::test]
async fn no_compression_and_gzip_are_supported() {
    let (port, bytes) = (Port::new(), protobuf(&good()));
    assert_eq!(port.post(PROTOBUF, bytes.clone()).await.status, StatusCode::OK);
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(port.send(TRACES, &headers, gzip(&bytes)).await.status, StatusCode::OK);
    assert_eq!(port.grpc(TRACES_GRPC, &bytes).await.message(), b"");
    let headers = [("content-type", GRPC), ("grpc-encoding", "gzip")];
    assert_eq!(port.send(TRACES_GRPC, &headers, frame(1, &gzip(&bytes))).await.message(), b"");
}

/// gRPC: "The server MUST enforce a message size limit when receiving the request". "If the limit is exceeded, the
/// client MUST treat the error as not-retryable": `RESOURCE_EXHAUSTED` without `RetryInfo`.
#[tokio::test]
async fn grpc_messages_are_limited_in_size() {
    let port = small();
    for answer in [
        port.grpc(TRACES_GRPC, &[0; 200]).await,
        port.send(TRACES_GRPC, &[("content-type", GRPC), ("grpc-encoding", "gzip")], frame(1, &gzip(&[0; 9000]))).await,
    ] {
        assert_eq!((answer.header("grpc-status"), answer.header("grpc-status-details-bin")), ("8", ""));
    }
}

/// gRPC: "On success, the server response MUST be a Export\<signal>ServiceResponse message". "The server MUST leave the
/// `partial_success` field unset in case of a successful response."
#[tokio::test]
async fn grpc_success_is_the_message_of_the_signal() {
    let port = Port::new();
    let answers = [port.grpc(SIGNALS[0].1, &protobuf(&good())).await, port.grpc(SIGNALS[0].1, b"").await];
    for answer in answers {
        assert_eq!(
            ExportTraceServiceResponse::decode(answer.message()).unwrap(),
            ExportTraceServiceResponse::default()
        );
    }
    let answer = port.grpc(SIGNALS[1].1, b"").await;
    assert_eq!(ExportMetricsServiceResponse::decode(answer.message()).unwrap().partial_success, None);
    let answer = port.grpc(SIGNALS[2].1, b"").await;
    assert_eq!(ExportLogsServiceResponse::decode(answer.message()).unwrap().partial_success, None);
}

/// gRPC: "the server response MUST be the same Export\<signal>ServiceResponse message as in the Full Success case.
/// Additionally, the server MUST initialize the `partial_success` field, and it MUST set the respective
/// `rejected_spans`".
#[tokio::test]
async fn grpc_partial_success_says_how_many_spans_were_rejected() {
    let answer = Port::new().grpc(TRACES_GRPC, &protobuf(&mixed())).await;
    let (rejected, message) = Answer::partial(answer.message()).unwrap();
    assert_eq!(rejected, 1);
    assert!(message.contains("span id"), "{message}");
}

/// "The client and the server MUST set \"Content-Type: application/x-protobuf\" request and response headers when
/// sending binary Protobuf encoded payload." JSON: "MUST set \"Content-Type: application/json\"". "The server MUST use
/// the same \"Content-Type\" in the response as it received in the request."
#[tokio::test]
async fn answers_have_the_content_type_of_their_request() {
    let (port, full) = (Port::new(), full());
    for (content_type, good, mixed) in [
        (PROTOBUF, protobuf(&good()), protobuf(&mixed())),
        (JSON, good().to_string().into_bytes(), mixed().to_string().into_bytes()),
    ] {
        for answer in [
            port.post(content_type, good.clone()).await,
            port.post(content_type, mixed).await,
            port.post(content_type, "no request").await,
            small().post(content_type, vec![b' '; 500]).await,
            full.0.post(content_type, good).await,
        ] {
            assert_eq!(answer.header("content-type"), content_type, "{}", answer.status);
        }
    }
}

/// "OTLP/JSON receivers MUST ignore message fields with unknown names and MUST unmarshal the message as if the unknown
/// field was not present in the payload."
#[tokio::test]
async fn unknown_fields_are_ignored() {
    let unknown = json!({"droppedSomethingCount": 7, "deep": [{"unknown": [null, {}]}], "4": "x"});
    let mut body = request(&[span(&unknown)]);
    body["unknown"] = unknown;
    assert_eq!(Port::new().json(&body).await.json(), json!({}));
    let with_unknown = [&protobuf(&good())[..], b"\xfa\x7f\x03abc\xf0\x7f\x01"].concat();
    let answer = Port::new().post(PROTOBUF, with_unknown).await;
    assert_eq!((answer.status, answer.body), (StatusCode::OK, Vec::new()));
}

/// "Values of enum fields MUST be encoded as integer values."
#[tokio::test]
async fn enumerations_are_integers() {
    let body = request(&[span(&json!({"kind": 3, "status": {"code": 2}})), span(&json!({"kind": 99}))]);
    assert_eq!(Port::new().json(&body).await.json(), json!({}));
}

/// "The `traceId` and `spanId` byte arrays are represented as case-insensitive hex-encoded strings; they are not
/// base64-encoded". "64-bit integer numbers in JSON-encoded payloads are encoded as decimal strings, and either numbers
/// or strings are accepted when decoding."
#[tokio::test]
async fn ids_are_hexadecimal_in_either_case_and_numbers_come_in_both_forms() {
    let lower = span(&json!({"traceId": "5b8efff798038103d269b633813fc60c", "spanId": "eee19b7ec3c1b174"}));
    assert_eq!(Port::new().json(&request(&[lower, span(&json!({}))])).await.json(), json!({}));
    let base64 = span(&json!({"traceId": "W47/95gDgQPSabYzgT/GDA=="}));
    assert_eq!(Port::new().json(&request(&[base64])).await.json()["partialSuccess"]["rejectedSpans"], 1);
}

/// "The server MUST limit the size of the request body when parsing it, including after decompression". "If the limit
/// is exceeded, the server SHOULD respond with `HTTP 413 Content Too Large`."
#[tokio::test]
async fn bodies_are_limited_in_size_also_after_decompression() {
    let port = small();
    assert_eq!(port.post(PROTOBUF, vec![0; 101]).await.status, StatusCode::PAYLOAD_TOO_LARGE);
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    let answer = port.send(TRACES, &headers, gzip(&[0; 9000])).await;
    assert_eq!((answer.status, answer.problem().0), (StatusCode::PAYLOAD_TOO_LARGE, 8));
    assert_eq!(answer.header("retry-after"), "");
}

/// HTTP: "On success, the server MUST respond with `HTTP 200 OK`. The response body MUST be a Protobuf-encoded
/// Export\<signal>ServiceResponse message". "The server MUST leave the `partial_success` field unset in case of a
/// successful response." An empty request is a success, too.
#[tokio::test]
async fn http_success_is_200_and_says_nothing() {
    let port = Port::new();
    for (path, _) in SIGNALS {
        for (content_type, empty, expected) in [(PROTOBUF, "", ""), (JSON, "{}", "{}")] {
            let answer = port.send(path, &[("content-type", content_type)], empty).await;
            assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, expected.as_bytes()), "{path}");
        }
    }
    assert_eq!(port.post(PROTOBUF, protobuf(&good())).await.body, b"");
    assert_eq!(port.json(&good()).await.json(), json!({}));
}

/// HTTP: "If the request is only partially accepted, the server MUST respond with `HTTP 200 OK`." "Additionally, the
/// server MUST initialize the `partial_success` field, and it MUST set the respective `rejected_spans`".
#[tokio::test]
async fn http_partial_success_is_200_and_says_how_many_spans_were_rejected() {
    let port = Port::new();
    let answer = port.post(PROTOBUF, protobuf(&mixed())).await;
    assert_eq!((answer.status, Answer::partial(&answer.body).unwrap().0), (StatusCode::OK, 1));
    let answer = port.json(&mixed()).await;
    assert_eq!((answer.status, &answer.json()["partialSuccess"]["rejectedSpans"]), (StatusCode::OK, &json!(1)));
    assert_ne!(answer.json()["partialSuccess"]["errorMessage"], "");
}

/// "If the processing of the request fails, the server MUST respond with appropriate `HTTP 4xx` or `HTTP 5xx` status
/// code." "The response body for all `HTTP 4xx` and `HTTP 5xx` responses MUST be a Protobuf-encoded Status message that
/// describes the problem."
#[tokio::test]
async fn every_failure_is_a_status_that_describes_the_problem() {
    let (port, full) = (Port::new(), full());
    for content_type in [PROTOBUF, JSON] {
        let plain = [("content-type", content_type)];
        let brotli = [("content-type", content_type), ("content-encoding", "br")];
        for (answer, status, code, words) in [
            (port.send(TRACES, &plain, "no request").await, 400, 3, "not an OTLP request of traces"),
            (port.send("/v1/spans", &plain, "").await, 404, 12, "POST /v1/traces"),
            (small().send(TRACES, &plain, vec![b' '; 500]).await, 413, 8, "larger than 100 bytes"),
            (port.send(TRACES, &brotli, "x").await, 415, 12, "compressed as \"br\""),
            (full.0.send(TRACES, &plain, " ").await, 503, 14, "again later"),
        ] {
            let (found, message) = answer.problem();
            assert_eq!((answer.status.as_u16(), found), (status, code), "{message}");
            assert!(message.contains(words), "{message}");
        }
    }
}

/// "If the processing of the request fails because the request contains data that cannot be decoded or is otherwise
/// invalid and such failure is permanent, then the server MUST respond with `HTTP 400 Bad Request`."
#[tokio::test]
async fn bad_data_is_400() {
    let port = Port::new();
    assert_eq!(port.post(PROTOBUF, &b"\x0a\xff"[..]).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(port.post(JSON, "{").await.status, StatusCode::BAD_REQUEST);
    let headers = [("content-type", PROTOBUF), ("content-encoding", "gzip")];
    assert_eq!(port.send(TRACES, &headers, "no gzip").await.status, StatusCode::BAD_REQUEST);
    assert_eq!(port.grpc(TRACES_GRPC, b"\x0a\xff").await.header("grpc-status"), "3");
}

/// "If the server is unable to keep up with the pace of data it receives from the client then it SHOULD signal that fact
/// to the client": `UNAVAILABLE` with `RetryInfo`, 503 with `Retry-After`. "All other `4xx` or `5xx` response status
/// codes MUST NOT be retried", so nothing else may tell of overload.
#[tokio::test]
async fn overload_is_retryable_and_says_when() {
    let (port, _others) = full();
    let answer = port.json(&good()).await;
    assert_eq!((answer.status, answer.header("retry-after")), (StatusCode::SERVICE_UNAVAILABLE, "1"));
    let answer = port.grpc(TRACES_GRPC, &protobuf(&good())).await;
    assert_eq!(answer.header("grpc-status"), "14");
    assert_ne!(answer.header("grpc-status-details-bin"), "");
}
