//! Whether a container is hardened as declared: the effective state, read back from the Engine and
//! from `/proc`, against what was wanted. Pure.
//!
//! What a spec asks for that is weaker than the default is an exception, and is shown as one.

pub mod seen;

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::files;
use crate::isolation::State;
use crate::observed::Container;
use crate::spec::{MountKind, Service, User};
use seen::Seen;

/// What a check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is as it should be.
    Kept,
    /// It is not.
    Broken,
    /// It is weaker than the default, because the spec says so.
    Excepted,
    /// It cannot be seen now.
    Unknown,
}

impl Verdict {
    /// Its name on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Broken => "broken",
            Self::Excepted => "excepted",
            Self::Unknown => "unknown",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// Stable, such as `read_only_root`.
    pub name: &'static str,
    /// What should be.
    pub wanted: String,
    /// What is.
    pub found: String,
    /// What follows.
    pub verdict: Verdict,
}

/// How hardened a service is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub service: String,
    /// Everything that was looked at.
    pub checks: Vec<Check>,
}

impl Report {
    /// Whether every promise is kept, or excepted by the spec.
    #[must_use]
    pub fn is_hardened(&self) -> bool {
        self.checks.iter().all(|it| matches!(it.verdict, Verdict::Kept | Verdict::Excepted))
    }
}

/// What the Engine says of a container, besides what every look sees.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Told {
    /// It may everything.
    pub privileged: bool,
    /// Namespaces that it shares with the host, such as `pid`.
    pub shared: Vec<String>,
}

/// Everything that is known of one service.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What was declared.
    pub service: &'a Service,
    /// Who it is.
    pub user: User,
    /// Its networks' names in Docker.
    pub networks: &'a BTreeSet<String>,
    /// Its container; `None` when there is none.
    pub container: Option<&'a Container>,
    /// What the Engine says of it.
    pub told: Option<&'a Told>,
    /// Whether stacks are kept away from the host.
    pub isolation: &'a State,
    /// What the kernel says of its process; `None` when it does not run or could not be seen.
    pub seen: Option<&'a Seen>,
}

/// Looks at everything.
#[must_use]
pub fn report(scene: &Scene<'_>) -> Report {
    let checks = process(scene).into_iter().chain(mounts(scene)).chain(limits(scene));
    Report {
        service: scene.service.name.clone(),
        checks: checks.chain(namespaces(scene)).chain(network(scene)).collect(),
    }
}

/// `found` is `None` when it cannot be seen; an exception is one only when it is used.
fn check(
    name: &'static str,
    wanted: impl Into<String>,
    found: Option<String>,
    excepted: bool,
    fits: impl FnOnce(&str) -> bool,
) -> Check {
    let wanted = wanted.into();
    let Some(found) = found else {
        let found = "its process cannot be seen".to_owned();
        return Check { name, wanted, found, verdict: Verdict::Unknown };
    };
    let verdict = match (fits(&found), excepted) {
        (true, _) => Verdict::Kept,
        (false, true) => Verdict::Excepted,
        (false, false) => Verdict::Broken,
    };
    Check { name, wanted, found, verdict }
}

fn process(scene: &Scene<'_>) -> Vec<Check> {
    let hardening = &scene.service.hardening;
    let status = |key: &str| scene.seen.and_then(|it| it.status.get(key).cloned());
    let every = |it: &str, wanted: u32| {
        let mut ids = it.split_whitespace().peekable();
        ids.peek().is_some() && ids.all(|id| id.parse() == Ok(wanted))
    };
    let User { uid, gid } = scene.user;
    let capable = !hardening.cap_add.is_empty();
    let none = |it: &str| u64::from_str_radix(it, 16) == Ok(0);
    vec![
        check("uid", format!("{uid}, not 0"), status("Uid"), uid == 0, |it| {
            uid != 0 && every(it, uid)
        }),
        check("gid", gid.to_string(), status("Gid"), false, |it| every(it, gid)),
        check("effective_capabilities", "none", status("CapEff"), capable, none),
        check("possible_capabilities", "none", status("CapBnd"), capable, none),
        check("no_new_privileges", "1", status("NoNewPrivs"), false, |it| it == "1"),
        check("seccomp", "2 (filtered)", status("Seccomp"), false, |it| it == "2"),
    ]
}

