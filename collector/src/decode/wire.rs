//! The protobuf wire format: fields of a message, borrowed, every length and nesting checked.
//!
//! Accepts and refuses exactly what prost does, the implementation behind the public OpenTelemetry types.

use super::DecodeError;
use crate::limits::MAX_PROTOBUF_DEPTH;

/// What a field holds, by wire type.
#[derive(Debug, Clone, Copy)]
pub(super) enum Payload<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    /// Not read yet: only [`Fields::skip`] goes past it.
    Group,
    Fixed32,
}

/// One field of a message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field<'a> {
    pub(super) number: u32,
    pub(super) payload: Payload<'a>,
}

impl<'a> Field<'a> {
    fn wrong_type<T>(self) -> Result<T, DecodeError> {
        Err(DecodeError::WireType { field: self.number })
    }

    /// An integer, a boolean or an enumeration.
    #[inline]
    pub(super) fn varint(self) -> Result<u64, DecodeError> {
        if let Payload::Varint(value) = self.payload { Ok(value) } else { self.wrong_type() }
    }

    #[inline]
    pub(super) fn fixed64(self) -> Result<u64, DecodeError> {
        if let Payload::Fixed64(value) = self.payload { Ok(value) } else { self.wrong_type() }
    }

    /// Four bytes that nobody reads.
    #[inline]
    pub(super) fn fixed32(self) -> Result<(), DecodeError> {
        if matches!(self.payload, Payload::Fixed32) { Ok(()) } else { self.wrong_type() }
    }

    #[inline]
    pub(super) fn bytes(self) -> Result<&'a [u8], DecodeError> {
        if let Payload::Bytes(bytes) = self.payload { Ok(bytes) } else { self.wrong_type() }
    }

    #[inline]
    pub(super) fn text(self) -> Result<&'a str, DecodeError> {
        simdutf8::basic::from_utf8(self.bytes()?).map_err(|_| DecodeError::Utf8 { field: self.number })
    }
}

/// The fields of one message, in the order sent.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields<'a> {
    rest: &'a [u8],
    /// How many more levels may follow.
    depth: u32,
}

impl<'a> Fields<'a> {
    /// The fields of an outermost message.
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self { rest: bytes, depth: MAX_PROTOBUF_DEPTH }
    }

    /// The fields of the message that `field` of this message holds.
    #[inline]
    pub(super) fn enter(&self, field: Field<'a>) -> Result<Self, DecodeError> {
        let rest = field.bytes()?;
        Ok(Self { rest, depth: self.deeper()? })
    }

    /// The bytes that are not read yet.
    #[inline]
    pub(super) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The next field.
    #[inline]
    pub(super) fn next(&mut self) -> Result<Option<Field<'a>>, DecodeError> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let key = varint(&mut self.rest)?;
        let number = u32::try_from(key).map_err(|_| DecodeError::Key { key })? >> 3;
        if number == 0 {
            return Err(DecodeError::Key { key });
        }
        let payload = match key & 7 {
            0 => Payload::Varint(varint(&mut self.rest)?),
            1 => Payload::Fixed64(u64::from_le_bytes(*self.take_array()?)),
            2 => {
                let length = varint(&mut self.rest)?;
                Payload::Bytes(self.take(length)?)
            }
            3 => Payload::Group,
            4 => return Err(DecodeError::Group),
            5 => {
                self.take(4)?;
                Payload::Fixed32
            }
            _ => return Err(DecodeError::Key { key }),
        };
        Ok(Some(Field { number, payload }))
    }

    /// Goes past a field that is not known.
    #[inline]
    pub(super) fn skip(&mut self, field: Field<'a>) -> Result<(), DecodeError> {
        let depth = self.deeper()?;
        if let Payload::Group = field.payload { self.skip_group(field.number, depth) } else { Ok(()) }
    }

    fn skip_group(&mut self, number: u32, depth: u32) -> Result<(), DecodeError> {
        let mut inside = Self { rest: self.rest, depth };
        loop {
            let before = inside.rest;
            match inside.next() {
                Ok(Some(field)) => inside.skip(field)?,
                Ok(None) => return Err(DecodeError::Truncated),
                Err(DecodeError::Group) => {
                    self.rest = before;
                    let end = varint(&mut self.rest)?;
                    return if end >> 3 == u64::from(number) { Ok(()) } else { Err(DecodeError::Group) };
                }
                Err(error) => return Err(error),
            }
        }
    }

    #[inline]
    fn deeper(&self) -> Result<u32, DecodeError> {
        self.depth.checked_sub(1).ok_or(DecodeError::Depth { limit: MAX_PROTOBUF_DEPTH })
    }

    #[inline]
    fn take(&mut self, length: u64) -> Result<&'a [u8], DecodeError> {
        let length = usize::try_from(length).map_err(|_| DecodeError::Truncated)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    #[inline]
    fn take_array<const N: usize>(&mut self) -> Result<&'a [u8; N], DecodeError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(DecodeError::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }
}

/// Takes a number of up to 64 bits off the front of `rest`.
#[inline]
pub(crate) fn varint(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    match rest.split_first() {
        Some((&byte, tail)) if byte < 0x80 => {
            *rest = tail;
            Ok(byte.into())
        }
        _ => long_varint(rest),
    }
}

fn long_varint(rest: &mut &[u8]) -> Result<u64, DecodeError> {
    let mut value = 0;
    for (index, &byte) in rest.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            *rest = &rest[index + 1..];
            return if index == 9 && byte > 1 { Err(DecodeError::Varint) } else { Ok(value) };
        }
    }
    Err(if rest.len() < 10 { DecodeError::Truncated } else { DecodeError::Varint })
}
/// Writes a varint.
pub(crate) fn write_varint(message: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        message.push(value as u8 | 0x80);
        value >>= 7;
    }
    message.push(value as u8);
}

/// Writes bytes, a text or a message as field `field`.
pub(crate) fn write_bytes(message: &mut Vec<u8>, field: u32, bytes: &[u8]) {
    write_varint(message, u64::from(field) << 3 | 2);
    write_varint(message, bytes.len() as u64);
    message.extend_from_slice(bytes);
}
