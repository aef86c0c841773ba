//! Carries a plan out. A step may be done twice without harm.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::join_all;
use ipnet::Ipv4Net;
use proto::OperationId;

use super::holder;
use super::refusal::{Fault, Refusal};
use crate::app::App;
use crate::db;
use crate::docker::{Error, NewContainer, NewNetwork};
use crate::logs::redact::Redactor;
use crate::naming::{self, Naming};
use crate::observed::{Container, Observed};
use crate::operation::StepState;
use crate::plan::{Desired, Plan, Step};
use crate::secret::Vault;
use crate::spec::{Mount, MountKind, User};

/// How long a container that is to be removed waits for its log to be read.
const LOG_PATIENCE: Duration = Duration::from_secs(20);

/// What steps need.
pub(super) struct Executor<'a> {
    pub(super) app: &'a App,
    pub(super) naming: Naming,
    pub(super) desired: &'a Desired,
    pub(super) observed: &'a Observed,
    /// Opens secrets.
    pub(super) vault: &'a Vault,
    /// Knows them.
    pub(super) redactor: &'a Redactor,
    /// Who services are that do not say.
    pub(super) user: User,
    /// Where steps are noted.
    pub(super) operation: Option<OperationId>,
}

/// What came of a plan. Steps that are in neither list were not tried.
#[derive(Debug, Default)]
pub(super) struct Done {
    pub(super) steps: Vec<Step>,
    pub(super) refusals: Vec<Refusal>,
}

