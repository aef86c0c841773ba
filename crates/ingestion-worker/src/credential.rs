//! What a site wants to see from us: checked when it comes in, sealed while it lies.

use chassis::seal::{Keyring, Place};
use proto::{Failure, Reason, SourceId};
use secrecy::zeroize::Zeroizing;
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};

use crate::fetch::Credential;

/// Each part of a credential is at most this long, in bytes.
pub const PART_BYTES_MAX: usize = 4_096;

/// The form that is sealed.
#[derive(Serialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Sealed<'a> {
    Basic { username: &'a str, password: &'a str },
    Bearer { token: &'a str },
    ApiKey { header: &'a str, value: &'a str },
}

/// [`Sealed`] as it is read back: the parts are owned, and the secrets are wiped.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Opened {
    Basic { username: String, password: SecretString },
    Bearer { token: SecretString },
    ApiKey { header: String, value: SecretString },
}

/// Checks an HTTP Basic credential.
///
/// # Errors
/// `INVALID_INPUT` that names the part; never its value.
pub fn basic(username: &str, password: &str) -> Result<Credential, Failure> {
    check_part("credential.basic.username", username)?;
    // Sites that take a token as the user's name want no password.
    if !password.is_empty() {
        check_part("credential.basic.password", password)?;
    }
    if username.contains(':') {
        return Err(Failure::invalid(
            "credential.basic.username",
            "the user name has a colon, which HTTP Basic cannot send: remove it",
        ));
    }
    Ok(Credential::Basic { username: username.to_owned(), password: password.into() })
}

/// Checks a bearer token.
///
/// # Errors
/// `INVALID_INPUT`.
pub fn bearer(token: &str) -> Result<Credential, Failure> {
    let token = token.trim();
    check_part("credential.bearer", token)?;
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Failure::invalid(
            "credential.bearer",
            "the token has blanks or characters beyond ASCII: send the token alone",
        ));
    }
    Ok(Credential::Bearer(token.into()))
}

/// Checks a key in a header of the site's own.
///
/// # Errors
/// `INVALID_INPUT` when the name is no header's, or one that the HTTP client owns.
pub fn api_key(header: &str, value: &str) -> Result<Credential, Failure> {
    check_part("credential.api_key.value", value)?;
    Credential::header(header.trim(), value.trim().into())
        .map_err(|error| Failure::invalid("credential.api_key.header", error.to_string()))
}

/// Which kind a credential is, as a source tells it.
#[must_use]
pub fn kind(credential: &Credential) -> &'static str {
    match credential {
        Credential::Basic { .. } => "basic",
        Credential::Bearer(_) => "bearer",
        Credential::Header { .. } => "api_key",
    }
}

/// Seals a credential for its row.
///
/// # Errors
/// `INTERNAL` when the system gives no random bytes.
pub fn seal(
    credential: &Credential,
    keyring: &Keyring,
    source: SourceId,
) -> Result<Vec<u8>, Failure> {
    let plain = match credential {
        Credential::Basic { username, password } => {
            Sealed::Basic { username, password: password.expose_secret() }
        }
        Credential::Bearer(token) => Sealed::Bearer { token: token.expose_secret() },
        Credential::Header { name, value } => {
            Sealed::ApiKey { header: name.as_str(), value: value.expose_secret() }
        }
    };
    let plain = Zeroizing::new(serde_json::to_vec(&plain).expect("strings are always JSON"));
    keyring.seal(place(&source.to_string()), &plain).map_err(|error| {
        tracing::error!(%error, "a credential cannot be sealed");
        Failure::new(Reason::Internal, "the credential cannot be sealed; the log has the cause")
    })
}

/// Opens what [`seal`] made for the same row.
///
/// # Errors
/// `CONFLICT` when it was sealed with another key or is damaged: it must be entered again.
pub fn open(keyring: &Keyring, source: SourceId, sealed: &[u8]) -> Result<Credential, Failure> {
    let refuse = |why: &str| {
        Failure::new(
            Reason::Conflict,
            format!("the credential of the source cannot be opened ({why}): enter it again"),
        )
    };
    let plain = keyring
        .open(place(&source.to_string()), sealed)
        .map_err(|error| refuse(&error.to_string()))?;
    match serde_json::from_slice(&plain).map_err(|_| refuse("its form is unknown"))? {
        Opened::Basic { username, password } => basic(&username, password.expose_secret()),
        Opened::Bearer { token } => bearer(token.expose_secret()),
        Opened::ApiKey { header, value } => api_key(&header, value.expose_secret()),
    }
}

fn place(source: &str) -> Place<'_> {
    Place { table: "ingestion.source", row: source, column: "credential" }
}

fn check_part(field: &str, part: &str) -> Result<(), Failure> {
    let problem = if part.trim().is_empty() {
        "is empty".to_owned()
    } else if part.len() > PART_BYTES_MAX {
        format!("has {} bytes; the limit is {PART_BYTES_MAX}", part.len())
    } else if part.chars().any(char::is_control) {
        "has control characters, such as a line end".to_owned()
    } else {
        return Ok(());
    };
    Err(Failure::invalid(field, format!("{field} {problem}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> Keyring {
        let folder = tempfile::tempdir().expect("a folder");
        Keyring::open_or_create(&folder.path().join("seal.key")).expect("a key")
    }

    #[test]
    fn each_kind_comes_back_from_its_seal_and_only_in_its_row() {
        let (keyring, id) = (keyring(), SourceId::generate());
        for (credential, of_kind) in [
            (basic("ann", "p:w é"), "basic"),
            (basic("ann", ""), "basic"),
            (bearer(" abc.def\n"), "bearer"),
            (api_key("X-Api-Key", "k 1"), "api_key"),
        ] {
            let credential = credential.expect("valid");
            let sealed = seal(&credential, &keyring, id).expect("sealed");
            let opened = open(&keyring, id, &sealed).expect("opens");
            assert_eq!(kind(&opened), of_kind);
            match opened {
                Credential::Basic { username, password } => {
                    assert_eq!(username, "ann");
                    assert!(["p:w é", ""].contains(&password.expose_secret()));
                }
                Credential::Bearer(token) => assert_eq!(token.expose_secret(), "abc.def"),
                Credential::Header { name, value } => {
                    assert_eq!((name.as_str(), value.expose_secret()), ("x-api-key", "k 1"));
                }
            }
            let elsewhere = open(&keyring, SourceId::generate(), &sealed);
            assert_eq!(elsewhere.expect_err("another row").reason, Reason::Conflict);
        }
    }

    #[test]
    fn parts_that_would_break_a_request_are_refused_without_being_shown() {
        for (refused, field) in [
            (basic("", "p"), "credential.basic.username"),
            (basic("a:b", "p"), "credential.basic.username"),
            (basic("a", "hunter2\r\nX: y"), "credential.basic.password"),
            (bearer(" "), "credential.bearer"),
            (bearer("hunter2 two"), "credential.bearer"),
            (bearer(&"t".repeat(4_097)), "credential.bearer"),
            (api_key("Host", "v"), "credential.api_key.header"),
            (api_key("a b", "v"), "credential.api_key.header"),
            (api_key("X-Key", "hunter2\n"), "credential.api_key.value"),
        ] {
            let failure = refused.expect_err("refused");
            assert_eq!(failure.violations[0].field, field, "{failure}");
            assert!(!failure.message.contains("hunter2"), "{failure}");
        }
    }
}
