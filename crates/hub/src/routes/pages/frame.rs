//! What surrounds every page: navigation, who is signed in, messages, theme.

use std::sync::Arc;

use askama::Template;
use axum::{
    extract::FromRequestParts,
    http::{StatusCode, header, request::Parts},
    response::{Html, IntoResponse, Redirect, Response},
};
use axum_extra::extract::{
    CookieJar,
    cookie::{Cookie, SameSite},
};
use proto::{Failure, Reason};

use crate::{app::App, error, identity::Identity};

/// The cookie with a message for the next page.
const FLASH: &str = "cc_flash";
/// The cookie with the chosen theme.
const THEME: &str = "cc_theme";
/// Longest message, in characters.
const FLASH_CHARACTERS_MAX: usize = 500;

/// Who visits, and what their browser remembers.
pub(super) struct Visit {
    pub(super) who: Identity,
    theme: &'static str,
    flash: Option<Flash>,
}

/// A message about what was just done.
#[derive(Clone)]
pub(super) struct Flash {
    pub(super) good: bool,
    pub(super) text: String,
}

/// What the layout shows around a page.
pub(super) struct Frame {
    pub(super) title: String,
    pub(super) section: &'static str,
    pub(super) user: String,
    pub(super) role: &'static str,
    pub(super) operates: bool,
    pub(super) administers: bool,
    pub(super) csrf: String,
    pub(super) theme: &'static str,
    pub(super) flash: Option<Flash>,
}

/// An entry of the navigation; `group` is a heading before it.
pub(super) struct Link {
    pub(super) section: &'static str,
    pub(super) href: &'static str,
    pub(super) text: &'static str,
    pub(super) group: &'static str,
}

impl Frame {
    /// Whether this is the theme that the visitor has chosen.
    pub(super) fn chose(&self, theme: &str) -> bool {
        self.theme == theme || (self.theme.is_empty() && theme == "auto")
    }

    /// The navigation, without what the user may not open.
    pub(super) fn links(&self) -> Vec<Link> {
        let link = |section, href, text, group| Link { section, href, text, group };
        let mut links = vec![
            link("overview", "/", "Overview", ""),
            link("projects", "/projects", "Projects", ""),
            link("search", "/search", "Search", "Knowledge"),
            link("documents", "/documents", "Documents", ""),
            link("sources", "/sources", "Sources", ""),
            link("jobs", "/jobs", "Jobs", "Work"),
            link("dead", "/dead-letters", "Dead letters", ""),
        ];
        if self.administers {
            links.extend([
                link("users", "/users", "Users", "Access"),
                link("tokens", "/tokens", "API tokens", ""),
                link("audit", "/audit", "Audit log", ""),
            ]);
        }
        links.push(link("docs", "/api/docs", "REST API", "Reference"));
        links
    }
}

impl Visit {
    /// The layout of a page in a section of the navigation.
    pub(super) fn frame(&self, title: impl Into<String>, section: &'static str) -> Frame {
        Frame {
            title: title.into(),
            section,
            user: self.who.caller.name.clone(),
            role: self.who.caller.role.as_str(),
            operates: self.who.operates(),
            administers: self.who.administers(),
            csrf: self.who.csrf.clone().unwrap_or_default(),
            theme: self.theme,
            flash: self.flash.clone(),
        }
    }

    /// The page; a message that it shows is shown once.
    pub(super) fn page(&self, page: &impl Template) -> Response {
        let jar = CookieJar::new();
        let jar = if self.flash.is_some() { jar.add(expired(FLASH)) } else { jar };
        (jar, html(page)).into_response()
    }
}

impl FromRequestParts<Arc<App>> for Visit {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &Arc<App>) -> Result<Self, PageError> {
        let who = parts.extensions.get::<Identity>().cloned().ok_or_else(|| {
            Failure::new(Reason::Unauthenticated, "this page does not know who asks")
        })?;
        let jar = CookieJar::from_headers(&parts.headers);
        Ok(Self { who, theme: theme(&jar), flash: jar.get(FLASH).and_then(read_flash) })
    }
}

