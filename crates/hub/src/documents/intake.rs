//! Documents that someone hands in, one or many, over all their projects and sources.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use proto::{Failure, ProjectId, Reason, ingestion::v1 as wire, time::to_wire};
use serde_json::json;

use super::input::{ItemResult, NewDocument};
use crate::{
    app::App,
    audit::{self, Act},
    clients::{INGESTION, refused},
    identity::Identity,
    priority::Priority,
    projects::{self, Target},
};

/// Documents a request.
pub(crate) const DOCUMENTS_MAX: usize = 1_000;
/// Items a call of ingestion.
const CALL_ITEMS_MAX: usize = 100;
/// Bytes of content a call of ingestion; the rest of its 16 MiB is for titles and tags.
const CALL_BYTES_MAX: usize = 15 * 1024 * 1024;
/// Bytes of one document.
const DOCUMENT_BYTES_MAX: usize = 8 * 1024 * 1024;

/// The items of one call: of one project, source and priority.
struct Batch {
    project: ProjectId,
    source: String,
    priority: Option<Priority>,
    force: bool,
    bytes: usize,
    /// (place in the request, item)
    items: Vec<(usize, wire::Item)>,
}

impl Batch {
    fn takes(&self, project: ProjectId, document: &NewDocument, bytes: usize) -> bool {
        self.project == project
            && self.source == document.source
            && self.priority == document.priority
            && self.force == document.force
            && self.items.len() < CALL_ITEMS_MAX
            && self.bytes + bytes <= CALL_BYTES_MAX
    }
}

pub(super) async fn submit(
    app: &App,
    who: &Identity,
    documents: Vec<NewDocument>,
) -> Result<Vec<ItemResult>, Failure> {
    let count = documents.len();
    if !(1..=DOCUMENTS_MAX).contains(&count) {
        return Err(Failure::invalid(
            "documents",
            format!("send 1 to {DOCUMENTS_MAX} documents a request, not {count}"),
        ));
    }
    let mut targets = Vec::new();
    let results = deliver(app, who, documents, &mut targets).await;
    if let Err(failure) = &results {
        for (_, target) in &targets {
            projects::withdraw(app, who, target, failure).await;
        }
    }
    results
}

/// Sends the documents to their projects, which are noted by the names that the request gives.
async fn deliver(
    app: &App,
    who: &Identity,
    documents: Vec<NewDocument>,
    targets: &mut Vec<(String, Target)>,
) -> Result<Vec<ItemResult>, Failure> {
    let mut results = vec![ItemResult::default(); documents.len()];
    let mut batches: Vec<Batch> = Vec::new();
    for (place, document) in documents.into_iter().enumerate() {
        // First what may be refused: a refused document makes no project.
        let content = match content(&document) {
            Ok(content) => content,
            Err(failure) => {
                results[place] = ItemResult::refused(document.external_id, failure);
                continue;
            }
        };
        let project = match targets.iter().find(|(key, _)| *key == document.project) {
            Some((_, target)) => target.id,
            None => {
                let target = projects::ensure(app, who, &document.project).await?;
                targets.push((document.project.clone(), target.clone()));
                target.id
            }
        };
        add(&mut batches, place, project, document, content);
    }
    for batch in batches {
        send(app, who, batch, &mut results).await?;
    }
    Ok(results)
}

fn add(
    batches: &mut Vec<Batch>,
    place: usize,
    project: ProjectId,
    document: NewDocument,
    content: Vec<u8>,
) {
    let bytes = content.len();
    let open = batches.iter().rposition(|batch| batch.takes(project, &document, bytes));
    let at = open.unwrap_or_else(|| {
        batches.push(Batch {
            project,
            source: document.source.clone(),
            priority: document.priority,
            force: document.force,
            bytes: 0,
            items: Vec::new(),
        });
        batches.len() - 1
    });
    let batch = &mut batches[at];
    batch.bytes += bytes;
    batch.items.push((place, item(document, content)));
}

