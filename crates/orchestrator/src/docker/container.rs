//! Containers: list, read, make, start, stop, change, remove.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerStateStatusEnum as Status, ContainerUpdateBody, HostConfig,
    NetworkSettings,
};
use bollard::query_parameters::{
    CreateContainerOptionsBuilder, InspectContainerOptions, ListContainersOptionsBuilder,
    RemoveContainerOptionsBuilder, StartContainerOptions, StopContainerOptionsBuilder,
};
use chrono::{DateTime, Utc};

use super::{CALL_TIMEOUT, CREATE_TIMEOUT, Client, Error, NewContainer, STOP_TIMEOUT, create};
use crate::hardening::Told;
use crate::naming;
use crate::observed::{Container, Endpoint, Limits, State};

/// One CPU in the Engine's unit.
const NANOS_PER_CPU_MILLI: i64 = 1_000_000;

impl Client {
    /// The ids of the containers that carry all these labels, running or not.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn containers(
        &self,
        labels: &BTreeMap<String, String>,
    ) -> Result<Vec<String>, Error> {
        let options =
            ListContainersOptionsBuilder::new().all(true).filters(&by_label(labels)).build();
        let listed = self
            .call("list containers", CALL_TIMEOUT, async |it| {
                it.list_containers(Some(options)).await
            })
            .await?;
        Ok(listed.into_iter().filter_map(|it| it.id).collect())
    }

    /// A container by id or name; `None` when there is none. One that does not carry our labels
    /// is shown with an empty service.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn container(&self, id: &str) -> Result<Option<(Container, Labels)>, Error> {
        let found = self
            .call("inspect container", CALL_TIMEOUT, async |it| {
                it.inspect_container(id, None::<InspectContainerOptions>).await
            })
            .await;
        match found {
            Ok(found) => Ok(Some(read(found))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// What a container was made with that breaks out of it; `None` when there is none.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn told(&self, id: &str) -> Result<Option<Told>, Error> {
        let found = self
            .call("inspect container", CALL_TIMEOUT, async |it| {
                it.inspect_container(id, None::<InspectContainerOptions>).await
            })
            .await;
        match found {
            Ok(found) => Ok(Some(told(&found.host_config.unwrap_or_default()))),
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a container and answers its id.
    ///
    /// # Errors
    /// A conflict when the name is taken; see [`Error`].
    pub async fn create_container(&self, new: &NewContainer<'_>) -> Result<String, Error> {
        let options = CreateContainerOptionsBuilder::new().name(&new.name).build();
        let body = create::body(new);
        let made = self
            .call("create container", CREATE_TIMEOUT, async |it| {
                it.create_container(Some(options), body).await
            })
            .await?;
        Ok(made.id)
    }

    /// Starts a container; one that runs already is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn start_container(&self, id: &str) -> Result<(), Error> {
        let started = self
            .call("start container", CREATE_TIMEOUT, async |it| {
                it.start_container(id, None::<StartContainerOptions>).await
            })
            .await;
        fine(started, 304)
    }

    /// Stops a container, by force after `grace`; one that is stopped or gone is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn stop_container(&self, id: &str, grace: Duration) -> Result<(), Error> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::new().t(seconds).build();
        let stopped = self
            .call_slow("stop container", grace + STOP_TIMEOUT, async |it| {
                it.stop_container(id, Some(options)).await
            })
            .await;
        gone(fine(stopped, 304))
    }

    /// Lets a frozen process run again, so that it can hear that it shall stop.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn unpause(&self, id: &str) -> Result<(), Error> {
        self.call("unpause container", CALL_TIMEOUT, async |it| it.unpause_container(id).await)
            .await
    }

    /// Removes a container, never its named volumes; one that is gone is fine.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn remove_container(&self, id: &str) -> Result<(), Error> {
        // `v` removes anonymous volumes only, which an image's own VOLUME made.
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        let removed = self
            .call("remove container", CREATE_TIMEOUT, async |it| {
                it.remove_container(id, Some(options)).await
            })
            .await;
        match gone(removed) {
            // Somebody else's removal is in progress.
            Err(error) if error.is_conflict() => Ok(()),
            other => other,
        }
    }

    /// Changes limits while the container runs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn update_limits(&self, id: &str, limits: Limits) -> Result<(), Error> {
        let memory = i64::try_from(limits.memory_bytes).ok();
        let body = ContainerUpdateBody {
            memory,
            memory_swap: memory,
            nano_cpus: Some(i64::from(limits.cpu_millis) * NANOS_PER_CPU_MILLI),
            pids_limit: Some(i64::from(limits.pids)),
            ..ContainerUpdateBody::default()
        };
        self.call("update container", CALL_TIMEOUT, async |it| it.update_container(id, body).await)
            .await
    }
}

