//! What this machine has: the data directory, the programs, room on the disk.

use std::{fs, io, os::unix::fs::MetadataExt as _, path::Path};

use nix::sys::statvfs::statvfs;

use super::Check;
use crate::{cli::Global, client::TOKEN_FILE, up};

/// Less free space than this is a failure: Postgres stops without it.
const DISK_BYTES_MIN: u64 = 1 << 30;

/// Less free space than this deserves a warning.
const DISK_BYTES_LOW: u64 = 5 << 30;

/// The checks of this machine; those of the data directory only when the instance is on it.
pub(super) fn checks(global: &Global) -> Vec<Check> {
    let mut checks = programs(&up::runtime_dir());
    if global.url.is_none() {
        let dir = global.data_dir();
        checks.push(data_dir(&dir));
        if dir.is_dir() {
            checks.push(token_file(&dir.join(TOKEN_FILE)));
            checks.push(disk(&dir));
        }
    }
    checks
}

fn programs(runtime: &Path) -> Vec<Check> {
    let needed = [("nats-server", "nats/nats-server"), ("postgres", "postgres/bin/postgres")];
    let check = |(name, place): (&str, &str)| {
        let path = runtime.join(place);
        match fs::metadata(&path) {
            Ok(found) if found.is_file() && found.mode() & 0o111 != 0 => {
                Check::pass(name, path.display().to_string())
            }
            Ok(_) => Check::warn(
                name,
                format!("{} is not a program that can be run", path.display()),
                "run scripts/runtime again",
            ),
            Err(error) => Check::warn(
                name,
                format!("{}: {error}", path.display()),
                "run scripts/runtime, or give `up` servers of your own with DATABASE_URL and \
                 NATS_URL",
            ),
        }
    };
    needed.into_iter().map(check).collect()
}

fn data_dir(dir: &Path) -> Check {
    let name = "data directory";
    match fs::metadata(dir) {
        Ok(found) if !found.is_dir() => Check::fail(
            name,
            format!("{} is not a directory", dir.display()),
            "name another one with --data-dir or COMMANDCENTER_DATA_DIR",
        ),
        Ok(found) if found.mode() & 0o002 != 0 => Check::fail(
            name,
            format!("everyone may write to {}", dir.display()),
            format!("chmod o-w {}", dir.display()),
        ),
        Ok(_) => Check::pass(name, dir.display().to_string()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Check::fail(
            name,
            format!("{} does not exist", dir.display()),
            "start an instance with `commandcenter up`, or name its directory with --data-dir",
        ),
        Err(error) => Check::fail(
            name,
            format!("{}: {error}", dir.display()),
            "run the command as the account that runs CommandCenter",
        ),
    }
}

fn token_file(path: &Path) -> Check {
    let name = "administrator's token";
    match fs::metadata(path) {
        Ok(found) if found.mode() & 0o077 != 0 => Check::fail(
            name,
            format!("others than its owner may use {}", path.display()),
            format!("chmod 600 {}", path.display()),
        ),
        Ok(_) => Check::pass(name, path.display().to_string()),
        Err(error) => Check::warn(
            name,
            format!("{}: {error}", path.display()),
            "`up` writes it on the first start; name another token with --token-file",
        ),
    }
}

fn disk(dir: &Path) -> Check {
    let name = "disk space";
    let free = match statvfs(dir) {
        Ok(found) => found.blocks_available() * found.fragment_size(),
        Err(error) => return Check::warn(name, format!("unknown: {error}"), "look with df"),
    };
    let detail = format!("{:.1} GiB free for {}", free as f64 / f64::from(1 << 30), dir.display());
    let fix = "make room, or move the data directory to a larger disk";
    if free < DISK_BYTES_MIN {
        Check::fail(name, detail, fix)
    } else if free < DISK_BYTES_LOW {
        Check::warn(name, detail, fix)
    } else {
        Check::pass(name, detail)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::{super::Verdict, *};

    #[test]
    fn a_token_that_others_can_read_is_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(TOKEN_FILE);
        assert_eq!(token_file(&path).verdict, Verdict::Warn);
        fs::write(&path, "t").unwrap();
        for (mode, verdict) in [(0o600, Verdict::Pass), (0o644, Verdict::Fail)] {
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            assert_eq!(token_file(&path).verdict, verdict, "{mode:o}");
        }
    }

    #[test]
    fn missing_programs_are_told_with_the_remedy() {
        let dir = tempfile::tempdir().unwrap();
        for check in programs(dir.path()) {
            assert_eq!(check.verdict, Verdict::Warn);
            assert!(check.fix.contains("scripts/runtime"), "{check:?}");
        }
    }
}
