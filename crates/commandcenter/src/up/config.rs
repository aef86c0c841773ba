//! The sections of all services as one configuration.

use std::path::{Path, PathBuf};

use chassis::process::Listener;
use serde::{Deserialize, Serialize};

/// Connections that the services of one process share.
const CONNECTIONS_MAX: u32 = 24;

/// The services that call others, each with a token of its own.
pub(super) const SERVICES: [&str; 2] = ["hub", "ingestion-worker"];

/// What `up` can be told; `commandcenter config explain` lists every key.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Config {
    pub(super) http: Listener,
    pub(super) grpc: Listener,
    pub(super) admin: Listener,
    pub(super) telemetry: telemetry::Config,
    pub(super) database: database::Config,
    pub(super) bus: bus::Config,
    pub(super) jobs: jobs::Config,
    pub(super) fetch: ingestion_worker::fetch::Config,
    pub(super) ingestion: ingestion_worker::Config,
    pub(super) knowledge: knowledge::Config,
    pub(super) hub: hub::Config,
    pub(super) orchestrator: orchestrator::Config,
}

impl Default for Config {
    fn default() -> Self {
        let listeners = chassis::process::Config::default();
        Self {
            http: listeners.http,
            grpc: listeners.grpc,
            admin: listeners.admin,
            telemetry: telemetry::Config::default(),
            database: database::Config {
                connections_max: CONNECTIONS_MAX,
                ..database::Config::default()
            },
            bus: bus::Config::default(),
            jobs: jobs::Config::default(),
            fetch: ingestion_worker::fetch::Config::default(),
            ingestion: ingestion_worker::Config::default(),
            knowledge: knowledge::Config::default(),
            hub: hub::Config::default(),
            orchestrator: orchestrator::Config {
                // Below the data directory, unless somebody chooses.
                logs: orchestrator::logs::Config { folder: PathBuf::new(), ..Default::default() },
                scan: orchestrator::scan::Config {
                    cache_dir: PathBuf::new(),
                    ..Default::default()
                },
                ..orchestrator::Config::default()
            },
        }
    }
}

impl Config {
    pub(super) fn process(&self) -> chassis::process::Config {
        chassis::process::Config {
            http: self.http.clone(),
            grpc: self.grpc.clone(),
            admin: self.admin.clone(),
        }
    }

    /// Fills in the paths that follow from the data directory, where nobody chose others.
    pub(super) fn default_paths(&mut self, data_dir: &Path, runtime_dir: &Path) {
        let secrets = data_dir.join("secrets");
        let hub = &mut self.hub;
        hub.admin_token_file.get_or_insert_with(|| data_dir.join("admin.token"));
        hub.admin_password_file.get_or_insert_with(|| data_dir.join("admin.password"));
        for service in SERVICES {
            hub.service_token_files
                .entry(service.to_owned())
                .or_insert_with(|| secrets.join(format!("service-{service}.token")));
        }
        self.knowledge
            .model_dir
            .get_or_insert_with(|| runtime_dir.join("model").join("all-MiniLM-L6-v2"));
        let orchestrator::Config { logs, scan, .. } = &mut self.orchestrator;
        let below = [
            (&mut logs.folder, data_dir.join("logs").join("stacks")),
            (&mut scan.cache_dir, data_dir.join("trivy")),
        ];
        for (path, default) in below.into_iter().filter(|(path, _)| path.as_os_str().is_empty()) {
            *path = default;
        }
    }
}

/// `runtime` beside the folder of this program, as an installation lays them out.
pub(crate) fn runtime_dir_beside_us() -> PathBuf {
    std::env::current_exe()
        .ok()
        .and_then(|exe| Some(exe.parent()?.parent()?.join("runtime")))
        .unwrap_or_else(|| PathBuf::from("runtime"))
}
