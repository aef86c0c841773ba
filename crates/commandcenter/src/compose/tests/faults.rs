//! What is wrong with one file, and what is not.

use super::*;

/// A service of one key beside its image.
fn with(key: &str) -> Result<Resolved, Error> {
    resolve_text(&format!("services:\n  web:\n    image: app:1\n    {key}\n"))
}

#[test]
fn the_stack_as_a_whole_is_told_at_its_services() {
    let many: String = (0..=50).map(|index| format!("  s{index}: {{image: app}}\n")).collect();
    refused(
        resolve_text(&format!("x-a: b\nservices:\n{many}")),
        &[(3, "services", "at most 50 services, not 51")],
    );
    refused(
        resolve_text("services:\n  web: {image: app, profiles: [x]}\n"),
        &[(2, "services", "all are in profiles that are not active")],
    );
    let error = resolve_text("services: {}\n").expect_err("no service");
    assert_eq!(error.faults[0].file, "compose.yaml");
}

#[test]
fn a_network_that_is_declared_and_not_used_moves_no_line() {
    refused(
        resolve_text(
            "services:\n  web: {image: app, networks: ['bad name']}\nnetworks:\n  default: {}\n  \
             'bad name': {}\n",
        ),
        &[(5, "networks.bad name", "must be at most 63 letters")],
    );
}

#[test]
fn what_says_nothing_is_no_fault() {
    for key in [
        "privileged: False",
        "tty: off",
        "oom_kill_disable: no",
        "init: TRUE",
        "cap_add: []",
        "restart: on-failure:3",
        "mem_limit: 64 MB",
        "x-mine: {a: b}",
        "healthcheck: {test: x, retries: 120}",
        "healthcheck: {test: x, interval: 1h, start_period: 30s}",
        "command: 'false'",
    ] {
        assert!(with(key).is_ok(), "{key}: {}", with(key).expect_err("refused"));
    }
}

#[test]
fn values_that_are_refused_say_why() {
    for (key, at, why) in [
        ("mem_limit: 0", "mem_limit", "must be more than 0; leave it out"),
        ("shm_size: 0", "shm_size", "more than 0"),
        ("cpus: 0.0004", "cpus", "0.01 to 1024"),
        ("deploy: {resources: {limits: {memory: 0}}}", "deploy.resources.limits.memory", "than 0"),
        ("tmpfs: /x:size=0", "tmpfs", "more than 0"),
        ("restart: on-failure:0", "restart", "no number of attempts"),
        ("restart: always:3", "restart", "must be always, unless-stopped"),
        ("restart: no:7", "restart", "must be always, unless-stopped"),
        ("healthcheck: {test: x, retries: 0}", "healthcheck.retries", "more than 0"),
        ("volumes: [{type: bind, target: /x}]", "volumes[0]", "needs `source`"),
        ("ports: 8080", "ports", "must be a list"),
        ("ports: ['+80:80']", "ports[0]", "is no port"),
        ("environment: A=1", "environment", "must be a list"),
        ("labels: t", "labels", "must be a list"),
        ("x-comandcenter: {one_shot: true}", "x-comandcenter", "did you mean `x-commandcenter`?"),
    ] {
        refused(with(key), &[(4, format!("services.web.{at}").as_str(), why)]);
    }
}

#[test]
fn a_fault_of_a_probe_names_the_value() {
    for (value, at, why) in [
        ("healthcheck: {test: x, timeout: 3m}", "healthcheck.timeout", "0.1 to 120 s"),
        ("healthcheck: {test: x, interval: 0s}", "healthcheck.interval", "0.1 to 3600 s"),
        ("healthcheck: {test: x, retries: 1001}", "healthcheck.retries", "1 to 1000"),
        ("healthcheck: {test: x, start_period: 2h}", "healthcheck.start_period", "1 to 3600 s"),
        (
            "x-commandcenter: {scan: {severity: bad}}",
            "x-commandcenter.scan.severity",
            "low, medium",
        ),
        (
            "x-commandcenter: {probes: {liveness: {tcp: {port: 80}, period: 2h}}}",
            "x-commandcenter.probes.liveness.period",
            "0.1 to 3600 s",
        ),
        (
            "x-commandcenter: {probes: {liveness: {http: {port: 80, path: x}}}}",
            "x-commandcenter.probes.liveness.http.path",
            "such as /health",
        ),
    ] {
        refused(with(value), &[(4, format!("services.web.{at}").as_str(), why)]);
    }
    // Once, though the start asks it too.
    let token = "ghp_0123456789abcdefghijABCDEFGHIJ012345";
    refused(
        with(&format!("healthcheck: {{start_period: 9s, test: [CMD, app, {token}]}}")),
        &[(4, "services.web.healthcheck.test", "looks like a secret")],
    );
}

