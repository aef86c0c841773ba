//! Accepted connections: counted, and closed when the client says nothing.

use std::{
    io,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use futures::{Stream, stream};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::Sleep,
};
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Connections of one listener, at most; more wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 1_024;

/// How long a client may take to begin its first request.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// The shortest request there is, `GET / HTTP/1.0` with two line ends, in bytes.
const OPENING_BYTES: usize = 18;

/// What HTTP/2 begins with; until it is complete nobody else keeps the time.
const HTTP2_OPENING: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// How long to wait when the system has no room for another connection.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// One client's connection; it counts while it lives.
pub(super) struct Connection {
    stream: TcpStream,
    peer: SocketAddr,
    /// While the first request has not begun.
    opening: Option<Opening>,
    _permit: OwnedSemaphorePermit,
}

/// What a client has said so far, and until when it must have said enough.
struct Opening {
    bytes: usize,
    http2: bool,
    deadline: Pin<Box<Sleep>>,
}

impl Opening {
    fn begin() -> Self {
        let deadline = Box::pin(tokio::time::sleep(OPENING_TIMEOUT));
        Self { bytes: 0, http2: true, deadline }
    }

    fn hear(&mut self, said: &[u8]) {
        let expected = HTTP2_OPENING.get(self.bytes..).unwrap_or_default();
        self.http2 &= said.iter().zip(expected).all(|(said, expected)| said == expected);
        self.bytes += said.len();
    }

    fn is_complete(&self) -> bool {
        self.bytes >= if self.http2 { HTTP2_OPENING.len() } else { OPENING_BYTES }
    }
}

/// The listener's connections, as long as somebody asks for them.
pub(super) fn incoming(listener: TcpListener) -> impl Stream<Item = io::Result<Connection>> {
    let free = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    stream::unfold((listener, free), |(listener, free)| async move {
        loop {
            let permit = Arc::clone(&free).acquire_owned().await.ok()?;
            match listener.accept().await {
                Ok((stream, peer)) => {
                    let connection = Connection::new(stream, peer, permit);
                    return Some((Ok(connection), (listener, free)));
                }
                Err(error) => {
                    tracing::warn!(error = %error, "a connection cannot be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    })
}

impl Connection {
    fn new(stream: TcpStream, peer: SocketAddr, permit: OwnedSemaphorePermit) -> Self {
        // Without it small answers only come later.
        let _ = stream.set_nodelay(true);
        Self { stream, peer, opening: Some(Opening::begin()), _permit: permit }
    }

    /// The client's address.
    pub(super) fn peer(&self) -> SocketAddr {
        self.peer
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let polled = Pin::new(&mut self.stream).poll_read(cx, buffer);
        let Some(opening) = &mut self.opening else { return polled };
        opening.hear(&buffer.filled()[before..]);
        if opening.is_complete() {
            self.opening = None;
        } else if polled.is_pending() {
            ready!(opening.deadline.as_mut().poll(cx));
            return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
        }
        polled
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, parts)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;

    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}
