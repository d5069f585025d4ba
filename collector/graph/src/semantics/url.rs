//! URLs, hosts and names with identifiers in them.

use std::borrow::Cow;

use memchr::{memchr, memchr_iter, memchr2, memchr3};

/// The parts of a URL, borrowed; empty where missing.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub(super) struct Url<'a> {
    pub(super) host: &'a str,
    pub(super) port: &'a str,
    /// With the leading slash.
    pub(super) path: &'a str,
    /// Without the question mark.
    pub(super) query: &'a str,
}

/// Splits an absolute URL, a path with a query, or a bare `host:port`.
pub(super) fn split(text: &str) -> Url<'_> {
    let (authority, target) = split_target(text);
    let (path, query) = split_query(target);
    let (host, port) = if authority.is_empty() { ("", "") } else { split_host(authority) };
    Url { host, port, path, query }
}

/// Path and query of what [`split`] splits.
pub(super) fn target(text: &str) -> (&str, &str) {
    if text.is_empty() { ("", "") } else { split_query(split_target(text).1) }
}

/// What stands before the path of a URL without its scheme, and the path with the query.
fn split_target(text: &str) -> (&str, &str) {
    let text = before(text, b'#');
    if text.starts_with('/') {
        return ("", text);
    }
    let rest = &text[scheme_end(text)..];
    rest.split_at(memchr2(b'/', b'?', rest.as_bytes()).unwrap_or(rest.len()))
}

/// Path and query.
fn split_query(target: &str) -> (&str, &str) {
    let path = before(target, b'?');
    (path, target.get(path.len() + 1..).unwrap_or_default())
}

/// What stands before the first `sign`, an ASCII character; everything where there is none.
fn before(text: &str, sign: u8) -> &str {
    &text[..memchr(sign, text.as_bytes()).unwrap_or(text.len())]
}

/// Where the scheme of a URL ends, with its `://`; 0 where it has none.
fn scheme_end(text: &str) -> usize {
    let mut colons = memchr_iter(b':', text.as_bytes());
    colons.find(|&colon| text[colon..].starts_with("://")).map_or(0, |colon| colon + 3)
}

/// Splits `user@host:port`, also `[::1]:80` and whole URLs, as untidy instrumentations record them.
pub(super) fn split_host(text: &str) -> (&str, &str) {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    // Mostly there is nothing to split.
    if text.as_bytes().iter().fold(true, |all, byte| all & is_name(byte)) {
        return (text, "");
    }
    let text = before(&text[scheme_end(text)..], b'/');
    let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
    if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').unwrap_or((rest, ""));
        return (host, port.trim_start_matches(':'));
    }
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') && port.bytes().all(|byte| byte.is_ascii_digit()) => (host, port),
        _ => (text, ""),
    }
}

/// Scheme, host and port of a URL: what stands before its path.
pub(super) fn origin(text: &str) -> &str {
    if text.is_empty() {
        return "";
    }
    let authority = scheme_end(text);
    let end = memchr3(b'/', b'?', b'#', &text.as_bytes()[authority..]).map_or(text.len(), |end| authority + end);
    &text[..end]
}

