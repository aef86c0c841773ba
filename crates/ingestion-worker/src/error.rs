//! What a site's misbehaviour is called towards callers and in the ledger.

use std::time::Duration;

use proto::failure::chain;
use proto::{Failure, Reason};
use url::Url;

use crate::document::one_line;
use crate::fetch::place;
use crate::{feed, fetch};

/// The fact of a `RATE_LIMITED` failure that names who refused: a redirect may have led elsewhere.
pub const REFUSED_BY: &str = "refused_by";

/// How long a site that asks for patience without saying how much is left alone.
const HOLD_DEFAULT: Duration = Duration::from_secs(30);

/// What a caller sent is repeated in a refusal up to this many characters.
const ECHO_CHARS_MAX: usize = 100;

/// A caller's own words as a refusal repeats them: on one line, and not all of a long text.
#[must_use]
pub fn echo(text: &str) -> String {
    one_line(text, ECHO_CHARS_MAX)
}

/// What came from `url` is no feed, or one over a limit.
#[must_use]
pub fn not_a_feed(url: &Url, error: &feed::Error) -> Failure {
    let reason = match error {
        feed::Error::TooLarge { .. }
        | feed::Error::TooDeep { .. }
        | feed::Error::EntityExpansion { .. } => Reason::TooLarge,
        feed::Error::NotAFeed(_) | feed::Error::Unreadable { .. } => Reason::NotAFeed,
    };
    Failure::new(reason, format!("{}: {error}", place(url)))
}

/// A fetch failed; a site that is to be left alone says for how long, or we do. Whether the reason is one that passes is the client's judgement.
#[must_use]
pub fn not_fetched(error: &fetch::Error) -> Failure {
    use fetch::Error as E;
    let forbidden = |error: &fetch::Error| {
        matches!(error, E::AddressForbidden { .. } | E::PortForbidden { .. })
    };
    let (reason, retry_after) = match (error, error.class()) {
        (_, fetch::Class::RateLimited { retry_after }) => {
            (Reason::RateLimited, Some(retry_after.unwrap_or(HOLD_DEFAULT)))
        }
        (E::Timeout { .. }, _) => (Reason::Timeout, None),
        (_, fetch::Class::Transient) => (Reason::Unavailable, None),
        (E::TooLarge { .. } | E::Bomb { .. }, _) => (Reason::TooLarge, None),
        (E::InvalidUrl { .. }, _) => (Reason::InvalidInput, None),
        (E::RedirectRefused { source, .. }, _) if forbidden(source) => {
            (Reason::AddressForbidden, None)
        }
        (error, _) if forbidden(error) => (Reason::AddressForbidden, None),
        _ => (Reason::FetchFailed, None),
    };
    let failure = Failure { retry_after, ..Failure::new(reason, chain(error)) };
    match error {
        E::Status { url, .. } if reason == Reason::RateLimited => failure.fact(REFUSED_BY, url),
        _ => failure,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;

    use super::*;

    fn status(status: u16, retry_after: Option<Duration>) -> fetch::Error {
        let status = StatusCode::from_u16(status).expect("a status");
        fetch::Error::Status { url: "https://a.example/".into(), status, retry_after }
    }

    #[test]
    fn what_passes_is_told_from_what_a_person_must_mend() {
        let soon = Some(Duration::from_secs(9));
        let table = [
            (status(401, None), Reason::FetchFailed, false),
            (status(403, None), Reason::FetchFailed, false),
            (status(404, None), Reason::FetchFailed, false),
            (status(410, None), Reason::FetchFailed, false),
            (status(500, None), Reason::Unavailable, true),
            (status(429, soon), Reason::RateLimited, true),
            (status(503, soon), Reason::RateLimited, true),
            (status(503, None), Reason::Unavailable, true),
        ];
        for (error, reason, transient) in table {
            let failure = not_fetched(&error);
            assert_eq!((failure.reason, failure.is_transient()), (reason, transient), "{error}");
        }
        let limited = not_fetched(&status(429, soon));
        assert_eq!(limited.retry_after, soon);
        assert_eq!(limited.metadata[REFUSED_BY], "https://a.example/");
        assert_eq!(not_fetched(&status(429, None)).retry_after, Some(HOLD_DEFAULT));
    }

    #[test]
    fn a_redirect_to_a_private_address_says_where_it_led() {
        let address = "10.0.0.1".parse().expect("an address");
        let source = Box::new(fetch::Error::AddressForbidden { host: "inside".into(), address });
        let error = fetch::Error::RedirectRefused { from: "https://a.example/".into(), source };
        let failure = not_fetched(&error);
        assert_eq!(failure.reason, Reason::AddressForbidden);
        assert!(failure.message.contains("10.0.0.1"), "{failure}");
    }
}
