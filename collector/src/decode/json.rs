//! What the JSON formats share: texts and lists that take null for absent, times, values of any type.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spanlint_graph::span::Value;

use super::composite;

/// A text, borrowed where it has no escapes.
#[derive(Default)]
pub(super) struct Text<'a>(pub(super) Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(TextVisitor).map(Self)
    }
}

struct TextVisitor;

impl<'de> Visitor<'de> for TextVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a text")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }
}

/// Calls a function with each element of an array as it is parsed; null is an empty array.
pub(super) struct Each<T, F> {
    visit: F,
    element: PhantomData<T>,
}

impl<T, F> Each<T, F> {
    pub(super) fn new(visit: F) -> Self {
        Self { visit, element: PhantomData }
    }
}

impl<'de, T, F> DeserializeSeed<'de> for Each<T, F>
where
    T: Deserialize<'de>,
    F: FnMut(T) -> Result<(), serde_json::Error>,
{
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T, F> Visitor<'de> for Each<T, F>
where
    T: Deserialize<'de>,
    F: FnMut(T) -> Result<(), serde_json::Error>,
{
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut sequence: A) -> Result<(), A::Error> {
        while let Some(element) = sequence.next_element()? {
            (self.visit)(element).map_err(de::Error::custom)?;
        }
        Ok(())
    }
}

/// Calls `visit` with each element of an array that is still text.
pub(super) fn each<'a, T: Deserialize<'a>>(
    array: Option<&'a RawValue>,
    visit: impl FnMut(T) -> Result<(), serde_json::Error>,
) -> Result<(), serde_json::Error> {
    let Some(array) = array else { return Ok(()) };
    Each::new(visit).deserialize(&mut serde_json::Deserializer::from_str(array.get())).map_err(without_place)
}

/// The place in a part of the request would mislead, so it is left out.
pub(super) fn without_place(error: serde_json::Error) -> serde_json::Error {
    let message = error.to_string();
    match message.rfind(" at line ") {
        Some(end) => de::Error::custom(&message[..end]),
        None => error,
    }
}

/// A time or a duration, sent in microseconds; what is negative is zero, since it comes from a clock that was set back.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Microseconds {
    pub(super) ns: u64,
}

impl<'de> Deserialize<'de> for Microseconds {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(MicrosecondsVisitor).map(|ns| Self { ns })
    }
}

struct MicrosecondsVisitor;

impl Visitor<'_> for MicrosecondsVisitor {
    type Value = u64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number of microseconds")
    }

    fn visit_u64<E: de::Error>(self, microseconds: u64) -> Result<u64, E> {
        Ok(microseconds.saturating_mul(1000))
    }

    fn visit_i64<E: de::Error>(self, microseconds: i64) -> Result<u64, E> {
        Ok(u64::try_from(microseconds).unwrap_or_default().saturating_mul(1000))
    }

    fn visit_f64<E: de::Error>(self, microseconds: f64) -> Result<u64, E> {
        Ok((microseconds * 1000.0) as u64)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<u64, E> {
        let number: i64 = text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))?;
        self.visit_i64(number)
    }

    fn visit_unit<E: de::Error>(self) -> Result<u64, E> {
        Ok(0)
    }
}

/// The value that JSON text of any type stands for.
pub(super) fn value(json: &RawValue) -> Value<'_> {
    let text = json.get();
    match text.as_bytes().first() {
        Some(b'"') => serde_json::from_str(text).map_or(Value::Text(text.into()), |text: Text<'_>| Value::Text(text.0)),
        Some(b't') => Value::Bool(true),
        Some(b'f') => Value::Bool(false),
        Some(b'n') => composite::EMPTY,
        Some(b'{' | b'[') => composite::json(text),
        _ => text.parse().map(Value::Int).or_else(|_| text.parse().map(Value::Double)).unwrap_or(composite::EMPTY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn microseconds_come_in_every_shape_and_never_overflow() {
        let ns = |json: &str| serde_json::from_str::<Microseconds>(json).unwrap().ns;
        assert_eq!(ns("1531282088548312"), 1_531_282_088_548_312_000);
        assert_eq!(ns("\"7\""), 7000);
        assert_eq!(ns("1.5"), 1500);
        assert_eq!([ns("-5"), ns("\"-5\""), ns("-0.5"), ns("null")], [0; 4]);
        assert_eq!([ns("18446744073709551615"), ns("1e300")], [u64::MAX; 2]);
        assert!(serde_json::from_str::<Microseconds>("\"soon\"").is_err());
    }

    #[test]
    fn values_of_every_type_are_read() {
        let read = |json: &str| {
            let raw: Box<RawValue> = serde_json::from_str(json).unwrap();
            value(&raw).to_text().into_owned()
        };
        let texts = ["\"a\\nb\"", "true", "-7", "1.5", "18446744073709551615", "null", "[1, {}]"].map(read);
        assert_eq!(texts, ["a\nb", "true", "-7", "1.5", "18446744073709552000", "", "[1, {}]"]);
    }
}