#[test]
fn a_hash_begins_no_comment_in_a_command() {
    for (command, wanted) in [
        ("notify --channel #ops --loud", &["notify", "--channel", "#ops", "--loud"][..]),
        ("echo a#b '#c' \\\"#d\\\" \\\\#e", &["echo", "a#b", "#c", "#d", "#e"][..]),
    ] {
        let resolved = with(&format!("command: \"{command}\"")).expect(command);
        assert_eq!(resolved.spec.services[0].command, wanted);
    }
}

#[test]
fn restarts_are_what_both_places_say() {
    let restart = |text: &str| {
        let restart = with(text)?.spec.services.remove(0).restart.unwrap_or_default();
        Ok::<_, Error>((restart.policy, restart.attempts))
    };
    let attempts = "x-commandcenter: {restart: {attempts: 3}}";
    let policy = |condition: &str| format!("deploy: {{restart_policy: {condition}}}");
    for (text, policy, attempts) in [
        (format!("restart: 'no'\n    {attempts}"), "never", 3),
        (format!("restart: on-failure\n    {attempts}"), "on-failure", 3),
        (attempts.to_owned(), "", 3),
        (format!("restart: unless-stopped\n    {}", policy("{condition: any}")), "always", 0),
        (policy("{condition: on-failure, max_attempts: 2}"), "on-failure", 2),
    ] {
        assert_eq!(restart(&text).expect(&text), (policy.to_owned(), attempts), "{text}");
    }
    refused(
        with(&format!("restart: always\n    {}", policy("{condition: none, bogus: 1}"))),
        &[
            (4, "services.web.restart", "says otherwise than `deploy.restart_policy`"),
            (5, "services.web.deploy.restart_policy.bogus", "unknown key"),
        ],
    );
}

#[test]
fn a_service_that_another_waits_for_cannot_go_on_for_ever() {
    let text = "services:\n  job:\n    image: app\n    x-commandcenter: {one_shot: false}\n  web:\n    \
                image: app\n    depends_on: {job: {condition: service_completed_successfully}}\n";
    refused(
        resolve_text(text),
        &[(4, "services.job.x-commandcenter.one_shot", "waits until it has completed")],
    );
}

#[test]
fn a_value_comes_from_one_place() {
    let text = |secret: &str, config: &str| {
        format!(
            "services:\n  web: {{image: app, secrets: [s], configs: [c]}}\nsecrets:\n  s: {secret}\n\
             configs:\n  c: {config}\n"
        )
    };
    refused(
        resolve_text(&text("{file: a, environment: HOME}", "{content: x, file: nofile}")),
        &[
            (4, "secrets.s.environment", "keep `file` or `environment`"),
            (6, "configs.c.content", "keep `file` or `content`"),
        ],
    );
    refused(
        resolve_text(&text("{file: a, external: true}", "{content: ''}")),
        &[(4, "secrets.s.external", "keep `file` or `external`")],
    );
    let resolved = resolve_text(&text("{external: true}", "{content: x}")).expect("it is there");
    assert!(resolved.secrets.is_empty());
}

#[test]
fn a_fault_comes_with_the_warnings_that_explain_it() {
    let error = resolve_text("services:\n  web:\n    image: 'app:${TAG}'\n").expect_err("no tag");
    assert!(error.faults[0].message.contains("tag that no image can have"), "{error}");
    assert!(error.warnings[0].contains("the variable TAG is not set"), "{:?}", error.warnings);
}
