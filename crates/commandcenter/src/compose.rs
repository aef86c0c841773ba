//! Compose files as their owners have them, resolved into a spec that needs nothing but itself.
//!
//! All of it happens where the command runs: files are read and variables expanded here, so the
//! server never opens a path or variable that a spec names. [`resolve`] takes documents and answers
//! a [`Resolved`] spec, or every fault with its file, line and key. Which keys there are is in one
//! table per mapping, which `docs/ORCHESTRATION.md` shows; what values they may have is the
//! orchestrator's to say, whose own reader checks the result before it is sent.

mod disk;
mod document;
mod dotenv;
mod environment;
mod extension;
mod field;
mod interpolate;
mod key;
mod limits;
mod merge;
mod mount;
mod object;
mod port;
mod probe;
mod relative;
mod report;
mod service;
#[cfg(test)]
mod tests;
mod units;
mod yaml;

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use orchestrator::spec::{self, Limits};
use proto::orchestrator::v1;
use secrecy::SecretSlice;

pub use self::report::{Error, Fault, Origins};
pub(crate) use self::units::duration;

use self::{
    field::Field,
    report::Report,
    yaml::{Node, Place, Value},
};

/// The stack `commandcenter`: Postgres, Redis, a backend and a frontend, each part of it
/// configurable by a variable.
pub const TEMPLATE: &str = include_str!("compose/commandcenter.yaml");

/// The variable that names active profiles.
const PROFILES: &str = "COMPOSE_PROFILES";

/// A Compose file that was read.
#[derive(Debug, Clone)]
pub struct Document {
    /// As it is named in errors.
    pub name: String,
    /// Its content.
    pub text: String,
}

impl Document {
    /// Reads a file, named as it was given.
    ///
    /// # Errors
    /// When it cannot be read, is no text, or is larger than 1 MiB.
    pub fn read(path: &Path) -> io::Result<Self> {
        Ok(Self { name: path.display().to_string(), text: disk::text(path)? })
    }

    /// Reads what is open, such as standard input.
    ///
    /// # Errors
    /// As for a file.
    pub fn read_from(name: &str, file: impl io::Read) -> io::Result<Self> {
        Ok(Self { name: name.to_owned(), text: disk::text_of(file)? })
    }
}

/// What to resolve, and with what.
#[derive(Debug, Clone, Default)]
pub struct Request {
    /// In order: a later one wins over an earlier one.
    pub documents: Vec<Document>,
    /// Absolute; where relative paths begin.
    pub folder: PathBuf,
    /// Files of variables; a later one wins. Without any, `.env` in the folder, if it is there.
    pub env_files: Vec<PathBuf>,
    /// The caller's variables, which win over those of files.
    pub environment: BTreeMap<String, String>,
    /// Active profiles.
    pub profiles: BTreeSet<String>,
}

/// A stack that can be sent.
#[derive(Debug)]
pub struct Resolved {
    /// Without a secret, path or variable of the caller.
    pub spec: v1::StackSpec,
    /// Values by name, to be put before the spec is applied.
    pub secrets: BTreeMap<String, SecretSlice<u8>>,
    /// What has no effect, or another one than in Compose.
    pub warnings: Vec<String>,
    /// Where each field was written.
    pub origins: Origins,
}

/// What a service can refer to.
struct Project<'a> {
    folder: &'a Path,
    variables: &'a BTreeMap<String, String>,
    /// Services in profiles that are not active.
    idle: BTreeSet<String>,
}

/// Resolves documents into one spec.
///
/// # Errors
/// Every fault with its file, line and key, and what to do about it.
pub fn resolve(request: &Request) -> Result<Resolved, Error> {
    let mut report = Report::default();
    let variables = variables(request, &mut report);
    let first = Place { file: report.files(), line: 1 };
    let mut reader = document::Reader::new(&request.folder, &variables, &mut report);
    let tree = reader.all(&request.documents);
    report.settle()?;
    let tree = tree.unwrap_or_else(|| Node::new(first, Value::Null));
    let root = Field::root(&tree);
    let (spec, secrets) = stack(&root, request, &variables, &mut report);
    check(&spec, first, &mut report);
    report.settle()?;
    Ok(Resolved { spec, secrets, warnings: report.warnings, origins: report.origins })
}

