//! `commandcenter up`: every service in one process, with its own Postgres and NATS unless
//! `DATABASE_URL` or `NATS_URL` names others.
//!
//! - [`config`]: the sections of all services as one configuration.
//! - [`services`]: the services, built and wired to each other.
//! - [`announce`]: what clients and people need to know once it is ready.

mod announce;
mod config;
mod services;

use std::{
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use chassis::{
    Process, Shutdown,
    config::Layers,
    process::Signals,
    readiness::{Readiness, State},
};

use crate::{
    cli::Global,
    output::{Format, table},
    servers::{self, Servers},
};
use config::Config;
pub(crate) use config::runtime_dir_beside_us as runtime_dir;

/// How long threads that are still busy at the end are waited for.
const RUNTIME_TIMEOUT: Duration = Duration::from_secs(1);

/// Exit code for a configuration that a person must mend, as sysexits.h has it.
const EXIT_USAGE: u8 = 2;

/// Options of `up`; every other setting comes from the configuration.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Keep the data in a temporary folder that is removed at the end.
    #[arg(long)]
    ephemeral: bool,
    /// The port of pages and REST [default: 8080, or the next free one].
    #[arg(long, value_name = "PORT")]
    http_port: Option<u16>,
    /// The port of gRPC [default: 8081, or the next free one].
    #[arg(long, value_name = "PORT")]
    grpc_port: Option<u16>,
    /// The port of /livez, /readyz and /metrics [default: 8083, or the next free one].
    #[arg(long, value_name = "PORT")]
    admin_port: Option<u16>,
    /// The folder with the programs and the model that `scripts/runtime` fetched.
    #[arg(long, value_name = "DIR")]
    runtime_dir: Option<PathBuf>,
    /// A folder to import on the first start, so that a search finds something at once.
    #[arg(long, value_name = "PATH")]
    first_import: Option<PathBuf>,
}

impl Args {
    fn flags(&self) -> Vec<(String, String)> {
        let ports =
            [("http", self.http_port), ("grpc", self.grpc_port), ("admin", self.admin_port)];
        ports
            .into_iter()
            .filter_map(|(section, port)| Some((section, port?)))
            .map(|(section, port)| (format!("{section}.port"), port.to_string()))
            .collect()
    }
}

/// Runs everything until it is told to stop.
pub(crate) fn run(global: &Global, args: Args) -> ExitCode {
    match start(global, &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("commandcenter up: {error:#}");
            ExitCode::from(chassis::process::exit_code(&error))
        }
    }
}

fn start(global: &Global, args: &Args) -> anyhow::Result<()> {
    let data_dir = global.data_dir();
    let loaded = load(&data_dir, args.flags())?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(async {
        let telemetry = telemetry::start("commandcenter", &loaded.config.telemetry)?;
        let signals = Signals::watch()?;
        let listeners = loaded.config.process().keep_chosen_ports(&loaded.explained);
        let serve = async {
            let readiness = Readiness::default();
            let process = Process::bind(&listeners, readiness.clone(), telemetry.metrics()).await?;
            let instance = Instance { process, readiness, config: loaded.config, args };
            instance.serve(data_dir, signals.stop()).await
        };
        let ended = signals.run(serve).await;
        telemetry.stop().await;
        ended
    });
    // What a second signal dropped may still have programs to kill.
    runtime.shutdown_timeout(RUNTIME_TIMEOUT);
    ended
}

fn load(
    data_dir: &Path,
    flags: Vec<(String, String)>,
) -> Result<chassis::config::Loaded<Config>, chassis::config::Error> {
    chassis::config::load(&Layers::of_process(vec![data_dir.join("config.toml")], flags))
}

/// Where the Docker Engine of an instance with this data directory listens.
pub(crate) fn docker_socket(data_dir: &Path) -> Result<PathBuf, chassis::config::Error> {
    Ok(load(data_dir, Vec::new())?.config.orchestrator.docker_socket)
}

/// Everything that serves, before it does.
struct Instance<'a> {
    process: Process,
    readiness: Readiness,
    config: Config,
    args: &'a Args,
}

impl Instance<'_> {
    /// Starts the servers, serves until `shutdown`, and ends the servers whatever happened.
    async fn serve(mut self, data_dir: PathBuf, shutdown: Shutdown) -> anyhow::Result<()> {
        let runtime_dir =
            self.args.runtime_dir.clone().unwrap_or_else(config::runtime_dir_beside_us);
        let wanted = servers::Config {
            data_dir,
            runtime_dir: runtime_dir.clone(),
            ephemeral: self.args.ephemeral,
            database_url: self.config.database.url.clone(),
            nats: self.config.bus.clone(),
        };
        let servers = match Servers::start(&wanted, &shutdown).await {
            Err(servers::Error::Interrupted) => return Ok(()),
            started => started?,
        };
        let data_dir = servers.data_dir().to_owned();
        self.config.default_paths(&data_dir, &runtime_dir);
        self.config.database.url = servers.database_url.clone();
        self.config.bus = servers.nats.clone();
        let readiness = self.readiness.clone();
        let ended = tokio::select! {
            ended = self.with_servers(&data_dir, shutdown) => ended,
            never = servers.report(&readiness) => match never {},
        };
        announce::withdraw(&data_dir);
        servers.stop().await;
        ended
    }

    async fn with_servers(self, data_dir: &Path, shutdown: Shutdown) -> anyhow::Result<()> {
        let addresses = self.process.addresses();
        let built = services::build(&self.config, data_dir, addresses, &self.readiness);
        let Some(built) = shutdown.run_until_cancelled(built).await else { return Ok(()) };
        let services::Built { services, authenticator, pool } = built?;
        // The servers are ready already; without this the whole would be taken for ready.
        for service in &services {
            self.readiness.set(service.name, State::Starting);
        }
        let announced = announce::when_ready(announce::Announcement {
            data_dir: data_dir.to_owned(),
            addresses,
            ephemeral: self.args.ephemeral,
            first_import: self.args.first_import.clone(),
            readiness: self.readiness,
        });
        let served = self.process.serve(services, authenticator, shutdown);
        tokio::pin!(served);
        let ended = tokio::select! {
            ended = &mut served => ended,
            // The announcement ends by itself; then only the services are waited for.
            () = announced => served.await,
        };
        announce::what_outlives_us(&pool, self.args.ephemeral).await;
        ended.context("the services ended with a failure; the log has the details")
    }
}

/// Prints every setting with its value and where that comes from.
pub(crate) fn explain(global: &Global) -> ExitCode {
    let loaded = match load(&global.data_dir(), Vec::new()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("commandcenter config explain: {error}");
            return ExitCode::from(EXIT_USAGE);
        }
    };
    match global.output {
        Format::Json => {
            let settings: serde_json::Map<_, _> = loaded
                .explained
                .into_iter()
                .map(|(key, (value, origin))| {
                    (key, serde_json::json!({ "value": value, "origin": origin.to_string() }))
                })
                .collect();
            println!("{}", serde_json::Value::Object(settings));
        }
        Format::Table => {
            let rows = loaded
                .explained
                .into_iter()
                .map(|(key, (value, origin))| [key, value, origin.to_string()]);
            println!("{}", table(["setting", "value", "origin"], rows));
        }
    }
    ExitCode::SUCCESS
}
