//! Every refusal that leaves a process: a closed set of reasons, each mapped once to a gRPC code
//! and an HTTP status.

use std::{collections::BTreeMap, error::Error, fmt, str::FromStr, time::Duration};

use http::StatusCode;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, FieldViolation, StatusExt};

/// `ErrorInfo.domain` of everything we refuse.
pub const DOMAIN: &str = "commandcenter";

/// A failure travels in HTTP/2 headers, and clients refuse more than 16 KiB of those. What is longer
/// than this, in bytes, is cut off.
const MESSAGE_BYTES_MAX: usize = 1_500;

/// The longest fact or description of a violation that travels, in bytes.
const DETAIL_BYTES_MAX: usize = 200;

/// Facts that travel, at most.
const FACTS_MAX: usize = 8;

/// Violations that travel, at most.
const VIOLATIONS_MAX: usize = 16;

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident = $text:literal, $code:ident, $http:ident;)+) => {
        /// Why something was refused. The text form is `ErrorInfo.reason` and problem+json's
        /// `code`; it never changes meaning.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason, for docs and tests.
            pub const ALL: &[Reason] = &[$(Reason::$name,)+];

            /// The stable text form.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $(Reason::$name => $text,)+ }
            }

            /// The gRPC code.
            #[must_use]
            pub fn grpc_code(self) -> Code {
                match self { $(Reason::$name => Code::$code,)+ }
            }

            /// The HTTP status.
            #[must_use]
            pub fn http_status(self) -> StatusCode {
                match self { $(Reason::$name => StatusCode::$http,)+ }
            }
        }
    };
}

reasons! {
    /// A field is malformed or out of its range; `violations` names it.
    InvalidInput = "INVALID_INPUT", InvalidArgument, BAD_REQUEST;
    /// Larger than a named limit.
    TooLarge = "TOO_LARGE", InvalidArgument, PAYLOAD_TOO_LARGE;
    /// No token, or one that is unknown, expired or revoked.
    Unauthenticated = "UNAUTHENTICATED", Unauthenticated, UNAUTHORIZED;
    /// The caller's role or projects do not allow it.
    Forbidden = "FORBIDDEN", PermissionDenied, FORBIDDEN;
    /// There is no such thing, or the caller may not know of it.
    NotFound = "NOT_FOUND", NotFound, NOT_FOUND;
    /// The same thing exists already.
    AlreadyExists = "ALREADY_EXISTS", AlreadyExists, CONFLICT;
    /// The thing is in a state that does not allow it.
    Conflict = "CONFLICT", FailedPrecondition, CONFLICT;
    /// Too many requests; `retry_after` says when to come back.
    RateLimited = "RATE_LIMITED", ResourceExhausted, TOO_MANY_REQUESTS;
    /// A queue is full; `retry_after` says when to come back.
    Backlog = "BACKLOG", ResourceExhausted, TOO_MANY_REQUESTS;
    /// A part that is needed does not answer.
    Unavailable = "UNAVAILABLE", Unavailable, SERVICE_UNAVAILABLE;
    /// It took longer than its limit.
    Timeout = "TIMEOUT", DeadlineExceeded, GATEWAY_TIMEOUT;
    /// The address lies in a network that fetches may not reach.
    AddressForbidden = "ADDRESS_FORBIDDEN", FailedPrecondition, UNPROCESSABLE_ENTITY;
    /// A remote site refused or broke off; the message says how.
    FetchFailed = "FETCH_FAILED", FailedPrecondition, UNPROCESSABLE_ENTITY;
    /// What came is not a feed.
    NotAFeed = "NOT_A_FEED", FailedPrecondition, UNPROCESSABLE_ENTITY;
    /// What came cannot be read as a document.
    Unreadable = "UNREADABLE", InvalidArgument, UNPROCESSABLE_ENTITY;
    /// A fault of ours; the log has the cause under the trace id.
    Internal = "INTERNAL", Internal, INTERNAL_SERVER_ERROR;
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text).ok_or(())
    }
}

/// A refusal as a caller sees it: what happened, to what, why, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// The closed reason.
    pub reason: Reason,
    /// For a person; names the thing, the limit and the remedy.
    pub message: String,
    /// Facts for programs, such as `limit` or `source_id`.
    pub metadata: BTreeMap<String, String>,
    /// The fields at fault.
    pub violations: Vec<Violation>,
    /// When trying again makes sense.
    pub retry_after: Option<Duration>,
}

/// One field at fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The field's name on the wire.
    pub field: String,
    /// What it must be.
    pub description: String,
}

