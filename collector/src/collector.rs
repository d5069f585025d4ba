//! A running collector: listeners, the owner of the graph between them, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use axum::Router;
use spanlint_graph::{TraceId, Waterfall};
use tokio::net::TcpListener;
use tokio::runtime::{self, Handle, Runtime};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::access::Token;
use crate::api::{self, Guard};
use crate::clock::system_clock;
use crate::config::{API_FLAG, CollectorConfig, DATA_DIR_FLAG, OTLP_GRPC_FLAG, OTLP_HTTP_FLAG, ZIPKIN_FLAG};
use crate::durable::{Durable, DurableError, Opened, Recovery, Replayed, Retention, Trouble, Writer};
use crate::limits::{Limits, MEMORY_BYTES, SHUTDOWN_TIMEOUT};
use crate::live::{FactsReader, Finished, Live, LiveSettings, Published, Replay, TraceReader};
use crate::pressure;
use crate::receiver::{self, BindError, Counters, Readers, Receiver, Turns, bind, io_threads};
use crate::tls::Tls;

/// Why a collector could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// The data folder cannot be used.
    #[error(transparent)]
    Durable(#[from] DurableError),
    /// The system gives no thread, or does not tell an address.
    #[error("cannot start the collector: {0}")]
    System(#[from] io::Error),
}

/// The addresses that a collector listens on, with the ports that the system chose.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of OTLP/gRPC.
    pub otlp_grpc: Option<SocketAddr>,
    /// Of OTLP/HTTP.
    pub otlp_http: Option<SocketAddr>,
    /// Of Zipkin.
    pub zipkin: Option<SocketAddr>,
    /// Of the API.
    pub api: Option<SocketAddr>,
}

/// A running collector. Dropping it stops the listeners at once; [`Collector::finish`] ends it in order.
#[derive(Debug)]
pub struct Collector {
    addresses: Addresses,
    live: Live,
    counters: Arc<Counters>,
    limits: Limits,
    token: Option<Token>,
    tls: Option<Tls>,
    log: Option<OpenLog>,
    api: Option<TcpListener>,
    servers: JoinSet<()>,
    /// Where spans arrive, apart from whoever asks for what became of them.
    _io: Io,
    shutdown: CancellationToken,
}

/// The threads that read from the connections of senders.
#[derive(Debug)]
struct Io(Option<Runtime>);

impl Io {
    fn start() -> io::Result<Self> {
        let threads = runtime::Builder::new_multi_thread()
            .worker_threads(io_threads())
            .thread_name("spanlint-io")
            .enable_all()
            .build()?;
        Ok(Self(Some(threads)))
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it runs until it is dropped").handle()
    }

    /// The same listener, whose connections are read from here.
    fn adopt(&self, listener: TcpListener) -> io::Result<TcpListener> {
        let _context = self.handle().enter();
        TcpListener::from_std(listener.into_std()?)
    }
}

impl Drop for Io {
    fn drop(&mut self) {
        if let Some(threads) = self.0.take() {
            // Whoever drops this may be a task, which must not wait.
            threads.shutdown_background();
        }
    }
}

/// The log of the data folder.
#[derive(Debug)]
struct OpenLog {
    writer: Writer,
    trouble: Trouble,
    recovery: Recovery,
}

impl Collector {
    /// Takes every address, lives through what the data folder has kept, then starts to receive. The API is served from
    /// [`Collector::serve_api`] on.
    ///
    /// # Errors
    ///
    /// When an address is taken or does not exist, or the data folder cannot be used; nothing was started then.
    pub async fn start(config: CollectorConfig) -> Result<Self, StartError> {
        let otlp_grpc = listen(config.otlp_grpc, OTLP_GRPC_FLAG).await?;
        let otlp_http = listen(config.otlp_http, OTLP_HTTP_FLAG).await?;
        let zipkin = listen(config.zipkin, ZIPKIN_FLAG).await?;
        let api = listen(config.api, API_FLAG).await?;
        let addresses = Addresses {
            otlp_grpc: address(otlp_grpc.as_ref())?,
            otlp_http: address(otlp_http.as_ref())?,
            zipkin: address(zipkin.as_ref())?,
            api: address(api.as_ref())?,
        };
        let memory_bytes = config.live.memory_bytes;
        let readers = Readers::new(config.reading, memory_bytes.unwrap_or(MEMORY_BYTES));
        let (live, durable, log) = match config.data_dir {
            None => (Live::start(&config.live, system_clock())?, None, None),
            Some(data_dir) => {
                let readers = readers.clone();
                let restored = move || restore(&config.live, &data_dir, config.retention, &readers);
                let (live, durable, log) = tokio::task::spawn_blocking(restored).await.map_err(io::Error::other)??;
                (live, Some(durable), Some(log))
            }
        };
        let counters = Arc::new(Counters::default());
        let (intake, limits) = (live.intake(), config.limits);
        let (token, tls) = (config.token, config.tls);
        let receiver = Receiver {
            intake,
            durable,
            counters: Arc::clone(&counters),
            limits,
            turns: Turns::default(),
            tap: config.tap,
            token: token.clone(),
            readers,
        };
        let shutdown = CancellationToken::new();
        let mut servers = JoinSet::new();
        if let Some(memory_bytes) = memory_bytes {
            let (budget, stopping) = (live.intake().budget().clone(), shutdown.clone());
            servers.spawn(async move {
                stopping.run_until_cancelled(pressure::watch(budget, memory_bytes)).await;
            });
        }
        let io = Io::start()?;
        for listener in otlp_grpc.into_iter().chain(otlp_http) {
            let serve = receiver::serve(io.adopt(listener)?, tls.clone(), receiver.clone(), shutdown.clone());
            servers.spawn_on(serve, io.handle());
        }
        if let Some(listener) = zipkin {
            let (listener, router) = (io.adopt(listener)?, receiver::zipkin_router(receiver));
            let serve = receiver::serve_router(listener, tls.clone(), router, limits, shutdown.clone());
            servers.spawn_on(serve, io.handle());
        }
        Ok(Self { addresses, live, counters, limits, token, tls, log, api, servers, _io: io, shutdown })
    }

