//! An HTTP server that serves what a test tells it to, well or badly, and records who asked.

mod response;

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::extract::State;
use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

pub use response::{Auth, Body, Response};

/// A request that is larger is answered with 413 and not recorded.
const REQUEST_BYTES_MAX: usize = 64 << 20;

/// An HTTP server on a port of its own, gone with the value.
pub struct Site {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    shared: Arc<Shared>,
    _tasks: JoinSet<()>,
}

/// A request that reached the site.
#[derive(Clone, Debug)]
pub struct Request {
    /// GET, POST, ...
    pub method: Method,
    /// The path without the query.
    pub path: String,
    /// The query without its question mark; empty if there is none.
    pub query: String,
    /// All headers as they came.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
    /// The status that it was answered with.
    pub status: StatusCode,
    sent: Arc<AtomicU64>,
}

impl Request {
    /// A header's value as text; `None` when it is missing.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// How many bytes of body were handed to the connection until now.
    pub fn bytes_sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

type Answer = Arc<dyn Fn(&Request) -> Response + Send + Sync>;

#[derive(Default)]
struct Shared {
    answers: Mutex<HashMap<String, Answer>>,
    requests: Mutex<Vec<Request>>,
}

impl Site {
    /// A site at 127.0.0.1.
    ///
    /// # Panics
    /// When it cannot listen.
    pub async fn start() -> Self {
        Self::start_at(Ipv4Addr::LOCALHOST.into()).await
    }

    /// A site at another loopback address, so that a test has two hosts.
    ///
    /// # Panics
    /// When it cannot listen there.
    pub async fn start_at(address: IpAddr) -> Self {
        let listener = TcpListener::bind((address, 0)).await.expect("the address is ours");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let shared = Arc::new(Shared::default());
        let app = axum::Router::new().fallback(answer).with_state(shared.clone());
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            axum::serve(listener, app).await.expect("serving does not end by itself");
        });
        Self { url, shared, _tasks: tasks }
    }

    /// The URL of `path`, which starts with a slash.
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.url)
    }

    /// Answers `path` with `response` from now on.
    pub fn serve(&self, path: &str, response: Response) {
        self.answer(path, move |_| response.clone());
    }

    /// Answers `path` with each response once and with the last one from then on.
    ///
    /// # Panics
    /// When there is no response.
    pub fn serve_each(&self, path: &str, responses: impl IntoIterator<Item = Response>) {
        let mut rest = responses.into_iter().collect::<Vec<_>>().into_iter();
        let mut next = rest.next().expect("at least one response");
        let each = Mutex::new(move || {
            let following = rest.next().unwrap_or_else(|| next.clone());
            std::mem::replace(&mut next, following)
        });
        self.answer(path, move |_| locked(&each)());
    }

    /// Answers `path` with what `answer` makes of each request from now on.
    pub fn answer(
        &self,
        path: &str,
        answer: impl Fn(&Request) -> Response + Send + Sync + 'static,
    ) {
        locked(&self.shared.answers).insert(path.to_owned(), Arc::new(answer));
    }

    /// Every request so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        locked(&self.shared.requests).clone()
    }

    /// The requests for one path.
    pub fn requests_for(&self, path: &str) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.path == path).collect()
    }

    /// Forgets the requests so far.
    pub fn forget_requests(&self) {
        locked(&self.shared.requests).clear();
    }
}

async fn answer(
    State(shared): State<Arc<Shared>>,
    request: axum::extract::Request,
) -> axum::response::Response {
    let (parts, body) = request.into_parts();
    let Ok(body) = axum::body::to_bytes(body, REQUEST_BYTES_MAX).await else {
        return response::plain(StatusCode::PAYLOAD_TOO_LARGE);
    };
    let mut request = Request {
        method: parts.method,
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body,
        status: StatusCode::NOT_FOUND,
        sent: Arc::default(),
    };
    let answer = locked(&shared.answers).get(&request.path).cloned();
    let response = answer.map(|answer| answer(&request).to(&request));
    let response = response.unwrap_or_else(|| Response::status(StatusCode::NOT_FOUND));
    request.status = response.status;
    let sent = request.sent.clone();
    locked(&shared.requests).push(request);
    response.send(sent).await
}

/// A test that panicked while it held the lock has failed already.
fn locked<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
