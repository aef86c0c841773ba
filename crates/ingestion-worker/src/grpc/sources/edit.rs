//! Making and editing sources.

use std::sync::Arc;
use std::time::Duration;

use chassis::caller::{Caller, Role};
use chrono::Utc;
use database::failure;
use proto::ingestion::v1;
use proto::{Failure, ProjectId, Reason, SourceId};
use sqlx::PgConnection;

use super::permit;
use crate::app::App;
use crate::credential;
use crate::db;
use crate::db::source::{Taken, refuse_taken, taken};
use crate::error::not_fetched;
use crate::fetch::address::vet;
use crate::fetch::{Credential, may_follow};
use crate::grpc::wire;
use crate::source::{
    Checks, Draft, Kind, PRIORITY_DEFAULT, Source, check_name, check_priority, check_url,
    name_of_url,
};
use crate::stage::{Fetch, Rank};

pub(in crate::grpc) async fn create(
    app: &App,
    caller: Arc<Caller>,
    request: v1::CreateSourceRequest,
) -> Result<v1::Source, Failure> {
    let project = ProjectId::parse("project_id", &request.project_id)?;
    caller.require(Role::Operator, project)?;
    let (draft, credential) = new_draft(app, project, request)?;
    let mut source = Source::new(draft);
    set_credential(app, &mut source, credential.as_ref())?;
    let mut tx = app.pool.begin().await.map_err(failure)?;
    let stored = async {
        db::source::insert(&mut tx, &source).await?;
        follow(&mut tx, &source).await?;
        tx.commit().await
    };
    if let Err(error) = stored.await {
        return Err(refusal(app, error, &source.draft).await);
    }
    tell_ranking(app, &source).await;
    Ok(wire::source(&source, Utc::now()))
}

pub(in crate::grpc) async fn update(
    app: &App,
    caller: Arc<Caller>,
    request: v1::UpdateSourceRequest,
) -> Result<v1::Source, Failure> {
    let id = SourceId::parse("id", &request.id)?;
    let mut tx = app.pool.begin().await.map_err(failure)?;
    let source = db::source::lock(&mut tx, id).await.map_err(failure)?;
    let mut source = permit(source, &caller, id, Role::Operator)?;
    if source.deleting {
        let message = format!("the source {:?} is being removed", source.draft.name);
        return Err(Failure::new(Reason::Conflict, message));
    }
    apply(app, &mut source, request)?;
    source.version += 1;
    let stored = async {
        db::source::update(&mut tx, &source).await?;
        follow(&mut tx, &source).await?;
        tx.commit().await
    };
    if let Err(error) = stored.await {
        return Err(refusal(app, error, &source.draft).await);
    }
    tell_ranking(app, &source).await;
    Ok(wire::source(&source, Utc::now()))
}

/// Reads and checks a new source.
fn new_draft(
    app: &App,
    project: ProjectId,
    request: v1::CreateSourceRequest,
) -> Result<(Draft, Option<Credential>), Failure> {
    let mut checks = Checks::default();
    let kind = checks.take(request.kind.parse::<Kind>());
    let name = match request.name.trim() {
        "" => name_of_url(&request.url),
        name => name.to_owned(),
    };
    let name = checks.take(check_name(&name));
    let url = kind.and_then(|kind| checks.take(source_url(app, kind, &request.url)));
    let priority = checks.take(request.priority.map_or(Ok(PRIORITY_DEFAULT), check_priority));
    let schedule = checks.take(wire::schedule(request.schedule));
    let options = checks.take(wire::options(request.feed));
    let credential = checks.take(wire::credential(request.credential));
    let draft = || {
        let draft = Draft {
            project,
            kind: kind?,
            name: name?,
            url: url?,
            priority: priority?,
            schedule: schedule?,
            paused: request.paused,
            options: options?,
        };
        Some((draft, credential?))
    };
    let (draft, credential) = checks.finish(draft())?;
    suits_kind(&draft, credential.is_some())?;
    Ok((draft, credential))
}

