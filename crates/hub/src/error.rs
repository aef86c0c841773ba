//! Refusals over HTTP: RFC 9457 problem documents, made from a [`Failure`] once.

use axum::{
    http::{HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
};
use proto::{Failure, Reason, failure::Violation};
use serde::Serialize;
use utoipa::ToSchema;

/// Where each reason is explained.
const TYPE_BASE: &str = "/api/docs#";

/// A refusal of the REST API.
#[derive(Debug)]
pub(crate) struct Problem {
    failure: Failure,
    /// Differs from the reason's own status only for what HTTP alone knows, such as 405.
    status: StatusCode,
}

impl Problem {
    /// A refusal with a status of its own.
    pub(crate) fn with_status(status: StatusCode, failure: Failure) -> Self {
        Self { failure, status }
    }
}

impl From<Failure> for Problem {
    fn from(failure: Failure) -> Self {
        Self { status: failure.reason.http_status(), failure }
    }
}

/// The body of a refusal, `application/problem+json` (RFC 9457).
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProblemBody {
    /// Leads to the reason's explanation.
    #[serde(rename = "type")]
    pub(crate) kind: String,
    /// The reason in words.
    pub(crate) title: &'static str,
    /// The HTTP status.
    pub(crate) status: u16,
    /// What happened, to what, why, and what to do next.
    pub(crate) detail: String,
    /// The reason; it never changes meaning.
    pub(crate) code: &'static str,
    /// The fields at fault.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) errors: Vec<FieldProblem>,
    /// Seconds after which to try again.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) retry_after: Option<u64>,
    /// Finds this request in logs and traces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) trace_id: Option<String>,
}

/// One field at fault.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FieldProblem {
    /// The field's name in the request.
    pub(crate) field: String,
    /// What it must be.
    pub(crate) detail: String,
}

impl From<Violation> for FieldProblem {
    fn from(violation: Violation) -> Self {
        Self { field: violation.field, detail: violation.description }
    }
}

impl ProblemBody {
    /// The document for a failure.
    pub(crate) fn new(failure: Failure, status: StatusCode) -> Self {
        Self {
            kind: format!("{TYPE_BASE}{}", failure.reason),
            title: title(failure.reason),
            status: status.as_u16(),
            detail: failure.message,
            code: failure.reason.as_str(),
            errors: failure.violations.into_iter().map(FieldProblem::from).collect(),
            retry_after: failure.retry_after.map(|delay| delay.as_secs().max(1)),
            trace_id: telemetry::propagation::current_trace_id(),
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        log(&self.failure);
        let body = ProblemBody::new(self.failure, self.status);
        let retry_after = body.retry_after;
        let mut response = (self.status, axum::Json(body)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Logs what is our fault; what is the caller's is theirs to read.
pub(crate) fn log(failure: &Failure) {
    if failure.reason == Reason::Internal {
        tracing::error!(reason = failure.reason.as_str(), "{}", failure.message);
    }
}

/// A reason in words.
pub(crate) fn title(reason: Reason) -> &'static str {
    match reason {
        Reason::InvalidInput => "A field is malformed or out of range",
        Reason::TooLarge => "Larger than the limit",
        Reason::Unauthenticated => "No valid token",
        Reason::Forbidden => "Not allowed",
        Reason::NotFound => "Not found",
        Reason::AlreadyExists => "Exists already",
        Reason::Conflict => "Not possible in this state",
        Reason::RateLimited => "Too many requests",
        Reason::Backlog => "A queue is full",
        Reason::Unavailable => "A part that is needed does not answer",
        Reason::Timeout => "It took longer than its limit",
        Reason::AddressForbidden => "The address may not be reached",
        Reason::FetchFailed => "The remote site refused or broke off",
        Reason::NotAFeed => "Not a feed",
        Reason::Unreadable => "Not readable as a document",
        Reason::Internal => "A fault of ours",
    }
}
