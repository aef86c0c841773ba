//! What can only be said of a stack as a whole: names that lead nowhere, cycles, ports twice.

use std::collections::BTreeSet;

use crate::spec::{Condition, MountKind, Port, Service, Stack, fault::At};

pub(super) fn check(stack: &Stack, at: &mut At<'_>) {
    for (name, service) in &stack.services {
        let mut at = at.field("services");
        let mut at = at.field(name);
        objects(stack, service, &mut at);
        dependencies(stack, service, &mut at);
        targets(service, &mut at);
    }
    published(stack, &mut at.field("services"));
    cycles(stack, &mut at.field("services"));
}

/// Networks, volumes and configs that a service names.
fn objects(stack: &Stack, service: &Service, at: &mut At<'_>) {
    for (index, network) in service.networks.iter().enumerate() {
        let known = stack.networks.contains_key(&network.network);
        at.field("networks").index(index).field("name").check(known, || {
            let known = stack.networks.keys().map(String::as_str);
            undeclared("network", &network.network, known)
        });
    }
    for (index, mount) in service.mounts.iter().enumerate() {
        let MountKind::Volume(volume) = &mount.kind else { continue };
        let known = volume.is_empty() || stack.volumes.contains(volume);
        at.field("mounts").index(index).field("source").check(known, || {
            undeclared("volume", volume, stack.volumes.iter().map(String::as_str))
        });
    }
    for (index, config) in service.configs.iter().enumerate() {
        let known = stack.configs.contains_key(&config.name);
        at.field("configs").index(index).field("name").check(known, || {
            undeclared("config", &config.name, stack.configs.keys().map(String::as_str))
        });
    }
}

fn undeclared<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let known: Vec<&str> = known.collect();
    let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
    format!("there is no {what} {name:?} in the stack (declared: {known}); declare it")
}

fn dependencies(stack: &Stack, service: &Service, at: &mut At<'_>) {
    for (index, dependency) in service.depends_on.iter().enumerate() {
        let mut at = at.field("depends_on");
        let mut at = at.index(index);
        let Some(other) = stack.services.get(&dependency.service) else {
            let known = stack.services.keys().map(String::as_str);
            at.field("service").fault(undeclared("service", &dependency.service, known));
            continue;
        };
        let name = &other.name;
        match dependency.condition {
            Condition::Completed => at.field("condition").check(other.one_shot, || {
                format!("waits for ever: {name} does not end by design; give it `one_shot`")
            }),
            Condition::Healthy => at.field("condition").check(!other.one_shot, || {
                format!("must be `completed`: {name} ends by design and is never healthy")
            }),
            Condition::Started => {}
        }
    }
}

/// Two things cannot lie at one path.
fn targets(service: &Service, at: &mut At<'_>) {
    let mut taken = BTreeSet::new();
    for (index, mount) in service.mounts.iter().enumerate() {
        at.field("mounts").index(index).field("target").check(taken.insert(&mount.target), || {
            format!("is taken: two mounts go to {}", mount.target)
        });
    }
    for (index, config) in service.configs.iter().enumerate() {
        at.field("configs")
            .index(index)
            .field("target")
            .check(taken.insert(&config.target), || {
                format!("is taken: something else goes to {}", config.target)
            });
    }
}

/// A port of the host can lead to one container only.
fn published(stack: &Stack, at: &mut At<'_>) {
    let mut taken: Vec<(&str, &Port)> = Vec::new();
    for (name, service) in &stack.services {
        for (index, port) in service.ports.iter().enumerate() {
            if let Some((holder, _)) = taken.iter().find(|(_, other)| overlap(port, other)) {
                at.field(name).field("ports").index(index).field("host").fault(format!(
                    "port {} of the host is taken by the service {holder}; choose another",
                    port.host.unwrap_or_default()
                ));
            }
            taken.push((name, port));
        }
    }
}

fn overlap(a: &Port, b: &Port) -> bool {
    let address = a.host_ip == b.host_ip
        || (a.host_ip.is_ipv4() == b.host_ip.is_ipv4()
            && (a.host_ip.is_unspecified() || b.host_ip.is_unspecified()));
    a.host.is_some() && a.host == b.host && a.protocol == b.protocol && address
}

/// Where a walk along the dependencies has been.
#[derive(Default)]
struct Walk<'a> {
    /// The way from where it began.
    way: Vec<&'a str>,
    done: BTreeSet<&'a str>,
    /// Each cycle once, with the service where the walk closed it.
    cycles: Vec<Vec<&'a str>>,
}

fn cycles(stack: &Stack, at: &mut At<'_>) {
    let mut walk = Walk::default();
    for name in stack.services.keys() {
        walk.visit(stack, name);
    }
    for cycle in walk.cycles {
        at.field(cycle[0]).field("depends_on").fault(format!(
            "goes in a circle: {} -> {}; nothing of it could ever start, so take one of the \
             dependencies out",
            cycle.join(" -> "),
            cycle[0]
        ));
    }
}

impl<'a> Walk<'a> {
    /// As deep as there are services, at most.
    fn visit(&mut self, stack: &'a Stack, name: &'a str) {
        if let Some(start) = self.way.iter().position(|it| *it == name) {
            self.cycles.push(self.way[start..].to_vec());
            return;
        }
        let Some(service) = stack.services.get(name) else { return };
        if self.done.contains(name) {
            return;
        }
        self.way.push(name);
        for dependency in service.depends_on.iter().filter(|it| it.service != name) {
            self.visit(stack, &dependency.service);
        }
        self.way.pop();
        self.done.insert(name);
    }
}
