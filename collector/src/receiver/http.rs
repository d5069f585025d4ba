//! OTLP over HTTP, as the OTLP specification has it, and a sentence for whoever comes to the wrong door.

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use axum::routing::post;
use http::{HeaderMap, HeaderValue, header};

use super::counters::OpenRequest;
use super::encode::{self, Encoding, PartialSuccess};
use super::problem::Problem;
use super::{Receiver, body};
use crate::decode::Signal;

/// Adds the routes.
pub(super) fn routes(router: Router<Receiver>) -> Router<Receiver> {
    router
        .route("/v1/traces", post(|state, request| export(Signal::Traces, state, request)))
        .route("/v1/logs", post(|state, request| export(Signal::Logs, state, request)))
        .route("/v1/metrics", post(|state, request| export(Signal::Metrics, state, request)))
        .method_not_allowed_fallback(wrong_method)
        .fallback(wrong_path)
}

async fn export(signal: Signal, State(receiver): State<Receiver>, request: Request) -> Response {
    let encoding = Encoding::of(request.headers());
    let open = OpenRequest::new(&receiver.counters);
    let answer = take(&receiver, signal, encoding, request).await;
    open.answered(&answer);
    match answer {
        Ok((partial, encoding)) => {
            let mut response = Response::new(Body::from(encode::response(&partial, encoding)));
            let content_type = HeaderValue::from_static(encoding.content_type());
            response.headers_mut().insert(header::CONTENT_TYPE, content_type);
            response
        }
        Err(problem) => problem.into_http(encoding),
    }
}

async fn take(
    receiver: &Receiver,
    signal: Signal,
    encoding: Option<Encoding>,
    request: Request,
) -> Result<(PartialSuccess, Encoding), Problem> {
    let (parts, body) = request.into_parts();
    let content_type = text(&parts.headers, header::CONTENT_TYPE);
    let encoding = encoding.ok_or_else(|| Problem::unsupported_type(&content_type))?;
    let body = body::read(body, receiver).await?;
    let compression = text(&parts.headers, header::CONTENT_ENCODING);
    Ok((receiver.export(signal, encoding, body, compression).await?, encoding))
}

async fn wrong_path(request: Request) -> Response {
    Problem::wrong_path(request.method().as_str(), request.uri().path()).answer(request.headers())
}

async fn wrong_method(request: Request) -> Response {
    let problem = Problem::wrong_method(request.method().as_str(), request.uri().path());
    problem.into_http(Encoding::of(request.headers()))
}

impl Encoding {
    /// What the headers say the body is written in; none if it is nothing that OTLP knows.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let content_type = text(headers, header::CONTENT_TYPE);
        match content_type.split(';').next().unwrap_or_default().trim() {
            "application/x-protobuf" | "application/protobuf" => Some(Self::Protobuf),
            "application/json" => Some(Self::Json),
            _ => None,
        }
    }

    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }
}

/// A header as lower-case text; empty where it is missing.
pub(super) fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> String {
    let value = headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()));
    value.map_or_else(String::new, |value| value.trim().to_ascii_lowercase())
}
