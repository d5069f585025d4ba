//! JSON text as borrowed pieces, in one pass that also validates: a reader asks for what it expects next, and what it has
//! no use for is skipped.
//!
//! It accepts and refuses what `serde_json` does (a property test holds it to that) and leaves to it what is rare: texts
//! with escapes, numbers with a fraction. Nothing is copied but those, nothing is looked at twice, nesting is bounded.
//! It knows no format; names and their meaning are the business of whoever asks.

use std::borrow::Cow;
use std::str::FromStr;

pub(super) use self::plain::{plain_digits, plain_length};
use super::DecodeError;
use super::json::without_place;
use crate::limits::MAX_JSON_DEPTH;

/// The answer to a question: the error is large and rare, so it stands elsewhere.
pub(super) type Read<T> = Result<T, Box<DecodeError>>;

/// A place in JSON text. A copy is a bookmark: it reads again from where it was made.
#[derive(Clone, Copy)]
pub(super) struct JsonReader<'a> {
    bytes: &'a [u8],
    /// The bytes where they are UTF-8 as a whole: then no text in them is validated again. Else each text is looked at
    /// when it is read, and the texts that are skipped may be anything.
    valid: Option<&'a str>,
    at: usize,
    depth: u32,
}

impl<'a> JsonReader<'a> {
    /// The beginning of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, valid: simdutf8::basic::from_utf8(bytes).ok(), at: 0, depth: 0 }
    }

    /// Refuses whatever follows but white space.
    pub(super) fn end(mut self) -> Read<()> {
        self.skip_white_space();
        if self.at == self.bytes.len() { Ok(()) } else { self.refuse("trailing characters") }
    }

    /// Where it is: so many bytes are behind.
    pub(super) fn at(&self) -> usize {
        self.at
    }

    /// In how many values it is.
    pub(super) fn depth(&self) -> u32 {
        self.depth
    }

    /// What it has not read.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// Passes over bytes that somebody else has read.
    #[inline]
    pub(super) fn pass(&mut self, bytes: usize) {
        self.at += bytes;
    }

    /// Whether the next value is null, which is then behind.
    #[inline]
    pub(super) fn null(&mut self) -> Read<bool> {
        let is_null = self.peek()? == b'n';
        if is_null {
            self.word("null")?;
        }
        Ok(is_null)
    }

    /// What `read` reads, unless it is null.
    pub(super) fn optional<T>(&mut self, read: impl FnOnce(&mut Self) -> Read<T>) -> Read<Option<T>> {
        if self.null()? { Ok(None) } else { read(self).map(Some) }
    }

    /// Whether the next value is an array.
    pub(super) fn is_array(&mut self) -> Read<bool> {
        Ok(self.peek()? == b'[')
    }

    /// Whether the next value is an object.
    pub(super) fn is_object(&mut self) -> Read<bool> {
        Ok(self.peek()? == b'{')
    }

    /// Calls `member` with the name of each member of an object; it must read or skip the value. `expected` says what
    /// the object is, for whoever sent something else.
    pub(super) fn object(&mut self, expected: &str, mut member: impl FnMut(&mut Self, &str) -> Read<()>) -> Read<()> {
        self.open(b'{', expected)?;
        self.items(b'}', |reader| {
            if reader.peek()? != b'"' {
                return reader.refuse("expected the name of a member in quotation marks");
            }
            let name = reader.string()?;
            if reader.peek()? != b':' {
                return reader.refuse("expected `:`");
            }
            reader.at += 1;
            member(reader, &name)
        })
    }

    /// Calls `element` before each element of an array; it must read or skip it. Null is an empty array.
    pub(super) fn array(&mut self, expected: &str, element: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        if self.null()? {
            return Ok(());
        }
        self.open(b'[', expected)?;
        self.items(b']', element)
    }

    /// Passes over `text` if it stands here, to the byte: the quick way through what encoders always write alike.
    #[inline]
    pub(super) fn exactly(&mut self, text: &str) -> Option<()> {
        let end = self.at + text.len();
        let is_here = self.bytes.get(self.at..end)? == text.as_bytes();
        is_here.then(|| self.at = end)
    }

    /// A text if it stands here and can be borrowed as it is.
    #[inline]
    pub(super) fn plain_text(&mut self) -> Option<&'a str> {
        if self.bytes.get(self.at) == Some(&b'"') { self.plain_string() } else { None }
    }

    /// A text, borrowed where it has no escapes; null is empty.
    #[inline]
    pub(super) fn text(&mut self) -> Read<Cow<'a, str>> {
        match self.peek()? {
            b'"' => self.string(),
            b'n' => self.word("null").map(|()| Cow::Borrowed("")),
            _ => self.refuse_value("a text"),
        }
    }

    /// A boolean.
    pub(super) fn boolean(&mut self) -> Read<bool> {
        match self.peek()? {
            b't' => self.word("true").map(|()| true),
            b'f' => self.word("false").map(|()| false),
            _ => self.refuse_value("true or false"),
        }
    }

    /// An integer, as number or as text; null is zero.
    pub(super) fn integer<N: FromStr + TryFrom<i128> + Default>(&mut self) -> Read<N> {
        let first = self.peek()?;
        let start = *self;
        if let Some(number) = self.plain_number().and_then(|number| N::try_from(number.into()).ok()) {
            return Ok(number);
        }
        *self = start;
        let number = match first {
            b'"' => {
                let text = self.string()?;
                match text.parse() {
                    Ok(number) => return Ok(number),
                    Err(_) => text.parse().ok(),
                }
            }
            b'n' => return self.word("null").map(|()| N::default()),
            b'-' | b'0'..=b'9' => {
                let number = self.number()?;
                match number.parse() {
                    Ok(number) => return Ok(number),
                    Err(_) => integral(start.finite(number)?),
                }
            }
            _ => None,
        };
        match number {
            None => start.refuse_value("an integer, as number or as text"),
            Some(number) => N::try_from(number).or_else(|_| start.refuse(&format!("{number} is not a 64-bit number"))),
        }
    }

    /// A double, as number or as text, since JSON cannot write all of them.
    pub(super) fn double(&mut self) -> Read<f64> {
        let first = self.peek()?;
        let start = *self;
        match first {
            b'"' => self.string()?.parse().or_else(|_| start.refuse_value("a number")),
            b'-' | b'0'..=b'9' => start.finite(self.number()?),
            _ => self.refuse_value("a number"),
        }
    }

    /// A number of an enumeration, as number or by its name, which `named` knows; null, and numbers of more than 63
    /// bits, are zero.
    pub(super) fn enumeration(&mut self, named: impl FnOnce(&str) -> i64) -> Read<i64> {
        let start = *self;
        match self.peek()? {
            b'"' => Ok(named(&self.string()?)),
            b'n' => self.word("null").map(|()| 0),
            b'-' | b'0'..=b'9' if let Some(number) = self.plain_number() => {
                Ok(i64::try_from(number).unwrap_or_default())
            }
            b'-' | b'0'..=b'9' => match self.number()? {
                number if number.bytes().any(|byte| matches!(byte, b'.' | b'e' | b'E')) => {
                    start.refuse_value("the number or the name of an enumeration")
                }
                number => Ok(number.parse().unwrap_or_default()),
            },
            _ => self.refuse_value("the number or the name of an enumeration"),
        }
    }

    /// Passes over a value of any type.
    pub(super) fn skip(&mut self) -> Read<()> {
        match self.peek()? {
            b'"' => {
                self.at += 1;
                self.skip_string()
            }
            b'{' => self.object("an object", |reader, _| reader.skip()),
            b'[' => self.array("an array", Self::skip),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => self.number().map(drop),
        }
    }

    /// Refuses the value that comes next, where `expected` should be.
    pub(super) fn refuse_value<T>(mut self, expected: &str) -> Read<T> {
        let first = self.peek()?;
        if let b't' | b'f' | b'n' = first {
            // A word that JSON does not know is the worse mistake.
            let mut word = self;
            word.skip()?;
        }
        let found = match first {
            b'"' => "a text",
            b'-' | b'0'..=b'9' => "a number",
            b't' | b'f' => "a boolean",
            b'n' => "null",
            b'{' => "an object",
            b'[' => "an array",
            _ => return self.refuse("expected a value of JSON"),
        };
        self.refuse(&format!("expected {expected}, found {found}"))
    }

    /// Refuses what comes next.
    #[cold]
    pub(super) fn refuse<T>(self, message: &str) -> Read<T> {
        let mut lines = self.bytes[..self.at].split(|&byte| byte == b'\n');
        let before = lines.next_back().map_or(0, <[u8]>::len);
        Err(Box::new(DecodeError::Json {
            message: message.to_owned(),
            line: lines.count() + 1,
            column: before + usize::from(self.at < self.bytes.len()),
            is_end: self.at == self.bytes.len(),
        }))
    }

    /// The next byte that is not white space.
    #[inline]
    fn peek(&mut self) -> Read<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) if byte > b' ' => Ok(byte),
            _ => {
                self.skip_white_space();
                self.byte()
            }
        }
    }

    fn skip_white_space(&mut self) {
        let rest = &self.bytes[self.at..];
        let is_visible = |byte: &u8| !matches!(byte, b' ' | b'\n' | b'\t' | b'\r');
        self.at += rest.iter().position(is_visible).unwrap_or(rest.len());
    }

    /// The next byte, whatever it is.
    fn byte(&self) -> Read<u8> {
        match self.bytes.get(self.at) {
            Some(&byte) => Ok(byte),
            None => self.refuse("the JSON text ends too early"),
        }
    }

    fn open(&mut self, bracket: u8, expected: &str) -> Read<()> {
        if self.peek()? != bracket {
            return self.refuse_value(expected);
        }
        if self.depth == MAX_JSON_DEPTH {
            return self.refuse(&format!("values are nested more than {MAX_JSON_DEPTH} deep"));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Calls `item` before each item of what was opened, up to the bracket that closes it.
    #[inline]
    fn items(&mut self, bracket: u8, mut item: impl FnMut(&mut Self) -> Read<()>) -> Read<()> {
        if self.peek()? != bracket {
            loop {
                item(self)?;
                match self.peek()? {
                    b',' => self.at += 1,
                    byte if byte == bracket => break,
                    _ => return self.refuse(&format!("expected `,` or `{}`", char::from(bracket))),
                }
            }
        }
        self.depth -= 1;
        self.at += 1;
        Ok(())
    }

    fn word(&mut self, word: &str) -> Read<()> {
        for expected in word.bytes() {
            if self.byte()? != expected {
                return self.refuse(&format!("expected `{word}`"));
            }
            self.at += 1;
        }
        Ok(())
    }

    /// A whole number if it stands here and nothing else, bare or in quotation marks.
    #[inline]
    fn plain_number(&mut self) -> Option<u64> {
        let rest = self.bytes.get(self.at..)?;
        let is_text = rest.first() == Some(&b'"');
        let digits = &rest[usize::from(is_text)..];
        let (number, count) = plain_digits(digits)?;
        let has_end = match digits.get(count)? {
            b'"' => is_text,
            b',' | b'}' => !is_text && (count == 1 || digits[0] != b'0'),
            _ => false,
        };
        has_end.then(|| self.at += count + 2 * usize::from(is_text))?;
        Some(number)
    }

    /// The string that begins with the next byte, a quotation mark.
    #[inline]
    fn string(&mut self) -> Read<Cow<'a, str>> {
        match self.plain_string() {
            Some(text) => Ok(Cow::Borrowed(text)),
            None => self.any_string(),
        }
    }

    /// The string that begins with the next byte, where it can be borrowed and need not be validated.
    #[inline]
    fn plain_string(&mut self) -> Option<&'a str> {
        let start = self.at + 1;
        let end = start + plain_length(self.bytes.get(start..)?);
        let text = self.valid?.get(start..end)?;
        if self.bytes.get(end) != Some(&b'"') {
            return None;
        }
        self.at = end + 1;
        Some(text)
    }

    /// A string that may have escapes, or bytes that are no text.
    #[inline(never)]
    fn any_string(&mut self) -> Read<Cow<'a, str>> {
        let opening = *self;
        self.at += 1;
        self.skip_string()?;
        let quoted = opening.piece(opening.at, self.at)?;
        let text = &quoted[1..quoted.len() - 1];
        if !text.contains('\\') {
            return Ok(Cow::Borrowed(text));
        }
        let unescaped = serde_json::from_str(quoted);
        unescaped.map(Cow::Owned).or_else(|error| opening.refuse(&without_place(error).to_string()))
    }

    /// Passes over the rest of a string, behind its opening quotation mark.
    fn skip_string(&mut self) -> Read<()> {
        loop {
            self.at += plain_length(&self.bytes[self.at..]);
            match self.byte()? {
                b'"' => {
                    self.at += 1;
                    return Ok(());
                }
                b'\\' => {
                    self.at += 1;
                    self.skip_escape()?;
                }
                _ => return self.refuse("control character in a text"),
            }
        }
    }

    fn skip_escape(&mut self) -> Read<()> {
        let digits = match self.byte()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => 0,
            b'u' => 4,
            _ => return self.refuse("no such escape"),
        };
        self.at += 1;
        for _ in 0..digits {
            if !self.byte()?.is_ascii_hexdigit() {
                return self.refuse("an escape of four hexadecimal digits should be here");
            }
            self.at += 1;
        }
        Ok(())
    }

    /// The digits of a number as they stand.
    fn number(&mut self) -> Read<&'a str> {
        let start = self.at;
        if self.byte()? == b'-' {
            self.at += 1;
        }
        match self.byte()? {
            b'0' => self.at += 1,
            b'1'..=b'9' => self.digits()?,
            _ => return self.refuse(if self.at == start { "expected a value of JSON" } else { "invalid number" }),
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            if let b'+' | b'-' = self.byte()? {
                self.at += 1;
            }
            self.digits()?;
        }
        self.piece(start, self.at)
    }

    /// Passes over digits, of which there must be one.
    fn digits(&mut self) -> Read<()> {
        if !self.byte()?.is_ascii_digit() {
            return self.refuse("invalid number");
        }
        let rest = &self.bytes[self.at..];
        self.at += rest.iter().position(|byte| !byte.is_ascii_digit()).unwrap_or(rest.len());
        Ok(())
    }

    /// The double that the next digits stand for.
    fn finite(self, number: &str) -> Read<f64> {
        match number.parse() {
            Ok(number) if f64::is_finite(number) => Ok(number),
            _ => self.refuse("number out of range"),
        }
    }

    fn piece(&self, start: usize, end: usize) -> Read<&'a str> {
        let piece = match self.valid {
            Some(text) => text.get(start..end),
            None => std::str::from_utf8(&self.bytes[start..end]).ok(),
        };
        piece.map_or_else(|| self.refuse("a text is not UTF-8"), Ok)
    }
}

/// The integer that a double is.
fn integral(number: f64) -> Option<i128> {
    (number.fract() == 0.0).then_some(number as i128)
}

mod plain;
#[cfg(test)]
mod tests;
