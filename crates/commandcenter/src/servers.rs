//! The private Postgres and `nats-server` that `commandcenter up` runs beside its services.
//!
//! - [`data_dir`]: the data directory, its lock, and who may enter what.
//! - [`account`]: whom the servers run as, for Postgres refuses to run as root.
//! - [`supervise`]: starts a program, watches it, restarts it, ends it.
//! - [`postgres`] and [`nats`]: how each of the two is set up, run and found ready.
//!
//! Neither server trusts anybody: whoever connects needs a password that only the files below
//! `DIR/secrets` know, loopback or not.

mod account;
mod data_dir;
mod error;
mod leftover;
mod nats;
mod postgres;
mod secrets;
mod supervise;

use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::Shutdown;
use chassis::config::Secret;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use data_dir::DataDir;
pub use data_dir::default_data_dir;
pub use error::Error;
pub(crate) use secrets::password;
pub use supervise::Status;
use supervise::{Program, supervise};

/// How long both servers together may take to become ready: recovery after a crash included.
const READY_WITHIN: Duration = Duration::from_secs(120);

/// A server that ends this often before it is ever ready will not become so.
const EARLY_ENDS_MAX: u32 = 3;

/// Where the servers live.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where everything is kept; made when it is missing.
    pub data_dir: PathBuf,
    /// What `scripts/runtime` made: `postgres/bin/postgres`, `nats/nats-server`.
    pub runtime_dir: PathBuf,
    /// Keeps everything in a temporary folder instead, which goes with the value, and does not
    /// wait for the disk.
    pub ephemeral: bool,
}

/// The two servers, running; dropped without [`stop`](Self::stop), they are killed.
#[derive(Debug)]
pub struct Servers {
    /// How to reach Postgres, as the owner of its one database.
    pub database_url: Secret,
    /// How to reach NATS.
    pub nats: bus::Config,
    statuses: [watch::Receiver<Status>; 2],
    stop: Shutdown,
    supervisors: JoinSet<()>,
    data_dir: DataDir,
}

impl Servers {
    /// Starts both servers, after ending those that a killed process left behind on the same data
    /// directory, and returns once they answer.
    ///
    /// # Errors
    /// Each [`Error`] says which file, account or program is at fault and what helps.
    pub async fn start(config: &Config) -> Result<Self, Error> {
        let data_dir = DataDir::open(config)?;
        let programs = data_dir.programs(&config.runtime_dir).await?;
        let (postgres, nats) = tokio::try_join!(
            postgres::prepare(&data_dir, &programs),
            nats::prepare(&data_dir, &programs)
        )?;
        let (database_url, nats_config) = (postgres.url.clone(), nats.config.clone());
        let stop = Shutdown::new();
        let mut supervisors = JoinSet::new();
        let statuses = [postgres.program, nats.program]
            .map(|program| watched(program, &stop, &mut supervisors));
        let deadline = Instant::now() + READY_WITHIN;
        let [postgres_ready, nats_ready] = statuses.clone().map(|it| ready(it, deadline));
        let set_up = async {
            postgres_ready.await?;
            postgres::set_up_database(&data_dir, &postgres.passwords).await
        };
        tokio::try_join!(set_up, nats_ready)?;
        Ok(Self { database_url, nats: nats_config, statuses, stop, supervisors, data_dir })
    }

    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// How the servers are, Postgres first.
    pub fn status(&self) -> Vec<Status> {
        self.statuses.iter().map(|status| status.borrow().clone()).collect()
    }

    /// Ends both servers in good order, and by force after ten seconds; then frees the data
    /// directory. To be called once nobody needs them any more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.supervisors.join_next().await.is_some() {}
    }
}

fn watched(
    program: Program,
    stop: &Shutdown,
    supervisors: &mut JoinSet<()>,
) -> watch::Receiver<Status> {
    let (sender, receiver) = watch::channel(Status::new(&program));
    supervisors.spawn(supervise(program, sender, stop.clone()));
    receiver
}

/// Waits until a server is ready; gives up when it keeps ending or takes too long.
async fn ready(mut status: watch::Receiver<Status>, deadline: Instant) -> Result<(), Error> {
    let decided = status.wait_for(|now| now.ready || now.restarts >= EARLY_ENDS_MAX);
    let ready = matches!(timeout_at(deadline, decided).await, Ok(Ok(now)) if now.ready);
    if ready { Ok(()) } else { Err(Error::not_ready(&status.borrow())) }
}
