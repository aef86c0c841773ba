//! The one service we call: knowledge.

use std::time::Duration;

use chassis::grpc::{AuthedChannel, Endpoint};
use proto::knowledge::v1::knowledge_service_client::KnowledgeServiceClient;
use proto::knowledge::v1::{
    DocumentInput, PurgeSourceRequest, SetSourceRankRequest, SubmitDocumentsRequest, SubmitResult,
};
use proto::{Failure, MESSAGE_BYTES_MAX, Reason, SourceId};

use crate::source::Source;

/// How long an edit waits for knowledge to hear of it; a job tells it later otherwise.
const RANK_TIMEOUT: Duration = Duration::from_secs(5);

/// When a job comes back while knowledge is away.
const AWAY_RETRY_AFTER: Duration = Duration::from_secs(5);

/// What a failed call means to a job: while knowledge is away no attempt is counted, as no job is
/// at fault.
#[must_use]
pub fn of_job(failure: Failure) -> jobs::Error {
    match failure.reason {
        Reason::Unavailable => jobs::Error::RateLimited { failure, retry_after: AWAY_RETRY_AFTER },
        _ => failure.into(),
    }
}

/// What knowledge answered. A refusal of who we are says nothing about what we sent: it passes once
/// an operator has mended the token, and everything that waits for it is to wait.
fn refusal(status: &tonic::Status) -> Failure {
    let failure = Failure::from_status(status);
    if !matches!(failure.reason, Reason::Unauthenticated | Reason::Forbidden) {
        return failure;
    }
    tracing::error!(error = %failure, "knowledge refuses the token of this service");
    let message = format!(
        "knowledge refuses the token of this service ({failure}): give both services the same one"
    );
    Failure::new(Reason::Unavailable, message)
}

/// Calls knowledge in the name of this service.
#[derive(Clone)]
pub struct Knowledge {
    client: KnowledgeServiceClient<AuthedChannel>,
}

impl Knowledge {
    /// A client that connects when it is first used.
    ///
    /// # Errors
    /// When the endpoint's URL or token is malformed.
    pub fn new(endpoint: &Endpoint) -> Result<Self, Failure> {
        let client = KnowledgeServiceClient::new(chassis::grpc::client(endpoint)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        Ok(Self { client })
    }

    /// Hands one document over; returns once knowledge has committed it. Idempotent.
    ///
    /// # Errors
    /// What knowledge or the transport answers, with `retry_after` when its backlog is full.
    pub async fn submit(&self, document: DocumentInput) -> Result<SubmitResult, Failure> {
        let request = SubmitDocumentsRequest { documents: vec![document] };
        let answer = self
            .client
            .clone()
            .submit_documents(request)
            .await
            .map_err(|status| refusal(&status))?;
        answer.into_inner().results.into_iter().next().ok_or_else(|| {
            Failure::new(Reason::Internal, "knowledge answered a document without a result")
        })
    }

    /// Tells ranking how important a source is now. Idempotent: an older version changes nothing.
    ///
    /// # Errors
    /// What knowledge or the transport answers.
    pub async fn set_rank(&self, source: &Source) -> Result<(), Failure> {
        let mut request = tonic::Request::new(SetSourceRankRequest {
            source_id: source.id.to_string(),
            project_id: source.draft.project.to_string(),
            name: source.draft.name.clone(),
            kind: source.draft.kind.to_string(),
            priority: u32::from(source.draft.priority),
            // A paused source fetches nothing; what it brought stays findable until it is removed.
            enabled: !source.deleting,
            version: source.version,
        });
        request.set_timeout(RANK_TIMEOUT);
        let answer = self.client.clone().set_source_rank(request).await;
        answer.map(drop).map_err(|status| refusal(&status))
    }

    /// Removes a source's documents up to an observation, for good. Idempotent.
    ///
    /// # Errors
    /// What knowledge or the transport answers.
    pub async fn purge(&self, source: SourceId, observed_seq: i64) -> Result<u64, Failure> {
        let request = PurgeSourceRequest { source_id: source.to_string(), observed_seq };
        let answer = self.client.clone().purge_source(request).await;
        answer.map(|answer| answer.into_inner().documents).map_err(|status| refusal(&status))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_whose_token_is_refused_waits_and_loses_nothing() {
        for status in [tonic::Status::unauthenticated("x"), tonic::Status::permission_denied("x")] {
            let failure = refusal(&status);
            assert_eq!(failure.reason, Reason::Unavailable);
            assert!(failure.message.contains("token"), "{failure}");
            assert!(matches!(of_job(failure), jobs::Error::RateLimited { .. }), "no attempt");
        }
        let invalid = of_job(refusal(&tonic::Status::invalid_argument("x")));
        assert!(matches!(invalid, jobs::Error::Permanent(_)));
    }
}
