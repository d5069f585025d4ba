//! A histogram of fixed log-linear buckets: 32 to a power of two, so a value read back is off by at most 1/32, and
//! values under 64 are exact. Integers only; merging adds counts, so order and grouping never matter.

use serde::{Deserialize, Serialize};

const SUB_BITS: u32 = 5;
const SUB_BUCKETS: u64 = 1 << SUB_BITS;

/// How many buckets there are: no value falls into one from this number on.
pub const BUCKETS: u16 = (64 - SUB_BITS as u16 + 1) * SUB_BUCKETS as u16;

/// The bucket that `value` falls into.
pub fn bucket(value: u64) -> u16 {
    if value < SUB_BUCKETS {
        return value as u16;
    }
    let exponent = value.ilog2();
    let sub = (value >> (exponent - SUB_BITS)) - SUB_BUCKETS;
    (u64::from(exponent - SUB_BITS + 1) * SUB_BUCKETS + sub) as u16
}

/// The smallest value of a bucket. A number from [`BUCKETS`] on stands for the last one.
pub fn bucket_floor(bucket: u16) -> u64 {
    let bucket = bucket.min(BUCKETS - 1);
    let (octave, sub) = (u64::from(bucket) / SUB_BUCKETS, u64::from(bucket) % SUB_BUCKETS);
    if octave == 0 { sub } else { (SUB_BUCKETS + sub) << (octave - 1) }
}

/// The value that stands for a bucket: its middle.
pub fn bucket_middle(bucket: u16) -> u64 {
    let octave = u64::from(bucket.min(BUCKETS - 1)) / SUB_BUCKETS;
    bucket_floor(bucket) + if octave <= 1 { 0 } else { (1 << (octave - 1)) / 2 }
}

/// Counts per bucket, with the exact sum of the values.
///
/// **Invariant:** `counts` is empty, or its first and last entries are not zero; equal contents have equal bytes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Stored")]
pub struct Histogram {
    first: u16,
    counts: Vec<u32>,
    sum: u128,
}

/// A histogram as a file has it, which may be anything.
#[derive(Deserialize)]
struct Stored {
    first: u16,
    counts: Vec<u32>,
    sum: u128,
}

impl TryFrom<Stored> for Histogram {
    type Error = &'static str;

    fn try_from(Stored { first, counts, sum }: Stored) -> Result<Self, Self::Error> {
        let is_within = usize::from(first) + counts.len() <= usize::from(BUCKETS);
        let has_ends = counts.first() != Some(&0) && counts.last() != Some(&0);
        let is_empty = counts.is_empty();
        if !is_within || !has_ends || is_empty && (first, sum) != (0, 0) {
            return Err("a histogram that no values have");
        }
        let histogram = Self { first, counts, sum };
        if sum < histogram.least_sum() { Err("a histogram whose sum is too small") } else { Ok(histogram) }
    }
}

impl Histogram {
    /// Adds one value.
    #[inline]
    pub fn record(&mut self, value: u64) {
        let bucket = bucket(value);
        // What lies before the first wraps around, to far behind the last.
        if usize::from(bucket.wrapping_sub(self.first)) >= self.counts.len() {
            self.reserve(bucket, bucket);
        }
        let count = &mut self.counts[usize::from(bucket - self.first)];
        *count = count.saturating_add(1);
        self.sum = self.sum.saturating_add(value.into());
    }

    /// Adds every value of `other`.
    pub fn merge(&mut self, other: &Self) {
        if other.counts.is_empty() {
            return;
        }
        self.reserve(other.first, other.first + (other.counts.len() - 1) as u16);
        let offset = usize::from(other.first - self.first);
        for (count, more) in self.counts[offset..].iter_mut().zip(&other.counts) {
            *count = count.saturating_add(*more);
        }
        self.sum = self.sum.saturating_add(other.sum);
    }

    /// How many bytes it owns beside itself.
    pub(super) fn owned_bytes(&self) -> usize {
        self.counts.capacity() * size_of::<u32>()
    }

    /// How many values were added.
    pub fn count(&self) -> u64 {
        self.counts.iter().map(|&count| u64::from(count)).sum()
    }

