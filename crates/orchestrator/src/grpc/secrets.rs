//! What callers ask of secrets. A value comes in, and never goes out this way again.

use std::sync::Arc;

use chassis::caller::{Caller, Role};
use database::failure;
use proto::orchestrator::v1;
use proto::time::to_wire;
use proto::{Failure, ProjectId, Reason};
use sqlx::PgConnection;
use zeroize::Zeroizing;

use super::stacks::permit;
use super::wire;
use crate::app::App;
use crate::db;
use crate::db::secret::Listed;
use crate::plan::Wish;
use crate::secret::{SECRETS_MAX, VALUE_BYTES_MAX, VALUES_BYTES_MAX, Vault, seal};
use crate::spec;

pub(super) async fn put(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::PutSecretRequest,
) -> Result<v1::Secret, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    let (name, value) = (request.name, Zeroizing::new(request.value));
    check(&name, &value)?;
    let mut tx = app.pool.begin().await.map_err(failure)?;
    db::secret::lock(&mut tx, project).await.map_err(failure)?;
    let listed = db::secret::list(&mut *tx, project).await.map_err(failure)?;
    bound(&listed, &name, &value)?;
    let newest = db::secret::newest(&mut tx, project, &name).await.map_err(failure)?;
    let vault = Vault::new(app.keyring.clone(), project, newest.into_iter().collect());
    // The same again changes nothing, so that whoever puts it with each spec restarts nobody.
    let same = vault.open(&name).is_ok_and(|it| *it == *value);
    if let Some(known) = listed.into_iter().find(|it| it.name == name && same) {
        return Ok(wire(known));
    }
    let version = db::secret::next(&mut tx, project, &name).await.map_err(failure)?;
    let sealed = seal(&app.keyring, project, &name, version, &value).map_err(|error| {
        tracing::error!(%error, "a secret cannot be sealed");
        Failure::new(Reason::Internal, "the secret cannot be sealed; the log has the cause")
    })?;
    let put = db::secret::put(&mut tx, project, &sealed, &caller.name).await.map_err(failure)?;
    // The same services are other containers from now on.
    db::stack::reconsider(&mut tx, project).await.map_err(failure)?;
    tx.commit().await.map_err(failure)?;
    let caller = &caller.name;
    tracing::info!(project.id = %project, secret = name, version, caller, "a secret was put");
    app.changed(project);
    Ok(wire(put))
}

/// Whether a project may have this value beside the others.
fn bound(listed: &[Listed], name: &str, value: &[u8]) -> Result<(), Failure> {
    let others = || listed.iter().filter(|it| it.name != name);
    let bytes: usize = others().map(|it| usize::try_from(it.bytes).unwrap_or(0)).sum();
    if others().count() < SECRETS_MAX && bytes + value.len() <= VALUES_BYTES_MAX {
        return Ok(());
    }
    let message = format!(
        "a project has at most {SECRETS_MAX} secrets of {} MiB in all: delete one first",
        VALUES_BYTES_MAX >> 20
    );
    Err(Failure::new(Reason::Conflict, message))
}

fn check(name: &str, value: &[u8]) -> Result<(), Failure> {
    if !spec::is_object(name) {
        let message = format!(
            "name must be 1 to 63 letters, digits, `-`, `_` and `.`, a letter or digit first, not \
             {name:?}"
        );
        return Err(Failure::invalid("name", message));
    }
    if value.is_empty() || value.len() > VALUE_BYTES_MAX {
        let message = format!("value must have 1 to {VALUE_BYTES_MAX} bytes, not {}", value.len());
        return Err(Failure::invalid("value", message));
    }
    Ok(())
}

pub(super) async fn list(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::ListSecretsRequest,
) -> Result<v1::ListSecretsResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Viewer)?;
    let listed = db::secret::list(&app.pool, project).await.map_err(failure)?;
    Ok(v1::ListSecretsResponse { secrets: listed.into_iter().map(wire).collect() })
}

pub(super) async fn delete(
    app: &Arc<App>,
    caller: Arc<Caller>,
    request: v1::DeleteSecretRequest,
) -> Result<v1::DeleteSecretResponse, Failure> {
    let project = permit(&caller, &request.project_id, Role::Operator)?;
    let name = request.name;
    let mut tx = app.pool.begin().await.map_err(failure)?;
    db::secret::lock(&mut tx, project).await.map_err(failure)?;
    let users = users(&mut tx, project, &name).await?;
    if !users.is_empty() {
        let message = format!(
            "the secret {name:?} is used by {}: apply a spec without it first",
            users.join(", ")
        );
        return Err(Failure::new(Reason::Conflict, message));
    }
    let deleted = db::secret::delete(&mut tx, project, &name, &caller.name).await;
    if !deleted.map_err(failure)? {
        return Err(Failure::not_found("secret", &name));
    }
    tx.commit().await.map_err(failure)?;
    let caller = &caller.name;
    tracing::info!(project.id = %project, secret = name, caller, "a secret was deleted");
    Ok(v1::DeleteSecretResponse {})
}

/// The services of the stack that mount a secret; none when the stack was removed.
async fn users(
    conn: &mut PgConnection,
    project: ProjectId,
    name: &str,
) -> Result<Vec<String>, Failure> {
    let row = db::stack::get(conn, project).await.map_err(failure)?;
    let Some(row) = row.filter(|it| !matches!(it.wish(), Wish::Removed { .. })) else {
        return Ok(Vec::new());
    };
    let services = wire::spec(&row)?.services.into_iter();
    let users = services.filter(|it| it.secrets.iter().any(|it| it.name == *name));
    Ok(users.map(|it| it.name).collect())
}

fn wire(it: Listed) -> v1::Secret {
    v1::Secret {
        name: it.name,
        version: it.version.unsigned_abs(),
        created_at: Some(to_wire(it.created_at)),
    }
}
