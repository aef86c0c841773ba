//! Facts: published with a deduplicating id, consumed in order of the stream, acknowledged last.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy, PullConsumer, pull};
use async_nats::jetstream::message::{Acker, PublishMessage};
use futures::StreamExt as _;
use futures::stream::BoxStream;
use prost::Message as _;
use proto::events::v1::Envelope;
use tokio::time::{sleep, timeout};

use crate::connection::{ANSWER_TIMEOUT, Bus};
use crate::error::Error;
use crate::metrics as names;
use crate::stream::EVENTS;

/// A fact that a consumer took and did not acknowledge comes again after this.
const ACK_WAIT: Duration = Duration::from_secs(60);

/// Facts of one request, at most.
const BATCH_MAX: usize = 64;

/// How long one request stays open at the server.
const REQUEST_EXPIRES: Duration = Duration::from_secs(5);

const RETRY_DELAY: Duration = Duration::from_millis(250);

impl Bus {
    /// Publishes a fact and waits until the stream has it. Publishing it again within two minutes
    /// changes nothing; after that, consumers drop it by its id.
    ///
    /// Facts that come from a table go through the outbox of the crate `jobs`; this is for the
    /// outbox's relay, and for usage events that may be lost.
    ///
    /// # Errors
    /// When NATS is away or refuses.
    pub async fn publish(&self, envelope: &Envelope) -> Result<(), Error> {
        if !self.is_connected() {
            return Err(Error::Disconnected);
        }
        let publish = async {
            let message = PublishMessage::build()
                .payload(envelope.encode_to_vec().into())
                .message_id(&envelope.event_id);
            let sent = self.jetstream.send_publish(envelope.r#type.clone(), message).await;
            sent.map_err(|e| Error::refused("take a fact", e))?
                .await
                .map_err(|e| Error::refused("acknowledge a fact", e))
        };
        match timeout(ANSWER_TIMEOUT, publish).await {
            Ok(Ok(_)) => {
                metrics::counter!(names::SENT, names::DESTINATION => envelope.r#type.clone())
                    .increment(1);
                Ok(())
            }
            Ok(Err(error)) => {
                self.declare(EVENTS).await?;
                Err(error)
            }
            Err(_) => Err(Error::Timeout(ANSWER_TIMEOUT)),
        }
    }

    /// Facts on `subjects` for the durable consumer `name` (service and purpose, such as
    /// `analytics-usage`), from the oldest that the stream has. Replicas share the consumer.
    #[must_use]
    pub fn subscribe(&self, name: &str, subjects: &[&str]) -> Events {
        Events {
            bus: self.clone(),
            name: name.to_owned(),
            subjects: subjects.iter().map(|&subject| subject.to_owned()).collect(),
            batch: None,
        }
    }
}

/// A consumer of facts. Stream and consumer are made again whenever they are missing.
pub struct Events {
    bus: Bus,
    name: String,
    subjects: Vec<String>,
    batch: Option<BoxStream<'static, Result<async_nats::jetstream::Message, async_nats::Error>>>,
}

/// A fact, to be acknowledged once its effect is committed.
pub struct Received {
    /// The fact.
    pub envelope: Envelope,
    acker: Acker,
}

impl Received {
    /// Says that the fact need not come again. A lost acknowledgement brings it once more, which
    /// the consumer notices by its id.
    pub async fn ack(self) {
        if let Err(error) = self.acker.ack().await {
            tracing::debug!(error = %error, "a fact was not acknowledged and comes again");
        }
    }
}

impl Events {
    /// Waits, for ever if need be, for the next fact.
    pub async fn next(&mut self) -> Received {
        loop {
            match self.poll().await {
                Ok(Some(received)) => return received,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(consumer = self.name, error = %error, "no facts for now");
                    self.batch = None;
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    async fn poll(&mut self) -> Result<Option<Received>, Error> {
        let refused = |source| Error::Refused { what: "hand out facts".into(), source };
        if self.batch.is_none() {
            let consumer = self.consumer().await?;
            let batch = consumer.batch().max_messages(BATCH_MAX).expires(REQUEST_EXPIRES);
            let batch = batch.messages().await;
            self.batch = Some(batch.map_err(|source| refused(source.into()))?.boxed());
        }
        let Some(batch) = &mut self.batch else {
            return Ok(None);
        };
        let Some(message) = batch.next().await.transpose().map_err(refused)? else {
            self.batch = None;
            return Ok(None);
        };
        let (message, acker) = message.split();
        match Envelope::decode(message.payload) {
            Ok(envelope) => {
                let subject = envelope.r#type.clone();
                metrics::counter!(names::CONSUMED, names::DESTINATION => subject).increment(1);
                Ok(Some(Received { envelope, acker }))
            }
            Err(error) => {
                tracing::error!(consumer = self.name, error = %error, "a fact is unreadable");
                metrics::counter!(names::UNREADABLE).increment(1);
                acker.ack().await.map_err(refused)?;
                Ok(None)
            }
        }
    }

    async fn consumer(&self) -> Result<PullConsumer, Error> {
        if !self.bus.is_connected() {
            return Err(Error::Disconnected);
        }
        self.bus.declare(EVENTS).await?;
        let config = pull::Config {
            durable_name: Some(self.name.clone()),
            filter_subjects: self.subjects.clone(),
            deliver_policy: DeliverPolicy::All,
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            ..Default::default()
        };
        let made = self.bus.jetstream.create_consumer_on_stream(config, EVENTS);
        timeout(ANSWER_TIMEOUT, made)
            .await
            .map_err(|_| Error::Timeout(ANSWER_TIMEOUT))?
            .map_err(|source| Error::refused("create a consumer of facts", source))
    }
}
