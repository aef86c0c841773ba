//! The web pages: rendered by the server, readable and usable without scripts.

mod audit;
mod dead_letters;
mod docs;
mod documents;
mod errors;
mod failures;
mod form;
mod frame;
mod jobs;
mod logs;
mod operations;
mod overview;
mod preferences;
mod project;
mod projects;
mod resources;
mod search;
mod secrets;
mod security;
mod sign_in;
mod source_form;
mod sources;
mod stack;
mod tokens;
mod users;

pub(super) use frame::error_page;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{get, post},
};

use crate::{app::App, routes::gate};

pub(super) fn routes(app: &Arc<App>) -> Router<Arc<App>> {
    Router::new()
        .route("/", get(overview::show))
        .route("/search", get(search::show))
        .route("/documents", get(documents::list))
        .route("/documents/{id}", get(documents::show))
        .route("/documents/{id}/delete", post(documents::delete))
        .route("/sources", get(sources::list).post(source_form::create))
        .route("/sources/new", get(source_form::new))
        .route("/sources/test", get(source_form::back).post(source_form::test))
        .route("/sources/schedule", get(source_form::schedule))
        .route("/sources/{id}", get(sources::show).post(source_form::save))
        .route("/sources/{id}/edit", get(source_form::edit))
        .route("/sources/{id}/{act}", get(sources::back).post(sources::act))
        .route("/jobs", get(jobs::list))
        .route("/jobs/{id}", get(jobs::show))
        .route("/jobs/{id}/{act}", post(jobs::act))
        .route("/dead-letters", get(dead_letters::list))
        .route("/dead-letters/confirm", get(dead_letters::confirm))
        .route("/dead-letters/{action}", post(dead_letters::act))
        .route("/projects", get(projects::list).post(projects::create))
        .route("/projects/delete", post(projects::delete))
        .route("/projects/{slug}", get(stack::show))
        .route("/projects/{slug}/stack/{act}", get(stack::back).post(stack::act))
        .route("/projects/{slug}/services/{service}/restart", post(stack::restart))
        .route("/projects/{slug}/logs", get(logs::show))
        .route("/projects/{slug}/resources", get(resources::show))
        .route("/projects/{slug}/operations", get(operations::list))
        .route("/projects/{slug}/failures", get(failures::list))
        .route("/projects/{slug}/secrets", get(secrets::list).post(secrets::put))
        .route("/projects/{slug}/secrets/{name}/delete", post(secrets::delete))
        .route("/projects/{slug}/security", get(security::show).post(security::scan))
        .route("/operations/{id}", get(operations::show))
        .route("/users", get(users::list).post(users::create))
        .route("/users/{id}", get(users::show).post(users::save))
        .route("/users/{id}/delete", post(users::delete))
        .route("/tokens", get(tokens::list).post(tokens::create))
        .route("/tokens/{id}/revoke", post(tokens::revoke))
        .route("/audit", get(audit::list))
        .route("/api/docs", get(docs::show))
        .route("/help", get(preferences::help))
        .route("/theme", post(preferences::theme))
        .route("/sign-out", post(sign_in::leave))
        .method_not_allowed_fallback(gate::wrong_page_method)
        .layer(middleware::from_fn_with_state(Arc::clone(app), gate::pages))
        // The only pages for someone who is not signed in.
        .route("/sign-in", get(sign_in::show).post(sign_in::enter))
}
