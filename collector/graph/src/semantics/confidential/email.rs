//! E-mail addresses of people.

use super::{Confidentiality, Part};
use crate::span::SecretKind;

/// Ends of hosts that nobody receives mail at: inner names, names kept for tests, and ends of files.
const NO_DOMAINS: [&str; 22] = [
    "local",
    "localhost",
    "internal",
    "cluster",
    "svc",
    "lan",
    "corp",
    "home",
    "test",
    "invalid",
    "example",
    "png",
    "jpg",
    "jpeg",
    "gif",
    "svg",
    "webp",
    "js",
    "css",
    "ts",
    "json",
    "html",
];

/// Names before the `@` that belong to machines and to tests.
const NO_PEOPLE: [&str; 14] = [
    "git",
    "root",
    "celery",
    "noreply",
    "no-reply",
    "postmaster",
    "test",
    "tester",
    "user",
    "foo",
    "example",
    "sample",
    "dummy",
    "nobody",
];

/// The longest names before and behind the `@`.
const MAX_NAME_BYTES: usize = 64;
const MAX_HOST_BYTES: usize = 255;

/// Adds the e-mail addresses in `text`.
pub(super) fn find(text: &str, confidentiality: Confidentiality, parts: &mut Vec<Part>) {
    if confidentiality == Confidentiality::Technical {
        return;
    }
    for sign in ["@", "%40"] {
        parts.extend(text.match_indices(sign).filter_map(|(at, _)| around(text, at, sign.len())));
    }
}

/// The address around the sign that stands at `at` and takes `length` bytes.
fn around(text: &str, at: usize, length: usize) -> Option<Part> {
    let (before, after) = (&text[..at], &text[at + length..]);
    let name = before.bytes().rev().take(MAX_NAME_BYTES).take_while(|&byte| is_name(byte)).count();
    let host = after.bytes().take(MAX_HOST_BYTES).take_while(|&byte| is_host(byte)).count();
    let is_qualified = after[host..].starts_with('@');
    let name = before[at - name..].trim_start_matches(['.', '-', '%']);
    let host = after[..host].trim_end_matches(['.', '-']);
    let person = name.to_ascii_lowercase();
    let is_finding = !NO_PEOPLE.contains(&&*person) && !person.starts_with("test");
    let range = at - name.len()..at + length + host.len();
    (!name.is_empty() && !is_qualified && is_mail_host(host)).then_some(Part {
        range,
        kind: SecretKind::EmailAddress,
        is_finding,
    })
}

fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
}

fn is_host(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')
}

/// At least two labels, the last one of letters, and nothing that only looks like a host.
fn is_mail_host(host: &str) -> bool {
    let Some((labels, end)) = host.rsplit_once('.') else { return false };
    let is_word = (2..=24).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_word && labels.split('.').all(|label| !label.is_empty()) && !NO_DOMAINS.contains(&&*end.to_ascii_lowercase())
}
