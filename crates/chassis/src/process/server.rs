//! The HTTP and gRPC servers of a process.

use std::{io, net::SocketAddr, time::Duration};

use anyhow::{Context as _, bail};
use tokio::net::TcpListener;
use tonic::{
    service::RoutesBuilder,
    transport::{Server, server::TcpIncoming},
};
use tonic_health::ServingStatus;
use tower_http::{catch_panic::CatchPanicLayer, trace::TraceLayer};

use super::{Addresses, Config, Listener};
use crate::{
    Tasks,
    auth::{self, Authenticator},
    readiness::Readiness,
};

/// How far a default port may move when it is taken.
const PORT_MOVES_MAX: u16 = 100;

/// Requests that one gRPC connection may have in flight.
const GRPC_CONCURRENCY_PER_CONNECTION: usize = 256;

/// How often the health service looks at readiness at the latest.
const HEALTH_INTERVAL: Duration = Duration::from_secs(1);

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

    pub(super) fn spawn_servers(
        self,
        tasks: &mut Tasks,
        servers: Servers,
        readiness: Readiness,
    ) -> anyhow::Result<()> {
        let shutdown = tasks.shutdown();
        // A panic in a handler costs its request, never the process; the caller gets a 500.
        let http = servers.http.layer(CatchPanicLayer::new()).layer(TraceLayer::new_for_http());
        for (name, listener, routes) in
            [("http", self.http, http), ("admin", self.admin, servers.admin)]
        {
            let stop = shutdown.clone();
            tasks.spawn(name, async move {
                let make = routes.into_make_service_with_connect_info::<SocketAddr>();
                axum::serve(listener, make)
                    .with_graceful_shutdown(stop.cancelled_owned())
                    .await
                    .context("the server broke")
            });
        }

        let (health, health_service) = tonic_health::server::health_reporter();
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()
            .context("the compiled protos cannot be reflected")?;
        let mut routes = servers.grpc;
        routes.add_service(health_service).add_service(reflection);
        let names = servers.grpc_names;
        let stop = shutdown.clone();
        tasks.spawn("grpc.health", async move {
            loop {
                for (grpc_name, service) in &names {
                    let serves = readiness
                        .reports()
                        .get(service)
                        .is_some_and(|report| report.state.serves());
                    health.set_service_status(*grpc_name, serving(serves)).await;
                }
                health.set_service_status("", serving(readiness.all_serve())).await;
                tokio::select! {
                    () = tokio::time::sleep(HEALTH_INTERVAL) => {}
                    () = stop.cancelled() => {
                        health.set_service_status("", ServingStatus::NotServing).await;
                        return Ok(());
                    }
                }
            }
        });

        let incoming = TcpIncoming::from(self.grpc).with_nodelay(Some(true));
        let server = Server::builder()
            .concurrency_limit_per_connection(GRPC_CONCURRENCY_PER_CONNECTION)
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .trace_fn(|request| {
                let span = tracing::info_span!("grpc", method = request.uri().path());
                telemetry::propagation::set_parent_from_headers(&span, request.headers());
                span
            })
            .layer(auth::Layer::new(servers.authenticator))
            .add_routes(routes.routes());
        tasks.spawn("grpc", async move {
            server
                .serve_with_incoming_shutdown(incoming, shutdown.cancelled_owned())
                .await
                .context("the server broke")
        });
        Ok(())
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