/// The caller's variables, and those of files that it does not have.
fn variables(request: &Request, report: &mut Report) -> BTreeMap<String, String> {
    let default = [PathBuf::from(".env")];
    let is_default = request.env_files.is_empty();
    let files = if is_default { default.as_slice() } else { &request.env_files };
    let mut of_files = BTreeMap::new();
    for path in files {
        let file = report.file(&path.display().to_string());
        match disk::text(&request.folder.join(path)) {
            Ok(text) => match dotenv::parse(&text, &request.environment) {
                Ok(variables) => {
                    environment::unset(&variables, file, report);
                    let known = variables.into_iter().filter_map(|it| Some((it.name, it.value?)));
                    of_files.extend(known);
                }
                Err(wrong) => report.wrong(file, wrong),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound && is_default => {}
            Err(error) => {
                let place = Place { file, line: 1 };
                report.at(place, "", disk::fault(&path.display().to_string(), &error));
            }
        }
    }
    of_files.extend(request.environment.clone());
    of_files
}

type Secrets = BTreeMap<String, SecretSlice<u8>>;

fn stack(
    root: &Field<'_>,
    request: &Request,
    variables: &BTreeMap<String, String>,
    report: &mut Report,
) -> (v1::StackSpec, Secrets) {
    key::check(root, key::TOP, report);
    let Some(services) = root.get("services") else {
        report.fault(root, "has no `services`; a stack needs at least one");
        return Default::default();
    };
    let profiles = profiles(request, variables);
    let (active, idle): (Vec<_>, Vec<_>) = services
        .entries(report)
        .into_iter()
        .partition(|(_, service)| is_active(service, &profiles, report));
    report.origin("services", &services);
    if active.len() > spec::SERVICES_MAX {
        let message = format!("must be at most {} services", spec::SERVICES_MAX);
        report.fault(&services, format!("{message}, not {}", active.len()));
        return Default::default();
    }
    if active.is_empty() && !idle.is_empty() {
        report.fault(
            &services,
            "all are in profiles that are not active; activate one with --profile",
        );
        return Default::default();
    }
    let idle = idle.into_iter().map(|(entry, _)| entry.key.clone()).collect();
    let project = Project { folder: &request.folder, variables, idle };
    let mut spec = v1::StackSpec::default();
    for (index, (entry, service)) in active.into_iter().enumerate() {
        for path in [format!("services[{index}]"), format!("services.{}", entry.key)] {
            report.origin_at(path, entry.place, &service.path);
        }
        spec.services.push(service::read(&entry.key, &service, &project, report));
    }
    one_shots(&mut spec, report);
    unseen(&spec, report);
    spec.networks = object::networks(root, &spec.services, report);
    spec.volumes = object::volumes(root, &spec.services, report);
    spec.configs = object::configs(root, &spec.services, &project, report);
    let secrets = object::secrets(root, &spec.services, &project, report);
    (spec, secrets)
}

fn profiles(request: &Request, variables: &BTreeMap<String, String>) -> BTreeSet<String> {
    let named = variables.get(PROFILES).map(String::as_str).unwrap_or_default();
    let named = named.split(',').map(str::trim).filter(|name| !name.is_empty());
    named.map(str::to_owned).chain(request.profiles.iter().cloned()).collect()
}

fn is_active(service: &Field<'_>, profiles: &BTreeSet<String>, report: &mut Report) -> bool {
    let own = service.get("profiles").map(|it| it.texts(report)).unwrap_or_default();
    own.is_empty() || profiles.contains("*") || own.iter().any(|name| profiles.contains(name))
}

/// A service whose end another one waits for ends by design.
fn one_shots(spec: &mut v1::StackSpec, report: &mut Report) {
    let dependencies = spec.services.iter().flat_map(|service| &service.depends_on);
    let ends: BTreeSet<String> = dependencies
        .filter(|dependency| dependency.condition == "completed")
        .map(|dependency| dependency.service.clone())
        .collect();
    for service in spec.services.iter_mut().filter(|service| ends.contains(&service.name)) {
        let field = format!("services.{}.one_shot", service.name);
        if !service.one_shot && report.origins.has(&field) {
            let message = "is false, but another service waits until it has completed; remove one";
            let fault = report.origins.fault(&field, message);
            fault.into_iter().for_each(|fault| report.push(fault));
        }
        service.one_shot = true;
    }
}

/// A service without probes counts as healthy as soon as it runs, which Compose would refuse.
fn unseen(spec: &v1::StackSpec, report: &mut Report) {
    for service in &spec.services {
        for (index, dependency) in service.depends_on.iter().enumerate() {
            let other = spec.services.iter().find(|it| it.name == dependency.service);
            let is_unseen = other.is_some_and(|other| other.probes.is_none());
            let field = format!("services.{}.depends_on[{index}]", service.name);
            if dependency.condition == "healthy" && is_unseen {
                let message = format!(
                    "{} has no health check, and counts as healthy as soon as it runs; give it \
                     `healthcheck`, or probes in `x-commandcenter`",
                    dependency.service
                );
                let fault = report.origins.fault(&field, &message);
                report.warnings.extend(fault.map(|fault| fault.to_string()));
            }
        }
    }
}

/// What no server would accept is a fault here, where its file and line are known.
fn check(spec: &v1::StackSpec, first: Place, report: &mut Report) {
    let Err(failure) = spec::read(spec.clone(), &Limits::widest()) else { return };
    let told: BTreeSet<_> =
        report.faults.iter().map(|fault| (fault.file.clone(), fault.line)).collect();
    for violation in failure.violations {
        match report.origins.fault(&violation.field, &violation.description) {
            // It follows from a fault of the same line.
            Some(fault) if told.contains(&(fault.file.clone(), fault.line)) => {}
            Some(fault) => report.push(fault),
            None if told.is_empty() => {
                report.at(first, &violation.field, violation.description);
            }
            None => {}
        }
    }
}
