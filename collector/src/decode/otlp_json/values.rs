//! The leaves of OTLP in JSON: attributes with their values, and enumerations.

use std::borrow::Cow;

use spanlint_graph::span::{Attribute, Value};

use crate::decode::composite::{self, CompositeText};
use crate::decode::json_reader::{JsonReader, Read};

/// A number of an enumeration; names that are not known are 0, which is "not given".
pub(super) fn enumeration(reader: &mut JsonReader<'_>) -> Read<i64> {
    reader.enumeration(|name| match name {
        "SPAN_KIND_INTERNAL" | "STATUS_CODE_OK" | "AGGREGATION_TEMPORALITY_DELTA" => 1,
        "SPAN_KIND_SERVER" | "STATUS_CODE_ERROR" | "AGGREGATION_TEMPORALITY_CUMULATIVE" => 2,
        "SPAN_KIND_CLIENT" => 3,
        "SPAN_KIND_PRODUCER" => 4,
        "SPAN_KIND_CONSUMER" => 5,
        _ => name.strip_prefix("SEVERITY_NUMBER_").map_or(0, severity_number),
    })
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

/// An attribute, or an entry of a map.
#[inline]
pub(in crate::decode) fn key_value<'a>(reader: &mut JsonReader<'a>) -> Read<Attribute<'a>> {
    let start = *reader;
    if let Some(attribute) = plain_key_value(reader) {
        return Ok(attribute);
    }
    *reader = start;
    any_key_value(reader)
}

/// An attribute as encoders write nearly all: the key, then a text or an integer, nothing else and no white space.
#[inline]
fn plain_key_value<'a>(reader: &mut JsonReader<'a>) -> Option<Attribute<'a>> {
    reader.exactly("{\"key\":")?;
    let key = reader.plain_text()?;
    reader.exactly(",\"value\":{\"")?;
    let value = if reader.exactly("stringValue\":").is_some() {
        Value::Text(Cow::Borrowed(reader.plain_text()?))
    } else {
        reader.exactly("intValue\":")?;
        Value::Int(reader.plain_text()?.parse().ok()?)
    };
    reader.exactly("}}")?;
    Some((Cow::Borrowed(key), value))
}

fn any_key_value<'a>(reader: &mut JsonReader<'a>) -> Read<Attribute<'a>> {
    let (mut key, mut value) = (Cow::default(), composite::EMPTY);
    reader.object("an attribute (an object)", |reader, name| {
        match name {
            "key" => key = reader.text()?,
            "value" => value = any_value(reader)?,
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok((key, value))
}

/// A value, empty for null; of several kinds the last one counts.
pub(in crate::decode) fn any_value<'a>(reader: &mut JsonReader<'a>) -> Read<Value<'a>> {
    let mut value = composite::EMPTY;
    if reader.null()? {
        return Ok(value);
    }
    reader.object("a value (an object like {\"stringValue\": \"...\"})", |reader, name| {
        if reader.null()? {
            return Ok(());
        }
        match name {
            "stringValue" | "string_value" => value = Value::Text(reader.text()?),
            "boolValue" | "bool_value" => value = Value::Bool(reader.boolean()?),
            "intValue" | "int_value" => value = Value::Int(reader.integer()?),
            "doubleValue" | "double_value" => value = Value::Double(reader.double()?),
            "arrayValue" | "array_value" => value = array(reader)?,
            "kvlistValue" | "kvlist_value" => value = map(reader)?,
            "bytesValue" | "bytes_value" => value = composite::base64_text(&reader.text()?),
            _ => reader.skip()?,
        }
        Ok(())
    })?;
    Ok(value)
}

/// The elements of an array value, as JSON text.
fn array(reader: &mut JsonReader<'_>) -> Read<Value<'static>> {
    let mut elements = CompositeText::array();
    reader.object("an array value (an object with values)", |reader, name| match name {
        "values" => reader.array("an array of values", |reader| {
            elements.element(&any_value(reader)?);
            Ok(())
        }),
        _ => reader.skip(),
    })?;
    Ok(elements.finish())
}

/// The entries of a map value, as JSON text.
fn map(reader: &mut JsonReader<'_>) -> Read<Value<'static>> {
    let mut entries = CompositeText::map();
    reader.object("a map value (an object with values)", |reader, name| match name {
        "values" => reader.array("an array of entries", |reader| {
            let (key, value) = key_value(reader)?;
            entries.entry(&key, &value);
            Ok(())
        }),
        _ => reader.skip(),
    })?;
    Ok(entries.finish())
}
