//! The HTTP and gRPC servers of a process.

mod connection;
mod http;

use std::{any::Any, io, time::Duration};

use anyhow::{Context as _, bail};
use axum::http::Response;
use proto::{Failure, Reason};
use tokio::net::TcpListener;
use tonic::{Status, body::Body, service::RoutesBuilder, transport::Server};
use tonic_health::{ServingStatus, server::HealthReporter};
use tower_http::catch_panic::CatchPanicLayer;

use super::{Addresses, Config, Listener, stage::Stage};
use crate::{
    Shutdown, Tasks,
    auth::{self, Authenticator},
    readiness::Readiness,
};

/// How far a default port may move when it is taken.
const PORT_MOVES_MAX: u16 = 100;

/// Requests that one gRPC connection may have in flight.
const GRPC_CONCURRENCY_PER_CONNECTION: usize = 256;

/// A dead gRPC peer is noticed after this long.
const GRPC_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(20);

/// From a call to the head of its answer; a stream has answered by then.
const GRPC_CALL_TIMEOUT: Duration = Duration::from_secs(120);

pub(super) struct Listeners {
    http: TcpListener,
    grpc: TcpListener,
    admin: TcpListener,
}

/// What the servers serve.
pub(super) struct Servers {
    pub(super) http: axum::Router,
    pub(super) admin: axum::Router,
    pub(super) grpc: RoutesBuilder,
    /// (gRPC service, our service)
    pub(super) grpc_names: Vec<(&'static str, &'static str)>,
    pub(super) authenticator: Authenticator,
}

impl Listeners {
    pub(super) async fn bind(config: &Config) -> anyhow::Result<Self> {
        Ok(Self {
            http: bind("http", &config.http).await?,
            grpc: bind("grpc", &config.grpc).await?,
            admin: bind("admin", &config.admin).await?,
        })
    }

    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            http: self.http.local_addr().ok(),
            grpc: self.grpc.local_addr().ok(),
            admin: self.admin.local_addr().ok(),
        }
    }

    /// Starts the servers: those of the services in the stage `servers`, and in the stage `admin`
    /// what tells how they do.
    pub(super) fn spawn_servers(
        self,
        tasks: &mut Tasks,
        parts: Servers,
        readiness: &Readiness,
        [servers, admin]: [&Stage; 2],
    ) -> anyhow::Result<()> {
        let http = http::serve(self.http, http::guarded(parts.http), servers.shutdown());
        servers.spawn(tasks, "http", http);
        let stop = admin.shutdown();
        admin.spawn(tasks, "admin", http::serve(self.admin, parts.admin, stop));

        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .context("the compiled protos cannot be reflected")?;
        let mut routes = parts.grpc;
        routes.add_service(health_service).add_service(reflection);
        let report = report(health, parts.grpc_names, readiness.clone(), servers.shutdown());
        servers.spawn(tasks, "grpc.health", report);

        let server = Server::builder()
            .concurrency_limit_per_connection(GRPC_CONCURRENCY_PER_CONNECTION)
            .http2_keepalive_interval(Some(GRPC_KEEPALIVE_INTERVAL))
            .timeout(GRPC_CALL_TIMEOUT)
            .trace_fn(|request| {
                let span = tracing::info_span!("grpc", method = request.uri().path());
                telemetry::propagation::set_parent_from_headers(&span, request.headers());
                span
            })
            .layer(CatchPanicLayer::custom(refuse_after_panic))
            .layer(auth::Layer::new(parts.authenticator))
            .add_routes(routes.routes());
        let stop = servers.shutdown();
        let incoming = connection::incoming(self.grpc);
        servers.spawn(tasks, "grpc", async move {
            server
                .serve_with_incoming_shutdown(incoming, stop.cancelled_owned())
                .await
                .context("the server broke")
        });
        Ok(())
    }
}

/// A panic in a call costs that call; the log has the message.
fn refuse_after_panic(_: Box<dyn Any + Send>) -> Response<Body> {
    let failure = Failure::new(Reason::Internal, "the call failed by a fault of ours; see the log");
    Status::from(failure).into_http()
}

/// Tells `grpc.health.v1` how the services do, whenever that changes.
async fn report(
    health: HealthReporter,
    names: Vec<(&'static str, &'static str)>,
    readiness: Readiness,
    stop: Shutdown,
) -> anyhow::Result<()> {
    let mut changes = readiness.changes();
    loop {
        let reports = changes.borrow_and_update().clone();
        for (grpc_name, service) in &names {
            let serves = reports.get(service).is_some_and(|report| report.state.serves());
            health.set_service_status(*grpc_name, serving(serves)).await;
        }
        health.set_service_status("", serving(readiness.all_serve())).await;
        tokio::select! {
            changed = changes.changed() => changed.context("nobody reports any more")?,
            () = stop.cancelled() => return Ok(()),
        }
    }
}

fn serving(serves: bool) -> ServingStatus {
    if serves { ServingStatus::Serving } else { ServingStatus::NotServing }
}

async fn bind(name: &str, listener: &Listener) -> anyhow::Result<TcpListener> {
    if !listener.address.is_loopback() && !listener.tls_terminated_upstream {
        bail!(
            "{name}.address {} is reachable from other machines, and tokens would cross the \
             network in clear text: put a TLS proxy in front and set \
             {name}.tls_terminated_upstream = true",
            listener.address
        );
    }
    let moves = if listener.port_may_move && listener.port != 0 { PORT_MOVES_MAX } else { 0 };
    for offset in 0..=moves {
        let port = listener.port.saturating_add(offset);
        match TcpListener::bind((listener.address, port)).await {
            Ok(bound) => return Ok(bound),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && offset < moves => {}
            Err(error) => {
                return Err(error).with_context(|| {
                    format!(
                        "cannot listen on {}:{port}; choose another with {name}.port",
                        listener.address
                    )
                });
            }
        }
    }
    bail!("no free port from {} on for {name}; choose one with {name}.port", listener.port)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use axum::http::Request;
    use tower::{Layer as _, ServiceExt as _};

    use super::*;

    #[tokio::test]
    async fn a_panic_in_a_call_costs_that_call() {
        let broken = tower::service_fn(|_: Request<Body>| async {
            panic!("out of range");
            #[expect(unreachable_code, reason = "names the type of the answer")]
            Ok::<Response<Body>, Infallible>(Response::default())
        });
        let guarded = CatchPanicLayer::custom(refuse_after_panic).layer(broken);
        let answer = guarded.oneshot(Request::default()).await.expect("an answer");
        assert_eq!(answer.headers()["grpc-status"], "13");
    }
}
