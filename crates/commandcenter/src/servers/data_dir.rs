//! The data directory: its lock, and who may enter what.
//!
//! ```text
//! DIR/lock                 held by the process that runs the servers, names its pid
//! DIR/secrets/             0700, ours: passwords and URLs, each 0600
//! DIR/logs/                0700, ours: postgres.log, nats.log
//! DIR/logs/stacks/         0700, the orchestrator's: what services of stacks write
//! DIR/postgres/            ours, to pass through: data and socket, 0700, the servers' account's
//! DIR/nats/                ours, to pass through: nats.conf, 0600, and store, 0700, likewise
//! DIR/programs/            copies of the programs, if their own folder is closed to that account
//! ```
//!
//! As root we never write, and never change an owner or a mode, inside a folder of the servers'
//! account: a link planted there would lead us elsewhere.

use std::env;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::geteuid;
use tempfile::TempDir;
use tokio::process::Command;
use tokio::time::{Instant, sleep};

use super::account::Account;
use super::{Config, Error, ephemeral};
use crate::client::INSTANCE_FILE;

/// A unix socket's path has 107 bytes; this is what our part of it takes.
const SOCKET_PATH_BYTES_MAX: usize = 107;
const SOCKET_IN_DIR: &str = "/postgres/socket/.s.PGSQL.5432";

/// Held by the process that runs on the data directory, names its pid.
pub(crate) const LOCK_FILE: &str = "lock";

/// A command that asks who holds the lock holds it for a moment itself; how long that is waited
/// for, and how often it is tried meanwhile.
const LOCK_PATIENCE: Duration = Duration::from_millis(500);
const LOCK_INTERVAL: Duration = Duration::from_millis(10);

/// A pid and a line feed fit well.
const PID_BYTES_MAX: u64 = 32;

/// Where data lies when nobody says otherwise: `/var/lib/commandcenter` for root, else
/// `$XDG_DATA_HOME/commandcenter` or `~/.local/share/commandcenter`.
pub fn default_data_dir() -> PathBuf {
    if geteuid().is_root() {
        return PathBuf::from("/var/lib/commandcenter");
    }
    let absolute = |name| env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = || absolute("HOME").unwrap_or_default().join(".local/share");
    absolute("XDG_DATA_HOME").unwrap_or_else(home).join("commandcenter")
}

/// A data directory that is ours alone while the value lives.
#[derive(Debug)]
pub(super) struct DataDir {
    path: PathBuf,
    pub(super) account: Account,
    pub(super) durable: bool,
    _lock: File,
    /// Removed when dropped, after the lock.
    _ephemeral: Option<TempDir>,
}

