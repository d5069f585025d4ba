//! Credentials in texts: known forms of tokens, user information of URLs, `key=value` and `"key":"value"` pairs.

use std::ops::Range;

use super::key::{Confidentiality, of_key};
use super::{Part, Signs};
use crate::span::SecretKind;

/// The length of the shortest text in which a token of a known form may stand.
pub(super) const MIN_BYTES: usize = 13;

/// The length of the shortest token of a known form; shorter words can only be `Basic` and `Bearer`.
const MIN_TOKEN_BYTES: usize = 14;

/// A known form of tokens: how they begin, and how many bytes at least follow.
struct Form {
    prefix: &'static str,
    rest: usize,
}

const fn form(prefix: &'static str, rest: usize) -> Form {
    Form { prefix, rest }
}

const FORMS: [Form; 27] = [
    form("AKIA", 16),
    form("ASIA", 16),
    form("AIza", 30),
    form("ya29.", 20),
    form("ghp_", 16),
    form("gho_", 16),
    form("ghu_", 16),
    form("ghs_", 16),
    form("ghr_", 16),
    form("github_pat_", 16),
    form("glpat-", 14),
    form("sk_live_", 8),
    form("rk_live_", 8),
    form("sk_test_", 8),
    form("rk_test_", 8),
    form("whsec_", 16),
    form("sk-proj-", 16),
    form("sk-ant-", 16),
    form("xoxb-", 10),
    form("xoxp-", 10),
    form("xoxa-", 10),
    form("xoxs-", 10),
    form("xapp-", 10),
    form("SG.", 20),
    form("npm_", 30),
    form("pypi-", 40),
    form("shpat_", 16),
];

/// Keys that announce a credential in a query, and elsewhere mean something else.
const QUERY_KEYS: [&str; 7] = ["key", "code", "sig", "auth", "id_token_hint", "assertion", "samlresponse"];

/// The fewest bytes of a value that is held against the sender.
const MIN_FINDING_BYTES: usize = 6;

/// Adds the credentials in `text`.
pub(super) fn find(text: &str, signs: Signs, parts: &mut Vec<Part>) {
    if text.len() >= MIN_BYTES {
        let has_room = text.len() >= "-----BEGIN PRIVATE KEY".len();
        if has_room && signs.has_dash && text.contains("-----BEGIN") && text.contains("PRIVATE KEY") {
            parts.push(credential(0..text.len(), true));
            return;
        }
        find_tokens(text, parts);
    }
    if signs.has_at {
        find_user_information(text, parts);
    }
    if signs.has_pairs {
        find_pairs(text, parts);
    }
}

fn credential(range: Range<usize>, is_finding: bool) -> Part {
    Part { range, kind: SecretKind::Credential, is_finding }
}

fn find_tokens(text: &str, parts: &mut Vec<Part>) {
    let mut end = 0;
    // Words are separated by bytes that are in no token; what is not ASCII is in none.
    for word in text.as_bytes().split(|&byte| !IS_TOKEN_BYTE[usize::from(byte)]) {
        let start = end;
        end += word.len() + 1;
        let may_be_token = (word.len() >= MIN_TOKEN_BYTES || matches!(word.len(), 5 | 6))
            && matches!(
                word[0],
                b'A' | b'B' | b'S' | b'b' | b'e' | b'g' | b'n' | b'p' | b'r' | b's' | b'w' | b'x' | b'y'
            );
        if !may_be_token {
            continue;
        }
        let word = &text[start..start + word.len()];
        let is_known =
            FORMS.iter().any(|form| word.strip_prefix(form.prefix).is_some_and(|rest| rest.len() >= form.rest));
        if is_known || is_json_web_token(word) {
            let is_finding =
                !word.starts_with("sk_test_") && !word.starts_with("rk_test_") && is_plausible(word, false);
            parts.push(credential(start..start + word.len(), is_finding));
        } else if word.eq_ignore_ascii_case("bearer") || word.eq_ignore_ascii_case("basic") {
            find_authorization(text, start, start + word.len(), parts);
        }
    }
}

