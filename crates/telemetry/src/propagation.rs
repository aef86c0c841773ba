//! W3C trace context (<https://www.w3.org/TR/trace-context/>) in and out of spans.

use std::collections::HashMap;

use http::HeaderMap;
use opentelemetry::propagation::TextMapPropagator as _;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The header that carries the context, over HTTP, gRPC and NATS alike.
pub const TRACEPARENT: &str = "traceparent";

/// The current span as a `traceparent`, or none when traces are off.
#[must_use]
pub fn current_traceparent() -> Option<String> {
    let mut carrier = HashMap::new();
    TraceContextPropagator::new().inject_context(&Span::current().context(), &mut carrier);
    carrier.remove(TRACEPARENT)
}

/// Makes `span` a child of the remote span that `traceparent` names; a malformed one is ignored,
/// as the specification asks.
pub fn set_parent(span: &Span, traceparent: &str) {
    let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
    // A span that no subscriber records has no parent to set.
    let _ = span.set_parent(TraceContextPropagator::new().extract(&carrier));
}

/// Makes `span` a child of the context in the headers, if there is one.
pub fn set_parent_from_headers(span: &Span, headers: &HeaderMap) {
    if let Some(value) = headers.get(TRACEPARENT).and_then(|value| value.to_str().ok()) {
        set_parent(span, value);
    }
}

/// The trace id of the current span in hex, for error bodies and log search.
#[must_use]
pub fn current_trace_id() -> Option<String> {
    let traceparent = current_traceparent()?;
    traceparent.split('-').nth(1).map(str::to_owned)
}
