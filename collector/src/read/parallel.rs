//! Work spread over a few threads, its results handed over in order.
//!
//! Results that are ready before their turn wait in memory; they are what the caller is going to keep anyway.

use std::collections::BTreeMap;
use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use crate::limits::MAX_READERS;

/// How many threads read files: as many as the processors run, though one that waits for a disk never holds up all.
pub(super) fn readers() -> NonZero<usize> {
    let processors = thread::available_parallelism().map_or(1, NonZero::get);
    NonZero::new(processors.clamp(2, MAX_READERS)).expect("two or more")
}

/// Calls `work` with every number below `count` in so many threads, and `consume` with the results in their order. Once
/// `consume` returns, no further work is begun.
pub(super) fn in_order<R: Send, O>(
    threads: NonZero<usize>,
    count: usize,
    work: impl Fn(usize) -> R + Sync,
    consume: impl FnOnce(InOrder<R>) -> O,
) -> O {
    let threads = threads.get().min(count);
    let begun = AtomicUsize::new(0);
    thread::scope(|scope| {
        let (sender, receiver) = mpsc::sync_channel(threads);
        for _ in 0..threads {
            let (sender, begun, work) = (sender.clone(), &begun, &work);
            scope.spawn(move || {
                loop {
                    let index = begun.fetch_add(1, Ordering::Relaxed);
                    if index >= count || sender.send((index, work(index))).is_err() {
                        break;
                    }
                }
            });
        }
        drop(sender);
        consume(InOrder { receiver, early: BTreeMap::new(), next: 0 })
    })
}

/// The results, in order.
pub(super) struct InOrder<R> {
    receiver: Receiver<(usize, R)>,
    early: BTreeMap<usize, R>,
    next: usize,
}

impl<R> Iterator for InOrder<R> {
    type Item = R;

    fn next(&mut self) -> Option<R> {
        while !self.early.contains_key(&self.next) {
            let (index, result) = self.receiver.recv().ok()?;
            self.early.insert(index, result);
        }
        self.next += 1;
        self.early.remove(&(self.next - 1))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use super::*;

    #[test]
    fn results_come_in_order_whichever_is_ready_first() {
        let (is_second_done, changed) = (Mutex::new(false), Condvar::new());
        let work = |index: usize| {
            match index {
                0 => drop(changed.wait_while(is_second_done.lock().unwrap(), |is_done| !*is_done).unwrap()),
                1 => {
                    *is_second_done.lock().unwrap() = true;
                    changed.notify_all();
                }
                _ => {}
            }
            index
        };
        let results: Vec<usize> = in_order(readers(), 100, work, Iterator::collect);
        assert_eq!(results, (0..100).collect::<Vec<_>>());
    }

    #[test]
    fn work_ends_when_nobody_wants_the_results() {
        let first = in_order(readers(), usize::MAX, |index| index, |mut results| results.next());
        assert_eq!(first, Some(0));
        assert_eq!(in_order(readers(), 0, |index| index, |mut results| results.next()), None);
    }
}
