//! What an actor knows of its project's secrets, also while the database is away.

use std::sync::Arc;

use crate::app::{App, Project};
use crate::db;
use crate::db::stack::Stack as Row;
use crate::secret::Vault;

/// What is known of a project's secrets.
#[derive(Debug, Default)]
pub(super) struct Secrets {
    /// With the version of the stack for which it was read.
    vault: Option<(i64, Arc<Vault>)>,
    /// The log knows what to black out.
    told: bool,
}

impl Secrets {
    /// The secrets as they are, or as they were when the database went away. Whoever shows what
    /// services say is told what to black out.
    ///
    /// # Errors
    /// Of the database, when nothing is known yet.
    pub(super) async fn learn(
        &mut self,
        app: &App,
        project: &Project,
        row: &Row,
    ) -> sqlx::Result<Arc<Vault>> {
        let vault = match &self.vault {
            Some((version, vault)) if *version == row.version => vault.clone(),
            known => match db::within(db::secret::sealed(&app.pool, row.project_id)).await {
                Ok(sealed) => {
                    let vault = Vault::new(app.keyring.clone(), row.project_id, sealed);
                    project.set_redactor(vault.redactor());
                    self.told = false;
                    let vault = Arc::new(vault);
                    self.vault = Some((row.version, vault.clone()));
                    vault
                }
                Err(error) => {
                    let Some((_, vault)) = known else { return Err(error) };
                    tracing::warn!(%error, "secrets cannot be read; the last ones count");
                    vault.clone()
                }
            },
        };
        if !self.told {
            // While another process writes the logs, there is nobody to tell.
            self.told = app.logs.redact(row.project_id, project.redactor()).await.is_ok();
        }
        Ok(vault)
    }

    /// Whether logs may be read: nothing is kept before it is known what is to be blacked out.
    pub(super) fn told(&self) -> bool {
        self.told
    }
}
