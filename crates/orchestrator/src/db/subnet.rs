//! Table `subnet`.

use std::collections::BTreeMap;

use ipnet::Ipv4Net;
use proto::ProjectId;
use sqlx::{PgConnection, PgPool};

/// Serialises the choice of subnets over all orchestrators.
const LOCK: i64 = 0x6f72_6368_6e65_7400;

/// The subnets of a project's networks, after those that it lacks have been chosen by `choose`,
/// which is told a network and what is taken by anybody of ours.
///
/// # Errors
/// Of the database.
pub async fn ensure<'a>(
    pool: &PgPool,
    project: ProjectId,
    networks: impl Iterator<Item = &'a String>,
    mut choose: impl FnMut(&str, &[Ipv4Net]) -> Option<Ipv4Net>,
) -> sqlx::Result<BTreeMap<String, Ipv4Net>> {
    let mut tx = pool.begin().await?;
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(LOCK).execute(&mut *tx).await?;
    let rows: Vec<(ProjectId, String, String)> =
        sqlx::query_as("SELECT project_id, network, subnet FROM orchestrator.subnet")
            .fetch_all(&mut *tx)
            .await?;
    let mut taken: Vec<Ipv4Net> = rows.iter().filter_map(|it| it.2.parse().ok()).collect();
    let mine = rows.into_iter().filter(|it| it.0 == project);
    let mut subnets: BTreeMap<String, Ipv4Net> =
        mine.filter_map(|(_, network, subnet)| Some((network, subnet.parse().ok()?))).collect();
    for network in networks {
        if subnets.contains_key(network) {
            continue;
        }
        let Some(subnet) = choose(network, &taken) else { continue };
        insert(&mut tx, project, network, subnet).await?;
        taken.push(subnet);
        subnets.insert(network.clone(), subnet);
    }
    tx.commit().await?;
    Ok(subnets)
}

async fn insert(
    conn: &mut PgConnection,
    project: ProjectId,
    network: &str,
    subnet: Ipv4Net,
) -> sqlx::Result<()> {
    sqlx::query("INSERT INTO orchestrator.subnet (project_id, network, subnet) VALUES ($1, $2, $3)")
        .bind(project)
        .bind(network)
        .bind(subnet.to_string())
        .execute(conn)
        .await
        .map(drop)
}

/// Gives a network's subnet back: it turned out to be taken, or the network is gone.
///
/// # Errors
/// Of the database.
pub async fn forget(pool: &PgPool, project: ProjectId, network: &str) -> sqlx::Result<()> {
    sqlx::query("DELETE FROM orchestrator.subnet WHERE project_id = $1 AND network = $2")
        .bind(project)
        .bind(network)
        .execute(pool)
        .await
        .map(drop)
}
