//! Puts a service's files in place, just before its process starts.
//!
//! Their volume is memory, which the Engine frees when nobody has it mounted. So a helper holds it
//! from the moment it is filled until the service's container, which then holds the files itself,
//! has started; the next look removes the helper. What a service's end leaves behind is nothing.

use zeroize::Zeroizing;

use super::execute::{Executor, taken};
use super::refusal::Fault;
use crate::docker::Error;
use crate::files::{self, Source};
use crate::naming;
use crate::reason::{Diagnosis, Reason};
use crate::spec::Service;

impl Executor<'_> {
    /// The folder, on the daemon's host, of the volume that a service's files are put into; the
    /// volume is made when it is missing. Empty for a service without files.
    pub(super) async fn folder(&self, service: &Service) -> Result<String, Error> {
        if !files::has(service) {
            return Ok(String::new());
        }
        let name = self.naming.files(&service.name);
        let labels = self.labels(naming::FILES, &service.name);
        let found = self.app.docker.create_volume(&name, &labels, true).await?;
        // A stranger's volume may be a disk, where no secret may ever lie.
        let ours = found.memory && self.naming.owns(|key| found.labels.get(key));
        if ours { Ok(found.folder) } else { Err(taken("volume", &name)) }
    }

    /// Fills the volume of a service's files, and leaves a helper that holds it.
    pub(super) async fn fill(&self, name: &str) -> Result<(), Fault> {
        let Some(service) = self.desired.stack.services.get(name) else {
            return Ok(()); // Plans name only what is desired.
        };
        let archive = self.archive(service)?;
        self.folder(service).await?;
        let volume = self.naming.files(name);
        let docker = &self.app.docker;
        let helper = docker.hold(&volume, &self.naming.labels()).await?;
        self.app.failpoint.pass().await;
        docker.fill(&helper, archive).await?;
        Ok(())
    }

    fn archive(&self, service: &Service) -> Result<Zeroizing<Vec<u8>>, Diagnosis> {
        let configs = &self.desired.stack.configs;
        let mut filled = Vec::new();
        for file in files::of(service) {
            let content = match file.source {
                Source::Secret(name) => self.vault.open(name)?,
                Source::Config(name) => configs.get(name).cloned().unwrap_or_default().into(),
            };
            filled.push((file, content));
        }
        let user = service.hardening.user.unwrap_or(self.user);
        files::archive(&filled, user).map_err(|error| {
            Diagnosis::new(Reason::MountInvalid, format!("no archive can be made: {error}"))
        })
    }
}