fn mounts(scene: &Scene<'_>) -> Vec<Check> {
    let service = scene.service;
    let options = |place: &str| {
        let mount = scene.seen?.mounts.get(place);
        Some(
            mount.map_or_else(|| "no mount".to_owned(), |it| format!("{} {}", it.kind, it.options)),
        )
    };
    let has = |found: &str, all: &[&str]| {
        let found: Vec<&str> = found.split([' ', ',']).collect();
        all.iter().all(|it| found.contains(it))
    };
    let writable = !service.hardening.read_only;
    let mut checks =
        vec![check("read_only_root", "ro", options("/"), writable, |it| has(it, &["ro"]))];
    let asked = service.mounts.iter().filter(|it| matches!(it.kind, MountKind::Tmpfs(_)));
    let mut tmpfs: Vec<&str> = asked.map(|it| it.target.as_str()).collect();
    if service.mounts.iter().all(|it| it.target != "/tmp") {
        tmpfs.push("/tmp");
    }
    let wanted = ["tmpfs", "noexec", "nosuid", "nodev"];
    checks.extend(together("tmpfs", &wanted, tmpfs.into_iter(), options, has));
    let wanted = ["tmpfs", "ro", "noexec", "nosuid", "nodev"];
    let files = files::of(service).map(|it| it.target);
    checks.extend(together("files", &wanted, files, options, has));
    checks
}

/// One check of several places: the first that does not fit is shown.
fn together<'a>(
    name: &'static str,
    wanted: &[&str],
    places: impl Iterator<Item = &'a str>,
    options: impl Fn(&str) -> Option<String>,
    has: impl Fn(&str, &[&str]) -> bool,
) -> Option<Check> {
    let places: Vec<&str> = places.collect();
    let shown = |place: &&str| Some(format!("{place}: {}", options(place)?));
    let odd = places.iter().find(|it| options(it).is_none_or(|found| !has(&found, wanted)));
    let found = shown(odd.or(places.first())?);
    let text = format!("{} at {}", wanted.join(","), places.join(", "));
    Some(check(name, text, found, false, |_| odd.is_none()))
}

fn limits(scene: &Scene<'_>) -> Vec<Check> {
    let limit = |key: &str| scene.seen.and_then(|it| it.limits.get(key).cloned());
    let resources = scene.service.resources;
    let is = |wanted: u64| move |found: &str| found.parse() == Ok(wanted);
    let (pids, memory) = (u64::from(resources.pids), resources.memory_bytes);
    vec![
        check("pids_limit", pids.to_string(), limit("pids"), false, is(pids)),
        // The kernel counts in pages.
        check("memory_limit", memory.to_string(), limit("memory"), false, |found| {
            found.parse::<u64>().is_ok_and(|found| found <= memory && memory - found < 65_536)
        }),
    ]
}

fn namespaces(scene: &Scene<'_>) -> Vec<Check> {
    let privileged = scene.told.map(|it| it.privileged.to_string());
    let shared = scene.told.map(|it| match it.shared.as_slice() {
        [] => "none".to_owned(),
        shared => shared.join(", "),
    });
    vec![
        check("privileged", "false", privileged, false, |it| it == "false"),
        check("namespaces_of_the_host", "none", shared, false, |it| it == "none"),
    ]
}

fn network(scene: &Scene<'_>) -> Vec<Check> {
    let joined: Option<BTreeSet<String>> =
        scene.container.map(|it| it.networks.keys().cloned().collect());
    let list = |it: &BTreeSet<String>| it.iter().cloned().collect::<Vec<_>>().join(", ");
    let fits = joined.as_ref().is_some_and(|it| it.is_subset(scene.networks));
    let wanted = list(scene.networks);
    let found = joined.as_ref().map(list);
    let mut checks = vec![check("networks", wanted, found, false, |_| fits)];
    let published = scene.container.map(|it| it.published.clone());
    // `127.0.0.1:8080->80/tcp`
    let address = |it: &str| it.rsplit_once("->")?.0.rsplit_once(':')?.0.parse::<IpAddr>().ok();
    let loopback =
        |it: &[String]| it.iter().all(|it| address(it).is_some_and(|it| it.is_loopback()));
    let kept = published.as_deref().is_some_and(loopback);
    let declared: BTreeSet<IpAddr> = scene.service.ports.iter().map(|it| it.host_ip).collect();
    let excepted = published
        .iter()
        .flatten()
        .all(|it| address(it).is_some_and(|it| it.is_loopback() || declared.contains(&it)));
    let found = published.map(|it| if it.is_empty() { "none".to_owned() } else { it.join(", ") });
    checks.push(check("published", "127.0.0.1 only", found, excepted, |_| kept));
    checks.push(isolation(scene.isolation));
    checks
}

fn isolation(state: &State) -> Check {
    let (found, verdict) = match state {
        State::Kept => ("rules of the packet filter are in place".to_owned(), Verdict::Kept),
        State::Broken(why) => (why.clone(), Verdict::Broken),
        State::Off => ("`orchestrator.bridges` is empty".to_owned(), Verdict::Excepted),
        State::Unknown => ("nobody has looked yet".to_owned(), Verdict::Unknown),
    };
    let wanted = "no way to the host and to 169.254.0.0/16".to_owned();
    Check { name: "isolation", wanted, found, verdict }
}

#[cfg(test)]
mod tests;
