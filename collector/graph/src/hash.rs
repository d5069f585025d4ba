//! Hash maps with a fast hash that is seeded at random, so that no sender can choose keys that collide.

/// A hash map.
pub type HashMap<K, V> = std::collections::HashMap<K, V, foldhash::fast::RandomState>;

/// A hash set.
pub type HashSet<K> = std::collections::HashSet<K, foldhash::fast::RandomState>;
