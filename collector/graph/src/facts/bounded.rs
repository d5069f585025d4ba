//! A map that keeps its k entries with the smallest key hash and folds the rest into one overflow entry.
//!
//! Which keys stay depends on the set of keys alone, and each that stays has all of its data: a key among the k
//! smallest of all is among the k smallest at every moment before. So the bound is exact and blind to order.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{Hash, Hasher};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::fold::{Fold, Key, Visitor};
use crate::hash::HashMap;

/// A 64-bit hash that is the same in every process and version.
pub fn stable_hash(key: &impl Hash) -> u64 {
    let mut hasher = StableHasher(0);
    key.hash(&mut hasher);
    hasher.finish()
}

/// Mixes 64-bit words with the finalizer of splitmix64 (Steele, Lea, Flood 2014); keys here are a few words long.
struct StableHasher(u64);

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        let mut mixed = (self.0 ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        self.0 = mixed ^ (mixed >> 31);
    }

    fn write_u128(&mut self, value: u128) {
        self.write_u64(value as u64);
        self.write_u64((value >> 64) as u64);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

/// At most `LIMIT` entries; see the module.
#[derive(Debug, Clone)]
pub struct Bounded<K, V, const LIMIT: usize> {
    entries: HashMap<K, V>,
    /// Keys by hash; kept only once the map is full, to find the greatest.
    order: Option<BTreeSet<(u64, K)>>,
    overflow: V,
    has_overflow: bool,
}

impl<K, V: Default, const LIMIT: usize> Default for Bounded<K, V, LIMIT> {
    fn default() -> Self {
        Self { entries: HashMap::default(), order: None, overflow: V::default(), has_overflow: false }
    }
}

impl<K: Copy + Ord + Hash, V: Fold, const LIMIT: usize> Bounded<K, V, LIMIT> {
    /// The entry of `key`, or the overflow entry if the bound turns the key away.
    #[inline]
    pub fn entry(&mut self, key: K) -> &mut V {
        let has_room = self.entries.len() < LIMIT || self.has_room(key);
        if has_room { self.entries.entry(key).or_default() } else { &mut self.overflow }
    }

    /// The overflow entry, for what no key can name.
    pub fn beyond(&mut self) -> &mut V {
        self.has_overflow = true;
        &mut self.overflow
    }

    /// The value of `key`, if it has an entry of its own.
    pub fn get(&self, key: &K) -> Option<&V> {
        self.entries.get(key)
    }

    /// The entries in order of their keys.
    pub fn sorted(&self) -> Vec<(K, &V)> {
        let mut entries: Vec<_> = self.entries.iter().map(|(&key, value)| (key, value)).collect();
        entries.sort_unstable_by_key(|(key, _)| *key);
        entries
    }

    /// The keys, in no particular order.
    pub fn keys(&self) -> impl Iterator<Item = K> {
        self.entries.keys().copied()
    }

    /// The values that have an entry of their own, in no particular order.
    pub fn values(&self) -> impl Iterator<Item = &V> {
        self.entries.values()
    }

    /// Shows every value that has an entry of its own, in no particular order.
    pub(super) fn for_each_mut(&mut self, show: impl FnMut(&mut V)) {
        self.entries.values_mut().for_each(show);
    }

    /// How many keys have an entry of their own.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether no key has an entry.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// What the keys over the bound have in all.
    pub fn overflow(&self) -> &V {
        &self.overflow
    }

    /// Whether the bound turned any key away.
    pub fn has_overflow(&self) -> bool {
        self.has_overflow
    }

    /// Keeps at most `limit` entries, those that a map with that bound would have kept.
    pub fn trim(&mut self, limit: usize) {
        if self.entries.len() <= limit {
            return;
        }
        let mut keys: Vec<(u64, K)> = self.entries.keys().map(|key| (stable_hash(key), *key)).collect();
        keys.sort_unstable();
        for (_, key) in keys.drain(limit..) {
            let value = self.entries.remove(&key).expect("it is a key of this map");
            self.overflow.fold(&value);
        }
        self.entries.shrink_to_fit();
        self.order = None;
        self.has_overflow = true;
    }

    /// Whether `key` has an entry of its own in a full map, or may have one; if so, the greatest gives way.
    #[cold]
    fn has_room(&mut self, key: K) -> bool {
        if self.entries.contains_key(&key) {
            return true;
        }
        self.has_overflow = true;
        let order = self.order.get_or_insert_with(|| self.entries.keys().map(|key| (stable_hash(key), *key)).collect());
        let candidate = (stable_hash(&key), key);
        let greatest = *order.last().expect("a full map has a greatest key");
        if candidate > greatest {
            return false;
        }
        order.remove(&greatest);
        order.insert(candidate);
        let value = self.entries.remove(&greatest.1).expect("ordered keys have entries");
        self.overflow.fold(&value);
        true
    }
}

impl<K: Copy + Ord + Hash + Key, V: Fold, const LIMIT: usize> Fold for Bounded<K, V, LIMIT> {
    fn fold(&mut self, other: &Self) {
        if self.entries.is_empty() {
            self.entries.reserve(other.entries.len());
        }
        for (&key, value) in &other.entries {
            self.entry(key).fold(value);
        }
        self.overflow.fold(&other.overflow);
        self.has_overflow |= other.has_overflow;
    }

    fn visit(&self, visitor: &mut dyn Visitor) {
        // There are powers of two of places. Of eight, seven are used at most, and each has a byte beside the entry.
        let places = match self.entries.capacity() {
            0 => 0,
            capacity => (capacity * 8 / 7).next_power_of_two(),
        };
        visitor.memory(places * (size_of::<(K, V)>() + 1));
        visitor.memory(self.order.as_ref().map_or(0, BTreeSet::len) * 2 * size_of::<(u64, K)>());
        for (key, value) in &self.entries {
            key.for_each_name(&mut |name| visitor.name(name));
            value.visit(visitor);
        }
        self.overflow.visit(visitor);
    }
}

impl<K: Copy + Ord + Hash, V: Fold + PartialEq, const LIMIT: usize> PartialEq for Bounded<K, V, LIMIT> {
    fn eq(&self, other: &Self) -> bool {
        self.entries == other.entries && self.overflow == other.overflow && self.has_overflow == other.has_overflow
    }
}

impl<K: Copy + Ord + Hash + Serialize, V: Fold + Serialize, const LIMIT: usize> Serialize for Bounded<K, V, LIMIT> {
    /// Sorted by key, so that equal contents have equal bytes.
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let entries: BTreeMap<K, &V> = self.entries.iter().map(|(&key, value)| (key, value)).collect();
        (entries, &self.overflow, self.has_overflow()).serialize(serializer)
    }
}

