//! Seals: what stands for the confidential parts of a text where that is kept as it came.
//!
//! A mask would do for people, but not for reading the text again: every mask is like any other, so two different
//! passwords would look like one that was sent twice, and nothing would be held against the sender any more. A seal says
//! what it stands for, and different parts have different seals. They are made with a key that is never stored, so
//! nothing tells which part it was.

use std::fmt;
use std::hash::{BuildHasher as _, RandomState};

use super::{Confidentiality, Harmless, Kinds, Part, Signs, is_harmless_word, of_key, parts, replaced};
use crate::hash::HashMap;
use crate::span::SecretKind;
use crate::text::scrub;

/// Seals are made of characters of Unicode's last private plane, which stand for nothing in any text.
const FIRST: char = '\u{10f000}';
const LAST: char = '\u{10f001}';
/// The kind and whether it is held against the sender: one of six from here.
const KINDS: u32 = 0x10_f010;
/// A byte of the hash: one of 256 from here.
const BYTES: u32 = 0x10_f100;
/// How many bytes of the hash a seal has: those of one trace hardly ever meet.
const HASH_BYTES: usize = 4;
/// How many bytes a seal has as UTF-8.
const SEAL_BYTES: usize = 4 * (HASH_BYTES + 3);

/// What every seal, and hardly anything else, begins with.
pub(super) const FIRST_BYTE: u8 = 0xf4;

/// The most keys of attributes that are remembered.
const MAX_KEYS: usize = 1024;
/// How many values are remembered as harmless.
const HARMLESS: usize = 1 << 12;

/// Seals what is confidential in texts that are kept as they came otherwise, and remembers what was harmless. Reading a
/// sealed text gives what reading the text itself gives. Clones make the same seals.
#[derive(Clone)]
pub struct Sealing {
    /// Keyed at random.
    hasher: RandomState,
    keys: HashMap<Box<str>, Confidentiality>,
    harmless: Harmless,
}

impl Default for Sealing {
    fn default() -> Self {
        Self { hasher: RandomState::new(), keys: HashMap::default(), harmless: Harmless::within(HARMLESS) }
    }
}

impl fmt::Debug for Sealing {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Sealing")
    }
}

impl Sealing {
    /// The value of the attribute `key` with seals; none where nothing in it is confidential.
    pub fn value(&mut self, key: &str, value: &str) -> Option<String> {
        let confidentiality = self.keys.get(key).copied().unwrap_or_else(|| {
            if self.keys.len() >= MAX_KEYS {
                self.keys.clear();
            }
            let confidentiality = of_key(key);
            self.keys.insert(key.into(), confidentiality);
            confidentiality
        });
        self.seal(confidentiality, value)
    }

    /// A name, a message or a line with seals; none where nothing in it is confidential.
    pub fn text(&mut self, text: &str) -> Option<String> {
        self.seal(Confidentiality::Unknown, text)
    }

    fn seal(&mut self, confidentiality: Confidentiality, value: &str) -> Option<String> {
        if is_harmless_word(value) && !confidentiality.is_credential() {
            return None;
        }
        let place = self.harmless.place(confidentiality, value);
        if place.is_known() {
            return None;
        }
        let text = scrub(value);
        let parts = parts(confidentiality, &text);
        if parts.is_empty() {
            place.remember();
            return None;
        }
        Some(replaced(&text, &parts, |part, sealed| self.write(part, &text, sealed)))
    }

    fn write(&self, part: &Part, text: &str, sealed: &mut String) {
        let hash = self.hasher.hash_one(&text[part.range.clone()]);
        let kind = KINDS + 2 * part.kind as u32 + u32::from(part.is_finding);
        let bytes = hash.to_le_bytes().into_iter().take(HASH_BYTES).map(|byte| BYTES + u32::from(byte));
        sealed.push(FIRST);
        sealed
            .extend(std::iter::once(kind).chain(bytes).map(|code| char::from_u32(code).expect("a private character")));
        sealed.push(LAST);
    }
}

/// Adds the seals in `text`. A technical text holds nothing personal, whatever it looked like to who sealed it and knew
/// less of it.
pub(super) fn find(text: &str, confidentiality: Confidentiality, signs: Signs, parts: &mut Vec<Part>) {
    if !signs.has_seal {
        return;
    }
    let is_technical = confidentiality == Confidentiality::Technical;
    let seals = text.match_indices(FIRST).filter_map(|(at, _)| seal_at(text, at));
    parts.extend(seals.map(|part| {
        let is_finding = part.is_finding && (part.kind == SecretKind::Credential || !is_technical);
        Part { is_finding, ..part }
    }));
}

/// The seal that is all of `text`.
pub(super) fn whole(text: &str) -> Option<Part> {
    seal_at(text, 0).filter(|part| part.range.end == text.len())
}

fn seal_at(text: &str, at: usize) -> Option<Part> {
    let seal = text.get(at..at + SEAL_BYTES)?;
    let inner = seal.strip_prefix(FIRST)?.strip_suffix(LAST)?;
    let mut codes = inner.chars().map(u32::from);
    let kind = codes.next()?.checked_sub(KINDS)?;
    let is_hash = codes.all(|code| (BYTES..BYTES + 256).contains(&code));
    let secret = Kinds::ALL.into_iter().find(|secret| is_hash && *secret as u32 == kind / 2)?;
    Some(Part { range: at..at + SEAL_BYTES, kind: secret, is_finding: kind % 2 == 1 })
}
