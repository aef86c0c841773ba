//! The account that the servers run as: Postgres refuses to run as root.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

/// `nobody` on every Linux distribution.
const NOBODY: u32 = 65534;

/// The account that servers run as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Account {
    /// Whoever runs the tests.
    Own,
    /// `nobody`, because root runs the tests.
    Nobody,
}

impl Account {
    /// The account for servers started by this process.
    pub fn for_servers() -> Self {
        if nix::unistd::geteuid().is_root() { Self::Nobody } else { Self::Own }
    }

    /// Makes `command` run as this account.
    pub fn run(self, command: &mut Command) {
        if self == Self::Nobody {
            command.uid(NOBODY).gid(NOBODY);
        }
    }

    /// Gives `folder` to this account.
    ///
    /// # Panics
    /// When the owner cannot be changed.
    pub fn own(self, folder: &Path) {
        if self == Self::Nobody {
            std::os::unix::fs::chown(folder, Some(NOBODY), Some(NOBODY))
                .unwrap_or_else(|e| panic!("cannot give {} to nobody: {e}", folder.display()));
        }
    }

    /// Whether this account can run the program at `path`: every folder above must be searchable.
    pub fn can_run(self, path: &Path) -> bool {
        let mut version = Command::new(path);
        version.arg("--version");
        self.run(&mut version);
        version.output().is_ok_and(|output| output.status.success())
    }
}
