//! `/theme` and `/help`.

use askama::Template;
use axum::{
    http::{HeaderMap, header},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::CookieJar;
use serde::Deserialize;

use super::{
    form::Form,
    frame::{self, Frame, Visit},
};

#[derive(Debug, Deserialize)]
pub(super) struct Fields {
    theme: String,
}

pub(super) async fn theme(headers: HeaderMap, Form(fields): Form<Fields>) -> Response {
    let jar = CookieJar::new().add(frame::theme_cookie(&fields.theme));
    (jar, Redirect::to(&back(&headers))).into_response()
}

/// The page that the form was on: only its path, so that it is one of ours.
fn back(headers: &HeaderMap) -> String {
    headers
        .get(header::REFERER)
        .and_then(|value| url::Url::parse(value.to_str().ok()?).ok())
        .map_or_else(
            || "/".to_owned(),
            |url| {
                let query = url.query().map(|query| format!("?{query}")).unwrap_or_default();
                format!("/{}{query}", url.path().trim_start_matches('/'))
            },
        )
}

#[derive(Template)]
#[template(path = "help.html")]
struct Help {
    frame: Frame,
}

pub(super) async fn help(visit: Visit) -> Response {
    visit.page(&Help { frame: visit.frame("Keyboard shortcuts", "") })
}
