//! Extractors whose refusals are problem documents that name the field.

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Request, rejection::BytesRejection},
    http::{StatusCode, header, request::Parts},
};
use proto::{Failure, Reason};
use serde::de::DeserializeOwned;

use crate::error::Problem;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let is_json = request
            .headers()
            .get(header::CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .is_some_and(|value| value.starts_with("application/json"));
        if !is_json {
            let failure = Failure::new(
                Reason::InvalidInput,
                "send JSON with `Content-Type: application/json`",
            );
            return Err(Problem::with_status(StatusCode::UNSUPPORTED_MEDIA_TYPE, failure));
        }
        let bytes = Bytes::from_request(request, state).await.map_err(body_failure)?;
        let mut json = serde_json::Deserializer::from_slice(&bytes);
        let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
            let path = error.path().to_string();
            let reason = error.into_inner().to_string();
            if path == "." {
                Failure::new(Reason::InvalidInput, format!("the body is not as expected: {reason}"))
            } else {
                Failure::new(Reason::InvalidInput, format!("{path}: {reason}"))
                    .violation(&path, reason)
            }
        })?;
        json.end().map_err(|error| {
            Failure::new(Reason::InvalidInput, format!("after the JSON body: {error}"))
        })?;
        Ok(Self(value))
    }
}

/// What a body that could not be read means.
pub(crate) fn body_failure(rejection: BytesRejection) -> Failure {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Failure::new(
            Reason::TooLarge,
            "the body is larger than this server takes (`hub.body_bytes_max`, 24 MiB unless \
             configured): send fewer documents a request",
        );
    }
    Failure::new(Reason::InvalidInput, format!("the body could not be read: {rejection}"))
}

/// The query string; a parameter may come several times.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        serde_html_form::from_str(query).map(Self).map_err(|error| {
            Failure::new(Reason::InvalidInput, format!("the query string: {error}")).into()
        })
    }
}