    /// What was read back from the data folder, if there is one.
    pub fn recovery(&self) -> Option<&Recovery> {
        self.log.as_ref().map(|log| &log.recovery)
    }

    /// Where it listens.
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// The latest snapshot, and the news of a later one.
    pub fn published(&self) -> watch::Receiver<Arc<Published>> {
        self.live.published()
    }

    /// Where stored traces are asked for.
    pub fn traces(&self) -> TraceReader {
        self.live.traces()
    }

    /// Where facts are asked for.
    pub fn facts(&self) -> FactsReader {
        self.live.facts()
    }

    /// A stored trace.
    pub async fn trace(&self, id: TraceId) -> Option<Waterfall> {
        self.traces().waterfall(id).await
    }

    /// What the receivers received and answered.
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Is cancelled when the collector begins to stop: answers that never end by themselves must end then.
    pub fn stopping(&self) -> CancellationToken {
        self.shutdown.child_token()
    }

    /// The routes of the collector's own API.
    pub fn api_router(&self) -> Router {
        let trouble = self.log.as_ref().map(|log| log.trouble.clone());
        api::router(&self.live, Arc::clone(&self.counters), trouble)
    }

    /// Serves the collector's routes and `additional` ones at `paths`, behind the check of token and Host header. Does nothing when no
    /// address was configured for the API, or when it is served already.
    pub fn serve_api(&mut self, additional: Router, paths: &[&str]) {
        if let Some(listener) = self.api.take() {
            let guard =
                Guard { token: self.token.clone(), is_certified: self.tls.as_ref().is_some_and(Tls::is_mutual) };
            let router = api::guarded(self.api_router().merge(additional), paths, guard);
            let (tls, shutdown) = (self.tls.clone(), self.shutdown.clone());
            self.servers.spawn(receiver::serve_router(listener, tls, router, self.limits, shutdown));
        }
    }

    /// Stops the listeners, answers the requests in flight, and gives back the facts of every span that was accepted.
    pub async fn finish(mut self) -> Finished {
        self.shutdown.cancel();
        while self.servers.join_next().await.is_some() {}
        if let Some(OpenLog { writer, .. }) = self.log.take() {
            // Nothing acknowledged waits to be written; a request that does may wait for a disk that hangs.
            if tokio::time::timeout(SHUTDOWN_TIMEOUT, writer.ended()).await.is_err() {
                tracing::warn!("the log is still being written");
            }
        }
        self.live.finish().await
    }
}

/// Opens the log of a data folder, and a live side that has lived through it.
fn restore(
    settings: &LiveSettings,
    data_dir: &Path,
    retention: Retention,
    readers: &Readers,
) -> Result<(Live, Durable, OpenLog), StartError> {
    let clock = system_clock();
    let mut replay = Replay::new(settings);
    let add = |unix_ns, content, request: &[u8]| {
        let batch = receiver::decode_kept(content, request, readers).ok()?;
        let replayed = Replayed { spans: batch.spans.len() as u64, traces: batch.traces() };
        replay.add(batch, unix_ns);
        Some(replayed)
    };
    let opened = Durable::open(data_dir, DATA_DIR_FLAG, retention, readers, Arc::clone(&clock), add)?;
    let Opened { durable, writer, trouble, kept, cited, recovery } = opened;
    let live = replay.start(clock)?.with_kept(kept);
    let published = live.published();
    cited.told_by(move || {
        let graphs = published.borrow().environments.clone();
        graphs.iter().flat_map(|graph| graph.exemplar_traces()).collect()
    });
    Ok((live, durable, OpenLog { writer, trouble, recovery }))
}

async fn listen(address: Option<SocketAddr>, flag: &'static str) -> Result<Option<TcpListener>, BindError> {
    match address {
        Some(address) => Ok(Some(bind(address, flag).await?)),
        None => Ok(None),
    }
}

fn address(listener: Option<&TcpListener>) -> io::Result<Option<SocketAddr>> {
    listener.map(TcpListener::local_addr).transpose()
}

#[cfg(test)]
mod tests;
