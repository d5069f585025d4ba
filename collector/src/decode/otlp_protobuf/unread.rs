//! Messages that nothing is kept of: validated field by field, so that a request is refused for them where the public types
//! refuse it.

use super::values::key_value;
use crate::decode::DecodeError;
use crate::decode::wire::{Field, Fields, Payload, varint};

/// A message of `opentelemetry.proto`, by its name there.
#[derive(Debug, Clone, Copy)]
pub(super) enum Message {
    Scope,
    EntityRef,
    Metric,
    Gauge,
    Sum,
    Histogram,
    ExponentialHistogram,
    Summary,
    NumberDataPoint,
    HistogramDataPoint,
    ExponentialHistogramDataPoint,
    Buckets,
    SummaryDataPoint,
    ValueAtQuantile,
    Exemplar,
}

/// What a field must hold.
#[derive(Debug, Clone, Copy)]
enum Expected {
    Text,
    Bytes,
    Varint,
    Fixed64,
    /// One of them, or all of them behind each other.
    Varints,
    Fixed64s,
    KeyValue,
    Nested(Message),
    Unknown,
}

impl Message {
    /// The field of a scope that its attributes are in.
    pub(super) const ATTRIBUTES_OF_SCOPE: u32 = 3;

    /// The fields that the specification gives it, by their numbers.
    #[rustfmt::skip]
    const fn known(self) -> &'static [(u32, Expected)] {
        use Expected::{Bytes, Fixed64, Fixed64s, KeyValue, Nested, Text, Varint, Varints};
        match self {
            Self::Scope => &[(1, Text), (2, Text), (Self::ATTRIBUTES_OF_SCOPE, KeyValue), (4, Varint)],
            Self::EntityRef => &[(1, Text), (2, Text), (3, Text), (4, Text)],
            Self::Metric => &[
                (1, Text), (2, Text), (3, Text), (5, Nested(Self::Gauge)), (7, Nested(Self::Sum)),
                (9, Nested(Self::Histogram)), (10, Nested(Self::ExponentialHistogram)), (11, Nested(Self::Summary)),
                (12, KeyValue),
            ],
            Self::Gauge => &[(1, Nested(Self::NumberDataPoint))],
            Self::Sum => &[(1, Nested(Self::NumberDataPoint)), (2, Varint), (3, Varint)],
            Self::Histogram => &[(1, Nested(Self::HistogramDataPoint)), (2, Varint)],
            Self::ExponentialHistogram => &[(1, Nested(Self::ExponentialHistogramDataPoint)), (2, Varint)],
            Self::Summary => &[(1, Nested(Self::SummaryDataPoint))],
            Self::NumberDataPoint => &[
                (2, Fixed64), (3, Fixed64), (4, Fixed64), (5, Nested(Self::Exemplar)), (6, Fixed64), (7, KeyValue),
                (8, Varint),
            ],
            Self::HistogramDataPoint => &[
                (2, Fixed64), (3, Fixed64), (4, Fixed64), (5, Fixed64), (6, Fixed64s), (7, Fixed64s),
                (8, Nested(Self::Exemplar)), (9, KeyValue), (10, Varint), (11, Fixed64), (12, Fixed64),
            ],
            Self::ExponentialHistogramDataPoint => &[
                (1, KeyValue), (2, Fixed64), (3, Fixed64), (4, Fixed64), (5, Fixed64), (6, Varint), (7, Fixed64),
                (8, Nested(Self::Buckets)), (9, Nested(Self::Buckets)), (10, Varint), (11, Nested(Self::Exemplar)),
                (12, Fixed64), (13, Fixed64), (14, Fixed64),
            ],
            Self::Buckets => &[(1, Varint), (2, Varints)],
            Self::SummaryDataPoint => &[
                (2, Fixed64), (3, Fixed64), (4, Fixed64), (5, Fixed64), (6, Nested(Self::ValueAtQuantile)),
                (7, KeyValue), (8, Varint),
            ],
            Self::ValueAtQuantile => &[(1, Fixed64), (2, Fixed64)],
            Self::Exemplar => &[
                (2, Fixed64), (3, Fixed64), (4, Bytes), (5, Bytes), (6, Fixed64), (7, KeyValue),
            ],
        }
    }

    pub(super) fn validate(self, mut fields: Fields<'_>) -> Result<(), DecodeError> {
        while let Some(field) = fields.next()? {
            let known = self.known().iter().find(|(number, _)| *number == field.number);
            match known.map_or(Expected::Unknown, |(_, expected)| *expected) {
                Expected::Text => drop(field.text()?),
                Expected::Bytes => drop(field.bytes()?),
                Expected::Varint => drop(field.varint()?),
                Expected::Fixed64 => drop(field.fixed64()?),
                Expected::Varints => varints(field)?,
                Expected::Fixed64s => fixed64s(field)?,
                Expected::KeyValue => drop(key_value(fields.enter(field)?)?),
                Expected::Nested(message) => message.validate(fields.enter(field)?)?,
                Expected::Unknown => fields.skip(field)?,
            }
        }
        Ok(())
    }
}

fn varints(field: Field<'_>) -> Result<(), DecodeError> {
    let Payload::Bytes(mut packed) = field.payload else { return field.varint().map(drop) };
    while !packed.is_empty() {
        varint(&mut packed)?;
    }
    Ok(())
}

fn fixed64s(field: Field<'_>) -> Result<(), DecodeError> {
    match field.payload {
        Payload::Bytes(packed) if packed.len() % 8 == 0 => Ok(()),
        Payload::Bytes(_) => Err(DecodeError::Truncated),
        _ => field.fixed64().map(drop),
    }
}
