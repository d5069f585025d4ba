//! The shop's only source of chance: a small seeded generator (`SplitMix64`).
//!
//! Every choice that can change what the shop does is drawn from here, so that one seed always plays the same day.

/// A stream of numbers that depends on its seed alone.
#[derive(Debug, Clone)]
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    /// A generator of its own for one purpose; equal purposes of equal seeds are equal.
    pub(crate) fn fork(seed: u64, purpose: u64) -> Self {
        let mut mixer = Self::new(seed ^ purpose.wrapping_mul(0xD1B5_4A32_D192_ED03));
        Self::new(mixer.next())
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number from `low` to `high`, both included.
    pub(crate) fn between(&mut self, low: u64, high: u64) -> u64 {
        low + self.next() % (high - low + 1)
    }

    /// True in `percent` of one hundred draws.
    pub(crate) fn chance(&mut self, percent: u64) -> bool {
        self.next() % 100 < percent
    }

    /// One entry of a slice that is not empty.
    pub(crate) fn pick<'a, T>(&mut self, entries: &'a [T]) -> &'a T {
        &entries[self.between(0, entries.len() as u64 - 1) as usize]
    }

    /// `count` different entries, in the order drawn; all of them if there are fewer.
    pub(crate) fn sample<'a, T>(&mut self, entries: &'a [T], count: usize) -> Vec<&'a T> {
        let mut left: Vec<&T> = entries.iter().collect();
        let mut drawn = Vec::with_capacity(count.min(left.len()));
        while drawn.len() < count && !left.is_empty() {
            let position = self.between(0, left.len() as u64 - 1) as usize;
            drawn.push(left.swap_remove(position));
        }
        drawn
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_streams() {
        let draw = |seed| {
            let mut random = Random::fork(seed, 3);
            (0..20).map(|_| random.between(1, 1_000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(1), draw(1));
        assert_ne!(draw(1), draw(2));
    }

    #[test]
    fn a_sample_repeats_nothing() {
        let entries: Vec<u32> = (0..10).collect();
        let mut drawn: Vec<u32> = Random::new(7).sample(&entries, 10).into_iter().copied().collect();
        drawn.sort_unstable();
        assert_eq!(drawn, entries);
        assert_eq!(Random::new(7).sample(&entries, 99).len(), 10);
    }
}
