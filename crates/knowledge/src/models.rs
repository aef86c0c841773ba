//! Which embedder is at work: the one that is configured, the one whose vectors search answers
//! from, and `hash-v1` when there is neither.

mod loaded;

pub use loaded::Loaded;

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use sqlx::PgPool;
use tokio::sync::{Mutex, watch};

use loaded::load_minilm;

use crate::{
    config::{Choice, Config},
    db::embedding_model::{self, Model, State},
    embed::{self, Embedder, ModelSpec, hash::Hash, openai::OpenAi},
};

/// How often what is missing is looked for again: a server that was away, a model that another
/// replica made.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(10);

/// A model whose vectors are in use, with its embedder where this process has it.
#[derive(Clone)]
pub struct InUse {
    /// The row; names the partition.
    pub id: i32,
    /// What the row says.
    pub model: Model,
    /// Computes its vectors.
    pub loaded: Option<Loaded>,
}

/// What was found at the last look.
#[derive(Clone, Default)]
struct Known {
    loaded: Vec<Loaded>,
    models: Vec<InUse>,
    warning: Option<String>,
}

/// The embedders of this process. Clones share them.
#[derive(Clone)]
pub struct Models {
    pool: PgPool,
    config: Arc<Config>,
    known: Arc<watch::Sender<Known>>,
    looking: Arc<Mutex<Option<ModelSpec>>>,
}

impl Models {
    /// Knows nothing before the first [`refresh`](Self::refresh).
    #[must_use]
    pub fn new(pool: PgPool, config: Arc<Config>) -> Self {
        Self { pool, config, known: Arc::default(), looking: Arc::default() }
    }

    /// The model that searches ask.
    #[must_use]
    pub fn active(&self) -> Option<InUse> {
        self.in_use().into_iter().find(|model| model.model.state == State::Active)
    }

    /// The models that new chunks need vectors of: the active one and the one that is built.
    #[must_use]
    pub fn in_use(&self) -> Vec<InUse> {
        self.known.borrow().models.clone()
    }

    /// Why search works without the model that was configured, if it does.
    #[must_use]
    pub fn warning(&self) -> Option<String> {
        self.known.borrow().warning.clone()
    }

    /// A model by its row; looks again when it is not known, as another replica may have made it.
    ///
    /// # Errors
    /// When the database does.
    pub async fn find(&self, id: i32) -> Result<Option<InUse>, sqlx::Error> {
        let known = || self.in_use().into_iter().find(|model| model.id == id);
        if known().is_none() {
            let mut looking = self.looking.lock().await;
            if known().is_none() {
                self.look(&mut looking).await?;
            }
        }
        Ok(known())
    }

    /// Loads what is missing, makes the wanted model known, and looks which models are in use.
    /// Answers the model that is to be built, if there is one that this process can build.
    ///
    /// # Errors
    /// When the database does. An embedder that does not load is a warning.
    pub async fn refresh(&self) -> Result<Option<i32>, sqlx::Error> {
        let mut looking = self.looking.lock().await;
        self.look(&mut looking).await?;
        let models = self.in_use();
        let building = models.iter().find(|model| model.model.state == State::Building);
        Ok(building.filter(|model| model.loaded.is_some()).map(|model| model.id))
    }

    /// `asked_for` is what this process last asked for, once: replicas with different
    /// configurations, as there are while they are replaced one by one, must not undo each other's
    /// wish for ever. Whoever starts last decides.
    async fn look(&self, asked_for: &mut Option<ModelSpec>) -> Result<(), sqlx::Error> {
        let mut loaded = self.known.borrow().loaded.clone();
        let (wanted, mut warning) = self.wanted(&mut loaded).await;
        let mut rows = self.rows().await?;
        let has_active = rows.iter().any(|row| row.state == State::Active);
        let is_new = |wanted: &Loaded| asked_for.as_ref() != Some(wanted.spec());
        if let Some(wanted) = wanted.filter(is_new) {
            self.ask_for(&wanted, &rows).await?;
            *asked_for = Some(wanted.spec().clone());
            rows = self.rows().await?;
        } else if !has_active && let Some(hash) = hash(&loaded) {
            self.ask_for(&hash, &rows).await?;
            rows = self.rows().await?;
        }
        rows.retain(|row| row.state != State::Retired);
        for row in &rows {
            self.load_again(row, &mut loaded).await;
        }
        let models: Vec<InUse> = rows.into_iter().map(|row| attach(row, &loaded)).collect();
        let silent = models.iter().find(|m| m.model.state == State::Active && m.loaded.is_none());
        if let Some(InUse { model, .. }) = silent {
            warning = Some(words_alone(&model.name, warning));
        }
        self.known.send_replace(Known { loaded, models, warning });
        Ok(())
    }

