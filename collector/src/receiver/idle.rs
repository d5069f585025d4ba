//! A connection that fails once its other side is silent for too long.
//!
//! Clients that connect and never speak, or stop in the middle of their first line, would hold a place for good; no
//! timeout of the HTTP libraries covers the time before they know which HTTP is spoken.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep_until};

/// The connection.
#[derive(Debug)]
pub(super) struct Idle<S> {
    stream: S,
    timeout: Duration,
    last_read: Instant,
    alarm: Pin<Box<Sleep>>,
}

impl<S> Idle<S> {
    /// A connection that may be silent for `timeout`.
    pub(super) fn new(stream: S, timeout: Duration) -> Self {
        let now = Instant::now();
        Self { stream, timeout, last_read: now, alarm: Box::pin(sleep_until(now + timeout)) }
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
            let deadline = self.last_read + self.timeout;
            if deadline <= Instant::now() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
            self.alarm.as_mut().reset(deadline);
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
        let mut server = Idle::new(server, Duration::from_secs(10));
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
}
