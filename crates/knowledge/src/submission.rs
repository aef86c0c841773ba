//! A document as it may be stored: checked, bounded, in our own types. Pure.

use chrono::{DateTime, Utc};
use prost_types::Timestamp;
use proto::{Failure, ProjectId, Reason, SourceId, knowledge::v1::DocumentInput};
use sha2::{Digest as _, Sha256};

use crate::observation::Observation;

/// A document's text, in bytes.
pub const TEXT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// A source's name of a document, in bytes.
pub const EXTERNAL_ID_BYTES_MAX: usize = 1_024;
/// Any other text field, in bytes.
pub const FIELD_BYTES_MAX: usize = 8 * 1024;
/// Authors, and tags, of one document.
pub const LABELS_MAX: usize = 100;
/// One author or tag, in bytes: they are indexed.
pub const LABEL_BYTES_MAX: usize = 512;

/// What was observed of one document.
#[derive(Debug, Clone, PartialEq)]
pub struct Submission {
    /// The source that has it.
    pub source: SourceId,
    /// The source's own name of it.
    pub external_id: String,
    /// Drawn before the bytes were read.
    pub observed_seq: i64,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// One line.
    pub title: String,
    /// Where a person can read it.
    pub url: String,
    /// Markdown.
    pub text: String,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// What it is filed under.
    pub tags: Vec<String>,
    /// As the source says.
    pub published_at: Option<DateTime<Utc>>,
    /// As the source says.
    pub updated_at: Option<DateTime<Utc>>,
    /// BCP 47, or empty.
    pub language: String,
    /// feed, docs, webhook, watch, manual.
    pub source_kind: String,
    /// For people.
    pub source_name: String,
    /// 1 to 10.
    pub priority: u8,
    /// The source no longer has it.
    pub deleted: bool,
}

impl Submission {
    /// Checks a document that came over the wire.
    ///
    /// # Errors
    /// `INVALID_INPUT` or `TOO_LARGE` that names the field, the limit and the remedy.
    pub fn parse(input: DocumentInput) -> Result<Self, Failure> {
        check_size("text", &input.text, TEXT_BYTES_MAX)?;
        check_size("external_id", &input.external_id, EXTERNAL_ID_BYTES_MAX)?;
        let fields = [
            ("title", &input.title),
            ("url", &input.url),
            ("language", &input.language),
            ("source_kind", &input.source_kind),
            ("source_name", &input.source_name),
        ];
        for (name, value) in fields {
            check_size(name, value, FIELD_BYTES_MAX)?;
        }
        check_labels("authors", &input.authors)?;
        check_labels("tags", &input.tags)?;
        if input.external_id.is_empty() {
            return Err(Failure::invalid("external_id", "external_id is empty: name the document"));
        }
        if !input.deleted && input.title.trim().is_empty() && input.text.trim().is_empty() {
            return Err(Failure::invalid("text", "title and text are both empty: send either"));
        }
        let priority = u8::try_from(input.priority).ok().filter(|p| (1..=10).contains(p));
        Ok(Self {
            source: SourceId::parse("source_id", &input.source_id)?,
            project: ProjectId::parse("project_id", &input.project_id)?,
            observed_seq: input.observed_seq,
            published_at: time("published_at", input.published_at.as_ref())?,
            updated_at: time("updated_at", input.updated_at.as_ref())?,
            priority: priority.ok_or_else(|| {
                let sent = input.priority;
                Failure::invalid("priority", format!("priority is {sent}: send 1 to 10"))
            })?,
            external_id: input.external_id,
            title: input.title,
            url: input.url,
            text: input.text,
            authors: input.authors,
            tags: input.tags,
            language: input.language,
            source_kind: input.source_kind,
            source_name: input.source_name,
            deleted: input.deleted,
        })
    }

    /// What the submission says, for [`decide`](crate::observation::decide).
    #[must_use]
    pub fn observation(&self) -> Observation {
        let content = (!self.deleted).then(|| self.content_sha256());
        Observation { seq: self.observed_seq, content }
    }

    /// Over everything that makes a revision. The source's name and the time of its last touch
    /// are left out: some feeds change the latter at every poll.
    #[must_use]
    pub fn content_sha256(&self) -> [u8; 32] {
        let mut sha = Sha256::new();
        let mut add = |part: &str| {
            // The length keeps ("ab", "c") apart from ("a", "bc").
            sha.update((part.len() as u64).to_le_bytes());
            sha.update(part);
        };
        let published = self.published_at.map_or(String::new(), |time| time.to_rfc3339());
        for part in [&self.title, &self.url, &self.text, &self.language, &published] {
            add(part);
        }
        add(&self.project.to_string());
        for labels in [&self.authors, &self.tags] {
            add(&labels.len().to_string());
            labels.iter().for_each(|label| add(label));
        }
        sha.finalize().into()
    }
}

