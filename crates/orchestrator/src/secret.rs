//! Values that only the services shall see: sealed where they lie, opened when a container starts.
//!
//! Even in memory they stay sealed, so that a crashed service can be started again while the
//! database is away, and nothing but that moment has the plain value.

use std::collections::BTreeMap;

use chassis::seal::{Error, Keyring, Place};
use proto::ProjectId;
use zeroize::Zeroizing;

use crate::db::secret::Sealed;
use crate::logs::redact::Redactor;
use crate::reason::{Diagnosis, Reason};

/// A value, at most, in bytes.
pub const VALUE_BYTES_MAX: usize = 64 << 10;

/// Secrets of one project, at most.
pub const SECRETS_MAX: usize = 100;

/// Values of one project, at most, in bytes: each line of its services' logs is searched for them.
pub const VALUES_BYTES_MAX: usize = 1 << 20;

/// Seals a value for its row.
///
/// # Errors
/// When the system gives no random bytes.
pub fn seal(
    keyring: &Keyring,
    project: ProjectId,
    name: &str,
    version: i32,
    value: &[u8],
) -> Result<Sealed, Error> {
    let row = row(project, name, version);
    let sealed = keyring.seal(place(&row), value)?;
    Ok(Sealed { name: name.to_owned(), version, sealed })
}

/// What is known of a project's secrets.
#[derive(Debug, Clone)]
pub struct Vault {
    keyring: Keyring,
    project: ProjectId,
    sealed: Vec<Sealed>,
}

impl Vault {
    /// The kept versions, as [`db::secret::sealed`](crate::db::secret::sealed) answers them.
    #[must_use]
    pub fn new(keyring: Keyring, project: ProjectId, sealed: Vec<Sealed>) -> Self {
        Self { keyring, project, sealed }
    }

    /// The newest version of each secret, by name.
    #[must_use]
    pub fn versions(&self) -> BTreeMap<String, u32> {
        // The newest comes first, so it is the last to be put into the map.
        let versions = self.sealed.iter().rev();
        versions.map(|it| (it.name.clone(), it.version.unsigned_abs())).collect()
    }

    /// The newest value of a secret.
    ///
    /// # Errors
    /// `SECRET_MISSING` when there is none, or when it cannot be opened.
    pub fn open(&self, name: &str) -> Result<Zeroizing<Vec<u8>>, Diagnosis> {
        let told = |why: &str| {
            let message = format!("the secret {name:?} cannot be given to the service: {why}");
            Diagnosis::new(Reason::SecretMissing, message)
        };
        let found = self.sealed.iter().find(|it| it.name == name);
        let found = found.ok_or_else(|| told("it has no value"))?;
        self.open_one(found).map_err(|error| told(&error.to_string()))
    }

    /// Blacks out every value that is known.
    #[must_use]
    pub fn redactor(&self) -> Redactor {
        let open = |it: &Sealed| match self.open_one(it) {
            Ok(value) => Some(value),
            Err(error) => {
                let (project, name) = (self.project, &it.name);
                tracing::warn!(project.id = %project, name, %error, "a secret cannot be opened");
                None
            }
        };
        let values: Vec<_> = self.sealed.iter().filter_map(open).collect();
        Redactor::new(values.iter().map(|it| it.as_slice()))
    }

    fn open_one(&self, it: &Sealed) -> Result<Zeroizing<Vec<u8>>, Error> {
        let row = row(self.project, &it.name, it.version);
        self.keyring.open(place(&row), &it.sealed)
    }
}

fn row(project: ProjectId, name: &str, version: i32) -> String {
    format!("{project}/{name}/{version}")
}

fn place(row: &str) -> Place<'_> {
    Place { table: "orchestrator.secret", row, column: "sealed" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keyring() -> Keyring {
        let folder = tempfile::tempdir().expect("a folder");
        Keyring::open_or_create(&folder.path().join("seal.key")).expect("a key")
    }

    #[test]
    fn the_newest_version_is_opened_and_every_kept_one_is_blacked_out() {
        let (keyring, project) = (keyring(), ProjectId::generate());
        let seal = |version, value: &str| {
            seal(&keyring, project, "password", version, value.as_bytes()).expect("sealed")
        };
        let sealed = vec![seal(3, "hunter3-new"), seal(2, "hunter2-old")];
        assert!(!format!("{sealed:?}").contains("hunter"));
        let vault = Vault::new(keyring.clone(), project, sealed);
        assert_eq!(vault.versions(), [("password".to_owned(), 3)].into());
        assert_eq!(vault.open("password").expect("it opens").as_slice(), b"hunter3-new");
        let mut line = b"hunter2-old became hunter3-new".to_vec();
        vault.redactor().redact(&mut line);
        assert_eq!(line, b"[redacted] became [redacted]");
        let told = vault.open("token").expect_err("there is none");
        assert_eq!(told.reason, Reason::SecretMissing);
    }

    #[test]
    fn a_value_opens_in_its_own_row_only() {
        let (keyring, project) = (keyring(), ProjectId::generate());
        let sealed = seal(&keyring, project, "a", 1, b"value").expect("sealed");
        let moved = Sealed { name: "b".to_owned(), ..sealed.clone() };
        assert!(Vault::new(keyring.clone(), project, vec![moved]).open("b").is_err());
        let elsewhere = Vault::new(keyring, ProjectId::generate(), vec![sealed]);
        assert!(elsewhere.open("a").is_err());
    }
}
