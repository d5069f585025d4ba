//! What is learned of requests, kept for the next ones.
//!
//! There are as many readers as requests are decoded at a time, whatever thread does it: each has memory of its own, so
//! what all of them remember together is bounded.

use std::num::NonZero;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::available_parallelism;

use spanlint_graph::{BatchBuilder, Reading, Sealing};

use crate::decode::layouts::Layouts;
use crate::limits::MEMORY_BYTES;

/// Of the memory of a collector, the part that its readers remember things in: one in so many.
const READERS_SHARE: usize = 16;
/// The most that one of them remembers.
const MAX_READER_BYTES: usize = 32 << 20;
/// Of that, the part that is for layouts: one in so many.
const LAYOUTS_SHARE: usize = 3;

/// The readers of one collector.
#[derive(Debug, Clone)]
pub struct Readers {
    reading: Arc<Reading>,
    /// What each of them begins to seal with.
    sealing: Arc<Sealing>,
    /// Those that nobody uses at present; whoever read last reads next.
    idle: Arc<Mutex<Vec<Reader>>>,
    most: usize,
    bytes_each: usize,
}

/// What one request after another is read with.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) builder: BatchBuilder,
    pub(super) layouts: Layouts,
    pub(super) sealing: Sealing,
}

impl Default for Readers {
    fn default() -> Self {
        Self::new(Arc::default(), MEMORY_BYTES)
    }
}

impl Readers {
    /// Readers of a collector that takes no more than `memory_bytes` in all.
    pub fn new(reading: Arc<Reading>, memory_bytes: usize) -> Self {
        let most = available_parallelism().map_or(1, NonZero::get);
        let bytes_each = (memory_bytes / READERS_SHARE / most).min(MAX_READER_BYTES);
        Self { reading, sealing: Arc::default(), idle: Arc::default(), most, bytes_each }
    }

    /// How attributes are read.
    pub fn reading(&self) -> &Arc<Reading> {
        &self.reading
    }

    /// What `read` makes of a request with one of the readers.
    pub(super) fn read<T>(&self, read: impl FnOnce(&mut Reader) -> T) -> T {
        let idle = || self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = idle().pop();
        let mut reader = taken.unwrap_or_else(|| self.reader());
        let made = read(&mut reader);
        // What a request left behind that was refused is nobody's.
        drop(reader.builder.take());
        let mut idle = idle();
        if idle.len() < self.most {
            idle.push(reader);
        }
        made
    }

    fn reader(&self) -> Reader {
        let layout_bytes = self.bytes_each / LAYOUTS_SHARE;
        Reader {
            builder: BatchBuilder::within(Arc::clone(&self.reading), self.bytes_each - layout_bytes),
            layouts: Layouts::within(layout_bytes),
            sealing: (*self.sealing).clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_are_kept_than_read_at_a_time() {
        let readers = Readers { most: 1, ..Readers::default() };
        let kept = || readers.idle.lock().unwrap().len();
        readers.read(|_| readers.read(|_| assert_eq!(kept(), 0)));
        assert_eq!(kept(), 1);
        readers.read(|_| assert_eq!(kept(), 0));
        assert_eq!(kept(), 1);
    }
}
