//! The services that the hub talks to.

use chassis::grpc::{self, AuthedChannel, Endpoint};
use proto::{
    Failure, MESSAGE_BYTES_MAX,
    ingestion::v1::{
        intake_service_client::IntakeServiceClient, source_service_client::SourceServiceClient,
    },
    knowledge::v1::knowledge_service_client::KnowledgeServiceClient,
    orchestrator::v1::{
        health_service_client::HealthServiceClient, log_service_client::LogServiceClient,
        operation_service_client::OperationServiceClient, scan_service_client::ScanServiceClient,
        secret_service_client::SecretServiceClient, stack_service_client::StackServiceClient,
    },
};
use secrecy::ExposeSecret;
use tonic::{Code, Status, transport::Channel};

use crate::identity::Identity;

/// Lazily connected channels; each call carries its caller's own token.
#[derive(Clone)]
pub(crate) struct Clients {
    ingestion: Channel,
    knowledge: Channel,
    orchestrator: Channel,
    /// The hub's own name, for jobs that no caller waits for.
    own_ingestion: AuthedChannel,
    own_orchestrator: AuthedChannel,
}

impl Clients {
    /// Channels that connect when first used.
    pub(crate) fn new(
        ingestion: &Endpoint,
        knowledge: &Endpoint,
        orchestrator: &Endpoint,
    ) -> Result<Self, Failure> {
        Ok(Self {
            own_ingestion: grpc::client(ingestion)?,
            own_orchestrator: grpc::client(orchestrator)?,
            ingestion: ingestion.channel()?,
            knowledge: knowledge.channel()?,
            orchestrator: orchestrator.channel()?,
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

    /// Stacks, in the name of the caller.
    pub(crate) fn stacks(
        &self,
        who: &Identity,
    ) -> Result<StackServiceClient<AuthedChannel>, Failure> {
        Ok(StackServiceClient::new(forward(&self.orchestrator, who)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Stacks, in the name of the hub.
    pub(crate) fn own_stacks(&self) -> StackServiceClient<AuthedChannel> {
        StackServiceClient::new(self.own_orchestrator.clone())
    }

    /// How stacks do, in the name of the caller.
    pub(crate) fn health(
        &self,
        who: &Identity,
    ) -> Result<HealthServiceClient<AuthedChannel>, Failure> {
        Ok(HealthServiceClient::new(forward(&self.orchestrator, who)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Logs of services, in the name of the caller.
    pub(crate) fn logs(&self, who: &Identity) -> Result<LogServiceClient<AuthedChannel>, Failure> {
        Ok(LogServiceClient::new(forward(&self.orchestrator, who)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Operations on stacks, in the name of the caller.
    pub(crate) fn operations(
        &self,
        who: &Identity,
    ) -> Result<OperationServiceClient<AuthedChannel>, Failure> {
        Ok(OperationServiceClient::new(forward(&self.orchestrator, who)?)
            .max_decoding_message_size(MESSAGE_BYTES_MAX))
    }

    /// Secrets of projects, in the name of the caller.
    pub(crate) fn secrets(
        &self,
        who: &Identity,
    ) -> Result<SecretServiceClient<AuthedChannel>, Failure> {
        Ok(SecretServiceClient::new(forward(&self.orchestrator, who)?))
    }

    /// Scans of images, in the name of the caller.
    pub(crate) fn scans(
        &self,
        who: &Identity,
    ) -> Result<ScanServiceClient<AuthedChannel>, Failure> {
        Ok(ScanServiceClient::new(forward(&self.orchestrator, who)?))
    }
}

fn forward(channel: &Channel, who: &Identity) -> Result<AuthedChannel, Failure> {
    grpc::with_token(channel.clone(), who.token.expose_secret())
}

/// What a service's refusal means to our caller. A service that cannot be reached is named,
/// because the transport's own words mean nothing to a person; nor does it matter to them whether
/// it is away or too old for what is asked.
pub(crate) fn refused(service: &'static str) -> impl Fn(Status) -> Failure {
    move |status| {
        if status.code() == Code::Unimplemented {
            let text = format!(
                "the {service} that runs here cannot do this: start it, or one of the same \
                 version as the hub"
            );
            return Failure::new(proto::Reason::Unavailable, text);
        }
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
/// A service's name in messages.
pub(crate) const ORCHESTRATOR: &str = "orchestrator";
