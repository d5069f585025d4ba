//! Text from spans is hostile. This is the one boundary where it is scrubbed, so that it cannot move a cursor or
//! hide its meaning. What is confidential in it is masked where attributes are read ([`crate::semantics`]).

use std::borrow::Cow;

/// What stands in the place of a masked value.
pub const MASK: &str = "[masked]";

/// The most bytes of one attribute value that are kept.
pub const MAX_VALUE_BYTES: usize = 4096;

/// Removes control, bidirectional and format characters; line breaks and tabs become spaces.
pub fn scrub(text: &str) -> Cow<'_, str> {
    if is_plain(text) || !text.chars().any(is_hostile) {
        return Cow::Borrowed(text);
    }
    let kept = text.chars().filter_map(|character| match character {
        '\n' | '\r' | '\t' => Some(' '),
        _ if is_hostile(character) => None,
        _ => Some(character),
    });
    Cow::Owned(kept.collect())
}

/// A name without what only counts the items of a list, since resolvers are named after their path
/// (`resolve reviews.0.author`, `/reviews[1]/author`).
pub(crate) fn without_counts(name: &str) -> Cow<'_, str> {
    if name.bytes().all(|byte| !byte.is_ascii_digit()) {
        return Cow::Borrowed(name);
    }
    let is_end = |letter: char| !letter.is_alphanumeric() && letter != '_';
    let words = name.split_inclusive(is_end).map(|part| {
        let word = part.trim_end_matches(is_end);
        let is_number = !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_digit());
        if is_number { &part[word.len()..] } else { part }
    });
    Cow::Owned(words.collect())
}

/// Whether a text has printable ASCII only. Without an early way out the compiler looks at many bytes at once.
fn is_plain(text: &str) -> bool {
    text.as_bytes().chunks(32).all(|chunk| chunk.iter().fold(true, |plain, byte| plain & (b' '..0x7f).contains(byte)))
}

/// Controls, and the characters of Unicode's categories Cf, Zl and Zp that change how their neighbours are shown.
fn is_hostile(character: char) -> bool {
    character.is_control()
        || matches!(character,
            '\u{ad}' | '\u{600}'..='\u{605}' | '\u{61c}' | '\u{6dd}' | '\u{70f}' | '\u{180e}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e007f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scrubbing_leaves_nothing_that_moves_a_cursor() {
        assert_eq!(scrub("plain text"), "plain text");
        assert_eq!(scrub("grün ✓ 日本"), "grün ✓ 日本");
        assert_eq!(scrub("a\u{1b}[2Jb\u{9b}c\nd"), "a[2Jbc d");
        assert_eq!(scrub("user\u{202e}gnp.exe\u{200b}"), "usergnp.exe");
    }
}
