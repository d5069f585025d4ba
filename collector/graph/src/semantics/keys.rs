//! What sequences of keys mean, remembered: spans of one place in the code have the same keys in the same order.

use std::collections::hash_map::Entry;
use std::sync::Arc;

use super::Reading;
use super::attributes::{self, Sequence};
use crate::hash::HashMap;
use crate::span::Attribute;

/// The most bytes of keys, counted with what is known of each, that one builder remembers.
const MAX_SEQUENCE_BYTES: usize = 1 << 20;

/// What sequences of keys mean, remembered.
#[derive(Debug, Default)]
pub(super) struct Keys {
    /// By a hash that differs for most sequences; of two with one hash the later is remembered.
    sequences: HashMap<u64, Arc<Sequence>>,
    /// What they take, at least.
    bytes: usize,
    reading: Arc<Reading>,
}

impl Keys {
    pub(super) fn new(reading: Arc<Reading>) -> Self {
        Self { reading, ..Self::default() }
    }

    /// Whether attributes of this key are dropped.
    pub(super) fn is_redacted(&self, key: &str) -> bool {
        self.reading.redaction.covers(key)
    }

    /// What the keys of `attributes` mean.
    pub(super) fn sequence(&mut self, attributes: &[Attribute<'_>]) -> &Arc<Sequence> {
        if self.bytes >= MAX_SEQUENCE_BYTES {
            self.sequences.clear();
            self.bytes = 0;
        }
        // Lengths and last letters tell nearly all sequences apart; whether they are the same is looked at below.
        let mix = |hash: u64, attribute: &Attribute<'_>| {
            let key = attribute.0.as_bytes();
            let last = key.last().copied().unwrap_or_default();
            let word = (key.len() as u64) << 9 | u64::from(last) << 1 | u64::from(attributes::is_empty(attribute));
            (hash ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23)
        };
        let hash = attributes.iter().fold(0, mix);
        match self.sequences.entry(hash) {
            Entry::Occupied(known) if known.get().is_of(attributes) => known.into_mut(),
            entry => {
                self.bytes +=
                    size_of::<Sequence>() + attributes.iter().map(|(key, _)| 96 + 3 * key.len()).sum::<usize>();
                entry.insert_entry(Arc::new(Sequence::of(attributes, &self.reading.redaction))).into_mut()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::semantics::attributes::{Field, Known};
    use crate::span::Value;

    #[test]
    fn sequences_of_one_hash_are_told_apart() {
        let mut keys = Keys::default();
        for key in ["http.method", "http.mothod", "http.method"] {
            let attributes = [(key.into(), Value::Int(1))];
            let known = Known::of(&attributes, keys.sequence(&attributes));
            assert_eq!(known.has(Field::HttpMethod), key == "http.method");
        }
        assert_eq!(keys.sequences.len(), 1);
    }
}
