//! Why something could not be fetched, and whether trying again makes sense.

use std::fmt;
use std::io;
use std::net::IpAddr;
use std::time::Duration;

use http::StatusCode;
use url::Url;

use super::address::Reach;
use super::resolve::{Forbidden, Unresolved};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a fetch failed. URLs are shown without their query, where keys may stand.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The URL cannot be fetched by anyone.
    #[error("{url} cannot be fetched: {reason}")]
    InvalidUrl {
        /// The URL, without query.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host is not on the public Internet.
    #[error(
        "{host} is at {address}, which is not a public address; if it is meant to be reached, \
             add its network to fetch.allow_networks \
             (COMMANDCENTER__FETCH__ALLOW_NETWORKS={})",
        ipnet::IpNet::from(*address)
    )]
    AddressForbidden {
        /// The host as named in the URL.
        host: String,
        /// Where it is.
        address: IpAddr,
    },
    /// The port is not the web's.
    #[error(
        "port {port} of {url} may not be reached, only 80 and 443; if it is meant to be, add \
             the host's network to fetch.allow_networks (COMMANDCENTER__FETCH__ALLOW_NETWORKS)"
    )]
    PortForbidden {
        /// The URL, without query.
        url: String,
        /// The port.
        port: u16,
    },
    /// A redirect leads where the client may not go.
    #[error(
        "{from} redirects to where it must not; give the final address, if that is what you \
             want to read"
    )]
    RedirectRefused {
        /// The URL that was asked for, without query.
        from: String,
        /// Why its target is refused.
        #[source]
        source: Box<Error>,
    },
    /// Redirects without end.
    #[error("{url} redirects more than {limit} times; give the final address")]
    TooManyRedirects {
        /// The URL that was asked for, without query.
        url: String,
        /// The most redirects that are followed.
        limit: usize,
    },
    /// The body is over the limit.
    #[error(
        "{url} has more than the {limit_bytes} bytes allowed; raise fetch.body_bytes_max if \
             it is meant to be this large"
    )]
    TooLarge {
        /// The URL, without query.
        url: String,
        /// The largest body allowed, in bytes.
        limit_bytes: usize,
    },
    /// The body decompresses to suspiciously much.
    #[error("{url} decompresses to more than {limit_ratio} times its size and was cut off")]
    Bomb {
        /// The URL, without query.
        url: String,
        /// The most bytes that one byte may become.
        limit_ratio: u64,
    },
    /// The body is compressed in a way that was not asked for.
    #[error("{url} sends its body as {encoding:?}, which it was not asked for")]
    Encoding {
        /// The URL, without query.
        url: String,
        /// The `Content-Encoding`.
        encoding: String,
    },
    /// Time is up.
    #[error("{url} took longer than {limit:?} {deadline}")]
    Timeout {
        /// The URL, without query.
        url: String,
        /// Which deadline passed.
        deadline: Deadline,
        /// How long it was.
        limit: Duration,
    },
    /// The server answered with an error.
    #[error("{url} answered {status}{}", advice(*status))]
    Status {
        /// The URL, without query.
        url: String,
        /// The status.
        status: StatusCode,
        /// When the server wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// The name has no address.
    #[error("{host} could not be resolved; check its spelling")]
    Dns {
        /// The host.
        host: String,
        /// What the resolver said.
        #[source]
        source: BoxError,
    },
    /// The server's certificate is not trusted, or TLS failed otherwise.
    #[error(
        "no trusted TLS connection to {url}; its certificate must come from a public authority"
    )]
    Tls {
        /// The URL, without query.
        url: String,
        /// What TLS said.
        #[source]
        source: rustls::Error,
    },
    /// The server could not be reached, or hung up.
    #[error("{url} could not be reached")]
    Transport {
        /// The URL, without query.
        url: String,
        /// What happened.
        #[source]
        source: BoxError,
    },
    /// The body broke off or is damaged.
    #[error("the body of {url} broke off or is damaged")]
    BrokenBody {
        /// The URL, without query.
        url: String,
        /// What happened.
        #[source]
        source: io::Error,
    },
    /// The client could not be made.
    #[error("the HTTP client could not be set up")]
    Setup {
        /// What happened.
        #[source]
        source: BoxError,
    },
}

