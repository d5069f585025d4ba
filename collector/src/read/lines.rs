//! Lines of a bounded length, read one at a time into one buffer.

use std::io::{self, BufRead};

/// How reading a line ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line {
    /// The buffer holds a line without its line break.
    Whole,
    /// The line is longer than the bound; it was passed over.
    TooLong,
    /// There are no more lines.
    End,
}

/// Reads the next line into `line`, which it clears first.
pub(super) fn read(reader: &mut impl BufRead, limit: usize, line: &mut Vec<u8>) -> io::Result<Line> {
    line.clear();
    let mut is_too_long = false;
    let mut is_empty = true;
    loop {
        let available = match reader.fill_buf() {
            Ok(available) => available,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        if available.is_empty() && is_empty {
            return Ok(Line::End);
        }
        is_empty = false;
        let newline = memchr::memchr(b'\n', available);
        let part = &available[..newline.unwrap_or(available.len())];
        is_too_long |= line.len() + part.len() > limit;
        if is_too_long {
            line.clear();
        } else {
            line.extend_from_slice(part);
        }
        let is_last = newline.is_some() || available.is_empty();
        let used = part.len() + usize::from(newline.is_some());
        reader.consume(used);
        if is_last {
            return Ok(if is_too_long { Line::TooLong } else { Line::Whole });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_passed_over_whatever_the_size_of_the_reads() {
        for capacity in 1..20 {
            let mut reader = io::BufReader::with_capacity(capacity, &b"one\n\nfar too long\nthree\nhalf"[..]);
            let mut line = Vec::new();
            let mut lines = Vec::new();
            loop {
                match read(&mut reader, 5, &mut line).unwrap() {
                    Line::Whole => lines.push(String::from_utf8(line.clone()).unwrap()),
                    Line::TooLong => lines.push("-".to_owned()),
                    Line::End => break,
                }
            }
            assert_eq!(lines, ["one", "", "-", "three", "half"]);
        }
    }
}
