//! Who may send spans and ask for findings: whoever knows the token, where there is one.
//!
//! The token is compared in constant time and is never part of a message, a log line or a debug print.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use axum::http::{HeaderMap, header};
use subtle::ConstantTimeEq as _;

/// The fewest characters of a token: fewer can be guessed.
pub const MIN_TOKEN_CHARACTERS: usize = 16;

/// The most characters of a token, so that it fits into a header.
pub const MAX_TOKEN_CHARACTERS: usize = 4096;

/// A secret that senders and readers show as `Authorization: Bearer …`.
#[derive(Clone)]
pub struct Token(Arc<str>);

/// Why a text is no token. Never says what the text is.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// The file cannot be read.
    #[error("cannot read the token: {0}")]
    Unreadable(#[from] std::io::Error),
    /// Too short, or too long.
    #[error("the token has {0} characters, wants {MIN_TOKEN_CHARACTERS} to {MAX_TOKEN_CHARACTERS}")]
    Length(usize),
    /// Something that does not fit into a header.
    #[error("the token has characters other than letters, digits and -._~+/=")]
    Characters,
}

impl Token {
    /// The token that `text` is, without the white space around it.
    pub fn new(text: &str) -> Result<Self, TokenError> {
        let text = text.trim();
        if !(MIN_TOKEN_CHARACTERS..=MAX_TOKEN_CHARACTERS).contains(&text.len()) {
            return Err(TokenError::Length(text.chars().count()));
        }
        if !text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/=".contains(&byte)) {
            return Err(TokenError::Characters);
        }
        Ok(Self(text.into()))
    }

    /// The token in the file at `path`.
    pub fn read(path: &Path) -> Result<Self, TokenError> {
        Self::new(&std::fs::read_to_string(path)?)
    }

    /// The value of the header that shows it.
    pub fn authorization(&self) -> String {
        format!("Bearer {}", self.0)
    }

    /// Whether the headers of a request show it.
    pub(crate) fn is_shown(&self, headers: &HeaderMap) -> bool {
        let shown = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        let Some((scheme, shown)) = shown.and_then(|shown| shown.split_once(' ')) else { return false };
        scheme.eq_ignore_ascii_case("bearer") && self.0.as_bytes().ct_eq(shown.trim().as_bytes()).into()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Token(…)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOKEN: &str = "0123456789abcdef";

    #[test]
    fn only_the_whole_token_opens() {
        let token = Token::new(&format!(" {TOKEN}\n")).unwrap();
        let opens = |value: &str| {
            let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value.parse().unwrap())]);
            token.is_shown(&headers)
        };
        assert!(opens(&token.authorization()) && opens(&format!("bearer  {TOKEN}")));
        for wrong in ["", "Bearer", "Bearer ", TOKEN, "Basic 0123456789abcdef", "Bearer 0123456789abcde"] {
            assert!(!opens(wrong), "{wrong}");
        }
        assert!(!opens(&format!("Bearer {TOKEN}0")) && !token.is_shown(&HeaderMap::new()));
    }

    #[test]
    fn a_bad_token_is_refused_and_never_said() {
        for bad in ["secret", "0123456789abcde\nf", "0123456789abcdefü"] {
            let error = Token::new(bad).unwrap_err().to_string();
            assert!(!error.contains(bad.trim()), "{error}");
        }
        assert_eq!(format!("{:?}", Token::new(TOKEN).unwrap()), "Token(…)");
    }
}
