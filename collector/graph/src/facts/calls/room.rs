//! The memory that calls are read in.

use super::{Calls, Made, Request};
use crate::reuse::emptied;

/// The memory of calls, used again from trace to trace.
#[derive(Debug, Default)]
pub(in crate::facts) struct Room {
    pub(super) requests: Vec<Request>,
    pub(super) made: Vec<Made<'static>>,
    pub(super) request_of: Vec<usize>,
}

impl Calls<'_> {
    /// Gives the memory back.
    pub(in crate::facts) fn leave(self, room: &mut Room) {
        room.requests = self.requests;
        room.made = emptied(self.made);
    }
}
