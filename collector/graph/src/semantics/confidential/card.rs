//! Numbers of payment cards.
//!
//! One of ten numbers has a right check digit, so that alone proves nothing: the number must begin as a card's does,
//! and be written in groups as on a card, or stand under a key or beside a word that speaks of cards.

use super::{Confidentiality, Part};
use crate::span::SecretKind;

/// The digits of the shortest card number.
pub(super) const MIN_DIGITS: usize = 13;
const MAX_DIGITS: usize = 19;

/// Adds the card numbers in `text`.
pub(super) fn find(text: &str, confidentiality: Confidentiality, parts: &mut Vec<Part>) {
    if confidentiality == Confidentiality::Technical {
        return;
    }
    let bytes = text.as_bytes();
    let mut speaks_of_cards = None;
    let mut start = 0;
    while start < bytes.len() {
        if !bytes[start].is_ascii_digit() || start > 0 && is_joined(bytes[start - 1]) {
            start += 1;
            continue;
        }
        let number = Number::at(bytes, start);
        let end = start + number.length;
        let stands_alone = bytes.get(end).is_none_or(|&next| !is_joined(next));
        if stands_alone && number.is_card() {
            let speaks = || confidentiality == Confidentiality::Card || mentions_card(text);
            if number.is_grouped() || *speaks_of_cards.get_or_insert_with(speaks) {
                parts.push(Part { range: start..end, kind: SecretKind::CardNumber, is_finding: true });
            }
        }
        start = end;
    }
}

/// Whether a byte beside a number makes it a part of something longer, such as an id or a decimal.
fn is_joined(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'+') || !byte.is_ascii()
}

fn mentions_card(text: &str) -> bool {
    let text = text.to_ascii_lowercase();
    ["card", "visa", "pan\"", "pan="].iter().any(|word| text.contains(word))
}

/// Digits, and the lengths of the groups that they stand in.
struct Number {
    digits: Vec<u8>,
    groups: Vec<usize>,
    length: usize,
}

impl Number {
    /// Reads digits with single blanks or hyphens (the same sign throughout) between them.
    fn at(bytes: &[u8], start: usize) -> Self {
        let mut number = Self { digits: Vec::new(), groups: vec![0], length: 0 };
        let mut separator = None;
        let mut at = start;
        while let Some(&byte) = bytes.get(at) {
            let starts_group = bytes.get(at + 1).is_some_and(u8::is_ascii_digit);
            if byte.is_ascii_digit() {
                if number.digits.len() <= MAX_DIGITS {
                    number.digits.push(byte - b'0');
                }
                *number.groups.last_mut().expect("there is a group") += 1;
            } else if matches!(byte, b' ' | b'-') && starts_group && *separator.get_or_insert(byte) == byte {
                number.groups.push(0);
            } else {
                break;
            }
            at += 1;
        }
        number.length = at - start;
        number
    }

    /// Written as on a card: 4-4-4-4, 4-4-4-4-3, 4-6-5, 4-6-4.
    fn is_grouped(&self) -> bool {
        matches!(self.groups[..], [4, 4, 4, 4] | [4, 4, 4, 4, 3] | [4, 6, 5 | 4])
    }

    fn is_card(&self) -> bool {
        let has_form = self.groups.len() == 1 || self.is_grouped();
        has_form
            && (MIN_DIGITS..=MAX_DIGITS).contains(&self.digits.len())
            && self.has_issuer()
            && self.has_check_digit()
    }

    /// Whether the first digits and the length are those of a known issuer.
    fn has_issuer(&self) -> bool {
        let first = |count: usize| self.digits[..count].iter().fold(0, |number, &digit| number * 10 + u32::from(digit));
        match self.digits.len() {
            13 => first(1) == 4,
            14 => matches!(first(3), 300..=305 | 360..=369 | 380..=399),
            15 => matches!(first(2), 34 | 37),
            16 => {
                first(1) == 4
                    || matches!(first(2), 51..=55 | 62 | 65)
                    || matches!(first(4), 2221..=2720 | 3528..=3589 | 6011)
                    || matches!(first(3), 644..=649)
            }
            17..=19 => first(1) == 4 && self.digits.len() == 19 || matches!(first(2), 62 | 65),
            _ => false,
        }
    }

    /// Luhn's check, which every card number passes. Digits that are all alike are none.
    fn has_check_digit(&self) -> bool {
        let doubled = |digit: u8| if digit > 4 { digit * 2 - 9 } else { digit * 2 };
        let weighted = self.digits.iter().rev().enumerate();
        let sum: u32 =
            weighted.map(|(place, &digit)| u32::from(if place % 2 == 1 { doubled(digit) } else { digit })).sum();
        sum.is_multiple_of(10) && self.digits.iter().any(|digit| digit != &self.digits[0])
    }
}
