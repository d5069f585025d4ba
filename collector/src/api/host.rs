//! The check of the Host header.

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Refused;
use crate::loopback::is_loopback;

/// Lets a request through that asks for a loopback name.
pub(super) async fn check(request: Request, next: Next) -> Response {
    // HTTP/2 names the host in the target, HTTP/1.1 in the header.
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map(Authority::as_str).or(header);
    if host.is_some_and(is_loopback) {
        return next.run(request).await;
    }
    let reason = "this API answers only to localhost, 127.0.0.1 and [::1]: check the Host header".to_owned();
    Refused(StatusCode::FORBIDDEN, reason).into_response()
}
