//! An Engine in memory that does what plans say.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};

use super::super::*;
use crate::naming::Naming;
use crate::observed::{Container, Endpoint, Network, State, Volume};
use crate::spec;
use crate::spec::{
    Attachment, Hardening, Probes, Restart, RestartPolicy, Scan, ScanPolicy, SecretMount, Service,
    Severity, Stop,
};

#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) desired: Desired,
    pub(super) observed: Observed,
    pub(super) judged: Judged,
    pub(super) now: DateTime<Utc>,
    /// Services whose files are in place for a start.
    filled: BTreeSet<String>,
    next_id: u32,
}

pub(super) fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
}

pub(super) fn hash(number: u8) -> String {
    format!("hash-{number}")
}

/// A plain service in the network `main`.
pub(super) fn service(name: &str) -> Service {
    Service {
        name: name.to_owned(),
        image: "image".to_owned(),
        entrypoint: vec![],
        command: vec![],
        working_dir: String::new(),
        environment: [].into(),
        secrets: vec![],
        configs: vec![],
        networks: vec![Attachment { network: "main".to_owned(), aliases: vec![] }],
        ports: vec![],
        mounts: vec![],
        depends_on: vec![],
        resources: Resources {
            cpu_millis: 500,
            memory_bytes: 64 << 20,
            pids: 64,
            shm_bytes: 64 << 20,
        },
        hardening: Hardening { user: None, read_only: true, cap_add: vec![] },
        probes: Probes::default(),
        restart: Restart { policy: RestartPolicy::Always, attempts: 8 },
        stop: Stop { signal: "SIGTERM".to_owned(), grace: Duration::from_secs(10) },
        labels: [].into(),
        hostname: String::new(),
        init: false,
        scan: Scan { policy: ScanPolicy::Off, severity: Severity::Critical },
        one_shot: false,
    }
}

pub(super) fn secret() -> SecretMount {
    SecretMount {
        name: "password".to_owned(),
        target: "/run/secrets/password".to_owned(),
        mode: 0o400,
    }
}

/// A stack of these services with one network and one volume, wished to run.
pub(super) fn desired(services: impl IntoIterator<Item = Service>) -> Desired {
    let services: BTreeMap<_, _> = services.into_iter().map(|it| (it.name.clone(), it)).collect();
    let pin = || Pinned { image: "sha256:1".to_owned(), hash: hash(1), restart_after: None };
    Desired {
        project: ProjectId::generate(),
        generation: 1,
        wish: Wish::Running,
        wished_at: now(),
        pinned: services.keys().map(|it| (it.clone(), pin())).collect(),
        stack: Stack {
            services,
            networks: [("main".to_owned(), spec::Network { internal: false })].into(),
            volumes: vec!["data".to_owned()],
            configs: [].into(),
        },
        subnets: [("main".to_owned(), "10.0.0.0/28".parse().expect("a network"))].into(),
    }
}

impl World {
    pub(super) fn new(desired: Desired) -> Self {
        let (observed, judged) = (Observed::default(), Judged::default());
        Self { desired, observed, judged, now: now(), filled: BTreeSet::new(), next_id: 1 }
    }

    pub(super) fn plan(&self) -> Plan {
        plan(&self.desired, &self.observed, &self.judged, self.now)
    }

    /// Executes one plan.
    pub(super) fn round(&mut self) {
        let plan = self.plan();
        self.apply(&plan);
    }

    /// Executes plans until there is nothing to do.
    pub(super) fn settle(&mut self, rounds_max: usize) {
        for _ in 0..rounds_max {
            self.round();
        }
    }

    pub(super) fn tick(&mut self) {
        self.now += TimeDelta::seconds(1);
    }

    pub(super) fn apply(&mut self, plan: &Plan) {
        self.apply_first(plan, usize::MAX);
    }

    pub(super) fn apply_first(&mut self, plan: &Plan, count: usize) {
        for step in plan.steps().take(count) {
            self.tick();
            self.execute(step);
        }
        // Somebody else's removal comes to its end, and so does work that ends by design.
        self.observed.containers.retain(|it| it.state != State::Removing);
        for container in &mut self.observed.containers {
            let service = self.desired.stack.services.get(&container.service);
            let ends = service.is_some_and(|it| it.one_shot && it.name.starts_with('s'));
            if ends && container.state == State::Running {
                container.state = State::Exited;
                container.finished_at = Some(self.now);
                container.exit_code = 0;
            }
        }
    }

    /// The process of a service ends by itself.
    pub(super) fn end(&mut self, service: &str, exit_code: i64) {
        self.tick();
        let container = self.observed.containers.iter_mut().find(|it| it.service == service);
        let container = container.expect("it has a container");
        container.state = State::Exited;
        container.exit_code = exit_code;
        container.finished_at = Some(self.now);
    }

    /// Gives a service a readiness probe.
    pub(super) fn probe(&mut self, service: &str) {
        let service = self.desired.stack.services.get_mut(service).expect("it is there");
        service.probes.readiness = Some(spec::Probe {
            check: spec::Check::Tcp(80),
            period: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failures: 2,
            successes: 1,
            deadline: Duration::from_secs(60),
        });
    }

    /// Whether the object that a step names is there.
    pub(super) fn knows(&self, step: &Step) -> bool {
        match step {
            Step::Stop { id, .. }
            | Step::RemoveContainer { id, .. }
            | Step::Connect { id, .. }
            | Step::Update { id, .. }
            | Step::Start { id, .. } => self.observed.containers.iter().any(|it| it.id == *id),
            Step::RemoveNetwork { id, .. } => self.observed.networks.iter().any(|it| it.id == *id),
            Step::RemoveVolume { name, .. } | Step::RemoveFiles { name, .. } => {
                self.observed.volumes.iter().any(|it| it.name == *name)
            }
            _ => true,
        }
    }

