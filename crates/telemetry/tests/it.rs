//! Traces against a collector that speaks OTLP over gRPC.

use std::{net::SocketAddr, time::Duration};

use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    trace::v1::Span,
};
use tokio::{net::TcpListener, sync::mpsc, time::timeout};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

/// How long the spans may take to arrive.
const DEADLINE: Duration = Duration::from_secs(20);

struct Collector {
    spans: mpsc::UnboundedSender<Span>,
}

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let resources = request.into_inner().resource_spans.into_iter();
        for span in resources.flat_map(|it| it.scope_spans).flat_map(|it| it.spans) {
            // A test that has ended hears no more.
            let _ = self.spans.send(span);
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

async fn collector() -> (SocketAddr, mpsc::UnboundedReceiver<Span>) {
    let (spans, arrived) = mpsc::unbounded_channel();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address");
    let server = tonic::transport::Server::builder()
        .add_service(TraceServiceServer::new(Collector { spans }))
        .serve_with_incoming(TcpListenerStream::new(listener));
    #[expect(clippy::disallowed_methods, reason = "lives as long as the test")]
    tokio::spawn(server);
    (address, arrived)
}

// Telemetry is on once in a process, so that this is one test.
#[tokio::test(flavor = "multi_thread")]
async fn our_spans_leave_and_those_of_their_carriers_do_not() {
    let (address, mut arrived) = collector().await;
    let config =
        telemetry::Config { otlp_endpoint: format!("http://{address}"), ..Default::default() };
    let telemetry = telemetry::start("tested", &config).expect("telemetry starts");
    let outer = tracing::info_span!("outer");
    let traceparent = outer.in_scope(|| {
        tracing::info_span!(target: "h2::client", "carrier").in_scope(|| ());
        telemetry::propagation::current_traceparent()
    });
    assert!(traceparent.is_some(), "a span that is exported has a context");
    drop(outer);
    telemetry.stop().await;
    let mut names = Vec::new();
    while let Ok(Some(span)) = timeout(DEADLINE, arrived.recv()).await {
        names.push(span.name);
        if names.iter().any(|name| name == "outer") {
            break;
        }
    }
    while let Ok(span) = arrived.try_recv() {
        names.push(span.name);
    }
    assert_eq!(names, ["outer"]);
}
