//! Random wishes over random Engines.

use chrono::TimeDelta;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::super::*;
use super::world::{World, desired, hash, now, secret, service};
use crate::observed::{Network, State, Volume};
use crate::spec::{Attachment, Dependency, Service};

const NETWORKS: [&str; 3] = ["main", "edge", "gone"];
const STATES: [State; 6] =
    [State::Created, State::Running, State::Paused, State::Exited, State::Removing, State::Dead];

/// What a container is like that happens to be there.
#[derive(Debug, Clone)]
struct Found {
    service: usize,
    state: State,
    hash: u8,
    exit_code: i64,
    age_s: i64,
    memory: u64,
    networks: Vec<&'static str>,
}

prop_compose! {
    fn found()(
        service in 0_usize..7,
        state in select(&STATES[..]),
        hash in 1_u8..3,
        exit_code in select(&[0_i64, 1, 137][..]),
        age_s in 1_i64..100,
        memory in select(&[64_u64 << 20, 32 << 20][..]),
        networks in vec(select(&NETWORKS[..]), 0..3),
    ) -> Found {
        Found { service, state, hash, exit_code, age_s, memory, networks }
    }
}

prop_compose! {
    fn dependency(of: usize)(
        on in 0..of,
        condition in select(
            &[Condition::Started, Condition::Healthy, Condition::Completed][..]
        ),
        required in any::<bool>(),
        restart in any::<bool>(),
    ) -> Dependency {
        Dependency { service: name(on), condition, required, restart }
    }
}

/// Services whose name begins with `s` are one-shot when they are declared so, and end.
fn name(number: usize) -> String {
    match number {
        // Nobody's: a helper that was left behind.
        6 => String::new(),
        number => format!("{}{number}", if number.is_multiple_of(3) { "s" } else { "t" }),
    }
}

fn declared(number: usize) -> BoxedStrategy<Service> {
    let dependencies = match number {
        0 => Just(vec![]).boxed(),
        number => vec(dependency(number), 0..3).boxed(),
    };
    (dependencies, any::<bool>(), any::<bool>(), any::<bool>())
        .prop_map(move |(depends_on, probed, two_networks, files)| {
            let mut it = service(&name(number));
            if files {
                it.secrets.push(secret());
            }
            it.one_shot = it.name.starts_with('s');
            it.depends_on = depends_on;
            if two_networks {
                let edge = Attachment { network: "edge".to_owned(), aliases: vec![] };
                it.networks.push(edge);
            }
            let mut world = World::new(desired([it]));
            if probed {
                world.probe(&name(number));
            }
            world.desired.stack.services.remove(&name(number)).expect("just made")
        })
        .boxed()
}

fn wish() -> impl Strategy<Value = Wish> {
    prop_oneof![
        6 => Just(Wish::Running),
        1 => Just(Wish::Stopped),
        1 => any::<bool>().prop_map(|volumes| Wish::Removed { volumes }),
    ]
}

pub(super) fn world() -> impl Strategy<Value = World> {
    let services: Vec<_> = (0..5).map(declared).collect();
    (
        services,
        vec(any::<bool>(), 5),
        wish(),
        vec(found(), 0..8),
        vec((select(&NETWORKS[..]), any::<bool>()), 0..4),
        vec(any::<(bool, bool, bool, bool)>(), 5),
    )
        .prop_map(|(services, present, wish, found, networks, judged)| {
            let services = services.into_iter().zip(&present);
            let services = services.filter(|(_, present)| **present).map(|(it, _)| it);
            let mut world = World::new(desired(services));
            world.desired.wish = wish;
            complete(&mut world.desired);
            for (number, found) in found.iter().enumerate() {
                add(&mut world, number, found);
            }
            for (number, (network, internal)) in networks.into_iter().enumerate() {
                world.observed.networks.push(Network {
                    id: format!("n{number}"),
                    name: network.to_owned(),
                    network: network.to_owned(),
                    internal,
                    subnet: None,
                });
            }
            let volume = |it: &str, files_of: &str| Volume {
                name: format!("{it}{files_of}"),
                volume: it.to_owned(),
                files_of: files_of.to_owned(),
            };
            world.observed.volumes =
                vec![volume("data", ""), volume("left", ""), volume("", "t1"), volume("", "gone")];
            judge(&mut world, &judged);
            world
        })
}

/// A second network, and nothing that depends on what is not declared.
fn complete(desired: &mut Desired) {
    let edge = crate::spec::Network { internal: true };
    desired.stack.networks.insert("edge".to_owned(), edge);
    desired.subnets.insert("edge".to_owned(), "10.0.0.16/28".parse().expect("a network"));
    let names: BTreeSet<String> = desired.stack.services.keys().cloned().collect();
    for service in desired.stack.services.values_mut() {
        service.depends_on.retain(|it| names.contains(&it.service));
    }
}

fn add(world: &mut World, number: usize, found: &Found) {
    let declared = world.desired.stack.services.get(&name(found.service)).cloned();
    let shape = declared.unwrap_or_else(|| service(&name(found.service)));
    let pin = Pinned { image: String::new(), hash: hash(1), restart_after: None };
    let known = world.desired.pinned.contains_key(&shape.name);
    world.desired.pinned.entry(shape.name.clone()).or_insert(pin);
    let mut container = world.blank(&format!("c{number}"), &shape);
    if !known {
        world.desired.pinned.remove(&shape.name);
    }
    container.state = found.state;
    container.config_hash = hash(found.hash);
    container.exit_code = found.exit_code;
    container.limits.memory_bytes = found.memory;
    if found.state != State::Created {
        container.started_at = Some(now() - TimeDelta::seconds(found.age_s));
        container.finished_at = Some(now());
    }
    let project = world.desired.project;
    let naming = crate::naming::Naming { owner: uuid::Uuid::nil(), project };
    let endpoint = crate::observed::Endpoint { network_id: String::new(), address: None };
    container.networks =
        found.networks.iter().map(|it| (naming.network(it), endpoint.clone())).collect();
    world.observed.containers.push(container);
}

fn judge(world: &mut World, judged: &[(bool, bool, bool, bool)]) {
    for (number, &(ready, never, asked, unpinned)) in judged.iter().enumerate() {
        let name = name(number);
        if ready {
            world.judged.ready.insert(name.clone());
        }
        if never {
            world.judged.may_start.insert(name.clone(), MayStart::Never);
        }
        if unpinned && never {
            world.desired.pinned.remove(&name);
        }
        if let Some(pinned) = world.desired.pinned.get_mut(&name).filter(|_| asked) {
            pinned.restart_after = Some(now() - TimeDelta::seconds(50));
        }
    }
}
