//! What one connection, and all of them, may cost: a listener that counts them, and a stream that
//! ends after a deadline and after a few kilobytes of request.
//!
//! The HTTP library has such limits too, but this way of serving doesn't reach them, and it would
//! take two more crates to do so. Below HTTP they are simpler: no request here needs a body, and
//! each connection carries one request, so bytes and seconds bound it whole.

use axum::serve::Listener;
use std::future::Future as _;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Sleep, sleep};

/// Connections at once; more wait in the operating system's queue.
const CONNECTIONS_MAX: usize = 64;

/// From the connection to the answer's last byte.
const DEADLINE: Duration = Duration::from_secs(10);

/// Of the request line and the headers together.
const REQUEST_BYTES_MAX: usize = 16 << 10;

/// How long to wait when a connection can't be accepted: file descriptors may come free.
const PAUSE: Duration = Duration::from_millis(200);

/// A listener whose connections are bounded.
pub(super) struct Guarded {
    listener: TcpListener,
    free: Arc<Semaphore>,
}

impl Guarded {
    pub(super) fn new(listener: TcpListener) -> Self {
        Self { listener, free: Arc::new(Semaphore::new(CONNECTIONS_MAX)) }
    }
}

impl Listener for Guarded {
    type Io = Connection;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Connection, SocketAddr) {
        loop {
            // The semaphore is never closed; without a permit the connection is merely uncounted.
            let permit = self.free.clone().acquire_owned().await.ok();
            match self.listener.accept().await {
                Ok((stream, address)) => return (Connection::new(stream, permit), address),
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A stream that ends after [`DEADLINE`] and [`REQUEST_BYTES_MAX`].
pub(super) struct Connection {
    stream: TcpStream,
    deadline: Pin<Box<Sleep>>,
    bytes_left: usize,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Connection {
    fn new(stream: TcpStream, permit: Option<OwnedSemaphorePermit>) -> Self {
        let deadline = Box::pin(sleep(DEADLINE));
        Self { stream, deadline, bytes_left: REQUEST_BYTES_MAX, _permit: permit }
    }

    fn in_time(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.deadline.as_mut().poll(context) {
            Poll::Ready(()) => Err(io::ErrorKind::TimedOut.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.in_time(context)?;
        let before = into.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(context, into);
        let read = into.filled().len() - before;
        let Some(left) = self.bytes_left.checked_sub(read) else {
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        };
        self.bytes_left = left;
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.in_time(context)?;
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
