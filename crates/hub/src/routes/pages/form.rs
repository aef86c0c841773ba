//! Forms as browsers send them.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use proto::{Failure, Reason};
use serde::de::DeserializeOwned;

use super::frame::PageError;

/// A form's fields; a name may come several times. The gate has compared its CSRF secret.
pub(super) struct Form<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Form<T> {
    type Rejection = PageError;

    async fn from_request(request: Request, state: &S) -> Result<Self, PageError> {
        let bytes = Bytes::from_request(request, state).await.map_err(|error| {
            Failure::new(Reason::TooLarge, format!("the form cannot be read: {error}"))
        })?;
        serde_html_form::from_bytes(&bytes).map(Self).map_err(|error| {
            Failure::new(Reason::InvalidInput, format!("the form cannot be read: {error}")).into()
        })
    }
}
