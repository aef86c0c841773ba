//! A container's log as the Engine sends it.
//!
//! The library asks for whole seconds only and takes the rest of a stream that was cut off for a
//! line, so this one call speaks HTTP by itself: on a connection of its own, which ends with the
//! stream.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures::Stream;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::{Body as _, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, header};
use hyper_util::rt::TokioIo;
use tokio::net::UnixStream;

use super::{Client, Error};

const WHAT: &str = "logs";

/// Until the Engine begins to answer: it looks for the time in all that it has.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// The longest refusal that is read, in bytes.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Which part of a log is asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Part {
    /// From this time on, that time included, in nanoseconds since 1970.
    pub since: Option<i64>,
    /// Only the last so many lines.
    pub tail: Option<u32>,
    /// And what comes, until the container stops.
    pub follow: bool,
}

type Connection = http1::Connection<TokioIo<UnixStream>, Empty<Bytes>>;

/// The bytes of a log: see [`frame`](crate::logs::frame). It ends without an error when the log
/// does; one that is cut off ends with an error.
pub struct LogStream {
    body: Incoming,
    connection: Option<Pin<Box<Connection>>>,
}

impl Client {
    /// Both outputs of a container, with times. The stream has no timeout: a container may be
    /// silent for days.
    ///
    /// # Errors
    /// When the Engine cannot be reached or has no such container; see [`Error`].
    pub async fn logs(&self, container: &str, part: Part) -> Result<LogStream, Error> {
        let version = self.docker().await?.client_version();
        let path = format!("/v{version}/containers/{container}/logs?{}", query(part));
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.open_log(path));
        match answer.await {
            Ok(answer) => answer,
            Err(_) => Err(Error::Timeout { what: WHAT, after: ANSWER_TIMEOUT }),
        }
    }

    async fn open_log(&self, path: String) -> Result<LogStream, Error> {
        let unreachable = |why: String| {
            let socket = self.inner.socket.display().to_string();
            Error::Unreachable { what: WHAT, socket, why }
        };
        let stream = UnixStream::connect(&self.inner.socket).await;
        let stream = stream.map_err(|error| unreachable(error.to_string()))?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| unreachable(error.to_string()))?;
        let mut connection = Some(Box::pin(connection));
        let request = Request::get(path)
            .header(header::HOST, "docker")
            .body(Empty::new())
            .map_err(|error| Error::malformed(WHAT, error.to_string()))?;
        let sent = sender.send_request(request);
        let answer = alongside(&mut connection, sent).await;
        let answer = answer.map_err(|error| unreachable(error.to_string()))?;
        let status = answer.status();
        let stream = LogStream { body: answer.into_body(), connection };
        if status.is_success() { Ok(stream) } else { Err(stream.refusal(status.as_u16()).await) }
    }
}

fn query(part: Part) -> String {
    let mut query = format!("stdout=1&stderr=1&timestamps=1&follow={}", u8::from(part.follow));
    if let Some(since) = part.since {
        let (seconds, nanos) = (since.div_euclid(1_000_000_000), since.rem_euclid(1_000_000_000));
        query.push_str(&format!("&since={seconds}.{nanos:09}"));
    }
    if let Some(tail) = part.tail {
        query.push_str(&format!("&tail={tail}"));
    }
    query
}

/// Waits for a future while the connection does its work.
async fn alongside<F: Future>(connection: &mut Option<Pin<Box<Connection>>>, work: F) -> F::Output {
    let mut work = std::pin::pin!(work);
    std::future::poll_fn(|cx| {
        drive(connection, cx);
        work.as_mut().poll(cx)
    })
    .await
}

/// An error of the connection reaches whoever waits for its answer.
fn drive(connection: &mut Option<Pin<Box<Connection>>>, cx: &mut Context<'_>) {
    if let Some(open) = connection
        && open.as_mut().poll(cx).is_ready()
    {
        *connection = None;
    }
}

impl LogStream {
    async fn refusal(self, status: u16) -> Error {
        let Self { body, mut connection } = self;
        let body = Limited::new(body, REFUSAL_BYTES_MAX).collect();
        let body = alongside(&mut connection, body).await;
        let body = body.map(|it| it.to_bytes()).unwrap_or_default();
        let told = serde_json::from_slice::<serde_json::Value>(&body).ok();
        let message = told.as_ref().and_then(|it| it["message"].as_str());
        let message = message.unwrap_or("without saying why").to_owned();
        Error::Refused { what: WHAT, status, message }
    }
}

impl Stream for LogStream {
    type Item = Result<Bytes, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            drive(&mut self.connection, cx);
            return match std::task::ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                None => Poll::Ready(None),
                Some(Err(error)) => {
                    let error = Error::malformed(WHAT, format!("it was cut off: {error}"));
                    Poll::Ready(Some(Err(error)))
                }
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(bytes) => Poll::Ready(Some(Ok(bytes))),
                    Err(_trailers) => continue,
                },
            };
        }
    }
}
