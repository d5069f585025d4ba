//! The body of a request: bounded in size and time, decompressed within bounds.

use axum::body::{Body, HttpBody as _};
use bytes::Bytes;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use tokio::time::timeout;

use super::problem::Problem;
use crate::decode::gzip::{self, GzipError};
use crate::limits::{BODY_READ_TIMEOUT, Limits};

/// Reads a whole body. What says beforehand that it is too large is refused before it is read.
pub(super) async fn read(body: Body, limits: &Limits) -> Result<Bytes, Problem> {
    let limit = limits.request_bytes;
    let too_large =
        || Problem::too_large(format!("the request is larger than {limit} bytes, send fewer spans at a time"));
    if body.size_hint().lower() > limit as u64 {
        return Err(too_large());
    }
    match timeout(BODY_READ_TIMEOUT, Limited::new(body, limit).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(too_large()),
        Ok(Err(error)) => Err(Problem::malformed(format!("the body ends early: {error}"))),
        Err(_) => Err(Problem::too_slow()),
    }
}

/// Decompresses a body whose headers say that it is compressed as `compression`.
pub(super) fn decompress(body: Bytes, compression: &str, limits: &Limits) -> Result<Bytes, Problem> {
    match compression {
        "" | "identity" => Ok(body),
        "gzip" => match gzip::decompress(&body, limits.decompressed_bytes) {
            Ok(decompressed) => Ok(decompressed.into()),
            Err(error @ GzipError::TooLarge { .. }) => Err(Problem::too_large(error.to_string())),
            Err(error @ GzipError::Damaged(_)) => Err(Problem::malformed(error.to_string())),
        },
        other => Err(Problem::unsupported_compression(other)),
    }
}
