//! How many different things there were, from the smallest of their hashes.
//!
//! Bar-Yossef, Jayram, Kumar, Sivakumar, Trevisan: Counting distinct elements in a data stream (RANDOM 2002). Exact up
//! to [`MAX_HASHES`], then with a relative error of about 6 %. Which hashes stay does not depend on order.

use serde::{Deserialize, Deserializer, Serialize};

use super::fold::{Fold, Visitor};

/// The most hashes that are kept.
const MAX_HASHES: usize = 256;

/// A sketch of a set of 64-bit hashes, in ascending order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Distinct(Vec<u64>);

impl Distinct {
    /// Adds the hash of a thing.
    pub fn insert(&mut self, hash: u64) {
        let Err(place) = self.0.binary_search(&hash) else { return };
        if place >= MAX_HASHES {
            return;
        }
        self.0.truncate(MAX_HASHES - 1);
        if self.0.is_empty() {
            // Most have one or two.
            self.0.reserve_exact(1);
        }
        self.0.insert(place, hash);
    }

    /// How many different things there were.
    pub fn count(&self) -> u64 {
        match self.0.last() {
            Some(&last) if self.0.len() >= MAX_HASHES => {
                ((MAX_HASHES - 1) as f64 * (u64::MAX as f64 / last.max(1) as f64)) as u64
            }
            _ => self.0.len() as u64,
        }
    }
}

impl Fold for Distinct {
    fn fold(&mut self, other: &Self) {
        other.0.iter().for_each(|&hash| self.insert(hash));
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.memory(self.0.capacity() * size_of::<u64>());
    }
}

impl<'de> Deserialize<'de> for Distinct {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let hashes = Vec::<u64>::deserialize(deserializer)?;
        if !hashes.is_sorted_by(|left, right| left < right) {
            return Err(serde::de::Error::custom("hashes that are out of order"));
        }
        if hashes.len() > MAX_HASHES {
            return Err(serde::de::Error::custom(format!("{} hashes, at most {MAX_HASHES}", hashes.len())));
        }
        Ok(Self(hashes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::bounded::stable_hash;

    #[test]
    fn counts_are_exact_and_then_close() {
        for (things, tolerance) in [(0, 0.0), (7, 0.0), (255, 0.0), (10_000, 0.2)] {
            let mut all = Distinct::default();
            let (mut odd, mut even) = (Distinct::default(), Distinct::default());
            for thing in 0..things {
                let hash = stable_hash(&thing);
                all.insert(hash);
                if thing % 2 == 0 { even.insert(hash) } else { odd.insert(hash) }
            }
            odd.fold(&even);
            assert_eq!(odd, all);
            assert!(all.count().abs_diff(things) as f64 <= things as f64 * tolerance, "{things}: {}", all.count());
        }
    }
}
