//! Facts that commit with a row and are published after.

use std::time::Duration;

use prost::Message as _;
use proto::events::v1::Envelope;
use sqlx::{PgConnection, PgPool};

use bus::Bus;

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

/// Publishes a batch of facts that are not out yet and says how many it was. Replicas share the
/// work. A death between publishing and marking publishes a fact twice, which consumers notice by
/// its id.
///
/// # Errors
/// When the database is away. A bus that is away is no error: the facts stay.
pub async fn relay(pool: &PgPool, bus: &Bus) -> Result<usize, sqlx::Error> {
    if !bus.is_connected() {
        return Ok(0);
    }
    let mut transaction = pool.begin().await?;
    let facts: Vec<(i64, Vec<u8>)> = sqlx::query_as(
        "SELECT id, envelope FROM jobs.outbox WHERE sent_at IS NULL
         ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED",
    )
    .bind(BATCH_MAX)
    .fetch_all(&mut *transaction)
    .await?;
    let sent = publish_all(bus, &facts).await;
    sqlx::query("UPDATE jobs.outbox SET sent_at = now() WHERE id = ANY($1)")
        .bind(&sent)
        .execute(&mut *transaction)
        .await?;
    transaction.commit().await?;
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

/// Marks all facts as not published when the stream is another than the one they went to. Returns
/// whether it was.
///
/// # Errors
/// When the database is away. A bus that is away is no error.
pub async fn notice_new_stream(pool: &PgPool, bus: &Bus) -> Result<bool, sqlx::Error> {
    let Ok(incarnation) = bus.events_incarnation().await else {
        return Ok(false);
    };
    let mut transaction = pool.begin().await?;
    let is_new: Option<bool> = sqlx::query_scalar(
        "INSERT INTO jobs.outbox_stream AS stream (incarnation) VALUES ($1)
         ON CONFLICT (singleton) DO UPDATE SET incarnation = excluded.incarnation
         WHERE stream.incarnation <> excluded.incarnation
         RETURNING true",
    )
    .bind(incarnation)
    .fetch_optional(&mut *transaction)
    .await?;
    if is_new.is_some() {
        sqlx::query("UPDATE jobs.outbox SET sent_at = NULL WHERE sent_at IS NOT NULL")
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(is_new.is_some())
}
