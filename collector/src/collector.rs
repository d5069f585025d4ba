//! A running collector: listeners, the owner of the graph between them, and an orderly end.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use spanlint_graph::{TraceId, Waterfall};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use crate::api;
use crate::clock::system_clock;
use crate::config::{API_FLAG, CollectorConfig, OTLP_GRPC_FLAG, OTLP_HTTP_FLAG};
use crate::limits::Limits;
use crate::live::{Finished, Live, Published, TraceReader};
use crate::receiver::{self, BindError, Counters, Receiver, bind};

/// Why a collector could not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Bind(#[from] BindError),
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
    api: Option<TcpListener>,
    servers: JoinSet<()>,
    shutdown: CancellationToken,
}

impl Collector {
    /// Takes every address, then starts to receive. The API is served from [`Collector::serve_api`] on.
    ///
    /// # Errors
    ///
    /// When an address is taken or does not exist; nothing was started then.
    pub async fn start(config: CollectorConfig) -> Result<Self, StartError> {
        let otlp_grpc = listen(config.otlp_grpc, OTLP_GRPC_FLAG).await?;
        let otlp_http = listen(config.otlp_http, OTLP_HTTP_FLAG).await?;
        let api = listen(config.api, API_FLAG).await?;
        let addresses = Addresses {
            otlp_grpc: address(otlp_grpc.as_ref())?,
            otlp_http: address(otlp_http.as_ref())?,
            api: address(api.as_ref())?,
        };
        let live = Live::start(&config.live, system_clock())?;
        let counters = Arc::new(Counters::default());
        let receiver = Receiver { intake: live.intake(), counters: Arc::clone(&counters), limits: config.limits };
        let shutdown = CancellationToken::new();
        let mut servers = JoinSet::new();
        for listener in otlp_grpc.into_iter().chain(otlp_http) {
            servers.spawn(receiver::serve(listener, receiver.clone(), shutdown.clone()));
        }
        Ok(Self { addresses, live, counters, limits: config.limits, api, servers, shutdown })
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
        api::router(&self.live, Arc::clone(&self.counters))
    }

    /// Serves the collector's routes and `additional` ones, behind the check of the Host header. Does nothing when no
    /// address was configured for the API, or when it is served already.
    pub fn serve_api(&mut self, additional: Router) {
        if let Some(listener) = self.api.take() {
            let router = api::guarded(self.api_router().merge(additional));
            self.servers.spawn(receiver::serve_router(listener, router, self.limits, self.shutdown.clone()));
        }
    }

    /// Stops the listeners, answers the requests in flight, and gives back the facts of every span that was accepted.
    pub async fn finish(mut self) -> Finished {
        self.shutdown.cancel();
        while self.servers.join_next().await.is_some() {}
        self.live.finish().await
    }
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
