//! What people look at in a span, packed small.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::sync::Arc;

/// Name, status message and attributes of a span: scrubbed, masked, packed.
///
/// Packed are length-prefixed (LEB128) UTF-8 texts. What all spans of one shape show alike stands in a frame, which
/// they share; a span has what is left for itself.
///
/// **Invariant:** details are compared by what they show: how much of it stands in a frame depends on what was met before.
#[derive(Clone, Default)]
pub struct Detail {
    /// Those of name, status message and values that the frame leaves open.
    texts: Box<[u8]>,
    frame: Arc<Frame>,
}

impl Detail {
    /// Packs what people look at.
    pub fn new<'a>(
        name: &str,
        status_message: &str,
        attributes: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Self {
        let (keys, values): (Vec<_>, Vec<_>) = attributes.into_iter().unzip();
        let mut packer = Packer::default();
        packer.push(name);
        packer.push(status_message);
        for value in &values {
            packer.push(value);
        }
        packer.detail(Arc::new(Frame::new(keys_of(keys.iter().map(|key| &**key)), [])))
    }

    /// The name of the span.
    pub fn name(&self) -> &str {
        self.shown().next().unwrap_or_default()
    }

    /// The message of the status, empty where there is none.
    pub fn status_message(&self) -> &str {
        self.shown().nth(1).unwrap_or_default()
    }

    /// Keys and values in the order sent.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        Texts(&self.frame.keys).zip(self.shown().skip(2))
    }

    /// How many bytes its own texts take.
    pub fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// How many bytes its part of the frame takes, which it shares with other details and with whoever read them.
    pub fn frame_bytes(&self) -> usize {
        let Frame { keys, shared } = &*self.frame;
        let counts = size_of::<[usize; 2]>();
        let keys = (counts + keys.len()) / (Arc::strong_count(keys) - 1).max(1);
        let whole = counts + size_of::<Frame>() + counts + shared.len() + keys;
        whole / (Arc::strong_count(&self.frame) - 1).max(1)
    }

    /// Name, status message and values.
    fn shown(&self) -> impl Iterator<Item = &str> {
        let (mut shared, mut own) = (Slots(&self.frame.shared), Texts(&self.texts));
        std::iter::from_fn(move || shared.next().flatten().or_else(|| own.next()))
    }
}

impl Ord for Detail {
    fn cmp(&self, other: &Self) -> Ordering {
        self.frame.keys.cmp(&other.frame.keys).then_with(|| self.shown().cmp(other.shown()))
    }
}

impl PartialOrd for Detail {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Detail {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Detail {}

impl fmt::Debug for Detail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.attributes()).finish()
    }
}

/// What the details of many spans have in common: the keys of their attributes, and those texts that are the same.
#[derive(Debug, Default)]
pub(crate) struct Frame {
    /// Packed.
    keys: Arc<[u8]>,
    /// For each of name, status message and values its text, packed with a length that is one too great, or a zero where
    /// each span has its own; what follows the last is each span's own.
    shared: Arc<[u8]>,
}

impl Frame {
    /// A frame for these keys; none for a text stands for one of which each span has its own.
    pub(crate) fn new<'a>(keys: Arc<[u8]>, shared: impl IntoIterator<Item = Option<&'a str>>) -> Self {
        let mut packed = Vec::new();
        for text in shared {
            push_length(&mut packed, text.map_or(0, |text| text.len() + 1));
            packed.extend_from_slice(text.unwrap_or_default().as_bytes());
        }
        Self { keys, shared: packed.into() }
    }

    /// How many bytes it takes, without the keys, which others share.
    pub(crate) fn bytes(&self) -> usize {
        size_of::<Self>() + self.shared.len()
    }
}

/// Packs keys.
pub(crate) fn keys_of<'a>(keys: impl IntoIterator<Item = &'a str>) -> Arc<[u8]> {
    let mut packer = Packer::default();
    for key in keys {
        packer.push(key);
    }
    packer.0.into()
}

/// The texts that are left of packed ones.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let length = take_length(&mut self.0)?;
        Some(take_text(&mut self.0, length))
    }
}

/// What is left of the texts of a frame.
struct Slots<'a>(&'a [u8]);

impl<'a> Iterator for Slots<'a> {
    type Item = Option<&'a str>;

    fn next(&mut self) -> Option<Option<&'a str>> {
        let length = take_length(&mut self.0)?.checked_sub(1);
        Some(length.map(|length| take_text(&mut self.0, length)))
    }
}

fn take_length(rest: &mut &[u8]) -> Option<usize> {
    let mut length = 0usize;
    let mut shift = 0;
    loop {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        length |= usize::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(length);
        }
        shift += 7;
    }
}

fn take_text<'a>(rest: &mut &'a [u8], length: usize) -> &'a str {
    let (text, tail) = rest.split_at(length);
    *rest = tail;
    std::str::from_utf8(text).expect("packed from texts")
}

fn push_length(packed: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        packed.push(length as u8 | 0x80);
        length >>= 7;
    }
    packed.push(length as u8);
}

/// Packs texts, one after another, into a buffer that is used again.
#[derive(Debug, Default)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Packs the next text.
    pub(crate) fn push(&mut self, text: &str) {
        push_length(&mut self.0, text.len());
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The first text.
    pub(crate) fn first(&self) -> &str {
        Texts(&self.0).next().unwrap_or_default()
    }

    /// What was packed: the texts that `frame` leaves open.
    pub(crate) fn detail(&self, frame: Arc<Frame>) -> Detail {
        Detail { texts: self.0.as_slice().into(), frame }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn detail_gives_back_what_was_packed() {
        let long = "x".repeat(300);
        let attributes = [("a", "1"), ("empty", ""), ("long", &long)];
        let detail = Detail::new("GET /cart", "boom", attributes.map(|(k, v)| (k.into(), v.into())));
        assert_eq!(detail.name(), "GET /cart");
        assert_eq!(detail.status_message(), "boom");
        assert_eq!(detail.attributes().collect::<Vec<_>>(), attributes);
        assert!(Detail::default().attributes().next().is_none());
    }

    #[test]
    fn what_the_frame_has_stands_at_its_place() {
        let frame = Frame::new(keys_of(["a", "b", "c"]), [None, Some(""), Some("1"), None, Some("3")]);
        let mut packer = Packer::default();
        packer.push("GET /cart");
        packer.push("2");
        let detail = packer.detail(Arc::new(frame));
        let attributes = [("a", "1"), ("b", "2"), ("c", "3")];
        assert_eq!((detail.name(), detail.status_message()), ("GET /cart", ""));
        assert_eq!(detail.attributes().collect::<Vec<_>>(), attributes);
        assert_eq!(detail, Detail::new("GET /cart", "", attributes.map(|(k, v)| (k.into(), v.into()))));
    }
}
