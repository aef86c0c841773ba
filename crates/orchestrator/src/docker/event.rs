//! What the Engine says happened.

use std::collections::HashMap;

use bollard::models::{EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::EventsOptionsBuilder;
use chrono::{DateTime, Utc};
use futures::{Stream, StreamExt as _};
use proto::ProjectId;
use uuid::Uuid;

use super::{Client, Error};
use crate::naming;

/// What wakes us. Executed commands are left out: probes make too many of them.
const ACTIONS: [&str; 13] = [
    "create",
    "start",
    "die",
    "kill",
    "oom",
    "stop",
    "destroy",
    "pause",
    "unpause",
    "rename",
    "update",
    "connect",
    "disconnect",
];

/// Something happened to an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Such as `die`.
    pub action: String,
    /// Of the container, or of the network.
    pub id: String,
    /// The project whose label the container carries; `None`: not a container of ours, perhaps a
    /// network.
    pub project: Option<ProjectId>,
    /// The service whose label the container carries.
    pub service: String,
    /// The network's name; empty for a container.
    pub network: String,
    /// By the Engine's clock.
    pub at: DateTime<Utc>,
}

impl Client {
    /// Events of our containers, and of any network, since `since`. The Engine remembers the last
    /// 256 of the whole daemon only, so whoever subscribes again must look at everything too.
    ///
    /// # Errors
    /// When the Engine cannot be reached; the stream ends with an item of [`Error`] or without.
    pub async fn events(
        &self,
        owner: Uuid,
        since: DateTime<Utc>,
    ) -> Result<impl Stream<Item = Result<Event, Error>> + use<>, Error> {
        let docker = self.docker().await?;
        let actions: Vec<String> = ACTIONS.iter().map(|&it| it.to_owned()).collect();
        let mut filters = HashMap::from([("event".to_owned(), actions)]);
        filters.insert("type".to_owned(), vec!["container".to_owned(), "network".to_owned()]);
        let nanos = since.timestamp_subsec_nanos();
        let since = format!("{}.{nanos:09}", since.timestamp());
        let options = EventsOptionsBuilder::new().since(&since).filters(&filters).build();
        let socket = self.inner.socket.clone();
        let events = docker.events(Some(options)).filter_map(move |item| {
            let told = match item {
                Ok(message) => read(message, owner).map(Ok),
                Err(error) => Some(Err(Error::from_library("events", &socket, error))),
            };
            std::future::ready(told)
        });
        Ok(events)
    }
}

/// `None` for a stranger's container.
fn read(message: EventMessage, owner: Uuid) -> Option<Event> {
    let actor = message.actor.unwrap_or_default();
    let attributes = actor.attributes.unwrap_or_default();
    let label = |key| attributes.get(key);
    let ours = label(naming::OWNER).is_some_and(|it| *it == owner.to_string());
    let container = message.typ == Some(EventMessageTypeEnum::CONTAINER);
    if container && !ours {
        return None;
    }
    Some(Event {
        action: message.action.unwrap_or_default(),
        id: actor.id.unwrap_or_default(),
        project: label(naming::PROJECT).and_then(|it| it.parse().ok()),
        service: label(naming::SERVICE).cloned().unwrap_or_default(),
        network: label("name").filter(|_| !container).cloned().unwrap_or_default(),
        at: DateTime::from_timestamp_nanos(message.time_nano.unwrap_or_default()),
    })
}
