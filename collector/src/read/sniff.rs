//! What a file is, judged by its first bytes, and what to call it when it is nothing that spanlint reads.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// How many bytes from the start of a file are looked at.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// How many keys of a JSON object are looked at.
const MAX_KEYS: usize = 16;

/// The bytes that every gzip member starts with.
pub(super) const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// The bytes that a zstd frame starts with.
pub(super) const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

/// What a file looks like that is nothing else.
pub(super) const BINARY: &str = "binary data";

/// Whether a file that starts with `head` is JSON.
///
/// A protobuf request starts with the byte of a line break and a length that may be the byte of `{` or `[`; what follows
/// a quotation mark tells the two apart, since a field of protobuf starts with a control character there.
pub(super) fn is_json(head: &[u8]) -> bool {
    let mut visible = head.iter().enumerate().filter(|(_, byte)| !byte.is_ascii_whitespace());
    if !matches!(visible.next(), Some((_, b'{' | b'['))) {
        return false;
    }
    match visible.next() {
        Some((at, b'"')) => head.get(at + 1).is_none_or(|byte| *byte >= b' '),
        Some(_) => head[0] != b'\n' || std::str::from_utf8(head).is_ok(),
        None => true,
    }
}

/// What a file that starts with `head` looks like, as words for a message.
pub(super) fn looks_like(head: &[u8]) -> &'static str {
    if head.starts_with(b"PK\x03\x04") {
        "a zip archive"
    } else if is_json(head) {
        shape(head).looks_like()
    } else if is_text(head) {
        "text"
    } else {
        BINARY
    }
}

fn is_text(head: &[u8]) -> bool {
    // The last character of the head may be cut.
    let end = head.len() - head.len().min(3);
    let is_utf8 = match std::str::from_utf8(head) {
        Ok(_) => true,
        Err(error) => error.error_len().is_none() && error.valid_up_to() >= end,
    };
    is_utf8 && !head.iter().any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace())
}

/// What a JSON document is, judged by its first keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Otlp,
    TempoAnswer,
    Jaeger,
    JaegerDependencies,
    Zipkin,
    GoConsole,
    Unknown,
}

impl Shape {
    /// Judges an object by its keys, in the order in which they stand; none while that is not enough to tell.
    fn of(keys: &[String]) -> Option<Self> {
        let has = |key: &str| keys.iter().any(|found| found == key);
        Some(match keys.last()?.as_str() {
            "resourceSpans" | "resource_spans" | "resourceLogs" | "resource_logs" | "resourceMetrics"
            | "resource_metrics" => Self::Otlp,
            "batches" | "trace" | "result" => Self::TempoAnswer,
            "data" | "traceID" | "spans" | "processes" => Self::Jaeger,
            "SpanContext" => Self::GoConsole,
            _ if has("traceId") && has("id") => Self::Zipkin,
            _ if has("parent") && has("child") && has("callCount") => Self::JaegerDependencies,
            _ => return None,
        })
    }

    /// Words for a message about a document of this shape that gives no span.
    fn looks_like(self) -> &'static str {
        match self {
            Self::Otlp | Self::Unknown => "JSON without resourceSpans",
            Self::TempoAnswer => "an answer of Tempo's API without batches",
            Self::Jaeger => "an answer of Jaeger's API without spans",
            Self::JaegerDependencies => "Jaeger's dependency list, which has no spans",
            Self::Zipkin => "Zipkin JSON without spans",
            Self::GoConsole => "the console output of a Go SDK",
        }
    }
}

/// What a document, or the beginning of one, is. Reads no further than it must.
pub(super) fn shape(json: &[u8]) -> Shape {
    let mut keys = Keys { seen: Vec::new(), shape: None };
    // The document may be cut anywhere: what was seen until then is what counts.
    let _ = keys.deserialize(&mut serde_json::Deserializer::from_slice(json));
    keys.shape.unwrap_or(Shape::Unknown)
}

/// Collects the first keys of an object, or of the first object in an array, until they tell its shape.
struct Keys {
    seen: Vec<String>,
    shape: Option<Shape>,
}

impl<'de> DeserializeSeed<'de> for &mut Keys {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for &mut Keys {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while self.seen.len() < MAX_KEYS
            && let Some(key) = map.next_key()?
        {
            self.seen.push(key);
            self.shape = Shape::of(&self.seen);
            if self.shape.is_some() {
                break;
            }
            map.next_value::<IgnoredAny>()?;
        }
        Err(de::Error::custom("the rest is not looked at"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        sequence.next_element_seed(self)?;
        Err(de::Error::custom("the rest is not looked at"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(head: &[u8], expected: &str) {
        assert_eq!(looks_like(head), expected);
    }

    #[test]
    fn files_are_told_by_their_content() {
        check(br#"{"data":[{"traceID":"1","spans":[{"#, "an answer of Jaeger's API without spans");
        check(br#" [{"traceId":"1","id":"2"},{"#, "Zipkin JSON without spans");
        check(br#"{"batches":["#, "an answer of Tempo's API without batches");
        check(br#"[{"parent":"a","child":"b","callCount":1}]"#, "Jaeger's dependency list, which has no spans");
        check(br#"{"a":1}"#, "JSON without resourceSpans");
        check(b"hello, world\n", "text");
        check("caf\u{e9}".as_bytes().split_last().unwrap().1, "text");
        check(&[0x7f, b'E', b'L', b'F', 0, 1], "binary data");
        check(b"PK\x03\x04", "a zip archive");
    }

    #[track_caller]
    fn check_shape(json: &str, expected: Shape) {
        assert_eq!(shape(json.as_bytes()), expected, "{json}");
    }

    #[test]
    fn documents_are_told_by_their_keys_wherever_they_stand() {
        check_shape(r#"{"resourceSpans":"#, Shape::Otlp);
        check_shape(r#"[{"resource_logs":[]}]"#, Shape::Otlp);
        check_shape(r#"{"_comment":{"resourceSpans":1},"processes":{}}"#, Shape::Jaeger);
        check_shape(r#"[{"traceID":"#, Shape::Jaeger);
        check_shape(r#"{"trace":{"resourceSpans":[]}}"#, Shape::TempoAnswer);
        check_shape(r#"{"id":"1","tags":{},"traceId":"2"}"#, Shape::Zipkin);
        check_shape(r#"[[{"traceId":"1","id":"2"#, Shape::Zipkin);
        check_shape(r#"{"traceId":"1","spanId":"2"}"#, Shape::Unknown);
        check_shape("[]", Shape::Unknown);
        check_shape(&"[".repeat(100_000), Shape::Unknown);
    }

    #[test]
    fn a_protobuf_request_of_unlucky_lengths_is_not_json() {
        assert!(!is_json(b"\n{\n\"\n \n\x0cservice.name"));
        assert!(is_json(b"\n{\n  \"resourceSpans\": []}"));
        assert!(is_json(b"\n[\n  {\"resourceSpans\": []}]"));
    }
}