/// The theme that a browser has chosen.
pub(super) fn theme(jar: &CookieJar) -> &'static str {
    match jar.get(THEME).map(Cookie::value) {
        Some("light") => "light",
        Some("dark") => "dark",
        _ => "",
    }
}

/// The cookie that remembers a theme; anything but light and dark forgets it.
pub(super) fn theme_cookie(theme: &str) -> Cookie<'static> {
    match theme {
        "light" | "dark" => {
            let mut cookie = own(THEME, theme.to_owned());
            cookie.make_permanent();
            cookie
        }
        _ => expired(THEME),
    }
}

/// On to another page, with a message that something was done.
pub(super) fn done(to: &str, text: impl Into<String>) -> Response {
    onward(to, "+", text.into())
}

/// On to another page, with a message that something was not done.
pub(super) fn failed(to: &str, text: impl Into<String>) -> Response {
    onward(to, "-", text.into())
}

/// On to a page with the outcome of an act that has no form to go back to.
pub(super) fn outcome<T>(
    result: Result<T, Failure>,
    to: &str,
    text: impl Into<String>,
) -> Response {
    match result {
        Ok(_) => done(to, text),
        Err(failure) => {
            error::log(&failure);
            failed(to, failure.message)
        }
    }
}

fn onward(to: &str, sign: &str, text: String) -> Response {
    let text: String = text.chars().take(FLASH_CHARACTERS_MAX).collect();
    let value: String = url::form_urlencoded::byte_serialize(text.as_bytes()).collect();
    let cookie = own(FLASH, format!("{sign}{value}"));
    (CookieJar::new().add(cookie), Redirect::to(to)).into_response()
}

fn read_flash(cookie: &Cookie<'_>) -> Option<Flash> {
    let value = cookie.value();
    let good = value.starts_with('+');
    let text = value.get(1..)?;
    let (text, _) = url::form_urlencoded::parse(text.as_bytes()).next()?;
    Some(Flash { good, text: text.into_owned() })
}

/// A cookie for this site alone that no script can read.
pub(super) fn own(name: &'static str, value: String) -> Cookie<'static> {
    Cookie::build((name, value)).path("/").http_only(true).same_site(SameSite::Lax).build()
}

fn expired(name: &'static str) -> Cookie<'static> {
    let mut cookie = own(name, String::new());
    cookie.make_removal();
    cookie
}

/// A rendered template.
pub(super) fn html(page: &impl Template) -> Response {
    match page.render() {
        Ok(text) => Html(text).into_response(),
        Err(error) => {
            error_page(Failure::new(Reason::Internal, format!("the page cannot be made: {error}")))
        }
    }
}

/// A refusal as a page.
#[derive(Debug)]
pub(super) struct PageError(Failure);

impl From<Failure> for PageError {
    fn from(failure: Failure) -> Self {
        Self(failure)
    }
}

impl IntoResponse for PageError {
    fn into_response(self) -> Response {
        error_page(self.0)
    }
}

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorPage {
    theme: &'static str,
    title: &'static str,
    detail: String,
    retry_after: Option<u64>,
    trace_id: Option<String>,
    sign_in: bool,
}

/// The page that tells a refusal.
pub(in crate::routes) fn error_page(failure: Failure) -> Response {
    error::log(&failure);
    let status = failure.reason.http_status();
    let page = ErrorPage {
        theme: "",
        title: error::title(failure.reason),
        detail: failure.message,
        retry_after: failure.retry_after.map(|delay| delay.as_secs().max(1)),
        trace_id: telemetry::propagation::current_trace_id(),
        sign_in: failure.reason == Reason::Unauthenticated,
    };
    // Without its page a refusal is still a refusal.
    let text = page.render().unwrap_or_else(|_| page.detail.clone());
    (status, [(header::CACHE_CONTROL, "no-store")], Html(text)).into_response()
}

/// The status of a form that is shown again with its errors.
pub(super) const UNPROCESSABLE: StatusCode = StatusCode::UNPROCESSABLE_ENTITY;
