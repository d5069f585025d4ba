//! Facts in which some services turned out to be others.

use std::hash::Hash;

use super::{
    Bounded, DualWriteKey, EdgeKey, EnvironmentFacts, FailureKey, Fold, Key, LoopKey, OperationKey, PatternKey,
    PoolKey, SecretKey, UsageKey,
};
use crate::span::{NodeKey, ServiceKey};

impl EnvironmentFacts {
    /// The same, with what is known of a service under the name that `rename` gives it; but for its operations, which go
    /// by names that the other has for none of its own.
    pub(crate) fn renamed(&self, rename: impl Fn(ServiceKey) -> ServiceKey) -> Self {
        let of_operation = |key: OperationKey| OperationKey { service: rename(key.service), ..key };
        let of_node = |node: NodeKey| match node {
            NodeKey::Service(service) => NodeKey::Service(rename(service)),
            other => other,
        };
        Self {
            counts: self.counts.clone(),
            services: renamed(&self.services, &rename),
            operations: each(&self.operations, |key| (rename(key.service) == key.service).then_some(key)),
            edges: renamed(&self.edges, |key: EdgeKey| EdgeKey {
                caller: of_node(key.caller),
                callee: of_node(key.callee),
                ..key
            }),
            patterns: renamed(&self.patterns, |key: PatternKey| PatternKey {
                caller: of_operation(key.caller),
                callee: of_node(key.callee),
                ..key
            }),
            usages: renamed(&self.usages, |key: UsageKey| UsageKey { service: rename(key.service), ..key }),
            pools: renamed(&self.pools, |key: PoolKey| PoolKey { service: rename(key.service), ..key }),
            loops: renamed(&self.loops, |key: LoopKey| LoopKey { services: key.services.map(&rename) }),
            failures: renamed(&self.failures, |key: FailureKey| FailureKey {
                entry: of_operation(key.entry),
                services: key.services.map(&rename),
            }),
            dual_writes: renamed(&self.dual_writes, |key: DualWriteKey| DualWriteKey {
                operation: of_operation(key.operation),
                other: of_node(key.other),
                ..key
            }),
            secrets: renamed(&self.secrets, |key: SecretKey| SecretKey { service: rename(key.service), ..key }),
        }
    }
}

fn renamed<K, V, const LIMIT: usize>(map: &Bounded<K, V, LIMIT>, rename: impl Fn(K) -> K) -> Bounded<K, V, LIMIT>
where
    K: Copy + Ord + Hash + Key,
    V: Fold,
{
    each(map, |key| Some(rename(key)))
}

/// The entries of a map under the keys that `key_of` gives them.
fn each<K, V, const LIMIT: usize>(map: &Bounded<K, V, LIMIT>, key_of: impl Fn(K) -> Option<K>) -> Bounded<K, V, LIMIT>
where
    K: Copy + Ord + Hash + Key,
    V: Fold,
{
    let mut renamed = Bounded::<K, V, LIMIT>::default();
    for (key, value) in map.sorted() {
        if let Some(key) = key_of(key) {
            renamed.entry(key).fold(value);
        }
    }
    if map.has_overflow() {
        renamed.beyond().fold(map.overflow());
    }
    renamed
}
