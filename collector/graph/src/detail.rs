//! What people look at in a span, packed small.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

/// Name, status message and attributes of a span: scrubbed, masked, packed.
///
/// Packed are length-prefixed (LEB128) UTF-8 texts. Spans of one place in the code have the same keys, so they share them.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Detail {
    /// Name, status message, values.
    texts: Box<[u8]>,
    keys: Arc<Keys>,
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
        packer.detail(Arc::new(Keys::new(keys.iter().map(|key| &**key))))
    }

    /// The name of the span.
    pub fn name(&self) -> &str {
        Texts(&self.texts).next().unwrap_or_default()
    }

    /// The message of the status, empty where there is none.
    pub fn status_message(&self) -> &str {
        Texts(&self.texts).nth(1).unwrap_or_default()
    }

    /// Keys and values in the order sent.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        Texts(&self.keys.0).zip(Texts(&self.texts).skip(2))
    }

    /// How many bytes its texts take.
    pub fn text_bytes(&self) -> usize {
        self.texts.len()
    }

    /// How many bytes its part of the keys takes, which it shares with other details and with whoever read them.
    pub fn key_bytes(&self) -> usize {
        (size_of::<[usize; 4]>() + self.keys.0.len()) / (Arc::strong_count(&self.keys) - 1).max(1)
    }
}

/// The texts that are left of packed ones.
struct Texts<'a>(&'a [u8]);

impl<'a> Iterator for Texts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut length = 0usize;
        let mut shift = 0;
        loop {
            let (&byte, tail) = self.0.split_first()?;
            self.0 = tail;
            length |= usize::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                break;
            }
            shift += 7;
        }
        let (text, tail) = self.0.split_at(length);
        self.0 = tail;
        Some(std::str::from_utf8(text).expect("packed from texts"))
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.attributes()).finish()
    }
}

/// The keys of a span's attributes, packed.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Keys(Box<[u8]>);

impl Keys {
    /// Packs the keys.
    pub(crate) fn new<'a>(keys: impl IntoIterator<Item = &'a str>) -> Self {
        let mut packer = Packer::default();
        for key in keys {
            packer.push(key);
        }
        Self(packer.0.into_boxed_slice())
    }
}

/// Packs details, one after another, into a buffer that is used again: name, status message, then the values.
#[derive(Debug, Default)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Packs the next text.
    pub(crate) fn push(&mut self, text: &str) {
        let mut length = text.len();
        while length >= 0x80 {
            self.0.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.0.push(length as u8);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// The first text, the name.
    pub(crate) fn first(&self) -> &str {
        Texts(&self.0).next().unwrap_or_default()
    }

    /// What was packed.
    pub(crate) fn detail(&self, keys: Arc<Keys>) -> Detail {
        Detail { texts: self.0.as_slice().into(), keys }
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
}
