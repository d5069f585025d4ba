//! A map over time that keeps its latest slices and folds the earlier ones into one overflow entry.
//!
//! Which slices stay depends on the set of slices alone, and each that stays has all of its data: a slice among the k
//! latest of all is among the k latest at every moment before. So the bound is exact and blind to order.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fold::{Fold, Visitor};

/// How long a slice of time is, in nanoseconds.
pub const SLICE_NS: u64 = 10_000_000_000;

/// The number of the slice that a Unix time in nanoseconds falls into.
pub fn slice(unix_ns: u64) -> u64 {
    unix_ns / SLICE_NS
}

/// The facts of at most `LIMIT` slices of [`SLICE_NS`]; see the module.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Latest<V, const LIMIT: usize> {
    /// In order of time. Most have one or two, and new ones come last.
    slices: Vec<(u64, V)>,
    earlier: V,
}

impl<V: Fold, const LIMIT: usize> Latest<V, LIMIT> {
    /// The entry of a slice, or that of all earlier times.
    pub fn entry(&mut self, slice: u64) -> &mut V {
        let mut place = self.slices.partition_point(|(known, _)| *known < slice);
        if self.slices.get(place).is_none_or(|(known, _)| *known != slice) {
            if self.slices.len() >= LIMIT {
                if place == 0 {
                    return &mut self.earlier;
                }
                let (_, first) = self.slices.remove(0);
                self.earlier.fold(&first);
                place -= 1;
            }
            if self.slices.is_empty() {
                self.slices.reserve_exact(1);
            }
            self.slices.insert(place, (slice, V::default()));
        }
        &mut self.slices[place].1
    }

    /// The slices in order of time.
    pub fn iter(&self) -> impl Iterator<Item = (u64, &V)> {
        self.slices.iter().map(|(slice, value)| (*slice, value))
    }

    /// How many slices have an entry of their own.
    pub fn len(&self) -> usize {
        self.slices.len()
    }

    /// Whether no slice has an entry.
    pub fn is_empty(&self) -> bool {
        self.slices.is_empty()
    }

    /// What all slices over the bound have together.
    pub fn earlier(&self) -> &V {
        &self.earlier
    }
}

impl<V: Fold, const LIMIT: usize> Fold for Latest<V, LIMIT> {
    fn fold(&mut self, other: &Self) {
        for (slice, value) in &other.slices {
            self.entry(*slice).fold(value);
        }
        self.earlier.fold(&other.earlier);
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        visitor.memory(self.slices.capacity() * size_of::<(u64, V)>());
        self.slices.iter().map(|(_, value)| value).chain([&self.earlier]).for_each(|value| value.visit(visitor));
    }
}

impl<V: Serialize, const LIMIT: usize> Serialize for Latest<V, LIMIT> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        (&self.slices, &self.earlier).serialize(serializer)
    }
}

impl<'de, V: Deserialize<'de>, const LIMIT: usize> Deserialize<'de> for Latest<V, LIMIT> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (slices, earlier) = <(Vec<(u64, V)>, V)>::deserialize(deserializer)?;
        if slices.len() > LIMIT {
            return Err(serde::de::Error::custom(format!("{} slices, at most {LIMIT}", slices.len())));
        }
        if !slices.is_sorted_by(|(left, _), (right, _)| left < right) {
            return Err(serde::de::Error::custom("slices that are out of order"));
        }
        Ok(Self { slices, earlier })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(slices: &[u64]) -> Latest<u64, 4> {
        let mut latest = Latest::default();
        for &slice in slices {
            *latest.entry(slice) += 1;
        }
        latest
    }

    proptest! {
        #[test]
        fn order_and_grouping_do_not_matter(
            mut slices in proptest::collection::vec(0_u64..12, 0..40), split: prop::sample::Index
        ) {
            let whole = of(&slices);
            let (left, right) = slices.split_at(if slices.is_empty() { 0 } else { split.index(slices.len()) });
            let mut merged = of(right);
            merged.fold(&of(left));
            prop_assert_eq!(&merged, &whole);
            slices.reverse();
            prop_assert_eq!(of(&slices), whole);
        }

        #[test]
        fn the_latest_stay_and_nothing_is_lost(slices in proptest::collection::vec(0_u64..12, 0..40)) {
            let latest = of(&slices);
            prop_assert_eq!(latest.iter().map(|(_, count)| count).sum::<u64>() + latest.earlier(), slices.len() as u64);
            let mut distinct = slices;
            distinct.sort_unstable();
            distinct.dedup();
            let kept: Vec<u64> = latest.iter().map(|(slice, _)| slice).collect();
            prop_assert_eq!(&distinct[distinct.len().saturating_sub(4)..], &kept);
        }
    }
}