/// Changes what the request names, and checks it.
fn apply(app: &App, source: &mut Source, request: v1::UpdateSourceRequest) -> Result<(), Failure> {
    let mut checks = Checks::default();
    let draft = &mut source.draft;
    if let Some(name) = request.name.and_then(|it| checks.take(check_name(&it))) {
        draft.name = name;
    }
    let old_url = draft.url.clone();
    if let Some(url) = request.url.and_then(|it| checks.take(source_url(app, draft.kind, &it))) {
        draft.url = url;
    }
    if source.credential.is_some() && request.credential.is_none() && !request.clear_credential {
        checks.take(credential_may_stay(&old_url, &draft.url));
    }
    if let Some(priority) = request.priority.and_then(|it| checks.take(check_priority(it))) {
        draft.priority = priority;
    }
    if let Some(schedule) = request.schedule.and_then(|it| checks.take(wire::schedule(Some(it)))) {
        draft.schedule = schedule;
    }
    if let Some(options) = request.feed.and_then(|it| checks.take(wire::options(Some(it)))) {
        draft.options = options;
    }
    draft.paused = request.paused.unwrap_or(draft.paused);
    let credential = checks.take(wire::credential(request.credential)).flatten();
    checks.finish(Some(()))?;
    suits_kind(&source.draft, credential.is_some())?;
    if request.clear_credential || credential.is_some() {
        set_credential(app, source, credential.as_ref())?;
    }
    Ok(())
}

/// The URL in its one form. What a name resolves to is found out when it is fetched; an address
/// that fetches may not reach is refused here already.
fn source_url(app: &App, kind: Kind, text: &str) -> Result<String, Failure> {
    match kind {
        Kind::Manual => Ok(text.trim().to_owned()),
        Kind::Feed => {
            let url = check_url(text)?;
            vet(&url, &app.limits.allow_networks).map_err(|error| not_fetched(&error))?;
            Ok(url.into())
        }
    }
}

/// A credential was given for one site. Whoever edits the URL need not know it, and must not have
/// it sent elsewhere.
fn credential_may_stay(old_url: &str, new_url: &str) -> Result<(), Failure> {
    let (Ok(old), Ok(new)) = (check_url(old_url), check_url(new_url)) else { return Ok(()) };
    if may_follow(&old, &new) {
        return Ok(());
    }
    let site = new.host_str().unwrap_or_default();
    Err(Failure::invalid(
        "credential",
        format!(
            "the credential was given for {}, and the new URL is at {site}: enter the one for \
             {site}, or remove it",
            old.host_str().unwrap_or_default()
        ),
    ))
}

/// A manual source has nothing to fetch, and so nothing that says how.
fn suits_kind(draft: &Draft, credential: bool) -> Result<(), Failure> {
    if draft.kind != Kind::Manual {
        return Ok(());
    }
    let needless = [
        ("url", !draft.url.is_empty()),
        ("schedule", !draft.schedule.expression.is_empty()),
        ("credential", credential),
    ];
    match needless.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((field, _)) => Err(Failure::invalid(
            field,
            format!("a manual source has no {field}, as nothing is fetched: leave it out"),
        )),
    }
}

fn set_credential(
    app: &App,
    source: &mut Source,
    credential: Option<&Credential>,
) -> Result<(), Failure> {
    let seal = |it| credential::seal(it, &app.keyring, source.id);
    source.credential = credential.map(seal).transpose()?;
    source.credential_kind = credential.map_or("none", credential::kind).to_owned();
    Ok(())
}

/// What else changes with a source, in its transaction: its schedule, and what ranking knows.
pub(in crate::grpc) async fn follow(tx: &mut PgConnection, source: &Source) -> sqlx::Result<()> {
    let key = source.schedule_key();
    // It was checked when it came in.
    let schedule = wire::parse(&source.draft.schedule, &key).ok().flatten();
    match schedule.filter(|_| !source.draft.paused) {
        None => {
            jobs::schedule::remove(&mut *tx, &key).await?;
        }
        Some(schedule) => {
            let fetch = Fetch { source: source.id };
            let job = fetch.job(source).template();
            let job = job.map_err(|error| sqlx::Error::Encode(error.into()))?;
            let spec = jobs::schedule::Spec { key, schedule, jitter: Duration::ZERO, job };
            jobs::schedule::upsert(tx, &spec).await?;
        }
    }
    let rank = Rank { source: source.id };
    jobs::enqueue(tx, rank.job(source)).await.map(drop)
}

/// Tells ranking, so that the next search knows. When knowledge does not answer, no search does,
/// and the job that was enqueued with the edit tells it later.
pub(in crate::grpc) async fn tell_ranking(app: &App, source: &Source) {
    if let Err(error) = app.knowledge.set_rank(source).await {
        tracing::warn!(source.id = %source.id, %error, "ranking hears of an edit later");
    }
}

/// What a failed write means to the caller.
async fn refusal(app: &App, error: sqlx::Error, draft: &Draft) -> Failure {
    let Some(taken) = taken(&error) else { return failure(error) };
    let other = match taken {
        Taken::Name => db::source::by_name(&app.pool, draft.project, &draft.name).await,
        Taken::Url => db::source::by_url(&app.pool, draft.project, draft.kind, &draft.url).await,
    };
    match other {
        Ok(other) => refuse_taken(taken, draft, other.as_ref()),
        Err(error) => failure(error),
    }
}
