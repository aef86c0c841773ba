//! The REST API. The router and the OpenAPI document are made from the same list, so that
//! neither can have a route that the other lacks.

mod audit;
mod dead_letters;
mod documents;
mod events;
mod health;
mod jobs;
pub(crate) mod live;
mod logs;
mod openapi;
mod operations;
mod projects;
mod scans;
mod schedules;
mod search;
mod secrets;
mod sources;
mod stacks;
mod status;
mod tokens;
mod users;

use std::sync::{Arc, OnceLock};

use axum::{Router, middleware};
use utoipa::openapi::OpenApi;
use utoipa_axum::{router::OpenApiRouter, routes};

use crate::{app::App, routes::gate};

/// The routes, and the document that describes them.
fn parts() -> (Router<Arc<App>>, OpenApi) {
    let (router, mut document) = OpenApiRouter::with_openapi(openapi::description())
        .routes(routes!(projects::list, projects::create))
        .routes(routes!(projects::get, projects::delete))
        .routes(routes!(stacks::get, stacks::apply, stacks::remove))
        .routes(routes!(stacks::diff))
        .routes(routes!(stacks::start))
        .routes(routes!(stacks::stop))
        .routes(routes!(stacks::restart))
        .routes(routes!(stacks::restart_service))
        .routes(routes!(health::get))
        .routes(routes!(health::events))
        .routes(routes!(health::resources))
        .routes(routes!(health::failures))
        .routes(routes!(health::hardening))
        .routes(routes!(operations::list))
        .routes(routes!(operations::get))
        .routes(routes!(operations::events))
        .routes(routes!(logs::all))
        .routes(routes!(logs::of_service))
        .routes(routes!(secrets::list))
        .routes(routes!(secrets::put, secrets::delete))
        .routes(routes!(scans::list, scans::scan))
        .routes(routes!(sources::list, sources::create))
        .routes(routes!(sources::test))
        .routes(routes!(sources::get, sources::update, sources::delete))
        .routes(routes!(sources::run))
        .routes(routes!(sources::test_existing))
        .routes(routes!(sources::runs))
        .routes(routes!(schedules::preview))
        .routes(routes!(documents::list, documents::submit))
        .routes(routes!(documents::get, documents::delete))
        .routes(routes!(search::by_query, search::by_body))
        .routes(routes!(status::index))
        .routes(routes!(jobs::list))
        .routes(routes!(events::stream))
        .routes(routes!(jobs::get))
        .routes(routes!(jobs::retry))
        .routes(routes!(jobs::cancel))
        .routes(routes!(dead_letters::list))
        .routes(routes!(dead_letters::retry))
        .routes(routes!(dead_letters::discard))
        .routes(routes!(users::list, users::create))
        .routes(routes!(users::update, users::delete))
        .routes(routes!(tokens::list, tokens::create))
        .routes(routes!(tokens::revoke))
        .routes(routes!(audit::list))
        .routes(routes!(status::status))
        .routes(routes!(status::me))
        .routes(routes!(openapi::document))
        .split_for_parts();
    openapi::name_operations(&mut document);
    (router, document)
}

/// The OpenAPI document; it is the same for everyone, so it is made once.
pub(crate) fn document() -> &'static OpenApi {
    static DOCUMENT: OnceLock<OpenApi> = OnceLock::new();
    DOCUMENT.get_or_init(|| parts().1)
}

pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    parts()
        .0
        .method_not_allowed_fallback(gate::wrong_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::api))
}
