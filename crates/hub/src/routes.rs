//! Ways in over HTTP: the REST API under `/api`, the pages, and their assets.

pub(crate) mod api;
mod assets;
mod extract;
mod gate;
pub(crate) mod pages;

use std::sync::Arc;

use axum::{
    Extension, Router,
    http::{Extensions, HeaderMap, HeaderName, HeaderValue, header},
};
use tower_http::{
    compression::{
        CompressionLayer,
        predicate::{DefaultPredicate, Predicate as _},
    },
    set_header::SetResponseHeaderLayer,
};

use crate::{
    app::App,
    routes::{api::live::UNBUFFERED, extract::BodyLimit},
};

/// Only our own files, no inline script or style, no frame around us, no form to elsewhere.
const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; object-src 'none'; base-uri 'none'; \
     frame-ancestors 'none'; form-action 'self'";

/// Everything that the hub serves over HTTP.
pub(crate) fn routes(app: Arc<App>) -> Router {
    // Compressing holds back what a live stream has to tell at once.
    let compressed = DefaultPredicate::new()
        .and(|_, _, headers: &HeaderMap, _: &Extensions| !headers.contains_key(UNBUFFERED));
    let body_limit = Extension(BodyLimit(app.config.body_bytes_max));
    let mut router = Router::new()
        .merge(api::routes(&app))
        .merge(pages::routes(&app))
        .merge(assets::routes())
        .fallback(gate::nothing_here)
        .layer(body_limit)
        .layer(CompressionLayer::new().compress_when(compressed))
        .with_state(app);
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    ] {
        let value = HeaderValue::from_static(value);
        router = router.layer(SetResponseHeaderLayer::if_not_present(name, value));
    }
    router
        // What is private must not stay in a shared cache; assets say otherwise themselves.
        .layer(SetResponseHeaderLayer::if_not_present(
            header::CACHE_CONTROL,
            HeaderValue::from_static("no-store"),
        ))
}
