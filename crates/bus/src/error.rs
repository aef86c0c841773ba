//! Why the bus could not be used.

use std::time::Duration;

/// What a caller can tell apart.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The configuration cannot work. The URL is left out: it may hold a password.
    #[error("bus.url is malformed: set NATS_URL or bus.url_file to nats://HOST:PORT")]
    Url,
    /// A password would cross the network for everyone to read.
    #[error(
        "bus.url would carry the password in clear text to another machine: write tls:// in place \
         of nats://, or set bus.network_is_private = true where nobody else listens"
    )]
    ClearText,
    /// There is no connection now; the client goes on trying.
    #[error("NATS is not connected; what was to be published stays in Postgres until it is")]
    Disconnected,
    /// The server did not acknowledge in time.
    #[error("NATS did not answer within {} ms", .0.as_millis())]
    Timeout(Duration),
    /// The server refused.
    #[error("NATS refused to {what}")]
    Refused {
        /// What was asked.
        what: String,
        /// What it answered.
        #[source]
        source: async_nats::Error,
    },
}

impl Error {
    pub(crate) fn refused(what: impl Into<String>, source: impl Into<async_nats::Error>) -> Self {
        Self::Refused { what: what.into(), source: source.into() }
    }
}
