//! What is known of ways through several services: loops, and failures that travel.

use serde::{Deserialize, Serialize};

use super::fold::{Key, fold_fields};
use super::{Exemplars, Histogram, MAX_PATH_LENGTH, OperationKey};
use crate::name::Name;
use crate::span::ServiceKey;

/// The services of a loop in calling order, starting with the smallest; unused places are empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct LoopKey {
    /// At most [`MAX_PATH_LENGTH`] services.
    pub services: [ServiceKey; MAX_PATH_LENGTH],
}

impl Key for LoopKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.services.iter().for_each(|service| service.for_each_name(visit));
    }
}

/// The facts of one loop that synchronous paths walked.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct LoopFacts {
    /// How often a path came back to a service that was already on it.
    pub walks: u64,
    /// Traces in which one did.
    pub traces: u64,
    /// How often one path came back, at most, by trace: A B A is one turn, A B A B A are two.
    pub turns: Histogram,
    /// By turns.
    pub exemplars: Exemplars,
}

fold_fields!(LoopFacts { walks, traces, turns, exemplars });

/// A failure's way from where it began to the request that came from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct FailureKey {
    /// The operation of the request without a caller.
    pub entry: OperationKey,
    /// From the service where it began to that of the entry; unused places are empty.
    pub services: [ServiceKey; MAX_PATH_LENGTH],
}

impl Key for FailureKey {
    fn for_each_name(&self, visit: &mut dyn FnMut(Name)) {
        self.entry.for_each_name(visit);
        self.services.iter().for_each(|service| service.for_each_name(visit));
    }
}

/// How failures of one service end for those outside. A service's failure begins there where none of its own calls to
/// services failed.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct FailureFacts {
    /// Requests of the entry below which the service failed.
    pub failed: u64,
    /// Of these, those that failed themselves.
    pub entry_failed: u64,
    /// By duration of the failed request of the entry.
    pub exemplars: Exemplars,
}

fold_fields!(FailureFacts { failed, entry_failed, exemplars });
