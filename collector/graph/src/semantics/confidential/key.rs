//! What the key of an attribute says of its value.

/// How confidential a key says that its value is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::semantics) enum Confidentiality {
    /// It says nothing.
    #[default]
    Unknown,
    /// An id, a host, a place in the code: digits in it are no card number, and an `@` makes no e-mail address.
    Technical,
    /// A token, a key, a cookie.
    Credential,
    /// A password, which may have been hashed.
    Password,
    /// The number of a payment card.
    Card,
}

impl Confidentiality {
    pub(in crate::semantics) fn is_credential(self) -> bool {
        matches!(self, Self::Credential | Self::Password)
    }
}

/// Keys are read by their last words, up to this many bytes of each.
const MAX_WORD_BYTES: usize = 24;

/// Last words that announce a password.
const PASSWORDS: [&str; 5] = ["password", "passwd", "pwd", "passphrase", "passcode"];

/// Last words that announce another credential.
const CREDENTIALS: [&str; 14] = [
    "authorization",
    "cookie",
    "secret",
    "credential",
    "credentials",
    "apikey",
    "jwt",
    "sas",
    "accesskey",
    "secretkey",
    "privatekey",
    "accesstoken",
    "authtoken",
    "signature",
];

/// Words that make a credential of a `key` behind them.
const SECRET_KEYS: [&str; 9] =
    ["api", "access", "private", "secret", "signing", "encryption", "auth", "subscription", "account"];

/// Words that make something else of a `token` behind them: marks of a page or a request, parts of a language.
const HARMLESS_TOKENS: [&str; 24] = [
    "page",
    "next",
    "continuation",
    "cancellation",
    "cancel",
    "pagination",
    "cursor",
    "resume",
    "sync",
    "csrf",
    "xsrf",
    "request",
    "idempotency",
    "stop",
    "input",
    "output",
    "prompt",
    "completion",
    "max",
    "per",
    "first",
    "last",
    "lock",
    "special",
];

/// Last words of keys whose values are ids, hosts and the like.
const TECHNICAL_WORDS: [&str; 16] = [
    "id",
    "ids",
    "uuid",
    "guid",
    "hash",
    "digest",
    "sha256",
    "md5",
    "etag",
    "host",
    "hostname",
    "worker",
    "version",
    "timestamp",
    "time",
    "port",
];

/// Beginnings of such keys.
const TECHNICAL_PREFIXES: [&str; 6] = ["code.", "thread.", "process.", "host.", "k8s.", "container."];

/// What the key says.
pub(in crate::semantics) fn of_key(key: &str) -> Confidentiality {
    let words = last_words(key);
    let [last, before] = &words;
    if is_credential(last, before) {
        return Confidentiality::Credential;
    }
    if PASSWORDS.contains(&last.as_str()) {
        return Confidentiality::Password;
    }
    let is_card = |word: &str| matches!(word, "card" | "creditcard" | "cardnumber" | "pan" | "ccnumber");
    if is_card(last) || matches!(last.as_str(), "number" | "no" | "num") && (is_card(before) || before == "cc") {
        return Confidentiality::Card;
    }
    if TECHNICAL_WORDS.contains(&last.as_str()) || TECHNICAL_PREFIXES.iter().any(|prefix| key.starts_with(prefix)) {
        return Confidentiality::Technical;
    }
    Confidentiality::Unknown
}

fn is_credential(last: &str, before: &str) -> bool {
    match last {
        "key" => SECRET_KEYS.contains(&before),
        "token" => !HARMLESS_TOKENS.contains(&before),
        _ => CREDENTIALS.contains(&last),
    }
}

/// The last word of a key and the one before it, in lower case. Words end at signs and where `camelCase` has a hump.
fn last_words(key: &str) -> [String; 2] {
    let mut words = [String::new(), String::new()];
    let mut at = 0;
    let mut rest = key.bytes().rev().peekable();
    while let Some(byte) = rest.next() {
        let is_sign = !byte.is_ascii_alphanumeric();
        if !is_sign && words[at].len() < MAX_WORD_BYTES {
            words[at].push(byte.to_ascii_lowercase() as char);
        }
        let is_hump = byte.is_ascii_uppercase() && rest.peek().is_some_and(u8::is_ascii_lowercase);
        if (is_sign || is_hump) && !words[at].is_empty() {
            at += 1;
            if at == words.len() {
                break;
            }
        }
    }
    words.map(|word| word.chars().rev().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_announce_what_they_hold() {
        let check = |keys: &[&str], expected: Confidentiality| {
            for key in keys {
                assert_eq!(of_key(key), expected, "{key}");
            }
        };
        check(
            &[
                "http.request.header.authorization",
                "http.request.header.set-cookie",
                "api_key",
                "http.request.header.x-api-key",
                "apiKey",
                "accessToken",
                "token",
                "auth.token",
                "refresh_token",
                "client_secret",
                "aws.secret_access_key",
                "AccountKey",
                "X-Amz-Signature",
            ],
            Confidentiality::Credential,
        );
        check(&["db.password", "userPassword", "pwd"], Confidentiality::Password);
        check(&["payment.card", "card_number", "creditCardNumber", "cc_number", "pan"], Confidentiality::Card);
        check(
            &["k8s.secret.name", "order.id", "code.file.path", "password_hash", "token.sha256", "secretId"],
            Confidentiality::Technical,
        );
        check(
            &[
                "gen_ai.usage.input_tokens",
                "gen_ai.token.type",
                "next_page_token",
                "nextToken",
                "csrf_token",
                "aws.secretsmanager.secret.arn",
                "token_count",
                "http.route",
                "cache.key",
                "feature_flag.key",
                "",
            ],
            Confidentiality::Unknown,
        );
    }
}
