//! The owner of the graph.

mod queue;

pub(crate) use self::queue::queue;
pub use self::queue::{Busy, Intake, MAX_QUEUED_BATCHES, MAX_QUEUED_BYTES};
