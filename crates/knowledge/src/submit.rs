//! Takes documents in: decides on each, stores revisions and enqueues their index jobs in one
//! transaction.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jobs::Job as _;
use proto::{DocumentId, Failure, JobId, SourceId};
use sha2::{Digest as _, Sha256};
use sqlx::{PgConnection, PgPool};

use crate::{
    backlog,
    db::{
        document::{self, Known},
        statistics::{self, Change},
    },
    index::IndexDocument,
    metrics::DOCUMENTS_SUBMITTED,
    observation::{Decision, decide},
    removal,
    submission::Submission,
};

/// Documents of one call.
pub const DOCUMENTS_MAX: usize = 100;
/// A document whose index job died is not tried again for so long, unless it changes.
const DEAD_REST: Duration = Duration::from_secs(6 * 3_600);
/// Bytes of one call.
pub const BYTES_MAX: usize = 16 * 1024 * 1024;

/// What became of a document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// New; a job indexes it.
    Created,
    /// Changed; a job indexes it.
    Revised,
    /// As it was.
    Unchanged,
    /// Something newer is stored.
    Stale,
    /// Gone.
    Deleted,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Revised => "revised",
            Self::Unchanged => "unchanged",
            Self::Stale => "stale",
            Self::Deleted => "deleted",
        }
    }
}

/// The answer for one document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Accepted {
    /// What became of it.
    pub outcome: Outcome,
    /// Its id, when it is stored.
    pub document: Option<DocumentId>,
    /// The job that indexes it.
    pub job: Option<JobId>,
}

impl Accepted {
    fn new(outcome: Outcome, document: Option<DocumentId>) -> Self {
        Self { outcome, document, job: None }
    }
}

/// Stores a batch; answers in order. All of it commits, or nothing.
///
/// # Errors
/// `BACKLOG` when too many documents wait to be indexed; `UNAVAILABLE` when the database is away.
#[tracing::instrument(name = "knowledge.submit", skip_all, fields(documents = batch.len()))]
pub async fn submit(pool: &PgPool, batch: &[Submission]) -> Result<Vec<Accepted>, Failure> {
    let least = batch.iter().filter(|it| !it.deleted).map(|it| it.priority).min();
    if let Some(priority) = least {
        let waiting = crate::index::waiting(pool).await.map_err(database::failure)?;
        backlog::admit(priority, waiting)?;
    }
    let accepted = store(pool, batch).await.map_err(database::failure)?;
    for one in &accepted {
        metrics::counter!(DOCUMENTS_SUBMITTED, "outcome" => one.outcome.as_str()).increment(1);
    }
    Ok(accepted)
}

async fn store(pool: &PgPool, batch: &[Submission]) -> Result<Vec<Accepted>, sqlx::Error> {
    let mut accepted = vec![Accepted::new(Outcome::Stale, None); batch.len()];
    let newest = newest(batch);
    let chosen: Vec<&Submission> = newest.iter().map(|&index| &batch[index]).collect();
    let sources: Vec<SourceId> = chosen.iter().map(|it| it.source).collect();
    let external_ids: Vec<String> = chosen.iter().map(|it| it.external_id.clone()).collect();
    let locks: Vec<i64> = chosen.iter().map(|it| lock_key(it)).collect();

    let mut transaction = pool.begin().await?;
    document::lock(&mut transaction, &unique(&sources), &locks).await?;
    let known = document::known(&mut transaction, &sources, &external_ids).await?;
    let mut change = Change::default();
    let mut changed = false;
    let mut confirmed: (Vec<i64>, Vec<&Submission>) = Default::default();
    let mut deleted: Vec<(&Submission, Option<i64>)> = Vec::new();
    for ((submission, known), &index) in chosen.iter().zip(&known).zip(&newest) {
        let decision = decide(known.stored(), known.buried, submission.observation());
        let ids = known.ids();
        let id = ids.map(|ids| ids.1);
        accepted[index] = match (decision, ids) {
            (Decision::Create, _) => {
                let id = DocumentId::generate();
                document::create(&mut transaction, id, submission).await?;
                change.documents += 1;
                enqueue(&mut transaction, submission, id, Outcome::Created).await?
            }
            (Decision::Revise, Some((row, id))) => {
                document::revise(&mut transaction, row, submission).await?;
                changed = true;
                enqueue(&mut transaction, submission, id, Outcome::Revised).await?
            }
            (Decision::Confirm, Some((row, _))) => {
                confirmed.0.push(row);
                confirmed.1.push(submission);
                let job = index_again(&mut transaction, submission, known).await?;
                Accepted { job, ..Accepted::new(Outcome::Unchanged, id) }
            }
            (Decision::Delete, _) => {
                deleted.push((submission, ids.map(|ids| ids.0)));
                Accepted::new(Outcome::Deleted, id)
            }
            (Decision::Ignore | Decision::Revise | Decision::Confirm, _) => {
                Accepted::new(Outcome::Stale, id)
            }
        };
    }
    document::confirm(&mut transaction, &confirmed.0, &confirmed.1).await?;
    let removed = removal::remove_observed(&mut transaction, &deleted).await?;
    changed |= removed.documents != 0 || change.documents != 0;
    change = Change { documents: change.documents + removed.documents, ..removed };
    if changed {
        statistics::record(&mut transaction, change, locks[0]).await?;
    }
    transaction.commit().await?;
    Ok(accepted)
}

