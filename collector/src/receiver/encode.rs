//! The few answers of OTLP, in protobuf and JSON.

use std::time::Duration;

use serde_json::json;

use crate::decode::wire::{write_bytes, write_varint};

/// The name of the message that says when to come again.
const RETRY_INFO: &str = "type.googleapis.com/google.rpc.RetryInfo";

/// How a body is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Protobuf,
    Json,
}

/// What an export achieved. Empty, as on the wire, on full success.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct PartialSuccess {
    /// Spans refused.
    pub(super) rejected: u64,
    /// The first refusal or, without one, a warning.
    pub(super) message: String,
}

/// An `Export…ServiceResponse`.
pub(super) fn response(partial: &PartialSuccess, encoding: Encoding) -> Vec<u8> {
    let is_full = partial.rejected == 0 && partial.message.is_empty();
    match encoding {
        _ if is_full && encoding == Encoding::Protobuf => Vec::new(),
        Encoding::Protobuf => {
            let mut inner = Vec::new();
            number(&mut inner, 1, partial.rejected);
            write_bytes(&mut inner, 2, partial.message.as_bytes());
            let mut outer = Vec::new();
            write_bytes(&mut outer, 1, &inner);
            outer
        }
        Encoding::Json if is_full => b"{}".to_vec(),
        Encoding::Json => {
            // A number, which every reader takes; the text that the mapping prefers is refused by the Rust SDK's types.
            let partial = json!({"rejectedSpans": partial.rejected, "errorMessage": partial.message});
            json!({ "partialSuccess": partial }).to_string().into_bytes()
        }
    }
}

/// A `google.rpc.Status`.
pub(super) fn status(code: u8, message: &str, retry_after: Option<Duration>, encoding: Encoding) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => {
            let mut status = Vec::new();
            number(&mut status, 1, code.into());
            write_bytes(&mut status, 2, message.as_bytes());
            if let Some(delay) = retry_after {
                write_bytes(&mut status, 3, &retry_info(delay));
            }
            status
        }
        Encoding::Json => {
            let retry =
                |delay: Duration| json!([{"@type": RETRY_INFO, "retryDelay": format!("{}s", delay.as_secs_f64())}]);
            let details = retry_after.map_or(json!([]), retry);
            json!({"code": code, "message": message, "details": details}).to_string().into_bytes()
        }
    }
}

/// A `google.rpc.RetryInfo` inside a `google.protobuf.Any`.
fn retry_info(delay: Duration) -> Vec<u8> {
    let mut duration = Vec::new();
    number(&mut duration, 1, delay.as_secs());
    number(&mut duration, 2, delay.subsec_nanos().into());
    let mut info = Vec::new();
    write_bytes(&mut info, 1, &duration);
    let mut any = Vec::new();
    write_bytes(&mut any, 1, RETRY_INFO.as_bytes());
    write_bytes(&mut any, 2, &info);
    any
}

/// Appends a number as field `field`; zero is the default and not written.
fn number(message: &mut Vec<u8>, field: u32, value: u64) {
    if value > 0 {
        write_varint(message, u64::from(field) << 3);
        write_varint(message, value);
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
    use prost::Message as _;

    use super::*;

    #[test]
    fn answers_are_what_the_public_types_write() {
        let partial = PartialSuccess { rejected: 300, message: "x".repeat(200) };
        let expected = ExportTraceServiceResponse {
            partial_success: Some(ExportTracePartialSuccess { rejected_spans: 300, error_message: "x".repeat(200) }),
        };
        assert_eq!(response(&partial, Encoding::Protobuf), expected.encode_to_vec());
        let json = response(&partial, Encoding::Json);
        assert_eq!(serde_json::from_slice::<ExportTraceServiceResponse>(&json).unwrap(), expected);
    }

    #[test]
    fn full_success_says_nothing() {
        assert_eq!(response(&PartialSuccess::default(), Encoding::Protobuf), b"");
        assert_eq!(response(&PartialSuccess::default(), Encoding::Json), b"{}");
    }
}
