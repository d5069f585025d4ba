//! What a file is, judged by its first bytes, and what to call it when it is nothing that spanlint reads.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// How many bytes from the start of a file are looked at.
pub(super) const HEAD_BYTES: usize = 64 << 10;

/// How many keys of a JSON object are looked at.
const MAX_KEYS: usize = 16;

/// The bytes that a zstd frame starts with.
const ZSTD_MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

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
    if head.starts_with(&ZSTD_MAGIC) {
        "zstd-compressed data"
    } else if head.starts_with(b"PK\x03\x04") {
        "a zip archive"
    } else if is_json(head) {
        json_looks_like(head)
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

fn json_looks_like(head: &[u8]) -> &'static str {
    let mut keys = Vec::new();
    // The head may be cut anywhere: the keys seen until then are what counts.
    let _ = Keys(&mut keys).deserialize(&mut serde_json::Deserializer::from_slice(head));
    let has = |wanted: &[&str]| wanted.iter().all(|key| keys.iter().any(|found| found == key));
    if has(&["traceID", "spans"]) || has(&["data"]) {
        "Jaeger JSON"
    } else if has(&["batches"]) || has(&["trace"]) {
        "an answer of Tempo's API"
    } else if has(&["parent", "child", "callCount"]) {
        "Jaeger's dependency list, which has no spans"
    } else if has(&["SpanContext"]) {
        "the console output of a Go SDK"
    } else if has(&["traceId", "id"]) {
        "Zipkin JSON"
    } else {
        "JSON without resourceSpans"
    }
}

/// Collects the first keys of an object, or of the first object in an array.
struct Keys<'k>(&'k mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key()? {
            if self.0.len() < MAX_KEYS {
                self.0.push(key);
            }
            map.next_value::<IgnoredAny>()?;
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        sequence.next_element_seed(self)?;
        while sequence.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
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
        check(br#"{"data":[{"traceID":"1","spans":[{"#, "Jaeger JSON");
        check(br#" [{"traceId":"1","id":"2"},{"#, "Zipkin JSON");
        check(br#"{"batches":["#, "an answer of Tempo's API");
        check(br#"[{"parent":"a","child":"b","callCount":1}]"#, "Jaeger's dependency list, which has no spans");
        check(br#"{"a":1}"#, "JSON without resourceSpans");
        check(b"hello, world\n", "text");
        check("caf\u{e9}".as_bytes().split_last().unwrap().1, "text");
        check(&[0x7f, b'E', b'L', b'F', 0, 1], "binary data");
        check(&[0x28, 0xb5, 0x2f, 0xfd, 0], "zstd-compressed data");
    }

    #[test]
    fn a_protobuf_request_of_unlucky_lengths_is_not_json() {
        assert!(!is_json(b"\n{\n\"\n \n\x0cservice.name"));
        assert!(is_json(b"\n{\n  \"resourceSpans\": []}"));
        assert!(is_json(b"\n[\n  {\"resourceSpans\": []}]"));
    }
}