    /// The exact sum of the values.
    pub fn sum(&self) -> u128 {
        self.sum
    }

    /// The value at or under which the share `quantile` (0 to 1) of the values lies; 0 for an empty histogram.
    pub fn quantile(&self, quantile: f64) -> u64 {
        let rank = ((self.count() as f64 * quantile).ceil() as u64).max(1);
        let mut seen = 0;
        for (bucket, count) in self.buckets() {
            seen += count;
            if seen >= rank {
                return bucket_middle(bucket);
            }
        }
        0
    }

    /// How many values are at least `threshold`, as far as buckets can tell them apart.
    pub fn count_from(&self, threshold: u64) -> u64 {
        let from = bucket(threshold);
        self.buckets().filter(|(bucket, _)| *bucket >= from).map(|(_, count)| count).sum()
    }

    /// The buckets that hold values, in ascending order, with their counts.
    pub fn buckets(&self) -> impl Iterator<Item = (u16, u64)> {
        let numbered = self.counts.iter().enumerate();
        numbered.filter(|(_, count)| **count > 0).map(|(index, count)| (self.first + index as u16, u64::from(*count)))
    }

    /// What the values add up to at least, as far as buckets tell.
    fn least_sum(&self) -> u128 {
        self.buckets().map(|(bucket, count)| u128::from(bucket_floor(bucket)) * u128::from(count)).sum()
    }

    /// Makes room for the buckets from `low` to `high`.
    #[cold]
    fn reserve(&mut self, low: u16, high: u16) {
        if self.counts.is_empty() {
            self.first = low;
        }
        if low < self.first {
            let missing = usize::from(self.first - low);
            self.counts.splice(0..0, std::iter::repeat_n(0, missing));
            self.first = low;
        }
        let needed = usize::from(high - self.first) + 1;
        if needed > self.counts.len() {
            self.counts.resize(needed, 0);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(values: &[u64]) -> Histogram {
        let mut histogram = Histogram::default();
        for &value in values {
            histogram.record(value);
        }
        histogram
    }

    #[test]
    fn small_values_are_exact() {
        let histogram = of(&[1, 2, 3, 12, 63]);
        assert_eq!(histogram.quantile(0.5), 3);
        assert_eq!(histogram.quantile(1.0), 63);
        assert_eq!(histogram.count_from(3), 3);
        assert_eq!(Histogram::default().quantile(0.5), 0);
    }

    proptest! {
        #[test]
        fn a_bucket_holds_its_value(value: u64) {
            let bucket = bucket(value);
            prop_assert!(bucket_floor(bucket) <= value);
            prop_assert!(bucket < BUCKETS);
            prop_assert!(bucket == BUCKETS - 1 || value < bucket_floor(bucket + 1));
            prop_assert!(bucket_middle(bucket).abs_diff(value) <= value / 32);
        }

        #[test]
        fn merging_is_adding(left: Vec<u64>, right: Vec<u64>) {
            let mut merged = of(&left);
            merged.merge(&of(&right));
            let mut all = right;
            all.extend(&left);
            prop_assert_eq!(merged, of(&all));
        }
    }

    #[track_caller]
    fn check(stored: &(u16, Vec<u32>, u128), is_taken: bool) {
        let read = postcard::from_bytes::<Histogram>(&postcard::to_stdvec(stored).unwrap());
        assert_eq!(read.is_ok(), is_taken, "{stored:?}");
    }

    #[test]
    fn what_no_values_have_is_not_read() {
        check(&(0, vec![], 0), true);
        check(&(BUCKETS - 1, vec![u32::MAX], u128::MAX), true);
        check(&(7, vec![1, 0, 2], 25), true);
        check(&(7, vec![1, 0, 2], 24), false);
        for (first, counts) in [(BUCKETS, vec![1]), (u16::MAX, vec![1, 1]), (0, vec![1; 1921]), (3, vec![0, 1])] {
            check(&(first, counts, u128::MAX), false);
        }
        for stored in [(3, vec![1, 0], 3), (3, vec![], 0), (0, vec![], 7)] {
            check(&stored, false);
        }
        assert_eq!(bucket_middle(u16::MAX), bucket_middle(BUCKETS - 1));
    }
}