/// Enqueues the index job of a document that is not searchable as it is now, unless one waits or
/// died a while ago: it may have been cancelled, or be gone with its retention.
async fn index_again(
    connection: &mut PgConnection,
    submission: &Submission,
    known: &Known,
) -> Result<Option<JobId>, sqlx::Error> {
    let Some((row, id)) = known.ids().filter(|_| known.is_behind()) else { return Ok(None) };
    let (kind, key) = (IndexDocument::KIND, id.to_string());
    if jobs::ledger::is_tried(&mut *connection, kind, &key, DEAD_REST).await? {
        return Ok(None);
    }
    // It may have been indexed since it was looked up.
    if !document::is_behind(&mut *connection, row).await? {
        return Ok(None);
    }
    Ok(enqueue(connection, submission, id, Outcome::Unchanged).await?.job)
}

async fn enqueue(
    connection: &mut PgConnection,
    submission: &Submission,
    id: DocumentId,
    outcome: Outcome,
) -> Result<Accepted, sqlx::Error> {
    let job = IndexDocument { document: id };
    let new = jobs::NewJob::new(&job, submission.title.as_str())
        .key(id.to_string())
        .project(submission.project)
        .group(submission.source.0)
        .priority(submission.priority);
    let enqueued = jobs::enqueue(connection, new).await?;
    Ok(Accepted { outcome, document: Some(id), job: Some(enqueued.id) })
}

/// The newest observation of each document in the batch, in the batch's order; the last of equal
/// numbers. The others were overtaken before they came.
fn newest(batch: &[Submission]) -> Vec<usize> {
    let mut newest: HashMap<(SourceId, &str), usize> = HashMap::with_capacity(batch.len());
    for (index, submission) in batch.iter().enumerate() {
        let key = (submission.source, submission.external_id.as_str());
        let best = newest.entry(key).or_insert(index);
        if submission.observed_seq >= batch[*best].observed_seq {
            *best = index;
        }
    }
    let mut indexes: Vec<usize> = newest.into_values().collect();
    indexes.sort_unstable();
    indexes
}

fn unique(sources: &[SourceId]) -> Vec<SourceId> {
    sources.iter().copied().collect::<HashSet<_>>().into_iter().collect()
}

/// The same in every replica.
fn lock_key(submission: &Submission) -> i64 {
    let mut sha = Sha256::new();
    sha.update(submission.source.0.as_bytes());
    sha.update(&submission.external_id);
    let digest: [u8; 32] = sha.finalize().into();
    let [a, b, c, d, e, f, g, h, ..] = digest;
    i64::from_le_bytes([a, b, c, d, e, f, g, h])
}