/// `Bearer …` and `Basic …`: alone in the text, or with a value that no word of a sentence looks like.
fn find_authorization(text: &str, start: usize, scheme_end: usize, parts: &mut Vec<Part>) {
    let Some(rest) = text[scheme_end..].strip_prefix(' ') else { return };
    let length =
        rest.bytes().take_while(|&byte| is_token_byte(byte) || matches!(byte, b'+' | b'/' | b'=' | b'~')).count();
    let value = &rest[..length];
    let is_alone = start == 0 && length == rest.len();
    if length >= 8 && (is_alone || is_random(value)) {
        parts.push(credential(start..scheme_end + 1 + length, is_random(value) && is_plausible(value, false)));
    }
}

const fn is_token_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.')
}

/// [`is_token_byte`] of every byte, as each byte of each value is asked for.
const IS_TOKEN_BYTE: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0;
    while byte < table.len() {
        table[byte] = is_token_byte(byte as u8);
        byte += 1;
    }
    table
};

/// Three parts, of which the first two are base64 of an object.
fn is_json_web_token(word: &str) -> bool {
    let mut parts = word.split('.');
    let is_object = |part: Option<&str>| part.is_some_and(|part| part.starts_with("eyJ") && part.len() >= 6);
    is_object(parts.next()) && is_object(parts.next()) && parts.next().is_some() && parts.next().is_none()
}

/// `scheme://user:password@host`.
fn find_user_information(text: &str, parts: &mut Vec<Part>) {
    for (at, scheme) in text.match_indices("://") {
        let start = at + scheme.len();
        let is_authority =
            |character: char| !(matches!(character, '/' | '?' | '#' | '"' | '\'') || character.is_whitespace());
        let authority = &text[start..];
        let authority = &authority[..authority.find(|character| !is_authority(character)).unwrap_or(authority.len())];
        if let Some((user, _)) = authority.rsplit_once('@') {
            let password = user.split_once(':').map(|(_, password)| password);
            let is_finding = password.is_some_and(|password| password.len() >= 2 && !is_placeholder(password));
            parts.push(credential(start..start + user.len(), is_finding));
        }
    }
}

/// `key=value`, `key = 'value'`, `"key": "value"`, where the key announces a credential.
fn find_pairs(text: &str, parts: &mut Vec<Part>) {
    let mut end = 0;
    for (at, sign) in text.match_indices(['=', ':']) {
        // What lies within a value is not read again, so that no text is read more than a few times.
        let Some((key, key_start)) = key_before(text, at).filter(|_| at >= end) else { continue };
        let confidentiality = of_key(key);
        let is_query = sign == "=" && text[..key_start].ends_with(['?', '&']);
        let is_ambiguous = is_query && QUERY_KEYS.iter().any(|each| key.eq_ignore_ascii_case(each));
        if !confidentiality.is_credential() && !is_ambiguous {
            continue;
        }
        let Some(value) = value_behind(text, at + 1, sign == ":") else { continue };
        end = value.end;
        let shown = &text[value.clone()];
        let is_finding = is_plausible(shown, confidentiality == Confidentiality::Password)
            && (confidentiality.is_credential() || shown.len() >= 16 && is_random(shown));
        parts.push(credential(value, is_finding));
    }
}

/// The key that ends before the sign at `end`, blanks and quotes left out, and where it begins.
fn key_before(text: &str, end: usize) -> Option<(&str, usize)> {
    let key = text[..end].trim_end_matches([' ', '"', '\'', '\\', '`']);
    let is_key = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    let length = key.bytes().rev().take_while(is_key).count();
    let start = key.len() - length;
    (length > 0).then(|| (&key[start..], start))
}

