//! Takes documents out for good: one by one, or all of a source.

use bus::subject::DOCUMENT_DELETED;
use proto::{Failure, SourceId, events::v1::DocumentDeleted};
use sqlx::{PgConnection, PgPool};

use crate::{
    db::{
        chunk,
        document::{self, Document},
        statistics::{self, Change},
        tombstone,
    },
    submission::Submission,
};

/// Documents removed in one transaction of a purge.
const PURGE_BATCH: i64 = 200;

/// Removes documents whose sources no longer have them, in the transaction of their submission.
/// The caller records the change.
pub(crate) async fn remove_observed(
    connection: &mut PgConnection,
    deleted: &[(&Submission, Option<i64>)],
) -> Result<Change, sqlx::Error> {
    for (submission, _) in deleted {
        let external_id = std::slice::from_ref(&submission.external_id);
        let seq = submission.observed_seq;
        tombstone::bury(&mut *connection, submission.source, external_id, seq).await?;
    }
    let rows: Vec<i64> = deleted.iter().filter_map(|(_, row)| *row).collect();
    remove(connection, &rows).await
}

/// Removes one document on a person's request. An observation that is under way does not bring
/// it back; one that begins later does, if the source still has it.
///
/// # Errors
/// `UNAVAILABLE` when the database is away.
pub async fn delete(pool: &PgPool, document: &Document) -> Result<(), Failure> {
    let delete = async {
        let mut transaction = pool.begin().await?;
        document::lock_source(&mut transaction, document.source_id).await?;
        let seq = jobs::observe(&mut *transaction).await?;
        let external_id = std::slice::from_ref(&document.external_id);
        tombstone::bury(&mut transaction, document.source_id, external_id, seq).await?;
        let change = remove(&mut transaction, &[document.id]).await?;
        statistics::record(&mut transaction, change, document.id).await?;
        transaction.commit().await
    };
    delete.await.map_err(database::failure)
}

/// Removes every document of a source that was last observed at or before a number, and lets no
/// such observation in any more. A purge that breaks off goes on when it is asked for again.
///
/// # Errors
/// `UNAVAILABLE` when the database is away.
pub async fn purge(pool: &PgPool, source: SourceId, observed_seq: i64) -> Result<u64, Failure> {
    let purge = async {
        let mut removed = 0;
        loop {
            let mut transaction = pool.begin().await?;
            document::lock_source(&mut transaction, source).await?;
            tombstone::bury(&mut transaction, source, &[String::new()], observed_seq).await?;
            let rows =
                document::of_source(&mut transaction, source, observed_seq, PURGE_BATCH).await?;
            let change = remove(&mut transaction, &rows).await?;
            if change != Change::default() {
                statistics::record(&mut transaction, change, observed_seq + removed).await?;
            }
            transaction.commit().await?;
            removed += rows.len() as i64;
            if rows.len() < PURGE_BATCH as usize {
                return Ok(removed as u64);
            }
        }
    };
    purge.await.map_err(database::failure)
}

async fn remove(connection: &mut PgConnection, rows: &[i64]) -> Result<Change, sqlx::Error> {
    if rows.is_empty() {
        return Ok(Change::default());
    }
    // What an index job is storing meanwhile is seen, and so removed and counted, after the wait.
    document::lock_rows(&mut *connection, rows).await?;
    let change = chunk::remove(&mut *connection, rows).await?;
    let removed = document::remove(&mut *connection, rows).await?;
    for gone in &removed {
        let payload = DocumentDeleted {
            document_id: gone.public_id.to_string(),
            source_id: gone.source_id.to_string(),
        };
        let version = i64::from(gone.revision) + 1;
        let envelope = DOCUMENT_DELETED.envelope(Some(gone.project_id), version, &payload);
        jobs::outbox::publish(&mut *connection, &envelope).await?;
    }
    Ok(Change { documents: -(removed.len() as i64), ..change })
}
