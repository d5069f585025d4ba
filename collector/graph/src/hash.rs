//! Hash maps with a fast hash that is seeded at random, so that no sender can choose keys that collide.

/// What makes hashes.
pub type RandomState = foldhash::fast::RandomState;

/// A hash map.
pub type HashMap<K, V> = std::collections::HashMap<K, V, RandomState>;

/// A hash set.
pub type HashSet<K> = std::collections::HashSet<K, RandomState>;
