//! The texts of one record, gathered and validated together: one long text costs a fraction of many short ones.

use crate::decode::DecodeError;

/// Texts of one record, one behind the other.
#[derive(Debug, Default)]
pub(super) struct Texts(Vec<u8>);

/// Where a text stands, and the field that it came in.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Place {
    from: usize,
    to: usize,
    field: u32,
}

/// Texts that are valid UTF-8.
#[derive(Debug, Clone, Copy)]
pub(super) struct Checked<'t>(&'t str);

impl Texts {
    /// Begins with the next record.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// How many bytes they have together.
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Takes a text that came in `field`.
    #[inline]
    pub(super) fn keep(&mut self, field: u32, text: &[u8]) -> Place {
        let from = self.0.len();
        self.0.extend_from_slice(text);
        Place { from, to: self.0.len(), field }
    }

    /// Validates all of them; none are where `places` says that any stands which is not UTF-8.
    pub(super) fn check(&self, places: impl IntoIterator<Item = Place>) -> Result<Checked<'_>, DecodeError> {
        simdutf8::basic::from_utf8(&self.0).map(Checked).map_err(|_| {
            let is_wrong = |place: &Place| std::str::from_utf8(&self.0[place.from..place.to]).is_err();
            let wrong = places.into_iter().find(is_wrong);
            DecodeError::Utf8 { field: wrong.unwrap_or_default().field }
        })
    }
}

impl<'t> Checked<'t> {
    /// The text at `place`. A character that two texts share is part of neither.
    #[inline]
    pub(super) fn get(self, place: Place) -> Result<&'t str, DecodeError> {
        self.0.get(place.from..place.to).ok_or(DecodeError::Utf8 { field: place.field })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each text is UTF-8 by itself or the whole is refused, by the field of the first that is not.
    #[track_caller]
    fn check(texts: &[&[u8]], expected: Result<(), u32>) {
        let mut kept = Texts::default();
        let places: Vec<Place> = texts.iter().zip(1..).map(|(text, field)| kept.keep(field, text)).collect();
        let read = kept.check(places.iter().copied());
        let read =
            read.and_then(|checked| places.iter().map(|&place| checked.get(place)).collect::<Result<Vec<_>, _>>());
        match (read, expected) {
            (Ok(read), Ok(())) => assert!(read.iter().zip(texts).all(|(read, text)| read.as_bytes() == *text)),
            (Err(DecodeError::Utf8 { field }), Err(expected)) => assert_eq!(field, expected),
            (read, expected) => panic!("{read:?} where {expected:?} was expected"),
        }
    }

    #[test]
    fn every_text_is_valid_by_itself() {
        check(&[b"GET /", "grün".as_bytes(), b""], Ok(()));
        check(&[b"a", b"\xff", b"c"], Err(2));
        // The two halves of one character.
        check(&[b"a", b"b\xc3", b"\xbc"], Err(2));
    }
}
