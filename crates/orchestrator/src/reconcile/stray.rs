//! Removes helpers that were made and never started, because we were killed in between. One that
//! was started goes by itself.

use std::sync::Arc;

use chassis::Shutdown;
use chrono::{DateTime, TimeDelta, Utc};

use crate::app::App;
use crate::docker::Error;
use crate::naming;
use crate::observed::{Container, State};

/// From being made to being started, a helper takes a moment.
const STRAY_AFTER: TimeDelta = TimeDelta::minutes(2);

pub(super) async fn run(app: Arc<App>, shutdown: Shutdown) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            () = tokio::time::sleep(app.config.resync()) => {}
        }
        if !app.lease.may_change() {
            continue;
        }
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            swept = sweep(&app) => {
                if let Err(error) = swept {
                    tracing::debug!(error = %error, "helpers cannot be looked for now");
                }
            }
        }
    }
}

async fn sweep(app: &App) -> Result<(), Error> {
    let Some(owner) = app.owner() else { return Ok(()) };
    for id in app.docker.containers(&naming::helper_labels(owner)).await? {
        let found = app.docker.container(&id).await?;
        if found.is_some_and(|(it, _)| is_stray(&it, Utc::now())) {
            app.docker.remove_container(&id).await?;
        }
    }
    Ok(())
}

fn is_stray(helper: &Container, now: DateTime<Utc>) -> bool {
    let old = helper.created_at.is_some_and(|at| now - at > STRAY_AFTER);
    old && helper.state == State::Created
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_old_helper_that_never_started_is_stray() {
        let now = Utc::now();
        let helper = |state, minutes| Container {
            id: "helper".to_owned(),
            name: String::new(),
            service: String::new(),
            generation: 0,
            config_hash: String::new(),
            image: String::new(),
            state,
            created_at: Some(now - TimeDelta::minutes(minutes)),
            started_at: None,
            finished_at: None,
            exit_code: 0,
            oom_killed: false,
            error: String::new(),
            limits: crate::observed::Limits::default(),
            networks: [].into(),
            published: vec![],
            pid: 0,
        };
        assert!(is_stray(&helper(State::Created, 3), now));
        assert!(!is_stray(&helper(State::Created, 1), now));
        assert!(!is_stray(&helper(State::Running, 3), now));
        let unknown = Container { created_at: None, ..helper(State::Created, 3) };
        assert!(!is_stray(&unknown, now));
    }
}
