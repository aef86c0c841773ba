//! What would change if a spec were applied. Pure.

use std::collections::BTreeSet;
use std::fmt::Debug;

use crate::plan::limits;
use crate::spec::{Service, Stack};

/// One object that would change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// `service`, `network`, `volume`.
    pub kind: &'static str,
    /// Its name in the stack.
    pub name: String,
    /// `create`, `recreate`, `update`, `remove`.
    pub action: &'static str,
    /// What differs.
    pub reasons: Vec<String>,
}

/// What differs between what was applied and what would be.
#[must_use]
pub fn diff(old: &Stack, new: &Stack) -> Vec<Change> {
    let mut changes = Vec::new();
    for name in union(old.services.keys(), new.services.keys()) {
        let (kind, old, new) = ("service", old.services.get(name), new.services.get(name));
        changes.extend(change(kind, name, old, new, service));
    }
    for name in union(old.networks.keys(), new.networks.keys()) {
        let (kind, old, new) = ("network", old.networks.get(name), new.networks.get(name));
        changes.extend(change(kind, name, old, new, |old, new| {
            ("recreate", vec![format!("internal: {} -> {}", old.internal, new.internal)])
        }));
    }
    // A volume that is no longer declared stays.
    for name in new.volumes.iter().filter(|it| !old.volumes.contains(it)) {
        let (name, reasons) = (name.clone(), Vec::new());
        changes.push(Change { kind: "volume", name, action: "create", reasons });
    }
    changes
}

fn union<'a>(
    a: impl Iterator<Item = &'a String>,
    b: impl Iterator<Item = &'a String>,
) -> BTreeSet<&'a String> {
    a.chain(b).collect()
}

fn change<T: PartialEq>(
    kind: &'static str,
    name: &str,
    old: Option<&T>,
    new: Option<&T>,
    differ: impl Fn(&T, &T) -> (&'static str, Vec<String>),
) -> Option<Change> {
    let (action, reasons) = match (old, new) {
        (Some(old), Some(new)) if old == new => return None,
        (Some(old), Some(new)) => differ(old, new),
        (None, _) => ("create", Vec::new()),
        (_, None) => ("remove", Vec::new()),
    };
    Some(Change { kind, name: name.to_owned(), action, reasons })
}

fn service(old: &Service, new: &Service) -> (&'static str, Vec<String>) {
    let mut made = Vec::new();
    let mut note = |field: &str, old: &dyn Debug, new: &dyn Debug| {
        let (old, new) = (format!("{old:?}"), format!("{new:?}"));
        if old != new {
            made.push(format!("{field}: {old} -> {new}"));
        }
    };
    note("image", &old.image, &new.image);
    note("entrypoint", &old.entrypoint, &new.entrypoint);
    note("command", &old.command, &new.command);
    note("working_dir", &old.working_dir, &new.working_dir);
    note("secrets", &old.secrets, &new.secrets);
    note("configs", &old.configs, &new.configs);
    note("networks", &old.networks, &new.networks);
    note("ports", &old.ports, &new.ports);
    note("mounts", &old.mounts, &new.mounts);
    note("hardening", &old.hardening, &new.hardening);
    note("stop", &old.stop, &new.stop);
    note("labels", &old.labels, &new.labels);
    note("hostname", &old.hostname, &new.hostname);
    note("init", &old.init, &new.init);
    note("shm_bytes", &old.resources.shm_bytes, &new.resources.shm_bytes);
    // Values of the environment are nobody's business.
    let names = union(old.environment.keys(), new.environment.keys());
    let changed =
        names.into_iter().filter(|it| old.environment.get(*it) != new.environment.get(*it));
    made.extend(changed.map(|it| format!("environment: {it}")));
    if !made.is_empty() {
        return ("recreate", made);
    }
    let (old_limits, new_limits) = (limits(old.resources), limits(new.resources));
    if old_limits == new_limits {
        return ("update", vec!["probes, order or policy".to_owned()]);
    }
    ("update", vec![format!("limits: {old_limits:?} -> {new_limits:?}")])
}