    pub(super) fn is_up_or_done(&self, service: &str) -> bool {
        self.observed.of(service).any(|it| it.is_up() || (it.has_ended() && it.exit_code == 0))
    }

    /// Whether the Engine holds what is desired, whatever plans say.
    pub(super) fn fits(&self) -> bool {
        let services = &self.desired.stack.services;
        match self.desired.wish {
            Wish::Stopped => !self.observed.containers.iter().any(Container::is_up),
            Wish::Removed { .. } => {
                self.observed.containers.is_empty() && self.observed.networks.is_empty()
            }
            Wish::Running => {
                let declared = |it: &Container| services.contains_key(&it.service);
                self.observed.containers.iter().all(declared)
                    && services.keys().all(|name| self.service_fits(name))
            }
        }
    }

    fn service_fits(&self, name: &str) -> bool {
        let Some(pinned) = self.desired.pinned.get(name) else { return true };
        let held_back = self.plan().waits.contains_key(name);
        let mut of = self.observed.of(name);
        let (Some(one), None) = (of.next(), of.next()) else { return false };
        one.config_hash == pinned.hash
            && one.limits == limits(self.desired.stack.services[name].resources)
            && (one.is_up() || held_back || one.exit_code == 0)
    }

    fn execute(&mut self, step: &Step) {
        let naming = Naming { owner: uuid::Uuid::nil(), project: self.desired.project };
        let now = self.now;
        match step {
            Step::CreateNetwork { network, internal, subnet } => {
                let id = self.id();
                self.observed.networks.push(Network {
                    id,
                    name: naming.network(network),
                    network: network.clone(),
                    internal: *internal,
                    subnet: Some(*subnet),
                });
            }
            Step::CreateVolume { volume } => self.observed.volumes.push(Volume {
                name: naming.volume(volume),
                volume: volume.clone(),
                files_of: String::new(),
            }),
            Step::CreateContainer { service } => {
                self.files(&naming, service);
                self.create(service);
            }
            Step::Fill { service, .. } => {
                self.files(&naming, service);
                let mut helper = self.blank("", &self.desired.stack.services[service]);
                helper.id = self.id();
                helper.service = String::new();
                helper.state = State::Running;
                self.observed.containers.push(helper);
                self.filled.insert(service.clone());
            }
            Step::RemoveContainer { id, .. } => {
                let helper = self.observed.containers.iter().find(|it| it.id == *id);
                if helper.is_some_and(Container::is_helper) {
                    // What was filled and not started yet is lost.
                    self.filled.clear();
                }
                self.observed.containers.retain(|it| it.id != *id);
            }
            Step::RemoveNetwork { id, .. } => self.observed.networks.retain(|it| it.id != *id),
            Step::RemoveVolume { name, .. } | Step::RemoveFiles { name, .. } => {
                self.observed.volumes.retain(|it| it.name != *name)
            }
            Step::Stop { id, .. } => {
                let container = self.container(id);
                container.state = State::Exited;
                container.exit_code = 143;
                container.finished_at = Some(now);
            }
            Step::Start { id, service } => {
                let files = files::has(&self.desired.stack.services[service]);
                assert!(!files || self.filled.remove(service), "{service} starts without files");
                let container = self.container(id);
                container.state = State::Running;
                container.started_at = Some(now);
            }
            Step::Update { id, limits, .. } => self.container(id).limits = *limits,
            Step::Connect { id, attachment, .. } => {
                let endpoint = Endpoint { network_id: String::new(), address: None };
                let name = naming.network(&attachment.network);
                self.container(id).networks.insert(name, endpoint);
            }
        }
    }

    fn files(&mut self, naming: &Naming, service: &str) {
        let name = naming.files(service);
        let declared = files::has(&self.desired.stack.services[service]);
        if declared && !self.observed.volumes.iter().any(|it| it.files_of == service) {
            let files_of = service.to_owned();
            self.observed.volumes.push(Volume { name, volume: String::new(), files_of });
        }
    }

    fn create(&mut self, name: &str) {
        let id = self.id();
        let service = self.desired.stack.services[name].clone();
        let container = self.blank(&id, &service);
        self.observed.containers.push(container);
    }

    /// A container as the Engine makes it: in its first network only.
    pub(super) fn blank(&self, id: &str, service: &Service) -> Container {
        let naming = Naming { owner: uuid::Uuid::nil(), project: self.desired.project };
        let endpoint = Endpoint { network_id: String::new(), address: None };
        let first = service.networks.first().map(|it| (naming.network(&it.network), endpoint));
        Container {
            id: id.to_owned(),
            name: naming.container(&service.name, self.desired.generation),
            service: service.name.clone(),
            generation: self.desired.generation,
            config_hash: self.desired.pinned[&service.name].hash.clone(),
            image: "sha256:1".to_owned(),
            state: State::Created,
            created_at: Some(self.now),
            started_at: None,
            finished_at: None,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            limits: limits(service.resources),
            networks: first.into_iter().collect(),
            published: vec![],
            pid: 0,
        }
    }

    fn container(&mut self, id: &str) -> &mut Container {
        let found = self.observed.containers.iter_mut().find(|it| it.id == id);
        found.expect("plans name what is there")
    }

    fn id(&mut self) -> String {
        self.next_id += 1;
        format!("id-{}", self.next_id)
    }
}
