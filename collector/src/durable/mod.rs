//! Durable mode: requests are on disk before they are acknowledged, and are lived through again after a restart.
//!
//! ```text
//! receiver -> Durable::append ... waits ... -> acknowledged
//!                 | bounded queue        ^
//!                 +-> writer thread: group -> one record -> append -> fdatasync
//! ```
//!
//! Whatever waits while the disk is busy becomes the next group, so one sync serves many requests under load, and a
//! single one does not wait for company. When the disk is full or fails, senders are told to come again; that is tried
//! anew with every group, so room on the disk is all it takes to go on.
//!
//! What is kept are the requests as they arrived, without the attributes that are dropped on purpose and with seals for
//! what is confidential, and not what was made of them: whoever may read the folder reads the rest of what was sent, so
//! only its owner may. A restart reads everything that is kept; in between, an index by trace id finds the requests of a
//! trace that memory no longer holds.

mod disk;
mod find;
mod index;
mod kept;
mod log;
mod pinned;
mod record;
#[cfg(test)]
mod simulated;

use std::convert::Infallible;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError, SyncSender};
use std::time::Duration;

use bytes::Bytes;
use spanlint_graph::TraceId;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot, watch};

pub use self::disk::FolderError;
use self::disk::{Disk, Folder};
pub use self::kept::KeptTraces;
use self::log::{Log, Request};
pub use self::log::{LogError, MAX_LOG_AGE, MAX_LOG_BYTES, Recovery, Replayed, Retention};
pub use self::pinned::CitedTraces;
pub use self::record::Content;
use crate::clock::Clock;
use crate::live::Busy;
use crate::receiver::Readers;

/// The most requests that wait to be written.
pub const MAX_UNWRITTEN_REQUESTS: usize = 1024;

/// The most bytes of requests that wait to be written, or are being written. A greater request is taken when it is
/// alone, as it would never fit otherwise.
pub const MAX_UNWRITTEN_BYTES: usize = 64 << 20;

/// The size from which a group takes no more requests.
const MAX_GROUP_BYTES: usize = 8 << 20;

/// When a sender should come again whose request could not be written.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// How often old segments are looked for while nothing arrives.
const RETENTION_INTERVAL: Duration = Duration::from_mins(1);

/// How often a disk that was full or failed is tried again while nothing arrives: whoever waits until the collector is
/// ready would wait for ever otherwise.
const TRIAL_INTERVAL: Duration = Duration::from_secs(1);

/// Why the log cannot be written, as the system says; none while it can be.
pub type Trouble = watch::Receiver<Option<String>>;

/// Why durable mode cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DurableError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The log in it cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The system gives no thread.
    #[error("cannot start the writer of the log: {0}")]
    Thread(#[from] io::Error),
}

/// Where requests are made durable. The log is closed when the last of these is dropped.
#[derive(Debug, Clone)]
pub struct Durable {
    appends: SyncSender<Append>,
    room: Arc<Semaphore>,
}

/// A request that waits to be written.
#[derive(Debug)]
struct Append {
    content: Content,
    request: Bytes,
    traces: Vec<TraceId>,
    /// Given back before the sender is told, so that the next request finds it.
    room: OwnedSemaphorePermit,
    /// Told once it is on disk; dropped when it could not be written.
    written: oneshot::Sender<()>,
}

impl Append {
    fn as_request(&self) -> Request<'_> {
        Request { content: self.content, bytes: &self.request, traces: &self.traces }
    }
}

impl Durable {
    /// Opens the log in `folder`, which the user chose with `flag`; shows every request that it kept to `replay`, with
    /// the Unix time of its arrival in nanoseconds; then starts the thread that writes. Blocks until all of it is read.
    /// `replay` answers what a request held, none if it cannot be read. What `readers` drop is in no trace that is
    /// read back.
    ///
    /// # Errors
    ///
    /// When the folder is in use or cannot be used, when the disk fails, or a later version wrote the log.
    pub fn open(
        folder: &Path,
        flag: &'static str,
        retention: Retention,
        readers: &Readers,
        clock: Clock,
        replay: impl FnMut(u64, Content, &[u8]) -> Option<Replayed>,
    ) -> Result<Opened, DurableError> {
        let folder = Folder::open(folder, flag)?;
        let (log, recovery) = Log::recover(folder, retention, clock().unix_ns, replay)?;
        let (kept, cited) = (KeptTraces::new(log.finder(), readers.clone()), log.cited());
        let (durable, writer, trouble) = start(log, clock)?;
        Ok(Opened { durable, writer, trouble, kept, cited, recovery })
    }

