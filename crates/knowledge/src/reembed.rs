//! The job `knowledge.reembed`: gives every chunk a vector of a new model, then lets searches
//! change over. Searches ask the old model until then; wherever this is broken off, it goes on.

use std::time::Duration;

use jobs::{Job, Limits, NewJob, Outcome, Run};
use proto::{Failure, Reason};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;

use crate::{
    chunking,
    db::{
        embedding::{self, Missing},
        embedding_model::{self, State},
        statistics::{self, Change},
    },
    error::{self, EMBEDDER_RETRY},
    index::{Context, EMBED_BATCH},
    metrics::REEMBED_REMAINING,
    models::InUse,
};

/// Chunks that may be stored while the others wait for the change-over.
const LAST_CHUNKS_MAX: i64 = EMBED_BATCH as i64;

/// A model whose job died is not tried again for so long: a person may retry it sooner.
const DEAD_REST: Duration = Duration::from_secs(3_600);

/// Builds one model.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Reembed {
    /// The model's row.
    pub model: i32,
}

/// Where the last slice left off.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Cursor {
    /// Every chunk up to this one has its vector.
    chunk: i64,
    /// How many were embedded.
    done: u64,
}

impl Job for Reembed {
    const KIND: &'static str = "knowledge.reembed";
    const LIMITS: Limits = Limits {
        run_ms: 4 * 3_600_000,
        slice_ms: 30_000,
        concurrency: 1,
        expires_s: 30 * 24 * 3_600,
    };
    type Context = Context;

    async fn run(self, context: Context, run: Run) -> Result<Outcome, jobs::Error> {
        let models = context.models.in_use();
        let Some(model) = models.into_iter().find(|it| it.id == self.model) else {
            // Another replica may know it already, or nobody wants it any more.
            context.models.refresh().await?;
            let known = context.models.in_use().iter().any(|it| it.id == self.model);
            return Ok(if known { Outcome::Yield } else { Outcome::Done });
        };
        if model.loaded.is_none() {
            return Ok(Outcome::Later(EMBEDDER_RETRY));
        }
        let mut cursor: Cursor = run.cursor().unwrap_or_default();
        loop {
            if run.is_cancelled() {
                return Err(jobs::Error::LeaseLost);
            }
            let count = backfill(&context.pool, &model, &mut cursor, &run).await?;
            if count == 0 {
                break;
            }
            if run.should_yield() {
                return Ok(Outcome::Yield);
            }
        }
        tokio::select! {
            built = embedding_model::build_index(&context.pool, &model.model) => built?,
            () = run.cancelled() => return Err(jobs::Error::LeaseLost),
        }
        if !activate(&context.pool, &model, &run).await? {
            // Chunks were stored by those who did not know the model yet, behind the cursor.
            run.save_cursor(&Cursor { chunk: 0, ..cursor }).await?;
            return Ok(Outcome::Yield);
        }
        context.models.refresh().await?;
        tracing::info!(model = model.id, name = model.model.name, "search asks a new model");
        Ok(Outcome::Completed)
    }
}

/// Enqueues the job that builds a model; does nothing when it waits or runs already, or died a while
/// ago.
///
/// # Errors
/// When the database does.
pub async fn enqueue(pool: &PgPool, model: i32) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let (job, key) = (Reembed { model }, model.to_string());
    if !jobs::ledger::is_tried(&mut *connection, Reembed::KIND, &key, DEAD_REST).await? {
        let new = NewJob::new(&job, format!("embedding model {model}")).key(key);
        jobs::enqueue(&mut connection, new).await?;
    }
    Ok(())
}

/// Embeds the next chunks; answers how many there were.
async fn backfill(
    pool: &PgPool,
    model: &InUse,
    cursor: &mut Cursor,
    run: &Run,
) -> Result<usize, jobs::Error> {
    let mut connection = pool.acquire().await?;
    let limit = EMBED_BATCH as i64;
    let missing = embedding::missing(&mut connection, model.id, cursor.chunk, limit).await?;
    let Some(last) = missing.last() else { return Ok(0) };
    let (chunk, count) = (last.id, missing.len());
    let vectors = vectors(model, &missing).await?;
    let chunks: Vec<i64> = missing.iter().map(|it| it.id).collect();
    let mut transaction = pool.begin().await?;
    embedding::insert(&mut transaction, model.id, &chunks, &vectors).await?;
    *cursor = Cursor { chunk, done: cursor.done + count as u64 };
    run.save_cursor_in(&mut transaction, cursor).await?;
    transaction.commit().await?;
    let (_, total) = statistics::totals(&mut connection).await?;
    let total = (total as u64).max(cursor.done);
    metrics::gauge!(REEMBED_REMAINING).set((total - cursor.done) as f64);
    run.progress(cursor.done, Some(total), "chunks embedded").await;
    Ok(count)
}

async fn vectors(model: &InUse, missing: &[Missing]) -> Result<Vec<Vec<f32>>, jobs::Error> {
    let Some(loaded) = &model.loaded else {
        let message = format!("the model {} is not loaded", model.model.name);
        return Err(jobs::Error::Transient(Failure::new(Reason::Unavailable, message)));
    };
    let count = |text: &str| loaded.embedder.count_tokens(text);
    let input = |it: &Missing| chunking::input(&it.title, &it.heading, &it.content, &count);
    let inputs: Vec<String> = missing.iter().map(input).collect();
    loaded.embed_documents(&inputs).await.map_err(|failed| error::of_job(&failed))
}

/// Changes over, unless a chunk still lacks its vector; answers whether it did. Nobody stores
/// chunks from the look to the commit.
async fn activate(pool: &PgPool, model: &InUse, run: &Run) -> Result<bool, jobs::Error> {
    let mut transaction = pool.begin().await?;
    let state = embedding_model::lock_for_activation(&mut transaction, model.id).await?;
    if state == Some(State::Building) {
        let missing = embedding::missing(&mut transaction, model.id, 0, LAST_CHUNKS_MAX).await?;
        if !missing.is_empty() {
            return Ok(false);
        }
        embedding_model::activate(&mut transaction, model.id).await?;
    }
    run.complete(&mut transaction).await?;
    statistics::record(&mut transaction, Change::default(), i64::from(model.id)).await?;
    transaction.commit().await?;
    Ok(true)
}
