//! Asks one question.

use std::net::IpAddr;
use std::time::Duration;

use super::{OUTPUT_BYTES_MAX, Verdict, wire};
use crate::docker::{Client, Error};
use crate::spec::Check;

/// Whom to ask.
#[derive(Debug, Clone)]
pub struct Target {
    /// The Engine that runs it.
    pub docker: Client,
    /// The container's id.
    pub container: String,
    /// Where it can be reached from here; `None` while it has no network.
    pub address: Option<IpAddr>,
}

/// What came of a question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// What it says.
    pub verdict: Verdict,
    /// In whose words.
    pub output: String,
    /// A command that did not end in time and may still run.
    pub unfinished: Option<String>,
}

impl Said {
    /// The Engine itself did not answer.
    pub(super) fn unanswered() -> Self {
        said(Verdict::Unknown, "the Docker daemon does not answer")
    }
}

/// Asks one question; no answer within `timeout` is a failure. `unfinished` is the command that a
/// question before left behind: while it runs, no other is started, so that a command which hangs
/// does not fill the container with itself.
pub async fn ask(
    target: &Target,
    check: &Check,
    timeout: Duration,
    unfinished: Option<String>,
) -> Said {
    let (port, address) = match (check, target.address) {
        (Check::Exec(command), _) => return execute(target, command, timeout, unfinished).await,
        (_, None) => return said(Verdict::Unknown, "the container has no address"),
        (Check::Http { port, .. }, Some(address)) => (*port, address),
        (Check::Tcp(port) | Check::Postgres(port) | Check::Redis(port), Some(address)) => {
            (*port, address)
        }
    };
    let to = wire::at(address, port);
    let asked = async {
        match check {
            Check::Http { path, status, .. } => wire::http(to, path, *status).await,
            Check::Postgres(_) => wire::postgres(to).await,
            Check::Redis(_) => wire::redis(to).await,
            Check::Tcp(_) | Check::Exec(_) => wire::tcp(to).await,
        }
    };
    match tokio::time::timeout(timeout, asked).await {
        Ok(Ok((verdict, output))) => said(verdict, output),
        Ok(Err(error)) => said(wire::blame(&error), format!("port {port}: {error}")),
        Err(_) => late(timeout, format!("port {port}: ")),
    }
}

async fn execute(
    target: &Target,
    command: &[String],
    timeout: Duration,
    unfinished: Option<String>,
) -> Said {
    if let Some(id) = unfinished {
        match target.docker.is_executing(&id).await {
            Ok(true) => {
                let output = "the command of the question before still runs".to_owned();
                return Said { verdict: Verdict::Failure, output, unfinished: Some(id) };
            }
            Err(error) if !error.is_not_found() => return unknown(&error),
            Ok(false) | Err(_) => {}
        }
    }
    match target.docker.execute(&target.container, command, OUTPUT_BYTES_MAX, timeout).await {
        Ok(executed) => match executed.exit_code {
            Some(0) => said(Verdict::Success, executed.output),
            Some(code) => {
                said(Verdict::Failure, format!("{}\n(code {code})", executed.output.trim_end()))
            }
            None => Said { unfinished: Some(executed.id), ..late(timeout, executed.output) },
        },
        Err(error) => unknown(&error),
    }
}

/// The Engine could not do it, such as in a container that is paused or gone.
fn unknown(error: &Error) -> Said {
    said(Verdict::Unknown, error.to_string())
}

fn late(timeout: Duration, so_far: impl Into<String>) -> Said {
    let so_far = so_far.into();
    said(Verdict::Failure, format!("{so_far}no answer within {} s", timeout.as_secs_f64()))
}

fn said(verdict: Verdict, output: impl Into<String>) -> Said {
    Said { verdict, output: output.into(), unfinished: None }
}
