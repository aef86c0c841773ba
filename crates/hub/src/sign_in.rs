//! Signing in and out with a browser.

mod limits;

pub(crate) use limits::Limits;

use std::net::{IpAddr, SocketAddr};

use chassis::auth::TokenHash;
use chrono::{TimeDelta, Utc};
use http::HeaderMap;
use proto::{Failure, Reason};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::App,
    audit::{self, Act},
    db::{self, audit::Entry, user::Credentials},
    identity::Identity,
    password, secret, users,
};

/// Who is recorded when a name is tried that nobody has. The name itself is not kept: it may be
/// a password that was typed into the wrong field.
const NOBODY: &str = "unknown name";

/// Where a request comes from. The program in front that terminates TLS appends the address that
/// it saw; whatever stands before it was sent by the client and proves nothing.
pub(crate) fn client_address(app: &App, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
    if !app.behind_tls {
        return peer;
    }
    let last = headers.get_all("x-forwarded-for").iter().next_back();
    let entry = last.and_then(|value| value.to_str().ok()?.rsplit(',').next());
    entry.and_then(parse_address).unwrap_or(peer)
}

/// An address, which some programs send with its port.
fn parse_address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    text.parse().ok().or_else(|| text.parse::<SocketAddr>().ok().map(|it| it.ip()))
}

/// Checks a password and opens a session; returns the cookie's value, which is always a new one.
///
/// # Errors
/// `RATE_LIMITED`, or `UNAUTHENTICATED` that does not tell a wrong name from a wrong password.
pub(crate) async fn sign_in(
    app: &App,
    address: IpAddr,
    name: &str,
    given: SecretString,
) -> Result<SecretString, Failure> {
    let wrong = || Failure::new(Reason::Unauthenticated, "the name or the password is wrong");
    // Nobody has such a name, so that it is neither looked for nor remembered.
    if name.chars().count() > users::NAME_CHARACTERS_MAX {
        return Err(wrong());
    }
    app.sign_in_limits.attempt(address, name)?;
    let user = db::user::credentials(&app.pool, name).await?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let right = password::verify(given, hash).await?;
    crate::metrics::sign_in(right);
    let Some(user) = user.as_ref().filter(|_| right) else {
        record_refusal(app, address, user.as_ref()).await?;
        return Err(wrong());
    };
    app.sign_in_limits.succeeded(name);
    open(app, user).await
}

async fn open(app: &App, user: &Credentials) -> Result<SecretString, Failure> {
    let cookie = secret::generate(secret::SESSION);
    let hash = TokenHash::of(cookie.expose_secret()).0;
    let expires_at = Utc::now() + TimeDelta::hours(i64::from(app.config.session_h));
    let session = db::session::NewSession {
        hash: &hash,
        user: user.id,
        csrf: &secret::random_hex(),
        expires_at,
        idle_h: app.config.session_idle_h,
    };
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    db::session::insert(&mut *tx, session).await?;
    db::user::signed_in(&mut *tx, user.id).await?;
    let id = user.id.to_string();
    db::audit::insert(&mut *tx, entry("session.create", (&id, &user.name), (&id, &user.name)))
        .await?;
    tx.commit().await.map_err(database::failure)?;
    Ok(cookie)
}

/// Records who was tried in vain, and from where; how many there are is bounded by the limits.
async fn record_refusal(
    app: &App,
    address: IpAddr,
    user: Option<&Credentials>,
) -> Result<(), Failure> {
    let id = user.map(|user| user.id.to_string()).unwrap_or_default();
    let name = user.map_or(NOBODY, |user| user.name.as_str());
    let actor = address.to_string();
    db::audit::insert(&app.pool, entry("session.refuse", ("", &actor), (&id, name))).await
}

/// An entry of something that was done with an `(id, name)` by another.
fn entry<'a>(action: &'a str, actor: (&'a str, &'a str), object: (&'a str, &'a str)) -> Entry<'a> {
    Entry {
        actor_id: actor.0,
        actor: actor.1,
        action,
        object: object.1,
        object_id: object.0,
        project: None,
        before: None,
        after: None,
    }
}

/// Ends a session here and, within the time that verdicts are believed, everywhere.
pub(crate) async fn sign_out(app: &App, who: &Identity) -> Result<(), Failure> {
    let hash = TokenHash::of(who.token.expose_secret());
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    db::session::remove(&mut *tx, &hash.0).await?;
    let act = Act::new("session.delete", &who.caller.name, &who.caller.id);
    audit::record(&mut *tx, who, act).await?;
    tx.commit().await.map_err(database::failure)?;
    app.authenticator.forget(hash);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_may_come_with_its_port() {
        let address = |text: &str| parse_address(text).map(|it| it.to_string());
        for text in [" 192.0.2.1", "192.0.2.1:4711"] {
            assert_eq!(address(text).unwrap(), "192.0.2.1");
        }
        assert_eq!(address("[2001:db8::1]:4711").unwrap(), "2001:db8::1");
        assert_eq!(address("unknown"), None);
    }
}
