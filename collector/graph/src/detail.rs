//! What people look at in a span, packed small.

use std::borrow::Cow;
use std::fmt;

/// Name, status message and attributes of a span: scrubbed, masked, packed into one allocation.
///
/// Layout: pairs of length-prefixed (LEB128) UTF-8 texts; the first pair is name and status message.
#[derive(Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Detail(Box<[u8]>);

impl Detail {
    /// Packs what people look at.
    pub fn new<'a>(
        name: &str,
        status_message: &str,
        attributes: impl IntoIterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
    ) -> Self {
        let mut packer = Packer::default();
        packer.push(name);
        packer.push(status_message);
        for (key, value) in attributes {
            packer.push(&key);
            packer.push(&value);
        }
        packer.detail()
    }

    /// The name of the span.
    pub fn name(&self) -> &str {
        self.texts().next().unwrap_or_default()
    }

    /// The message of the status, empty where there is none.
    pub fn status_message(&self) -> &str {
        self.texts().nth(1).unwrap_or_default()
    }

    /// Keys and values in the order sent.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut texts = self.texts().skip(2);
        std::iter::from_fn(move || Some((texts.next()?, texts.next()?)))
    }

    /// How many bytes it takes.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether nothing was packed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn texts(&self) -> impl Iterator<Item = &str> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let mut length = 0usize;
            let mut shift = 0;
            loop {
                let (&byte, tail) = rest.split_first()?;
                rest = tail;
                length |= usize::from(byte & 0x7f) << shift;
                if byte < 0x80 {
                    break;
                }
                shift += 7;
            }
            let (text, tail) = rest.split_at(length);
            rest = tail;
            Some(std::str::from_utf8(text).expect("packed from texts"))
        })
    }
}

impl fmt::Debug for Detail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_map().entries(self.attributes()).finish()
    }
}

/// Packs details, one after another, into a buffer that is used again.
#[derive(Debug, Default)]
pub(crate) struct Packer(Vec<u8>);

impl Packer {
    /// Begins anew.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Packs the next text: name, status message, then keys and values in turn.
    pub(crate) fn push(&mut self, text: &str) {
        let mut length = text.len();
        while length >= 0x80 {
            self.0.push(length as u8 | 0x80);
            length >>= 7;
        }
        self.0.push(length as u8);
        self.0.extend_from_slice(text.as_bytes());
    }

    /// What was packed.
    pub(crate) fn detail(&self) -> Detail {
        Detail(self.0.as_slice().into())
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
