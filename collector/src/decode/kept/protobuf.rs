//! OTLP as protobuf.

use spanlint_graph::Sealing;

use super::{Fate, Keeping};
use crate::decode::otlp_protobuf::values::{PartialValue, key_value};
use crate::decode::wire::{Field, Fields, write_bytes};
use crate::decode::{DecodeError, Signal, composite};

/// Where a protobuf message has texts, and where messages that have some.
struct Layout {
    /// Names and messages.
    texts: &'static [u32],
    /// Values without a key.
    values: &'static [u32],
    attributes: &'static [u32],
    within: &'static [(u32, &'static Self)],
}

const NOTHING: Layout = Layout { texts: &[], values: &[], attributes: &[], within: &[] };

const fn attributes(fields: &'static [u32]) -> Layout {
    Layout { attributes: fields, ..NOTHING }
}

const fn within(fields: &'static [(u32, &'static Layout)]) -> Layout {
    Layout { within: fields, ..NOTHING }
}

static RESOURCE: Layout = attributes(&[1]);
static SCOPE: Layout = attributes(&[3]);

/// Spans with their events, links and status.
static TRACES: Layout = within(&[(1, &within(&[(1, &RESOURCE), (2, &within(&[(1, &SCOPE), (2, &SPAN)]))]))]);
static SPAN: Layout = Layout {
    texts: &[5],
    attributes: &[9],
    within: &[
        (11, &Layout { texts: &[2], attributes: &[3], ..NOTHING }),
        (13, &attributes(&[4])),
        (15, &Layout { texts: &[2], ..NOTHING }),
    ],
    ..NOTHING
};

static LOGS: Layout = within(&[(1, &within(&[(1, &RESOURCE), (2, &within(&[(1, &SCOPE), (2, &RECORD)]))]))]);
static RECORD: Layout = Layout { values: &[5], attributes: &[6], ..NOTHING };

/// Points of gauges, sums, histograms, exponential histograms and summaries, with their exemplars.
static METRICS: Layout = within(&[(1, &within(&[(1, &RESOURCE), (2, &within(&[(1, &SCOPE), (2, &METRIC)]))]))]);
static METRIC: Layout = Layout {
    attributes: &[12],
    within: &[
        (5, &within(&[(1, &NUMBER)])),
        (7, &within(&[(1, &NUMBER)])),
        (9, &within(&[(1, &Layout { attributes: &[9], within: &[(8, &EXEMPLAR)], ..NOTHING })])),
        (10, &within(&[(1, &Layout { attributes: &[1], within: &[(11, &EXEMPLAR)], ..NOTHING })])),
        (11, &within(&[(1, &attributes(&[7]))])),
    ],
    ..NOTHING
};
static NUMBER: Layout = Layout { attributes: &[7], within: &[(5, &EXEMPLAR)], ..NOTHING };
static EXEMPLAR: Layout = attributes(&[7]);

/// None where nothing is to be dropped or sealed.
pub(super) fn kept(signal: Signal, request: &[u8], keeping: &mut Keeping<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    let layout = match signal {
        Signal::Traces => &TRACES,
        Signal::Logs => &LOGS,
        Signal::Metrics => &METRICS,
    };
    message(Fields::of(request), layout, keeping)
}

/// What becomes of a field.
enum Other {
    Dropped,
    /// Other bytes stand in it.
    Bytes(Vec<u8>),
}

fn message(mut fields: Fields<'_>, layout: &Layout, keeping: &mut Keeping<'_>) -> Result<Option<Vec<u8>>, DecodeError> {
    let whole = fields.rest();
    let mut kept = Vec::new();
    // Up to here the message is in what is kept.
    let mut done = 0;
    loop {
        let start = whole.len() - fields.rest().len();
        let Some(field) = fields.next()? else { break };
        let other = other(&fields, field, layout, keeping)?;
        fields.skip(field)?;
        if let Some(other) = other {
            kept.extend_from_slice(&whole[done..start]);
            done = whole.len() - fields.rest().len();
            if let Other::Bytes(bytes) = other {
                write_bytes(&mut kept, field.number, &bytes);
            }
        }
    }
    if done == 0 {
        return Ok(None);
    }
    kept.extend_from_slice(&whole[done..]);
    Ok(Some(kept))
}

/// None for a field that is kept as it is.
fn other(
    fields: &Fields<'_>,
    field: Field<'_>,
    layout: &Layout,
    keeping: &mut Keeping<'_>,
) -> Result<Option<Other>, DecodeError> {
    let number = field.number;
    if let Some((_, layout)) = layout.within.iter().find(|(within, _)| *within == number) {
        return Ok(message(fields.enter(field)?, layout, keeping)?.map(Other::Bytes));
    }
    if layout.attributes.contains(&number) {
        let (key, value) = key_value(fields.enter(field)?)?;
        return Ok(match keeping.attribute(key, &value) {
            Fate::Dropped => Some(Other::Dropped),
            Fate::Sealed(value) => Some(Other::Bytes(attribute(key, &value))),
            // What is left out of a value was not looked at.
            Fate::Kept if composite::is_cut(&value) => Some(Other::Bytes(attribute(key, &value.to_text()))),
            Fate::Kept => None,
        });
    }
    if layout.texts.contains(&number) {
        return Ok(keeping.sealing.text(field.text()?).map(|text| Other::Bytes(text.into_bytes())));
    }
    if layout.values.contains(&number) {
        return Ok(sealed_value(fields, field, keeping.sealing)?.map(Other::Bytes));
    }
    Ok(None)
}

/// A value without a key, if something in it is confidential or was not looked at.
fn sealed_value(outer: &Fields<'_>, field: Field<'_>, sealing: &mut Sealing) -> Result<Option<Vec<u8>>, DecodeError> {
    let mut value = PartialValue::Scalar(composite::EMPTY);
    value.merge(outer.enter(field)?)?;
    let value = value.finish();
    let sealed = sealing.text(&value.to_text());
    Ok(sealed.or_else(|| composite::is_cut(&value).then(|| value.to_text().into_owned())).map(|sealed| text(&sealed)))
}

/// An attribute whose value is a text.
fn attribute(key: &str, value: &str) -> Vec<u8> {
    let mut attribute = Vec::new();
    write_bytes(&mut attribute, 1, key.as_bytes());
    write_bytes(&mut attribute, 2, &text(value));
    attribute
}

/// A value that is a text.
fn text(value: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    write_bytes(&mut bytes, 1, value.as_bytes());
    bytes
}