impl DataDir {
    pub(super) async fn open(config: &Config) -> Result<Self, Error> {
        let ephemeral = config.ephemeral.then(ephemeral::make).transpose()?;
        let wanted = ephemeral.as_ref().map_or(config.data_dir.as_path(), TempDir::path);
        let path = make(wanted)?;
        let bytes_max = SOCKET_PATH_BYTES_MAX - SOCKET_IN_DIR.len();
        if path.to_str().is_none_or(|it| it.len() > bytes_max) {
            return Err(Error::Path { dir: path, bytes_max });
        }
        let lock = lock(&path).await?;
        let account = Account::of_servers(&path.join("postgres/data"));
        if account.switch && config.runs_servers() {
            let mode = fs::metadata(&path).map_err(Error::file("look at", &path))?.mode();
            set_mode(&path, mode | 0o011)?;
            check_reach(&path, account)?;
        }
        Ok(Self { path, account, durable: !config.ephemeral, _lock: lock, _ephemeral: ephemeral })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The path as text, which [`open`](Self::open) has made sure of.
    pub(super) fn text(&self) -> &str {
        self.path.to_str().expect("a data directory that was opened has a path in UTF-8")
    }

    /// A folder of ours that nobody else can enter.
    pub(super) fn own_folder(&self, name: &str) -> Result<PathBuf, Error> {
        private_folder(&self.path.join(name))
    }

    /// A folder of ours that the servers' account can pass through to its own, though not list.
    pub(super) fn passage(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = private_folder(&self.path.join(name))?;
        if self.account.switch {
            set_mode(&folder, 0o711)?;
        }
        Ok(folder)
    }

    /// A folder of the servers' account, in a [`passage`](Self::passage), that nobody else can
    /// enter.
    pub(super) fn servers_folder(&self, name: &str) -> Result<PathBuf, Error> {
        let folder = private_folder(&self.path.join(name))?;
        self.give(&folder)?;
        Ok(folder)
    }

    /// Hands a file or folder to the servers' account.
    pub(super) fn give(&self, path: &Path) -> Result<(), Error> {
        if !self.account.switch {
            return Ok(());
        }
        let (uid, gid) = (Some(self.account.uid), Some(self.account.gid));
        chown(path, uid, gid).map_err(Error::file("change the owner of", path))
    }

    /// The folder of the programs that are needed and that the servers' account can run:
    /// `runtime`, or else a copy of it here. A checkout below `/root` is closed to everyone but
    /// root.
    pub(super) async fn programs(
        &self,
        runtime: &Path,
        needed: &[&'static str],
    ) -> Result<PathBuf, Error> {
        for part in needed {
            let program = match *part {
                "postgres" => runtime.join("postgres/bin/postgres"),
                _ => runtime.join("nats/nats-server"),
            };
            if !program.exists() {
                return Err(Error::NoProgram { program });
            }
        }
        if needed.is_empty() {
            return Ok(runtime.to_owned());
        }
        let runtime = runtime.canonicalize().map_err(Error::file("find", runtime))?;
        if !self.account.switch || check_reach(&runtime, self.account).is_ok() {
            return Ok(runtime);
        }
        let copies = self.path.join("programs");
        for part in needed {
            copy_program(&runtime.join(part), &copies.join(part)).await?;
        }
        Ok(copies)
    }
}

/// Copies a program's folder unless the same version is there.
async fn copy_program(from: &Path, to: &Path) -> Result<(), Error> {
    let pin = |folder: &Path| fs::read(folder.join(".requirement")).ok();
    if pin(to).is_some() && pin(to) == pin(from) {
        return Ok(());
    }
    if to.exists() {
        fs::remove_dir_all(to).map_err(Error::file("remove", to))?;
    }
    let parent = to.parent().expect("the folder lies in the data directory");
    fs::create_dir_all(parent).map_err(Error::file("make", parent))?;
    let output = Command::new("cp").arg("-a").arg(from).arg(to).output().await;
    let output = output.map_err(Error::file("copy the programs to", to))?;
    if output.status.success() {
        return Ok(());
    }
    fs::remove_dir_all(to).ok();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    Err(Error::Failed { program: "cp", output: said })
}

/// Makes the folder if it is missing and answers its absolute path.
fn make(path: &Path) -> Result<PathBuf, Error> {
    if !path.exists() {
        // The servers' account has to pass through what leads there.
        let parent = path.parent().unwrap_or(path);
        let made = DirBuilder::new().recursive(true).mode(0o755).create(parent);
        made.map_err(Error::file("make", parent))?;
        let made = DirBuilder::new().mode(0o700).create(path);
        made.map_err(Error::file("make the data directory", path))?;
    }
    path.canonicalize().map_err(Error::file("find the data directory", path))
}

/// Takes the lock, and only then removes what a killed process said about where it listens: in a
/// container every `up` has the same pid, so the pid alone does not tell that it is stale.
async fn lock(dir: &Path) -> Result<File, Error> {
    let path = dir.join(LOCK_FILE);
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false).mode(0o600);
    let mut file = options.open(&path).map_err(Error::file("open", &path))?;
    match try_lock(&file).await {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let pid = pid_of_lock(dir).map_or_else(|| "unknown".to_owned(), |pid| pid.to_string());
            return Err(Error::InUse { dir: dir.to_owned(), pid });
        }
        Err(TryLockError::Error(source)) => return Err(Error::file("lock", &path)(source)),
    }
    let instance = dir.join(INSTANCE_FILE);
    match fs::remove_file(&instance) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::file("remove", &instance)(error));
        }
        _ => {}
    }
    let written = file.set_len(0).and_then(|()| writeln!(file, "{}", std::process::id()));
    written.map_err(Error::file("write", &path))?;
    Ok(file)
}

async fn try_lock(file: &File) -> Result<(), TryLockError> {
    let deadline = Instant::now() + LOCK_PATIENCE;
    loop {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) if Instant::now() < deadline => {
                sleep(LOCK_INTERVAL).await;
            }
            tried => return tried,
        }
    }
}

/// The process that wrote the lock of a data directory; it may be gone.
pub(crate) fn pid_of_lock(dir: &Path) -> Option<i32> {
    let mut pid = String::new();
    let file = File::open(dir.join(LOCK_FILE)).ok()?;
    file.take(PID_BYTES_MAX).read_to_string(&mut pid).ok()?;
    pid.trim().parse().ok()
}

/// The process that runs on a data directory now.
pub(crate) fn holder(dir: &Path) -> io::Result<Option<i32>> {
    match File::open(dir.join(LOCK_FILE))?.try_lock_shared() {
        Err(TryLockError::WouldBlock) => Ok(pid_of_lock(dir)),
        Err(TryLockError::Error(error)) => Err(error),
        Ok(()) => Ok(None),
    }
}

/// Refuses a path that has a folder which `account` cannot enter.
fn check_reach(path: &Path, account: Account) -> Result<(), Error> {
    for folder in path.ancestors() {
        let it = fs::metadata(folder).map_err(Error::file("look at", folder))?;
        if !account.enters(it.mode(), it.uid(), it.gid()) {
            return Err(Error::Closed { account: account.name(), folder: folder.to_owned() });
        }
    }
    Ok(())
}

fn private_folder(folder: &Path) -> Result<PathBuf, Error> {
    if !folder.exists() {
        let made = DirBuilder::new().mode(0o700).create(folder);
        made.map_err(Error::file("make", folder))?;
    }
    set_mode(folder, 0o700)?;
    Ok(folder.to_owned())
}

fn set_mode(path: &Path, mode: u32) -> Result<(), Error> {
    let set = fs::set_permissions(path, Permissions::from_mode(mode & 0o7777));
    set.map_err(Error::file("change the mode of", path))
}