    /// Makes a request with spans of `traces` durable. Once this returns `Ok`, it survives the end of the process and a
    /// power cut.
    pub async fn append(&self, content: Content, request: Bytes, traces: Vec<TraceId>) -> Result<(), Busy> {
        let bytes = request.len().min(MAX_UNWRITTEN_BYTES) as u32;
        let busy = Busy { retry_after: RETRY_AFTER };
        let room = Arc::clone(&self.room).try_acquire_many_owned(bytes).map_err(|_| busy)?;
        let (written, is_written) = oneshot::channel();
        self.appends.try_send(Append { content, request, traces, room, written }).map_err(|_| busy)?;
        is_written.await.map_err(|_| busy)
    }
}

/// A log that was opened.
#[derive(Debug)]
pub struct Opened {
    /// Where requests are handed in.
    pub durable: Durable,
    /// The thread that writes them.
    pub writer: Writer,
    /// Whether it can.
    pub trouble: Trouble,
    /// Where traces are read back.
    pub kept: KeptTraces,
    /// Where to tell which traces shall outlive their segments.
    pub cited: CitedTraces,
    /// What was read back at the start.
    pub recovery: Recovery,
}

/// The thread that writes.
#[derive(Debug)]
pub struct Writer {
    /// Dropped by the thread when it ends.
    running: oneshot::Receiver<Infallible>,
}

impl Writer {
    /// Waits until every [`Durable`] is dropped and the folder is free for others.
    pub async fn ended(self) {
        self.running.await.expect_err("an infallible value is never sent");
    }
}

fn start(log: Log<impl Disk>, clock: Clock) -> io::Result<(Durable, Writer, Trouble)> {
    let (appends, waiting) = mpsc::sync_channel(MAX_UNWRITTEN_REQUESTS);
    let room = Arc::new(Semaphore::new(MAX_UNWRITTEN_BYTES));
    let (is_running, running) = oneshot::channel();
    let (tell, trouble) = watch::channel(None);
    std::thread::Builder::new().name("spanlint-log".to_owned()).spawn(move || {
        write_groups(log, &waiting, &tell, &clock);
        drop(is_running);
    })?;
    Ok((Durable { appends, room }, Writer { running }, trouble))
}

/// Writes group after group until nobody can hand in any more.
fn write_groups(
    mut log: Log<impl Disk>,
    waiting: &mpsc::Receiver<Append>,
    trouble: &watch::Sender<Option<String>>,
    clock: &Clock,
) {
    let mut last_bytes = 0;
    loop {
        let is_failing = trouble.borrow().is_some();
        match waiting.recv_timeout(if is_failing { TRIAL_INTERVAL } else { RETENTION_INTERVAL }) {
            Ok(first) => {
                let group = take_group(first, waiting);
                last_bytes = group.iter().map(|append| append.request.len()).sum::<usize>().min(MAX_GROUP_BYTES);
                let written = log.write(group.iter().map(Append::as_request), clock().unix_ns);
                tell(trouble, written.as_ref().err());
                // The senders learn of it last.
                match written {
                    Ok(()) => acknowledge(group),
                    Err(_) => drop(group),
                }
            }
            // Room for a little is not enough where more is waiting to come again.
            Err(RecvTimeoutError::Timeout) if is_failing => tell(trouble, log.try_disk(last_bytes).as_ref().err()),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        if let Err(error) = log.retain(clock().unix_ns) {
            tracing::debug!(%error, "an old segment of the log cannot be removed");
        }
    }
}

/// Says how writing went, where that is news.
fn tell(trouble: &watch::Sender<Option<String>>, error: Option<&io::Error>) {
    let is_failing = trouble.borrow().is_some();
    match error {
        Some(error) if !is_failing => {
            tracing::warn!(%error, "the log cannot be written; senders are asked to come again");
            trouble.send_replace(Some(error.to_string()));
        }
        None if is_failing => {
            tracing::info!("the log can be written again");
            trouble.send_replace(None);
        }
        _ => {}
    }
}

/// What waits now, up to the size of a group.
fn take_group(first: Append, waiting: &mpsc::Receiver<Append>) -> Vec<Append> {
    let mut bytes = first.request.len();
    let mut group = vec![first];
    while bytes < MAX_GROUP_BYTES
        && let Ok(next) = waiting.try_recv()
    {
        bytes += next.request.len();
        group.push(next);
    }
    group
}

fn acknowledge(group: Vec<Append>) {
    for Append { room, written, .. } in group {
        drop(room);
        // Whoever sent it may have gone.
        let _ = written.send(());
    }
}

#[cfg(test)]
mod tests;
