//! Who asks: the owner of a bearer token, or of a browser session.
//!
//! A session cookie is a token like any other: `hub.verify_token` knows both, so the hub forwards
//! to the services exactly what its caller sent, and signing out ends it everywhere.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, request::Parts},
};
use axum_extra::extract::CookieJar;
use chassis::{
    auth::{self, TokenHash},
    caller::{Caller, Role},
};
use proto::{Failure, ProjectId, Reason};
use secrecy::{ExposeSecret, SecretString};

use crate::{app::App, db};

/// Who asks, and with what.
#[derive(Clone)]
pub(crate) struct Identity {
    pub(crate) caller: Arc<Caller>,
    /// What the caller sent, to be forwarded.
    pub(crate) token: SecretString,
    /// Set for a browser: the secret that its forms and scripts must send with every write.
    pub(crate) csrf: Option<String>,
}

impl Identity {
    /// Demands a role anywhere. A service is no administrator, whatever the order of roles says:
    /// its token lies in a file, and a leaked one must not make users and tokens.
    pub(crate) fn require_role(&self, role: Role) -> Result<(), Failure> {
        if role == Role::Admin && self.caller.role == Role::Service {
            return Err(Failure::new(
                Reason::Forbidden,
                format!("{} is a service; this needs an administrator", self.caller.name),
            ));
        }
        self.caller.require_role(role)
    }

    /// Demands a role in a project.
    pub(crate) fn require(&self, role: Role, project: ProjectId) -> Result<(), Failure> {
        if !self.caller.may_read(project) {
            return Err(Failure::not_found("project", project));
        }
        self.require_role(role)
    }

    /// Demands an administrator of everything: users, tokens and the audit log know no projects.
    pub(crate) fn require_admin(&self) -> Result<(), Failure> {
        self.require_role(Role::Admin)?;
        if self.caller.scope == chassis::caller::Scope::All {
            return Ok(());
        }
        Err(Failure::new(
            Reason::Forbidden,
            format!(
                "{} administers some projects; this needs an administrator of all projects",
                self.caller.name
            ),
        ))
    }

    /// Whether to offer what changes things.
    pub(crate) fn operates(&self) -> bool {
        self.caller.role >= Role::Operator
    }

    /// Whether to offer users, tokens and the audit log.
    pub(crate) fn administers(&self) -> bool {
        self.require_admin().is_ok()
    }
}

/// Who sent this request: a bearer token wins over a cookie, which a browser adds unasked.
///
/// # Errors
/// `UNAUTHENTICATED` when there is neither, or it is unknown or expired.
pub(crate) async fn identify(app: &App, headers: &HeaderMap) -> Result<Identity, Failure> {
    if let Some(token) = auth::bearer(headers) {
        let caller = app.authenticator.authenticate(headers).await?;
        return Ok(Identity { caller, token: SecretString::from(token), csrf: None });
    }
    match session(app, headers).await? {
        Some(identity) => Ok(identity),
        None => Err(Failure::new(
            Reason::Unauthenticated,
            "no token: send `Authorization: Bearer TOKEN` with one from `commandcenter token \
             create`, or sign in at /sign-in",
        )),
    }
}

/// Whether whoever asked still is who they were: the token or session lives, and its role and
/// scope are the same. Nobody uses a session by being asked this.
///
/// # Errors
/// `UNAVAILABLE` when nobody can tell.
pub(crate) async fn is_still(app: &App, who: &Identity) -> Result<bool, Failure> {
    let hash = TokenHash::of(who.token.expose_secret());
    // Ask the tables, not what was believed some seconds ago.
    app.authenticator.forget(hash);
    Ok(app.authenticator.caller(hash).await?.as_ref() == Some(&who.caller))
}

/// The browser session of this request, if it has a live one.
pub(crate) async fn session(app: &App, headers: &HeaderMap) -> Result<Option<Identity>, Failure> {
    let jar = CookieJar::from_headers(headers);
    let Some(cookie) = jar.get(app.cookie_name()) else { return Ok(None) };
    let token = cookie.value();
    let hash = TokenHash::of(token).0;
    let row = db::session::find(&app.pool, &hash, app.config.session_idle_h).await?;
    let Some(row) = row else { return Ok(None) };
    let caller = Caller {
        id: row.user_id.to_string(),
        name: row.name,
        role: db::role_of(&row.role)?,
        scope: db::scope_of(row.all_projects, row.projects),
    };
    Ok(Some(Identity {
        caller: Arc::new(caller),
        token: SecretString::from(token),
        csrf: Some(row.csrf),
    }))
}

/// Handlers take the identity that the gate in front of them found; without a gate they refuse.
impl<S: Sync> FromRequestParts<S> for Identity {
    type Rejection = crate::error::Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        parts.extensions.get::<Self>().cloned().ok_or_else(|| {
            Failure::new(Reason::Unauthenticated, "this route does not know who asks").into()
        })
    }
}
