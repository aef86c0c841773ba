//! Style, script and icon: compiled into the binary, named by their hash in an `ETag`.

use std::sync::Arc;

use axum::{
    Router,
    extract::Path,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use rust_embed::RustEmbed;

use crate::app::App;

#[derive(RustEmbed)]
#[folder = "assets/"]
struct Assets;

/// Browsers ask again each time and mostly hear 304, so that an update shows at once.
const CACHE: &str = "public, max-age=0, must-revalidate";

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new().route("/assets/{name}", get(asset)).route(
        "/favicon.ico",
        get(|headers: HeaderMap| async move { asset(Path("favicon.svg".to_owned()), headers).await }),
    )
}

async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(file) = Assets::get(&name) else { return StatusCode::NOT_FOUND.into_response() };
    let etag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    let common = [(header::ETAG, etag.clone()), (header::CACHE_CONTROL, CACHE.to_owned())];
    // A proxy that compresses marks the tag as weak.
    if known.is_some_and(|known| known.trim_start_matches("W/") == etag) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    let kind = match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    };
    (common, [(header::CONTENT_TYPE, kind)], file.data).into_response()
}
