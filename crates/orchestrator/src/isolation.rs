//! Keeps stacks away from the host they run on.
//!
//! The Engine separates its networks from each other, and internal ones from outside; but from
//! every bridge the host itself can be reached, with whatever listens on all its addresses. So our
//! bridges have names of their own, and a rule of the host's packet filter refuses what comes in
//! from them, except for answers, as well as link-local addresses, where clouds keep credentials.
//! A helper puts the rules in place before the first network, and again when they vanish.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use chassis::Shutdown;
use uuid::Uuid;

use crate::app::App;
use crate::docker::Client;
use crate::naming;

/// Whether stacks are kept away from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Nobody has looked yet.
    Unknown,
    /// The rules are in place.
    Kept,
    /// They cannot be put in place.
    Broken(String),
    /// The administrator wants no rules.
    Off,
}

/// The rules, and whether they are in place.
#[derive(Debug)]
pub struct Isolation {
    prefix: String,
    state: Mutex<State>,
    /// Held by whoever changes the rules: two at once would put them there twice.
    turn: tokio::sync::Mutex<()>,
}

impl Isolation {
    /// For bridges whose names begin with `prefix`; when it is empty, nothing is ever filtered.
    #[must_use]
    pub fn new(prefix: String) -> Self {
        let state = if prefix.is_empty() { State::Off } else { State::Unknown };
        Self { prefix, state: Mutex::new(state), turn: tokio::sync::Mutex::default() }
    }

    /// Sees to it that the rules are in place.
    pub(crate) async fn keep(&self, docker: &Client, owner: Uuid) -> State {
        let _turn = self.turn.lock().await;
        self.look(docker, owner).await
    }

    async fn look(&self, docker: &Client, owner: Uuid) -> State {
        if self.prefix.is_empty() {
            return State::Off;
        }
        let labels = naming::helper_labels(owner);
        let state = match docker.filter("keep", &self.prefix, &labels).await.as_deref() {
            Ok("kept") => State::Kept,
            Ok("restored") => {
                tracing::info!(prefix = self.prefix, "the rules of the packet filter are in place");
                State::Kept
            }
            Ok(why) => State::Broken(why.to_owned()),
            // The daemon says nothing about the rules.
            Err(error) => return State::Broken(error.to_string()),
        };
        let before = std::mem::replace(&mut *self.state(), state.clone());
        if let (State::Broken(why), true) = (&state, before != state) {
            tracing::warn!(why, "stacks reach this host: its packet filter cannot be set");
        }
        state
    }

    /// Before the first network is made; later only by [`run`].
    pub(crate) async fn prepare(&self, docker: &Client, owner: Uuid) {
        let _turn = self.turn.lock().await;
        let known = *self.state() != State::Unknown;
        if !known {
            self.look(docker, owner).await;
        }
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Restores the rules when they vanish, as long as there are networks of ours.
pub(crate) async fn run(app: std::sync::Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(app.config.resync()) => {}
        }
        let Some(owner) = app.owner().filter(|_| app.lease.may_change()) else { continue };
        let labels = BTreeMap::from([(naming::OWNER.to_owned(), owner.to_string())]);
        let networks = app.docker.networks(&labels).await.unwrap_or_default();
        if !networks.is_empty() {
            tokio::select! {
                () = shutdown.cancelled() => return Ok(()),
                _ = app.isolation.keep(&app.docker, owner) => {}
            }
        }
    }
}