    async fn rows(&self) -> Result<Vec<Model>, sqlx::Error> {
        embedding_model::all(&mut *self.pool.acquire().await?).await
    }

    /// Sees to it that a model is the active one, or the one that is being built.
    async fn ask_for(&self, wanted: &Loaded, rows: &[Model]) -> Result<(), sqlx::Error> {
        let is_wanted = |row: &&Model| row.is(wanted.spec(), &wanted.probe);
        let current = rows.iter().filter(|row| row.state != State::Retired);
        let newest = current.max_by_key(|row| row.state == State::Building);
        // One that an earlier release made is completed.
        if newest.is_some_and(|row| is_wanted(&row) && row.spec_sha256.is_some()) {
            return Ok(());
        }
        let (id, state) = embedding_model::adopt(&self.pool, wanted.spec(), &wanted.probe).await?;
        let (name, state) = (&wanted.spec().name, state.as_str());
        tracing::info!(model = id, name, state, "an embedding model was adopted");
        Ok(())
    }

    /// The embedder that the configuration asks for, and what to warn of. None when it cannot be
    /// had at the moment: then what there is stays.
    async fn wanted(&self, loaded: &mut Vec<Loaded>) -> (Option<Loaded>, Option<String>) {
        if loaded.is_empty() {
            match Loaded::probe(Arc::new(Hash::default())).await {
                Ok(ready) => loaded.push(ready),
                Err(error) => tracing::error!(error = %error, "hash-v1 is unusable"),
            }
        }
        let provider = match self.config.embedder {
            Choice::HashV1 => return (hash(loaded), None),
            Choice::Auto => match &self.config.model_dir {
                Some(folder) if has_model(folder) => "local",
                folder => return (hash(loaded), Some(no_model(folder.as_deref()))),
            },
            Choice::Minilm => "local",
            Choice::Openai => "openai",
        };
        match self.load(provider, loaded).await {
            Ok(ready) => (Some(ready), None),
            Err(error) => {
                let warning = format!("the configured embedder is not at work: {error}");
                (None, Some(warning))
            }
        }
    }

    /// The embedder of a model that search still answers from, though another is configured.
    async fn load_again(&self, row: &Model, loaded: &mut Vec<Loaded>) {
        if !loaded.iter().any(|ready| row.is(ready.spec(), &ready.probe))
            && let Err(error) = self.load(&row.provider, loaded).await
        {
            tracing::warn!(model = row.name, error = %error, "an embedder cannot be loaded");
        }
    }

    async fn load(&self, provider: &str, loaded: &mut Vec<Loaded>) -> Result<Loaded, embed::Error> {
        if let Some(ready) = find(loaded, |spec| spec.provider == provider) {
            return Ok(ready);
        }
        let embedder: Arc<dyn Embedder> = match (provider, &self.config.model_dir) {
            ("local", Some(folder)) => Arc::new(load_minilm(folder, self.threads()).await?),
            ("local", None) => {
                return Err(embed::Error::permanent("knowledge.model_dir is not set"));
            }
            ("openai", _) => Arc::new(OpenAi::new(&self.config.openai)?),
            _ => return Err(embed::Error::permanent(format!("nothing here provides {provider}"))),
        };
        let ready = Loaded::probe(embedder).await?;
        loaded.push(ready.clone());
        Ok(ready)
    }

    fn threads(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.config.model_threads)
            .or_else(|| std::thread::available_parallelism().ok())
            .unwrap_or(NonZeroUsize::MIN)
    }
}

fn attach(model: Model, loaded: &[Loaded]) -> InUse {
    let loaded = loaded.iter().find(|ready| model.is(ready.spec(), &ready.probe)).cloned();
    InUse { id: model.id, model, loaded }
}

fn find(loaded: &[Loaded], matches: impl Fn(&ModelSpec) -> bool) -> Option<Loaded> {
    loaded.iter().find(|ready| matches(ready.spec())).cloned()
}

fn hash(loaded: &[Loaded]) -> Option<Loaded> {
    find(loaded, |spec| spec.provider == "hash")
}

fn has_model(folder: &Path) -> bool {
    folder.join("model.safetensors").is_file()
}

fn words_alone(model: &str, warning: Option<String>) -> String {
    let because = warning.map_or(String::new(), |why| format!("; {why}"));
    format!(
        "the model {model} that the stored vectors come from cannot be loaded, so search answers \
         from words alone{because}"
    )
}

fn no_model(folder: Option<&Path>) -> String {
    let place = match folder {
        None => "no model folder is configured".to_owned(),
        Some(folder) => format!("{} has no model", folder.display()),
    };
    format!(
        "{place}, so hash-v1 is at work, which knows spelling but not meaning: fetch the model \
         with scripts/runtime and set knowledge.model_dir"
    )
}
