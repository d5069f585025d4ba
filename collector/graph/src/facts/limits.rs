//! How much the facts of one collector may hold, where that is less than what facts may hold at most.
//!
//! Bounds on entries are what keeps ⊕ blind to order; bytes are what machines run out of. So a number of bytes becomes
//! numbers of entries, once, by what an entry takes at most in the facts of many systems.

use std::hash::Hash;

use super::{
    Bounded, EnvironmentFacts, Facts, Fold, MAX_DUAL_WRITES, MAX_EDGES, MAX_FAILURE_PATHS, MAX_LOOPS, MAX_OPERATIONS,
    MAX_PATTERNS, MAX_POOLS, MAX_SECRETS, MAX_SERVICES, MAX_USAGES,
};

/// How often more than its bound a map may hold until it is trimmed: one part in so many.
const SLACK: usize = 4;

/// The most entries of all environments together, by map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FactLimits {
    /// Services. The other bounds follow from it.
    services: usize,
}

impl Default for FactLimits {
    fn default() -> Self {
        Self { services: MAX_SERVICES }
    }
}

impl FactLimits {
    /// How many bytes a service takes, with the operations, edges, patterns and uses that there are for each.
    pub const SERVICE_BYTES: usize = 16 << 10;

    /// The bounds of facts that take about `bytes`.
    pub fn within(bytes: usize) -> Self {
        Self { services: (bytes / Self::SERVICE_BYTES).clamp(1, MAX_SERVICES) }
    }

    /// Bounds for facts that took `bytes` and may take no more than `most`: a little less than in proportion.
    #[must_use]
    pub fn reduced(self, bytes: usize, most: usize) -> Self {
        let services = self.services as u128 * most as u128 / bytes.max(1) as u128;
        Self { services: (services as usize / 8 * 7).clamp(1, self.services) }
    }

    /// `per_service` of each service, within the greatest bound that there is.
    fn each(self, environments: usize, per_service: usize, most: usize) -> usize {
        (self.services * per_service / environments.max(1)).clamp(1, most)
    }
}

impl Facts {
    /// Keeps what facts with these bounds would have kept; what is over goes into the overflow entries. When that is
    /// done does not matter to what is kept in the end.
    pub fn trim(&mut self, limits: FactLimits) {
        self.trim_over(limits, 0);
    }

    /// The same, as long as it is not much: trimming costs a walk over a whole map.
    pub fn trim_roughly(&mut self, limits: FactLimits) {
        self.trim_over(limits, 1);
    }

    fn trim_over(&mut self, limits: FactLimits, slack: usize) {
        let environments = self.environments.len();
        let each = |per_service, most| {
            let limit = limits.each(environments, per_service, most);
            (limit, limit + slack * limit / SLACK)
        };
        self.environments.for_each_mut(|facts| facts.trim(each));
    }
}

impl EnvironmentFacts {
    /// `each` says for the number of entries per service and the most in all how many are kept, and over how many.
    fn trim(&mut self, each: impl Fn(usize, usize) -> (usize, usize)) {
        let Self { counts: _, services, operations, edges, patterns, usages, .. } = self;
        let Self { pools, loops, failures, dual_writes, secrets, .. } = self;
        trim(services, each(1, MAX_SERVICES));
        trim(operations, each(2, MAX_OPERATIONS));
        trim(edges, each(2, MAX_EDGES));
        trim(patterns, each(3, MAX_PATTERNS));
        trim(usages, each(2, MAX_USAGES));
        trim(pools, each(1, MAX_POOLS));
        trim(loops, each(1, MAX_LOOPS));
        trim(failures, each(1, MAX_FAILURE_PATHS));
        trim(dual_writes, each(1, MAX_DUAL_WRITES));
        trim(secrets, each(1, MAX_SECRETS));
    }
}

fn trim<K, V, const LIMIT: usize>(map: &mut Bounded<K, V, LIMIT>, (limit, over): (usize, usize))
where
    K: Copy + Ord + Hash,
    V: Fold,
{
    if map.len() > over {
        map.trim(limit);
    }
}
