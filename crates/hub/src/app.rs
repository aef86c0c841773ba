//! What every handler needs: the parts of the running hub.

use chassis::{Shutdown, auth::Authenticator, readiness::Readiness};
use sqlx::PgPool;

use crate::{Config, clients::Clients, sign_in::Limits, streams::Streams};

/// The parts of the running hub; handlers share it by reference.
pub(crate) struct App {
    pub(crate) config: Config,
    /// Another program in front terminates TLS and says who its clients are.
    pub(crate) behind_tls: bool,
    pub(crate) pool: PgPool,
    pub(crate) clients: Clients,
    pub(crate) authenticator: Authenticator,
    pub(crate) readiness: Readiness,
    pub(crate) sign_in_limits: Limits,
    pub(crate) streams: Streams,
    /// Cancelled when the process drains, so that live streams end.
    pub(crate) stopping: Shutdown,
}

/// The hub's version, the same for the whole workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl App {
    /// Whether browsers may send our cookies over TLS only.
    pub(crate) fn secure_cookies(&self) -> bool {
        self.config.secure_cookies.unwrap_or(self.behind_tls)
    }

    /// The session cookie's name; with TLS the browser itself guards it by the prefix.
    pub(crate) fn cookie_name(&self) -> &'static str {
        if self.secure_cookies() { "__Host-cc_session" } else { "cc_session" }
    }
}
