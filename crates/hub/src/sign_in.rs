//! Signing in and out with a browser.

use std::{net::IpAddr, num::NonZeroU32, time::Duration};

use chassis::auth::TokenHash;
use chrono::{TimeDelta, Utc};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter, clock::Clock as _};
use proto::{Failure, Reason};
use secrecy::{ExposeSecret, SecretString};

use crate::{
    app::App,
    db::{self, audit::Entry},
    password, secret,
};

/// Keys that the limiters remember before they forget idle ones.
const KEYS_MAX: usize = 10_000;

/// Attempts a minute, per address and per user name, so that neither one address nor many
/// together can guess a password.
pub(crate) struct Limits {
    addresses: DefaultKeyedRateLimiter<IpAddr>,
    names: DefaultKeyedRateLimiter<String>,
}

impl Limits {
    /// Limits of so many attempts a minute; 0 counts as 1.
    pub(crate) fn per_minute(attempts: u32) -> Self {
        let quota = Quota::per_minute(NonZeroU32::new(attempts).unwrap_or(NonZeroU32::MIN));
        Self { addresses: RateLimiter::keyed(quota), names: RateLimiter::keyed(quota) }
    }

    fn check(&self, address: IpAddr, name: &str) -> Result<(), Failure> {
        if self.addresses.len() > KEYS_MAX {
            self.addresses.retain_recent();
        }
        if self.names.len() > KEYS_MAX {
            self.names.retain_recent();
        }
        let clock = governor::clock::DefaultClock::default();
        let wait =
            |not_until: governor::NotUntil<_>| too_many(not_until.wait_time_from(clock.now()));
        self.addresses.check_key(&address).map_err(wait)?;
        self.names.check_key(&name.to_lowercase()).map_err(wait)
    }
}

fn too_many(wait: Duration) -> Failure {
    let seconds = wait.as_secs() + 1;
    Failure::new(
        Reason::RateLimited,
        format!("too many attempts to sign in; try again in {seconds} s"),
    )
    .retry_after(Duration::from_secs(seconds))
}

/// Checks a password and opens a session; returns the cookie's value.
///
/// # Errors
/// `RATE_LIMITED`, or `UNAUTHENTICATED` that does not tell a wrong name from a wrong password.
pub(crate) async fn sign_in(
    app: &App,
    address: IpAddr,
    name: &str,
    given: SecretString,
) -> Result<SecretString, Failure> {
    app.sign_in_limits.check(address, name)?;
    let user = db::user::credentials(&app.pool, name).await?;
    let hash = user.as_ref().map(|user| user.password_hash.clone());
    let right = password::verify(given, hash).await?;
    let Some(user) = user.filter(|_| right) else {
        crate::metrics::sign_in(false);
        return Err(Failure::new(Reason::Unauthenticated, "the name or the password is wrong"));
    };
    crate::metrics::sign_in(true);
    let cookie = secret::generate(secret::SESSION);
    let hash = TokenHash::of(cookie.expose_secret()).0;
    let expires_at = Utc::now() + TimeDelta::hours(i64::from(app.config.session_h));
    let mut tx = app.pool.begin().await.map_err(database::failure)?;
    db::session::insert(&mut *tx, &hash, user.id, &secret::random_hex(), expires_at).await?;
    db::user::signed_in(&mut *tx, user.id).await?;
    let id = user.id.to_string();
    let entry = Entry {
        actor_id: &id,
        actor: &user.name,
        action: "session.create",
        object: &user.name,
        object_id: &id,
        project: None,
        before: None,
        after: None,
    };
    db::audit::insert(&mut *tx, entry).await?;
    tx.commit().await.map_err(database::failure)?;
    Ok(cookie)
}

/// Ends a session here and, within the time that verdicts are believed, everywhere.
pub(crate) async fn sign_out(app: &App, cookie: &SecretString) -> Result<(), Failure> {
    let hash = TokenHash::of(cookie.expose_secret());
    db::session::remove(&app.pool, &hash.0).await?;
    app.authenticator.forget(hash);
    Ok(())
}