async fn send(
    app: &App,
    who: &Identity,
    batch: Batch,
    results: &mut [ItemResult],
) -> Result<(), Failure> {
    let (places, items): (Vec<usize>, Vec<wire::Item>) = batch.items.into_iter().unzip();
    let (project, source) = (batch.project, batch.source.clone());
    let names: Vec<String> = items.iter().map(|item| item.external_id.clone()).collect();
    let request = wire::SubmitItemsRequest {
        project_id: batch.project.to_string(),
        source_name: batch.source,
        items,
        priority: batch.priority.map(Priority::get),
        force: batch.force,
    };
    let answer = app.clients.intake(who)?.submit_items(request).await;
    let answer = answer.map_err(refused(INGESTION))?.into_inner();
    record(app, who, project, &source, &answer).await;
    let mut answers = answer.results.into_iter();
    for (place, name) in places.into_iter().zip(names) {
        results[place] = match answers.next() {
            Some(result) if result.reason.is_empty() => ItemResult {
                status: match result.outcome() {
                    wire::item_result::Outcome::Unchanged => "unchanged",
                    _ => "accepted",
                },
                external_id: result.external_id,
                job_id: result.job_id,
                source_id: answer.source_id.clone(),
                error: None,
            },
            Some(result) => {
                let reason = result.reason.parse().unwrap_or(Reason::InvalidInput);
                ItemResult::refused(name, Failure::new(reason, result.message))
            }
            None => ItemResult::refused(
                name,
                Failure::new(Reason::Internal, "ingestion said nothing of this item"),
            ),
        };
    }
    Ok(())
}

/// Records how many documents of a call were taken; the jobs that process them name each.
async fn record(
    app: &App,
    who: &Identity,
    project: ProjectId,
    source: &str,
    answer: &wire::SubmitItemsResponse,
) {
    let count = |outcome| answer.results.iter().filter(|it| it.outcome() == outcome).count();
    use wire::item_result::Outcome::{Accepted, Refused, Unchanged};
    let counts = json!({
        "accepted": count(Accepted), "unchanged": count(Unchanged), "refused": count(Refused),
    });
    let source = if source.is_empty() { "manual" } else { source };
    let act = Act::new("document.submit", source, &answer.source_id).of(Some(project));
    audit::record_done(app, who, act.made(&counts)).await;
}

fn content(document: &NewDocument) -> Result<Vec<u8>, Failure> {
    let content = match (&document.text, &document.content_base64) {
        (Some(text), None) => text.clone().into_bytes(),
        (None, Some(encoded)) => BASE64_STANDARD.decode(encoded).map_err(|error| {
            Failure::invalid("content_base64", format!("content_base64 is not Base64: {error}"))
        })?,
        _ => {
            return Err(Failure::invalid(
                "text",
                "a document has exactly one of text and content_base64",
            ));
        }
    };
    if content.len() > DOCUMENT_BYTES_MAX {
        return Err(Failure::new(
            Reason::TooLarge,
            format!(
                "the document has {} bytes, and the limit is 8 MiB ({DOCUMENT_BYTES_MAX}): split it",
                content.len()
            ),
        ));
    }
    Ok(content)
}

fn item(document: NewDocument, content: Vec<u8>) -> wire::Item {
    // Text that comes as JSON text is Markdown unless it says otherwise.
    let media_type = match (document.media_type.is_empty(), &document.text) {
        (true, Some(_)) if document.external_id.is_empty() => "text/markdown".to_owned(),
        _ => document.media_type,
    };
    wire::Item {
        external_id: document.external_id,
        title: document.title,
        url: document.url,
        media_type,
        content,
        authors: document.authors,
        tags: document.tags,
        published_at: document.published_at.map(to_wire),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(source: &str) -> NewDocument {
        NewDocument { source: source.into(), text: Some("x".into()), ..Default::default() }
    }

    #[test]
    fn items_are_batched_by_source_and_within_the_limits_of_a_call() {
        let project = ProjectId::generate();
        let mut batches = Vec::new();
        for place in 0..250 {
            let source = if place % 2 == 0 { "even" } else { "odd" };
            add(&mut batches, place, project, document(source), vec![b'x'; 200_000]);
        }
        let sent: usize = batches.iter().map(|batch| batch.items.len()).sum();
        assert_eq!(sent, 250);
        for batch in &batches {
            assert!(batch.items.len() <= CALL_ITEMS_MAX && batch.bytes <= CALL_BYTES_MAX);
            let parity = batch.items[0].0 % 2;
            assert!(batch.items.iter().all(|(place, _)| place % 2 == parity));
        }
    }

    #[test]
    fn a_document_has_one_content_within_its_limit() {
        let check = |text: Option<String>, base64: Option<&str>| {
            let content_base64 = base64.map(str::to_owned);
            content(&NewDocument { text, content_base64, ..Default::default() })
        };
        assert_eq!(check(None, Some("aGk=")).unwrap(), b"hi");
        assert!(check(None, None).is_err());
        assert!(check(Some("a".into()), Some("aGk=")).is_err());
        assert_eq!(check(None, Some("%%")).unwrap_err().violations[0].field, "content_base64");
        let too_large = check(Some("a".repeat(DOCUMENT_BYTES_MAX + 1)), None).unwrap_err();
        assert_eq!(too_large.reason, Reason::TooLarge);
    }
}
