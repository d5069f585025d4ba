//! The live side: one thread alone owns the graph and publishes immutable snapshots of it.
//!
//! Receivers hand batches to [`Intake`]; whoever wants to look takes the latest [`Published`] from a watch channel and
//! never waits for the owner, nor the owner for them. The graph itself is built by a pure state machine,
//! which knows no time and no threads; what is here drives it.

mod owner;
mod queue;
mod records;
mod replay;
mod status;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use spanlint_graph::resolve::outline;
use spanlint_graph::waterfall::LogRow;
use spanlint_graph::{CallGraph, Facts, NameTable, TraceId, View, Waterfall, Window, file, resolve};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::MissedTickBehavior;

pub use self::owner::{Finished, LiveSettings, NotKept, Published};
use self::owner::{Owner, Resolve};
pub use self::queue::{Busy, Intake, MAX_QUEUED_BATCHES, MAX_QUEUED_BYTES, Reserved};
pub(crate) use self::queue::{Queued, RETRY_AFTER, queue};
pub use self::records::LogQuery;
pub use self::replay::Replay;
pub use self::status::Status;
use crate::clock::Clock;
use crate::durable::KeptTraces;
use crate::window::Past;

/// How often a snapshot is published at most.
pub const PUBLISH_INTERVAL: Duration = Duration::from_millis(500);

/// How often quiet traces are looked for: what waits longer than it must takes memory, and many that settle at once let
/// batches wait.
const SETTLE_INTERVAL: Duration = Duration::from_millis(100);

/// The most requests for traces that wait for the owner of the graph.
const MAX_QUEUED_REQUESTS: usize = 64;

/// What the owner of the graph is asked for.
#[derive(Debug)]
enum Request {
    Answer(Question),
    Finish(oneshot::Sender<Finished>),
}

/// What can be asked without an end, with the way back for the answer.
#[derive(Debug)]
enum Question {
    Waterfall(TraceId, oneshot::Sender<Option<Waterfall>>),
    Logs(LogQuery, oneshot::Sender<Vec<LogRow>>),
    Snapshot(Window, oneshot::Sender<Vec<u8>>),
    Graphs(Window, Resolve, oneshot::Sender<Vec<Arc<CallGraph>>>),
    Past(Window, u64, oneshot::Sender<Result<(Past, NameTable), NotKept>>),
}

/// The running owner of the graph.
#[derive(Debug)]
pub struct Live {
    intake: Intake,
    requests: mpsc::Sender<Request>,
    published: watch::Receiver<Arc<Published>>,
    kept: Option<KeptTraces>,
}

/// Where stored traces and log lines are asked for.
#[derive(Debug, Clone)]
pub struct TraceReader {
    requests: mpsc::Sender<Request>,
    kept: Option<KeptTraces>,
}

/// Where facts are asked for. Every answer costs the owner a walk over all of them.
#[derive(Debug, Clone)]
pub struct FactsReader {
    requests: mpsc::Sender<Request>,
}

/// Everything that the owner's loop listens to and writes to.
#[derive(Debug)]
struct Channels {
    intake: Intake,
    batches: mpsc::Receiver<Queued>,
    requests: mpsc::Receiver<Request>,
    published: watch::Sender<Arc<Published>>,
}

impl Live {
    /// Starts the owner on a thread of its own, which ends with [`Live::finish`] or when `self` and everything made
    /// from it are dropped.
    ///
    /// # Errors
    ///
    /// When the thread cannot be started.
    pub fn start(settings: &LiveSettings, clock: Clock) -> io::Result<Self> {
        Replay::new(settings).start(clock)
    }

    /// Where batches are handed in.
    pub fn intake(&self) -> Intake {
        self.intake.clone()
    }

    /// The latest snapshot, and the news of a later one.
    pub fn published(&self) -> watch::Receiver<Arc<Published>> {
        self.published.clone()
    }

    /// Where stored traces are asked for.
    pub fn traces(&self) -> TraceReader {
        TraceReader { requests: self.requests.clone(), kept: self.kept.clone() }
    }

    /// Looks for traces that are not in memory where they were kept.
    pub(crate) fn with_kept(self, kept: KeptTraces) -> Self {
        Self { kept: Some(kept), ..self }
    }

    /// Where facts are asked for.
    pub fn facts(&self) -> FactsReader {
        FactsReader { requests: self.requests.clone() }
    }

    /// Takes what is queued, settles everything, and stops the owner. Batches that come later are turned away.
    pub async fn finish(self) -> Finished {
        let (reply, finished) = oneshot::channel();
        self.requests.send(Request::Finish(reply)).await.expect("only finish ends the owner, and it takes the handle");
        finished.await.expect("the owner answers before it ends")
    }

    fn connect(request_bytes: usize, first: Arc<Published>) -> (Self, Channels) {
        let (intake, batches) = queue(request_bytes);
        let (request_sender, requests) = mpsc::channel(MAX_QUEUED_REQUESTS);
        let (publisher, published) = watch::channel(first);
        let channels = Channels { intake: intake.clone(), batches, requests, published: publisher };
        (Self { intake, requests: request_sender, published, kept: None }, channels)
    }
}

impl TraceReader {
    /// The trace, if it has settled and is still stored, or kept on disk.
    pub async fn waterfall(&self, id: TraceId) -> Option<Waterfall> {
        let stored = ask(&self.requests, |reply| Question::Waterfall(id, reply)).await?;
        match (stored, &self.kept) {
            (None, Some(kept)) => kept.waterfall(id).await,
            (stored, _) => stored,
        }
    }