impl Failure {
    /// A failure with nothing but its reason and message.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
            metadata: BTreeMap::new(),
            violations: Vec::new(),
            retry_after: None,
        }
    }

    /// `INVALID_INPUT` for one field.
    #[must_use]
    pub fn invalid(field: &str, message: impl Into<String>) -> Self {
        let message = message.into();
        Self::new(Reason::InvalidInput, message.clone()).violation(field, message)
    }

    /// `NOT_FOUND` for a thing of a kind.
    #[must_use]
    pub fn not_found(what: &str, name: impl fmt::Display) -> Self {
        Self::new(Reason::NotFound, format!("there is no {what} {name}"))
    }

    /// Adds a fact for programs.
    #[must_use]
    pub fn fact(mut self, key: &str, value: impl fmt::Display) -> Self {
        self.metadata.insert(key.to_owned(), value.to_string());
        self
    }

    /// Adds a field at fault.
    #[must_use]
    pub fn violation(mut self, field: &str, description: impl Into<String>) -> Self {
        self.violations
            .push(Violation { field: field.to_owned(), description: description.into() });
        self
    }

    /// Says when to come back.
    #[must_use]
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.retry_after = Some(delay);
        self
    }

    /// Whether the same request may succeed later without anyone changing anything.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        matches!(
            self.reason,
            Reason::RateLimited
                | Reason::Backlog
                | Reason::Unavailable
                | Reason::Timeout
                | Reason::Internal
        )
    }

    /// Reads a status that came from one of our services or from the transport.
    #[must_use]
    pub fn from_status(status: &Status) -> Self {
        let details = status.get_error_details();
        let info = details.error_info();
        let reason =
            info.and_then(|info| info.reason.parse().ok()).unwrap_or_else(|| reason_of(status));
        let violations = details.bad_request().map_or_else(Vec::new, |bad| {
            bad.field_violations
                .iter()
                .map(|v| Violation { field: v.field.clone(), description: v.description.clone() })
                .collect()
        });
        Self {
            reason,
            message: status.message().to_owned(),
            metadata: info
                .map(|info| info.metadata.clone().into_iter().collect())
                .unwrap_or_default(),
            violations,
            retry_after: details.retry_info().and_then(|info| info.retry_delay),
        }
    }
}

/// An error with its causes, each once: the text for whoever sees no more than one line.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}

/// What a status means that carries no `ErrorInfo`, as those of the transport do.
fn reason_of(status: &Status) -> Reason {
    match status.code() {
        Code::InvalidArgument | Code::OutOfRange => Reason::InvalidInput,
        Code::Unauthenticated => Reason::Unauthenticated,
        Code::PermissionDenied => Reason::Forbidden,
        Code::NotFound => Reason::NotFound,
        Code::AlreadyExists => Reason::AlreadyExists,
        Code::FailedPrecondition | Code::Aborted => Reason::Conflict,
        Code::ResourceExhausted => Reason::RateLimited,
        Code::Unavailable | Code::Cancelled => Reason::Unavailable,
        Code::DeadlineExceeded => Reason::Timeout,
        // Made on our side of the connection, which broke: the service has not said a word.
        _ if status.source().is_some() => Reason::Unavailable,
        _ => Reason::Internal,
    }
}

/// The text, or as much of it as `bytes_max` holds.
pub(crate) fn clipped(mut text: String, bytes_max: usize) -> String {
    const MORE: &str = "…";
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max - MORE.len()));
        text.push_str(MORE);
    }
    text
}

impl Failure {
    /// What of it fits into the headers of an answer.
    fn clipped(self) -> Self {
        let detail = |text| clipped(text, DETAIL_BYTES_MAX);
        let facts = self.metadata.into_iter().take(FACTS_MAX);
        let violations = self.violations.into_iter().take(VIOLATIONS_MAX);
        Self {
            message: clipped(self.message, MESSAGE_BYTES_MAX),
            metadata: facts.map(|(key, value)| (detail(key), detail(value))).collect(),
            violations: violations
                .map(|it| Violation {
                    field: detail(it.field),
                    description: detail(it.description),
                })
                .collect(),
            ..self
        }
    }
}

impl From<Failure> for Status {
    fn from(failure: Failure) -> Self {
        let failure = failure.clipped();
        let mut details = ErrorDetails::with_error_info(
            failure.reason.as_str(),
            DOMAIN,
            failure.metadata.into_iter().collect::<std::collections::HashMap<_, _>>(),
        );
        if !failure.violations.is_empty() {
            details.set_bad_request(
                failure
                    .violations
                    .into_iter()
                    .map(|v| FieldViolation::new(v.field, v.description))
                    .collect::<Vec<_>>(),
            );
        }
        if failure.retry_after.is_some() {
            details.set_retry_info(failure.retry_after);
        }
        Status::with_error_details(failure.reason.grpc_code(), failure.message, details)
    }
}

#[cfg(test)]
mod tests;
