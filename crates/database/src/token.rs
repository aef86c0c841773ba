//! Who a token belongs to, as the hub's one public SQL function says.

use std::{future::Future, pin::Pin, str::FromStr as _, time::Duration};

use chassis::auth::{TokenHash, Verify};
use chassis::caller::{Caller, Role, Scope};
use proto::{Failure, ProjectId, Reason};
use sqlx::PgPool;
use uuid::Uuid;

use crate::error::failure;

/// How long a verdict may take; whoever calls waits for it.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Verifies tokens through `hub.verify_token(hash)`.
#[derive(Debug, Clone)]
pub struct TokenVerifier {
    pool: PgPool,
}

type Row = (String, String, String, bool, Vec<Uuid>);

impl TokenVerifier {
    /// A verifier that asks the hub's schema in this database.
    #[must_use]
    pub fn new(pool: PgPool) -> Self {
        Self { pool }
    }

    async fn look_up(&self, token: TokenHash) -> Result<Option<Caller>, Failure> {
        let query = sqlx::query_as::<_, Row>(
            "SELECT id, name, role, all_projects, projects FROM hub.verify_token($1)",
        )
        .bind(token.0.as_slice())
        .fetch_optional(&self.pool);
        let row = tokio::time::timeout(TIMEOUT, query)
            .await
            .map_err(|_| {
                Failure::new(
                    Reason::Unavailable,
                    "the token cannot be verified, as the database does not answer; try again",
                )
            })?
            .map_err(failure)?;
        row.map(caller).transpose()
    }
}

impl Verify for TokenVerifier {
    fn verify(
        &self,
        token: TokenHash,
    ) -> Pin<Box<dyn Future<Output = Result<Option<Caller>, Failure>> + Send + '_>> {
        Box::pin(self.look_up(token))
    }
}

fn caller((id, name, role, all_projects, projects): Row) -> Result<Caller, Failure> {
    let scope = if all_projects {
        Scope::All
    } else {
        Scope::Projects(projects.into_iter().map(ProjectId).collect())
    };
    Ok(Caller { id, name, role: Role::from_str(&role)?, scope })
}
