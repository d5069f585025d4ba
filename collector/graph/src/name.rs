//! Names as 64-bit content hashes, and the table that gives their text back.
//!
//! A name is the same number in every process and every run, so facts merge without renaming anything, and the k
//! smallest hashes of a bounded map are the same k wherever the spans were read. With a million distinct names the
//! chance that any two collide is about 3 in 100 million; a collision shows the byte-smaller text for both.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::hash::HashMap;

/// The most bytes of text that one name keeps; longer text is cut at a character boundary before it is hashed.
pub const MAX_NAME_BYTES: usize = 1024;

/// The most names that one table keeps: those with the smallest hashes.
pub const MAX_NAMES: usize = 1 << 20;

/// The 64-bit hash of a scrubbed text. The empty text is [`Name::EMPTY`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Name(pub u64);

impl Name {
    /// The name of the empty text, which stands for "not given" in every key.
    pub const EMPTY: Self = Self(0);

    /// The name of `text`, cut to [`MAX_NAME_BYTES`].
    pub fn of(text: &str) -> Self {
        let text = cut(text);
        if text.is_empty() { Self::EMPTY } else { Self(xxh3_64(text.as_bytes()).max(1)) }
    }

    /// Whether this is the name of the empty text.
    pub fn is_empty(self) -> bool {
        self == Self::EMPTY
    }
}

/// `text`, cut to [`MAX_NAME_BYTES`] at a character boundary.
pub(crate) fn cut(text: &str) -> &str {
    &text[..text.floor_char_boundary(MAX_NAME_BYTES)]
}

/// The texts behind names: at most [`MAX_NAMES`], those with the smallest hashes, whatever the order of arrival.
#[derive(Debug, Clone, Default)]
pub struct NameTable {
    texts: HashMap<Name, Box<str>>,
    /// The names in order of hash; kept only once the table is full, to find the greatest.
    order: Option<std::collections::BTreeSet<Name>>,
    /// How many bytes the texts have.
    text_bytes: usize,
    dropped: u64,
}

impl NameTable {
    /// The name of `text`, which the table remembers.
    pub fn intern(&mut self, text: &str) -> Name {
        let text = cut(text);
        let name = Name::of(text);
        self.insert(name, text);
        name
    }

    /// The text of `name`; empty for [`Name::EMPTY`], `…` for a name that the bound dropped.
    pub fn text(&self, name: Name) -> &str {
        if name.is_empty() { "" } else { self.texts.get(&name).map_or("…", |text| text) }
    }

    /// Makes room for so many names.
    pub fn reserve(&mut self, names: usize) {
        self.texts.reserve(names);
    }

    /// Gives back the room that no name takes.
    pub fn shrink_to_fit(&mut self) {
        self.texts.shrink_to_fit();
    }

    /// Takes over every name of `other`.
    pub fn merge(&mut self, other: &Self) {
        for (&name, text) in &other.texts {
            self.insert(name, text);
        }
        self.dropped += other.dropped;
    }

    /// Keeps only the names for which `keep` answers true, so that a table that lives long does not grow.
    pub fn retain(&mut self, mut keep: impl FnMut(Name) -> bool) {
        self.texts.retain(|&name, _| keep(name));
        self.texts.shrink_to_fit();
        self.text_bytes = self.texts.values().map(|text| text.len()).sum();
        self.order = None;
    }

    /// How many bytes the texts have in all.
    pub fn text_bytes(&self) -> usize {
        self.text_bytes
    }

    /// How many names the table holds.
    pub fn len(&self) -> usize {
        self.texts.len()
    }

    /// Whether the table holds no name.
    pub fn is_empty(&self) -> bool {
        self.texts.is_empty()
    }

    /// How many insertions the bound turned away.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The names for which `keep` answers true, with their texts, in order of hash.
    pub fn sorted(&self, mut keep: impl FnMut(Name) -> bool) -> BTreeMap<Name, &str> {
        self.texts.iter().filter(|(name, _)| keep(**name)).map(|(name, text)| (*name, &**text)).collect()
    }

    /// Takes over a name whose text another table knows.
    pub(crate) fn insert(&mut self, name: Name, text: &str) {
        if name.is_empty() {
            return;
        }
        if let Some(known) = self.texts.get_mut(&name) {
            if text < &**known {
                self.text_bytes = self.text_bytes - known.len() + text.len();
                *known = text.into();
            }
            return;
        }
        if self.texts.len() >= MAX_NAMES {
            self.dropped += 1;
            let order = self.order.get_or_insert_with(|| self.texts.keys().copied().collect());
            let greatest = *order.last().expect("a full table has a greatest name");
            if name > greatest {
                return;
            }
            order.remove(&greatest);
            order.insert(name);
            self.text_bytes -= self.texts.remove(&greatest).map_or(0, |text| text.len());
        }
        self.text_bytes += text.len();
        self.texts.insert(name, text.into());
    }
}

impl Extend<(Name, Box<str>)> for NameTable {
    fn extend<I: IntoIterator<Item = (Name, Box<str>)>>(&mut self, names: I) {
        for (name, text) in names {
            self.insert(name, &text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_gives_its_text_back() {
        let mut table = NameTable::default();
        let name = table.intern("cart");
        assert_eq!(table.text(name), "cart");
        assert_eq!(table.text(Name::EMPTY), "");
        assert_eq!(table.text(Name::of("never seen")), "…");
    }

    #[test]
    fn texts_are_counted_while_they_are_kept() {
        let mut table = NameTable::default();
        let names = ["cart", "order", "cart"].map(|text| table.intern(text));
        assert_eq!(table.text_bytes(), 9);
        table.retain(|name| name == names[1]);
        assert_eq!((table.len(), table.text_bytes()), (1, 5));
    }

    #[test]
    fn long_text_is_cut_at_a_character() {
        let mut table = NameTable::default();
        let long = "é".repeat(MAX_NAME_BYTES);
        let name = table.intern(&long);
        assert_eq!(table.text(name).len(), MAX_NAME_BYTES);
        assert_eq!(name, Name::of(&long));
    }
}
