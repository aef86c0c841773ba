//! The job `knowledge.index`: makes a document's newest revision searchable.

use std::{collections::HashMap, ops::Range};

use bus::subject::DOCUMENT_STORED;
use jobs::{Job, Limits, Outcome, Run};
use proto::{DocumentId, events::v1::DocumentStored};
use serde::{Deserialize, Serialize};
use sqlx::{PgExecutor, PgPool};

use crate::{
    backlog,
    chunking::{self, Passage},
    db::{
        chunk::{self, Place},
        document::{self, ToIndex},
        embedding, embedding_model,
        statistics::{self, Change},
    },
    error::{self, EMBEDDER_RETRY},
    metrics::CHUNKS_EMBEDDED,
    models::{InUse, Loaded, Models},
};

/// Texts that an embedder is given at once.
pub(crate) const EMBED_BATCH: usize = 64;

/// Makes one document searchable.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct IndexDocument {
    /// Which one.
    pub document: DocumentId,
}

/// What the job needs.
#[derive(Clone)]
pub struct Context {
    /// The service's database.
    pub pool: PgPool,
    /// The embedders.
    pub models: Models,
}

impl Job for IndexDocument {
    const KIND: &'static str = "knowledge.index";
    /// A document of 8 MiB makes some ten thousand passages, which take a quarter of an hour on
    /// one processor, and eight at a time take hours: the limit is for a batch, as each is progress.
    const LIMITS: Limits = Limits { run_ms: 3_600_000, concurrency: 8, ..Limits::STANDARD };
    type Context = Context;

    async fn run(self, context: Context, run: Run) -> Result<Outcome, jobs::Error> {
        let pool = &context.pool;
        let mut connection = pool.acquire().await?;
        let document = document::to_index(&mut connection, self.document).await?;
        drop(connection);
        let Some(document) = document.filter(|it| it.indexed_revision < it.revision) else {
            return Ok(Outcome::Done);
        };
        // The models may change while this embeds; then only what is missing is embedded again.
        const MODEL_CHANGES_MAX: usize = 3;
        let mut vectors: HashMap<i32, Vec<Vec<f32>>> = HashMap::new();
        let mut passages: Option<Vec<Passage>> = None;
        for _ in 0..MODEL_CHANGES_MAX {
            let models = context.models.in_use();
            let ready: Vec<&InUse> = models.iter().filter(|it| it.loaded.is_some()).collect();
            let Some(first) = ready.iter().find_map(|it| it.loaded.as_ref()) else {
                return Ok(Outcome::Later(EMBEDDER_RETRY));
            };
            let cut = match passages.take() {
                Some(passages) => passages,
                None => cut(&document, first.clone()).await,
            };
            let missing = ready.into_iter().filter(|it| !vectors.contains_key(&it.id));
            let missing: Vec<&InUse> = missing.collect();
            let total = (vectors.len() + missing.len()) * cut.len();
            for model in missing {
                // Over all models: what a second one embeds is progress too.
                let progress = vectors.len() * cut.len()..total;
                vectors.insert(model.id, embed(pool, model, &cut, progress, &run).await?);
            }
            if store(pool, &document, &cut, &vectors, &models, &run).await? {
                return Ok(Outcome::Completed);
            }
            context.models.refresh().await?;
            passages = Some(cut);
        }
        Ok(Outcome::Later(EMBEDDER_RETRY))
    }
}

/// How many documents wait to be indexed, as far as it matters.
///
/// # Errors
/// When the database does.
pub async fn waiting(executor: impl PgExecutor<'_>) -> Result<u64, sqlx::Error> {
    jobs::ledger::waiting(executor, IndexDocument::KIND, backlog::COUNTED_MAX).await
}

/// Cutting takes time in proportion to the text, so it does not hold up other tasks.
async fn cut(document: &ToIndex, model: Loaded) -> Vec<Passage> {
    let (title, text) = (document.title.clone(), document.text.clone());
    let cutting = tokio::task::spawn_blocking(move || {
        let count = |text: &str| model.embedder.count_tokens(text);
        chunking::cut(&title, &text, model.tokens_max(), &count)
    });
    cutting.await.unwrap_or_else(|panic| std::panic::resume_unwind(panic.into_panic()))
}

