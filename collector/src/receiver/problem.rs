//! Why a request was not taken, as one value that both protocols answer with.

use std::fmt::Write as _;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use http::{HeaderMap, HeaderValue, StatusCode, header};

use super::encode::{self, Encoding};
use super::{compression, grpc};
use crate::limits::BODY_READ_TIMEOUT;
use crate::live::{Busy, RETRY_AFTER};

/// A sentence that names the right addresses.
const USAGE: &str = "spanlint takes OTLP here: POST /v1/traces, /v1/logs or /v1/metrics as application/x-protobuf or \
                     application/json, or gRPC on the same port";

/// The same for Zipkin.
const ZIPKIN_USAGE: &str = "spanlint takes Zipkin v2 here: POST /api/v2/spans as application/json";

/// A number of `google.rpc.Code`.
mod code {
    pub(super) const INVALID_ARGUMENT: u8 = 3;
    pub(super) const RESOURCE_EXHAUSTED: u8 = 8;
    pub(super) const UNIMPLEMENTED: u8 = 12;
    pub(super) const UNAVAILABLE: u8 = 14;
    pub(super) const UNAUTHENTICATED: u8 = 16;
}

/// Why a request was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    status: StatusCode,
    code: u8,
    message: String,
    retry_after: Option<Duration>,
}

impl Problem {
    fn new(status: StatusCode, code: u8, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// The bytes are not what they should be; sending them again will not help.
    pub(super) fn malformed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::INVALID_ARGUMENT, message)
    }

    /// The request can never fit.
    pub(super) fn too_large(message: impl Into<String>) -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::RESOURCE_EXHAUSTED, message)
    }

    /// The collector is full for now.
    pub(super) fn busy(retry_after: Duration) -> Self {
        let message = "the collector is full, send the request again later";
        let retry_after = Some(retry_after);
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, code::UNAVAILABLE, message) }
    }

    /// The sender does not show the token.
    pub(super) fn unauthorized() -> Self {
        let message = "this collector wants its token: send the header \"authorization: Bearer TOKEN\"";
        Self::new(StatusCode::UNAUTHORIZED, code::UNAUTHENTICATED, message)
    }

    /// The body did not come in time, which may be the fault of a collector that is busy.
    pub(super) fn too_slow() -> Self {
        let message = format!("the body did not arrive within {} seconds", BODY_READ_TIMEOUT.as_secs());
        Self { message, ..Self::busy(RETRY_AFTER) }
    }

    /// The body is of a type that is not read here.
    pub(super) fn unsupported_type(found: &str) -> Self {
        let found = if found.is_empty() { "a body without a content type".to_owned() } else { format!("{found:?}") };
        let message = format!("cannot read {found}; {USAGE}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID_ARGUMENT, message)
    }

    /// The body is compressed in a way that is not read here.
    pub(super) fn unsupported_compression(found: &str) -> Self {
        let message = format!("cannot read a body compressed as {found:?}, only gzip, zstd or none");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::UNIMPLEMENTED, message)
    }

    /// Nothing is there.
    pub(super) fn wrong_path(method: &str, path: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, code::UNIMPLEMENTED, format!("there is no {method} {path}; {USAGE}"))
    }

    /// Spans of Zipkin of a type that is not read here.
    pub(super) fn unsupported_zipkin(found: &str) -> Self {
        let message = format!("cannot read {found:?}; {ZIPKIN_USAGE}");
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, code::INVALID_ARGUMENT, message)
    }

    /// Nothing is there for Zipkin.
    pub(super) fn wrong_zipkin_path(method: &str, path: &str) -> Self {
        let message = format!("there is no {method} {path}; {ZIPKIN_USAGE}");
        Self::new(StatusCode::NOT_FOUND, code::UNIMPLEMENTED, message)
    }

    /// The path is right, the method is not.
    pub(super) fn wrong_method(method: &str, path: &str) -> Self {
        let message = format!("{path} does not take {method}, only POST; {USAGE}");
        Self::new(StatusCode::METHOD_NOT_ALLOWED, code::UNIMPLEMENTED, message)
    }

    /// Whether the sender may not send.
    pub(super) fn is_unauthorized(&self) -> bool {
        self.status == StatusCode::UNAUTHORIZED
    }

    /// Whether the request could never have fit.
    pub(super) fn is_too_large(&self) -> bool {
        self.status == StatusCode::PAYLOAD_TOO_LARGE
    }

    /// Whether the sender is asked to come again.
    pub(super) fn is_busy(&self) -> bool {
        self.retry_after.is_some()
    }

    /// The answer to a request with such headers, in its protocol.
    pub(super) fn answer(self, headers: &HeaderMap) -> Response {
        if grpc::is_grpc(headers) { self.into_grpc() } else { self.into_http(Encoding::of(headers)) }
    }

    /// The answer over HTTP: a `google.rpc.Status` in the encoding of the request, text where it has none.
    pub(super) fn into_http(self, encoding: Option<Encoding>) -> Response {
        let (body, content_type) = match encoding {
            Some(encoding) => {
                (encode::status(self.code, &self.message, self.retry_after, encoding), encoding.content_type())
            }
            None => (format!("{}\n", self.message).into_bytes(), "text/plain; charset=utf-8"),
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
        if self.status == StatusCode::METHOD_NOT_ALLOWED {
            headers.insert(header::ALLOW, HeaderValue::from_static("POST"));
        }
        if self.is_unauthorized() {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(delay) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(delay.as_secs_f64().ceil() as u64));
        }
        response
    }

    /// The answer over gRPC: headers alone, which say it all.
    pub(super) fn into_grpc(self) -> Response {
        let mut response = Response::new(Body::empty());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert("grpc-status", HeaderValue::from(u16::from(self.code)));
        headers.insert("grpc-message", percent_encoded(&self.message));
        if self.retry_after.is_some() {
            let status = encode::status(self.code, &self.message, self.retry_after, Encoding::Protobuf);
            let details = HeaderValue::from_str(&STANDARD_NO_PAD.encode(status)).expect("base64 fits in a header");
            headers.insert("grpc-status-details-bin", details);
        }
        if self.code == code::UNIMPLEMENTED {
            headers.insert("grpc-accept-encoding", HeaderValue::from_static(compression::ACCEPTED));
        }
        response
    }
}

impl From<Busy> for Problem {
    fn from(busy: Busy) -> Self {
        Self::busy(busy.retry_after)
    }
}

/// The message as gRPC wants it in a header: printable ASCII, everything else as `%XX`.
fn percent_encoded(message: &str) -> HeaderValue {
    let mut encoded = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => encoded.push(byte.into()),
            _ => write!(encoded, "%{byte:02X}").expect("a string takes everything"),
        }
    }
    HeaderValue::from_str(&encoded).expect("printable ASCII fits in a header")
}
