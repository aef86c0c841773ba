//! Names and labels of what we own in Docker.
//!
//! A label says whose an object is; a name is only for people. Nothing without our owner label is
//! ever touched, whatever it is called.

use std::collections::BTreeMap;

use proto::ProjectId;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

/// The installation that owns an object.
pub const OWNER: &str = "cc.owner";
/// The project.
pub const PROJECT: &str = "cc.project";
/// The service, on containers.
pub const SERVICE: &str = "cc.service";
/// The network's name in the stack, on networks.
pub const NETWORK: &str = "cc.network";
/// The volume's name in the stack, on volumes.
pub const VOLUME: &str = "cc.volume";
/// The service whose files a volume holds, on volumes that are memory.
pub const FILES: &str = "cc.files";
/// The stack's generation that made the container.
pub const GENERATION: &str = "cc.generation";
/// What the container was made from.
pub const CONFIG_HASH: &str = "cc.config-hash";
/// On helper containers that are no project's.
pub const HELPER: &str = "cc.helper";
/// How these labels are to be read.
pub const SCHEMA: &str = "cc.schema";

/// The present value of [`SCHEMA`].
const SCHEMA_VERSION: &str = "1";

/// What helpers carry that are no project's, so that no look at a project takes them for its own.
#[must_use]
pub fn helper_labels(owner: Uuid) -> BTreeMap<String, String> {
    [(OWNER.to_owned(), owner.to_string()), (HELPER.to_owned(), "1".to_owned())].into()
}

/// The kernel's limit of an interface's name.
const BRIDGE_CHARS_MAX: usize = 15;

/// Gives names and labels to the objects of one project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Naming {
    /// The installation.
    pub owner: Uuid,
    /// The project.
    pub project: ProjectId,
}

impl Naming {
    /// A container's name.
    #[must_use]
    pub fn container(&self, service: &str, generation: u64) -> String {
        format!("cc-{}-{service}-{generation}", self.short())
    }

    /// A network's name.
    #[must_use]
    pub fn network(&self, network: &str) -> String {
        format!("cc-{}-{network}", self.short())
    }

    /// The name of a network's bridge on the daemon's host; the same network has always the same.
    #[must_use]
    pub fn bridge(&self, prefix: &str, network: &str) -> String {
        let mut sha = Sha256::new();
        sha.update(self.owner.as_bytes());
        sha.update(self.project.0.as_bytes());
        sha.update(network);
        let mut name = format!("{prefix}{}", hex::encode(sha.finalize()));
        name.truncate(BRIDGE_CHARS_MAX);
        name
    }

    /// Whether a network's name says that it is this project's; a hint only, as names are.
    #[must_use]
    pub fn names_network(&self, name: &str) -> bool {
        name.starts_with(&self.network(""))
    }

    /// A volume's name. It carries the whole project id: data must never meet another project's.
    #[must_use]
    pub fn volume(&self, volume: &str) -> String {
        format!("cc-{}-{volume}", self.project.0.simple())
    }

    /// The name of the volume that holds a service's files. No volume of a stack has such a name.
    #[must_use]
    pub fn files(&self, service: &str) -> String {
        format!("cc-{}.{service}", self.project.0.simple())
    }

    /// What every object of the project carries.
    #[must_use]
    pub fn labels(&self) -> BTreeMap<String, String> {
        let labels = [
            (OWNER, self.owner.to_string()),
            (PROJECT, self.project.to_string()),
            (SCHEMA, SCHEMA_VERSION.to_owned()),
        ];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// What a container carries besides its owner's own labels.
    #[must_use]
    pub fn container_labels(
        &self,
        service: &str,
        generation: u64,
        hash: &str,
    ) -> BTreeMap<String, String> {
        let mut labels = self.labels();
        labels.insert(SERVICE.to_owned(), service.to_owned());
        labels.insert(GENERATION.to_owned(), generation.to_string());
        labels.insert(CONFIG_HASH.to_owned(), hash.to_owned());
        labels
    }

    /// Whether labels say that an object is this project's.
    #[must_use]
    pub fn owns<'a>(&self, label: impl Fn(&str) -> Option<&'a String>) -> bool {
        let is = |key, value: String| label(key).is_some_and(|it| *it == value);
        is(OWNER, self.owner.to_string()) && is(PROJECT, self.project.to_string())
    }

    /// The end of the project's id: its beginning is a time, which neighbours share.
    fn short(&self) -> String {
        self.project.0.simple().to_string()[24..].to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_made_in_the_same_second_have_names_of_their_own() {
        let owner = Uuid::now_v7();
        let (one, other) = (ProjectId::generate(), ProjectId::generate());
        let name = |project| Naming { owner, project }.container("web", 1);
        assert_ne!(name(one), name(other));
        assert_eq!(name(one).len(), "cc-01234567-web-1".len());
    }

    #[test]
    fn bridges_have_names_that_the_kernel_takes_and_that_differ() {
        let naming = Naming { owner: Uuid::now_v7(), project: ProjectId::generate() };
        let other = Naming { project: ProjectId::generate(), ..naming };
        let name = naming.bridge("cmdc", "edge");
        assert!(name.len() == 15 && name.starts_with("cmdc"), "{name}");
        assert_eq!(name, naming.bridge("cmdc", "edge"));
        assert_ne!(name, naming.bridge("cmdc", "data"));
        assert_ne!(name, other.bridge("cmdc", "edge"));
    }

    #[test]
    fn another_installation_or_project_does_not_own() {
        let naming = Naming { owner: Uuid::now_v7(), project: ProjectId::generate() };
        let labels = naming.labels();
        assert!(naming.owns(|key| labels.get(key)));
        let stranger = Naming { owner: Uuid::now_v7(), ..naming };
        assert!(!stranger.owns(|key| labels.get(key)));
        let neighbour = Naming { project: ProjectId::generate(), ..naming };
        assert!(!neighbour.owns(|key| labels.get(key)));
        assert!(!naming.owns(|_| None));
    }
}
