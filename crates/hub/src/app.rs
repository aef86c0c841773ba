//! What every handler needs: the parts of the running hub.

use std::sync::Arc;

use chassis::{Shutdown, auth::Authenticator, readiness::Readiness};
use sqlx::PgPool;
use tokio::sync::Semaphore;

use crate::{Config, clients::Clients, sign_in::Limits};

/// The parts of the running hub; handlers share it by reference.
pub(crate) struct App {
    pub(crate) config: Config,
    pub(crate) pool: PgPool,
    pub(crate) clients: Clients,
    pub(crate) authenticator: Authenticator,
    pub(crate) readiness: Readiness,
    pub(crate) sign_in_limits: Limits,
    /// One permit a live stream.
    pub(crate) event_streams: Arc<Semaphore>,
    /// Cancelled when the process drains, so that live streams end.
    pub(crate) stopping: Shutdown,
}

/// The hub's version, the same for the whole workspace.
pub(crate) const VERSION: &str = env!("CARGO_PKG_VERSION");

impl App {
    /// The session cookie's name; with TLS the browser itself guards it by the prefix.
    pub(crate) fn cookie_name(&self) -> &'static str {
        if self.config.secure_cookies { "__Host-cc_session" } else { "cc_session" }
    }
}
