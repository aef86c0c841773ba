//! Scans images in the background, one at a time, and remembers the verdicts.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chassis::Shutdown;
use chrono::Utc;
use sqlx::PgPool;
use tokio::sync::{mpsc, watch};

use super::{Config, Found, Scanned, trivy};
use crate::db;
use crate::docker::Client;
use crate::metrics;
use crate::spec::Severity;

/// Images that wait for their scan; who finds no place asks again.
const WAITING_MAX: usize = 256;

/// Images whose verdict is remembered here; the table has them all.
const KNOWN_MAX: usize = 1_000;

/// A folder that a kill left behind is removed when it is older.
const LEFT_AFTER: Duration = Duration::from_secs(3_600);

/// What the folders are called in which images lie while they are scanned.
const FOLDER_PREFIX: &str = "cc-scan-";

/// The scanner of one Engine's images; cheap to clone.
#[derive(Clone)]
pub struct Scanner {
    inner: Arc<Inner>,
}

struct Inner {
    config: Config,
    docker: Client,
    pool: PgPool,
    known: Mutex<HashMap<String, Known>>,
    waiting: mpsc::Sender<String>,
    next: tokio::sync::Mutex<mpsc::Receiver<String>>,
    scanned: watch::Sender<u64>,
}

#[derive(Default)]
struct Known {
    scanned: Option<Scanned>,
    /// It waits for its scan, or is being scanned.
    wanted: bool,
    /// What is stored is not good enough: somebody asks for a scan now.
    anew: bool,
}

impl Scanner {
    /// Nothing is scanned before [`Scanner::run`].
    #[must_use]
    pub fn new(config: Config, docker: Client, pool: PgPool) -> Self {
        let (waiting, next) = mpsc::channel(WAITING_MAX);
        let (next, scanned) = (tokio::sync::Mutex::new(next), watch::Sender::new(0));
        let known = Mutex::default();
        Self { inner: Arc::new(Inner { config, docker, pool, known, waiting, next, scanned }) }
    }

    /// The last verdict about an image; it is looked for when it is not known or too old.
    #[must_use]
    pub fn verdict(&self, image: &str) -> Option<Scanned> {
        let age_max = self.inner.config.database_age_max();
        let mut known = self.images();
        let it = known.entry(image.to_owned()).or_default();
        if it.scanned.as_ref().is_none_or(|it| it.is_due(Utc::now(), age_max)) {
            self.enqueue(image, it);
        }
        it.scanned.clone()
    }

    /// The last verdict about an image, as far as it is known here.
    #[must_use]
    pub fn last(&self, image: &str) -> Option<Scanned> {
        self.images().get(image).and_then(|it| it.scanned.clone())
    }

    /// Has an image scanned now, whatever is known of it.
    pub fn scan(&self, image: &str) {
        let mut known = self.images();
        let it = known.entry(image.to_owned()).or_default();
        it.anew = true;
        self.enqueue(image, it);
    }

    /// Changes with each scan that ends.
    #[must_use]
    pub fn scans(&self) -> watch::Receiver<u64> {
        self.inner.scanned.subscribe()
    }

    /// Whether a scan of an image is asked for or under way.
    #[must_use]
    pub fn is_wanted(&self, image: &str) -> bool {
        self.images().get(image).is_some_and(|it| it.wanted)
    }

    fn enqueue(&self, image: &str, known: &mut Known) {
        known.wanted = known.wanted || self.inner.waiting.try_send(image.to_owned()).is_ok();
    }

