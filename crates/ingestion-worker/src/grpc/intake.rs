//! Documents that someone hands over.

use std::collections::HashMap;
use std::sync::Arc;

use chassis::caller::{Caller, Role};
use database::failure;
use proto::ingestion::v1;
use proto::ingestion::v1::item_result::Outcome;
use proto::time::from_wire;
use proto::{Failure, JobId, ProjectId, Reason};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::sources::{follow, tell_ranking};
use crate::app::App;
use crate::change::{Shown, Verdict, decide};
use crate::db;
use crate::db::blob::Blob;
use crate::db::item::Seen;
use crate::db::source::{Taken, taken};
use crate::document::Metadata;
use crate::handed::{Accepted, Item, accept};
use crate::source::{
    Draft, Kind, Options, PRIORITY_DEFAULT, Schedule, Source, check_name, check_priority,
};
use crate::stage::Process;

/// Items of one request, at most.
const ITEMS_MAX: usize = 100;

/// Content of one request, at most, in bytes.
const REQUEST_BYTES_MAX: usize = 16 << 20;

/// The source of items that name none.
const DEFAULT_SOURCE: &str = "manual";

/// A source that was removed between our two looks at it is made again this often.
const SOURCE_TRIES: usize = 3;

pub(super) async fn submit(
    app: &App,
    caller: Arc<Caller>,
    request: v1::SubmitItemsRequest,
) -> Result<v1::SubmitItemsResponse, Failure> {
    let project = ProjectId::parse("project_id", &request.project_id)?;
    caller.require(Role::Operator, project)?;
    check_size(&request.items)?;
    app.admit().await?;
    let name = match request.source_name.trim() {
        "" => DEFAULT_SOURCE,
        name => name,
    };
    let priority = request.priority.map_or(Ok(PRIORITY_DEFAULT), check_priority)?;
    let draft = manual(project, check_name(name)?, priority);
    let taken: Vec<Result<Accepted, Failure>> = request.items.iter().map(read).collect();
    for _ in 0..SOURCE_TRIES {
        let source = source(app, &draft).await?;
        let mut tx = app.pool.begin().await.map_err(failure)?;
        let locked = db::source::lock(&mut tx, source.id).await.map_err(failure)?;
        let Some(source) = locked.filter(|it| !it.deleting) else { continue };
        let verdicts = store(&mut tx, &source, &taken, request.force).await.map_err(failure)?;
        tx.commit().await.map_err(failure)?;
        let results = request
            .items
            .iter()
            .zip(taken)
            .map(|(item, taken)| result(item, taken, &verdicts))
            .collect();
        return Ok(v1::SubmitItemsResponse { source_id: source.id.to_string(), results });
    }
    let message = format!("the source {:?} is being removed: try again", draft.name);
    Err(Failure::new(Reason::Conflict, message))
}

fn check_size(items: &[v1::Item]) -> Result<(), Failure> {
    let bytes: usize = items.iter().map(|it| it.content.len()).sum();
    let (count, limit) = if items.len() > ITEMS_MAX {
        (format!("{} items", items.len()), format!("{ITEMS_MAX} items"))
    } else if bytes > REQUEST_BYTES_MAX && items.len() > 1 {
        (format!("{bytes} bytes"), format!("{REQUEST_BYTES_MAX} bytes"))
    } else if items.is_empty() {
        return Err(Failure::invalid("items", "there are no items: hand over 1 to 100"));
    } else {
        return Ok(());
    };
    let message = format!("the request has {count}; the limit is {limit}: send several requests");
    Err(Failure::new(Reason::TooLarge, message.clone()).violation("items", message))
}

fn manual(project: ProjectId, name: String, priority: u8) -> Draft {
    Draft {
        project,
        kind: Kind::Manual,
        name,
        url: String::new(),
        priority,
        schedule: Schedule { expression: String::new(), zone: "UTC".to_owned() },
        paused: false,
        options: Options::default(),
    }
}

/// The manual source of the draft's name, made when it is missing.
async fn source(app: &App, draft: &Draft) -> Result<Source, Failure> {
    for _ in 0..SOURCE_TRIES {
        let found = db::source::by_name(&app.pool, draft.project, &draft.name).await;
        if let Some(source) = found.map_err(failure)? {
            if source.draft.kind == Kind::Manual {
                return Ok(source);
            }
            let message = format!(
                "the source {:?} is a {}, which takes no documents by hand: name another source",
                draft.name, source.draft.kind
            );
            return Err(
                Failure::new(Reason::Conflict, message.clone()).violation("source_name", message)
            );
        }
        let source = Source::new(draft.clone());
        let mut tx = app.pool.begin().await.map_err(failure)?;
        let made = async {
            db::source::insert(&mut tx, &source).await?;
            follow(&mut tx, &source).await?;
            tx.commit().await
        };
        match made.await {
            Ok(()) => {
                tell_ranking(app, &source).await;
                return Ok(source);
            }
            // Another request made it meanwhile.
            Err(error) if taken(&error) == Some(Taken::Name) => {}
            Err(error) => return Err(failure(error)),
        }
    }
    let message = format!("the source {:?} comes and goes: try again", draft.name);
    Err(Failure::new(Reason::Conflict, message))
}

