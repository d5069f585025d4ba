//! Confidential values: what is masked before anything stores it, and what is held against the sender.
//!
//! Masking is generous, since a masked value costs nobody anything; accusing is not. What looks like a placeholder, a
//! test value, a hash or a state (`token = expired`) is masked where its key announces a secret, and no finding.

mod card;
mod email;
mod harmless;
mod key;
mod seal;
mod token;

use std::borrow::Cow;
use std::ops::Range;

pub(super) use self::harmless::Harmless;
pub(super) use self::key::{Confidentiality, of_key};
pub use self::seal::Sealing;
use crate::span::SecretKind;
use crate::text::{MASK, MAX_VALUE_BYTES, scrub};

/// The kinds of confidential values that one text held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Kinds(u8);

impl Kinds {
    const ALL: [SecretKind; 3] = [SecretKind::Credential, SecretKind::CardNumber, SecretKind::EmailAddress];

    fn add(&mut self, kind: SecretKind) {
        self.0 |= 1 << kind as u8;
    }

    /// Each kind once.
    pub(super) fn iter(self) -> impl Iterator<Item = SecretKind> {
        Self::ALL.into_iter().filter(move |kind| self.0 & 1 << *kind as u8 != 0)
    }
}

/// A text without what was confidential in it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Masked<'a> {
    /// As it may be stored and shown: scrubbed and masked.
    pub(super) text: Cow<'a, str>,
    /// What is held against the sender.
    pub(super) kinds: Kinds,
    /// Whether the text says less than the value did: something is masked, or was cut off unread.
    pub(super) is_less: bool,
}

/// A part of a text that is masked.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Part {
    range: Range<usize>,
    kind: SecretKind,
    /// Whether it is held against the sender.
    is_finding: bool,
}

/// The value of an attribute, cut to [`MAX_VALUE_BYTES`], scrubbed and masked.
pub(super) fn mask(confidentiality: Confidentiality, value: &str) -> Masked<'_> {
    let cut = &value[..value.floor_char_boundary(MAX_VALUE_BYTES)];
    let masked = mask_parts(confidentiality, scrub(cut));
    Masked { is_less: masked.is_less || cut.len() < value.len(), ..masked }
}

/// The name of a span, a template or a host: scrubbed and masked, and not cut.
pub(super) fn mask_name(text: &str) -> Masked<'_> {
    mask_parts(Confidentiality::Unknown, scrub(text))
}

fn mask_parts(confidentiality: Confidentiality, text: Cow<'_, str>) -> Masked<'_> {
    let mut kinds = Kinds::default();
    let parts = parts(confidentiality, &text);
    if parts.is_empty() {
        return Masked { text, kinds, is_less: false };
    }
    parts.iter().filter(|part| part.is_finding).for_each(|part| kinds.add(part.kind));
    Masked { text: Cow::Owned(replaced(&text, &parts, |_, masked| masked.push_str(MASK))), kinds, is_less: true }
}

/// A text in which `write` has written something else in the place of each of its parts.
fn replaced(text: &str, parts: &[Part], mut write: impl FnMut(&Part, &mut String)) -> String {
    let mut other = String::with_capacity(text.len());
    let mut end = 0;
    for part in parts {
        other.push_str(&text[end..part.range.start]);
        write(part, &mut other);
        end = part.range.end;
    }
    other.push_str(&text[end..]);
    other
}

/// Signs without which a text holds no confidential value of one kind or another.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a sign of its own")]
struct Signs {
    digits: usize,
    has_at: bool,
    has_dash: bool,
    has_percent: bool,
    /// The first byte of a seal.
    has_seal: bool,
    /// Those that stand between a key and its value, or around the value.
    has_pairs: bool,
}

impl Signs {
    /// Without an early way out the compiler looks at many bytes at once.
    fn of(text: &str) -> Self {
        let mut signs = Self::default();
        for chunk in text.as_bytes().chunks(32) {
            let has = |sign: u8| chunk.iter().map(|byte| u8::from(*byte == sign)).fold(0, |found, is| found | is) != 0;
            signs.digits += usize::from(chunk.iter().map(|byte| u8::from(byte.is_ascii_digit())).sum::<u8>());
            signs.has_at |= has(b'@');
            signs.has_dash |= has(b'-');
            signs.has_percent |= has(b'%');
            signs.has_seal |= has(seal::FIRST_BYTE);
            signs.has_pairs |= has(b'=') | has(b'"') | has(b'\'');
        }
        signs
    }
}

/// Whether a short text is shown as it was sent, whatever its key unless that announces a credential.
pub(super) fn is_harmless_word(text: &str) -> bool {
    let is_plain = |byte: &u8| (b' '..0x7f).contains(byte) && !matches!(byte, b'@' | b'=' | b'"' | b'%');
    text.len() < token::MIN_BYTES.min(card::MIN_DIGITS)
        && text.as_bytes().iter().fold(true, |all, byte| all & is_plain(byte))
}

/// The confidential parts of a text, in order, none within another.
fn parts(confidentiality: Confidentiality, text: &str) -> Vec<Part> {
    if confidentiality.is_credential() {
        return of_credential(text, confidentiality == Confidentiality::Password).into_iter().collect();
    }
    let mut parts = Vec::new();
    if is_harmless_word(text) {
        return parts;
    }
    let signs = Signs::of(text);
    seal::find(text, confidentiality, signs, &mut parts);
    token::find(text, signs, &mut parts);
    if signs.has_at || signs.has_percent {
        email::find(text, confidentiality, &mut parts);
    }
    if signs.digits >= card::MIN_DIGITS {
        card::find(text, confidentiality, &mut parts);
    }
    // What a seal stands for is known, whatever else it looks like.
    parts.sort_by_key(|part| (part.range.start, std::cmp::Reverse(part.range.end)));
    let mut end = 0;
    // What lies within a part that is masked already is no finding of its own: user information is no e-mail address.
    parts.retain(|part| {
        let is_apart = part.range.start >= end;
        if is_apart {
            end = part.range.end;
        }
        is_apart
    });
    parts
}

/// All of a text whose key announces a credential.
fn of_credential(text: &str, is_password: bool) -> Option<Part> {
    let range = 0..text.len();
    let plain = || Part {
        range: range.clone(),
        kind: SecretKind::Credential,
        is_finding: token::is_plausible(text, is_password),
    };
    (!text.trim().is_empty()).then(|| seal::whole(text).unwrap_or_else(plain))
}

#[cfg(test)]
mod tests;
