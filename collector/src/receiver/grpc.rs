//! OTLP over gRPC: the unary `Export` calls of the three signals.
//!
//! The framing of a unary call is five bytes and two trailers, so it is done here rather than by tonic's server, which
//! answers a message that is too large with `OUT_OF_RANGE` (OTLP clients send it again and again), reads only the first
//! of several gzip members, and bounds compressed and decompressed size by one number.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use bytes::{Buf as _, Bytes};
use http::{HeaderMap, HeaderValue, header};
use http_body_util::{BodyExt as _, Full};

use super::counters::OpenRequest;
use super::encode::{self, Encoding, PartialSuccess};
use super::problem::Problem;
use super::{Receiver, body, http as otlp_http};
use crate::decode::Signal;

/// A flag and the length of the message.
const FRAME_HEADER_BYTES: usize = 5;

/// Adds the routes.
pub(super) fn routes(router: Router<Receiver>) -> Router<Receiver> {
    router
        .route(
            "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
            post(|state, request| export(Signal::Traces, state, request)),
        )
        .route(
            "/opentelemetry.proto.collector.logs.v1.LogsService/Export",
            post(|state, request| export(Signal::Logs, state, request)),
        )
        .route(
            "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export",
            post(|state, request| export(Signal::Metrics, state, request)),
        )
}

/// Whether a request speaks gRPC with protobuf in it.
pub(super) fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = otlp_http::text(headers, header::CONTENT_TYPE);
    matches!(content_type.split(';').next().map(str::trim), Some("application/grpc" | "application/grpc+proto"))
}

async fn export(signal: Signal, State(receiver): State<Receiver>, request: Request) -> Response {
    if !is_grpc(request.headers()) {
        let content_type = otlp_http::text(request.headers(), header::CONTENT_TYPE);
        return Problem::unsupported_type(&content_type).into_http(None);
    }
    let open = OpenRequest::new(&receiver.counters);
    let answer = take(&receiver, signal, request).await;
    open.answered(&answer);
    match answer {
        Ok(partial) => success(&partial),
        Err(problem) => problem.into_grpc(),
    }
}

async fn take(receiver: &Receiver, signal: Signal, request: Request) -> Result<PartialSuccess, Problem> {
    let (parts, body) = request.into_parts();
    let mut message = body::read(body, receiver).await?;
    let frame = &mut message.bytes;
    if frame.len() < FRAME_HEADER_BYTES {
        return Err(Problem::malformed("a gRPC call without a message"));
    }
    let is_compressed = match frame.get_u8() {
        0 => false,
        1 => true,
        flag => return Err(Problem::malformed(format!("the gRPC message has the impossible flag {flag}"))),
    };
    let length = frame.get_u32() as usize;
    if length != frame.len() {
        let found = frame.len();
        return Err(Problem::malformed(format!("the gRPC message has {found} bytes where it says {length}")));
    }
    let compression = otlp_http::text(&parts.headers, "grpc-encoding");
    let compression = match (is_compressed, &*compression) {
        (false, _) => String::new(),
        (true, "" | "identity") => {
            return Err(Problem::malformed("the gRPC message is compressed, but grpc-encoding does not say how"));
        }
        (true, _) => compression,
    };
    receiver.export(signal, Encoding::Protobuf, message, compression).await
}

fn success(partial: &PartialSuccess) -> Response {
    let message = encode::response(partial, Encoding::Protobuf);
    let mut frame = Vec::with_capacity(FRAME_HEADER_BYTES + message.len());
    frame.push(0);
    frame.extend_from_slice(&(message.len() as u32).to_be_bytes());
    frame.extend_from_slice(&message);
    let trailers =
        HeaderMap::from_iter([(http::HeaderName::from_static("grpc-status"), HeaderValue::from_static("0"))]);
    let body = Full::new(Bytes::from(frame)).with_trailers(std::future::ready(Some(Ok(trailers))));
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    response
}
