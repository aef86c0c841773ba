//! Where the server programs and the test data lie.

use std::env;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use crate::Account;

/// The folder that `scripts/runtime` fills: `$COMMANDCENTER_RUNTIME`, else `target/runtime`.
///
/// # Panics
/// When the folder is not there.
pub fn runtime() -> PathBuf {
    let folder = env::var_os("COMMANDCENTER_RUNTIME")
        .map_or_else(|| workspace().join("target/runtime"), PathBuf::from);
    assert!(
        folder.join("nats/nats-server").exists() && folder.join("postgres/bin/postgres").exists(),
        "{} has no Postgres and no nats-server: run scripts/runtime",
        folder.display()
    );
    folder
}

/// The folder of test corpora, `$COMMANDCENTER_CORPORA`; `None`, said on stderr, when it is unset
/// and the test is to use its own small fixtures.
///
/// # Panics
/// When the corpora are missing although the variable is set or this is CI.
pub fn corpora() -> Option<PathBuf> {
    let Some(folder) = env::var_os("COMMANDCENTER_CORPORA").map(PathBuf::from) else {
        assert!(
            env::var_os("CI").is_none_or(|ci| ci != "true"),
            "COMMANDCENTER_CORPORA is not set, and CI must test against the corpora"
        );
        eprintln!("COMMANDCENTER_CORPORA is not set: testing with our own small fixtures only");
        return None;
    };
    assert!(folder.is_dir(), "COMMANDCENTER_CORPORA names {}, no folder", folder.display());
    Some(folder)
}

/// One corpus by its folder's name; like [`corpora`].
///
/// # Panics
/// When there are corpora but not this one.
pub fn corpus(name: &str) -> Option<PathBuf> {
    let folder = corpora()?.join(name);
    assert!(folder.is_dir(), "the corpora lack {}", folder.display());
    Some(folder)
}

/// [`runtime`], or a copy of its programs where the servers' account can reach them: a checkout
/// below `/root` is closed to `nobody`.
pub(crate) fn programs() -> &'static Path {
    static PROGRAMS: OnceLock<PathBuf> = OnceLock::new();
    PROGRAMS.get_or_init(|| {
        let folder = runtime();
        if Account::for_servers().can_run(&folder.join("nats/nats-server")) {
            return folder;
        }
        let copy = env::temp_dir().join("commandcenter-programs");
        let _lock = lock(&copy);
        let same = |part| {
            let pin = |folder: &Path| std::fs::read(folder.join(part).join(".requirement")).ok();
            pin(&copy).is_some() && pin(&copy) == pin(&folder)
        };
        if !(same("nats") && same("postgres")) {
            std::fs::remove_dir_all(&copy).ok();
            std::fs::create_dir_all(&copy).expect("the temporary folder is writable");
            ["nats", "postgres"].iter().for_each(|part| copy_tree(&folder.join(part), &copy));
        }
        copy
    })
}

/// A new folder in the temporary folder that the servers' account owns and no other can enter.
pub(crate) fn private_folder(name: &str) -> PathBuf {
    let folder = tempfile::Builder::new()
        .prefix(&format!("cc-{name}-"))
        .tempdir()
        .expect("the temporary folder is writable")
        .keep();
    Account::for_servers().own(&folder);
    folder
}

/// Holds off other processes that lock `path`, until dropped.
pub(crate) fn lock(path: &Path) -> File {
    let file = File::create(path.with_added_extension("lock")).expect("a lock can be made");
    file.lock().expect("a lock can be waited for");
    file
}

/// Copies `from` with owners and modes to `to`, or into it when it is there.
pub(crate) fn copy_tree(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-a", "--reflink=auto"]).arg(from).arg(to).status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "cannot copy {} to {}",
        from.display(),
        to.display()
    );
}

fn workspace() -> &'static Path {
    let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_folder.ancestors().nth(2).expect("the crate lies two folders below the workspace")
}