impl Executor<'_> {
    /// Executes the stages one after the other, without the steps that are `held`. Whoever needs
    /// a step that was not done is left alone; when the daemon itself is the trouble, everything
    /// stops.
    pub(super) async fn execute(&self, plan: &Plan, held: &[Step]) -> Done {
        let (mut done, mut undone) = (Done::default(), Vec::<&Step>::new());
        let stack = &self.desired.stack;
        for stage in &plan.stages {
            let (mut tried, mut left) = (Vec::new(), Vec::new());
            for step in stage {
                let waits = held.contains(step) || undone.iter().any(|it| it.holds_up(step, stack));
                match (waits, self.may(step)) {
                    (false, true) => tried.push(step),
                    // While only starts are allowed, a service starts with what it has.
                    (false, false)
                        if matches!(step, Step::Update { .. } | Step::Connect { .. }) => {}
                    _ => left.push(step),
                }
            }
            let answers = join_all(tried.iter().map(|step| self.step(step))).await;
            for (step, answer) in tried.into_iter().zip(answers) {
                match answer {
                    Ok(()) => done.steps.push(step.clone()),
                    Err(refusal) => {
                        left.push(step);
                        done.refusals.push(refusal);
                    }
                }
            }
            undone.extend(left);
            if done.refusals.iter().any(|it| it.transport) {
                break;
            }
        }
        done
    }

    fn may(&self, step: &Step) -> bool {
        self.app.lease.may_change() || (step.starts() && self.app.lease.may_start())
    }

    async fn step(&self, step: &Step) -> Result<(), Refusal> {
        self.app.failpoint.pass().await;
        let done = self.call(step).await;
        self.app.failpoint.pass().await;
        let (text, state) = match &done {
            Ok(()) => (step.to_string(), StepState::Done),
            Err(fault) => (self.redactor.text(&format!("{step}: {fault}")), StepState::Failed),
        };
        let (project, service) = (self.desired.project, step.service());
        tracing::info!(project.id = %project, service, state = state.as_str(), "{text}");
        if let Some(id) = self.operation {
            let noted = db::operation::append(&self.app.pool, id, service, &text, state);
            if let Err(error) = db::within(noted).await {
                tracing::warn!(error = %error, operation.id = %id, "a step cannot be noted");
            }
            self.app.operations.send_modify(|it| *it += 1);
        }
        let Err(fault) = done else { return Ok(()) };
        let mut refusal = Refusal::new(step, &fault, text);
        holder::name(&self.app.docker, self.desired, &mut refusal).await;
        Err(refusal)
    }

    async fn call(&self, step: &Step) -> Result<(), Fault> {
        let docker = &self.app.docker;
        let done = match step {
            Step::Stop { id, grace, .. } => match docker.stop_container(id, *grace).await {
                // A frozen process cannot hear that it shall stop.
                Err(Error::Refused { message, .. }) if message.contains("paused") => {
                    docker.unpause(id).await?;
                    docker.stop_container(id, *grace).await
                }
                other => other,
            },
            Step::RemoveContainer { service, id } => {
                self.keep_log(service, id).await?;
                docker.remove_container(id).await
            }
            Step::RemoveNetwork { id, .. } => docker.remove_network(id).await,
            Step::RemoveVolume { name, .. } | Step::RemoveFiles { name, .. } => {
                docker.remove_volume(name).await
            }
            Step::Fill { service, .. } => return self.fill(service).await,
            Step::CreateNetwork { network, internal, subnet } => {
                self.create_network(network, *internal, *subnet).await
            }
            Step::CreateVolume { volume } => self.create_volume(volume).await,
            Step::CreateContainer { service } => self.create_container(service).await,
            Step::Connect { service, id, attachment } => {
                let network = self.naming.network(&attachment.network);
                docker.connect(&network, id, service, attachment).await
            }
            Step::Update { id, limits, .. } => docker.update_limits(id, *limits).await,
            Step::Start { service, id } => {
                self.own_volumes(service, id).await?;
                docker.start_container(id).await
            }
        };
        done.map_err(Fault::from)
    }

    /// A container takes its log with it: what it wrote last is read before.
    async fn keep_log(&self, service: &str, id: &str) -> Result<(), Error> {
        let Some((container, _)) = self.app.docker.container(id).await? else { return Ok(()) };
        let stopped_at = container.finished_at.filter(|_| container.has_ended());
        if let Some(at) = stopped_at
            && !self.app.logs.drained(id, at, LOG_PATIENCE).await
        {
            let project = self.desired.project;
            tracing::warn!(project.id = %project, service, "a log is cut off by a removal");
        }
        Ok(())
    }

    pub(super) fn labels(&self, key: &str, value: &str) -> BTreeMap<String, String> {
        let mut labels = self.naming.labels();
        labels.insert(key.to_owned(), value.to_owned());
        labels
    }

    async fn create_network(
        &self,
        network: &str,
        internal: bool,
        subnet: Ipv4Net,
    ) -> Result<(), Error> {
        let docker = &self.app.docker;
        self.app.isolation.prepare(docker, self.naming.owner).await;
        let prefix = self.app.config.bridges.as_str();
        docker
            .create_network(&NewNetwork {
                name: self.naming.network(network),
                labels: self.labels(naming::NETWORK, network),
                internal,
                subnet,
                bridge: (!prefix.is_empty()).then(|| self.naming.bridge(prefix, network)),
            })
            .await
    }

    async fn create_volume(&self, volume: &str) -> Result<(), Error> {
        let name = self.naming.volume(volume);
        let labels = self.labels(naming::VOLUME, volume);
        let found = self.app.docker.create_volume(&name, &labels, false).await?;
        let ours = self.naming.owns(|key| found.labels.get(key));
        if ours { Ok(()) } else { Err(taken("volume", &name)) }
    }

    /// Makes a service's container. When its name is taken, by an attempt whose answer was lost
    /// or by an older one, it is adopted or replaced; a stranger's is left alone.
    async fn create_container(&self, name: &str) -> Result<(), Error> {
        let (Some(service), Some(pinned)) =
            (self.desired.stack.services.get(name), self.desired.pinned.get(name))
        else {
            return Ok(()); // Plans name only what is desired.
        };
        let generation = self.desired.generation;
        let new = NewContainer {
            name: self.naming.container(name, generation),
            image: &pinned.image,
            labels: self.naming.container_labels(name, generation, &pinned.hash),
            service,
            user: service.hardening.user.unwrap_or(self.user),
            naming: self.naming,
            folder: self.folder(service).await?,
        };
        let docker = &self.app.docker;
        match docker.create_container(&new).await {
            Err(error) if error.is_conflict() => {}
            other => return other.map(drop),
        }
        let Some((found, labels)) = docker.container(&new.name).await? else {
            return docker.create_container(&new).await.map(drop);
        };
        if !self.naming.owns(|key| labels.get(key)) {
            return Err(taken("container", &new.name));
        }
        if found.config_hash == pinned.hash {
            return Ok(());
        }
        docker.remove_container(&found.id).await?;
        docker.create_container(&new).await.map(drop)
    }

    /// Before the first start, new volumes are given to the service's user.
    async fn own_volumes(&self, name: &str, id: &str) -> Result<(), Error> {
        let container = self.observed.containers.iter().find(|it| it.id == *id);
        let first = |it: &Container| it.started_at.is_none();
        let service = self.desired.stack.services.get(name);
        let Some(service) = service.filter(|_| container.is_some_and(first)) else {
            return Ok(());
        };
        let user = service.hardening.user.unwrap_or(self.user);
        let Some(pinned) = self.desired.pinned.get(name) else { return Ok(()) };
        let labels = self.naming.labels();
        for mount in service.mounts.iter().filter(|it| !it.read_only) {
            if let MountKind::Volume(volume) = &mount.kind {
                let owners = self.owners(&mount.kind);
                let volume = self.naming.volume(volume);
                self.app.docker.own_volume(&volume, &pinned.image, &labels, user, &owners).await?;
            }
        }
        Ok(())
    }

    /// The uids of those who may write to a volume.
    fn owners(&self, volume: &MountKind) -> Vec<u32> {
        let services = self.desired.stack.services.values();
        let writes = |it: &Mount| !it.read_only && it.kind == *volume;
        let sharing = services.filter(|it| it.mounts.iter().any(writes));
        sharing.map(|it| it.hardening.user.unwrap_or(self.user).uid).collect()
    }
}

/// A stranger's object has our name.
pub(super) fn taken(what: &'static str, name: &str) -> Error {
    Error::Refused {
        what: "create",
        status: 409,
        message: format!(
            "the {what} name {name} is already in use by container or volume of others"
        ),
    }
}
