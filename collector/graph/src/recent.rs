//! Memory of bounded size for what comes again and again.

use std::borrow::Borrow;
use std::hash::Hash;

use crate::hash::HashMap;

/// How many bytes there are for each hash of what was met once.
const BYTES_PER_MET: usize = 512;

/// What can be remembered.
pub trait Remember {
    /// How many bytes it takes, about.
    fn bytes(&self) -> usize;
}

/// A map bounded in bytes that forgets what was not asked for lately.
///
/// Whoever comes once is not worth the place of somebody who comes often, nor the work of remembering: so callers ask
/// [`Recent::meets_again`] before they make what is remembered. Where more come than there is room for, most of them
/// count as strangers each time, and those that are remembered stay.
#[derive(Debug)]
pub struct Recent<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
    /// Of those that are young.
    bytes: usize,
    limit_bytes: usize,
    /// Hashes of what was met lately, each in one of two places that follow from it; what comes to a place drives out
    /// the older one.
    met: Box<[[u64; 2]]>,
}

impl<K: Eq + Hash, V: Remember> Recent<K, V> {
    /// A map that takes no more than `limit_bytes`, about.
    pub fn within(limit_bytes: usize) -> Self {
        let met = vec![[0; 2]; (limit_bytes / BYTES_PER_MET / 2).max(1)].into_boxed_slice();
        Self { young: HashMap::default(), old: HashMap::default(), bytes: 0, limit_bytes, met }
    }

    /// Whether there is a value of this key, which is young again.
    pub fn knows<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> bool
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let Some((key, value)) = self.old.remove_entry(key) else { return false };
            self.insert(key, value);
        }
        true
    }

    /// The value of a key, which is young again.
    pub fn get<Q: Eq + Hash + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if self.knows(key) { self.young.get_mut(key) } else { None }
    }

    /// Whether what has this hash, and is not remembered, was met before. It is met now.
    pub fn meets_again(&mut self, hash: u64) -> bool {
        let place = hash as usize % self.met.len();
        let [first, second] = self.met[place];
        // No hash is 0: nobody was met there yet.
        let hash = hash.max(1);
        let is_known = first == hash || second == hash;
        if !is_known {
            self.met[place] = [hash, first];
        }
        is_known
    }

    /// Remembers a value.
    pub fn insert(&mut self, key: K, value: V) -> &mut V {
        if self.bytes >= self.limit_bytes / 2 {
            self.old = std::mem::take(&mut self.young);
            self.bytes = 0;
        }
        self.bytes += value.bytes();
        self.young.entry(key).insert_entry(value).into_mut()
    }

    /// Forgets a value.
    pub fn remove(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.remove(key) {
            self.bytes = self.bytes.saturating_sub(value.bytes());
            return Some(value);
        }
        self.old.remove(key)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many bytes.
    impl Remember for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    #[test]
    fn what_takes_much_is_forgotten_sooner() {
        let mut recent = Recent::within(800);
        for number in 0..100 {
            recent.insert(number, 100);
            assert!(recent.young.len() <= 4 && recent.old.len() <= 4);
        }
    }

    #[test]
    fn what_is_asked_for_is_not_forgotten() {
        let mut recent = Recent::within(400);
        for number in 0..100 {
            recent.insert(number, 100);
            assert_eq!(recent.get(&0), Some(&mut 100), "{number}");
            assert!(recent.young.len() + recent.old.len() <= 4);
        }
        assert_eq!(recent.get(&50), None);
    }

    #[test]
    fn what_is_removed_makes_room() {
        let mut recent = Recent::within(400);
        for number in 0..100 {
            recent.insert(number, 100);
            assert_eq!(recent.remove(&number), Some(100));
        }
        assert!(recent.young.is_empty() && recent.old.is_empty());
    }

    #[test]
    fn strangers_drive_nobody_out_whom_they_do_not_meet() {
        let mut recent: Recent<u64, usize> = Recent::within(64 * BYTES_PER_MET);
        assert!(!recent.meets_again(7));
        assert!(recent.meets_again(7));
        assert!(!recent.meets_again(8));
        // Two that come to the place of the first.
        assert!(!recent.meets_again(7 + 32) && recent.meets_again(7));
        assert!(!recent.meets_again(7 + 64) && !recent.meets_again(7));
    }
}
