//! `knowledge.embedding_model`, and the partition of vectors that each model has.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection as _, FromRow, PgConnection, PgPool};

use crate::embed::{ModelSpec, Probe};

/// The advisory lock under which models are made and change state.
const MODELS_LOCK: i64 = 0x6b6e_6f77_6d6f_6465;

/// How long a change of the tables waits for running queries before it gives way and is tried
/// again: while it waits, every new query waits behind it.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '2s'";

/// What a model is for at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "lowercase")]
pub enum State {
    /// Vectors are being made; nobody searches them yet.
    Building,
    /// What every search asks.
    Active,
    /// Kept for a while, in case somebody goes back.
    Retired,
}

impl State {
    /// The text form on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Building => "building",
            Self::Active => "active",
            Self::Retired => "retired",
        }
    }
}

/// A model that has, or had, vectors.
#[derive(Debug, Clone, PartialEq, FromRow)]
pub struct Model {
    /// The row; names the partition.
    pub id: i32,
    /// `local`, `openai`, `hash`.
    pub provider: String,
    /// As its provider names it.
    pub name: String,
    /// Of the weights.
    pub revision: String,
    /// Components of a vector.
    pub dimensions: i32,
    /// Whether nearness means likeness of meaning.
    pub semantic: bool,
    /// Of everything that decides which vector a document gets; none when an earlier release made
    /// the row.
    pub spec_sha256: Option<Vec<u8>>,
    /// Its answer to the probe.
    pub probe: Vec<f32>,
    /// What it is for.
    pub state: State,
}

impl Model {
    /// Whether an embedder computes this model's vectors.
    #[must_use]
    pub fn is(&self, spec: &ModelSpec, probe: &Probe) -> bool {
        self.provider == spec.provider
            && self.name == spec.name
            && self.revision == spec.revision
            && self.dimensions as usize == spec.dim
            && self.spec_sha256.as_ref().is_none_or(|stored| *stored == spec.sha256())
            && probe.agrees(&self.probe)
    }
}

/// Every model, oldest first.
///
/// # Errors
/// When the database does.
pub async fn all(connection: &mut PgConnection) -> Result<Vec<Model>, sqlx::Error> {
    sqlx::query_as(
        "SELECT id, provider, name, revision, dimensions, semantic, spec_sha256, probe, state
         FROM knowledge.embedding_model ORDER BY id",
    )
    .fetch_all(connection)
    .await
}

/// The models that a new chunk needs vectors of. They stay as they are until the transaction ends.
///
/// # Errors
/// When the database does.
pub async fn in_use(connection: &mut PgConnection) -> Result<Vec<i32>, sqlx::Error> {
    sqlx::query_scalar(
        "SELECT id FROM knowledge.embedding_model WHERE state <> 'retired' ORDER BY id FOR SHARE",
    )
    .fetch_all(connection)
    .await
}

/// Makes an embedder's model known: as the active one when there is none, else as one to build,
/// in place of whatever else was being built. A retired model is taken up again where it was left.
///
/// # Errors
/// When the database does.
pub async fn adopt(
    pool: &PgPool,
    spec: &ModelSpec,
    probe: &Probe,
) -> Result<(i32, State), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut transaction = connection.begin().await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
    lock(&mut transaction).await?;
    let models = all(&mut transaction).await?;
    let active = models.iter().any(|model| model.state == State::Active);
    let known = models.iter().find(|model| model.is(spec, probe));
    let wanted = if active { State::Building } else { State::Active };
    let adopted = match known {
        Some(model) if model.state == State::Active => {
            complete(&mut transaction, model.id, spec).await?;
            // Whoever went back to it no longer wants what was to replace it.
            retire_building(&mut transaction, model.id).await?;
            (model.id, State::Active)
        }
        Some(model) => {
            complete(&mut transaction, model.id, spec).await?;
            retire_building(&mut transaction, model.id).await?;
            set_state(&mut transaction, model.id, wanted).await?;
            (model.id, wanted)
        }
        None => {
            retire_building(&mut transaction, 0).await?;
            (create(&mut transaction, spec, probe, wanted).await?, wanted)
        }
    };
    transaction.commit().await?;
    Ok(adopted)
}

/// Makes the model that was being built the active one and retires the other.
///
/// # Errors
/// When the database does.
pub async fn activate(connection: &mut PgConnection, id: i32) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE knowledge.embedding_model SET state = 'retired', retired_at = now()
         WHERE state = 'active'",
    )
    .execute(&mut *connection)
    .await?;
    set_state(connection, id, State::Active).await
}

/// Holds off every transaction that stores vectors, and every other change of the models; answers
/// the model's state.
///
/// # Errors
/// When the database does.
pub async fn lock_for_activation(
    connection: &mut PgConnection,
    id: i32,
) -> Result<Option<State>, sqlx::Error> {
    lock(&mut *connection).await?;
    let models: Vec<(i32, State)> =
        sqlx::query_as("SELECT id, state FROM knowledge.embedding_model ORDER BY id FOR UPDATE")
            .fetch_all(connection)
            .await?;
    Ok(models.into_iter().find(|model| model.0 == id).map(|model| model.1))
}

/// Drops a model that has been retired for `days`, with its vectors. One at a time, as each takes
/// a lock that searches wait for; answers whether there was one.
///
/// # Errors
/// When the database does.
pub async fn drop_retired(pool: &PgPool, days: i32) -> Result<bool, sqlx::Error> {
    let mut transaction = pool.begin().await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *transaction).await?;
    lock(&mut transaction).await?;
    let id: Option<i32> = sqlx::query_scalar(
        "DELETE FROM knowledge.embedding_model WHERE id = (
             SELECT id FROM knowledge.embedding_model
             WHERE state = 'retired' AND retired_at < now() - make_interval(days => $1)
             ORDER BY id LIMIT 1)
         RETURNING id",
    )
    .bind(days)
    .fetch_optional(&mut *transaction)
    .await?;
    if let Some(id) = id {
        let statement = format!("DROP TABLE IF EXISTS {}", partition(id));
        sqlx::query(AssertSqlSafe(statement)).execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(id.is_some())
}