/// The value that begins behind a sign: in quotes, or directly behind `=` up to the next sign. A placeholder is none.
fn value_behind(text: &str, start: usize, must_be_quoted: bool) -> Option<Range<usize>> {
    let rest = &text[start..];
    let trimmed = rest.trim_start_matches([' ', '\\']);
    let skipped = rest.len() - trimmed.len();
    let quote = trimmed.chars().next().filter(|first| matches!(first, '"' | '\''));
    let (begin, length) = if let Some(quote) = quote {
        let inner = &trimmed[1..];
        (start + skipped + 1, inner.find([quote, '\\']).unwrap_or(inner.len()))
    } else if must_be_quoted || skipped > 0 {
        return None;
    } else {
        let ends = |character: char| {
            character.is_whitespace() || matches!(character, '&' | ';' | ',' | '"' | '\'' | ')' | '}' | ']' | '#')
        };
        (start, rest.find(ends).unwrap_or(rest.len()))
    };
    let value = &text[begin..begin + length];
    let is_placeholder = value.is_empty() || value.starts_with(['?', '$', ':', '%', '@', '{', '<']);
    (!is_placeholder).then_some(begin..begin + length)
}

/// Words that stand where a credential was taken out, or never was.
const PLACEHOLDERS: [&str; 12] = [
    "redacted",
    "masked",
    "example",
    "placeholder",
    "changeme",
    "filtered",
    "sanitized",
    "scrubbed",
    "obfuscated",
    "***",
    // What is cut short.
    "...",
    "…",
];

/// The same, where they are a word of their own.
const PLACEHOLDER_WORDS: [&str; 32] = [
    "test",
    "testing",
    "fake",
    "dummy",
    "sample",
    "mock",
    "your",
    "none",
    "null",
    "nil",
    "undefined",
    "true",
    "false",
    "missing",
    "present",
    "absent",
    "valid",
    "invalid",
    "expired",
    "unknown",
    "anonymous",
    "required",
    "optional",
    "enabled",
    "disabled",
    "hidden",
    "removed",
    "omitted",
    "suppressed",
    "revoked",
    "deleted",
    "todo",
];

/// Whether a value that its key or form announces as a credential is one: not a placeholder, a test value, a state, or,
/// for passwords, a hash.
pub(super) fn is_plausible(value: &str, is_password: bool) -> bool {
    let value = value.trim_matches(|character: char| character.is_whitespace() || "\"'[]{}()".contains(character));
    value.len() >= MIN_FINDING_BYTES && !is_placeholder(value) && !is_hash(value, is_password)
}

fn is_placeholder(value: &str) -> bool {
    let value = value.to_ascii_lowercase();
    let is_filler =
        value.chars().all(|character| matches!(character, '*' | 'x' | '.' | '-' | '•' | '#' | '…' | '_' | '?' | '0'));
    // Also behind the name of a scheme: `Bearer <token>`.
    let is_written_out =
        value.split_whitespace().next_back().is_some_and(|word| word.starts_with(['<', '$', '{', '%']));
    is_filler
        || is_written_out
        || PLACEHOLDERS.iter().any(|word| value.contains(word))
        || value.contains("xxxx")
        || value
            .split(|character: char| !character.is_ascii_alphanumeric())
            .any(|word| PLACEHOLDER_WORDS.contains(&word))
}

/// A value that names its hash function, or where a hashed value is likely, the hexadecimal digits of one.
fn is_hash(value: &str, is_password: bool) -> bool {
    const FUNCTIONS: [&str; 11] =
        ["sha1", "sha256", "sha-256", "sha512", "sha-512", "md5", "hmac", "bcrypt", "argon2", "pbkdf2", "scrypt"];
    let lower = value.to_ascii_lowercase();
    let is_named = FUNCTIONS
        .iter()
        .any(|name| lower.strip_prefix(name).is_some_and(|rest| rest.starts_with([':', '=', '-', '$', '_'])));
    let is_hexadecimal =
        matches!(value.len(), 32 | 40 | 56 | 64 | 96 | 128) && value.bytes().all(|byte| byte.is_ascii_hexdigit());
    is_named || value.starts_with("{SSHA}") || is_password && is_hexadecimal
}

/// Whether no word of a language looks like this: digits, or capitals behind small letters.
fn is_random(value: &str) -> bool {
    let has_hump = value.as_bytes().windows(2).any(|pair| pair[0].is_ascii_lowercase() && pair[1].is_ascii_uppercase());
    value.bytes().any(|byte| byte.is_ascii_digit()) || has_hump
}