fn read(item: &v1::Item) -> Result<Accepted, Failure> {
    accept(Item {
        external_id: &item.external_id,
        media_type: &item.media_type,
        content: &item.content,
        metadata: Metadata {
            title: item.title.clone(),
            url: item.url.clone(),
            authors: item.authors.clone(),
            tags: item.tags.clone(),
            published_at: item.published_at.as_ref().and_then(from_wire),
            ..Metadata::default()
        },
    })
}

/// Stores the items that were taken, with their content and jobs; returns the job of each key, or
/// none for a key that says what it said before.
async fn store(
    tx: &mut PgConnection,
    source: &Source,
    taken: &[Result<Accepted, Failure>],
    force: bool,
) -> sqlx::Result<HashMap<String, Option<JobId>>> {
    let observed_seq = jobs::observe(&mut *tx).await?;
    // Of a name that is handed over twice, the last one counts.
    let by_key: HashMap<&str, &Accepted> =
        taken.iter().flatten().map(|it| (it.key.as_str(), it)).collect();
    let items: Vec<&Accepted> = by_key.into_values().collect();
    let keys: Vec<&str> = items.iter().map(|it| it.key.as_str()).collect();
    let known = db::item::known(tx, source.id, &keys).await?;
    let shown: Vec<Shown> = items.iter().map(|it| shown(it)).collect();
    let verdicts = decide(&known, &shown, None, chrono::Utc::now());
    let ids: Vec<i64> = known.iter().map(|it| it.id).collect();
    // What waits may have died on its way: then this is the wish to try again.
    let waiting = db::blob::waiting(tx, &ids).await?;
    let (mut of_key, mut changed) = (HashMap::new(), Vec::new());
    for (item, verdict) in items.iter().zip(verdicts) {
        match verdict {
            Verdict::Unchanged(id) if !force && !waiting.contains(&id) => {
                of_key.insert(item.key.clone(), None);
            }
            _ => changed.push(*item),
        }
    }
    let rows: Vec<Seen<'_>> =
        changed.iter().map(|it| Seen { key: &it.key, alias: None, hash: &it.hash }).collect();
    let ids = db::item::insert(tx, source.id, &rows, observed_seq).await?;
    let blobs: Vec<(i64, Blob)> =
        ids.iter().zip(&changed).map(|(id, it)| (*id, blob(it, observed_seq))).collect();
    db::blob::put(tx, &blobs).await?;
    for ((id, blob), item) in blobs.iter().zip(&changed) {
        let process = Process { source: source.id, item: *id };
        let job = jobs::enqueue(tx, process.job(source, &blob.metadata)).await?;
        of_key.insert(item.key.clone(), Some(job.id));
    }
    Ok(of_key)
}

fn shown(item: &Accepted) -> Shown {
    Shown {
        key: item.key.clone(),
        names: vec![item.key.clone()],
        hints: Vec::new(),
        hash: item.hash.clone(),
        published_at: None,
    }
}

fn blob(item: &Accepted, observed_seq: i64) -> Blob {
    Blob {
        observed_seq,
        metadata: Json(item.metadata.clone()),
        media_type: item.media_type.as_str().to_owned(),
        content: item.text.clone().into_bytes(),
    }
}

fn result(
    item: &v1::Item,
    taken: Result<Accepted, Failure>,
    jobs: &HashMap<String, Option<JobId>>,
) -> v1::ItemResult {
    let answer = |external_id: String, outcome: Outcome| v1::ItemResult {
        external_id,
        outcome: outcome.into(),
        ..Default::default()
    };
    match taken {
        Err(failure) => v1::ItemResult {
            reason: failure.reason.to_string(),
            message: failure.message,
            ..answer(item.external_id.clone(), Outcome::Refused)
        },
        Ok(taken) => match jobs.get(&taken.key).copied().flatten() {
            Some(job) => {
                v1::ItemResult { job_id: job.to_string(), ..answer(taken.key, Outcome::Accepted) }
            }
            None => v1::ItemResult {
                message: "the same as before".to_owned(),
                ..answer(taken.key, Outcome::Unchanged)
            },
        },
    }
}
