//! The timelines of one project, by service.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{Semaphore, watch};

use super::redact::{Current, Redactor};
use super::timeline::Timeline;

/// Followers of one service at once.
pub(super) const FOLLOWERS_MAX: usize = 64;

/// The longest name of a service, in bytes.
const NAME_BYTES_MAX: usize = 63;

/// A service's log.
#[derive(Debug)]
pub(super) struct Service {
    pub name: Arc<str>,
    pub timeline: Timeline,
    pub followers: Arc<Semaphore>,
}

/// A project's logs.
#[derive(Debug)]
pub(super) struct Project {
    folder: PathBuf,
    services: Mutex<BTreeMap<Arc<str>, Arc<Service>>>,
    redactor: Arc<Current>,
    /// Changes with every record; `true` when no more will come.
    changed: watch::Sender<bool>,
}

impl Project {
    /// Opens every service's log in a folder.
    pub(super) fn open(folder: &Path, redactor: Arc<Current>) -> io::Result<Self> {
        let mut services = BTreeMap::new();
        let entries = match fs::read_dir(folder) {
            // The folder is made with the first service.
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            entries => Some(entries?),
        };
        for entry in entries.into_iter().flatten() {
            let name = entry?.file_name();
            if let Some(name) = name.to_str().filter(|name| is_name(name)) {
                let service = open(folder, name)?;
                service.timeline.seal_rest();
                services.insert(service.name.clone(), service);
            }
        }
        Ok(Self {
            folder: folder.to_owned(),
            services: Mutex::new(services),
            redactor,
            changed: watch::Sender::new(false),
        })
    }

    /// The log of a service, made when there is none.
    pub(super) fn make(&self, name: &str) -> io::Result<Arc<Service>> {
        if !is_name(name) {
            let why = format!("{name:?} cannot name a service");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, why));
        }
        let mut services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(service) = services.get(name) {
            return Ok(service.clone());
        }
        let service = open(&self.folder, name)?;
        services.insert(service.name.clone(), service.clone());
        Ok(service)
    }

    /// The log of a service.
    pub(super) fn service(&self, name: &str) -> Option<Arc<Service>> {
        self.services.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// All logs, by the services' names.
    pub(super) fn services(&self) -> Vec<Arc<Service>> {
        let services = self.services.lock().unwrap_or_else(PoisonError::into_inner);
        services.values().cloned().collect()
    }

    /// Tells followers that there is more.
    pub(super) fn announce(&self) {
        self.changed.send_modify(|_| {});
    }

    /// Ends all followers.
    pub(super) fn close(&self) {
        self.changed.send_replace(true);
    }

    /// Hears [`Project::announce`] and [`Project::close`].
    pub(super) fn changes(&self) -> watch::Receiver<bool> {
        self.changed.subscribe()
    }

    pub(super) fn redactor(&self) -> Arc<Redactor> {
        self.redactor.get()
    }
}

fn open(folder: &Path, name: &str) -> io::Result<Arc<Service>> {
    let timeline = Timeline::open(&folder.join(name))?;
    let followers = Arc::new(Semaphore::new(FOLLOWERS_MAX));
    Ok(Arc::new(Service { name: name.into(), timeline, followers }))
}

/// Whether a name is one of a service, and so names a folder inside ours.
fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.bytes().all(allowed)
}
