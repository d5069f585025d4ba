//! The leaves of OTLP in JSON: numbers, enumerations, values and bounded lists, each taking null for absent.

use std::fmt;

use serde::Deserialize;
use serde::de::{self, DeserializeSeed as _, Deserializer, IgnoredAny, MapAccess, Visitor};

use serde_json::value::RawValue;

use super::{
    ArrayFields, Attribute, CompositeText, Each, Envelope, IdError, JsonLink, KeyValue, Link, MAX_ATTRIBUTES,
    MAX_LINKS, MapFields, Text, Value, composite, each, ids,
};

/// An unsigned 64-bit number, as number or as text.
#[derive(Default)]
pub(super) struct Unsigned(pub(super) u64);

impl<'de> Deserialize<'de> for Unsigned {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(IntegerVisitor)?;
        u64::try_from(number).map(Self).map_err(|_| de::Error::custom(format_args!("{number} is not a 64-bit number")))
    }
}

/// A signed 64-bit number, as number or as text.
pub(super) struct Integer(pub(super) i64);

impl<'de> Deserialize<'de> for Integer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = deserializer.deserialize_any(IntegerVisitor)?;
        i64::try_from(number).map(Self).map_err(|_| de::Error::custom(format_args!("{number} is not a 64-bit number")))
    }
}

struct IntegerVisitor;

impl Visitor<'_> for IntegerVisitor {
    type Value = i128;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an integer, as number or as text")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i128, E> {
        Ok(number.into())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i128, E> {
        Ok(number.into())
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<i128, E> {
        if number.fract() == 0.0 {
            Ok(number as i128)
        } else {
            Err(E::invalid_type(de::Unexpected::Float(number), &self))
        }
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<i128, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }

    fn visit_unit<E: de::Error>(self) -> Result<i128, E> {
        Ok(0)
    }
}

/// A double; what JSON cannot write comes as text.
pub(super) struct Double(pub(super) f64);

impl<'de> Deserialize<'de> for Double {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(DoubleVisitor).map(Self)
    }
}

struct DoubleVisitor;

impl Visitor<'_> for DoubleVisitor {
    type Value = f64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a number")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<f64, E> {
        Ok(number as f64)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<f64, E> {
        Ok(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<f64, E> {
        text.parse().map_err(|_| E::invalid_value(de::Unexpected::Str(text), &self))
    }
}

/// A number of an enumeration, as number or by its name; names that are not known are 0, which is "not given".
#[derive(Default)]
pub(super) struct EnumNumber(pub(super) i64);

impl<'de> Deserialize<'de> for EnumNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(EnumVisitor).map(Self)
    }
}

struct EnumVisitor;

impl Visitor<'_> for EnumVisitor {
    type Value = i64;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("the number or the name of an enumeration")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<i64, E> {
        Ok(i64::try_from(number).unwrap_or_default())
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<i64, E> {
        Ok(number)
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<i64, E> {
        Ok(match name {
            "SPAN_KIND_INTERNAL" | "STATUS_CODE_OK" | "AGGREGATION_TEMPORALITY_DELTA" => 1,
            "SPAN_KIND_SERVER" | "STATUS_CODE_ERROR" | "AGGREGATION_TEMPORALITY_CUMULATIVE" => 2,
            "SPAN_KIND_CLIENT" => 3,
            "SPAN_KIND_PRODUCER" => 4,
            "SPAN_KIND_CONSUMER" => 5,
            _ => name.strip_prefix("SEVERITY_NUMBER_").map_or(0, severity_number),
        })
    }

    fn visit_unit<E: de::Error>(self) -> Result<i64, E> {
        Ok(0)
    }
}

/// `ERROR2` is the second of the four errors: 18.
fn severity_number(name: &str) -> i64 {
    let (word, place) = match name.as_bytes() {
        [word @ .., digit @ b'2'..=b'4'] => (word, digit - b'1'),
        word => (word, 0),
    };
    let words: [&[u8]; 6] = [b"TRACE", b"DEBUG", b"INFO", b"WARN", b"ERROR", b"FATAL"];
    words.iter().position(|known| *known == word).map_or(0, |index| 4 * index as i64 + 1 + i64::from(place))
}

/// The value of an attribute; of several kinds the last one counts.
pub(super) struct AnyValue<'a>(pub(super) Value<'a>);

