//! What services share: networks, volumes, configs and secrets. What no active service uses is left
//! out, as in Compose.

use std::collections::{BTreeMap, BTreeSet};

use proto::orchestrator::v1;
use secrecy::SecretSlice;

use super::{Project, disk, field::Field, key, key::Keys, report::Report};

/// A secret, in bytes.
const SECRET_BYTES_MAX: usize = 64 * 1024;

/// The declared objects of a kind that are used, each with its keys checked.
fn used<'a>(
    root: &Field<'a>,
    kind: &str,
    keys: Keys,
    names: &BTreeSet<&str>,
    report: &mut Report,
) -> Vec<(String, Field<'a>)> {
    let Some(field) = root.get(kind) else { return Vec::new() };
    report.origin(kind, &field);
    let mut objects = Vec::new();
    for (entry, value) in field.entries(report) {
        key::check(&value, keys, report);
        if names.contains(entry.key.as_str()) {
            let place = entry.place;
            report.origin_at(format!("{kind}[{}]", objects.len()), place, &value.path);
            report.origin_at(format!("{kind}.{}", entry.key), place, &value.path);
            objects.push((entry.key.clone(), value));
        }
    }
    objects
}

pub(super) fn networks(
    root: &Field<'_>,
    services: &[v1::ServiceSpec],
    report: &mut Report,
) -> Vec<v1::NetworkSpec> {
    let named = services.iter().flat_map(|it| &it.networks).map(|it| it.name.as_str());
    // Services that name none are in this one.
    let is_alone = services.iter().any(|service| service.networks.is_empty());
    let names: BTreeSet<&str> = named.chain(is_alone.then_some("default")).collect();
    let networks = used(root, "networks", key::NETWORK, &names, report).into_iter();
    networks
        .map(|(name, field)| {
            driver(&field, &["bridge", "default"], report);
            let internal = field.get("internal").is_some_and(|it| it.flag(report));
            v1::NetworkSpec { name, internal }
        })
        .collect()
}

pub(super) fn volumes(
    root: &Field<'_>,
    services: &[v1::ServiceSpec],
    report: &mut Report,
) -> Vec<v1::VolumeSpec> {
    let mounts = services.iter().flat_map(|it| &it.mounts);
    let names = mounts.filter(|it| it.kind == "volume").map(|it| it.source.as_str()).collect();
    let volumes = used(root, "volumes", key::VOLUME, &names, report).into_iter();
    volumes
        .map(|(name, field)| {
            driver(&field, &["local", "default"], report);
            v1::VolumeSpec { name }
        })
        .collect()
}

/// Only the Engine's own driver keeps things on this host.
fn driver(field: &Field<'_>, known: &[&str], report: &mut Report) {
    let Some(driver) = field.get("driver") else { return };
    let text = driver.text(report);
    if !known.contains(&text.as_str()) {
        report.fault(&driver, format!("must be {}, not {text:?}; remove it", known[0]));
    }
}

pub(super) fn configs(
    root: &Field<'_>,
    services: &[v1::ServiceSpec],
    project: &Project<'_>,
    report: &mut Report,
) -> Vec<v1::ConfigSpec> {
    let names = services.iter().flat_map(|it| &it.configs).map(|it| it.name.as_str()).collect();
    let configs = used(root, "configs", key::CONFIG, &names, report).into_iter();
    configs
        .map(|(name, field)| v1::ConfigSpec {
            content: content(&field, project, report).unwrap_or_default(),
            name,
        })
        .collect()
}

/// The values of secrets by name; one that is external is in the project already.
pub(super) fn secrets(
    root: &Field<'_>,
    services: &[v1::ServiceSpec],
    project: &Project<'_>,
    report: &mut Report,
) -> BTreeMap<String, SecretSlice<u8>> {
    let names = services.iter().flat_map(|it| &it.secrets).map(|it| it.name.as_str()).collect();
    let declared = used(root, "secrets", key::SECRET, &names, report);
    for service in services {
        for (index, secret) in service.secrets.iter().enumerate() {
            if declared.iter().all(|(name, _)| *name != secret.name) {
                let field = format!("services.{}.secrets[{index}]", service.name);
                let message = format!(
                    "there is no secret {:?}; declare it under `secrets` with its `file`",
                    secret.name
                );
                report.faults.extend(report.origins.fault(&field, &message));
            }
        }
    }
    let mut secrets = BTreeMap::new();
    for (name, field) in declared {
        let Some(value) = content(&field, project, report) else { continue };
        if value.is_empty() || value.len() > SECRET_BYTES_MAX {
            report.fault(&field, format!("must be 1 to {SECRET_BYTES_MAX} bytes"));
        }
        secrets.insert(name, SecretSlice::from(value));
    }
    secrets
}

/// Where a value may come from: a file, a variable of the caller, the text itself, or the project,
/// which has it already.
const SOURCES: [&str; 4] = ["file", "environment", "content", "external"];

/// The value; none of one that is in the project already.
fn content(field: &Field<'_>, project: &Project<'_>, report: &mut Report) -> Option<Vec<u8>> {
    let found = SOURCES.into_iter().filter_map(|key| Some((key, field.get(key)?)));
    let found: Vec<_> =
        found.filter(|(key, source)| *key != "external" || !source.is_nothing()).collect();
    let (key, source) = match found.as_slice() {
        [] => {
            report.fault(field, "needs a `file`");
            return None;
        }
        [one] => one,
        [(first, _), (second, source), ..] => {
            let message = format!("a value comes from one place; keep `{first}` or `{second}`");
            report.fault(source, message);
            return None;
        }
    };
    match *key {
        "content" => Some(source.text(report).into_bytes()),
        "environment" => {
            let name = source.text(report);
            let value = project.variables.get(&name).map(|value| value.clone().into_bytes());
            if value.is_none() {
                report.fault(source, format!("the variable {name} is not set; set it"));
            }
            value
        }
        "external" => {
            source.flag(report);
            None
        }
        _ => {
            let name = source.text(report);
            let content = disk::bytes(&project.folder.join(&name));
            report.take(source, content.map_err(|error| disk::fault(&name, &error)))
        }
    }
}
