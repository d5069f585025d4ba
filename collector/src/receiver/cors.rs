//! Leave for pages that this machine serves to send their spans here: a front end under development stands on another
//! port, which a browser calls another origin. Pages from anywhere else get no leave; they cannot send either, since a
//! body that is OTLP needs it beforehand. See <https://fetch.spec.whatwg.org/#http-cors-protocol>.

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

use crate::loopback::is_loopback;

/// How long a browser may remember the leave, in seconds: two hours, the most that any does.
const REMEMBERED_SECONDS: HeaderValue = HeaderValue::from_static("7200");

/// What asks for leave to reach this machine from a page of a less private network.
const REQUEST_PRIVATE: &str = "access-control-request-private-network";
const ALLOW_PRIVATE: &str = "access-control-allow-private-network";

/// Answers whoever asks for leave, and marks every other answer as readable.
pub(super) async fn answer(request: Request, next: Next) -> Response {
    let Some(origin) = local_origin(request.headers()) else { return next.run(request).await };
    let is_question =
        request.method() == Method::OPTIONS && request.headers().contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    let mut response = if is_question { leave(request.headers()) } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("retry-after"));
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    response
}

/// The origin of a page that this machine serves.
fn local_origin(headers: &HeaderMap) -> Option<HeaderValue> {
    let origin = headers.get(header::ORIGIN)?;
    let (scheme, host) = origin.to_str().ok()?.split_once("://")?;
    (matches!(scheme, "http" | "https") && is_loopback(host)).then(|| origin.clone())
}

fn leave(asked: &HeaderMap) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("POST"));
    if let Some(names) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, names.clone());
    }
    if asked.contains_key(REQUEST_PRIVATE) {
        headers.insert(ALLOW_PRIVATE, HeaderValue::from_static("true"));
    }
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBERED_SECONDS);
    response
}
