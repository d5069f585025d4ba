//! Arrays, maps and bytes as JSON text, which is how people look at them.
//!
//! The text is bounded: what would go over [`MAX_COMPOSITE_BYTES`] is left out and the text ends in `…`, as no JSON text
//! does by itself.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use spanlint_graph::span::Value;

use crate::limits::MAX_COMPOSITE_BYTES;

/// What a text ends in when something was left out.
const CUT: char = '…';

/// The value of an attribute that has none.
pub(super) const EMPTY: Value<'static> = Value::Text(std::borrow::Cow::Borrowed(""));

/// JSON text of an array or a map that is still open.
#[derive(Debug)]
pub(super) struct CompositeText {
    text: String,
    closing: char,
    is_cut: bool,
}

impl CompositeText {
    /// An array without elements.
    pub(super) fn array() -> Self {
        Self { text: "[".to_owned(), closing: ']', is_cut: false }
    }

    /// A map without entries.
    pub(super) fn map() -> Self {
        Self { text: "{".to_owned(), closing: '}', is_cut: false }
    }

    /// Appends an element to an array.
    pub(super) fn element(&mut self, value: &Value<'_>) {
        self.separate();
        self.push(value);
    }

    /// Appends an entry to a map; keys may repeat, as they may on the wire.
    pub(super) fn entry(&mut self, key: &str, value: &Value<'_>) {
        self.separate();
        self.push_string(key);
        self.push_text(":");
        self.push(value);
    }

    /// The closed text.
    pub(super) fn finish(mut self) -> Value<'static> {
        self.text.push(if self.is_cut { CUT } else { self.closing });
        Value::Composite(self.text)
    }

    fn separate(&mut self) {
        if self.text.len() > 1 {
            self.push_text(",");
        }
    }

    fn push(&mut self, value: &Value<'_>) {
        match value {
            Value::Text(text) => self.push_string(text),
            Value::Bool(value) => self.push_text(if *value { "true" } else { "false" }),
            Value::Int(value) => self.push_text(&value.to_string()),
            Value::Double(value) if value.is_finite() => self.push_text(&format!("{value:?}")),
            Value::Double(value) => self.push_string(non_finite(*value)),
            Value::Composite(text) => {
                self.push_text(text);
                self.is_cut |= text.ends_with(CUT);
            }
        }
    }

    fn push_string(&mut self, text: &str) {
        let start = &text[..text.floor_char_boundary(MAX_COMPOSITE_BYTES)];
        self.push_text(&serde_json::to_string(start).expect("every text can be written as JSON"));
    }

    /// Appends as much as fits; once something did not fit, nothing more is appended.
    fn push_text(&mut self, text: &str) {
        if self.is_cut {
            return;
        }
        let fits = text.floor_char_boundary(MAX_COMPOSITE_BYTES.saturating_sub(self.text.len()));
        self.text.push_str(&text[..fits]);
        self.is_cut = fits < text.len();
    }
}

/// Bytes as a JSON string in base64.
pub(super) fn bytes(bytes: &[u8]) -> Value<'static> {
    base64_text(&STANDARD.encode(&bytes[..bytes.len().min(MAX_COMPOSITE_BYTES)]))
}

/// Base64 text as a JSON string.
pub(super) fn base64_text(encoded: &str) -> Value<'static> {
    let mut text = CompositeText { text: String::new(), closing: '"', is_cut: false };
    text.push_string(encoded);
    if !text.is_cut {
        text.text.pop();
    }
    text.finish()
}

/// An array or a map that is JSON text already.
pub(super) fn json(json: &str) -> Value<'static> {
    let fits = json.floor_char_boundary(MAX_COMPOSITE_BYTES);
    let cut = if fits < json.len() { CUT.to_string() } else { String::new() };
    Value::Composite(json[..fits].to_owned() + &cut)
}

/// Whether something was left out of `value`.
pub(super) fn is_cut(value: &Value<'_>) -> bool {
    matches!(value, Value::Composite(text) if text.ends_with(CUT))
}

/// The names that protobuf's JSON mapping gives to doubles that JSON cannot write.
fn non_finite(value: f64) -> &'static str {
    if value.is_nan() {
        "NaN"
    } else if value > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(value: Value<'_>) -> String {
        let Value::Composite(text) = value else { panic!("composite expected, got {value:?}") };
        text
    }

    #[test]
    fn arrays_and_maps_become_json() {
        let mut map = CompositeText::map();
        map.entry("a\"\n\u{1}", &Value::Int(-1));
        let mut array = CompositeText::array();
        array.element(&Value::Double(1.0));
        array.element(&Value::Double(f64::NAN));
        array.element(&Value::Text("é".into()));
        map.entry("list", &array.finish());
        map.entry("bytes", &bytes(b"hello"));
        let text = text(map.finish());
        assert_eq!(text, r#"{"a\"\n\u0001":-1,"list":[1.0,"NaN","é"],"bytes":"aGVsbG8="}"#);
        serde_json::from_str::<serde_json::Value>(&text).unwrap();
    }

    #[test]
    fn empty_ones_are_closed_too() {
        assert_eq!(text(CompositeText::array().finish()), "[]");
        assert_eq!(text(CompositeText::map().finish()), "{}");
        assert_eq!(text(bytes(&[])), "\"\"");
    }

    #[test]
    fn what_goes_over_the_bound_is_left_out_and_marked() {
        let mut array = CompositeText::array();
        array.element(&Value::Text("é".repeat(MAX_COMPOSITE_BYTES).into()));
        array.element(&Value::Int(7));
        let mut outer = CompositeText::map();
        outer.entry("inner", &array.finish());
        for value in [outer.finish(), bytes(&vec![7; MAX_COMPOSITE_BYTES])] {
            assert!(is_cut(&value));
            assert!(text(value).len() <= MAX_COMPOSITE_BYTES + CUT.len_utf8());
        }
    }
}
