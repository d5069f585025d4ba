//! The check of who asks: the token, or else the Host header.
//!
//! Where there is a token or a client's certificate, whoever has it may come by any name. Else the name must be one that
//! no page in a browser can have made its own: a loopback name, or an address.

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Refused;
use crate::access::Token;
use crate::loopback::{is_address, is_loopback};

/// Routes that tell nothing of what was received, and that probes ask without a token.
const OPEN: [&str; 2] = ["/healthz", "/readyz"];

/// What those who ask must show.
#[derive(Debug, Clone, Default)]
pub struct Guard {
    /// The token, if there is one.
    pub token: Option<Token>,
    /// Whether only those are connected who have a certificate.
    pub is_certified: bool,
}

/// Lets a request through that may ask.
pub(super) async fn check(State(guard): State<Guard>, request: Request, next: Next) -> Response {
    // HTTP/2 names the host in the target, HTTP/1.1 in the header.
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    let host = request.uri().authority().map(Authority::as_str).or(header);
    let is_safe_name = guard.is_certified || host.is_some_and(|host| is_loopback(host) || is_address(host));
    match &guard.token {
        Some(token) if token.is_shown(request.headers()) => next.run(request).await,
        _ if OPEN.contains(&request.uri().path()) && (is_safe_name || guard.token.is_some()) => next.run(request).await,
        None if is_safe_name => next.run(request).await,
        None => {
            let reason = "this API answers only to localhost and to addresses: check the Host header".to_owned();
            Refused(StatusCode::FORBIDDEN, reason).into_response()
        }
        Some(_) => {
            let reason = "this API wants its token: send the header \"authorization: Bearer TOKEN\"".to_owned();
            let mut response = Refused(StatusCode::UNAUTHORIZED, reason).into_response();
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
    }
}