fn check_size(field: &str, value: &str, max: usize) -> Result<(), Failure> {
    if value.len() > max {
        let message = format!(
            "{field} has {} bytes and {max} is the limit: shorten or divide it",
            value.len()
        );
        return Err(Failure::new(Reason::TooLarge, message.clone())
            .violation(field, message)
            .fact("limit", max));
    }
    if let Some(at) = value.find('\0') {
        let message = format!(
            "{field} has a NUL character at byte {at}, which no text may have: remove it, or \
             submit the file as what it is"
        );
        return Err(Failure::invalid(field, message));
    }
    Ok(())
}

fn check_labels(field: &str, labels: &[String]) -> Result<(), Failure> {
    if labels.len() > LABELS_MAX {
        let message = format!("{} {field} are sent and {LABELS_MAX} is the limit", labels.len());
        return Err(Failure::new(Reason::TooLarge, message.clone()).violation(field, message));
    }
    labels.iter().try_for_each(|label| check_size(field, label, LABEL_BYTES_MAX))
}

/// A time that Postgres can hold as well.
pub fn time(field: &str, time: Option<&Timestamp>) -> Result<Option<DateTime<Utc>>, Failure> {
    time.map(|time| {
        let year_max = 9_999;
        proto::time::from_wire(time)
            .filter(|time| (0..=year_max).contains(&chrono::Datelike::year(time)))
            .ok_or_else(|| {
                Failure::invalid(field, format!("{field} lies outside the years 0 to {year_max}"))
            })
    })
    .transpose()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn input() -> DocumentInput {
        DocumentInput {
            source_id: SourceId::generate().to_string(),
            project_id: ProjectId::generate().to_string(),
            external_id: "a".into(),
            observed_seq: 1,
            title: "Title".into(),
            text: "Text".into(),
            priority: 5,
            ..DocumentInput::default()
        }
    }

    fn refused(change: impl FnOnce(&mut DocumentInput)) -> Failure {
        let mut input = input();
        change(&mut input);
        Submission::parse(input).expect_err("it breaks a rule")
    }

    #[test]
    fn what_breaks_a_rule_is_refused_by_the_name_of_its_field() {
        let check = |failure: Failure, reason, field: &str| {
            assert_eq!(failure.reason, reason, "{failure}");
            assert_eq!(failure.violations[0].field, field);
            assert!(failure.message.contains(field), "{failure}");
        };
        check(refused(|i| i.priority = 0), Reason::InvalidInput, "priority");
        check(refused(|i| i.priority = 11), Reason::InvalidInput, "priority");
        check(refused(|i| i.text = "a\0b".into()), Reason::InvalidInput, "text");
        check(refused(|i| i.text = "a".repeat(TEXT_BYTES_MAX + 1)), Reason::TooLarge, "text");
        check(refused(|i| i.external_id.clear()), Reason::InvalidInput, "external_id");
        check(refused(|i| i.external_id = "é".repeat(513)), Reason::TooLarge, "external_id");
        check(refused(|i| i.tags = vec![String::new(); 101]), Reason::TooLarge, "tags");
        check(refused(|i| i.source_id = "x".into()), Reason::InvalidInput, "source_id");
        let far = Timestamp { seconds: 400_000_000_000, nanos: 0 };
        check(refused(|i| i.published_at = Some(far)), Reason::InvalidInput, "published_at");
    }

    #[test]
    fn the_content_is_what_a_reader_would_notice() {
        let base = input();
        let hash = |input: DocumentInput| {
            Submission::parse(input).expect("it breaks no rule").content_sha256()
        };
        let moved = DocumentInput { tags: vec!["a".into()], ..base.clone() };
        assert_ne!(hash(base.clone()), hash(moved));
        let longer_title =
            DocumentInput { title: "TitleT".into(), text: "ext".into(), ..base.clone() };
        assert_ne!(hash(base.clone()), hash(longer_title));
        let touched = DocumentInput {
            observed_seq: 9,
            priority: 9,
            updated_at: Some(Timestamp { seconds: 1, nanos: 0 }),
            ..base.clone()
        };
        assert_eq!(hash(base), hash(touched));
    }
}
