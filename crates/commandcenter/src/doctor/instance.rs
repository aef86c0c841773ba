//! How the running instance does: whether it answers, to whom, and each of its services.

use chrono::{DateTime, Utc};
use nix::{errno::Errno, sys::signal::kill, unistd::Pid};
use serde_json::Value;

use super::Check;
use crate::{
    cli::{Global, status},
    client::{self, Answer, Client, InstanceFile},
    error::Error,
};

/// Clocks that differ by more than this, in seconds, confuse schedules and logs.
const CLOCK_SECONDS_MAX: i64 = 5;

const OUR_VERSION: &str = env!("CARGO_PKG_VERSION");

pub(super) async fn checks(global: &Global) -> Vec<Check> {
    let mut checks = Vec::new();
    if global.url.is_none() {
        let file = instance_file(global);
        checks.push(file);
    }
    match status_of(global).await {
        Ok((answer, address)) => {
            checks.push(Check::pass("address", address));
            checks.push(Check::pass("token", "accepted"));
            checks.extend(version(&answer.value));
            checks.extend(answer.date.map(|date| clock(date, Utc::now())));
            checks.extend(status::services(&answer.value).iter().map(service));
        }
        // The check of the instance's file has said so.
        Err(Error::NoInstance { .. }) if global.url.is_none() => {}
        Err(error) => checks.push(refusal(&error)),
    }
    checks
}

async fn status_of(global: &Global) -> Result<(Answer, String), Error> {
    let instance = client::find(global)?;
    let client = Client::new(&instance, global.request_timeout())?;
    Ok((client.look(&["status"], &[]).await?, instance.url.to_string()))
}

fn instance_file(global: &Global) -> Check {
    let name = "instance";
    let dir = global.data_dir();
    let file = match InstanceFile::read(&dir) {
        Ok(file) => file,
        Err(error @ Error::NoInstance { .. }) => {
            return Check::fail(
                name,
                format!("none runs with {}", dir.display()),
                remedy(&error.to_string()),
            );
        }
        Err(error) => return Check::fail(name, error.report(), "start the instance again"),
    };
    match file.pid.map(|pid| (pid, kill(Pid::from_raw(pid), None))) {
        Some((pid, Err(Errno::ESRCH))) => Check::fail(
            name,
            format!("its process {pid} is gone; it did not end by itself"),
            "start it again with `commandcenter up`; it carries on where it was",
        ),
        Some((pid, _)) => Check::pass(name, format!("process {pid}, {}", file.http)),
        None => Check::pass(name, file.http),
    }
}

/// The part of a message that says what to do.
fn remedy(message: &str) -> String {
    message.split_once(". ").map_or(message, |(_, remedy)| remedy).to_owned()
}

fn refusal(error: &Error) -> Check {
    let fix = match error {
        Error::Refused(problem) if problem.status == 401 => {
            "name a token that works with --token-file; an administrator can make one with \
             `commandcenter token create`"
        }
        Error::Refused(_) => "the server's log says more",
        Error::Unreachable { .. } => "start it with `commandcenter up`, or correct the address",
        Error::TimedOut { .. } => "look at the machine's load and at the log of `up`",
        _ => "correct the address or the token",
    };
    let name = match error {
        Error::Refused(problem) if matches!(problem.status, 401 | 403) => "token",
        Error::Unreadable { .. } => "token",
        _ => "address",
    };
    Check::fail(name, error.report(), fix)
}

fn version(status: &Value) -> Option<Check> {
    let name = "version";
    let theirs = status["version"].as_str()?;
    Some(if theirs == OUR_VERSION {
        Check::pass(name, theirs)
    } else {
        Check::warn(
            name,
            format!("the instance is {theirs}, this command is {OUR_VERSION}"),
            "use the command of the same version, or start the instance again after an upgrade",
        )
    })
}

fn clock(theirs: DateTime<Utc>, ours: DateTime<Utc>) -> Check {
    let name = "clock";
    let apart = (ours - theirs).num_seconds().abs();
    if apart > CLOCK_SECONDS_MAX {
        return Check::warn(
            name,
            format!("this machine's and the instance's differ by {apart} s"),
            "let both follow a time server",
        );
    }
    Check::pass(name, "agrees with the instance's")
}

fn service(service: &Value) -> Check {
    let text = |field: &str| service[field].as_str().unwrap_or_default();
    let name = format!("service {}", text("name"));
    let detail = match text("reason") {
        "" => text("state").to_owned(),
        reason => format!("{}: {reason}", text("state")),
    };
    match text("state") {
        "ready" => Check::pass(&name, detail),
        "degraded" => Check::warn(
            &name,
            detail,
            "mend what the reason names; until then it works with that restriction",
        ),
        "starting" => Check::fail(&name, detail, "wait; if it stays so, look at the log of `up`"),
        _ => Check::fail(&name, detail, "look at the log of `up`; the service is started again"),
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use serde_json::json;

    use super::{super::Verdict, *};

    #[test]
    fn each_state_of_a_service_has_its_verdict() {
        for (state, verdict) in [
            ("ready", Verdict::Pass),
            ("degraded", Verdict::Warn),
            ("starting", Verdict::Fail),
            ("failed", Verdict::Fail),
            ("stopping", Verdict::Fail),
        ] {
            let check = service(&json!({"name": "hub", "state": state, "reason": "why"}));
            assert_eq!(check.verdict, verdict, "{state}");
            assert_eq!(check.fix.is_empty(), verdict == Verdict::Pass);
        }
    }

    #[test]
    fn clocks_may_differ_by_a_few_seconds() {
        let now = Utc::now();
        for (seconds, verdict) in [(5, Verdict::Pass), (-5, Verdict::Pass), (6, Verdict::Warn)] {
            assert_eq!(clock(now + TimeDelta::seconds(seconds), now).verdict, verdict);
        }
    }

    #[test]
    fn another_version_is_a_warning() {
        let check = |version: &str| version_check(version).expect("a version").verdict;
        fn version_check(version: &str) -> Option<Check> {
            super::version(&json!({ "version": version }))
        }
        assert_eq!(check(OUR_VERSION), Verdict::Pass);
        assert_eq!(check("99.0.0"), Verdict::Warn);
        assert!(super::version(&json!({})).is_none());
    }
}
