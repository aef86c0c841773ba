//! The order in which a process stops.

use std::{
    sync::{Arc, LazyLock},
    time::Duration,
};

use axum::{Router, routing::get};
use chassis::{
    Process, Service, Shutdown, Tasks,
    auth::{Authenticator, TokenHash, Verify},
    caller::Caller,
    process::{Config, Listener},
    readiness::{Readiness, State},
};
use futures::future::BoxFuture;
use proto::Failure;
use testkit::eventually_eq;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::Semaphore,
    time::timeout,
};

/// How long each step may take.
const DEADLINE: Duration = Duration::from_secs(10);

static TELEMETRY: LazyLock<telemetry::Telemetry> = LazyLock::new(|| {
    telemetry::start("tested", &telemetry::Config::default()).expect("telemetry starts")
});

struct Nobody;

impl Verify for Nobody {
    fn verify(&self, _: TokenHash) -> BoxFuture<'_, Result<Option<Caller>, Failure>> {
        Box::pin(async { Ok(None) })
    }
}

/// What the server says to a request for `path`, or why there is no answer.
async fn ask(address: std::net::SocketAddr, path: &str) -> std::io::Result<String> {
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok(answer)
    };
    timeout(DEADLINE, talk).await.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()))
}

#[tokio::test(flavor = "multi_thread")]
async fn services_stop_before_servers_and_the_admin_server_stops_last() {
    let config = Config {
        http: Listener::on_loopback(0),
        grpc: Listener::on_loopback(0),
        admin: Listener::on_loopback(0),
    };
    let readiness = Readiness::default();
    let process =
        Process::bind(&config, readiness.clone(), TELEMETRY.metrics()).await.expect("bound");
    let addresses = process.addresses();
    let (http, admin) = (addresses.http.expect("http"), addresses.admin.expect("admin"));

    let semaphore = || Arc::new(Semaphore::new(0));
    let (work, begun, request) = (semaphore(), semaphore(), semaphore());
    let (working, beginning, asked) = (work.clone(), begun.clone(), request.clone());
    let ready = readiness.clone();
    let service = Service::new("worker", move |shutdown| {
        let (working, ready) = (Arc::clone(&working), ready.clone());
        async move {
            ready.set("worker", State::Ready);
            shutdown.cancelled().await;
            // A last heartbeat does not make it ready again.
            ready.set("worker", State::Ready);
            let _ended = working.acquire().await?;
            Ok(())
        }
    });
    let slow = get(move || {
        let (beginning, asked) = (beginning.clone(), asked.clone());
        async move {
            beginning.add_permits(1);
            let _answered = asked.acquire().await;
            "late"
        }
    });
    let routes = Router::new().route("/slow", slow).route("/", get(|| async { "here" }));
    let shutdown = Shutdown::new();
    let served = process.serve(
        vec![service.http(routes)],
        Authenticator::new(Arc::new(Nobody)),
        shutdown.clone(),
    );
    let mut tasks = Tasks::new(&Shutdown::new());
    tasks.spawn("process", served);
    timeout(DEADLINE, readiness.ready()).await.expect("it becomes ready");

    shutdown.cancel();
    eventually_eq(DEADLINE, true, || async {
        ask(admin, "/readyz").await.is_ok_and(|answer| answer.contains("stopping"))
    })
    .await;
    let answer = ask(http, "/").await.expect("HTTP serves while the worker finishes");
    assert!(answer.ends_with("here"), "{answer}");

    let late = ask(http, "/slow");
    let until_answered = async {
        let _begun = begun.acquire().await;
        work.add_permits(1);
        eventually_eq(DEADLINE, true, || async { ask(http, "/").await.is_err() }).await;
        let answer = ask(admin, "/readyz").await.expect("the admin server is the last");
        assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
        request.add_permits(1);
    };
    let (late, ()) = tokio::join!(late, until_answered);
    assert!(late.expect("what was in flight is finished").ends_with("late"));
    timeout(DEADLINE, tasks.join()).await.expect("it ends in time").expect("in good order");
}
