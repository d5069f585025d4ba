//! The memory that calls are read in.

use super::{Calls, Made, Request};

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

/// The memory of a vector whose items are done with, for others of their size.
pub(super) fn emptied<T, U>(mut items: Vec<T>) -> Vec<U> {
    items.clear();
    items.into_iter().map(|_| unreachable!("there is none")).collect()
}
