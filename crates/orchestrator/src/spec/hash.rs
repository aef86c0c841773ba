//! Tells whether a container still is what its service declares.

use std::collections::BTreeMap;

use prost::Message as _;
use proto::orchestrator::v1;
use sha2::{Digest as _, Sha256};

use super::{Service, write};

/// A hash of everything that a container is made of; when it changes, the container is replaced.
///
/// That is the service's canonical form, its image's digest, the versions of its secrets by name
/// (never their values) and the contents of its configs. Not part of it is what changes without a
/// new container: limits of CPU, memory and pids, which the Engine changes live, and probes,
/// dependencies, restart and scan policy, which are ours.
#[must_use]
pub fn hash(
    service: &Service,
    configs: &BTreeMap<String, Vec<u8>>,
    image_digest: &str,
    secret_versions: &BTreeMap<String, u32>,
) -> String {
    let mut wire = write::service(service);
    let shm_bytes = service.resources.shm_bytes;
    wire.resources = Some(v1::Resources { shm_bytes, ..Default::default() });
    (wire.probes, wire.restart, wire.scan, wire.one_shot) = (None, None, None, false);
    wire.depends_on.clear();
    let mut sha = Sha256::new();
    part(&mut sha, &wire.encode_to_vec());
    part(&mut sha, image_digest.as_bytes());
    for secret in &service.secrets {
        let version = secret_versions.get(&secret.name).copied().unwrap_or_default();
        part(&mut sha, &version.to_be_bytes());
    }
    for config in &service.configs {
        part(&mut sha, configs.get(&config.name).map(Vec::as_slice).unwrap_or_default());
    }
    hex::encode(sha.finalize())
}

/// With its length, so that no two sequences of parts are the same bytes.
fn part(sha: &mut Sha256, bytes: &[u8]) {
    sha.update((bytes.len() as u64).to_be_bytes());
    sha.update(bytes);
}
