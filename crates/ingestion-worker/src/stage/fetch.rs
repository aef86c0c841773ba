//! Looks at a source, and stores what is new or edited for the next stage.

pub(crate) mod look;
mod store;

use std::sync::Arc;
use std::time::{Duration, Instant};

use jobs::{Error, Job, Limits, NewJob, Outcome, Run};
use proto::{RunId, SourceId};
use serde::{Deserialize, Serialize};

use crate::app::App;
use crate::slot::{self, Asked};
use crate::source::{Kind, Source, check_url};
use crate::{db, metrics};

/// How long a look may take: shorter than the run, so that people are told of one that is over.
const LOOK_TIME_MAX: Duration = Duration::from_secs(150);

/// Looks at one source.
#[derive(Debug, Serialize, Deserialize)]
pub struct Fetch {
    /// The source.
    pub source: SourceId,
}

impl Fetch {
    /// The job for a source.
    #[must_use]
    pub fn job<'a>(&'a self, source: &Source) -> NewJob<'a, Self> {
        NewJob::new(self, format!("fetch {}", source.draft.name))
            .key(self.source.to_string())
            .project(source.draft.project)
            .group(self.source.0)
            .priority(source.draft.priority)
    }
}

impl Job for Fetch {
    const KIND: &'static str = "ingestion.fetch";
    const LIMITS: Limits = Limits { concurrency: 8, run_ms: 180_000, ..Limits::STANDARD };
    type Context = Arc<App>;

    async fn run(self, app: Arc<App>, run: Run) -> Result<Outcome, Error> {
        let source = db::source::get(&app.pool, self.source).await?;
        let Some(source) = source.filter(|it| !it.deleting && it.draft.kind == Kind::Feed) else {
            return Ok(Outcome::Done);
        };
        app.admit().await?;
        let url = check_url(&source.draft.url)?;
        let place = match slot::ask(&app.pool, &url, app.host_limits()).await? {
            Asked::Yours(place) => place,
            Asked::Later(wait) | Asked::Held(wait) => return Ok(Outcome::Later(wait)),
        };
        let started = Instant::now();
        let mut number = None;
        let work = async {
            number = Some(start(&app, &source, &run).await?);
            look::look(&app, &source, &url).await
        };
        let seen = place.during(&app.pool, &run, LOOK_TIME_MAX, work).await;
        let Some(number) = number else { return seen.map(|_| Outcome::Done) };
        let outcome = match seen {
            Ok(seen) => store::store(&app, &source, &run, number, seen).await,
            Err(error) => Err(error),
        };
        if let Err(error) = &outcome {
            note_failure(&app, &source, number, error).await;
        }
        metrics::stage("fetch", started.elapsed());
        outcome
    }
}

async fn start(app: &App, source: &Source, run: &Run) -> Result<RunId, Error> {
    let mut tx = app.pool.begin().await?;
    let number = db::run::start(&mut tx, source.id, run.id).await?;
    tx.commit().await?;
    Ok(number)
}

/// Shows people why a look failed. Not being able to is no second failure of the look itself.
async fn note_failure(app: &App, source: &Source, number: RunId, error: &Error) {
    // Whoever has the lease now tells how the look went; a database that is away hears nothing.
    if matches!(error, Error::LeaseLost | Error::Database(_)) {
        return;
    }
    let text = error.to_string();
    let noted = async {
        let mut tx = app.pool.begin().await?;
        if db::run::failed(&mut tx, number, &text).await? {
            db::source::failed(&mut tx, source.id, &text).await?;
            let fact = store::polled(source, false, db::run::Counts::default(), &text);
            jobs::outbox::publish(&mut tx, &fact).await?;
        }
        tx.commit().await
    };
    if let Err(error) = noted.await {
        tracing::warn!(source.id = %source.id, %error, "the failure of a look was not noted");
    }
}
