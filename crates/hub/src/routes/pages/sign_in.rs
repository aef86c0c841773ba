//! `/sign-in` and `/sign-out`.

use std::{net::SocketAddr, sync::Arc};

use askama::Template;
use axum::{
    extract::{ConnectInfo, State},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};
use proto::{Failure, Reason};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;

use super::{
    form::Form,
    frame::{self, PageError, Visit, error_page},
};
use crate::{app::App, identity, routes::extract::Query, secret, sign_in};

/// The cookie that a sign-in form must repeat: nobody has a session yet that could hold a secret.
const SIGN_IN_COOKIE: &str = "cc_sign_in";

#[derive(Template)]
#[template(path = "sign_in.html")]
struct Page {
    theme: &'static str,
    error: Option<String>,
    csrf: String,
    next: String,
    name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Params {
    next: String,
}

#[derive(Deserialize)]
pub(super) struct Fields {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    next: String,
    #[serde(default)]
    name: String,
    #[serde(default)]
    password: SecretString,
}

pub(super) async fn show(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    params: Result<Query<Params>, crate::error::Problem>,
) -> Response {
    let next = params.map(|Query(params)| params.next).unwrap_or_default();
    if let Ok(Some(_)) = identity::session(&app, &headers).await {
        return Redirect::to(safe_path(&next)).into_response();
    }
    let jar = CookieJar::from_headers(&headers);
    form(&app, &jar, StatusCode::OK, None, next, String::new())
}

pub(super) async fn enter(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Form(fields): Form<Fields>,
) -> Response {
    let jar = CookieJar::from_headers(&headers);
    if !form_secret(&jar).is_some_and(|secret| secret::same(secret, &fields.csrf)) {
        let text = "This form was out of date. Type your password again.".to_owned();
        return form(&app, &jar, StatusCode::FORBIDDEN, Some(text), fields.next, fields.name);
    }
    let address = sign_in::client_address(&app, peer.ip(), &headers);
    match sign_in::sign_in(&app, address, &fields.name, fields.password).await {
        Ok(session) => {
            let cookie = session_cookie(&app, session.expose_secret().to_owned());
            let jar = CookieJar::new().add(cookie);
            (jar, Redirect::to(safe_path(&fields.next))).into_response()
        }
        Err(failure) if failure.reason == Reason::Unavailable => error_page(failure),
        Err(Failure { reason, message, .. }) => {
            form(&app, &jar, reason.http_status(), Some(message), fields.next, fields.name)
        }
    }
}

pub(super) async fn leave(
    State(app): State<Arc<App>>,
    visit: Visit,
) -> Result<Response, PageError> {
    sign_in::sign_out(&app, &visit.who).await?;
    let mut cookie = session_cookie(&app, String::new());
    cookie.make_removal();
    Ok((CookieJar::new().add(cookie), Redirect::to("/sign-in")).into_response())
}

/// The secret that a form of this browser repeats. Two tabs share one, so that both can be sent.
fn form_secret(jar: &CookieJar) -> Option<&str> {
    jar.get(SIGN_IN_COOKIE).map(Cookie::value).filter(|value| secret::is_hex(value))
}

fn form(
    app: &App,
    jar: &CookieJar,
    status: StatusCode,
    error: Option<String>,
    next: String,
    name: String,
) -> Response {
    let csrf = form_secret(jar).map_or_else(secret::random_hex, str::to_owned);
    let page = Page { theme: frame::theme(jar), error, csrf: csrf.clone(), next, name };
    let mut cookie = frame::own(SIGN_IN_COOKIE, csrf);
    cookie.set_secure(app.secure_cookies());
    cookie.set_same_site(SameSite::Strict);
    (status, CookieJar::new().add(cookie), frame::html(&page)).into_response()
}

fn session_cookie(app: &App, value: String) -> Cookie<'static> {
    let mut cookie = frame::own(app.cookie_name(), value);
    cookie.set_secure(app.secure_cookies());
    cookie
}

/// Where to go after signing in: a path of ours, never another site.
fn safe_path(next: &str) -> &str {
    let ours = next.starts_with('/') && !next.starts_with("//") && !next.contains('\\');
    if ours && !next.chars().any(char::is_control) { next } else { "/" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signing_in_never_leads_to_another_site() {
        assert_eq!(safe_path("/jobs?state=dead"), "/jobs?state=dead");
        for elsewhere in ["", "//evil.example", "https://evil.example", "/\\evil.example", "x"] {
            assert_eq!(safe_path(elsewhere), "/");
        }
    }
}
