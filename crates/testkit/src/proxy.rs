//! A Unix socket in front of an Engine's, which misbehaves as a test tells it to.

mod body;

use std::convert::Infallible;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, UPGRADE};
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode, client, http, server};
use hyper_util::rt::TokioIo;
use tempfile::TempDir;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use body::Body;

/// What goes wrong with a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The connection breaks after so many bytes of the answer's body.
    Cut(u64),
    /// The request reaches the Engine only after this time.
    Delay(Duration),
    /// The Engine is not asked, and nothing is ever answered, until [`Proxy::heal`].
    Hang,
    /// The Engine is not asked, and the answer is 500.
    Fail,
    /// The Engine does what it is asked, and the answer is lost with its connection.
    Lose,
    /// The Engine is asked twice, and its second answer is the one that comes.
    Twice,
    /// Each event, or each frame of a log, comes twice.
    Double,
}

/// A way to an Engine. It ends with this value.
pub struct Proxy {
    shared: Arc<Shared>,
    _folder: TempDir,
    _listening: JoinSet<()>,
}

struct Shared {
    /// Where clients connect, and where the Engine listens.
    socket: PathBuf,
    engine: PathBuf,
    faults: Mutex<Vec<Planned>>,
    asked: Mutex<Vec<(SystemTime, String)>>,
    /// Counts how often every connection was broken.
    severed: watch::Sender<u64>,
    connections: Mutex<JoinSet<()>>,
}

struct Planned {
    what: String,
    fault: Fault,
    times: usize,
}

impl Proxy {
    /// A way to the Engine at `host`, such as `unix:///var/run/docker.sock`, without a fault.
    ///
    /// # Panics
    /// When no socket can be made.
    pub async fn start(host: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("cc-proxy-").tempdir().expect("a folder");
        let socket = folder.path().join("docker.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let shared = Arc::new(Shared {
            socket,
            engine: host.trim_start_matches("unix://").into(),
            faults: Mutex::default(),
            asked: Mutex::default(),
            severed: watch::Sender::new(0),
            connections: Mutex::default(),
        });
        let mut listening = JoinSet::new();
        listening.spawn(listen(listener, shared.clone()));
        Self { shared, _folder: folder, _listening: listening }
    }

    /// Where clients connect.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.shared.socket.clone()
    }

    /// Lets the next so many requests go wrong whose method and path, such as
    /// `POST /containers/create?name=web`, contain `what`. What was planned first comes first.
    pub fn fault(&self, what: &str, fault: Fault, times: usize) {
        lock(&self.shared.faults).push(Planned { what: what.to_owned(), fault, times });
    }

    /// Ends every fault; requests that hang are broken off.
    pub fn heal(&self) {
        lock(&self.shared.faults).clear();
        self.sever();
    }

    /// Breaks every connection that is open now.
    pub fn sever(&self) {
        self.shared.severed.send_modify(|it| *it += 1);
    }

    /// When the requests came whose method and path contain `what`.
    #[must_use]
    pub fn asked(&self, what: &str) -> Vec<SystemTime> {
        let asked = lock(&self.shared.asked);
        asked.iter().filter(|it| it.1.contains(what)).map(|it| it.0).collect()
    }
}

async fn listen(listener: UnixListener, shared: Arc<Shared>) {
    while let Ok((client, _)) = listener.accept().await {
        let mut severed = shared.severed.subscribe();
        let answering = shared.clone();
        shared.run(async move {
            let answers = service_fn(|request| answer(answering.clone(), request));
            let connection = server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(client), answers)
                .with_upgrades();
            tokio::select! {
                // However it ended, it was a client's.
                _ = connection => {}
                _ = severed.changed() => {}
            }
        });
    }
}

/// An error breaks the connection.
async fn answer(shared: Arc<Shared>, mut request: Request<Incoming>) -> io::Result<Response<Body>> {
    let path = request.uri().path_and_query().map_or("/", |it| it.as_str());
    let line = format!("{} {path}", request.method());
    let fault = shared.take(&line);
    lock(&shared.asked).push((SystemTime::now(), line));
    match fault {
        Some(Fault::Delay(time)) => tokio::time::sleep(time).await,
        Some(Fault::Hang) => std::future::pending().await,
        Some(Fault::Fail) => {
            let told = Full::new(Bytes::from_static(br#"{"message":"the test said so"}"#));
            let answer = Response::builder().status(StatusCode::INTERNAL_SERVER_ERROR);
            return answer.body(body::whole(told)).map_err(io::Error::other);
        }
        _ => {}
    }
    let upgrade = request.headers().contains_key(UPGRADE);
    let upgrade = upgrade.then(|| hyper::upgrade::on(&mut request));
    let (head, body) = request.into_parts();
    let body = body.collect().await.map_err(io::Error::other)?.to_bytes();
    if fault == Some(Fault::Twice) {
        let first = shared.ask(&head, body.clone()).await?;
        first.into_body().collect().await.map_err(io::Error::other)?;
    }
    let mut answer = shared.ask(&head, body).await?;
    if let Some(theirs) = upgrade.filter(|_| answer.status() == StatusCode::SWITCHING_PROTOCOLS) {
        let ours = hyper::upgrade::on(&mut answer);
        shared.run(async move {
            if let (Ok(theirs), Ok(ours)) = (theirs.await, ours.await) {
                let (mut theirs, mut ours) = (TokioIo::new(theirs), TokioIo::new(ours));
                tokio::io::copy_bidirectional(&mut theirs, &mut ours).await.ok();
            }
        });
    }
    let (mut head, body) = answer.into_parts();
    let body = match fault {
        Some(Fault::Lose) => {
            body.collect().await.map_err(io::Error::other)?;
            return Err(io::Error::other("the test said so"));
        }
        Some(Fault::Cut(bytes)) => body::cut(body, bytes),
        Some(Fault::Double) => {
            head.headers.remove(CONTENT_LENGTH);
            body::double(body)
        }
        _ => body::same(body),
    };
    Ok(Response::from_parts(head, body))
}

impl Shared {
    fn take(&self, line: &str) -> Option<Fault> {
        let mut faults = lock(&self.faults);
        let planned = faults.iter_mut().find(|it| it.times > 0 && line.contains(&it.what))?;
        planned.times -= 1;
        Some(planned.fault)
    }

    /// Sends a request on a connection of its own.
    async fn ask(
        &self,
        head: &http::request::Parts,
        body: Bytes,
    ) -> io::Result<Response<Incoming>> {
        let engine = UnixStream::connect(&self.engine).await?;
        let (mut sender, connection) =
            client::conn::http1::handshake::<_, Full<Bytes>>(TokioIo::new(engine))
                .await
                .map_err(io::Error::other)?;
        let mut severed = self.severed.subscribe();
        self.run(async move {
            tokio::select! {
                _ = connection.with_upgrades() => {}
                _ = severed.changed() => {}
            }
        });
        let request = Request::from_parts(head.clone(), Full::new(body));
        sender.send_request(request).await.map_err(io::Error::other)
    }

    /// Runs what belongs to a connection.
    fn run(&self, work: impl Future<Output = ()> + Send + 'static) {
        let mut connections = lock(&self.connections);
        while connections.try_join_next().is_some() {}
        connections.spawn(work);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What a body that is in memory cannot do.
fn never(error: Infallible) -> io::Error {
    match error {}
}
