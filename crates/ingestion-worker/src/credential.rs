//! What a site wants to see from us: checked when it comes in, sealed while it lies.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chassis::seal::{Keyring, Place};
use http::header::{AUTHORIZATION, HeaderName, HeaderValue};
use proto::{Failure, Reason, SourceId};
use secrecy::{ExposeSecret as _, SecretString};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

/// Each part of a credential is at most this long, in bytes.
pub const PART_BYTES_MAX: usize = 4_096;

/// Headers that the HTTP client owns: a value from outside would break or smuggle requests.
const RESERVED_HEADERS: [&str; 18] = [
    "accept-encoding", "connection", "content-encoding", "content-length", "content-type", "cookie",
    "date", "expect", "host", "if-modified-since", "if-none-match", "keep-alive",
    "proxy-authorization", "range", "te", "trailer", "transfer-encoding", "upgrade",
];

/// A secret for one site.
#[derive(Debug, Clone)]
pub enum Credential {
    /// HTTP Basic, RFC 7617.
    Basic {
        /// Without a colon.
        username: String,
        /// Its password.
        password: SecretString,
    },
    /// `Authorization: Bearer`, RFC 6750.
    Bearer(SecretString),
    /// A header of the site's own.
    ApiKey {
        /// The header's name.
        header: HeaderName,
        /// Its value.
        value: SecretString,
    },
}

/// The form that is sealed.
#[derive(Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Sealed<'a> {
    Basic { username: &'a str, password: &'a str },
    Bearer { token: &'a str },
    ApiKey { header: &'a str, value: &'a str },
}

impl Credential {
    /// Checks an HTTP Basic credential.
    ///
    /// # Errors
    /// `INVALID_INPUT` that names the part; never its value.
    pub fn basic(username: &str, password: &str) -> Result<Self, Failure> {
        check_part("credential.basic.username", username)?;
        check_part("credential.basic.password", password)?;
        if username.contains(':') {
            return Err(Failure::invalid(
                "credential.basic.username",
                "the user name has a colon, which HTTP Basic cannot send: remove it",
            ));
        }
        Ok(Self::Basic { username: username.to_owned(), password: password.into() })
    }

    /// Checks a bearer token.
    ///
    /// # Errors
    /// `INVALID_INPUT`.
    pub fn bearer(token: &str) -> Result<Self, Failure> {
        let token = token.trim();
        check_part("credential.bearer", token)?;
        if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(Failure::invalid(
                "credential.bearer",
                "the token has blanks or characters beyond ASCII: send the token alone",
            ));
        }
        Ok(Self::Bearer(token.into()))
    }

    /// Checks a header of the site's own.
    ///
    /// # Errors
    /// `INVALID_INPUT` when the name is no header's, or one that the HTTP client owns.
    pub fn api_key(header: &str, value: &str) -> Result<Self, Failure> {
        let field = "credential.api_key.header";
        let header: HeaderName = header.trim().parse().map_err(|_| {
            Failure::invalid(field, format!("{header:?} is no header name: give one like X-Api-Key"))
        })?;
        if RESERVED_HEADERS.contains(&header.as_str()) {
            return Err(Failure::invalid(
                field,
                format!("the header {header} is set by the HTTP client: the key needs another one"),
            ));
        }
        check_part("credential.api_key.value", value)?;
        Ok(Self::ApiKey { header, value: value.trim().into() })
    }

    /// Which kind it is, as a source tells it.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Basic { .. } => "basic",
            Self::Bearer(_) => "bearer",
            Self::ApiKey { .. } => "api_key",
        }
    }

    /// The header that carries it; its value is marked as sensitive.
    #[must_use]
    pub fn header(&self) -> (HeaderName, HeaderValue) {
        let (name, value) = match self {
            Self::Basic { username, password } => {
                let pair = Zeroizing::new(format!("{username}:{}", password.expose_secret()));
                (AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair.as_bytes())))
            }
            Self::Bearer(token) => (AUTHORIZATION, format!("Bearer {}", token.expose_secret())),
            Self::ApiKey { header, value } => (header.clone(), value.expose_secret().to_owned()),
        };
        let mut value = HeaderValue::from_bytes(value.as_bytes())
            .expect("each part was checked to have no control characters");
        value.set_sensitive(true);
        (name, value)
    }

    /// Seals it for its row.
    ///
    /// # Errors
    /// `INTERNAL` when the system gives no random bytes.
    pub fn seal(&self, keyring: &Keyring, source: SourceId) -> Result<Vec<u8>, Failure> {
        let plain = match self {
            Self::Basic { username, password } => {
                Sealed::Basic { username, password: password.expose_secret() }
            }
            Self::Bearer(token) => Sealed::Bearer { token: token.expose_secret() },
            Self::ApiKey { header, value } => {
                Sealed::ApiKey { header: header.as_str(), value: value.expose_secret() }
            }
        };
        let plain = serde_json::to_vec(&plain).expect("strings are always JSON");
        keyring.seal(place(&source.to_string()), &Zeroizing::new(plain)).map_err(|error| {
            tracing::error!(%error, "a credential cannot be sealed");
            Failure::new(Reason::Internal, "the credential cannot be sealed; the log has the cause")
        })
    }

    /// Opens what [`Credential::seal`] made for the same row.
    ///
    /// # Errors
    /// `CONFLICT` when it was sealed with another key or is damaged: it must be entered again.
    pub fn open(keyring: &Keyring, source: SourceId, sealed: &[u8]) -> Result<Self, Failure> {
        let refuse = |why: &str| {
            Failure::new(
                Reason::Conflict,
                format!("the credential of the source cannot be opened ({why}): enter it again"),
            )
        };
        let plain = keyring
            .open(place(&source.to_string()), sealed)
            .map_err(|error| refuse(&error.to_string()))?;
        let opened: Opened =
            serde_json::from_slice(&plain).map_err(|_| refuse("its form is unknown"))?;
        match opened {
            Opened::Basic { username, password } => Self::basic(&username, password.expose_secret()),
            Opened::Bearer { token } => Self::bearer(token.expose_secret()),
            Opened::ApiKey { header, value } => Self::api_key(&header, value.expose_secret()),
        }
    }
}

