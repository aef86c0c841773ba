//! `/api/openapi.json`.

use axum::Json;
use utoipa::{
    OpenApi,
    openapi::{
        Components, InfoBuilder, OpenApiBuilder,
        security::{
            ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
        },
    },
};

use crate::{
    app::VERSION,
    error::{FieldProblem, ProblemBody},
    routes::api,
};

#[derive(OpenApi)]
#[openapi(components(schemas(ProblemBody, FieldProblem)))]
struct Shared;

/// The document before its routes: what the API is, and how to prove who calls.
pub(super) fn description() -> utoipa::openapi::OpenApi {
    let info = InfoBuilder::new().title("CommandCenter").version(VERSION).description(Some(
        "Send `Authorization: Bearer TOKEN` with every request; `commandcenter token create` makes \
         a token. A refusal is `application/problem+json` with a `code` that never changes \
         meaning. Projects are named by id or slug everywhere. Lists answer `items` and \
         `next_page_token`.",
    ));
    let mut components = Shared::openapi().components.unwrap_or_else(Components::new);
    let bearer = HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build();
    components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
    let cookie = ApiKey::Cookie(ApiKeyValue::with_description(
        "cc_session",
        "A browser that is signed in; writes also send `X-CSRF-Token`.",
    ));
    components.add_security_scheme("session", SecurityScheme::ApiKey(cookie));
    let none: [String; 0] = [];
    OpenApiBuilder::new()
        .info(info.build())
        .components(Some(components))
        .security(Some([
            SecurityRequirement::new("bearer", none.clone()),
            SecurityRequirement::new("session", none),
        ]))
        .build()
}

/// Names each operation by its method and path, such as `get_sources_id_runs`: handlers in
/// different files share names, and generated clients need unique ones.
pub(super) fn name_operations(document: &mut utoipa::openapi::OpenApi) {
    for (path, item) in &mut document.paths.paths {
        let words: Vec<&str> = path
            .trim_start_matches("/api")
            .split(|c: char| !c.is_ascii_alphanumeric())
            .filter(|word| !word.is_empty())
            .collect();
        let path = words.join("_");
        for (method, operation) in [
            ("get", &mut item.get),
            ("post", &mut item.post),
            ("put", &mut item.put),
            ("patch", &mut item.patch),
            ("delete", &mut item.delete),
        ] {
            if let Some(operation) = operation {
                operation.operation_id = Some(format!("{method}_{path}"));
            }
        }
    }
}

/// This document.
#[utoipa::path(get, path = "/api/openapi.json", tag = "Status",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document() -> Json<&'static utoipa::openapi::OpenApi> {
    Json(api::document())
}
