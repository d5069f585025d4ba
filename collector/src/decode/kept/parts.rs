//! JSON written part by part: what is kept as it stands, what is left out, and what another text takes the place of.

use std::fmt;

use serde::Deserializer as _;
use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// The most levels that are looked into; a point's exemplar is on the fourteenth.
pub(super) const MAX_LEVELS: usize = 16;

/// What becomes of a part of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    Kept,
    Dropped,
    /// Another text was written in its place.
    Rewritten,
}

impl Part {
    pub(super) fn dropped_if(is_dropped: bool) -> Self {
        if is_dropped { Self::Dropped } else { Self::Kept }
    }
}

/// Writes an array, each element as `write` says; anything but an array is kept, and one all of which is.
pub(super) fn array<'de>(
    value: &'de RawValue,
    kept: &mut Vec<u8>,
    mut write: impl FnMut(&'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>,
) -> serde_json::Result<Part> {
    if !value.get().starts_with('[') {
        return Ok(Part::Kept);
    }
    let write = |_: &str, value, kept: &mut Vec<u8>| write(value, kept);
    let mut parts = Parts::new(kept, write);
    serde_json::Deserializer::from_str(value.get()).deserialize_seq(&mut parts)?;
    Ok(parts.finish())
}

/// The same for the fields of an object.
pub(super) fn object<'de>(
    value: &'de RawValue,
    kept: &mut Vec<u8>,
    write: impl FnMut(&str, &'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>,
) -> serde_json::Result<Part> {
    if !value.get().starts_with('{') {
        return Ok(Part::Kept);
    }
    let mut parts = Parts::new(kept, write);
    serde_json::Deserializer::from_str(value.get()).deserialize_map(&mut parts)?;
    Ok(parts.finish())
}

/// Writes an array or an object, part by part, so that no more of it is in memory than its text.
struct Parts<'k, W> {
    kept: &'k mut Vec<u8>,
    write: W,
    /// Where it begins.
    start: usize,
    is_first: bool,
    /// Whether all parts are kept so far.
    is_same: bool,
}

impl<'k, W> Parts<'k, W> {
    fn new(kept: &'k mut Vec<u8>, write: W) -> Self {
        let start = kept.len();
        Self { kept, write, start, is_first: true, is_same: true }
    }

    fn finish(self) -> Part {
        if self.is_same {
            self.kept.truncate(self.start);
            return Part::Kept;
        }
        Part::Rewritten
    }
}

impl<'de, W: FnMut(&str, &'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>> Parts<'_, W> {
    /// Writes one part behind the others, unless it is dropped.
    fn part<E: de::Error>(&mut self, name: Option<&str>, value: &'de RawValue) -> Result<(), E> {
        let start = self.kept.len();
        if !self.is_first {
            self.kept.push(b',');
        }
        if let Some(name) = name {
            serde_json::to_writer(&mut *self.kept, name).map_err(E::custom)?;
            self.kept.push(b':');
        }
        let part = (self.write)(name.unwrap_or_default(), value, self.kept).map_err(E::custom)?;
        self.is_same &= part == Part::Kept;
        match part {
            Part::Dropped => {
                self.kept.truncate(start);
                return Ok(());
            }
            Part::Kept => self.kept.extend_from_slice(value.get().as_bytes()),
            Part::Rewritten => {}
        }
        self.is_first = false;
        Ok(())
    }
}

impl<'de, W: FnMut(&str, &'de RawValue, &mut Vec<u8>) -> serde_json::Result<Part>> Visitor<'de> for &mut Parts<'_, W> {
    type Value = ();

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an array or an object")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<(), A::Error> {
        self.kept.push(b'[');
        while let Some(value) = sequence.next_element()? {
            self.part(None, value)?;
        }
        self.kept.push(b']');
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.kept.push(b'{');
        while let Some((name, value)) = map.next_entry::<String, &RawValue>()? {
            self.part(Some(&name), value)?;
        }
        self.kept.push(b'}');
        Ok(())
    }
}

/// Writes a text.
pub(super) fn write_text(kept: &mut Vec<u8>, text: &str) -> serde_json::Result<()> {
    serde_json::to_writer(kept, text)
}
