//! Whether stacks can run on this machine.

use orchestrator::docker::{Client, Error};

use super::Check;
use crate::{cli::Global, up};

const NAME: &str = "docker";

/// Asks the Engine that the instance of this machine uses; everything but stacks works without.
pub(super) async fn check(global: &Global) -> Option<Check> {
    if global.url.is_some() {
        return None;
    }
    let socket = match up::docker_socket(&global.data_dir()) {
        Ok(socket) => socket,
        Err(error) => {
            return Some(Check::fail("configuration", error.to_string(), "correct the setting"));
        }
    };
    Some(match Client::new(socket).engine().await {
        Ok(it) => {
            let (version, api, cgroup) = (it.version, it.api, it.cgroup);
            Check::pass(NAME, format!("Engine {version}, API {api}, cgroup v{cgroup}"))
        }
        Err(error) => Check::warn(NAME, error.to_string(), remedy(&error)),
    })
}

fn remedy(error: &Error) -> &'static str {
    match error {
        Error::TooOld { .. } => "install Docker Engine 20.10 or newer; stacks need it",
        Error::Unreachable { .. } => {
            "install and start Docker Engine, or name its socket with orchestrator.docker_socket; \
             only stacks need it"
        }
        _ => "look at the Docker daemon's own log; only stacks need it",
    }
}
