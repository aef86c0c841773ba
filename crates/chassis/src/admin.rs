//! `/livez`, `/readyz` and `/metrics`: cheap, without a token, on a port of their own.

use axum::{Json, Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use serde_json::json;
use telemetry::Metrics;

use crate::readiness::Readiness;

#[derive(Clone)]
struct Admin {
    readiness: Readiness,
    metrics: Metrics,
}

/// The admin endpoints.
///
/// - `/livez`: 200 while the process can answer at all.
/// - `/readyz`: 200 when every service serves, else 503; the body names each with its reason.
/// - `/metrics`: Prometheus' text format.
pub fn routes(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(|State(admin): State<Admin>| async move { admin.metrics.render() }))
        .with_state(Admin { readiness, metrics })
}

async fn readyz(State(admin): State<Admin>) -> impl IntoResponse {
    let ready = admin.readiness.all_serve();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": ready, "services": admin.readiness.reports() })))
}