impl<'de: 'a, 'a> Deserialize<'de> for AnyValue<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(AnyValueVisitor).map(Self)
    }
}

struct AnyValueVisitor;

impl<'de> Visitor<'de> for AnyValueVisitor {
    type Value = Value<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a value (an object like {\"stringValue\": \"...\"})")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value<'de>, A::Error> {
        let mut value = composite::EMPTY;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            let member = match &*key.0 {
                "stringValue" | "string_value" => {
                    map.next_value::<Option<Text<'de>>>()?.map(|text| Value::Text(text.0))
                }
                "boolValue" | "bool_value" => map.next_value::<Option<bool>>()?.map(Value::Bool),
                "intValue" | "int_value" => map.next_value::<Option<Integer>>()?.map(|number| Value::Int(number.0)),
                "doubleValue" | "double_value" => {
                    map.next_value::<Option<Double>>()?.map(|number| Value::Double(number.0))
                }
                "arrayValue" | "array_value" => {
                    map.next_value::<Option<ArrayFields>>()?.map(|array| array.values.0.finish())
                }
                "kvlistValue" | "kvlist_value" => {
                    map.next_value::<Option<MapFields>>()?.map(|map| map.values.0.finish())
                }
                "bytesValue" | "bytes_value" => {
                    map.next_value::<Option<Text<'de>>>()?.map(|text| composite::base64_text(&text.0))
                }
                _ => {
                    map.next_value::<IgnoredAny>()?;
                    None
                }
            };
            value = member.unwrap_or(value);
        }
        Ok(value)
    }
}

/// The elements of an array value, as JSON text.
pub(super) struct Elements(pub(super) CompositeText);

impl Default for Elements {
    fn default() -> Self {
        Self(CompositeText::array())
    }
}

impl<'de> Deserialize<'de> for Elements {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut elements = Self::default();
        Each::new(|value: Option<AnyValue<'de>>| {
            elements.0.element(&value.map_or(composite::EMPTY, |value| value.0));
            Ok(())
        })
        .deserialize(deserializer)?;
        Ok(elements)
    }
}

/// The entries of a map value, as JSON text.
pub(super) struct Entries(pub(super) CompositeText);

impl Default for Entries {
    fn default() -> Self {
        Self(CompositeText::map())
    }
}

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut entries = Self::default();
        Each::new(|mut entry: KeyValue<'de>| {
            let key = std::mem::take(&mut entry.key.0);
            entries.0.entry(&key, &entry.value());
            Ok(())
        })
        .deserialize(deserializer)?;
        Ok(entries)
    }
}

/// The first [`MAX_ATTRIBUTES`] attributes.
#[derive(Default)]
pub(super) struct Attributes<'a> {
    pub(super) list: Vec<Attribute<'a>>,
    /// Attributes left out and values cut.
    pub(super) over_limit: u64,
}

impl<'de: 'a, 'a> Deserialize<'de> for Attributes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut attributes = Self::default();
        Each::new(|mut attribute: KeyValue<'a>| {
            if attributes.list.len() == MAX_ATTRIBUTES {
                attributes.over_limit += 1;
                return Ok(());
            }
            let key = std::mem::take(&mut attribute.key.0);
            let value = attribute.value();
            attributes.over_limit += u64::from(composite::is_cut(&value));
            attributes.list.push((key, value));
            Ok(())
        })
        .deserialize(deserializer)?;
        Ok(attributes)
    }
}

/// The first [`MAX_LINKS`] links that lead somewhere.
#[derive(Default)]
pub(super) struct Links {
    pub(super) list: Vec<Link>,
    /// The first link with wrong ids.
    pub(super) wrong: Option<IdError>,
    pub(super) over_limit: u64,
}

impl Links {
    /// Reads the links of a span, whose ids are written as the envelope has them.
    pub(super) fn read(links: Option<&RawValue>, envelope: Envelope) -> Result<Self, serde_json::Error> {
        let mut read = Self::default();
        each(links, |link: JsonLink<'_>| {
            match ids::check_link(envelope.id(&link.trace_id.0), envelope.id(&link.span_id.0)) {
                Ok(Some(_)) if read.list.len() == MAX_LINKS => read.over_limit += 1,
                Ok(link) => read.list.extend(link),
                Err(error) => read.wrong = read.wrong.take().or(Some(error)),
            }
            Ok(())
        })?;
        Ok(read)
    }
}
