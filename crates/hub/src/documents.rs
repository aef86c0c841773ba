//! Documents: handing them in, listing, reading and deleting them.

mod input;
mod intake;
mod model;

pub(crate) use input::{Accepted, ItemResult, NewDocument, NewDocuments};
pub(crate) use model::Document;

use chassis::caller::Role;
use chrono::{DateTime, Utc};
use proto::{DocumentId, Failure, ProjectId, knowledge::v1 as wire, time::to_wire};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::{
    app::App,
    audit::{self, Act},
    clients::{KNOWLEDGE, refused},
    identity::Identity,
    page::{self, Page},
    projects::Names,
    sources,
};

/// Which documents; each may be given several times.
#[derive(Debug, Clone, Default, Deserialize, IntoParams)]
#[serde(default)]
#[into_params(parameter_in = Query)]
pub(crate) struct Filter {
    /// Ids or slugs of projects; none means all that the caller sees.
    pub(crate) project: Vec<String>,
    /// Ids or names of sources.
    pub(crate) source: Vec<String>,
    /// Kinds of sources: `feed`, `manual`, …
    pub(crate) kind: Vec<String>,
    /// Authors.
    pub(crate) author: Vec<String>,
    /// Tags.
    pub(crate) tag: Vec<String>,
    /// Published (or first seen) at or after: RFC 3339, or a day.
    pub(crate) since: Option<String>,
    /// Published (or first seen) before: RFC 3339, or a day.
    pub(crate) until: Option<String>,
}

impl Filter {
    /// To the wire, with slugs and names turned into ids.
    pub(crate) async fn into_wire(
        self,
        app: &App,
        who: &Identity,
        names: &Names,
    ) -> Result<wire::Filter, Failure> {
        let given = |values: Vec<String>| -> Vec<String> {
            values.into_iter().filter(|value| !value.trim().is_empty()).collect()
        };
        Ok(wire::Filter {
            project_ids: names.ids(&self.project)?,
            source_ids: sources::ids(app, who, &self.project, &self.source).await?,
            kinds: given(self.kind),
            authors: given(self.author),
            tags: given(self.tag),
            since: time("since", self.since.as_deref())?.map(to_wire),
            until: time("until", self.until.as_deref())?.map(to_wire),
        })
    }
}

/// A time that a person or a program wrote; a day means its first moment in UTC.
fn time(field: &str, text: Option<&str>) -> Result<Option<DateTime<Utc>>, Failure> {
    let Some(text) = text.map(str::trim).filter(|text| !text.is_empty()) else { return Ok(None) };
    let day = || text.parse::<chrono::NaiveDate>().ok()?.and_hms_opt(0, 0, 0);
    text.parse::<DateTime<Utc>>()
        .ok()
        .or_else(|| day().map(|day| day.and_utc()))
        .map(Some)
        .ok_or_else(|| {
            let example = "write 2026-05-01 or 2026-05-01T12:00:00Z";
            Failure::invalid(field, format!("{field} is not a time: {text:?}; {example}"))
        })
}

/// Documents without their texts, newest first.
pub(crate) async fn list(
    app: &App,
    who: &Identity,
    filter: Filter,
    page_size: Option<u32>,
    page_token: Option<String>,
) -> Result<Page<Document>, Failure> {
    let names = Names::load(app, who).await?;
    let request = wire::ListDocumentsRequest {
        filter: Some(filter.into_wire(app, who, &names).await?),
        page_size: page::size(page_size),
        page_token: page_token.unwrap_or_default(),
    };
    let answer = app.clients.knowledge(who)?.list_documents(request).await;
    let answer = answer.map_err(refused(KNOWLEDGE))?.into_inner();
    Ok(Page {
        items: answer.documents.into_iter().map(|d| Document::new(d, &names)).collect(),
        next_page_token: answer.next_page_token,
    })
}

/// One document with its text, in its newest revision or an older one.
pub(crate) async fn get(
    app: &App,
    who: &Identity,
    id: &str,
    revision: Option<u32>,
) -> Result<Document, Failure> {
    let names = Names::load(app, who).await?;
    Ok(Document::new(fetch(app, who, id, revision.unwrap_or(0)).await?, &names))
}

/// Deletes a document; a tombstone keeps its source from bringing it back.
pub(crate) async fn delete(app: &App, who: &Identity, id: &str) -> Result<(), Failure> {
    who.require_role(Role::Operator)?;
    let document = fetch(app, who, id, 0).await?;
    let request = wire::DeleteDocumentRequest { id: document.id.clone() };
    let answer = app.clients.knowledge(who)?.delete_document(request).await;
    answer.map_err(refused(KNOWLEDGE))?;
    let project: Option<ProjectId> = document.project_id.parse().ok();
    let act = Act::new("document.delete", &document.title, &document.id).of(project);
    audit::record_done(app, who, act).await;
    Ok(())
}

/// Accepts documents: durable once answered, searchable once their jobs are done.
pub(crate) async fn submit(
    app: &App,
    who: &Identity,
    documents: Vec<NewDocument>,
) -> Result<Vec<ItemResult>, Failure> {
    who.require_role(Role::Operator)?;
    intake::submit(app, who, documents).await
}

/// How many documents each of these sources has.
pub(crate) async fn counts(
    app: &App,
    who: &Identity,
    source_ids: Vec<String>,
) -> Result<std::collections::HashMap<String, u64>, Failure> {
    let request = wire::CountDocumentsRequest { source_ids };
    let answer = app.clients.knowledge(who)?.count_documents(request).await;
    Ok(answer.map_err(refused(KNOWLEDGE))?.into_inner().documents)
}

async fn fetch(
    app: &App,
    who: &Identity,
    id: &str,
    revision: u32,
) -> Result<wire::Document, Failure> {
    let id = DocumentId::parse("id", id)?.to_string();
    let request = wire::GetDocumentRequest { id, revision };
    let answer = app.clients.knowledge(who)?.get_document(request).await;
    Ok(answer.map_err(refused(KNOWLEDGE))?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_moments_or_days() {
        let day = time("since", Some("2026-05-01")).unwrap().unwrap();
        assert_eq!(day, time("since", Some("2026-05-01T00:00:00Z")).unwrap().unwrap());
        assert_eq!(time("since", Some("  ")).unwrap(), None);
        assert_eq!(time("until", Some("May")).unwrap_err().violations[0].field, "until");
    }
}