/// Whether a statement gave way as somebody else held the table for longer than it waits.
#[must_use]
pub fn is_locked(error: &sqlx::Error) -> bool {
    const LOCK_NOT_AVAILABLE: &str = "55P03";
    let error = error.as_database_error();
    error.is_some_and(|error| error.code().is_some_and(|code| code == LOCK_NOT_AVAILABLE))
}

/// The table of a model's vectors.
#[must_use]
pub fn partition(model: i32) -> String {
    format!("knowledge.chunk_embedding_m{model}")
}

/// Makes a model's vectors searchable by nearness, without holding up those who store more of
/// them. An index that a crash left unfinished is made anew.
///
/// # Errors
/// When the database does.
pub async fn build_index(pool: &PgPool, model: &Model) -> Result<(), sqlx::Error> {
    // A connection of its own, as its settings must not stay with a shared one.
    let pool = database::dedicated(pool, INDEX_CONNECT_TIMEOUT);
    let mut connection = pool.acquire().await?;
    let name = index_name(model.id);
    let is_valid: Option<bool> = sqlx::query_scalar(
        "SELECT indisvalid FROM pg_catalog.pg_index
         WHERE indexrelid = to_regclass('knowledge.' || $1)",
    )
    .bind(&name)
    .fetch_optional(&mut *connection)
    .await?;
    if is_valid == Some(true) {
        return Ok(());
    }
    sqlx::raw_sql(INDEX_SETTINGS).execute(&mut *connection).await?;
    let unfinished = format!("DROP INDEX IF EXISTS knowledge.{name}");
    sqlx::raw_sql(AssertSqlSafe(unfinished)).execute(&mut *connection).await?;
    let statement = index_statement("INDEX CONCURRENTLY", model.id, model.dimensions);
    sqlx::raw_sql(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    connection.close().await
}

/// How long building an index waits for a connection.
const INDEX_CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// Building takes about ten minutes per million chunks, when the graph fits into memory.
const INDEX_SETTINGS: &str = "SET statement_timeout = '3h'; SET maintenance_work_mem = '256MB'";

fn index_name(model: i32) -> String {
    format!("chunk_embedding_m{model}_by_nearness")
}

fn index_statement(what: &str, model: i32, dimensions: i32) -> String {
    format!(
        "CREATE {what} {} ON {} USING hnsw ((embedding::halfvec({dimensions})) \
         halfvec_cosine_ops) WITH (m = 16, ef_construction = 64)",
        index_name(model),
        partition(model)
    )
}

async fn lock(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query("SELECT pg_advisory_xact_lock($1)").bind(MODELS_LOCK).execute(connection).await?;
    Ok(())
}

async fn create(
    connection: &mut PgConnection,
    spec: &ModelSpec,
    probe: &Probe,
    state: State,
) -> Result<i32, sqlx::Error> {
    let dimensions = spec.dim as i32;
    let id: i32 = sqlx::query_scalar(
        "INSERT INTO knowledge.embedding_model
             (provider, name, revision, dimensions, semantic, fingerprint, probe, state,
              activated_at, spec_sha256)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, CASE $8 WHEN 'active' THEN now() END, $9)
         RETURNING id",
    )
    .bind(&spec.provider)
    .bind(&spec.name)
    .bind(&spec.revision)
    .bind(dimensions)
    .bind(spec.semantic)
    .bind(&probe.fingerprint[..])
    .bind(&probe.vector)
    .bind(state)
    .bind(spec.sha256())
    .fetch_one(&mut *connection)
    .await?;
    let statement = format!(
        "CREATE TABLE {} PARTITION OF knowledge.chunk_embedding \
         (CHECK (vector_dims(embedding::vector) = {dimensions})) FOR VALUES IN ({id})",
        partition(id)
    );
    sqlx::query(AssertSqlSafe(statement)).execute(&mut *connection).await?;
    if state == State::Active {
        // The first model: there is nothing to embed again, and what comes is indexed at once. A
        // model that replaces another is indexed when its vectors are complete, which is faster.
        let statement = index_statement("INDEX", id, dimensions);
        sqlx::query(AssertSqlSafe(statement)).execute(connection).await?;
    }
    Ok(id)
}

/// Notes what an earlier release did not.
async fn complete(
    connection: &mut PgConnection,
    id: i32,
    spec: &ModelSpec,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE knowledge.embedding_model SET spec_sha256 = $2
         WHERE id = $1 AND spec_sha256 IS NULL",
    )
    .bind(id)
    .bind(spec.sha256())
    .execute(connection)
    .await?;
    Ok(())
}

async fn set_state(
    connection: &mut PgConnection,
    id: i32,
    state: State,
) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE knowledge.embedding_model
         SET state = $2, retired_at = NULL,
             activated_at = CASE $2 WHEN 'active' THEN now() ELSE activated_at END
         WHERE id = $1",
    )
    .bind(id)
    .bind(state)
    .execute(connection)
    .await?;
    Ok(())
}

/// One model is built at a time; `except` may go on.
async fn retire_building(connection: &mut PgConnection, except: i32) -> Result<(), sqlx::Error> {
    sqlx::query(
        "UPDATE knowledge.embedding_model SET state = 'retired', retired_at = now()
         WHERE state = 'building' AND id <> $1",
    )
    .bind(except)
    .execute(connection)
    .await?;
    Ok(())
}