/// A container's labels, as the Engine shows them.
pub(crate) type Labels = HashMap<String, String>;

/// The filter that keeps objects with all these labels.
pub(super) fn by_label(labels: &BTreeMap<String, String>) -> HashMap<String, Vec<String>> {
    let wanted = labels.iter().map(|(key, value)| format!("{key}={value}")).collect();
    HashMap::from([("label".to_owned(), wanted)])
}

/// "Nothing was to be done" is success.
fn fine(result: Result<(), Error>, status: u16) -> Result<(), Error> {
    match result {
        Err(error) if error.status() == Some(status) => Ok(()),
        other => other,
    }
}

/// "It is not there" is success.
pub(super) fn gone(result: Result<(), Error>) -> Result<(), Error> {
    fine(result, 404)
}

fn read(it: ContainerInspectResponse) -> (Container, Labels) {
    let labels = it.config.and_then(|it| it.labels).unwrap_or_default();
    let label = |key| labels.get(key).cloned().unwrap_or_default();
    let state = it.state.unwrap_or_default();
    let settings = it.network_settings.unwrap_or_default();
    let container = Container {
        id: it.id.unwrap_or_default(),
        name: it.name.unwrap_or_default().trim_start_matches('/').to_owned(),
        service: label(naming::SERVICE),
        generation: label(naming::GENERATION).parse().unwrap_or(0),
        config_hash: label(naming::CONFIG_HASH),
        image: it.image.unwrap_or_default(),
        state: status(state.status.unwrap_or(Status::EMPTY)),
        created_at: it.created.as_deref().and_then(time),
        started_at: state.started_at.as_deref().and_then(time),
        finished_at: state.finished_at.as_deref().and_then(time),
        exit_code: state.exit_code.unwrap_or(0),
        oom_killed: state.oom_killed.unwrap_or(false),
        error: state.error.unwrap_or_default(),
        limits: limits(&it.host_config.unwrap_or_default()),
        published: published(&settings),
        networks: networks(settings),
        pid: state.pid.unwrap_or(0),
    };
    (container, labels)
}

fn status(status: Status) -> State {
    match status {
        Status::RUNNING => State::Running,
        Status::PAUSED => State::Paused,
        Status::RESTARTING => State::Restarting,
        Status::REMOVING => State::Removing,
        Status::EXITED => State::Exited,
        Status::DEAD => State::Dead,
        _ => State::Created,
    }
}

/// The Engine says "never" with the year 1.
fn time(text: &str) -> Option<DateTime<Utc>> {
    let time = DateTime::parse_from_rfc3339(text).ok()?.to_utc();
    (time.timestamp() > 0).then_some(time)
}

fn limits(host: &HostConfig) -> Limits {
    let unsigned = |number: i64| u32::try_from(number).unwrap_or(0);
    Limits {
        cpu_millis: unsigned(host.nano_cpus.unwrap_or(0) / NANOS_PER_CPU_MILLI),
        memory_bytes: u64::try_from(host.memory.unwrap_or(0)).unwrap_or(0),
        pids: unsigned(host.pids_limit.unwrap_or(0)),
    }
}

fn told(host: &HostConfig) -> Told {
    let modes = [
        ("pid", &host.pid_mode),
        ("ipc", &host.ipc_mode),
        ("uts", &host.uts_mode),
        ("user", &host.userns_mode),
        ("network", &host.network_mode),
    ];
    let shared = modes.into_iter().filter(|(_, mode)| mode.as_deref() == Some("host"));
    Told {
        privileged: host.privileged.unwrap_or(false),
        shared: shared.map(|(name, _)| name.to_owned()).collect(),
    }
}

fn networks(settings: NetworkSettings) -> BTreeMap<String, Endpoint> {
    let networks = settings.networks.unwrap_or_default().into_iter();
    let read = |(name, it): (String, bollard::models::EndpointSettings)| {
        let address = it.ip_address.and_then(|it| it.parse().ok());
        (name, Endpoint { network_id: it.network_id.unwrap_or_default(), address })
    };
    networks.map(read).collect()
}

fn published(settings: &NetworkSettings) -> Vec<String> {
    let mut shown = Vec::new();
    for (port, bindings) in settings.ports.iter().flatten() {
        for binding in bindings.iter().flatten() {
            let host = binding.host_ip.as_deref().unwrap_or_default();
            let at = binding.host_port.as_deref().unwrap_or_default();
            shown.push(format!("{host}:{at}->{port}"));
        }
    }
    shown.sort();
    shown
}
