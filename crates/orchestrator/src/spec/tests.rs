//! Reading, writing and hashing of specs.

use std::collections::BTreeMap;

use proptest::{collection, option, prelude::*};
use proto::orchestrator::v1::{self, probe::Kind};

use super::*;

fn service(name: &str) -> v1::ServiceSpec {
    v1::ServiceSpec { name: name.to_owned(), image: "app:1".to_owned(), ..Default::default() }
}

fn stack(services: impl IntoIterator<Item = v1::ServiceSpec>) -> v1::StackSpec {
    v1::StackSpec { services: services.into_iter().collect(), ..Default::default() }
}

fn depends(service: &str, condition: &str) -> v1::Dependency {
    let (service, condition) = (service.to_owned(), condition.to_owned());
    v1::Dependency { service, condition, ..Default::default() }
}

fn mount(kind: &str, source: &str, target: &str) -> v1::Mount {
    let [kind, source, target] = [kind, source, target].map(str::to_owned);
    v1::Mount { kind, source, target, ..Default::default() }
}

fn port(container: u32, host: u32, host_ip: &str) -> v1::Port {
    v1::Port { container, host, host_ip: host_ip.to_owned(), ..Default::default() }
}

fn probe(kind: Kind) -> v1::Probe {
    v1::Probe { kind: Some(kind), ..Default::default() }
}

