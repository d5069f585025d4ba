//! The words of a query text.

use super::Dialect;

/// One word of a query text.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Token<'a> {
    /// A keyword or a name; names keep their dots.
    Word(&'a str),
    /// A name in quotes, without them.
    Quoted(&'a str),
    Literal,
    Placeholder,
    Sign(char),
}

impl<'a> Token<'a> {
    /// The text of a word that stands in no quotes.
    pub(super) fn word(&self) -> Option<&'a str> {
        match self {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }
}

/// Whether a token is one of `words`, in whatever case.
pub(super) fn is(token: Option<&Token<'_>>, words: &[&str]) -> bool {
    token.and_then(Token::word).is_some_and(|word| words.iter().any(|each| word.eq_ignore_ascii_case(each)))
}

/// The longest name of a `%(name)s` placeholder.
const MAX_PLACEHOLDER_BYTES: usize = 128;

pub(super) struct Tokens<'a> {
    rest: &'a str,
    dialect: Dialect,
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blanks();
        let mut characters = self.rest.chars();
        let first = characters.next()?;
        let second = characters.next().unwrap_or(' ');
        let escapes = self.dialect == Dialect::Backslash;
        Some(match first {
            '\'' => self.quoted('\'', escapes, |_| Token::Literal),
            '"' if escapes => self.quoted('"', true, |_| Token::Literal),
            '"' => self.quoted('"', false, Token::Quoted),
            '`' => self.quoted('`', false, Token::Quoted),
            '[' if second.is_alphabetic() || second == '_' => self.quoted(']', false, Token::Quoted),
            '?' => self.sign(1, Token::Placeholder),
            ':' if second == ':' => self.sign(2, Token::Sign(':')),
            '$' if second == '$' => self.dollar_quoted(),
            // `@@rowcount` is the server's.
            '@' if second == '@' => self.word(2, Token::Word),
            '$' | ':' | '@' if second.is_alphanumeric() || second == '_' => self.word(1, |_| Token::Placeholder),
            '%' if second == 's' => self.sign(2, Token::Placeholder),
            '%' if second == '(' => self.named_placeholder(),
            '0'..='9' => self.word(0, |_| Token::Literal),
            // A letter directly before a text says how it is written: `N'…'`, `E'…'`.
            'n' | 'N' | 'e' | 'E' | 'x' | 'X' | 'b' | 'B' if second == '\'' => {
                self.rest = &self.rest[1..];
                self.quoted('\'', escapes || matches!(first, 'e' | 'E'), |_| Token::Literal)
            }
            _ if first.is_alphabetic() || first == '_' => self.word(0, Token::Word),
            _ => self.sign(first.len_utf8(), Token::Sign(first)),
        })
    }
}

impl<'a> Tokens<'a> {
    pub(super) fn of(text: &'a str, dialect: Dialect) -> Self {
        Self { rest: text, dialect }
    }

    fn skip_blanks(&mut self) {
        loop {
            self.rest = self.rest.trim_start();
            if let Some(comment) = self.rest.strip_prefix("--") {
                self.rest = comment.find('\n').map_or("", |end| &comment[end..]);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.find("*/").map_or("", |end| &comment[end + 2..]);
            } else {
                return;
            }
        }
    }

    fn sign(&mut self, length: usize, token: Token<'a>) -> Token<'a> {
        self.rest = &self.rest[length..];
        token
    }

    fn word(&mut self, prefix: usize, make: impl Fn(&'a str) -> Token<'a>) -> Token<'a> {
        let ends = |character: char| !(character.is_alphanumeric() || matches!(character, '_' | '.' | '$' | '#'));
        let end = self.rest[prefix..].find(ends).map_or(self.rest.len(), |end| end + prefix);
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        make(word)
    }

    /// `%(name)s`; without its end only the sign is taken.
    fn named_placeholder(&mut self) -> Token<'a> {
        let name = &self.rest[..self.rest.floor_char_boundary(MAX_PLACEHOLDER_BYTES)];
        match name.find(")s") {
            Some(end) => self.sign(end + 2, Token::Placeholder),
            None => self.sign(1, Token::Sign('%')),
        }
    }

    /// `$$text$$`.
    fn dollar_quoted(&mut self) -> Token<'a> {
        let inner = &self.rest[2..];
        self.rest = inner.find("$$").map_or("", |end| &inner[end + 2..]);
        Token::Literal
    }

    /// Takes text up to `close`, which stands for itself when doubled or, where the dialect has it, behind a backslash.
    fn quoted(&mut self, close: char, escapes: bool, make: impl Fn(&'a str) -> Token<'a>) -> Token<'a> {
        let inner = &self.rest[1..];
        let mut characters = inner.char_indices().peekable();
        let mut end = inner.len();
        while let Some((index, character)) = characters.next() {
            if character == '\\' && escapes {
                characters.next();
            } else if character == close {
                if characters.peek().is_some_and(|(_, next)| *next == close) {
                    characters.next();
                    continue;
                }
                end = index;
                break;
            }
        }
        self.rest = inner.get(end + 1..).unwrap_or("");
        make(&inner[..end])
    }
}