/// A part of a text, borrowed where the text is.
pub(super) fn part(whole: Cow<'_, str>, pick: impl Fn(&str) -> &str) -> Cow<'_, str> {
    match whole {
        Cow::Borrowed(whole) => Cow::Borrowed(pick(whole)),
        Cow::Owned(whole) => Cow::Owned(pick(&whole).to_owned()),
    }
}

/// The template of `text`, borrowed where nothing in it can be an identifier.
pub(super) fn template_of(text: Cow<'_, str>) -> Cow<'_, str> {
    if has_digits(&text) { Cow::Owned(template(&text)) } else { text }
}

/// The same of the path of a URL, where a number may also stand behind the word for what it counts.
pub(super) fn template_of_path(path: Cow<'_, str>) -> Cow<'_, str> {
    if !has_digits(&path) {
        return path;
    }
    Cow::Owned(template_by(&path, |part| is_identifier(part) || is_numbered(part)))
}

fn has_digits(text: &str) -> bool {
    text.as_bytes().iter().fold(false, |any, byte| any | byte.is_ascii_digit())
}

/// `text` with every part that looks like an identifier replaced by `{id}`. Parts end at slashes, blanks and colons.
pub(super) fn template(text: &str) -> String {
    template_by(text, is_identifier)
}

fn template_by(text: &str, is_identifier: impl Fn(&str) -> bool) -> String {
    let mut template = String::with_capacity(text.len());
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(['/', ' ', ':']).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        template.push_str(if is_identifier(part) { "{id}" } else { part });
        let separator = tail.chars().next().map_or(0, char::len_utf8);
        template.push_str(&tail[..separator]);
        rest = &tail[separator..];
    }
    template
}

/// A number, a UUID, a hexadecimal id of eight digits or more, or a long word that mixes letters and digits.
fn is_identifier(part: &str) -> bool {
    let digits = part.bytes().filter(u8::is_ascii_digit).count();
    if part.is_empty() || digits == 0 {
        return false;
    }
    let is_number = part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b',' | b'.'));
    let is_hexadecimal = part.len() >= 8 && part.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
    let is_token = part.len() >= 20
        && digits >= 4
        && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'='));
    is_number || is_hexadecimal || is_token
}

/// Words and the number of one of many behind them: `ORD-2024-000123`, `user_42`.
fn is_numbered(part: &str) -> bool {
    let Some((first, rest)) = part.split_once(['-', '_']) else { return false };
    let mut rest = rest.split(['-', '_']);
    let is_all = |word: &str, is: fn(&u8) -> bool| !word.is_empty() && word.as_bytes().iter().all(is);
    let is_word = |word: &str| is_all(word, u8::is_ascii_alphabetic);
    let is_number = |word: &str| is_all(word, u8::is_ascii_digit);
    is_word(first) && rest.next_back().is_some_and(is_number) && rest.all(|part| is_word(part) || is_number(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_split() {
        let check = |text, host, port, path, query| assert_eq!(split(text), Url { host, port, path, query });
        check("http://cart:8080/a/b?c=d#e", "cart", "8080", "/a/b", "c=d");
        check("/customer?customer=123", "", "", "/customer", "customer=123");
        check("0.0.0.0:8083", "0.0.0.0", "8083", "", "");
        check("http://u:p@[::1]:80", "::1", "80", "", "");
        check("", "", "", "", "");
        assert_eq!(origin("http://u@cart:8080/a?b=c"), "http://u@cart:8080");
        assert_eq!(origin("cart:8080"), "cart:8080");
        assert_eq!(origin("/a?b"), "");
    }

    #[test]
    fn numbers_behind_their_words_leave_the_template_of_a_path() {
        let check = |path: &str, expected: &str| assert_eq!(template_of_path(path.into()), expected);
        check("/orders/ORD-2024-000123/lines", "/orders/{id}/lines");
        check("/users/user_42", "/users/{id}");
        check("/users/42", "/users/{id}");
        for path in
            ["/v1/oauth2/token", "/api/v2-beta/items", "/img/300x250", "/h264", "/orders/_1", "/a-b/c_d", "/utf8-4k"]
        {
            check(path, path);
        }
        // Names of topics and of spans are what somebody called them.
        assert_eq!(template("orders-2024"), "orders-2024");
    }

    #[test]
    fn identifiers_leave_the_template() {
        let check = |text: &str, expected: &str| assert_eq!(template(text), expected);
        check("GET /users/123/orders/5f2c9e1a7b", "GET /users/{id}/orders/{id}");
        check("/a/123e4567-e89b-12d3-a456-426614174000", "/a/{id}");
        check("/v1/items", "/v1/items");
        check("hipstershop.Cart/Get", "hipstershop.Cart/Get");
        check("dispatch 42", "dispatch {id}");
    }
}