/// A deadline of the client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// `fetch.connect_timeout_ms`.
    Connect,
    /// `fetch.total_timeout_ms`.
    Total,
}

impl fmt::Display for Deadline {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "to connect (fetch.connect_timeout_ms)",
            Self::Total => "in all (fetch.total_timeout_ms)",
        })
    }
}

/// Whether trying again makes sense.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// Not until somebody changes something.
    Permanent,
    /// Probably.
    Transient,
    /// Yes, but later.
    RateLimited {
        /// How much later, if the server says it.
        retry_after: Option<Duration>,
    },
}

impl Error {
    /// Whether trying again makes sense.
    #[must_use]
    pub fn class(&self) -> Class {
        match self {
            Self::Status { status, retry_after, .. } => of_status(*status, *retry_after),
            Self::Dns { .. }
            | Self::Timeout { .. }
            | Self::Transport { .. }
            | Self::BrokenBody { .. }
            | Self::Setup { .. } => Class::Transient,
            Self::InvalidUrl { .. }
            | Self::AddressForbidden { .. }
            | Self::PortForbidden { .. }
            | Self::RedirectRefused { .. }
            | Self::TooManyRedirects { .. }
            | Self::TooLarge { .. }
            | Self::Bomb { .. }
            | Self::Encoding { .. }
            | Self::Tls { .. } => Class::Permanent,
        }
    }

    /// Whether the client refused to go there, rather than failed to.
    pub(super) fn is_refusal(&self) -> bool {
        matches!(
            self,
            Self::InvalidUrl { .. } | Self::AddressForbidden { .. } | Self::PortForbidden { .. }
        )
    }

    pub(super) fn by_redirect(self, from: &Url) -> Self {
        Self::RedirectRefused { from: place(from), source: Box::new(self) }
    }

    /// Finds the cause that matters in a transport's chain of errors.
    pub(super) fn of_transport(error: reqwest::Error, url: &Url, connect_limit: Duration) -> Self {
        let error = error.without_url();
        if let Some(forbidden) = find::<Forbidden>(&error).cloned() {
            let Forbidden { host, address, reach } = forbidden;
            return match (reach, super::address::is_public(address)) {
                (Reach::AllowedOnly, true) => {
                    let port = url.port_or_known_default().unwrap_or_default();
                    Self::PortForbidden { url: place(url), port }
                }
                _ => Self::AddressForbidden { host, address },
            };
        }
        if let Some(unresolved) = find::<Unresolved>(&error) {
            return Self::Dns { host: unresolved.host.clone(), source: error.into() };
        }
        if let Some(source) = find::<rustls::Error>(&error).cloned() {
            return Self::Tls { url: place(url), source };
        }
        match error.is_timeout() {
            true => {
                let (deadline, limit) = (Deadline::Connect, connect_limit);
                Self::Timeout { url: place(url), deadline, limit }
            }
            false => Self::Transport { url: place(url), source: error.into() },
        }
    }
}

/// A cause by its type. An [`io::Error`] hides the error inside it from the chain.
fn find<T: std::error::Error + 'static>(error: &reqwest::Error) -> Option<&T> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        let inner = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        next = match inner {
            Some(inner) => Some(inner),
            None => error.source(),
        };
    }
    None
}

fn of_status(status: StatusCode, retry_after: Option<Duration>) -> Class {
    match status.as_u16() {
        429 => Class::RateLimited { retry_after },
        503 if retry_after.is_some() => Class::RateLimited { retry_after },
        408 | 425 | 500 | 502..=504 | 506..=599 => Class::Transient,
        _ => Class::Permanent,
    }
}

fn advice(status: StatusCode) -> &'static str {
    match status.as_u16() {
        304 => "; it was asked for the whole body and says that nothing changed",
        401 => "; give the source a credential, or a current one",
        403 => "; the server refuses this client or this credential",
        404 => "; check the address",
        410 => "; it is gone for good",
        429 => "; it wants to be asked less often",
        _ => "",
    }
}

/// A URL without what may be secret.
pub(crate) fn place(url: &Url) -> String {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    // These fail only for URLs that have no host and so no user either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}
