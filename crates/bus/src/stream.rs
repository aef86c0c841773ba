//! The two streams, declared once and made again whenever they are missing.

use std::time::Duration;

use async_nats::jetstream::stream::{Config, DiscardPolicy, RetentionPolicy, StorageType};

use crate::connection::{ANSWER_TIMEOUT, Bus};
use crate::error::Error;

/// Tickets for work: `jobs.<kind>.requested.v1`.
pub const JOBS: &str = "JOBS";

/// Facts.
pub const EVENTS: &str = "EVENTS";

/// The subjects of `EVENTS`, one for each area that states facts.
pub const EVENT_SUBJECTS: [&str; 3] = ["ingestion.*.*.*", "jobs.job.*.*", "knowledge.*.*.*"];

/// A ticket is dispatched again after 30 s, so an older one says nothing.
const TICKET_AGE_MAX: Duration = Duration::from_secs(60);

/// Tickets per kind, at most; the dispatcher keeps to it, this guards against a faulty one.
pub const TICKETS_PER_KIND_MAX: i64 = 1_000;

/// How long facts stay; the outbox has them for longer.
const EVENT_AGE_MAX: Duration = Duration::from_secs(3 * 24 * 3600);

/// Facts take this much disk at most, in bytes.
const EVENT_BYTES_MAX: i64 = 2 * 1024 * 1024 * 1024;

/// The largest message, in bytes.
const MESSAGE_BYTES_MAX: i32 = 512 * 1024;

/// A fact published twice within this time is stored once; consumers drop later doubles.
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

fn jobs() -> Config {
    Config {
        name: JOBS.to_owned(),
        description: Some("tickets for work; the ledger in Postgres is the queue".to_owned()),
        subjects: vec!["jobs.*.*.requested.v1".to_owned()],
        retention: RetentionPolicy::WorkQueue,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: TICKET_AGE_MAX,
        max_messages_per_subject: TICKETS_PER_KIND_MAX,
        max_message_size: MESSAGE_BYTES_MAX,
        duplicate_window: TICKET_AGE_MAX,
        ..Default::default()
    }
}

fn events() -> Config {
    Config {
        name: EVENTS.to_owned(),
        description: Some("facts; the outbox in Postgres has them for longer".to_owned()),
        subjects: EVENT_SUBJECTS.map(str::to_owned).to_vec(),
        retention: RetentionPolicy::Limits,
        storage: StorageType::File,
        discard: DiscardPolicy::Old,
        max_age: EVENT_AGE_MAX,
        max_bytes: EVENT_BYTES_MAX,
        max_message_size: MESSAGE_BYTES_MAX,
        duplicate_window: DUPLICATE_WINDOW,
        ..Default::default()
    }
}

impl Bus {
    pub(crate) async fn declare(&self, stream: &str) -> Result<(), Error> {
        self.declare_stream(if stream == JOBS { jobs() } else { events() }).await
    }

    async fn declare_stream(&self, config: Config) -> Result<(), Error> {
        if !self.is_connected() {
            return Err(Error::Disconnected);
        }
        let name = config.name.clone();
        let declared = self.jetstream.create_or_update_stream(config);
        tokio::time::timeout(ANSWER_TIMEOUT, declared)
            .await
            .map_err(|_| Error::Timeout(ANSWER_TIMEOUT))?
            .map(drop)
            .map_err(|source| Error::refused(format!("create the stream {name}"), source))
    }

    /// When the stream of facts was made, in nanoseconds since 1970: another value than before
    /// means that the store is new and empty. A missing stream is made.
    ///
    /// # Errors
    /// When NATS is away or refuses.
    pub async fn events_incarnation(&self) -> Result<i64, Error> {
        if !self.is_connected() {
            return Err(Error::Disconnected);
        }
        let seen = tokio::time::timeout(ANSWER_TIMEOUT, self.jetstream.get_stream(EVENTS))
            .await
            .map_err(|_| Error::Timeout(ANSWER_TIMEOUT))?;
        let stream = match seen {
            Ok(stream) => stream,
            Err(_) => {
                self.declare(EVENTS).await?;
                tokio::time::timeout(ANSWER_TIMEOUT, self.jetstream.get_stream(EVENTS))
                    .await
                    .map_err(|_| Error::Timeout(ANSWER_TIMEOUT))?
                    .map_err(|source| Error::refused("describe the stream EVENTS", source))?
            }
        };
        let nanoseconds = stream.cached_info().created.unix_timestamp_nanos();
        Ok(i64::try_from(nanoseconds).unwrap_or(i64::MAX))
    }
}
