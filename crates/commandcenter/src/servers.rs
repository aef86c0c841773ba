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
mod ephemeral;
mod error;
mod leftover;
mod nats;
mod postgres;
mod secrets;
mod supervise;

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chassis::Shutdown;
use chassis::config::Secret;
use chassis::readiness::Readiness;
use futures::FutureExt as _;
use futures::future::{OptionFuture, join_all, try_join_all};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

use data_dir::DataDir;
pub use data_dir::default_data_dir;
pub(crate) use data_dir::holder;
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
    /// A Postgres of somebody else's; empty: one of our own is run.
    pub database_url: Secret,
    /// A NATS of somebody else's; without a URL, one of our own is run.
    pub nats: bus::Config,
}

impl Config {
    fn runs_postgres(&self) -> bool {
        self.database_url.is_empty()
    }

    fn runs_nats(&self) -> bool {
        self.nats.url.is_empty()
    }

    fn runs_servers(&self) -> bool {
        self.runs_postgres() || self.runs_nats()
    }
}

/// The servers that we run, and how to reach both; dropped without [`stop`](Self::stop), they are
/// killed.
#[derive(Debug)]
pub struct Servers {
    /// How to reach Postgres, as the owner of its one database.
    pub database_url: Secret,
    /// How to reach NATS.
    pub nats: bus::Config,
    statuses: Vec<watch::Receiver<Status>>,
    stop: Shutdown,
    supervisors: JoinSet<()>,
    data_dir: DataDir,
}

impl Servers {
    /// Starts the servers that nobody else runs, after ending those that a killed process left
    /// behind on the same data directory, and returns once they answer.
    ///
    /// # Errors
    /// Each [`Error`] says which file, account or program is at fault and what helps;
    /// [`Error::Interrupted`] once `interrupt` is cancelled. No server runs then.
    pub async fn start(config: &Config, interrupt: &Shutdown) -> Result<Self, Error> {
        let launched = interrupt.run_until_cancelled(Self::launch(config)).await;
        let (servers, passwords) = launched.unwrap_or(Err(Error::Interrupted))?;
        let usable = interrupt.run_until_cancelled(servers.usable(passwords)).await;
        match usable.unwrap_or(Err(Error::Interrupted)) {
            Ok(()) => Ok(servers),
            Err(error) => {
                servers.stop().await;
                Err(error)
            }
        }
    }

    async fn launch(config: &Config) -> Result<(Self, Option<postgres::Passwords>), Error> {
        if config.ephemeral {
            Self::sweep(&std::env::temp_dir()).await;
        }
        let dir = DataDir::open(config).await?;
        // The services keep keys and tokens there, also when both servers are somebody else's.
        dir.own_folder("secrets")?;
        let needed = [("postgres", config.runs_postgres()), ("nats", config.runs_nats())];
        let needed: Vec<_> =
            needed.into_iter().filter_map(|(it, runs)| runs.then_some(it)).collect();
        let programs = dir.programs(&config.runtime_dir, &needed).await?;
        let postgres = config.runs_postgres().then(|| postgres::prepare(&dir, &programs));
        let nats = config.runs_nats().then(|| nats::prepare(&dir, &programs));
        let (postgres, nats) = tokio::try_join!(
            OptionFuture::from(postgres).map(Option::transpose),
            OptionFuture::from(nats).map(Option::transpose)
        )?;
        let mut servers = Self {
            database_url: config.database_url.clone(),
            nats: config.nats.clone(),
            statuses: Vec::new(),
            stop: Shutdown::new(),
            supervisors: JoinSet::new(),
            data_dir: dir,
        };
        let passwords = postgres.map(|postgres| {
            servers.database_url = postgres.url;
            servers.run(postgres.program);
            postgres.passwords
        });
        if let Some(nats) = nats {
            servers.nats = nats.config;
            servers.run(nats.program);
        }
        Ok((servers, passwords))
    }

    /// Ends the servers of ephemeral instances that were killed, and removes their folders.
    pub async fn sweep(temporary: &Path) {
        ephemeral::sweep(temporary).await;
    }

    fn run(&mut self, program: Program) {
        let (sender, receiver) = watch::channel(Status::new(&program));
        self.supervisors.spawn(supervise(program, sender, self.stop.clone()));
        self.statuses.push(receiver);
    }

    async fn usable(&self, passwords: Option<postgres::Passwords>) -> Result<(), Error> {
        let deadline = Instant::now() + READY_WITHIN;
        try_join_all(self.statuses.iter().map(|status| ready(status.clone(), deadline))).await?;
        match passwords {
            Some(passwords) => postgres::set_up_database(&self.data_dir, &passwords).await,
            None => Ok(()),
        }
    }

    /// Tells `readiness` how our servers are, for ever: also when there are none.
    pub async fn report(&self, readiness: &Readiness) -> Infallible {
        join_all(self.statuses.iter().map(|status| async move {
            let mut status = status.clone();
            loop {
                let now = status.borrow_and_update().clone();
                readiness.set(now.name, now.state());
                if status.changed().await.is_err() {
                    return;
                }
            }
        }))
        .await;
        std::future::pending().await
    }

    /// Where everything is kept.
    pub fn data_dir(&self) -> &Path {
        self.data_dir.path()
    }

    /// How the servers are, Postgres first.
    pub fn status(&self) -> Vec<Status> {
        self.statuses.iter().map(|status| status.borrow().clone()).collect()
    }

    /// Ends our servers in good order, and by force after ten seconds; then frees the data
    /// directory. To be called once nobody needs them any more.
    pub async fn stop(mut self) {
        self.stop.cancel();
        while self.supervisors.join_next().await.is_some() {}
    }
}

/// Waits until a server is ready; gives up when it keeps ending or takes too long.
async fn ready(mut status: watch::Receiver<Status>, deadline: Instant) -> Result<(), Error> {
    let decided = status.wait_for(|now| now.ready || now.restarts >= EARLY_ENDS_MAX);
    let ready = matches!(timeout_at(deadline, decided).await, Ok(Ok(now)) if now.ready);
    if ready { Ok(()) } else { Err(Error::not_ready(&status.borrow())) }
}
