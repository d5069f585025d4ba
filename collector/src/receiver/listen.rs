//! Listening: an address taken or a clear error, and connections that are bounded in number, size and patience.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

use super::idle::{Idle, Patience};
use super::{Receiver, router};
use crate::limits::{
    CROWDED_IDLE_TIMEOUT, HEADER_READ_TIMEOUT, HTTP2_FRAME_BYTES, HTTP2_WINDOW_BYTES, KEEP_ALIVE, Limits,
    MAX_CONCURRENT_STREAMS, MAX_HEADER_BYTES, MAX_HEADERS, MAX_RESET_STREAMS, SHUTDOWN_TIMEOUT,
};
use crate::tls::Tls;

/// The first byte of a client that speaks TLS.
const TLS_HANDSHAKE: u8 = 0x16;

/// What a client gets that speaks HTTP/1 where TLS is spoken.
const WANTS_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\ncontent-type: text/plain; charset=utf-8\r\n\
    connection: close\r\n\r\nthis port speaks TLS only: come with https://\n";

/// How long to wait after the system could not hand over a connection, for example for want of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// It is crowded when fewer places are free than one in this many.
const CROWDED: usize = 8;

/// Why an address cannot be listened on, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Somebody else listens there.
    #[error("address {address} is taken by another program: stop it, or choose another with {flag}")]
    Taken {
        /// The address.
        address: SocketAddr,
        /// The flag that chooses it.
        flag: &'static str,
    },
    /// Anything else: no such address here, no permission.
    #[error("cannot listen on {address}: {source}; choose another with {flag}")]
    Other {
        /// The address.
        address: SocketAddr,
        /// The flag that chooses it.
        flag: &'static str,
        /// What the system says.
        source: io::Error,
    },
}

/// Takes `address`, which the user chooses with `flag`.
pub async fn bind(address: SocketAddr, flag: &'static str) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|source| match source.kind() {
        io::ErrorKind::AddrInUse => BindError::Taken { address, flag },
        _ => BindError::Other { address, flag, source },
    })
}

/// Serves OTLP on `listener` until `shutdown`; requests in flight are answered first, within bounds.
pub async fn serve(listener: TcpListener, tls: Option<Tls>, receiver: Receiver, shutdown: CancellationToken) {
    let limits = receiver.limits;
    serve_router(listener, tls, router(receiver), limits, shutdown).await;
}

/// Serves any routes like that.
pub async fn serve_router(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let patience = Patience {
        places: Arc::clone(&places),
        few: limits.connections / CROWDED,
        timeout: limits.idle_timeout,
        crowded: CROWDED_IDLE_TIMEOUT,
    };
    let builder = builder();
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let accepted = async {
            let place = Arc::clone(&places).acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = shutdown.cancelled() => break,
        };
        match accepted {
            Ok((stream, _)) => {
                if let Err(error) = stream.set_nodelay(true) {
                    tracing::debug!(%error, "cannot send small answers at once");
                }
                let stream = Idle::new(stream, patience.clone());
                let (tls, router, builder, shutdown) = (tls.clone(), router.clone(), builder.clone(), shutdown.clone());
                connections.spawn(async move {
                    match tls {
                        None => connection(stream, router, builder, shutdown).await,
                        Some(tls) => {
                            if let Some(stream) = handshake(stream, &tls).await {
                                connection(stream, router, builder, shutdown).await;
                            }
                        }
                    }
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let finished = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(SHUTDOWN_TIMEOUT, finished).await.is_err() {
        connections.shutdown().await;
    }
}

/// The stream inside of TLS; none where the other side does not speak it, or is not certified.
async fn handshake(mut stream: Idle<TcpStream>, tls: &Tls) -> Option<TlsStream<Idle<TcpStream>>> {
    let shaken = async {
        let mut first = [TLS_HANDSHAKE];
        stream.get_ref().peek(&mut first).await?;
        if first != [TLS_HANDSHAKE] {
            stream.write_all(WANTS_TLS).await?;
            stream.shutdown().await?;
            // Closing with something unread would take the answer away again.
            tokio::io::copy(&mut stream.take(MAX_HEADER_BYTES.into()), &mut tokio::io::sink()).await?;
            return Err(io::ErrorKind::InvalidData.into());
        }
        tls.acceptor.accept(stream).await
    };
    match tokio::time::timeout(HEADER_READ_TIMEOUT, shaken).await {
        Ok(Ok(stream)) => Some(stream),
        Ok(Err(error)) => {
            tracing::debug!(%error, "no TLS with a client");
            None
        }
        Err(_) => None,
    }
}

async fn connection<S>(stream: S, router: Router, builder: auto::Builder<TokioExecutor>, shutdown: CancellationToken)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let stream = TokioIo::new(stream);
    let connection = builder.serve_connection(stream, TowerToHyperService::new(router));
    tokio::pin!(connection);
    let served = tokio::select! {
        served = connection.as_mut() => served,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = served {
        tracing::debug!(error, "a connection ended early");
    }
}

/// HTTP/1.1 and HTTP/2 on one port, every limit set.
fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_READ_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEADER_BYTES as usize * 4);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_CONCURRENT_STREAMS)
        .max_pending_accept_reset_streams(MAX_RESET_STREAMS)
        .max_local_error_reset_streams(MAX_RESET_STREAMS)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_frame_size(HTTP2_FRAME_BYTES)
        .initial_stream_window_size(HTTP2_WINDOW_BYTES)
        .initial_connection_window_size(HTTP2_WINDOW_BYTES)
        .keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE);
    builder
}
