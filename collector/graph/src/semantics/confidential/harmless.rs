//! Which values were found to be harmless, remembered in a fixed amount of memory.

use xxhash_rust::xxh3::{xxh3_64, xxh3_64_with_seed};

use super::Confidentiality;

/// Hashes of harmless values, each at a place that follows from it; what comes to a place drives out what was there.
#[derive(Debug, Clone)]
pub(in crate::semantics) struct Harmless(Box<[u64]>);

/// The place of a value.
pub(in crate::semantics) struct Place<'a> {
    hash: u64,
    known: &'a mut u64,
}

impl Harmless {
    /// Remembers so many values at most.
    pub(in crate::semantics) fn within(values: usize) -> Self {
        Self(vec![0; values].into_boxed_slice())
    }

    pub(in crate::semantics) fn place(&mut self, confidentiality: Confidentiality, value: &str) -> Place<'_> {
        self.place_at(xxh3_64(value.as_bytes()) ^ confidentiality as u64)
    }

    /// The place of the value of an attribute with this key, told apart from that of the value by itself.
    pub(in crate::semantics) fn place_of(&mut self, key: &str, value: &str) -> Place<'_> {
        self.place_at(xxh3_64_with_seed(value.as_bytes(), xxh3_64(key.as_bytes())))
    }

    fn place_at(&mut self, hash: u64) -> Place<'_> {
        let hash = hash.max(1);
        let places = self.0.len();
        Place { hash, known: &mut self.0[hash as usize % places] }
    }
}

impl Place<'_> {
    /// Whether the value is known to be harmless.
    pub(in crate::semantics) fn is_known(&self) -> bool {
        *self.known == self.hash
    }

    /// Remembers that it is.
    pub(in crate::semantics) fn remember(self) {
        *self.known = self.hash;
    }
}
