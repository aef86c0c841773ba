//! Turns logs, traces and metrics on and off, and carries trace context across HTTP, gRPC and
//! NATS.
//!
//! [`start`] is called once by `main`, inside its Tokio runtime; the [`Telemetry`] it returns
//! renders the metrics and flushes the traces at the end. Everything else uses `tracing` and `metrics` directly.

mod config;
pub mod propagation;

pub use config::{Config, LogFormat};

use std::{io::IsTerminal as _, time::Duration};

use anyhow::Context as _;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use opentelemetry::{KeyValue, trace::TracerProvider as _};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::{Resource, trace::SdkTracerProvider};
use tracing_subscriber::{
    EnvFilter, Layer as _,
    filter::{LevelFilter, Targets},
    layer::SubscriberExt as _,
    util::SubscriberInitExt,
};

/// Upper bounds of the latency histograms, in seconds.
const LATENCY_BUCKETS_S: [f64; 12] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 30.0];

/// How often the samples of histograms are summed up.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

/// How long one export of spans may take.
const EXPORT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last spans may take to leave.
const STOP_TIMEOUT: Duration = Duration::from_secs(6);

/// What carries the spans away: a span of its own for each export would never end.
const EXPORTER_TARGETS: [&str; 6] =
    ["h2", "hyper", "hyper_util", "opentelemetry", "tonic", "tower"];

/// What [`start`] turned on.
pub struct Telemetry {
    metrics: PrometheusHandle,
    tracer: Option<SdkTracerProvider>,
}

/// Turns logging, metrics and, when an endpoint is configured, traces on for this process. It is
/// called inside a Tokio runtime, which carries the traces.
///
/// # Errors
/// When the filter or the endpoint is malformed, telemetry is on already, or there is no runtime.
pub fn start(service: &str, config: &Config) -> anyhow::Result<Telemetry> {
    let filter = EnvFilter::try_new(&config.log_filter).with_context(|| {
        format!(
            "telemetry.log_filter {:?} is not a filter; write \"info\" or \"info,jobs=debug\"",
            config.log_filter
        )
    })?;
    let terminal = std::io::stderr().is_terminal();
    let logs = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(terminal);
    let logs = match config.log_format {
        LogFormat::Json => logs.json().flatten_event(true).boxed(),
        LogFormat::Text => logs.with_target(true).boxed(),
    };
    let tracer = tracer(service, config)?;
    let spans = tracer.as_ref().map(|provider| {
        tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("commandcenter"))
            .with_filter(exported())
    });
    let metrics = PrometheusBuilder::new()
        .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &LATENCY_BUCKETS_S)?
        .install_recorder()
        .context("metrics are on already in this process")?;
    tracing_subscriber::registry()
        .with(spans)
        .with(logs.with_filter(filter))
        .try_init()
        .context("logging is on already in this process")?;
    Ok(Telemetry { metrics, tracer })
}

/// The spans that leave: ours, not those of the libraries that carry them.
fn exported() -> Targets {
    EXPORTER_TARGETS
        .into_iter()
        .fold(Targets::new().with_default(LevelFilter::INFO), |targets, target| {
            targets.with_target(target, LevelFilter::OFF)
        })
}

fn tracer(service: &str, config: &Config) -> anyhow::Result<Option<SdkTracerProvider>> {
    if config.otlp_endpoint.is_empty() {
        return Ok(None);
    }
    tokio::runtime::Handle::try_current().context("traces need a Tokio runtime")?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_tonic()
        .with_endpoint(&config.otlp_endpoint)
        .with_timeout(EXPORT_TIMEOUT)
        .build()
        .with_context(|| format!("telemetry.otlp_endpoint {:?}", config.otlp_endpoint))?;
    let resource = Resource::builder()
        .with_service_name(service.to_owned())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build();
    let provider =
        SdkTracerProvider::builder().with_batch_exporter(exporter).with_resource(resource).build();
    Ok(Some(provider))
}

impl Telemetry {
    /// Renders every metric in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        Metrics(self.metrics.clone())
    }

    /// Sends what spans are left, for at most a few seconds; call it last, while the runtime that
    /// carries them still runs.
    pub async fn stop(self) {
        let Some(tracer) = self.tracer else { return };
        // The exporter's thread needs the runtime, so waiting for it must not hold a worker up.
        let flushed =
            tokio::task::spawn_blocking(move || tracer.shutdown_with_timeout(STOP_TIMEOUT));
        match tokio::time::timeout(STOP_TIMEOUT, flushed).await {
            Ok(Ok(Ok(()))) => {}
            Ok(Ok(Err(error))) => {
                tracing::warn!(error = %error, "the last spans could not be exported");
            }
            _ => tracing::warn!("the last spans could not be exported in time"),
        }
    }
}

/// Renders the metrics of this process; cheap to clone.
#[derive(Clone)]
pub struct Metrics(PrometheusHandle);

impl Metrics {
    /// The text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.0.render()
    }

    /// Empties the histograms' buffers, for ever: without it they grow until somebody scrapes.
    pub async fn keep_up(self) {
        let mut ticks = tokio::time::interval(UPKEEP_INTERVAL);
        loop {
            ticks.tick().await;
            self.0.run_upkeep();
        }
    }
}
