//! Whom the servers run as.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use nix::unistd::{Gid, Uid, User, geteuid};

/// The account that root runs the servers as, if the machine has it.
const OWN_NAME: &str = "commandcenter";

/// The account that root runs them as otherwise: every Linux has it, with this number.
const NOBODY: Account = Account { uid: 65534, gid: 65534, switch: true };

/// An account to run programs as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Account {
    pub(super) uid: u32,
    pub(super) gid: u32,
    /// Whether this is another account than our own, so that we are root.
    pub(super) switch: bool,
}

impl Account {
    /// The account for the servers of a data directory: our own, unless we are root. Then it is
    /// whoever owns the data already, so that a new account on the machine changes nothing.
    pub(super) fn of_servers(data: &Path) -> Self {
        if !geteuid().is_root() {
            let (uid, gid) = (Uid::effective().as_raw(), Gid::effective().as_raw());
            return Self { uid, gid, switch: false };
        }
        let owner = std::fs::metadata(data).ok().filter(|data| data.uid() != 0);
        let owner = owner.map(|data| Self { uid: data.uid(), gid: data.gid(), switch: true });
        let named = || User::from_name(OWN_NAME).ok().flatten().map(Self::from);
        owner.or_else(named).unwrap_or(NOBODY)
    }

    /// The account's name, or its number when it has none.
    pub(super) fn name(self) -> String {
        let user = User::from_uid(Uid::from_raw(self.uid)).ok().flatten();
        user.map_or_else(|| self.uid.to_string(), |user| user.name)
    }

    /// Makes `command` run as this account, without root's groups.
    pub(super) fn run(self, command: &mut tokio::process::Command) {
        if self.switch {
            command.uid(self.uid).gid(self.gid);
        }
    }

    /// Whether the mode bits let this account enter a folder.
    pub(super) fn enters(self, mode: u32, uid: u32, gid: u32) -> bool {
        let bit = match () {
            () if uid == self.uid => 0o100,
            () if gid == self.gid => 0o010,
            () => 0o001,
        };
        mode & bit != 0
    }
}

impl From<User> for Account {
    fn from(user: User) -> Self {
        Self { uid: user.uid.as_raw(), gid: user.gid.as_raw(), switch: true }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_owners_bits_count_for_the_owner_alone() {
        let account = Account { uid: 7, gid: 8, switch: true };
        assert!(account.enters(0o700, 7, 0));
        assert!(!account.enters(0o077, 7, 8), "the owner's own bits forbid it");
        assert!(account.enters(0o710, 0, 8));
        assert!(!account.enters(0o707, 0, 8), "the group's own bits forbid it");
        assert!(account.enters(0o711, 0, 0));
        assert!(!account.enters(0o770, 0, 0));
    }
}
