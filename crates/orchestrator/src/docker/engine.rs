//! What kind of Engine it is.

use super::{CALL_TIMEOUT, Client, Error};

/// What a person wants to know of an Engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Engine {
    /// Such as `28.2.2`.
    pub version: String,
    /// The API's version that we speak with it, such as `1.41`.
    pub api: String,
    /// The kernel's control groups that it limits containers with: `1` or `2`.
    pub cgroup: String,
}

impl Client {
    /// Which Engine it is.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::TooOld`] when it cannot be used.
    pub async fn engine(&self) -> Result<Engine, Error> {
        self.call("info", CALL_TIMEOUT, async |it| {
            let info = it.info().await?;
            let version = info.server_version.unwrap_or_default();
            let cgroup = info.cgroup_version.map(|it| it.to_string()).unwrap_or_default();
            Ok(Engine { version, api: it.client_version().to_string(), cgroup })
        })
        .await
    }
}
