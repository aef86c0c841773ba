//! Credentials for a source, and where they may go.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use secrecy::{ExposeSecret as _, SecretString};
use url::Url;

use crate::error::echo;

/// What proves to a server who asks. Never shown by `Debug`.
#[derive(Clone, Debug)]
pub enum Credential {
    /// HTTP Basic (RFC 7617).
    Basic {
        /// The user's name.
        username: String,
        /// The password.
        password: SecretString,
    },
    /// A bearer token (RFC 6750).
    Bearer(SecretString),
    /// A key in a header of the server's choosing. Made by [`Credential::header`].
    Header {
        /// The header's name.
        name: HeaderName,
        /// The key.
        value: SecretString,
    },
}

/// A header that cannot carry a credential.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidHeader {
    /// Not the name of a header.
    #[error("{0:?} is not a header's name; use letters, digits and dashes")]
    Name(String),
    /// A header that belongs to the connection.
    #[error("{0} belongs to the connection and cannot carry a credential")]
    Reserved(HeaderName),
    /// A secret with characters that no header can hold.
    #[error("the value for {0} has characters that a header cannot hold, such as a line break")]
    Value(String),
}

/// Headers that decide how a request is sent rather than who sends it.
const RESERVED: [HeaderName; 7] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::TRANSFER_ENCODING,
    header::CONNECTION,
    header::UPGRADE,
    header::TE,
    header::ACCEPT_ENCODING,
];

impl Credential {
    /// A key that is sent in the header `name`.
    ///
    /// # Errors
    /// If the header cannot carry it.
    pub fn header(name: &str, value: SecretString) -> Result<Self, InvalidHeader> {
        let parsed = HeaderName::try_from(name);
        let parsed = parsed.map_err(|_| InvalidHeader::Name(echo(name)))?;
        if RESERVED.contains(&parsed) {
            return Err(InvalidHeader::Reserved(parsed));
        }
        HeaderValue::from_str(value.expose_secret())
            .map_err(|_| InvalidHeader::Value(parsed.to_string()))?;
        Ok(Self::Header { name: parsed, value })
    }

    /// Puts the credential into a request. One that no header can hold is left out, and the server
    /// says that it is missing.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        let (name, text) = match self {
            Self::Basic { username, password } => {
                let pair = format!("{username}:{}", password.expose_secret());
                (header::AUTHORIZATION, format!("Basic {}", STANDARD.encode(pair)))
            }
            Self::Bearer(token) => {
                (header::AUTHORIZATION, format!("Bearer {}", token.expose_secret()))
            }
            Self::Header { name, value } => (name.clone(), value.expose_secret().to_owned()),
        };
        if let Ok(mut value) = HeaderValue::from_str(&text) {
            value.set_sensitive(true);
            headers.insert(name, value);
        }
    }
}

/// Whether a credential for `given` may go to `next`: the same origin, or the same host's step up
/// from http to https on the usual ports.
pub(crate) fn may_follow(given: &Url, next: &Url) -> bool {
    let steps_up = given.scheme() == "http"
        && next.scheme() == "https"
        && given.host() == next.host()
        && given.port().is_none()
        && next.port().is_none();
    given.origin() == next.origin() || steps_up
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn follows_to_its_own_origin_only() {
        let may = |given: &str, next: &str| {
            may_follow(&Url::parse(given).expect("a URL"), &Url::parse(next).expect("a URL"))
        };
        assert!(may("https://a.example/x", "https://a.example/y"));
        assert!(may("http://a.example/", "https://a.example/"));
        assert!(!may("https://a.example/", "http://a.example/"));
        assert!(!may("https://a.example/", "https://b.example/"));
        assert!(!may("https://a.example/", "https://a.example:8443/"));
        assert!(!may("https://a.example/", "https://www.a.example/"));
    }

    #[test]
    fn shows_no_secret() {
        let secret = || SecretString::from("hunter2");
        let key = Credential::header("X-Api-Key", secret()).expect("a good header");
        let basic = Credential::Basic { username: "me".into(), password: secret() };
        for credential in [key, basic, Credential::Bearer(secret())] {
            assert!(!format!("{credential:?}").contains("hunter2"));
            let mut headers = HeaderMap::new();
            credential.apply(&mut headers);
            assert_eq!(headers.len(), 1);
            assert!(!format!("{headers:?}").contains("hunter2"));
        }
    }

    #[test]
    fn refuses_headers_that_steer_the_connection() {
        let with = |name: &str, value: &str| Credential::header(name, value.into()).err();
        assert_eq!(with("Host", "x"), Some(InvalidHeader::Reserved(header::HOST)));
        assert_eq!(with("a b", "x"), Some(InvalidHeader::Name("a b".into())));
        assert_eq!(with("X-Key", "a\r\nb: c"), Some(InvalidHeader::Value("x-key".into())));
    }
}
