//! Facts that commit with a row and are published after.

use std::time::Duration;

use prost::Message as _;
use proto::events::v1::Envelope;
use sqlx::{PgConnection, PgPool};

use bus::Bus;

use crate::db;

/// Facts of one round, at most.
const BATCH_MAX: i64 = 200;

/// Facts stay this long, to be published again when the stream was made anew.
pub const KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Writes a fact in the caller's transaction; the relay publishes it once that has committed.
///
/// # Errors
/// When the database refuses or is away.
pub async fn publish(
    connection: &mut PgConnection,
    envelope: &Envelope,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "WITH fact AS (
             INSERT INTO jobs.outbox (event_id, envelope) VALUES ($1, $2)
             ON CONFLICT (event_id) DO NOTHING)
         SELECT pg_notify('jobs', 'outbox')::text",
    )
    .bind(&envelope.event_id)
    .bind(envelope.encode_to_vec())
    .execute(connection)
    .await
    .map(drop)
}

/// A replica has this long to publish the facts that it took; then others may.
const TAKEN: Duration = Duration::from_secs(30);

/// Facts that the stream `$1` does not have and nobody publishes at the moment.
const TAKE: &str = "
WITH new AS (
    SELECT id FROM jobs.outbox WHERE sent_to IS NULL
      AND (taken_until IS NULL OR taken_until < now())
    ORDER BY id LIMIT $2 FOR UPDATE SKIP LOCKED
), lost AS (
    SELECT id FROM jobs.outbox WHERE sent_to < $1
      AND (taken_until IS NULL OR taken_until < now())
    ORDER BY sent_to, id LIMIT $2 FOR UPDATE SKIP LOCKED
), lost_by_a_clock_ahead AS (
    SELECT id FROM jobs.outbox WHERE sent_to > $1
      AND (taken_until IS NULL OR taken_until < now())
    ORDER BY sent_to, id LIMIT $2 FOR UPDATE SKIP LOCKED
), missing AS (
    SELECT id FROM new UNION ALL SELECT id FROM lost
    UNION ALL SELECT id FROM lost_by_a_clock_ahead LIMIT $2
)
UPDATE jobs.outbox AS fact SET taken_until = now() + $3 * interval '1 second'
FROM missing WHERE fact.id = missing.id
RETURNING fact.id, fact.envelope";

/// Publishes a batch of facts that the stream does not have, be it that they are new or that the
/// stream was made anew, and says how many it was. Replicas share the work, and no transaction is
/// open meanwhile. A death between publishing and marking publishes a fact twice, which consumers
/// notice by its id. `patience` is for each answer of the database.
///
/// # Errors
/// When the database is away. A bus that is away is no error: the facts stay.
pub async fn relay(pool: &PgPool, bus: &Bus, patience: Duration) -> Result<usize, sqlx::Error> {
    let Ok(stream) = bus.events_incarnation().await else {
        return Ok(0);
    };
    let taken = sqlx::query_as(TAKE).bind(stream).bind(BATCH_MAX).bind(TAKEN.as_secs_f64());
    let facts: Vec<(i64, Vec<u8>)> = db::within(patience, taken.fetch_all(pool)).await?;
    if facts.is_empty() {
        return Ok(0);
    }
    let sent = publish_all(bus, &facts).await;
    let ids: Vec<i64> = facts.iter().map(|(id, _)| *id).collect();
    let marked = sqlx::query(
        "UPDATE jobs.outbox SET taken_until = NULL,
             sent_to = CASE WHEN id = ANY($2) THEN $3 ELSE sent_to END,
             sent_at = CASE WHEN id = ANY($2) THEN now() ELSE sent_at END
         WHERE id = ANY($1)",
    )
    .bind(&ids)
    .bind(&sent)
    .bind(stream);
    db::within(patience, marked.execute(pool)).await?;
    Ok(sent.len())
}

/// Publishes facts at once and returns the rows that the stream has.
async fn publish_all(bus: &Bus, facts: &[(i64, Vec<u8>)]) -> Vec<i64> {
    let published = facts.iter().map(|(id, bytes)| async move {
        let Ok(envelope) = Envelope::decode(bytes.as_slice()) else {
            tracing::error!(outbox.id = id, "a fact in the outbox is unreadable; it is left out");
            return Some(*id);
        };
        match bus.publish(&envelope).await {
            Ok(()) => Some(*id),
            Err(error) => {
                tracing::debug!(outbox.id = id, error = %error, "a fact stays in the outbox");
                None
            }
        }
    });
    futures::future::join_all(published).await.into_iter().flatten().collect()
}