impl<'de, K, V, const LIMIT: usize> Deserialize<'de> for Bounded<K, V, LIMIT>
where
    K: Copy + Ord + Hash + Deserialize<'de>,
    V: Fold + Deserialize<'de>,
{
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (entries, overflow, has_overflow) = <(BTreeMap<K, V>, V, bool)>::deserialize(deserializer)?;
        if entries.len() > LIMIT {
            return Err(serde::de::Error::custom(format!("{} entries, at most {LIMIT}", entries.len())));
        }
        Ok(Self { entries: entries.into_iter().collect(), order: None, overflow, has_overflow })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::name::Name;

    fn of(keys: &[u8]) -> Bounded<Name, u64, 8> {
        let mut map = Bounded::default();
        for &key in keys {
            *map.entry(Name(key.into())) += 1;
        }
        map
    }

    proptest! {
        #[test]
        fn order_and_grouping_do_not_matter(mut keys: Vec<u8>, split: prop::sample::Index) {
            let whole = of(&keys);
            let (left, right) = keys.split_at(if keys.is_empty() { 0 } else { split.index(keys.len()) });
            let mut merged = of(right);
            merged.fold(&of(left));
            prop_assert_eq!(&merged, &whole);
            keys.reverse();
            prop_assert_eq!(postcard::to_stdvec(&of(&keys)).unwrap(), postcard::to_stdvec(&whole).unwrap());
        }

        #[test]
        fn when_it_is_trimmed_does_not_matter(keys: Vec<u8>, split: prop::sample::Index, limit in 0_usize..8) {
            let (left, right) = keys.split_at(if keys.is_empty() { 0 } else { split.index(keys.len()) });
            let mut early = of(left);
            early.trim(limit);
            early.fold(&of(right));
            early.trim(limit);
            let mut late = of(&keys);
            late.trim(limit);
            prop_assert_eq!(early, late);
        }

        #[test]
        fn nothing_is_lost(keys: Vec<u8>) {
            let map = of(&keys);
            let kept: u64 = map.values().sum();
            prop_assert_eq!(kept + map.overflow(), keys.len() as u64);
            prop_assert!(map.len() <= 8);
        }
    }
}
