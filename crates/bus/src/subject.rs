//! Every subject there is: `<area>.<entity>.<event in the past tense>.v<n>` for facts,
//! `jobs.<kind>.requested.v1` for tickets.

use std::marker::PhantomData;

use chrono::Utc;
use prost::Message;
use proto::events::v1::{DocumentDeleted, DocumentStored, Envelope, JobDied, SourcePolled};
use proto::{EventId, ProjectId};

/// A document has a new revision that is searchable.
pub const DOCUMENT_STORED: Fact<DocumentStored> = Fact::new("knowledge.document.stored.v1");
/// A document is gone from every search.
pub const DOCUMENT_DELETED: Fact<DocumentDeleted> = Fact::new("knowledge.document.deleted.v1");
/// A source was looked at, well or in vain.
pub const SOURCE_POLLED: Fact<SourcePolled> = Fact::new("ingestion.source.polled.v1");
/// A job will not be tried again unless a person asks.
pub const JOB_DIED: Fact<JobDied> = Fact::new("jobs.job.died.v1");

/// Subject and payload type of every fact, for docs and the test that compares them.
pub const FACTS: [(&str, &str); 4] = [
    (DOCUMENT_STORED.subject(), "DocumentStored"),
    (DOCUMENT_DELETED.subject(), "DocumentDeleted"),
    (SOURCE_POLLED.subject(), "SourcePolled"),
    (JOB_DIED.subject(), "JobDied"),
];

/// A subject that carries facts with the payload `P`.
#[derive(Debug)]
pub struct Fact<P> {
    subject: &'static str,
    payload: PhantomData<fn() -> P>,
}

impl<P: Message + Default> Fact<P> {
    const fn new(subject: &'static str) -> Self {
        Self { subject, payload: PhantomData }
    }

    /// The subject's text.
    #[must_use]
    pub const fn subject(&self) -> &'static str {
        self.subject
    }

    /// A new fact that happened now, under the current trace. `version` is the entity's, by which
    /// consumers order.
    #[must_use]
    pub fn envelope(&self, project: Option<ProjectId>, version: i64, payload: &P) -> Envelope {
        Envelope {
            event_id: EventId::generate().to_string(),
            r#type: self.subject.to_owned(),
            occurred_at: Some(proto::time::to_wire(Utc::now())),
            project_id: project.map(|id| id.to_string()).unwrap_or_default(),
            version,
            traceparent: telemetry::propagation::current_traceparent().unwrap_or_default(),
            payload: payload.encode_to_vec(),
        }
    }

    /// The payload, when the envelope is of this type.
    ///
    /// # Errors
    /// When the bytes are no such payload.
    pub fn decode(&self, envelope: &Envelope) -> Result<Option<P>, prost::DecodeError> {
        if envelope.r#type != self.subject {
            return Ok(None);
        }
        P::decode(envelope.payload.as_slice()).map(Some)
    }
}

/// The subject of tickets for a kind of job.
#[must_use]
pub fn job_requested(kind: &str) -> String {
    format!("jobs.{kind}.requested.v1")
}

/// Whether `kind` has the two tokens that the stream's subjects expect: `area.verb`, of small
/// letters, digits, `_` and `-`.
#[must_use]
pub const fn is_kind(kind: &str) -> bool {
    let bytes = kind.as_bytes();
    let (mut at, mut dots, mut token) = (0, 0, 0);
    while at < bytes.len() {
        match bytes[at] {
            b'.' if token > 0 => (dots, token) = (dots + 1, 0),
            b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' => token += 1,
            _ => return false,
        }
        at += 1;
    }
    dots == 1 && token > 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fact_keeps_its_payload_and_refuses_anothers() {
        let died = JobDied { job_id: "7".into(), kind: "a.b".into(), error: "x".into() };
        let envelope = JOB_DIED.envelope(None, 3, &died);
        assert_eq!(JOB_DIED.decode(&envelope).expect("decodes"), Some(died));
        assert_eq!(SOURCE_POLLED.decode(&envelope).expect("no bytes read"), None);
    }

    #[test]
    fn a_kind_has_two_plain_tokens() {
        for (kind, expect) in [
            ("ingestion.fetch", true),
            ("knowledge.re-embed_2", true),
            ("fetch", false),
            ("a.b.c", false),
            (".b", false),
            ("a.", false),
            ("a.*", false),
            ("A.b", false),
        ] {
            assert_eq!(is_kind(kind), expect, "{kind}");
        }
    }

    #[test]
    fn facts_have_four_tokens_and_a_version() {
        for (subject, _) in FACTS {
            assert_eq!(subject.split('.').count(), 4, "{subject}");
            assert!(subject.ends_with(".v1"), "{subject}");
        }
    }
}
