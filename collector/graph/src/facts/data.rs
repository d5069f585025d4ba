//! What is known of datastores: who uses which table, and how many statements are under way at once.

use serde::{Deserialize, Serialize};

use super::edge::SliceFacts;
use super::fold::{Key, fold_fields};
use super::{Exemplars, Latest, MAX_SLICES};
use crate::name::Name;
use crate::span::{DatastoreKey, ServiceKey};

/// A service's use of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UsageKey {
    /// The datastore.
    pub datastore: DatastoreKey,
    /// Who uses it.
    pub service: ServiceKey,
    /// The table or collection; empty where unknown.
    pub table: Name,
}

impl Key for UsageKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.datastore.for_each_name(visit);
        self.service.for_each_name(visit);
        visit(self.table);
    }
}

/// The facts of one use. Only statements within requests count, DDL never.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageFacts {
    /// Reading statements.
    pub reads: u64,
    /// Writing statements.
    pub writes: u64,
    /// Of both, those of requests that a schedule started, or that serve what it started: migration and analytics jobs look
    /// so.
    pub scheduled: u64,
    /// Traces with such a statement.
    pub traces: u64,
    /// By statements per trace.
    pub exemplars: Exemplars,
}

fold_fields!(UsageFacts { reads, writes, scheduled, traces, exemplars });

/// The connections of one instance of a service to a datastore.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct PoolKey {
    /// Who asks.
    pub service: ServiceKey,
    /// Which instance of it; empty where not recorded.
    pub instance: Name,
    /// The datastore.
    pub datastore: DatastoreKey,
}

impl Key for PoolKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.service.for_each_name(visit);
        visit(self.instance);
        self.datastore.for_each_name(visit);
    }
}

/// The statements of one instance over time: busy time by a slice's length is how many were under way at once.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct PoolFacts {
    /// The latest slices of time.
    pub slices: Latest<SliceFacts, MAX_SLICES>,
    /// By latency of the statement.
    pub exemplars: Exemplars,
}

fold_fields!(PoolFacts { slices, exemplars });
