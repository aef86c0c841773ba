//! Reads a spec from the wire: fills in every default, and names every fault by its field's path.

mod argument;
mod file;
mod graph;
mod mount;
mod port;
mod probe;
mod service;

use std::collections::BTreeMap;

use proto::{Failure, orchestrator::v1};

use super::{
    CONFIGS_BYTES_MAX, Limits, Network, SERVICES_MAX, Service, Stack,
    fault::{At, settle},
    name, secret,
};

/// Networks of one stack: each takes a subnet of the host.
const NETWORKS_MAX: usize = 16;

/// Volumes, or configs, of one stack.
const OBJECTS_MAX: usize = 100;

/// The network of services that name none.
const DEFAULT_NETWORK: &str = "default";

/// Reads a spec, with every default filled in.
///
/// # Errors
/// `INVALID_INPUT` that names every fault by its field's path, such as `services.web.ports[0].host`,
/// and says what the field must be.
pub fn read(wire: v1::StackSpec, limits: &Limits) -> Result<Stack, Failure> {
    let mut faults = Vec::new();
    let mut at = At::root(&mut faults);
    sizes(&wire, &mut at);
    // Who sends thousands of services would have them compared with each other.
    if !faults.is_empty() {
        return settle(Stack::default(), faults);
    }
    let mut at = At::root(&mut faults);
    let mut stack = Stack {
        services: services(wire.services, limits, &mut at.field("services")),
        networks: networks(wire.networks, &mut at.field("networks")),
        volumes: volumes(wire.volumes, &mut at.field("volumes")),
        configs: configs(wire.configs, &mut at.field("configs")),
    };
    if stack.services.values().flat_map(|it| &it.networks).any(|it| it.network == DEFAULT_NETWORK) {
        stack.networks.entry(DEFAULT_NETWORK.to_owned()).or_insert(Network { internal: false });
    }
    graph::check(&stack, &mut at);
    settle(stack, faults)
}

/// How many of each there may be.
fn sizes(wire: &v1::StackSpec, at: &mut At<'_>) {
    let services = wire.services.len();
    at.field("services").check((1..=SERVICES_MAX).contains(&services), || {
        format!("must be 1 to {SERVICES_MAX} services, not {services}")
    });
    for (kind, count, max) in [
        ("networks", wire.networks.len(), NETWORKS_MAX),
        ("volumes", wire.volumes.len(), OBJECTS_MAX),
        ("configs", wire.configs.len(), OBJECTS_MAX),
    ] {
        at.field(kind).check(count <= max, || format!("must be at most {max} {kind}"));
    }
}

/// As many of a list as there may be; that there are more is a fault, and they are not looked at.
fn at_most<T>(mut items: Vec<T>, max: usize, what: &str, at: &mut At<'_>) -> Vec<T> {
    at.check(items.len() <= max, || format!("must be at most {max} {what}"));
    items.truncate(max);
    items
}

fn services(
    wire: Vec<v1::ServiceSpec>,
    limits: &Limits,
    at: &mut At<'_>,
) -> BTreeMap<String, Service> {
    let mut services = BTreeMap::new();
    for (index, service) in wire.into_iter().enumerate() {
        let name = service.name.clone();
        if !name::is_service(&name) {
            at.index(index).field("name").fault(format!(
                "must be at most {} lower-case letters, digits, - and _, and begin with a letter \
                 or digit; it is {name:?}",
                name::NAME_MAX
            ));
        } else if services.contains_key(&name) {
            at.index(index).field("name").fault(format!("there are two services {name:?}"));
        }
        services.insert(name.clone(), service::read(service, limits, at.field(&name)));
    }
    services
}

fn networks(wire: Vec<v1::NetworkSpec>, at: &mut At<'_>) -> BTreeMap<String, Network> {
    let mut networks = BTreeMap::new();
    for (index, network) in wire.into_iter().enumerate() {
        object_name(&network.name, networks.contains_key(&network.name), at.index(index));
        networks.insert(network.name, Network { internal: network.internal });
    }
    networks
}

fn volumes(wire: Vec<v1::VolumeSpec>, at: &mut At<'_>) -> Vec<String> {
    let mut volumes = Vec::new();
    for (index, volume) in wire.into_iter().enumerate() {
        object_name(&volume.name, volumes.contains(&volume.name), at.index(index));
        volumes.push(volume.name);
    }
    volumes.sort_unstable();
    volumes
}

fn configs(wire: Vec<v1::ConfigSpec>, at: &mut At<'_>) -> BTreeMap<String, Vec<u8>> {
    let bytes: usize = wire.iter().map(|config| config.content.len()).sum();
    at.check(bytes <= CONFIGS_BYTES_MAX, || {
        format!(
            "must be at most {CONFIGS_BYTES_MAX} bytes in all, not {bytes}; put large files \
                 into the image or a volume"
        )
    });
    let mut configs = BTreeMap::new();
    for (index, config) in wire.into_iter().enumerate() {
        object_name(&config.name, configs.contains_key(&config.name), at.index(index));
        at.field(&config.name).check(!secret::is_private_key(&config.content), || {
            "holds a private key, and everyone may read a config; declare it under `secrets`"
                .to_owned()
        });
        configs.insert(config.name, config.content);
    }
    configs
}

/// Names of networks, volumes and configs.
fn object_name(name: &str, is_taken: bool, mut at: At<'_>) {
    let mut at = at.field("name");
    at.check(name::is_object(name), || {
        format!(
            "must be at most {} letters, digits, -, _ and ., and begin with a letter or digit; it \
             is {name:?}",
            name::NAME_MAX
        )
    });
    at.check(!is_taken, || format!("there are two of the name {name:?}"));
}