/// [`Sealed`] as it is read back: the parts are owned, and the secrets are wiped.
#[derive(Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
enum Opened {
    Basic { username: String, password: SecretString },
    Bearer { token: SecretString },
    ApiKey { header: String, value: SecretString },
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
    fn each_kind_comes_back_from_its_seal_with_its_header() {
        let (keyring, id) = (keyring(), SourceId::generate());
        let table = [
            (Credential::basic("ann", "p:w é"), "authorization", "Basic YW5uOnA6dyDDqQ=="),
            (Credential::bearer("abc.def"), "authorization", "Bearer abc.def"),
            (Credential::api_key("X-Api-Key", "k 1"), "x-api-key", "k 1"),
        ];
        for (credential, name, value) in table {
            let credential = credential.expect("valid");
            let sealed = credential.seal(&keyring, id).expect("sealed");
            let opened = Credential::open(&keyring, id, &sealed).expect("opens");
            assert_eq!(opened.kind(), credential.kind());
            let (header, header_value) = opened.header();
            assert_eq!((header.as_str(), header_value.as_bytes()), (name, value.as_bytes()));
            assert!(header_value.is_sensitive());
            let elsewhere = Credential::open(&keyring, SourceId::generate(), &sealed);
            assert_eq!(elsewhere.expect_err("another row").reason, Reason::Conflict);
        }
    }

    #[test]
    fn nothing_shows_a_secret() {
        for credential in [
            Credential::basic("ann", "hunter2"),
            Credential::bearer("hunter2"),
            Credential::api_key("X-Key", "hunter2"),
        ] {
            let credential = credential.expect("valid");
            assert!(!format!("{credential:?} {:?}", credential.header()).contains("hunter2"));
        }
        let refused = Credential::bearer("hunter2 two").expect_err("a blank");
        assert!(!refused.message.contains("hunter2"), "{refused}");
    }

    #[test]
    fn parts_that_would_break_a_request_are_refused() {
        for (refused, field) in [
            (Credential::basic("", "p"), "credential.basic.username"),
            (Credential::basic("a:b", "p"), "credential.basic.username"),
            (Credential::basic("a", "p\r\nX: y"), "credential.basic.password"),
            (Credential::bearer(" "), "credential.bearer"),
            (Credential::bearer(&"t".repeat(4_097)), "credential.bearer"),
            (Credential::api_key("Host", "v"), "credential.api_key.header"),
            (Credential::api_key("a b", "v"), "credential.api_key.header"),
            (Credential::api_key("X-Key", "v\n"), "credential.api_key.value"),
        ] {
            let failure = refused.expect_err("refused");
            assert_eq!(failure.violations[0].field, field, "{failure}");
        }
    }
}
