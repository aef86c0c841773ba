//! What clients and people need to know once the instance is up.

use std::{
    env, fs,
    io::{self, Write as _},
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::Context as _;
use chassis::{process::Addresses, readiness::Readiness};
use sqlx::PgPool;

use crate::{
    cli,
    client::{INSTANCE_FILE, TOKEN_FILE},
};

/// Exists once the first import is done.
const FIRST_IMPORT_MARK: &str = "first-import.done";

/// The project that the first import goes to.
const FIRST_PROJECT: &str = "commandcenter";

/// From the start of the services until all serve, before the log says what is missing; a first
/// start migrates and loads a model.
const READY_TIMEOUT: Duration = Duration::from_secs(120);

/// What to announce, and where.
pub(super) struct Announcement {
    pub(super) data_dir: PathBuf,
    pub(super) addresses: Addresses,
    pub(super) ephemeral: bool,
    pub(super) first_import: Option<PathBuf>,
    pub(super) readiness: Readiness,
}

/// Writes the instance file at once, and greets when every service serves.
pub(super) async fn when_ready(announcement: Announcement) {
    if let Err(error) = write_instance(&announcement) {
        tracing::error!(error = format!("{error:#}"), "commands will not find this instance");
    }
    while tokio::time::timeout(READY_TIMEOUT, announcement.readiness.ready()).await.is_err() {
        for (service, report) in announcement.readiness.reports() {
            tracing::error!(service, state = ?report.state, "not ready in time, still trying");
        }
    }
    greet(&announcement);
    if let Err(error) = first_import(&announcement).await {
        tracing::warn!(error = format!("{error:#}"), "the first import failed; run it by hand");
    }
}

/// Removes the instance file: nothing listens any more.
pub(super) fn withdraw(data_dir: &Path) {
    // A file that is gone already is just what is wanted.
    let _ = fs::remove_file(data_dir.join(INSTANCE_FILE));
}

/// Says that stacks go on without us, when there are any.
pub(super) async fn what_outlives_us(pool: &PgPool, ephemeral: bool) {
    // A database that does not answer any more must not hold up the end.
    let stacks = match orchestrator::db::within(orchestrator::db::stack::running(pool)).await {
        Ok(1) => "1 stack goes".to_owned(),
        Ok(count) if count > 1 => format!("{count} stacks go"),
        _ => return,
    };
    let next = if ephemeral {
        "nobody looks after them any more: `docker ps --filter label=cc.owner` shows them"
    } else {
        "the next start looks after them again"
    };
    // A closed standard output is no reason to fail.
    let _ = writeln!(io::stdout(), "{stacks} on without CommandCenter; {next}.");
}

fn write_instance(announcement: &Announcement) -> anyhow::Result<()> {
    let url = |address: Option<SocketAddr>| address.map(|address| format!("http://{address}"));
    let Addresses { http, grpc, admin } = announcement.addresses;
    let instance = serde_json::json!({
        "http": url(http),
        "grpc": url(grpc),
        "admin": url(admin),
        "pid": std::process::id(),
        "version": env!("CARGO_PKG_VERSION"),
    });
    let path = announcement.data_dir.join(INSTANCE_FILE);
    let beside = path.with_extension("json.new");
    let mut file = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o644)
        .open(&beside)
        .with_context(|| format!("cannot write {}", beside.display()))?;
    file.write_all(instance.to_string().as_bytes())?;
    fs::rename(&beside, &path).with_context(|| format!("cannot write {}", path.display()))
}

fn greet(announcement: &Announcement) {
    let Some(http) = announcement.addresses.http else { return };
    let data_dir = announcement.data_dir.display();
    let kept = if announcement.ephemeral { ", removed at the end" } else { "" };
    let path = path_to_us().unwrap_or_default();
    // A closed standard output must not end the services.
    let _ = writeln!(
        io::stdout(),
        "\nCommandCenter is ready: http://{http}\n\
         \x20 sign in as     admin, with the password in {data_dir}/admin.password\n\
         \x20 API token      {data_dir}/{TOKEN_FILE}\n\
         \x20 data           {data_dir}{kept}\n\n\
         Next steps:\n\
         {path}\x20 export COMMANDCENTER_DATA_DIR={data_dir}\n\
         \x20 commandcenter search 'kill -9'\n\
         \x20 commandcenter source add feed URL --project P --schedule hourly\n\
         \x20 commandcenter import FOLDER --project P --wait\n\
         \x20 commandcenter stack apply -f compose.yaml --project P --wait\n\n\
         Ctrl-C stops it; the data stays for the next start."
    );
}

/// The line that makes the shell find this program, unless it does.
fn path_to_us() -> Option<String> {
    let folder = env::current_exe().ok()?.parent()?.to_owned();
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|it| it.join("commandcenter").is_file());
    (!found).then(|| format!("\x20 export PATH=\"{}:$PATH\"\n", folder.display()))
}

async fn first_import(announcement: &Announcement) -> anyhow::Result<()> {
    let mark = announcement.data_dir.join(FIRST_IMPORT_MARK);
    let Some(path) = announcement.first_import.as_ref().filter(|_| !mark.exists()) else {
        return Ok(());
    };
    let files = cli::import_first(&announcement.data_dir, path, FIRST_PROJECT).await?;
    fs::write(&mark, "").with_context(|| format!("cannot write {}", mark.display()))?;
    tracing::info!(files, folder = %path.display(), "imported; a search over them answers now");
    Ok(())
}
