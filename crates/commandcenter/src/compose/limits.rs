//! Limits and restarts of a service, which Compose has in two places each.

use proto::orchestrator::v1;

use super::{field::Field, key, report::Report, units};

/// `cpus`, `mem_limit` and so on, or `deploy.resources.limits`.
pub(super) fn resources(spec: &str, field: &Field<'_>, report: &mut Report) -> v1::Resources {
    let deploy = within(Some(field), "deploy", key::DEPLOY, report);
    let resources = within(deploy.as_ref(), "resources", key::RESOURCES, report);
    let limits = within(resources.as_ref(), "limits", key::LIMITS, report);
    if let Some(deploy) = &deploy {
        scale(deploy, report);
    }
    let mut either = Either { spec, field, limits, report };
    v1::Resources {
        cpu_millis: either.read("cpus", "cpus", "cpu_millis", units::cpu_millis),
        memory_bytes: either.read("mem_limit", "memory", "memory_bytes", units::bytes),
        pids: either.read("pids_limit", "pids", "pids", count),
        shm_bytes: either.read("shm_size", "", "shm_bytes", units::bytes),
    }
}

/// The mapping under a key, its own keys checked.
fn within<'a>(
    field: Option<&Field<'a>>,
    key: &str,
    keys: key::Keys,
    report: &mut Report,
) -> Option<Field<'a>> {
    let inner = field?.get(key)?;
    key::check(&inner, keys, report);
    Some(inner)
}

/// The two places of a limit.
struct Either<'f, 'a, 'r> {
    spec: &'f str,
    field: &'f Field<'a>,
    limits: Option<Field<'a>>,
    report: &'r mut Report,
}

impl Either<'_, '_, '_> {
    /// 0 when it is in neither.
    fn read<T: Copy + Default + PartialEq>(
        &mut self,
        own: &str,
        deployed: &str,
        spec: &str,
        read: fn(&str) -> Result<T, String>,
    ) -> T {
        let mut found: Option<T> = None;
        let deployed_field = self.limits.as_ref().and_then(|limits| limits.get(deployed));
        for field in [deployed_field, self.field.get(own)].into_iter().flatten() {
            self.report.origin(format!("{}.resources.{spec}", self.spec), &field);
            let Some(value) = field.read(self.report, read) else { continue };
            if found.is_some_and(|found| found != value) {
                self.report.fault(
                    &field,
                    format!("says otherwise than `deploy.resources.limits.{deployed}`; remove one"),
                );
            }
            found = Some(value);
        }
        found.unwrap_or_default()
    }
}

fn count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| *count > 0);
    count.ok_or_else(|| format!("must be a number of processes, not {text:?}"))
}

fn scale(deploy: &Field<'_>, report: &mut Report) {
    if let Some(replicas) = deploy.get("replicas") {
        one(&replicas, report);
    }
    if let Some(mode) = deploy.get("mode")
        && mode.text(report) != "replicated"
    {
        report.fault(&mode, "must be replicated: there is one container of each service");
    }
}

/// There is one container of each service.
pub(super) fn one(field: &Field<'_>, report: &mut Report) {
    if field.number(report).is_some_and(|count| count != 1) {
        report.fault(
            field,
            "must be 1: there is one container of each service; write another service",
        );
    }
}

/// `restart`, or `deploy.restart_policy`; none when neither is there.
pub(super) fn restart(spec: &str, field: &Field<'_>, report: &mut Report) -> Option<v1::Restart> {
    let policy = field.get("deploy").and_then(|deploy| deploy.get("restart_policy"));
    let other = policy.map(|policy| deployed(spec, &policy, report));
    let Some(restart) = field.get("restart") else { return other };
    report.origin(format!("{spec}.restart"), &restart);
    let own = restart.read(report, word)?;
    let Some(other) = other else { return Some(own) };
    let attempts = [own.attempts, other.attempts];
    if own.policy != other.policy || (attempts[0] != attempts[1] && !attempts.contains(&0)) {
        report.fault(&restart, "says otherwise than `deploy.restart_policy`; remove one");
    }
    Some(v1::Restart { attempts: attempts[0].max(attempts[1]), ..own })
}

fn deployed(spec: &str, policy: &Field<'_>, report: &mut Report) -> v1::Restart {
    report.origin(format!("{spec}.restart"), policy);
    key::check(policy, key::RESTART_POLICY, report);
    let attempts =
        policy.get("max_attempts").and_then(|it| it.positive(report)).unwrap_or_default();
    let word = policy.get("condition").and_then(|condition| {
        condition.read(report, |text| match text {
            "any" => Ok("always"),
            "on-failure" => Ok("on-failure"),
            "none" => Ok("never"),
            _ => Err(format!("must be any, on-failure or none, not {text:?}")),
        })
    });
    v1::Restart { policy: word.unwrap_or("always").to_owned(), attempts }
}

fn word(text: &str) -> Result<v1::Restart, String> {
    let (policy, attempts) = match (text, text.strip_prefix("on-failure:")) {
        ("always" | "unless-stopped", _) => ("always", 0),
        ("on-failure", _) => ("on-failure", 0),
        ("no" | "false", _) => ("never", 0),
        (_, Some(attempts)) => {
            let attempts = attempts.parse::<u32>().ok().filter(|count| *count > 0);
            ("on-failure", attempts.ok_or_else(|| format!("{text:?} has no number of attempts"))?)
        }
        _ => {
            return Err(format!(
                "must be always, unless-stopped, on-failure, on-failure:3 or \"no\", not {text:?}"
            ));
        }
    };
    Ok(v1::Restart { policy: policy.to_owned(), attempts })
}