fn seconds(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

/// The faults of a stack of `web`, after a change, and `other`.
fn faults(change: impl FnOnce(&mut v1::ServiceSpec)) -> Vec<(String, String)> {
    let mut web = service("web");
    change(&mut web);
    faults_of(stack([web, service("other")]))
}

fn faults_of(spec: v1::StackSpec) -> Vec<(String, String)> {
    let Err(failure) = read(spec, &Limits::default()) else { return Vec::new() };
    failure.violations.into_iter().map(|it| (it.field, it.description)).collect()
}

/// The one fault lies in `field`, of `web` unless it begins with a dot, and says `text`.
#[track_caller]
fn check(change: impl FnOnce(&mut v1::ServiceSpec), field: &str, text: &str) {
    let found = faults(change);
    let path = format!("services.web.{field}");
    assert!(
        matches!(found.as_slice(), [(at, why)] if *at == path && why.contains(text)),
        "wanted {path}: {text}; found {found:#?}"
    );
}

#[test]
fn a_service_gets_every_default() {
    let stack = read(stack([service("web")]), &Limits::default()).expect("it is valid");
    let web = &stack.services["web"];
    assert_eq!(web.networks, [Attachment { network: "default".to_owned(), aliases: vec![] }]);
    assert_eq!(stack.networks["default"], Network { internal: false });
    let mib = 1024 * 1024;
    let resources =
        Resources { cpu_millis: 1_000, memory_bytes: 512 * mib, pids: 256, shm_bytes: 64 * mib };
    assert_eq!(web.resources, resources);
    assert_eq!(web.hardening, Hardening { user: None, read_only: true, cap_add: vec![] });
    assert_eq!(web.probes, Probes::default());
    assert_eq!(web.restart, Restart { policy: RestartPolicy::Always, attempts: 8 });
    assert_eq!(web.stop, Stop { signal: "SIGTERM".to_owned(), grace: Duration::from_secs(10) });
    assert_eq!(web.scan, Scan { policy: ScanPolicy::Warn, severity: Severity::Critical });
}

#[test]
fn probes_get_the_pace_of_their_purpose() {
    let mut web = service("web");
    let http = Kind::Http(v1::HttpProbe { port: 80, ..Default::default() });
    web.probes = Some(v1::Probes {
        startup: Some(probe(Kind::Postgres(v1::PostgresProbe { port: 0 }))),
        readiness: Some(probe(http.clone())),
        liveness: Some(probe(Kind::Redis(v1::RedisProbe { port: 0 }))),
    });
    let mut only_ready = service("only-ready");
    let slow = v1::Probe { timeout: seconds(30), ..probe(http) };
    only_ready.probes = Some(v1::Probes { readiness: Some(slow), ..Default::default() });
    let stack = read(stack([web, only_ready]), &Limits::default()).expect("it is valid");
    let pace = |probe: &Option<Probe>| {
        let probe = probe.as_ref().expect("a probe");
        let [period, timeout, deadline] =
            [probe.period, probe.timeout, probe.deadline].map(|it| it.as_secs());
        (probe.check.clone(), period, timeout, probe.failures, probe.successes, deadline)
    };
    let http = Check::Http { port: 80, path: "/".to_owned(), status: None };
    let probes = &stack.services["web"].probes;
    assert_eq!(pace(&probes.startup), (Check::Postgres(5432), 2, 2, 1, 2, 60));
    assert_eq!(pace(&probes.readiness), (http.clone(), 5, 2, 2, 1, 0));
    assert_eq!(pace(&probes.liveness), (Check::Redis(6379), 10, 3, 3, 1, 0));
    // A start is bounded wherever it can be seen.
    assert_eq!(pace(&stack.services["only-ready"].probes.startup), (http, 2, 30, 1, 1, 120));
}

#[test]
fn an_image_is_needed() {
    check(|it| it.image.clear(), "image", "must name the image");
    check(|it| it.image = "App".into(), "image", "no reference of an image");
}

#[test]
fn secrets_are_refused_where_others_could_read_them() {
    let password = |it: &mut v1::ServiceSpec| {
        it.environment.insert("DB_PASSWORD".to_owned(), "hunter2".to_owned());
    };
    check(password, "environment.DB_PASSWORD", "DB_PASSWORD_FILE=/run/secrets/NAME");
    for (_, text) in faults(password) {
        assert!(!text.contains("hunter2"), "{text}");
    }
    let argument = |it: &mut v1::ServiceSpec, arguments: &[&str]| {
        it.command = arguments.iter().map(|it| (*it).to_owned()).collect();
    };
    check(|it| argument(it, &["redis", "--requirepass", "x2"]), "command[2]", "arguments");
    check(|it| argument(it, &["app", "--api-key=x2"]), "command[1]", "arguments");
    assert_eq!(faults(|it| argument(it, &["app", "--token-ttl", "60", "pass"])), []);
}

#[test]
fn a_secret_in_an_argument_is_told_in_each_form() {
    let faults_of = |arguments: &[&str]| {
        faults(|it| it.command = arguments.iter().map(|it| (*it).to_owned()).collect())
    };
    for arguments in [
        &["app", "postgres://app:hunter2@db/app?sslmode=disable"][..],
        &["app", "--url=postgres://app:hunter2@db/app?sslmode=disable"],
        &["app", "Zk3v9QpX1sLr8Tn5Wb2Yc7Ud=="],
        &["sh", "-c", "exec app --requirepass hunter2"],
        &["sh", "-c", "PGPASSWORD=\"hunter2\" psql"],
        &["sh", "-c", "curl -H 'X-Token: ghp_0123456789abcdefghijABCDEFGHIJ012345' db"],
        &["redis-cli", "-a", "ghp_0123456789abcdefghijABCDEFGHIJ012345", "ping"],
    ] {
        let found = faults_of(arguments);
        assert_eq!(found.len(), 1, "{arguments:?}: {found:?}");
        assert!(found[0].1.starts_with("looks like a secret"), "{arguments:?}: {found:?}");
    }
    for arguments in [
        &["psql", "--no-password", "-h", "db"][..],
        &["mysql", "--password", "-h", "db"],
        &["app", "--commit=9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"],
        &["app", "--tls-key", "/run/secrets/key", "--token=/run/secrets/token"],
        &["sh", "-c", "redis-server --requirepass \"$(cat /run/secrets/redis)\""],
        &["sh", "-c", "mysqladmin ping --password=\"$MYSQL_PASSWORD\""],
        &["redis-server", "--requirepass", ""],
    ] {
        assert_eq!(faults_of(arguments), [], "{arguments:?}");
    }
}

#[test]
fn secrets_are_refused_in_probes_and_labels_too() {
    let command = ["redis-cli", "-a", "ghp_0123456789abcdefghijABCDEFGHIJ012345"];
    let exec = v1::ExecProbe { command: command.map(str::to_owned).to_vec() };
    let liveness = Some(probe(Kind::Exec(exec)));
    let probes = v1::Probes { liveness, ..Default::default() };
    check(|it| it.probes = Some(probes), "probes.liveness.exec.command[2]", "looks like a secret");
    let labels = |key: &str, value: &str| {
        let labels = [(key.to_owned(), value.to_owned())].into();
        move |it: &mut v1::ServiceSpec| it.labels = labels
    };
    let url = "postgres://app:hunter2@db/app";
    check(labels("com.example.database", url), "labels.com.example.database", "a URL");
    let rule = labels("traefik.http.routers.web.rule", "Host(`example.org`)");
    assert_eq!(faults(rule), []);
}

#[test]
fn what_a_field_may_hold() {
    let text = |text: &str| text.to_owned();
    check(|it| it.environment = [(text(""), text("x"))].into(), "environment.", "no name");
    check(|it| it.working_dir = text("srv"), "working_dir", "absolute");
    check(|it| it.hostname = text("-x"), "hostname", "host name");
    check(|it| it.labels = [(text("cc.owner"), text("x"))].into(), "labels.cc.owner", "ours");
    check(|it| it.command = vec![text("x"); 501], "command", "at most 500");
    let restart = |policy: &str| Some(v1::Restart { policy: text(policy), attempts: 0 });
    check(|it| it.restart = restart("sometimes"), "restart.policy", "always, on-failure, never");
    let for_ever = |it: &mut v1::ServiceSpec| {
        (it.one_shot, it.restart) = (true, restart("always"));
    };
    check(for_ever, "restart.policy", "would run for ever");
    let stop = |signal: &str, grace| Some(v1::Stop { signal: text(signal), grace });
    check(|it| it.stop = stop("SIGSTOP", None), "stop.signal", "SIGTERM");
    check(|it| it.stop = stop("", seconds(0)), "stop.grace", "600 s");
    assert_eq!(faults(|it| it.stop = stop("int", seconds(60))), []);
    let scan =
        |severity: &str| Some(v1::ScanPolicy { policy: text("block"), severity: text(severity) });
    check(|it| it.scan = scan("bad"), "scan.severity", "low, medium, high, critical");
}

#[test]
fn limits_have_units_and_bounds() {
    let resources = |change: fn(&mut v1::Resources)| {
        let mut resources = v1::Resources::default();
        change(&mut resources);
        move |it: &mut v1::ServiceSpec| it.resources = Some(resources)
    };
    check(resources(|it| it.cpu_millis = 1), "resources.cpu_millis", "thousandths of a CPU");
    check(resources(|it| it.memory_bytes = 512), "resources.memory_bytes", "bytes");
    check(resources(|it| it.pids = 1), "resources.pids", "2 to 32768");
    check(resources(|it| it.shm_bytes = 1 << 40), "resources.shm_bytes", "memory limit");
}

#[test]
fn exceptions_are_the_administrators() {
    let hardening = |user: &str, capability: &str| {
        let cap_add = [capability].into_iter().filter(|it| !it.is_empty()).map(str::to_owned);
        let hardening =
            v1::Hardening { user: user.to_owned(), cap_add: cap_add.collect(), read_only: None };
        move |it: &mut v1::ServiceSpec| it.hardening = Some(hardening)
    };
    check(hardening("0:0", ""), "hardening.user", "orchestrator.root_user");
    check(hardening("postgres", ""), "hardening.user", "numeric");
    check(hardening("", "SYS_ADMIN"), "hardening.cap_add[0]", "orchestrator.capabilities");
    assert_eq!(faults(hardening("999", "cap_net_bind_service")), []);
}

#[test]
fn the_host_is_out_of_reach() {
    let bind = |source: &str| {
        let mount = mount("bind", source, "/data");
        move |it: &mut v1::ServiceSpec| it.mounts = vec![mount]
    };
    check(bind("/"), "mounts[0].source", "owns the host");
    check(bind("srv"), "mounts[0].source", "absolute");
    check(bind("/srv/../etc"), "mounts[0].source", "absolute");
    check(bind("/srv/app"), "mounts[0].source", "orchestrator.bind_roots");
    // Even where the administrator allows every folder.
    for socket in ["/var/run/docker.sock", "/run", "/var", "/home/me/docker.sock"] {
        let mut web = service("web");
        web.mounts = vec![mount("bind", socket, "/x")];
        let failure = read(stack([web]), &Limits::widest()).expect_err("it is refused");
        assert!(failure.message.contains("root on the host"), "{socket}: {failure}");
    }
    let limits = Limits { bind_roots: vec!["/srv".into()], ..Limits::default() };
    for (source, allowed) in [("/srv/app", true), ("/srv", true), ("/srvx", false)] {
        let mut web = service("web");
        web.mounts = vec![mount("bind", source, "/x")];
        assert_eq!(read(stack([web]), &limits).is_ok(), allowed, "{source}");
    }
}

#[test]
fn mounts_have_a_place_of_their_own() {
    let mounts = |mounts: &[(&str, &str, &str)]| {
        let mounts: Vec<_> = mounts.iter().map(|it| mount(it.0, it.1, it.2)).collect();
        move |it: &mut v1::ServiceSpec| it.mounts = mounts
    };
    check(mounts(&[("nfs", "x", "/x")]), "mounts[0].kind", "volume, bind, tmpfs");
    check(mounts(&[("volume", "", "/x")]), "mounts[0].source", "must name a volume");
    check(mounts(&[("volume", "data", "/x")]), "mounts[0].source", "declared: none");
    check(mounts(&[("tmpfs", "", "x")]), "mounts[0].target", "absolute");
    check(mounts(&[("tmpfs", "", "/")]), "mounts[0].target", "hide the image");
    check(mounts(&[("tmpfs", "", "/proc/x")]), "mounts[0].target", "/proc");
    check(mounts(&[("tmpfs", "", "/x"), ("tmpfs", "", "/x/")]), "mounts[1].target", "taken");
    let secret = |target: &str| {
        let secret =
            v1::SecretMount { name: "db".to_owned(), target: target.to_owned(), mode: None };
        move |it: &mut v1::ServiceSpec| it.secrets = vec![secret]
    };
    check(secret("/etc/passwd"), "secrets[0].target", "/run/secrets/");
    check(secret("../x"), "secrets[0].target", "/run/secrets/");
    assert_eq!(faults(secret("tls/key.pem")), []);
    let config = v1::ConfigMount { name: "nginx".to_owned(), ..Default::default() };
    check(|it| it.configs = vec![config], "configs[0].name", "no config \"nginx\"");
    for (target, why) in
        [("/proc/sys/x", "/proc"), ("/run/secrets/db", "/run/secrets"), ("/", "hide"), ("x", "abs")]
    {
        let mut web = service("web");
        let (name, target) = ("nginx".to_owned(), target.to_owned());
        web.configs = vec![v1::ConfigMount { name: name.clone(), target, mode: None }];
        let configs = vec![v1::ConfigSpec { name, content: Vec::new() }];
        let found = faults_of(v1::StackSpec { configs, ..stack([web]) });
        assert_eq!(found.len(), 1, "{found:?}");
        assert_eq!(found[0].0, "services.web.configs[0].target");
        assert!(found[0].1.contains(why), "{found:?}");
    }
}

#[test]
fn ports_lead_to_one_container() {
    let ports = |ports: &[v1::Port]| {
        let ports = ports.to_vec();
        move |it: &mut v1::ServiceSpec| it.ports = ports
    };
    check(ports(&[port(0, 80, "")]), "ports[0].container", "must be a port");
    check(ports(&[port(70_000, 80, "")]), "ports[0].container", "1 to 65535");
    check(ports(&[port(80, 70_000, "")]), "ports[0].host", "1 to 65535");
    check(ports(&[port(80, 80, "localhost")]), "ports[0].host_ip", "address");
    check(ports(&[port(80, 80, ""), port(81, 80, "0.0.0.0")]), "ports[1].host", "taken");
    assert_eq!(faults(ports(&[port(80, 80, "127.0.0.2"), port(81, 80, ""), port(80, 0, "")])), []);
}

#[test]
fn probes_ask_something_that_can_be_answered() {
    let readiness = |probe: v1::Probe| {
        let probes = v1::Probes { readiness: Some(probe), ..Default::default() };
        move |it: &mut v1::ServiceSpec| it.probes = Some(probes)
    };
    let tcp = || probe(Kind::Tcp(v1::TcpProbe { port: 80 }));
    check(readiness(v1::Probe::default()), "probes.readiness", "exec, http, tcp");
    let no_port = probe(Kind::Tcp(v1::TcpProbe { port: 0 }));
    check(readiness(no_port), "probes.readiness.tcp.port", "must be a port");
    let http = v1::HttpProbe { port: 80, path: "health".to_owned(), status: 0 };
    check(readiness(probe(Kind::Http(http))), "probes.readiness.http.path", "such as /health");
    let exec = probe(Kind::Exec(v1::ExecProbe { command: vec![] }));
    check(readiness(exec), "probes.readiness.exec.command", "must be a command");
    let deadline = v1::Probe { deadline: seconds(5), ..tcp() };
    check(readiness(deadline), "probes.readiness.deadline", "only a startup probe");
    let period = v1::Probe { period: seconds(-1), ..tcp() };
    check(readiness(period), "probes.readiness.period", "0.1 to 3600 s");
    check(readiness(v1::Probe { failures: 1_001, ..tcp() }), "probes.readiness.failures", "1000");
}

#[test]
fn dependencies_lead_somewhere_and_end() {
    let on = |dependency: v1::Dependency| {
        move |it: &mut v1::ServiceSpec| it.depends_on = vec![dependency]
    };
    check(on(depends("db", "")), "depends_on[0].service", "declared: other, web");
    check(on(depends("web", "")), "depends_on[0].service", "another service");
    check(on(depends("other", "ready")), "depends_on[0].condition", "started, healthy, completed");
    check(on(depends("other", "completed")), "depends_on[0].condition", "one_shot");
    let circle = ["a", "b", "c"].map(|name| {
        let next = match name {
            "a" => "b",
            "b" => "c",
            _ => "a",
        };
        v1::ServiceSpec { depends_on: vec![depends(next, "")], ..service(name) }
    });
    let found = faults_of(stack(circle));
    assert_eq!(found.len(), 1, "{found:?}");
    assert_eq!(found[0].0, "services.a.depends_on");
    assert!(found[0].1.contains("a -> b -> c -> a"), "{found:?}");
}

#[test]
fn a_stack_as_a_whole_has_bounds() {
    let found = faults_of(stack([]));
    assert!(found[0].1.contains("1 to 50 services"), "{found:?}");
    let found = faults_of(stack([service("web"), service("web")]));
    assert_eq!(found[0].0, "services[1].name");
    let found = faults_of(stack([service("We b")]));
    assert_eq!(found[0].0, "services[0].name");
    let many: Vec<_> = (0..=SERVICES_MAX).map(|number| service(&format!("s{number}"))).collect();
    let found = faults_of(stack(many));
    assert!(found[0].1.contains("not 51"), "{found:?}");
    let chain = (0..100_000).map(|number| {
        let next = depends(&format!("s{}", number + 1), "");
        v1::ServiceSpec { depends_on: vec![next], ..service(&format!("s{number}")) }
    });
    let found = faults_of(stack(chain));
    assert_eq!(found.len(), 1, "nothing else is looked at: {found:?}");
    for (kind, max) in [("networks", 16), ("volumes", 100)] {
        let names = (0..=max).map(|number| format!("n{number}"));
        let mut spec = stack([service("web")]);
        match kind {
            "networks" => {
                let network = |name| v1::NetworkSpec { name, internal: false };
                spec.networks = names.map(network).collect();
            }
            _ => spec.volumes = names.map(|name| v1::VolumeSpec { name }).collect(),
        }
        assert_eq!(faults_of(spec), [(kind.to_owned(), format!("must be at most {max} {kind}"))]);
    }
    let found = faults(|it| it.ports = vec![port(80, 80, ""); 500_000]);
    assert_eq!(found[0], ("services.web.ports".to_owned(), "must be at most 100 ports".to_owned()));
    let config = v1::ConfigSpec { name: "big".to_owned(), content: vec![0; CONFIGS_BYTES_MAX + 1] };
    let found = faults_of(v1::StackSpec { configs: vec![config], ..stack([service("web")]) });
    assert_eq!(found[0].0, "configs");
    let content = b"-----BEGIN PRIVATE KEY-----\nMII".to_vec();
    let config = v1::ConfigSpec { name: "tls".to_owned(), content };
    let found = faults_of(v1::StackSpec { configs: vec![config], ..stack([service("web")]) });
    assert_eq!(found[0].0, "configs.tls");
}

#[test]
fn every_fault_is_named_at_once() {
    let found = faults(|it| {
        it.image.clear();
        it.hostname = "-".to_owned();
        it.depends_on = vec![depends("nobody", "")];
    });
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn a_secret_that_the_project_lacks_is_named() {
    let mut web = service("web");
    web.secrets = vec![v1::SecretMount { name: "db".to_owned(), ..Default::default() }];
    let stack = read(stack([web]), &Limits::default()).expect("it is valid");
    assert!(stack.check_secrets(&BTreeSet::from(["db".to_owned()])).is_ok());
    let failure = stack.check_secrets(&BTreeSet::new()).expect_err("it is missing");
    assert_eq!(failure.violations[0].field, "services.web.secrets[0].name");
}

#[test]
fn the_hash_changes_with_the_container_and_with_nothing_else() {
    let mut web = service("web");
    web.secrets = vec![v1::SecretMount { name: "db".to_owned(), ..Default::default() }];
    web.configs = vec![v1::ConfigMount { name: "conf".to_owned(), ..Default::default() }];
    let spec = v1::StackSpec {
        configs: vec![v1::ConfigSpec { name: "conf".to_owned(), content: b"a".to_vec() }],
        ..stack([web])
    };
    let stack = read(spec, &Limits::default()).expect("it is valid");
    let web = &stack.services["web"];
    let one = BTreeMap::from([("db".to_owned(), 1)]);
    let first = hash(web, &stack.configs, "sha256:a", &one);
    assert_eq!(first, hash(web, &stack.configs, "sha256:a", &one));
    let mut same = web.clone();
    same.resources.cpu_millis = 1;
    same.resources.memory_bytes = 1;
    same.resources.pids = 1;
    same.probes.liveness = Some(Probe {
        check: Check::Tcp(1),
        period: Duration::ZERO,
        timeout: Duration::ZERO,
        failures: 1,
        successes: 1,
        deadline: Duration::ZERO,
    });
    same.restart.attempts = 1;
    assert_eq!(first, hash(&same, &stack.configs, "sha256:a", &one));
    let mut image = web.clone();
    image.image = "app:2".to_owned();
    let two = BTreeMap::from([("db".to_owned(), 2)]);
    let content = BTreeMap::from([("conf".to_owned(), b"b".to_vec())]);
    for other in [
        hash(&image, &stack.configs, "sha256:a", &one),
        hash(web, &stack.configs, "sha256:b", &one),
        hash(web, &stack.configs, "sha256:a", &two),
        hash(web, &content, "sha256:a", &one),
    ] {
        assert_ne!(first, other);
    }
}

/// A release that changes this replaces every container there is.
#[test]
fn the_hash_of_a_service_stays_the_same_over_releases() {
    let stack = read(stack([service("web")]), &Limits::default()).expect("it is valid");
    let hash = hash(&stack.services["web"], &stack.configs, "sha256:a", &BTreeMap::new());
    assert_eq!(hash, "2bc5ef5057a0c04ae01127fabff6169dbaa0d2558e978604ce12d28fc0955ed9");
}

fn word(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    prop::sample::select(words).prop_map(str::to_owned)
}

fn length() -> impl Strategy<Value = Option<prost_types::Duration>> {
    option::of(
        (1..100_i64, 0..1_000_000_000)
            .prop_map(|(seconds, nanos)| prost_types::Duration { seconds, nanos }),
    )
}

fn any_probe(is_startup: bool) -> impl Strategy<Value = v1::Probe> {
    let kind = prop_oneof![
        collection::vec("[a-z]{1,5}", 1..3)
            .prop_map(|command| Kind::Exec(v1::ExecProbe { command })),
        (1..65_536_u32, "(/[a-z]{0,5})?", prop_oneof![Just(0), 100..600_u32])
            .prop_map(|(port, path, status)| Kind::Http(v1::HttpProbe { port, path, status })),
        (1..65_536_u32).prop_map(|port| Kind::Tcp(v1::TcpProbe { port })),
        (0..65_536_u32).prop_map(|port| Kind::Postgres(v1::PostgresProbe { port })),
        (0..65_536_u32).prop_map(|port| Kind::Redis(v1::RedisProbe { port })),
    ];
    (kind, length(), length(), 0..9_u32, 0..9_u32, length()).prop_map(
        move |(kind, period, timeout, failures, successes, deadline)| v1::Probe {
            kind: Some(kind),
            period,
            timeout,
            failures,
            successes,
            deadline: deadline.filter(|_| is_startup),
        },
    )
}

fn any_probes() -> impl Strategy<Value = Option<v1::Probes>> {
    let probes =
        (option::of(any_probe(true)), option::of(any_probe(false)), option::of(any_probe(false)));
    option::of(probes.prop_map(|(startup, readiness, liveness)| v1::Probes {
        startup,
        readiness,
        liveness,
    }))
}

fn any_mounts() -> impl Strategy<Value = Vec<v1::Mount>> {
    let one = (word(&["volume", "bind", "tmpfs"]), any::<bool>(), 0..99_u64);
    collection::vec(one, 0..4).prop_map(|mounts| {
        let mounts = mounts.into_iter().enumerate();
        mounts
            .map(|(index, (kind, read_only, size))| v1::Mount {
                source: match kind.as_str() {
                    "volume" => "data".to_owned(),
                    "bind" => "/srv/x".to_owned(),
                    _ => String::new(),
                },
                size_bytes: if kind == "tmpfs" { size } else { 0 },
                target: format!("/m{index}"),
                kind,
                read_only,
            })
            .collect()
    })
}

prop_compose! {
    fn any_limits()(
        resources in option::of((0..2_u32, 0..2_u64, 0..2_u32, 0..2_u64)),
        hardening in option::of((word(&["", "5", "5:6"]), any::<Option<bool>>(), any::<bool>())),
        restart in option::of((word(&["", "on-failure", "never"]), 0..9_u32)),
        stop in option::of((word(&["", "SIGINT", "term"]), length())),
        scan in option::of((word(&["", "off", "block"]), word(&["", "low"]))),
    ) -> v1::ServiceSpec {
        v1::ServiceSpec {
            resources: resources.map(|(cpu, memory, pids, shm)| v1::Resources {
                cpu_millis: cpu * 500,
                memory_bytes: memory << 30,
                pids: pids * 99,
                shm_bytes: shm << 20,
            }),
            hardening: hardening.map(|(user, read_only, bind)| v1::Hardening {
                user,
                read_only,
                cap_add: bind.then(|| "cap_net_bind_service".to_owned()).into_iter().collect(),
            }),
            restart: restart.map(|(policy, attempts)| v1::Restart { policy, attempts }),
            stop: stop.map(|(signal, grace)| v1::Stop { signal, grace }),
            scan: scan.map(|(policy, severity)| v1::ScanPolicy { policy, severity }),
            ..Default::default()
        }
    }
}

prop_compose! {
    fn any_service()(
        base in any_limits(),
        probes in any_probes(),
        mounts in any_mounts(),
        text in collection::vec("[a-z ]{0,9}", 0..3),
        environment in collection::btree_map("[A-Z]{1,3}", "[a-z ]{0,9}", 0..3),
        secret in option::of((word(&["", "x", "a/b"]), option::of(0..0o777_u32))),
        config in option::of((word(&["", "/x"]), option::of(0..0o777_u32))),
        networks in collection::btree_set(word(&["default", "net"]), 0..3),
        port in option::of((1..99_u32, word(&["", "0.0.0.0", "::1"]), word(&["", "udp"]))),
        depends in collection::vec((word(&["", "started", "healthy"]), any::<Option<bool>>(), word(&["", "none", "restart"])), 0..3),
        flags in any::<[bool; 2]>(),
    ) -> (v1::ServiceSpec, usize) {
        let count = depends.len();
        let dependency = |(condition, required, on_restart)| v1::Dependency {
            service: String::new(), condition, required, on_restart,
        };
        let secret = secret.map(|(target, mode)| v1::SecretMount { name: "s".into(), target, mode });
        let config = config.map(|(target, mode)| v1::ConfigMount { name: "c".into(), target, mode });
        let attach = |name| v1::NetworkAttachment { name, aliases: vec!["alias".into()] };
        let port = port.map(|(container, host_ip, protocol)| v1::Port {
            container, host: 0, host_ip, protocol,
        });
        let service = v1::ServiceSpec {
            image: "app".into(),
            entrypoint: text.clone(),
            command: text,
            environment,
            probes,
            mounts,
            secrets: secret.into_iter().collect(),
            configs: config.into_iter().collect(),
            networks: networks.into_iter().map(attach).collect(),
            ports: port.into_iter().collect(),
            depends_on: depends.into_iter().map(dependency).collect(),
            init: flags[0],
            one_shot: false,
            working_dir: if flags[1] { "/srv/".into() } else { String::new() },
            ..base
        };
        (service, count)
    }
}

/// Services that depend on earlier ones only.
fn any_stack() -> impl Strategy<Value = v1::StackSpec> {
    collection::vec(any_service(), 1..6).prop_map(|services| {
        let services = services.into_iter().enumerate().map(|(index, (mut service, _))| {
            service.name = format!("s{index}");
            service.depends_on.truncate(index);
            for (earlier, dependency) in service.depends_on.iter_mut().enumerate() {
                dependency.service = format!("s{earlier}");
            }
            service
        });
        v1::StackSpec {
            services: services.collect(),
            networks: vec![v1::NetworkSpec { name: "net".into(), internal: true }],
            volumes: vec![v1::VolumeSpec { name: "data".into() }],
            configs: vec![v1::ConfigSpec { name: "c".into(), content: vec![0, 255] }],
        }
    })
}

proptest! {
    #[test]
    fn writing_is_the_inverse_of_reading(spec in any_stack()) {
        let limits = Limits { bind_roots: vec!["/srv".into()], ..Limits::default() };
        let stack = read(spec, &limits).map_err(|it| TestCaseError::fail(it.to_string()))?;
        let written = write(&stack);
        prop_assert_eq!(read(written.clone(), &limits).expect("what we write"), stack);
        // The canonical form is its own canonical form.
        prop_assert_eq!(write(&read(written.clone(), &limits).expect("again")), written);
    }
}