    /// The newest log lines, the newest first; none once the owner has ended.
    pub async fn logs(&self, query: LogQuery) -> Option<Vec<LogRow>> {
        ask(&self.requests, |reply| Question::Logs(query, reply)).await
    }
}

/// Why a view cannot be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ViewError {
    /// The owner has ended.
    Stopping,
    /// Its last minute is not kept.
    NotKept(NotKept),
}

impl FactsReader {
    /// The facts of a view as the bytes of a snapshot file.
    ///
    /// # Errors
    ///
    /// When its last minute is not kept, or the owner has ended.
    pub async fn snapshot(&self, view: View) -> Result<Vec<u8>, ViewError> {
        match view.until_ns {
            None => self.ask(|reply| Question::Snapshot(view.window, reply)).await,
            Some(until_ns) => self.past(view.window, until_ns, file::write).await,
        }
    }

    /// The graph of a view for each environment, the one with the most spans first.
    ///
    /// # Errors
    ///
    /// When its last minute is not kept, or the owner has ended.
    pub async fn graphs(&self, view: View) -> Result<Vec<Arc<CallGraph>>, ViewError> {
        self.resolved(view, resolve).await
    }

    /// The nodes and edges of the same graphs.
    ///
    /// # Errors
    ///
    /// When its last minute is not kept, or the owner has ended.
    pub async fn outlines(&self, view: View) -> Result<Vec<Arc<CallGraph>>, ViewError> {
        self.resolved(view, outline).await
    }

    async fn resolved(&self, view: View, resolve: Resolve) -> Result<Vec<Arc<CallGraph>>, ViewError> {
        match view.until_ns {
            None => self.ask(|reply| Question::Graphs(view.window, resolve, reply)).await,
            Some(until_ns) => {
                self.past(view.window, until_ns, move |facts, names| owner::graphs(facts, names, resolve)).await
            }
        }
    }

    /// What `make` makes of the facts of an earlier window. The owner only hands out the parts: adding up a day takes
    /// longer than it may be kept from its work.
    async fn past<T: Send + 'static>(
        &self,
        window: Window,
        until_ns: u64,
        make: impl FnOnce(&Facts, &NameTable) -> T + Send + 'static,
    ) -> Result<T, ViewError> {
        let answer = self.ask(|reply| Question::Past(window, until_ns, reply)).await?;
        let (past, names) = answer.map_err(ViewError::NotKept)?;
        let made = tokio::task::spawn_blocking(move || make(&past.facts(), &names));
        made.await.map_err(|_| ViewError::Stopping)
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Result<T, ViewError> {
        ask(&self.requests, question).await.ok_or(ViewError::Stopping)
    }
}

/// Asks the owner, and waits for the answer; none once the owner has ended.
async fn ask<T>(requests: &mpsc::Sender<Request>, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
    let (reply, answer) = oneshot::channel();
    requests.send(Request::Answer(question(reply))).await.ok()?;
    answer.await.ok()
}

/// Publishes what an owner has, and runs it on a thread of its own.
fn run(mut owner: Owner, request_bytes: usize, clock: Clock) -> io::Result<Live> {
    let (live, channels) = Live::connect(request_bytes, owner.published());
    if let Some(published) = owner.tick(clock(), channels.intake.busy_spans()) {
        channels.published.send_replace(published);
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build()?;
    std::thread::Builder::new()
        .name("spanlint-live".to_owned())
        .spawn(move || runtime.block_on(drive(owner, channels, clock)))?;
    Ok(live)
}

/// Feeds the owner until it is asked to finish.
async fn drive(mut owner: Owner, mut channels: Channels, clock: Clock) {
    let [mut ticks, mut settling] = [PUBLISH_INTERVAL, SETTLE_INTERVAL].map(tokio::time::interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    settling.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            Some(queued) = channels.batches.recv() => {
                owner.press(channels.intake.budget().pressure());
                owner.absorb(queued.batch, clock());
            }
            request = channels.requests.recv() => match request {
                Some(Request::Finish(reply)) => return finish(owner, channels, &clock, reply),
                Some(Request::Answer(question)) => answer(&owner, question),
                None => return,
            },
            _ = settling.tick(), if owner.has_pending() => owner.settle_quiet(clock()),
            _ = ticks.tick(), if !owner.is_idle() => {
                owner.press(channels.intake.budget().pressure());
                if let Some(published) = owner.tick(clock(), channels.intake.busy_spans()) {
                    channels.published.send_replace(published);
                }
            }
        }
    }
}

/// Answers a question; whoever asked may have gone.
fn answer(owner: &Owner, question: Question) {
    let _ = match question {
        Question::Waterfall(id, reply) => reply.send(owner.waterfall(id)).is_ok(),
        Question::Logs(query, reply) => reply.send(owner.logs(&query)).is_ok(),
        Question::Snapshot(window, reply) => reply.send(owner.snapshot(window)).is_ok(),
        Question::Graphs(window, resolve, reply) => reply.send(owner.graphs(window, resolve)).is_ok(),
        Question::Past(window, until_ns, reply) => reply.send(owner.past(window, until_ns)).is_ok(),
    };
}

/// Takes what is queued, settles everything and hands it over.
fn finish(mut owner: Owner, mut channels: Channels, clock: &Clock, reply: oneshot::Sender<Finished>) {
    channels.batches.close();
    while let Ok(queued) = channels.batches.try_recv() {
        owner.absorb(queued.batch, clock());
    }
    // Whoever asked may have gone.
    let _ = reply.send(owner.finish(clock(), channels.intake.busy_spans()));
}

#[cfg(test)]
pub(crate) mod tests;
