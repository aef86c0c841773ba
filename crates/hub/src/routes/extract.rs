//! Extractors whose refusals are problem documents that name the field.

use axum::{
    extract::{FromRequest, FromRequestParts, Request},
    http::{StatusCode, header, request::Parts},
};
use bytes::{Bytes, BytesMut};
use futures::StreamExt as _;
use proto::{Failure, Reason};
use serde::de::DeserializeOwned;

use crate::error::Problem;

/// Bytes beyond the limit that are read only to be dropped.
const DRAINED_BYTES_MAX: usize = 64 * 1024 * 1024;

/// A JSON body.
pub(crate) struct Json<T>(pub(crate) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
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
        let bytes = read(request).await?;
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

/// The largest body that a request may have, in bytes; every request carries it.
#[derive(Clone, Copy)]
pub(crate) struct BodyLimit(pub(crate) usize);

/// Reads a body within its limit. What lies beyond is read as well, up to a limit of its own, and
/// dropped: a client that is still sending when we answer would lose the answer.
async fn read(request: Request) -> Result<Bytes, Failure> {
    let limit = request.extensions().get::<BodyLimit>().map_or(0, |limit| limit.0);
    let mut chunks = request.into_body().into_data_stream();
    let (mut bytes, mut beyond) = (BytesMut::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Failure::new(Reason::InvalidInput, format!("the body broke off: {error}"))
        })?;
        if beyond == 0 && bytes.len() + chunk.len() <= limit {
            bytes.extend_from_slice(&chunk);
            continue;
        }
        bytes.clear();
        beyond += chunk.len();
        if beyond > DRAINED_BYTES_MAX {
            break;
        }
    }
    if beyond == 0 {
        return Ok(bytes.freeze());
    }
    let limit = limit / (1024 * 1024);
    Err(Failure::new(
        Reason::TooLarge,
        format!(
            "the body is larger than {limit} MiB, which is the limit (`hub.body_bytes_max`): \
             send less in one request"
        ),
    ))
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
