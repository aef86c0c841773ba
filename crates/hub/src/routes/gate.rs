//! The gates in front of every route: no caller, no answer; no CSRF secret, no write.

use std::sync::Arc;

use axum::{
    body::{Body, to_bytes},
    extract::{Request, State},
    http::{HeaderMap, Method, StatusCode, Uri, header},
    middleware::Next,
    response::{IntoResponse, Redirect, Response},
};
use proto::{Failure, Reason};

use crate::{
    app::App,
    error::Problem,
    identity::{self, Identity},
    metrics,
    routes::pages::error_page,
    secret,
};

/// The header that carries the CSRF secret of scripts.
const CSRF_HEADER: &str = "x-csrf-token";
/// The field that carries the CSRF secret of forms.
pub(crate) const CSRF_FIELD: &str = "csrf";
/// Largest form, in bytes.
const FORM_BYTES_MAX: usize = 256 * 1024;

/// The gate of the REST API: a bearer token, or a session that sends its CSRF secret with each
/// write.
pub(crate) async fn api(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let who = match identity::identify(&app, request.headers()).await {
        Ok(who) => who,
        Err(failure) => return refuse(failure),
    };
    if writes(request.method())
        && let Some(csrf) = &who.csrf
        && !header_matches(request.headers(), csrf)
    {
        return refuse(forged());
    }
    request.extensions_mut().insert(who);
    next.run(request).await
}

/// The gate of the pages: a session, and in each form its CSRF secret.
pub(crate) async fn pages(
    State(app): State<Arc<App>>,
    mut request: Request,
    next: Next,
) -> Response {
    let who = match identity::session(&app, request.headers()).await {
        Ok(Some(who)) => who,
        Ok(None) => return sign_in_first(&request),
        Err(failure) => return error_page(failure),
    };
    if writes(request.method()) {
        request = match checked_form(request, &who).await {
            Ok(request) => request,
            Err(failure) => {
                metrics::refused(failure.reason);
                return error_page(failure);
            }
        };
    }
    request.extensions_mut().insert(who);
    next.run(request).await
}

/// What lies outside every route; it tells an outsider nothing.
pub(crate) async fn nothing_here(
    State(app): State<Arc<App>>,
    headers: HeaderMap,
    uri: Uri,
) -> Response {
    let failure = Failure::new(
        Reason::NotFound,
        format!("there is nothing at {}; /api/docs lists the API", uri.path()),
    );
    if uri.path().starts_with("/api/") {
        return match identity::identify(&app, &headers).await {
            Ok(_) => Problem::from(failure).into_response(),
            Err(failure) => refuse(failure),
        };
    }
    error_page(failure)
}

/// A page that exists, with another method: a form's address that was opened by hand.
pub(crate) async fn wrong_page_method(method: Method, uri: Uri) -> Response {
    let text = format!("{} does not take {method}: go back and use the page's form", uri.path());
    let failure = Failure::new(Reason::InvalidInput, text);
    (StatusCode::METHOD_NOT_ALLOWED, error_page(failure)).into_response()
}

/// A path that exists, with another method.
pub(crate) async fn wrong_method(method: Method, uri: Uri) -> Response {
    let failure = Failure::new(
        Reason::InvalidInput,
        format!("{} does not take {method}; /api/docs lists what it takes", uri.path()),
    );
    Problem::with_status(StatusCode::METHOD_NOT_ALLOWED, failure).into_response()
}

fn refuse(failure: Failure) -> Response {
    metrics::refused(failure.reason);
    Problem::from(failure).into_response()
}

fn writes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

fn header_matches(headers: &HeaderMap, csrf: &str) -> bool {
    let sent = headers.get(CSRF_HEADER).and_then(|value| value.to_str().ok());
    sent.is_some_and(|sent| secret::same(sent, csrf))
}

/// Reads the form, compares its secret, and gives the body back for the handler to read.
async fn checked_form(request: Request, who: &Identity) -> Result<Request, Failure> {
    let csrf = who.csrf.as_deref().unwrap_or_default();
    if header_matches(request.headers(), csrf) {
        return Ok(request);
    }
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, FORM_BYTES_MAX).await.map_err(|_| {
        Failure::new(Reason::TooLarge, format!("a form has at most {FORM_BYTES_MAX} bytes"))
    })?;
    let sent = url::form_urlencoded::parse(&bytes).find(|(name, _)| name == CSRF_FIELD);
    if !sent.is_some_and(|(_, sent)| secret::same(&sent, csrf)) {
        return Err(forged());
    }
    Ok(Request::from_parts(parts, Body::from(bytes)))
}

/// A write that did not come from a page of ours, or from one of an earlier session.
pub(crate) fn forged() -> Failure {
    Failure::new(
        Reason::Forbidden,
        "this form is not from a page of your present session: load the page again and repeat",
    )
}

/// Sends a person to sign in and back; a form cannot be sent again, so it is refused.
fn sign_in_first(request: &Request) -> Response {
    metrics::refused(Reason::Unauthenticated);
    if writes(request.method()) {
        return error_page(Failure::new(
            Reason::Unauthenticated,
            "you are not signed in any more: sign in, then repeat",
        ));
    }
    let here = request.uri().path_and_query().map_or("/", |path| path.as_str());
    let query =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("next", here).finish();
    let to = if here == "/" { "/sign-in".to_owned() } else { format!("/sign-in?{query}") };
    ([(header::CACHE_CONTROL, "no-store")], Redirect::to(&to)).into_response()
}
