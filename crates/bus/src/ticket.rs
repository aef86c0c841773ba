//! Tickets: "there is work of this kind". A lost one costs time, never work.

use std::time::Duration;

use async_nats::jetstream::consumer::{AckPolicy, PullConsumer, pull};
use futures::StreamExt as _;
use proto::JobId;
use tokio::sync::Mutex;
use tokio::time::{sleep, timeout};

use crate::connection::{ANSWER_TIMEOUT, Bus};
use crate::error::Error;
use crate::stream::{JOBS, TICKETS_PER_KIND_MAX};
use crate::{metrics as names, subject};

/// A ticket that was handed out but not acknowledged, as its taker died, comes again after this.
const ACK_WAIT: Duration = Duration::from_secs(5);

/// How long one request for a ticket stays open at the server. After the server lost its store,
/// this is how soon we notice.
const REQUEST_EXPIRES: Duration = Duration::from_secs(5);

/// Requests for tickets that wait at the server, at most, over all replicas.
const WAITING_MAX: i64 = 4_096;

const RETRY_DELAY: Duration = Duration::from_millis(250);

/// "There is work": the claim decides which.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// The job that the ticket was made for; it may be running or done by now.
    pub job: JobId,
}

impl Bus {
    /// Publishes a ticket for each job and waits until all are acknowledged.
    ///
    /// # Errors
    /// When NATS is away or refuses; some tickets may be out then, which does no harm.
    pub async fn publish_tickets(&self, kind: &str, jobs: &[JobId]) -> Result<(), Error> {
        if !self.is_connected() {
            return Err(Error::Disconnected);
        }
        let subject = subject::job_requested(kind);
        let publish = async {
            let mut acks = Vec::with_capacity(jobs.len());
            for job in jobs {
                let payload = job.to_string().into();
                let sent = self.jetstream.publish(subject.clone(), payload).await;
                acks.push(sent.map_err(|e| Error::refused("take a ticket", e))?);
            }
            for ack in acks {
                ack.await.map_err(|e| Error::refused("acknowledge a ticket", e))?;
            }
            Ok::<_, Error>(())
        };
        match timeout(ANSWER_TIMEOUT, publish).await {
            Ok(Ok(())) => {
                metrics::counter!(names::SENT, names::DESTINATION => "jobs.{kind}.requested.v1")
                    .increment(jobs.len() as u64);
                Ok(())
            }
            Ok(Err(error)) => {
                // Most likely the store was wiped; the next round finds the stream again.
                self.declare(JOBS).await?;
                Err(error)
            }
            Err(_) => Err(Error::Timeout(ANSWER_TIMEOUT)),
        }
    }

    /// The tickets of a kind, shared by all replicas: each goes to one taker.
    #[must_use]
    pub fn tickets(&self, kind: &str) -> Tickets {
        Tickets { bus: self.clone(), kind: kind.to_owned(), consumer: Mutex::new(None) }
    }
}

/// Hands out tickets of one kind. Stream and consumer are made again whenever they are missing.
#[derive(Debug)]
pub struct Tickets {
    bus: Bus,
    kind: String,
    consumer: Mutex<Option<PullConsumer>>,
}

impl Tickets {
    /// Waits, for ever if need be, for a ticket, which is acknowledged before it is returned.
    /// Several may wait at once.
    pub async fn next(&self) -> Ticket {
        loop {
            match self.request().await {
                Ok(Some(ticket)) => return ticket,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(kind = self.kind, error = %error, "no tickets for now");
                    *self.consumer.lock().await = None;
                    sleep(RETRY_DELAY).await;
                }
            }
        }
    }

    async fn request(&self) -> Result<Option<Ticket>, Error> {
        let consumer = self.consumer().await?;
        let refused = |source| Error::Refused { what: "hand out a ticket".into(), source };
        let mut batch = consumer
            .batch()
            .max_messages(1)
            .expires(REQUEST_EXPIRES)
            .messages()
            .await
            .map_err(|source| refused(source.into()))?;
        // The client ends a batch by itself, a while after the server should have.
        let Some(message) = batch.next().await.transpose().map_err(refused)? else {
            return Ok(None);
        };
        message.ack().await.map_err(refused)?;
        metrics::counter!(names::CONSUMED, names::DESTINATION => "jobs.{kind}.requested.v1")
            .increment(1);
        let text = std::str::from_utf8(&message.payload).unwrap_or_default();
        Ok(text.parse().ok().map(|job| Ticket { job }))
    }

    async fn consumer(&self) -> Result<PullConsumer, Error> {
        if !self.bus.is_connected() {
            return Err(Error::Disconnected);
        }
        let mut consumer = self.consumer.lock().await;
        if let Some(consumer) = &*consumer {
            return Ok(consumer.clone());
        }
        self.bus.declare(JOBS).await?;
        let config = pull::Config {
            durable_name: Some(format!("jobs-{}", self.kind.replace('.', "-"))),
            filter_subject: subject::job_requested(&self.kind),
            ack_policy: AckPolicy::Explicit,
            ack_wait: ACK_WAIT,
            max_waiting: WAITING_MAX,
            max_ack_pending: TICKETS_PER_KIND_MAX,
            ..Default::default()
        };
        let made = self.bus.jetstream.create_consumer_on_stream(config, JOBS);
        let made = timeout(ANSWER_TIMEOUT, made)
            .await
            .map_err(|_| Error::Timeout(ANSWER_TIMEOUT))?
            .map_err(|source| Error::refused("create a consumer of tickets", source))?;
        Ok(consumer.insert(made).clone())
    }
}
