//! OTLP as JSON.

use std::borrow::Cow;

use serde_json::value::RawValue;

use super::parts::{MAX_LEVELS, Part, array, object, write_text};
use super::{Fate, Keeping};
use crate::decode::json_reader::JsonReader;
use crate::decode::otlp_json::values::{any_value, key_value};
use crate::decode::{DecodeError, composite};

/// Where OTLP as JSON has objects inside of each other that have attributes.
const CONTAINERS: [&str; 33] = [
    "resourceSpans",
    "resource_spans",
    "resourceLogs",
    "resource_logs",
    "resourceMetrics",
    "resource_metrics",
    "resource",
    "scopeSpans",
    "scope_spans",
    "instrumentationLibrarySpans",
    "instrumentation_library_spans",
    "scopeLogs",
    "scope_logs",
    "instrumentationLibraryLogs",
    "instrumentation_library_logs",
    "scopeMetrics",
    "scope_metrics",
    "instrumentationLibraryMetrics",
    "instrumentation_library_metrics",
    "scope",
    "spans",
    "events",
    "links",
    "status",
    "logRecords",
    "log_records",
    "metrics",
    "gauge",
    "sum",
    "histogram",
    "exponentialHistogram",
    "exponential_histogram",
    "summary",
];

/// Where points of metrics are.
const POINTS: [&str; 3] = ["dataPoints", "data_points", "exemplars"];

/// Lists of attributes.
const LISTS: [&str; 4] = ["attributes", "filteredAttributes", "filtered_attributes", "metadata"];

/// None where nothing is to be dropped or sealed.
pub(super) fn kept(request: &[u8], keeping: &mut Keeping<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut kept = Vec::with_capacity(request.len());
    let part = container(serde_json::from_slice(request)?, &mut kept, keeping, MAX_LEVELS)?;
    Ok((part == Part::Rewritten).then_some(kept))
}

/// Writes an object, or an array of them, that has texts or holds others that do.
fn container(
    value: &RawValue,
    kept: &mut Vec<u8>,
    keeping: &mut Keeping<'_>,
    levels: usize,
) -> serde_json::Result<Part> {
    let Some(levels) = levels.checked_sub(1) else { return Ok(Part::Kept) };
    match value.get().as_bytes()[0] {
        b'{' => object(value, kept, |name, value, kept| match name {
            "name" | "message" => text(value, kept, keeping),
            "body" => body(value, kept, keeping),
            _ if LISTS.contains(&name) => array(value, kept, |value, kept| attribute(value, kept, keeping)),
            _ if CONTAINERS.contains(&name) || POINTS.contains(&name) => container(value, kept, keeping, levels),
            _ => Ok(Part::Kept),
        }),
        b'[' => array(value, kept, |item, kept| container(item, kept, keeping, levels)),
        _ => Ok(Part::Kept),
    }
}

/// What is none, since nobody reads attributes there, is of no use to anybody.
fn attribute(json: &RawValue, kept: &mut Vec<u8>, keeping: &mut Keeping<'_>) -> serde_json::Result<Part> {
    let Ok((key, value)) = key_value(&mut JsonReader::new(json.get().as_bytes())) else { return Ok(Part::Dropped) };
    let sealed = match keeping.attribute(&key, &value) {
        Fate::Dropped => return Ok(Part::Dropped),
        Fate::Sealed(value) => Cow::Owned(value),
        // What is left out of a value was not looked at.
        Fate::Kept if composite::is_cut(&value) => value.to_text(),
        Fate::Kept => return Ok(Part::Kept),
    };
    kept.extend_from_slice(b"{\"key\":");
    write_text(kept, &key)?;
    kept.extend_from_slice(b",\"value\":");
    write_value(kept, &sealed)?;
    kept.push(b'}');
    Ok(Part::Rewritten)
}

/// A name or a message.
fn text(json: &RawValue, kept: &mut Vec<u8>, keeping: &mut Keeping<'_>) -> serde_json::Result<Part> {
    let text = JsonReader::new(json.get().as_bytes()).text();
    let Some(sealed) = text.ok().and_then(|text| keeping.sealing.text(&text)) else { return Ok(Part::Kept) };
    write_text(kept, &sealed)?;
    Ok(Part::Rewritten)
}

/// The line of a log record.
fn body(json: &RawValue, kept: &mut Vec<u8>, keeping: &mut Keeping<'_>) -> serde_json::Result<Part> {
    let Ok(value) = any_value(&mut JsonReader::new(json.get().as_bytes())) else { return Ok(Part::Kept) };
    let line = value.to_text();
    let sealed = keeping.sealing.text(&line).or_else(|| composite::is_cut(&value).then(|| line.into_owned()));
    let Some(sealed) = sealed else { return Ok(Part::Kept) };
    write_value(kept, &sealed)?;
    Ok(Part::Rewritten)
}

/// A value that is a text.
fn write_value(kept: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    kept.extend_from_slice(b"{\"stringValue\":");
    write_text(kept, text)?;
    kept.push(b'}');
    Ok(())
}
