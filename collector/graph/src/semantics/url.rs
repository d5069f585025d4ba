//! URLs, hosts and names with identifiers in them.

use std::borrow::Cow;

use memchr::{memchr, memchr3};

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
    let (scheme, authority) = ends(text);
    let (path, query) = split_query(&text[authority..]);
    let (host, port) = if scheme < authority { split_host(&text[scheme..authority]) } else { ("", "") };
    Url { host, port, path, query }
}

/// Scheme, host and port of what [`split`] splits, its path and its query.
pub(super) fn origin_and_target(text: &str) -> (&str, &str, &str) {
    if text.is_empty() {
        return ("", "", "");
    }
    let (origin, target) = text.split_at(ends(text).1);
    let (path, query) = split_query(target);
    (origin, path, query)
}

/// Where the scheme of a URL ends, with its `://`, and where its host and port; 0 where it has none.
fn ends(text: &str) -> (usize, usize) {
    let end_from =
        |from: usize| from + memchr3(b'/', b'?', b'#', &text.as_bytes()[from..]).unwrap_or(text.len() - from);
    let end = end_from(0);
    if !text[..end].ends_with(':') || !text[end..].starts_with("//") {
        return (0, end);
    }
    let scheme = end + "//".len();
    (scheme, end_from(scheme))
}

/// Path and query, without the fragment.
fn split_query(target: &str) -> (&str, &str) {
    let target = before(target, b'#');
    let path = before(target, b'?');
    (path, target.get(path.len() + 1..).unwrap_or_default())
}

/// What stands before the first `sign`, an ASCII character; everything where there is none.
fn before(text: &str, sign: u8) -> &str {
    &text[..memchr(sign, text.as_bytes()).unwrap_or(text.len())]
}

/// Splits `user@host:port`, also `[::1]:80` and whole URLs, as untidy instrumentations record them.
pub(super) fn split_host(text: &str) -> (&str, &str) {
    let is_name = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-');
    // Mostly there is nothing to split.
    if text.as_bytes().iter().fold(true, |all, byte| all & is_name(byte)) {
        return (text, "");
    }
    let text = before(&text[ends(text).0..], b'/');
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
        let is_end = |byte: u8| matches!(byte, b'/' | b' ' | b':');
        let end = rest.bytes().position(is_end).unwrap_or(rest.len());
        let (part, tail) = rest.split_at(end);
        template.push_str(if is_identifier(part) { "{id}" } else { part });
        let (separator, behind) = tail.split_at(tail.len().min(1));
        template.push_str(separator);
        rest = behind;
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
        check("cart:8080/a?to=http://b", "cart", "8080", "/a", "to=http://b");
        check("jdbc:postgresql://orders:5432/shop", "orders", "5432", "/shop", "");
        let check = |text, origin, path, query| assert_eq!(origin_and_target(text), (origin, path, query));
        check("http://u@cart:8080/a?b=c", "http://u@cart:8080", "/a", "b=c");
        check("cart:8080", "cart:8080", "", "");
        check("/a?to=http://b#c", "", "/a", "to=http://b");
        check("http://cart?b#c", "http://cart", "", "b");
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
