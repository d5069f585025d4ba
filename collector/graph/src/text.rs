//! Text from spans is hostile. This is the one boundary where it is scrubbed, so that it cannot move a cursor or
//! hide its meaning, and masked, so that a secret is gone before anything stores it.

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

/// The value of an attribute as it may be stored and shown: scrubbed, cut to [`MAX_VALUE_BYTES`], and masked where its
/// key (see [`is_secret_key`]) or the value itself says that it is a secret.
pub fn presentable(is_secret_key: bool, value: &str) -> Cow<'_, str> {
    let value = &value[..value.floor_char_boundary(MAX_VALUE_BYTES)];
    if is_secret_key && !value.is_empty() || is_secret_value(value) {
        return Cow::Borrowed(MASK);
    }
    match mask_parts(value) {
        Some(masked) => Cow::Owned(scrub(&masked).into_owned()),
        None => scrub(value),
    }
}

/// Words that, as a part of an attribute's key, announce a secret.
const SECRET_KEYS: [&str; 12] = [
    "authorization",
    "cookie",
    "password",
    "passwd",
    "secret",
    "api_key",
    "api-key",
    "apikey",
    "private_key",
    "access_token",
    "auth_token",
    "credential",
];

/// Whether the key of an attribute announces a secret.
pub fn is_secret_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    SECRET_KEYS.iter().any(|word| key.contains(word)) || key.rsplit('.').next() == Some("token")
}

/// Beginnings of values that are secrets whatever their key: cloud keys, personal access tokens, private keys, JWTs.
const SECRET_PREFIXES: [&str; 10] =
    ["AKIA", "ASIA", "ghp_", "github_pat_", "glpat-", "sk_live_", "xoxb-", "xoxp-", "-----BEGIN", "eyJ"];

fn is_secret_value(value: &str) -> bool {
    let value = value.trim_start();
    // Most values are told to be harmless by their length and first character.
    if value.len() <= 12 || !value.starts_with(['A', 'g', 's', 'x', '-', 'e', 'B', 'b']) {
        return false;
    }
    let scheme = value.split_once(' ').map(|(scheme, _)| scheme);
    let is_credential = |scheme: &str| scheme.eq_ignore_ascii_case("bearer") || scheme.eq_ignore_ascii_case("basic");
    let has_prefix = value.len() >= 20 && SECRET_PREFIXES.iter().any(|prefix| value.starts_with(prefix));
    let is_no_jwt = value.starts_with("eyJ") && value.bytes().filter(|&byte| byte == b'.').count() != 2;
    scheme.is_some_and(is_credential) || has_prefix && !is_no_jwt
}

/// Query keys whose value is a secret.
const SECRET_QUERY: [&str; 12] = [
    "token",
    "access_token",
    "id_token",
    "api_key",
    "apikey",
    "key",
    "password",
    "secret",
    "sig",
    "signature",
    "x-amz-signature",
    "code",
];

/// Masks the user information and the secret query values of a URL; `None` where there is nothing to mask.
fn mask_parts(value: &str) -> Option<String> {
    if !value.contains(['@', '?']) {
        return None;
    }
    let mut masked = Cow::Borrowed(value);
    if let Some((scheme, rest)) = value.split_once("://") {
        let authority = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        if let Some((_, host)) = authority.rsplit_once('@') {
            masked = Cow::Owned(format!("{scheme}://{MASK}@{host}{}", &rest[authority.len()..]));
        }
    }
    if let Some((path, query)) = masked.split_once('?') {
        let parts: Vec<_> = query.split('&').map(mask_query_part).collect();
        if parts.iter().any(|part| matches!(part, Cow::Owned(_))) {
            masked = Cow::Owned(format!("{path}?{}", parts.join("&")));
        }
    }
    match masked {
        Cow::Owned(masked) => Some(masked),
        Cow::Borrowed(_) => None,
    }
}

fn mask_query_part(part: &str) -> Cow<'_, str> {
    match part.split_once('=') {
        Some((key, value)) if !value.is_empty() && SECRET_QUERY.contains(&key.to_ascii_lowercase().as_str()) => {
            Cow::Owned(format!("{key}={MASK}"))
        }
        _ => Cow::Borrowed(part),
    }
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

    #[test]
    fn secrets_are_masked() {
        let check = |key: &str, value: &str, expected: &str| {
            assert_eq!(presentable(is_secret_key(key), value), expected, "{key}");
        };
        check("http.request.header.authorization", "anything", MASK);
        check("note", "Bearer abcdefghijkl", MASK);
        check("note", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.dozjgNryP4J3jVmNHl0w5N", MASK);
        check("note", "AKIAIOSFODNN7EXAMPLE", MASK);
        check("url.full", "https://u:p@h/x?q=1", "https://[masked]@h/x?q=1");
        check("url.full", "https://h/x?q=1&token=abc", "https://h/x?q=1&token=[masked]");
        check("url.full", "https://h/x?q=1&page=2", "https://h/x?q=1&page=2");
        check("gen_ai.usage.input_tokens", "12", "12");
        check("note", "the bearer of news", "the bearer of news");
    }
}
