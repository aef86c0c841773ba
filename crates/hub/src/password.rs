//! Passwords: argon2id in PHC form, checked off the async threads and a few at a time.

use std::sync::{Arc, LazyLock};

use argon2::{
    Argon2,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use proto::{Failure, Reason};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::Semaphore;

/// The shortest password, in characters.
pub(crate) const CHARACTERS_MIN: usize = 10;
/// The longest password, in characters; hashing more only helps an attacker.
pub(crate) const CHARACTERS_MAX: usize = 256;
/// Hashes at a time: each takes 19 MiB and a core for some 20 ms.
const CONCURRENT_MAX: usize = 2;

static SLOTS: LazyLock<Arc<Semaphore>> = LazyLock::new(|| Arc::new(Semaphore::new(CONCURRENT_MAX)));

/// Hashes a password with a fresh salt.
///
/// # Errors
/// `INVALID_INPUT` when it is too short or too long.
pub(crate) async fn hash(password: SecretString) -> Result<String, Failure> {
    let length = password.expose_secret().chars().count();
    if !(CHARACTERS_MIN..=CHARACTERS_MAX).contains(&length) {
        return Err(Failure::invalid(
            "password",
            format!(
                "a password has {CHARACTERS_MIN} to {CHARACTERS_MAX} characters, this one has \
                 {length}"
            ),
        ));
    }
    on_a_slot(move || hash_now(&password)).await?
}

/// Whether the password belongs to the hash. Without a hash it takes just as long and is false, so
/// that the time tells nobody which users exist.
pub(crate) async fn verify(password: SecretString, hash: Option<String>) -> Result<bool, Failure> {
    static NOBODY: LazyLock<Option<String>> =
        LazyLock::new(|| hash_now(&crate::secret::generate("nobody")).ok());
    on_a_slot(move || {
        let known = hash.is_some();
        let Some(hash) = hash.or_else(|| NOBODY.clone()) else { return false };
        let Ok(parsed) = PasswordHash::new(&hash) else { return false };
        let password = password.expose_secret().as_bytes();
        Argon2::default().verify_password(password, &parsed).is_ok() && known
    })
    .await
}

fn hash_now(password: &SecretString) -> Result<String, Failure> {
    Argon2::default()
        .hash_password(password.expose_secret().as_bytes())
        .map(|hash: argon2::password_hash::phc::PasswordHash| hash.to_string())
        .map_err(|error| Failure::new(Reason::Internal, format!("cannot hash: {error}")))
}

async fn on_a_slot<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Failure> {
    let _slot = SLOTS
        .clone()
        .acquire_owned()
        .await
        .map_err(|_| Failure::new(Reason::Unavailable, "the hub is stopping"))?;
    tokio::task::spawn_blocking(work)
        .await
        .map_err(|error| Failure::new(Reason::Internal, format!("hashing broke off: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_the_right_password_of_a_known_user_verifies() {
        let stored = hash("correct horse".into()).await.unwrap();
        assert!(stored.starts_with("$argon2id$"));
        assert!(verify("correct horse".into(), Some(stored.clone())).await.unwrap());
        assert!(!verify("wrong horse!".into(), Some(stored)).await.unwrap());
        assert!(!verify("correct horse".into(), None).await.unwrap());
    }

    #[tokio::test]
    async fn short_and_endless_passwords_are_refused() {
        assert_eq!(hash("short".into()).await.unwrap_err().reason, Reason::InvalidInput);
        assert!(hash("x".repeat(10_000).into()).await.is_err());
    }
}
