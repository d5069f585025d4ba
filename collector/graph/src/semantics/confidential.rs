//! Confidential values: what is masked before anything stores it, and what is held against the sender.
//!
//! Masking is generous, since a masked value costs nobody anything; accusing is not. What looks like a placeholder, a
//! test value, a hash or a state (`token = expired`) is masked where its key announces a secret, and no finding.

mod card;
mod email;
mod key;
mod token;

use std::borrow::Cow;
use std::ops::Range;

pub(super) use self::key::{Confidentiality, of_key};
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
    let text = scrub(&value[..value.floor_char_boundary(MAX_VALUE_BYTES)]);
    if confidentiality.is_credential() && !text.trim().is_empty() {
        let mut kinds = Kinds::default();
        if token::is_plausible(&text, confidentiality == Confidentiality::Password) {
            kinds.add(SecretKind::Credential);
        }
        return Masked { text: Cow::Borrowed(MASK), kinds };
    }
    if !may_be_confidential(&text) {
        return Masked { text, kinds: Kinds::default() };
    }
    mask_parts(confidentiality, text)
}

/// A number or truth value: only a card's number is confidential among them.
pub(super) fn mask_number(confidentiality: Confidentiality, value: Cow<'_, str>) -> Masked<'_> {
    match confidentiality {
        Confidentiality::Card => mask_parts(confidentiality, value),
        _ => Masked { text: value, kinds: Kinds::default() },
    }
}

/// The name of a span, a template or a host: scrubbed and masked, and not cut.
pub(super) fn mask_name(text: &str) -> Masked<'_> {
    let text = scrub(text);
    if may_be_confidential(&text) {
        mask_parts(Confidentiality::Unknown, text)
    } else {
        Masked { text, kinds: Kinds::default() }
    }
}

/// Whether a text can hold anything confidential, told by its bytes alone. Without an early way out the compiler looks
/// at many bytes at once.
fn may_be_confidential(text: &str) -> bool {
    let mut digits = 0usize;
    let mut signs = false;
    for chunk in text.as_bytes().chunks(32) {
        digits += usize::from(chunk.iter().map(|byte| u8::from(byte.is_ascii_digit())).sum::<u8>());
        signs |= chunk.iter().fold(false, |found, byte| found | matches!(byte, b'@' | b'=' | b'"' | b'%'));
    }
    signs || digits >= card::MIN_DIGITS || text.len() >= token::MIN_BYTES
}

fn mask_parts(confidentiality: Confidentiality, text: Cow<'_, str>) -> Masked<'_> {
    let mut parts = Vec::new();
    token::find(&text, &mut parts);
    email::find(&text, confidentiality, &mut parts);
    card::find(&text, confidentiality, &mut parts);
    let mut kinds = Kinds::default();
    if parts.is_empty() {
        return Masked { text, kinds };
    }
    parts.sort_by_key(|part| (part.range.start, std::cmp::Reverse(part.range.end)));
    let mut masked = String::with_capacity(text.len());
    let mut end = 0;
    for part in parts {
        // What lies within a part that is masked already is no finding of its own: user information is no e-mail address.
        if part.range.start < end {
            continue;
        }
        if part.is_finding {
            kinds.add(part.kind);
        }
        masked.push_str(&text[end..part.range.start]);
        masked.push_str(MASK);
        end = part.range.end;
    }
    masked.push_str(&text[end..]);
    Masked { text: Cow::Owned(masked), kinds }
}

#[cfg(test)]
mod tests;
