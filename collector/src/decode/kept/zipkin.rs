//! Zipkin v2.

use serde_json::value::RawValue;
use spanlint_graph::span::Value;

use super::Keeping;
use super::parts::{MAX_LEVELS, Part, array, object, write_text};
use crate::decode::DecodeError;
use crate::decode::json::value;
use crate::decode::zipkin_json::attributes_of_tag;

/// None where nothing is to be dropped or sealed.
pub(super) fn kept(request: &[u8], keeping: &mut Keeping<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut kept = Vec::with_capacity(request.len());
    let part = spans(serde_json::from_slice(request)?, &mut kept, keeping, MAX_LEVELS)?;
    Ok((part == Part::Rewritten).then_some(kept))
}

/// Writes a span, or an array of them.
fn spans(json: &RawValue, kept: &mut Vec<u8>, keeping: &mut Keeping<'_>, levels: usize) -> serde_json::Result<Part> {
    let Some(levels) = levels.checked_sub(1) else { return Ok(Part::Kept) };
    if json.get().starts_with('[') {
        return array(json, kept, |item, kept| spans(item, kept, keeping, levels));
    }
    let is_covered = |key: &str| keeping.redaction.covers(key);
    object(json, kept, |name, json, kept| match name {
        "name" => text(json, kept, keeping),
        "annotations" => array(json, kept, |annotation, kept| {
            object(annotation, kept, |field, json, kept| match field {
                "value" => text(json, kept, keeping),
                _ => Ok(Part::Kept),
            })
        }),
        "tags" => object(json, kept, |tag, json, kept| {
            if attributes_of_tag(tag).any(is_covered) {
                return Ok(Part::Dropped);
            }
            let value = value(json).to_text().into_owned();
            sealed(attributes_of_tag(tag).find_map(|key| keeping.sealing.value(key, &value)), kept)
        }),
        "localEndpoint" | "remoteEndpoint" => object(json, kept, |field, _, _| {
            Ok(Part::dropped_if(attributes_of_endpoint(name, field).iter().any(|key| is_covered(key))))
        }),
        _ => Ok(Part::Kept),
    })
}

fn text(json: &RawValue, kept: &mut Vec<u8>, keeping: &mut Keeping<'_>) -> serde_json::Result<Part> {
    let Value::Text(text) = value(json) else { return Ok(Part::Kept) };
    sealed(keeping.sealing.text(&text), kept)
}

fn sealed(sealed: Option<String>, kept: &mut Vec<u8>) -> serde_json::Result<Part> {
    let Some(sealed) = sealed else { return Ok(Part::Kept) };
    write_text(kept, &sealed)?;
    Ok(Part::Rewritten)
}

/// What becomes of a field of an endpoint.
fn attributes_of_endpoint(endpoint: &str, field: &str) -> &'static [&'static str] {
    match (endpoint, field) {
        ("localEndpoint", "serviceName") => &["service.name"],
        ("localEndpoint", "ipv4" | "ipv6") => &["service.instance.id", "host.name"],
        ("remoteEndpoint", "serviceName") => &["peer.service", "messaging.system"],
        ("remoteEndpoint", "ipv4" | "ipv6") => &["network.peer.address"],
        ("remoteEndpoint", "port") => &["network.peer.port"],
        _ => &[],
    }
}
