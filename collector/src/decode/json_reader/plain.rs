//! What most numbers and texts of JSON are: digits, and characters that stand for themselves.

/// The whole number that `text` begins with, and how many digits it has; none where there is none, or where they are so
/// many that it may be too large.
#[inline]
pub(in crate::decode) fn plain_digits(text: &[u8]) -> Option<(u64, usize)> {
    const MOST: usize = u64::MAX.ilog10() as usize;
    let (mut number, mut count) = (0, 0);
    while let Some(digit @ b'0'..=b'9') = text.get(count) {
        if count == MOST {
            return None;
        }
        number = 10 * number + u64::from(digit - b'0');
        count += 1;
    }
    (count > 0).then_some((number, count))
}

/// How many bytes `text` begins with that stand for themselves in a string: neither quotation mark nor backslash nor
/// control character. Eight at a time, since most names and values are short.
#[inline]
pub(in crate::decode) fn plain_length(text: &[u8]) -> usize {
    /// A factor that puts a byte in each of eight places.
    const EACH: u64 = u64::from_le_bytes([1; 8]);
    let (chunks, rest) = text.as_chunks();
    for (index, chunk) in chunks.iter().enumerate() {
        let word = u64::from_le_bytes(*chunk);
        // Subtracting sets the highest bit of each byte that is less; the lowest one set is right, a borrow may set
        // others above it. Turning bit 2 puts the quotation mark right above the control characters.
        let quote_or_control = (word ^ (EACH * 0b10)).wrapping_sub(EACH * 0x21);
        let backslash = (word ^ (EACH * 0x5c)).wrapping_sub(EACH);
        let special = (quote_or_control | backslash) & !word & (EACH * 0x80);
        if special != 0 {
            return 8 * index + special.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| matches!(byte, ..b' ' | b'"' | b'\\');
    text.len() - rest.len() + rest.iter().position(is_special).unwrap_or(rest.len())
}
