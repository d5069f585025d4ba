//! The way down to the records: resources, their scopes, and in these spans, log records or metrics.
//!
//! Everything is parsed once, as it stands. Only where a resource stands behind its records, which no SDK writes, their
//! text is kept until it is known.

use std::fmt;

use serde::de::{self, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use spanlint_graph::SpanVisitor;

use super::{JsonLogRecord, JsonMetric, JsonResource, JsonSpan, Walk};
use crate::decode::Signal;
use crate::decode::json::{Each, Text, without_place};

/// An array of resources with their records.
pub(super) struct Resources<'w, 'v, V> {
    pub(super) walk: &'w mut Walk<'v, V>,
    pub(super) signal: Signal,
}

impl<'de, V: SpanVisitor> DeserializeSeed<'de> for Resources<'_, '_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: SpanVisitor> Visitor<'de> for Resources<'_, '_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of resources")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Records { walk: self.walk, signal: self.signal })?.is_some() {}
        Ok(())
    }
}

/// One resource with its records.
struct Records<'w, 'v, V> {
    walk: &'w mut Walk<'v, V>,
    signal: Signal,
}

impl<'de, V: SpanVisitor> DeserializeSeed<'de> for Records<'_, '_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: SpanVisitor> Visitor<'de> for Records<'_, '_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a resource with its scopes (an object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { walk, signal } = self;
        let (mut has_resource, mut has_scopes) = (false, false);
        let mut waiting: Option<&'de RawValue> = None;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            match &*key.0 {
                "resource" if has_resource => return Err(de::Error::duplicate_field("resource")),
                "resource" => {
                    walk.resource(map.next_value::<Option<JsonResource<'de>>>()?.as_ref());
                    has_resource = true;
                }
                "scopeSpans" | "scope_spans" | "scopeLogs" | "scope_logs" | "scopeMetrics" | "scope_metrics" => {
                    if std::mem::replace(&mut has_scopes, true) {
                        return Err(de::Error::duplicate_field("scopes"));
                    }
                    if has_resource {
                        map.next_value_seed(Scopes { walk: &mut *walk, signal })?;
                    } else {
                        waiting = map.next_value()?;
                    }
                }
                _ => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        if !has_resource {
            walk.resource(None);
        }
        let Some(scopes) = waiting else { return Ok(()) };
        let mut deserializer = serde_json::Deserializer::from_str(scopes.get());
        Scopes { walk, signal }.deserialize(&mut deserializer).map_err(|error| de::Error::custom(without_place(error)))
    }
}

/// The scopes of a resource.
struct Scopes<'w, 'v, V> {
    walk: &'w mut Walk<'v, V>,
    signal: Signal,
}

impl<'de, V: SpanVisitor> DeserializeSeed<'de> for Scopes<'_, '_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, V: SpanVisitor> Visitor<'de> for Scopes<'_, '_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array of scopes")
    }

    fn visit_unit<E: de::Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        while sequence.next_element_seed(Scope { walk: self.walk, signal: self.signal })?.is_some() {}
        Ok(())
    }
}

/// One scope.
struct Scope<'w, 'v, V> {
    walk: &'w mut Walk<'v, V>,
    signal: Signal,
}

impl<'de, V: SpanVisitor> DeserializeSeed<'de> for Scope<'_, '_, V> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, V: SpanVisitor> Visitor<'de> for Scope<'_, '_, V> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("a scope with its records (an object)")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let walk = self.walk;
        while let Some(key) = map.next_key::<Text<'de>>()? {
            if !matches!(&*key.0, "spans" | "logRecords" | "log_records" | "metrics") {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            match self.signal {
                Signal::Traces => map.next_value_seed(Each::new(|span: JsonSpan<'_>| walk.span(&span)))?,
                Signal::Logs => map.next_value_seed(Each::new(|record: JsonLogRecord<'_>| {
                    walk.log_record(record);
                    Ok(())
                }))?,
                Signal::Metrics => map.next_value_seed(Each::new(|metric: JsonMetric<'_>| walk.metric(&metric)))?,
            }
        }
        Ok(())
    }
}
