//! The hub's own background work: removing a project, and what is past its retention.

use std::{sync::Arc, time::Duration};

use ::jobs::{Error, Job, NewJob, Outcome, Run, Schedule, schedule};
use chrono::{DateTime, Utc};
use proto::{Failure, ProjectId, ingestion::v1 as wire, orchestrator::v1 as orchestrator};
use serde::{Deserialize, Serialize};
use sqlx::{PgConnection, PgPool};

use crate::{
    app::App,
    clients::{INGESTION, ORCHESTRATOR, refused},
    db,
};

/// How long to wait before looking again whether all is gone.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// Sources asked for at a time.
const SOURCES_PER_LOOK: u32 = 200;

/// Removes a project: its sources, which take their documents with them; its stack, with all that
/// the orchestrator has of it; and last its row.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct PurgeProject {
    project: ProjectId,
}

impl Job for PurgeProject {
    const KIND: &'static str = "hub.purge-project";
    type Context = Arc<App>;

    async fn run(self, app: Arc<App>, run: Run) -> Result<Outcome, Error> {
        let sources_gone = purge_sources(&app, self.project).await?;
        let stack_gone = purge_stack(&app, self.project).await?;
        if !(sources_gone && stack_gone) {
            return Ok(Outcome::Later(LOOK_AGAIN));
        }
        let mut tx = app.pool.begin().await?;
        db::project::remove(&mut tx, self.project).await?;
        run.complete(&mut tx).await?;
        tx.commit().await?;
        Ok(Outcome::Completed)
    }
}

/// Lets every source of a project go that does not go yet; whether none is left.
async fn purge_sources(app: &App, project: ProjectId) -> Result<bool, Failure> {
    let mut client = app.clients.own_sources();
    let request = wire::ListSourcesRequest {
        project_ids: vec![project.to_string()],
        page_size: SOURCES_PER_LOOK,
        ..Default::default()
    };
    let answer = client.list_sources(request).await.map_err(refused(INGESTION))?;
    let sources = answer.into_inner().sources;
    let gone = sources.is_empty();
    for source in sources.into_iter().filter(|source| !source.deleting) {
        let request = wire::DeleteSourceRequest { id: source.id };
        client.delete_source(request).await.map_err(refused(INGESTION))?;
    }
    Ok(gone)
}

/// Lets the orchestrator remove what it has of a project; whether nothing is left. One that cannot
/// be asked has it still: waiting for it is no failed attempt.
async fn purge_stack(app: &App, project: ProjectId) -> Result<bool, Failure> {
    let request = orchestrator::PurgeProjectRequest { project_id: project.to_string() };
    let answer = app.clients.own_stacks().purge_project(request).await;
    match answer.map_err(refused(ORCHESTRATOR)) {
        Ok(answer) => Ok(answer.into_inner().done),
        Err(failure) if failure.is_transient() => {
            tracing::warn!(project.id = %project, error = failure.message, "a stack is not purged yet");
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}

/// Enqueues the removal in the transaction that marks or removes the project; due now unless it
/// says otherwise. Returns the job's id.
pub(crate) async fn enqueue(
    connection: &mut PgConnection,
    project: ProjectId,
    slug: &str,
    due: Option<DateTime<Utc>>,
) -> Result<String, Failure> {
    let job = PurgeProject { project };
    let new = NewJob::new(&job, format!("project {slug}"))
        .key(project.to_string())
        .project(project)
        .due(due);
    let enqueued = ::jobs::enqueue(connection, new).await.map_err(database::failure)?;
    Ok(enqueued.id.to_string())
}

/// Removes expired sessions and audit entries past their time.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Retention {}

impl Job for Retention {
    const KIND: &'static str = "hub.retention";
    type Context = Arc<App>;

    async fn run(self, app: Arc<App>, _: Run) -> Result<Outcome, Error> {
        let sessions = db::session::purge(&app.pool).await?;
        let entries = db::audit::purge(&app.pool, app.config.audit_days).await?;
        tracing::info!(sessions, entries, "removed what is past its retention");
        Ok(Outcome::Done)
    }
}

/// Lets retention run once a day.
pub(crate) async fn schedule(pool: &PgPool) -> anyhow::Result<()> {
    const KEY: &str = "hub.retention";
    let job = NewJob::new(&Retention {}, "sessions and audit log").key(KEY).template()?;
    let spec = schedule::Spec {
        key: KEY.to_owned(),
        schedule: Schedule::parse("daily", "UTC", KEY)?,
        jitter: Duration::from_secs(600),
        job,
    };
    let mut connection = pool.acquire().await?;
    schedule::upsert(&mut connection, &spec).await?;
    Ok(())
}
