//! Carries out what was decided about a look, in one transaction.

use bus::subject::SOURCE_POLLED;
use chrono::Utc;
use jobs::{Error, Outcome, Run};
use proto::RunId;
use proto::events::v1::{Envelope, SourcePolled};
use sqlx::PgConnection;
use sqlx::types::Json;

use super::look::{Body, Seen};
use crate::app::App;
use crate::change::{FirstImport, Shown, Verdict, decide};
use crate::db::blob::Blob;
use crate::db::item;
use crate::db::run::Counts;
use crate::document::Metadata;
use crate::feed::Entry;
use crate::source::Source;
use crate::stage::Process;
use crate::{db, metrics};

/// Contents that go to the database in one statement.
const BLOBS_AT_ONCE: usize = 100;

/// What a run says whose source is another feed by the time it ends.
const EDITED: &str = "the URL of the source was edited during this run; another run follows";

/// Stores what was seen, enqueues the next stage and ends the job, all or nothing.
pub(super) async fn store(
    app: &App,
    source: &Source,
    run: &Run,
    number: RunId,
    seen: Seen,
) -> Result<Outcome, Error> {
    let mut tx = app.pool.begin().await?;
    let locked = db::source::lock(&mut tx, source.id).await?;
    let Some(now) = locked.filter(|it| !it.deleting) else {
        // Removed while we looked: nothing of it may come back.
        run.complete(&mut tx).await?;
        tx.commit().await?;
        return Ok(Outcome::Completed);
    };
    if now.draft.url != source.draft.url {
        // This was another feed.
        db::run::failed(&mut tx, number, EDITED).await?;
        tx.commit().await?;
        return Ok(Outcome::Later(std::time::Duration::ZERO));
    }
    let counts = match &seen.body {
        None => Counts { not_modified: true, ..Counts::default() },
        Some(body) => {
            db::validator::put(&mut tx, source.id, &seen.identity, &body.validator).await?;
            entries(&mut tx, &now, seen.observed_seq, body).await?
        }
    };
    db::run::done(&mut tx, number, counts).await?;
    db::source::succeeded(&mut tx, source.id).await?;
    jobs::outbox::publish(&mut tx, &polled(source, true, counts, "")).await?;
    run.complete(&mut tx).await?;
    tx.commit().await?;
    metrics::looked(source.draft.kind.as_str());
    Ok(Outcome::Completed)
}

/// The fact that a source was looked at.
pub(super) fn polled(source: &Source, ok: bool, counts: Counts, error: &str) -> Envelope {
    let payload = SourcePolled {
        source_id: source.id.to_string(),
        ok,
        found: counts.found,
        created: counts.created,
        revised: counts.revised,
        error: error.to_owned(),
    };
    SOURCE_POLLED.envelope(Some(source.draft.project), source.version, &payload)
}

/// Decides about each entry and stores the items, their content and the jobs for them.
async fn entries(
    tx: &mut PgConnection,
    source: &Source,
    observed_seq: i64,
    body: &Body,
) -> Result<Counts, Error> {
    let entries = &body.feed.entries;
    let names = entries.iter().flat_map(|it| it.names.iter().chain(&it.hints));
    let names: Vec<&str> = names.map(String::as_str).collect();
    let known = db::item::known(tx, source.id, &names).await?;
    let shown: Vec<Shown> = entries.iter().map(Shown::from).collect();
    let first = source.imported_at.is_none().then_some(FirstImport {
        items: source.draft.options.first_import_items as usize,
        days: source.draft.options.first_import_days,
    });
    let verdicts = decide(&known, &shown, first, Utc::now());

    let unseen = |verdict: &Verdict| matches!(verdict, Verdict::New | Verdict::Old);
    let new: Vec<item::Seen<'_>> = entries
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| unseen(verdict))
        .map(|(it, _)| item::Seen {
            key: &it.key,
            alias: it.alias_key.as_deref(),
            hash: &it.content_hash,
        })
        .collect();
    let mut new_ids = db::item::insert(tx, source.id, &new, observed_seq).await?.into_iter();
    let (mut edits, mut rehashed, mut changed) = (Vec::new(), Vec::new(), Vec::new());
    let mut counts = Counts { found: total(entries.len()), ..Counts::default() };
    for (entry, verdict) in entries.iter().zip(&verdicts) {
        match verdict {
            Verdict::New | Verdict::Old => {
                let id = new_ids.next().ok_or(sqlx::Error::RowNotFound)?;
                if *verdict == Verdict::New {
                    counts.created += 1;
                    changed.push((id, entry));
                }
            }
            Verdict::Edited(id) => {
                counts.revised += 1;
                edits.push((*id, entry.content_hash.as_str()));
                changed.push((*id, entry));
            }
            Verdict::Rehashed(id) => rehashed.push((*id, entry.content_hash.as_str())),
            Verdict::Unchanged(_) | Verdict::Repeated => {}
        }
    }
    counts.unchanged = counts.found - counts.created - counts.revised;
    db::item::revise(tx, &edits, Some(observed_seq)).await?;
    db::item::revise(tx, &rehashed, None).await?;
    hand_on(tx, source, observed_seq, &changed, body.feed.language.as_deref()).await?;
    Ok(counts)
}

/// Stores the content of new and edited entries with the jobs that process it.
async fn hand_on(
    tx: &mut PgConnection,
    source: &Source,
    observed_seq: i64,
    changed: &[(i64, &Entry)],
    language: Option<&str>,
) -> Result<(), Error> {
    for some in changed.chunks(BLOBS_AT_ONCE) {
        let blobs: Vec<(i64, Blob)> =
            some.iter().map(|(id, entry)| (*id, blob(entry, observed_seq, language))).collect();
        db::blob::put(tx, &blobs).await?;
        for (item, blob) in &blobs {
            let process = Process { source: source.id, item: *item };
            jobs::enqueue(tx, process.job(source, &blob.metadata)).await?;
        }
    }
    Ok(())
}

/// An entry as it waits for the next stage.
fn blob(entry: &Entry, observed_seq: i64, language: Option<&str>) -> Blob {
    let content = entry.content_html.as_ref().or(entry.summary_html.as_ref());
    let metadata = Metadata {
        title: entry.title.clone(),
        url: entry.url.clone().unwrap_or_default(),
        authors: entry.authors.iter().map(ToString::to_string).collect(),
        tags: entry.tags.clone(),
        published_at: entry.published,
        updated_at: entry.updated,
        language: entry.language.as_deref().or(language).unwrap_or_default().to_owned(),
        base_url: entry.base_url.clone(),
        is_summary: entry.content_html.is_none(),
    };
    Blob {
        observed_seq,
        metadata: Json(metadata.bounded()),
        media_type: "text/html".to_owned(),
        content: content.map(|text| text.clone().into_bytes()).unwrap_or_default(),
    }
}

fn total(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}
