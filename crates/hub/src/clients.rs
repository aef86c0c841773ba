//! The services that the hub talks to.

use chassis::grpc::{self, AuthedChannel, Endpoint};
use proto::{
    Failure, MESSAGE_BYTES_MAX,
    ingestion::v1::{
        intake_service_client::IntakeServiceClient, source_service_client::SourceServiceClient,
    },
    knowledge::v1::knowledge_service_client::KnowledgeServiceClient,
};
use secrecy::ExposeSecret;
use tonic::{Status, transport::Channel};

use crate::identity::Identity;

/// Lazily connected channels; each call carries its caller's own token.
#[derive(Clone)]
pub(crate) struct Clients {
    ingestion: Channel,
    knowledge: Channel,
    /// The hub's own name, for jobs that no caller waits for.
    own_ingestion: AuthedChannel,
}

impl Clients {
    /// Channels that connect when first used.
    pub(crate) fn new(ingestion: &Endpoint, knowledge: &Endpoint) -> Result<Self, Failure> {
        Ok(Self {
            own_ingestion: grpc::client(ingestion)?,
            ingestion: ingestion.channel()?,
            knowledge: knowledge.channel()?,
        })
    }

    /// Sources, in the name of the caller.
    pub(crate) fn sources(
        &self,
        who: &Identity,
    ) -> Result<SourceServiceClient<AuthedChannel>, Failure> {
        Ok(SourceServiceClient::new(forward(&self.ingestion, who)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Sources, in the name of the hub.
    pub(crate) fn own_sources(&self) -> SourceServiceClient<AuthedChannel> {
        SourceServiceClient::new(self.own_ingestion.clone())
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
    }

    /// Documents on their way in, in the name of the caller.
    pub(crate) fn intake(
        &self,
        who: &Identity,
    ) -> Result<IntakeServiceClient<AuthedChannel>, Failure> {
        Ok(IntakeServiceClient::new(forward(&self.ingestion, who)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Documents and search, in the name of the caller.
    pub(crate) fn knowledge(
        &self,
        who: &Identity,
    ) -> Result<KnowledgeServiceClient<AuthedChannel>, Failure> {
        Ok(KnowledgeServiceClient::new(forward(&self.knowledge, who)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX))
    }
}

fn forward(channel: &Channel, who: &Identity) -> Result<AuthedChannel, Failure> {
    grpc::with_token(channel.clone(), who.token.expose_secret())
}

/// What a service's refusal means to our caller. A service that cannot be reached is named,
/// because the transport's own words mean nothing to a person.
pub(crate) fn refused(service: &'static str) -> impl Fn(Status) -> Failure {
    move |status| {
        let mut failure = Failure::from_status(&status);
        if failure.reason == proto::Reason::Unavailable && failure.metadata.is_empty() {
            failure.message = format!("{service} does not answer at the moment; try again shortly");
            failure.retry_after.get_or_insert(std::time::Duration::from_secs(2));
        }
        failure
    }
}

/// A service's name in messages.
pub(crate) const INGESTION: &str = "ingestion";
/// A service's name in messages.
pub(crate) const KNOWLEDGE: &str = "knowledge";
