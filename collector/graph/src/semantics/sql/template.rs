//! The template of a query text: what stays the same from call to call.

use super::tokens::Token;
use crate::name::{MAX_NAME_BYTES, cut};

/// The text with literals and placeholders replaced by `?`, lists of them shortened, white space folded; no longer than
/// a name need be.
pub(super) fn of(tokens: &[Token<'_>]) -> String {
    let mut template = String::new();
    let mut sign_bytes = [0; 4];
    for token in tokens {
        if template.len() > MAX_NAME_BYTES {
            break;
        }
        let text = match token {
            Token::Word(text) | Token::Quoted(text) => text,
            Token::Literal | Token::Placeholder => "?",
            Token::Sign(sign) => sign.encode_utf8(&mut sign_bytes),
        };
        let is_glued = template.is_empty() || template.ends_with(['(', '.']) || matches!(text, ")" | "," | "." | ";");
        if !is_glued {
            template.push(' ');
        }
        template.push_str(cut(text));
        for (long, short) in [("?, ?", "?"), ("(?), (?)", "(?)")] {
            if template.ends_with(long) {
                template.truncate(template.len() - long.len());
                template.push_str(short);
            }
        }
    }
    template
}