/// A vector per passage. What the model has embedded before, in whatever document, is reused.
/// `progress` is from what is done to what there is to do.
async fn embed(
    pool: &PgPool,
    model: &InUse,
    passages: &[Passage],
    progress: Range<usize>,
    run: &Run,
) -> Result<Vec<Vec<f32>>, jobs::Error> {
    let Some(loaded) = &model.loaded else { return Ok(Vec::new()) };
    let inputs: Vec<Vec<u8>> = passages.iter().map(|it| it.input_sha256().to_vec()).collect();
    let mut known = embedding::by_input(&mut *pool.acquire().await?, model.id, &inputs).await?;
    metrics::counter!(CHUNKS_EMBEDDED, "reused" => "true").increment(known.len() as u64);
    let fresh: Vec<usize> =
        (0..inputs.len()).filter(|&at| !known.contains_key(&inputs[at])).collect();
    let mut done = progress.start + known.len();
    for batch in fresh.chunks(EMBED_BATCH) {
        let texts: Vec<String> = batch.iter().map(|&at| passages[at].input.clone()).collect();
        let vectors = tokio::select! {
            vectors = loaded.embed_documents(&texts) => vectors,
            () = run.cancelled() => return Err(jobs::Error::LeaseLost),
        };
        let vectors = vectors.map_err(|failed| error::of_job(&failed))?;
        metrics::counter!(CHUNKS_EMBEDDED, "reused" => "false").increment(vectors.len() as u64);
        known.extend(batch.iter().map(|&at| inputs[at].clone()).zip(vectors));
        done += batch.len();
        run.progress(done as u64, Some(progress.end as u64), "passages embedded").await;
    }
    Ok(inputs.iter().map(|input| known[input].clone()).collect())
}

/// Replaces what search answers from, and completes the job, in one transaction. Answers false,
/// having done nothing, when a model came into use that there are no vectors of.
async fn store(
    pool: &PgPool,
    document: &ToIndex,
    passages: &[Passage],
    vectors: &HashMap<i32, Vec<Vec<f32>>>,
    models: &[InUse],
    run: &Run,
) -> Result<bool, jobs::Error> {
    let mut transaction = pool.begin().await?;
    let revision = document.revision;
    let Some(project) = document::lock_for_index(&mut transaction, document.id, revision).await?
    else {
        // Deleted, or a newer revision was faster.
        run.complete(&mut transaction).await?;
        transaction.commit().await?;
        return Ok(true);
    };
    let in_use = embedding_model::in_use(&mut transaction).await?;
    // A model whose embedder is elsewhere catches up before it is searched.
    let known = |id: &i32| vectors.contains_key(id) || models.iter().any(|it| it.id == *id);
    if !in_use.iter().all(known) {
        return Ok(false);
    }
    let removed = chunk::remove(&mut transaction, &[document.id]).await?;
    let place = Place { document: document.id, project, source: document.source_id };
    let (chunks, added) = chunk::insert(&mut transaction, place, &document.title, passages).await?;
    for (id, vectors) in vectors.iter().filter(|(id, _)| in_use.contains(id)) {
        embedding::insert(&mut transaction, *id, &chunks, vectors).await?;
    }
    document::indexed(&mut transaction, document.id, revision, chunks.len()).await?;
    let payload = DocumentStored {
        document_id: document.public_id.to_string(),
        source_id: document.source_id.to_string(),
        title: document.title.clone(),
        revision: revision as u32,
        chunks: chunks.len() as u32,
    };
    let envelope = DOCUMENT_STORED.envelope(Some(project), i64::from(revision), &payload);
    jobs::outbox::publish(&mut transaction, &envelope).await?;
    run.complete(&mut transaction).await?;
    let change = Change {
        documents: 0,
        chunks: added.chunks + removed.chunks,
        words: added.words + removed.words,
    };
    statistics::record(&mut transaction, change, document.id).await?;
    transaction.commit().await?;
    Ok(true)
}
