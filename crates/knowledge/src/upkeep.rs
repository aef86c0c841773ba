//! What has to be done now and then: the models, the word statistics, what is past its time.

use std::{sync::Arc, time::Duration};

use chassis::{
    Shutdown,
    readiness::{Readiness, State},
};
use jobs::{Job, Outcome, Run};
use serde::{Deserialize, Serialize};
use sqlx::PgPool;
use tokio::time::sleep;

use crate::{
    SERVICE,
    config::Config,
    db::{embedding_model, statistics, tombstone},
    metrics::{CHUNKS, DOCUMENTS},
    models::{Models, REFRESH_INTERVAL},
    reembed,
};

/// How often the statistics are folded. Until then searches add what is not folded.
const FOLD_INTERVAL: Duration = Duration::from_secs(2);

/// Batches folded without a pause, so that a shutdown is noticed.
const FOLDS_MAX: usize = 20;

/// Keeps the embedders up to date and says whether they are as configured.
///
/// # Errors
/// Never; the database is waited for.
pub async fn models(
    pool: PgPool,
    models: Models,
    readiness: Readiness,
    shutdown: Shutdown,
) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        match refresh(&pool, &models).await {
            Ok(()) => readiness.set(SERVICE, state(&models)),
            Err(error) => tracing::warn!(error = %error, "the models could not be looked at"),
        }
        pause(REFRESH_INTERVAL, &shutdown).await;
    }
    Ok(())
}

/// Looks at the models once, and sees to it that one which is to be built is being built.
///
/// # Errors
/// When the database does.
pub async fn refresh(pool: &PgPool, models: &Models) -> Result<(), sqlx::Error> {
    if let Some(model) = models.refresh().await? {
        reembed::enqueue(pool, model).await?;
    }
    let (documents, chunks) = statistics::totals(&mut *pool.acquire().await?).await?;
    metrics::gauge!(DOCUMENTS).set(documents as f64);
    metrics::gauge!(CHUNKS).set(chunks as f64);
    Ok(())
}

/// The service's state as its models have it.
#[must_use]
pub fn state(models: &Models) -> State {
    models.warning().map_or(State::Ready, State::Degraded)
}

/// Folds the word statistics.
///
/// # Errors
/// Never; the database is waited for.
pub async fn statistics(pool: PgPool, shutdown: Shutdown) -> anyhow::Result<()> {
    while !shutdown.is_cancelled() {
        for _ in 0..FOLDS_MAX {
            match statistics::fold(&pool).await {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!(error = %error, "the word statistics could not be folded");
                    break;
                }
            }
        }
        pause(FOLD_INTERVAL, &shutdown).await;
    }
    Ok(())
}

/// When a model that could not be dropped is tried again.
const LOCKED_RETRY: Duration = Duration::from_secs(600);

async fn pause(length: Duration, shutdown: &Shutdown) {
    tokio::select! {
        () = sleep(length) => {}
        () = shutdown.cancelled() => {}
    }
}

/// The daily job that drops what is past its time.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Retention {}

impl Job for Retention {
    const KIND: &'static str = "knowledge.retention";
    type Context = (PgPool, Arc<Config>);

    async fn run(self, (pool, config): Self::Context, _: Run) -> Result<Outcome, jobs::Error> {
        let mut connection = pool.acquire().await?;
        let tombstones = tombstone::forget_old(&mut connection).await?;
        let lexemes = statistics::drop_unused(&mut connection).await?;
        drop(connection);
        let mut models = 0;
        loop {
            match embedding_model::drop_retired(&pool, config.retired_model_days).await {
                Ok(true) => models += 1,
                Ok(false) => break,
                // Each try holds up searches for as long as it waits.
                Err(error) if embedding_model::is_locked(&error) => {
                    tracing::info!(models, "a retired model is in use, by a backup perhaps");
                    return Ok(Outcome::Later(LOCKED_RETRY));
                }
                Err(error) => return Err(error.into()),
            }
        }
        tracing::info!(tombstones, lexemes, models, "what was past its time is gone");
        Ok(Outcome::Done)
    }
}
