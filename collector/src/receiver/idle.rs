//! A connection that fails once its other side is silent for too long.
//!
//! Clients that connect and never speak, or stop in the middle of their first line, would hold a place for good; no
//! timeout of the HTTP libraries covers the time before they know which HTTP is spoken. While nearly all places are
//! taken, silence is borne for a shorter time: others wait for them.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::Semaphore;
use tokio::time::{Instant, Sleep, sleep_until};

/// How long connections may be silent.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    /// The places for connections that are free.
    pub(super) places: Arc<Semaphore>,
    /// With fewer of them it is crowded.
    pub(super) few: usize,
    /// How long one may be silent.
    pub(super) timeout: Duration,
    /// How long where it is crowded.
    pub(super) crowded: Duration,
}

impl Patience {
    fn now(&self) -> Duration {
        if self.places.available_permits() < self.few { self.crowded.min(self.timeout) } else { self.timeout }
    }
}

/// The connection.
#[derive(Debug)]
pub(super) struct Idle<S> {
    stream: S,
    patience: Patience,
    last_read: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Idle<S> {
    /// A connection that may be silent as long as `patience` lasts.
    pub(super) fn new(stream: S, patience: Patience) -> Self {
        let now = Instant::now();
        let alarm = Box::pin(sleep_until(now + patience.crowded.min(patience.timeout)));
        Self { stream, patience, last_read: now, alarm }
    }

    /// The connection itself.
    pub(super) fn get_ref(&self) -> &S {
        &self.stream
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Idle<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Poll::Ready(read) = Pin::new(&mut self.stream).poll_read(context, buffer) {
            self.last_read = Instant::now();
            return Poll::Ready(read);
        }
        while self.alarm.as_mut().poll(context).is_ready() {
            let now = Instant::now();
            let deadline = self.last_read + self.patience.now();
            if deadline <= now {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            // It may become crowded before then.
            let next = deadline.min(now + self.patience.crowded);
            self.alarm.as_mut().reset(next);
        }
        Poll::Pending
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Idle<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn silence_ends_the_connection_and_a_word_prolongs_it() {
        let (mut client, server) = tokio::io::duplex(16);
        let (places, ten_seconds) = (Arc::new(Semaphore::new(8)), Duration::from_secs(10));
        let patience = Patience { places, few: 1, timeout: ten_seconds, crowded: Duration::from_secs(3) };
        let mut server = Idle::new(server, patience);
        let start = Instant::now();
        let speak = async {
            tokio::time::sleep(Duration::from_secs(7)).await;
            client.write_all(b"P").await.unwrap();
            std::future::pending::<()>().await;
        };
        let listen = async {
            let mut byte = [0];
            server.read_exact(&mut byte).await.unwrap();
            server.read_exact(&mut byte).await.unwrap_err()
        };
        let error = tokio::select! { error = listen => error, () = speak => unreachable!() };
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 17);
    }

    #[tokio::test(start_paused = true)]
    async fn silence_is_borne_for_less_where_it_is_crowded() {
        let (_client, server) = tokio::io::duplex(16);
        let places = Arc::new(Semaphore::new(8));
        let (timeout, crowded) = (Duration::from_mins(1), Duration::from_secs(3));
        let mut server = Idle::new(server, Patience { places: Arc::clone(&places), few: 2, timeout, crowded });
        let start = Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(10)).await;
            places.forget_permits(7);
        });
        assert_eq!(server.read_u8().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!((10..=13).contains(&start.elapsed().as_secs()));
    }
}
