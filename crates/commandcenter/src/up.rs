//! `commandcenter up`: every service in one process, with its own Postgres and NATS.
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
use chassis::{Process, config::Layers, readiness::Readiness};

use crate::{
    cli::Global,
    output::{Format, table},
    servers::{self, Servers},
};
use config::Config;
pub(crate) use config::runtime_dir_beside_us as runtime_dir;

/// From the start of the services until all serve; a first start migrates and loads a model.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

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
            .flat_map(|(section, port)| {
                // A port that somebody chose does not move.
                [
                    (format!("{section}.port"), port.to_string()),
                    (format!("{section}.port_may_move"), "false".to_owned()),
                ]
            })
            .collect()
    }
}

/// Runs everything until it is told to stop.
pub(crate) fn run(global: &Global, args: Args) -> ExitCode {
    match start(global, &args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("commandcenter up: {error:#}");
            let usage = error.downcast_ref::<chassis::config::Error>().is_some();
            ExitCode::from(if usage { EXIT_USAGE } else { 1 })
        }
    }
}

fn start(global: &Global, args: &Args) -> anyhow::Result<()> {
    let data_dir = global.data_dir();
    let config = load(&data_dir, args.flags())?.config;
    let telemetry = telemetry::start("commandcenter", &config.telemetry)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ended = runtime.block_on(serve(data_dir, config, args, telemetry.metrics()));
    runtime.shutdown_timeout(Duration::from_secs(1));
    telemetry.stop();
    ended
}

fn load(
    data_dir: &Path,
    flags: Vec<(String, String)>,
) -> Result<chassis::config::Loaded<Config>, chassis::config::Error> {
    chassis::config::load(&Layers::of_process(vec![data_dir.join("config.toml")], flags))
}

async fn serve(
    data_dir: PathBuf,
    mut config: Config,
    args: &Args,
    metrics: telemetry::Metrics,
) -> anyhow::Result<()> {
    let shutdown = chassis::process::shutdown_on_signal()?;
    let runtime_dir = args.runtime_dir.clone().unwrap_or_else(config::runtime_dir_beside_us);
    let servers = Servers::start(&servers::Config {
        data_dir,
        runtime_dir: runtime_dir.clone(),
        ephemeral: args.ephemeral,
    })
    .await?;
    let data_dir = servers.data_dir().to_owned();
    config.default_paths(&data_dir, &runtime_dir);
    config.use_servers(&servers);

    let readiness = Readiness::default();
    let process = Process::bind(&config.process(), readiness.clone(), metrics).await?;
    let addresses = process.addresses();
    let (services, authenticator) =
        services::build(&config, &data_dir, addresses, &readiness).await?;
    let announced = announce::when_ready(announce::Announcement {
        data_dir: data_dir.clone(),
        addresses,
        ephemeral: args.ephemeral,
        first_import: args.first_import.clone(),
        readiness,
        timeout: READY_TIMEOUT,
    });
    let served = process.serve(services, authenticator, shutdown.clone());
    tokio::pin!(served);
    let ended = tokio::select! {
        ended = &mut served => ended,
        // The announcement ends by itself; then only the services are waited for.
        () = announced => served.await,
    };
    announce::withdraw(&data_dir);
    servers.stop().await;
    ended.context("the services ended with a failure; the log has the details")
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
