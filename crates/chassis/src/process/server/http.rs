//! HTTP/1 and HTTP/2 for a router, with limits on what one client may hold up.

use std::{pin::pin, time::Duration};

use axum::{
    Router,
    body::Body,
    extract::ConnectInfo,
    http::{Request, StatusCode},
};
use futures::StreamExt as _;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto::Builder,
};
use tokio::{net::TcpListener, task::JoinSet};
use tower::ServiceExt as _;
use tower_http::{catch_panic::CatchPanicLayer, timeout::TimeoutLayer, trace::TraceLayer};

use super::connection::{Connection, incoming};
use crate::Shutdown;

/// How long the head of a request may take, and how long a connection may wait for the next one.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(30);

/// From the head of a request to the head of its answer, the request's body included. A stream of
/// events has answered by then.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(120);

/// A dead HTTP/2 peer is noticed after this long.
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// Requests that one HTTP/2 connection may have in flight.
const STREAMS_PER_CONNECTION: u32 = 256;

/// A router that survives panics, ends late requests and joins the caller's trace.
pub(super) fn guarded(routes: Router) -> Router {
    // A panic in a handler costs its request, never the process; the caller gets a 500.
    routes
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, REQUEST_TIMEOUT))
        .layer(CatchPanicLayer::new())
        .layer(TraceLayer::new_for_http().make_span_with(|request: &Request<Body>| {
            let method = request.method().as_str();
            let span = tracing::info_span!("http", method, path = request.uri().path());
            telemetry::propagation::set_parent_from_headers(&span, request.headers());
            span
        }))
}

/// Serves until `stop`, then finishes what is in flight.
pub(super) async fn serve(
    listener: TcpListener,
    routes: Router,
    stop: Shutdown,
) -> anyhow::Result<()> {
    let mut connections = JoinSet::new();
    {
        let mut incoming = pin!(incoming(listener));
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                Some(Ok(connection)) = incoming.next() => {
                    connections.spawn(converse(connection, routes.clone(), stop.clone()));
                }
                Some(_) = connections.join_next() => {}
            }
        }
    }
    while connections.join_next().await.is_some() {}
    Ok(())
}

async fn converse(connection: Connection, routes: Router, stop: Shutdown) {
    let peer = ConnectInfo(connection.peer());
    let service = hyper::service::service_fn(move |request: Request<hyper::body::Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(peer);
        routes.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_TIMEOUT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(KEEPALIVE_INTERVAL)
        .max_concurrent_streams(STREAMS_PER_CONNECTION);
    let mut conversation = pin!(builder.serve_connection(TokioIo::new(connection), service));
    let ended = tokio::select! {
        ended = &mut conversation => ended,
        () = stop.cancelled() => {
            conversation.as_mut().graceful_shutdown();
            conversation.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error, "a client's connection ended early");
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::TcpStream,
        time::{Instant, timeout},
    };

    use super::*;
    use crate::Tasks;

    /// Sends `request` and waits until the server has said its last word.
    async fn ask(request: &str) -> (String, Duration) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let routes = Router::new()
            .route("/never", get(std::future::pending::<()>))
            .route("/", get(|| async { "here" }));
        let stop = Shutdown::new();
        let mut tasks = Tasks::new(&stop);
        tasks.spawn("http", serve(listener, guarded(routes), stop.clone()));
        let began = Instant::now();
        let mut client = TcpStream::connect(address).await.expect("it listens");
        client.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = Vec::new();
        let last_word = timeout(REQUEST_TIMEOUT * 2, client.read_to_end(&mut answer));
        last_word.await.unwrap_or_else(|_| panic!("{request:?} is never ended")).expect("read");
        let took = began.elapsed();
        stop.cancel();
        tasks.join().await.expect("it ends");
        (String::from_utf8_lossy(&answer).into_owned(), took)
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_is_too_slow_is_sent_away() {
        let (answer, took) = ask("GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n").await;
        assert!(answer.ends_with("here"), "{answer}");
        assert!(took < Duration::from_secs(1), "{took:?}");
        for (request, limit) in [
            ("", Duration::from_secs(10)),
            ("PRI * HTTP/2.0\r\n\r\n", Duration::from_secs(10)),
            ("GET / HTTP/1.1\r\nHost: a-head-without-end\r\n", HEADER_READ_TIMEOUT),
            ("GET / HTTP/1.1\r\nHost: a-client-that-stays\r\n\r\n", HEADER_READ_TIMEOUT),
        ] {
            let (_, took) = ask(request).await;
            assert!(took >= limit && took < limit * 2, "{request:?}: {took:?}");
        }
        let late = "GET /never HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
        let (answer, took) = ask(late).await;
        assert!(answer.starts_with("HTTP/1.1 504"), "{answer}");
        assert!(took >= REQUEST_TIMEOUT, "{took:?}");
    }
}
