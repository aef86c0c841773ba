//! Secrets and configs that a service sees as files.

use proto::orchestrator::v1;

use super::{at_most, mount};
use crate::spec::{ConfigMount, SecretMount, defaults, fault::At, name};

/// Where secrets lie in a container.
const SECRETS_DIR: &str = "/run/secrets/";

/// Files of one kind in one service.
const FILES_MAX: usize = 100;

pub(super) fn secrets(wire: Vec<v1::SecretMount>, at: &mut At<'_>) -> Vec<SecretMount> {
    let wire = at_most(wire, FILES_MAX, "files", at);
    let mut secrets: Vec<SecretMount> = Vec::new();
    for (index, secret) in wire.into_iter().enumerate() {
        let mut at = at.index(index);
        at.field("name").check(name::is_object(&secret.name), || {
            format!("must be the name of a secret, not {:?}", secret.name)
        });
        let target = secret_target(&secret.name, secret.target, at.field("target"));
        at.field("target").check(secrets.iter().all(|it| it.target != target), || {
            format!("is taken: two secrets go to {target}")
        });
        let mode = mode(secret.mode, defaults::SECRET_MODE, at.field("mode"));
        secrets.push(SecretMount { name: secret.name, target, mode });
    }
    secrets
}

/// Relative to `/run/secrets`, and never outside of it.
fn secret_target(name: &str, target: String, mut at: At<'_>) -> String {
    let target = match target {
        empty if empty.is_empty() => format!("{SECRETS_DIR}{name}"),
        relative if !relative.starts_with('/') => format!("{SECRETS_DIR}{relative}"),
        absolute => absolute,
    };
    let inside = name::path(&target).filter(|path| path.starts_with(SECRETS_DIR));
    at.check(inside.is_some(), || format!("must be a file below {SECRETS_DIR}, not {target:?}"));
    mountable(&target, at);
    inside.unwrap_or(target)
}

/// The Engine's short form of a mount has colons between its parts.
fn mountable(target: &str, mut at: At<'_>) {
    at.check(!target.contains(':'), || format!("must not have a colon, as {target:?} has"));
}

pub(super) fn configs(wire: Vec<v1::ConfigMount>, at: &mut At<'_>) -> Vec<ConfigMount> {
    let wire = at_most(wire, FILES_MAX, "files", at);
    let mut configs = Vec::new();
    for (index, config) in wire.into_iter().enumerate() {
        let mut at = at.index(index);
        let target = match config.target {
            empty if empty.is_empty() => format!("/{}", config.name),
            target => target,
        };
        mountable(&target, at.field("target"));
        let target = mount::target(target, at.field("target"));
        let mode = mode(config.mode, defaults::CONFIG_MODE, at.field("mode"));
        configs.push(ConfigMount { name: config.name, target, mode });
    }
    configs
}

fn mode(mode: Option<u32>, default: u32, mut at: At<'_>) -> u32 {
    let mode = mode.unwrap_or(default);
    at.check(mode <= 0o777, || "must be permission bits, at most octal 777".to_owned());
    mode
}