    /// Scans until the end, and calls `told` after each scan.
    ///
    /// # Errors
    /// Never; what cannot be scanned has that as its verdict.
    pub async fn run(self, shutdown: Shutdown, told: impl Fn()) -> anyhow::Result<()> {
        let mut next = self.inner.next.lock().await;
        tidy(&self.folder()).await;
        loop {
            let image = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                Some(image) = next.recv() => image,
            };
            let anew = self.images().get(&image).is_some_and(|it| it.anew);
            let scanned = tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                scanned = self.find(&image, anew) => scanned,
            };
            let before = self.last(&image).map(|it| it.result);
            match &scanned.result {
                // The same again is no news: it is tried every few minutes.
                Err(why) if before.as_ref() != Some(&scanned.result) => {
                    tracing::warn!(image, why, "an image was not scanned");
                }
                _ => tracing::debug!(image, "an image was scanned"),
            }
            let age_max = self.inner.config.database_age_max();
            metrics::scan(scanned.word(Severity::Low, Utc::now(), age_max).as_str());
            self.learn(scanned);
            self.inner.scanned.send_modify(|it| *it += 1);
            told();
        }
    }

    fn learn(&self, scanned: Scanned) {
        let mut known = self.images();
        if known.len() >= KNOWN_MAX && !known.contains_key(&scanned.image) {
            known.retain(|_, it| it.wanted);
        }
        let image = scanned.image.clone();
        let it = Known { scanned: Some(scanned), wanted: false, anew: false };
        known.insert(image, it);
    }

    /// What is stored, when that is good enough; otherwise the image is scanned.
    async fn find(&self, image: &str, anew: bool) -> Scanned {
        let at = Utc::now();
        match self.look(image, anew).await {
            Ok(scanned) => scanned,
            Err(why) => Scanned { image: image.to_owned(), at, result: Err(why) },
        }
    }

    async fn look(&self, image: &str, anew: bool) -> Result<Scanned, String> {
        let Inner { config, docker, pool, .. } = &*self.inner;
        let folder = tempfile::Builder::new().prefix(FOLDER_PREFIX).tempdir_in(self.folder());
        let folder = folder.map_err(|error| format!("there is no place for the image: {error}"))?;
        let version = trivy::version(config, folder.path()).await?;
        let stored = db::within(db::verdict::get(pool, image)).await.ok().flatten();
        let good = stored.filter(|it| {
            let database = it.result.as_ref().map(|it| it.database_updated_at).ok();
            !anew && !it.is_expired(Utc::now()) && database == Some(version.database_updated_at)
        });
        if let Some(good) = good {
            return Ok(good);
        }
        let archive = folder.path().join("image.tar");
        let saved = docker.save_image(image, &archive, config.image_bytes_max, config.timeout());
        saved.await.map_err(|error| format!("it cannot be read: {error}"))?;
        // Trivy reads what it is told where it runs; nothing lies there but the image.
        let (counts, note) = trivy::scan(config, &version, &archive, folder.path(), image).await?;
        let found = Found { counts, database_updated_at: version.database_updated_at, note };
        let scanned = Scanned { image: image.to_owned(), at: Utc::now(), result: Ok(found) };
        if let Err(error) = db::within(db::verdict::store(pool, &scanned)).await {
            tracing::warn!(%error, image, "a verdict cannot be stored now");
        }
        Ok(scanned)
    }

    fn folder(&self) -> PathBuf {
        match &self.inner.config.folder {
            folder if folder.as_os_str().is_empty() => std::env::temp_dir(),
            folder => folder.clone(),
        }
    }

    fn images(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.inner.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes images that a kill left behind.
async fn tidy(folder: &Path) {
    let Ok(mut entries) = tokio::fs::read_dir(folder).await else { return };
    while let Ok(Some(entry)) = entries.next_entry().await {
        let ours = entry.file_name().to_string_lossy().starts_with(FOLDER_PREFIX);
        // Another orchestrator on this host may be at work on a young one.
        let modified = entry.metadata().await.and_then(|it| it.modified()).ok();
        let age = modified.and_then(|it| it.elapsed().ok()).unwrap_or_default();
        if ours && age > LEFT_AFTER {
            tokio::fs::remove_dir_all(entry.path()).await.ok();
        }
    }
}
