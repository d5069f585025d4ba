//! The check of the Host header.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::uri::Authority;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::Refused;

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

/// Whether `host`, with or without a port, is a name or an address of this machine only.
fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for host in ["localhost", "LOCALHOST:4319", "127.0.0.1:1", "127.9.9.9", "[::1]", "[::1]:4319"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["", ":80", "evil.test", "localhost.evil.test", "127.0.0.1.evil.test", "10.0.0.1", "[::2]:1", "["] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}
