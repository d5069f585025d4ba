//! Keys and values of attributes: a quick way for what nearly all are, and a whole one that merges as protobuf does.

use spanlint_graph::span::Value;

use crate::decode::DecodeError;
use crate::decode::composite::{self, CompositeText};
use crate::decode::wire::{Fields, varint};

/// The value of an attribute as nearly all are: a text or an integer.
pub(super) enum PlainValue<'a> {
    Text(&'a [u8]),
    Int(i64),
}

/// What key and value of an attribute begin with.
pub(super) const KEY: u8 = 1 << 3 | 2;
pub(super) const VALUE: u8 = 2 << 3 | 2;
/// What a value begins with that is a text or an integer.
pub(super) const TEXT: u8 = 1 << 3 | 2;
pub(super) const INT: u8 = 3 << 3;

/// A field of bytes, written with the tag `tag`, and what follows it.
#[inline]
pub(super) fn field(tag: u8, bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    match *bytes {
        // Most are short.
        [first, length @ ..0x80, ref rest @ ..] if first == tag => rest.split_at_checked(length.into()),
        [first, ref rest @ ..] if first == tag => {
            let mut rest = rest;
            let length = varint(&mut rest).ok()?;
            rest.split_at_checked(usize::try_from(length).ok()?)
        }
        _ => None,
    }
}

/// Key and value of an attribute that is written as encoders write it: the key, then a text or an integer, and nothing
/// else. Texts are not validated.
#[inline]
pub(super) fn plain_key_value(message: &[u8]) -> Option<(&[u8], PlainValue<'_>)> {
    let (key, rest) = field(KEY, message)?;
    let (value, []) = field(VALUE, rest)? else { return None };
    match value.split_first()? {
        (&TEXT, _) => {
            let (text, []) = field(TEXT, value)? else { return None };
            Some((key, PlainValue::Text(text)))
        }
        (&INT, mut rest) => {
            let number = varint(&mut rest).ok().filter(|_| rest.is_empty())?;
            Some((key, PlainValue::Int(number as i64)))
        }
        _ => None,
    }
}

/// Key and value of any attribute.
pub(in crate::decode) fn key_value(mut message: Fields<'_>) -> Result<(&str, Value<'_>), DecodeError> {
    let mut key = "";
    let mut value = PartialValue::Scalar(composite::EMPTY);
    while let Some(field) = message.next()? {
        match field.number {
            1 => key = field.text()?,
            2 => value.merge(message.enter(field)?)?,
            // An index into a table of strings that requests of traces do not carry.
            3 => drop(field.varint()?),
            _ => message.skip(field)?,
        }
    }
    Ok((key, value.finish()))
}

/// An `AnyValue` while it is read: another kind replaces it, a further array or map of the same kind is appended.
pub(in crate::decode) enum PartialValue<'a> {
    Scalar(Value<'a>),
    Array(CompositeText),
    Map(CompositeText),
}

impl<'a> PartialValue<'a> {
    pub(in crate::decode) fn merge(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        while let Some(field) = message.next()? {
            match field.number {
                1 => *self = Self::Scalar(Value::Text(field.text()?.into())),
                2 => *self = Self::Scalar(Value::Bool(field.varint()? != 0)),
                3 => *self = Self::Scalar(Value::Int(field.varint()? as i64)),
                4 => *self = Self::Scalar(Value::Double(f64::from_bits(field.fixed64()?))),
                5 => self.append_array(message.enter(field)?)?,
                6 => self.append_map(message.enter(field)?)?,
                7 => *self = Self::Scalar(composite::bytes(field.bytes()?)),
                // An index into a table of strings that requests of traces do not carry.
                8 => {
                    field.varint()?;
                    *self = Self::Scalar(composite::EMPTY);
                }
                _ => message.skip(field)?,
            }
        }
        Ok(())
    }

    fn append_array(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        if !matches!(self, Self::Array(_)) {
            *self = Self::Array(CompositeText::array());
        }
        while let Some(field) = message.next()? {
            if field.number != 1 {
                message.skip(field)?;
                continue;
            }
            let mut element = Self::Scalar(composite::EMPTY);
            element.merge(message.enter(field)?)?;
            if let Self::Array(text) = self {
                text.element(&element.finish());
            }
        }
        Ok(())
    }

    fn append_map(&mut self, mut message: Fields<'a>) -> Result<(), DecodeError> {
        if !matches!(self, Self::Map(_)) {
            *self = Self::Map(CompositeText::map());
        }
        while let Some(field) = message.next()? {
            if field.number != 1 {
                message.skip(field)?;
                continue;
            }
            let (key, value) = key_value(message.enter(field)?)?;
            if let Self::Map(text) = self {
                text.entry(key, &value);
            }
        }
        Ok(())
    }

    pub(in crate::decode) fn finish(self) -> Value<'a> {
        match self {
            Self::Scalar(value) => value,
            Self::Array(text) | Self::Map(text) => text.finish(),
        }
    }
}
