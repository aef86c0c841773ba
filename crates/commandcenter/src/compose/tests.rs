//! Whole files: the public kinds, and everything that can be wrong with one.

use std::{fs, path::PathBuf};

use proptest::prelude::*;
use proto::orchestrator::v1::probe::Kind;
use secrecy::ExposeSecret as _;
use tempfile::TempDir;

use super::*;

mod faults;
mod files;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compose")
}

fn request(folder: PathBuf, documents: &[(&str, &str)]) -> Request {
    let document = |(name, text): &(&str, &str)| Document {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    };
    Request { documents: documents.iter().map(document).collect(), folder, ..Request::default() }
}

fn fixture(name: &str) -> Result<Resolved, Error> {
    let text = fs::read_to_string(fixtures().join(name)).expect("a fixture");
    resolve(&request(fixtures(), &[(name, &text)]))
}

fn accepted(name: &str) -> (spec::Stack, Resolved) {
    let resolved = fixture(name).unwrap_or_else(|error| panic!("{name} is refused:\n{error}"));
    let stack = spec::read(resolved.spec.clone(), &Limits::default());
    (stack.unwrap_or_else(|error| panic!("{name}: {error:?}")), resolved)
}

/// The faults are these, by line and key, and each says its text.
#[track_caller]
fn refused(resolved: Result<Resolved, Error>, wanted: &[(usize, &str, &str)]) {
    let error = resolved.expect_err("it is accepted");
    let found: Vec<_> =
        error.faults.iter().map(|it| (it.line, it.key.as_str(), it.message.as_str())).collect();
    let matches = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(found, wanted)| {
            found.0 == wanted.0 && found.1 == wanted.1 && found.2.contains(wanted.2)
        });
    assert!(matches, "wanted {wanted:#?}\nfound {found:#?}");
}

/// A file alone in an empty folder.
fn resolve_text(text: &str) -> Result<Resolved, Error> {
    let folder = tempfile::tempdir().expect("a folder");
    resolve(&request(folder.path().to_owned(), &[("compose.yaml", text)]))
}

#[test]
fn kind_1_passwords_in_the_environment_are_refused() {
    refused(
        fixture("01-wordpress.yaml"),
        &[
            (10, "services.db.environment.MYSQL_ROOT_PASSWORD", "MYSQL_ROOT_PASSWORD_FILE"),
            (13, "services.db.environment.MYSQL_PASSWORD", "Declare it under `secrets`"),
            (27, "services.wordpress.environment.WORDPRESS_DB_PASSWORD", "looks like a secret"),
        ],
    );
}

#[test]
fn kind_2_a_web_application_with_a_database() {
    let (stack, resolved) = accepted("02-web-database.yaml");
    let [db, web] = ["db", "web"].map(|name| &stack.services[name]);
    assert_eq!(db.environment["POSTGRES_USER"], "shop");
    assert_eq!((db.resources.cpu_millis, db.resources.memory_bytes), (500, 256 << 20));
    let readiness = db.probes.readiness.as_ref().expect("the health check");
    let command = ["/bin/sh", "-c", "pg_isready -U ${POSTGRES_USER}"].map(str::to_owned);
    assert_eq!(readiness.check, spec::Check::Exec(command.to_vec()));
    assert_eq!((readiness.period.as_secs(), readiness.failures), (10, 5));
    let startup = db.probes.startup.as_ref().expect("its start");
    assert_eq!((startup.deadline.as_secs(), startup.timeout.as_secs()), (80, 5));
    assert_eq!(web.image, "ghcr.io/acme/shop:1.4.2");
    assert_eq!(web.depends_on[0].condition, spec::Condition::Healthy);
    assert!(web.depends_on[0].restart && web.init);
    assert_eq!((web.resources.cpu_millis, web.resources.memory_bytes), (1_500, 512 << 20));
    assert_eq!(web.ports[0].host_ip.to_string(), "127.0.0.1");
    assert_eq!(web.scan.policy, spec::ScanPolicy::Block);
    assert_eq!(web.mounts[0].kind, spec::MountKind::Tmpfs(32 << 20));
    assert!(web.probes.liveness.is_some() && web.probes.startup.is_some());
    let secret = resolved.secrets["db_password"].expose_secret();
    assert_eq!(secret, b"correct horse battery staple");
    assert!(!format!("{resolved:?}").contains("horse"));
    let warnings = resolved.warnings.join("\n");
    assert!(warnings.contains("02-web-database.yaml:2: version: has no effect"), "{warnings}");
    assert!(warnings.contains(":28: services.web.ports[0]: is published on 127.0.0.1 only"));
}

#[test]
fn kind_3_a_queue_with_workers() {
    let (stack, resolved) = accepted("03-queue-workers.yaml");
    assert_eq!(stack.services.keys().collect::<Vec<_>>(), ["api", "redis", "worker"]);
    let worker = &stack.services["worker"];
    assert_eq!(worker.environment["GREETING"], "Hello, info");
    assert_eq!(worker.command, ["celery", "-A", "app", "worker", "--concurrency", "4"]);
    assert_eq!((worker.stop.signal.as_str(), worker.stop.grace.as_secs()), ("SIGINT", 90));
    assert!(resolved.warnings.iter().any(|it| it.contains("services.api.logging")));
}

#[test]
fn kind_4_a_migration_that_runs_once() {
    let (stack, _) = accepted("04-migration.yaml");
    assert!(stack.services["migrate"].one_shot && !stack.services["app"].one_shot);
    assert_eq!(stack.services["app"].depends_on.len(), 1, "the optional one is not active");
    let readiness = stack.services["db"].probes.readiness.as_ref().expect("a probe");
    assert_eq!(readiness.check, spec::Check::Postgres(5432));
}

#[test]
fn kind_5_several_networks() {
    let (stack, _) = accepted("05-networks.yaml");
    assert!(stack.networks["back"].internal && !stack.networks["front"].internal);
    let app = &stack.services["app"];
    assert_eq!(app.networks[0].aliases, ["app.internal"]);
    assert_eq!(app.hardening.user, Some(spec::User { uid: 1_000, gid: 1_000 }));
    let proxy = &stack.services["proxy"];
    assert_eq!((proxy.ports[0].host, proxy.ports[0].container), (Some(80), 8_080));
    assert_eq!(proxy.configs[0].mode, 0o444);
    assert!(stack.configs["proxy"].starts_with(b"server {"));
    assert_eq!(stack.services["db"].mounts[1].kind, spec::MountKind::Tmpfs(64 << 20));
}

#[test]
fn kinds_6_to_10_are_refused_where_they_reach_for_the_host() {
    refused(
        fixture("06-traefik.yaml"),
        &[(10, "services.reverse-proxy.volumes[0]", "root on the host")],
    );
    refused(
        fixture("07-node-exporter.yaml"),
        &[
            (8, "services.node_exporter.network_mode", "use `networks`"),
            (9, "services.node_exporter.pid", "namespace of the host"),
            (12, "services.node_exporter.volumes[0]", "no option \"rslave\""),
            (15, "services.root.volumes[0]", "owns the host"),
            (18, "services.cadvisor.privileged", "owns the host; remove it"),
            (19, "services.cadvisor.devices", "a device of the host"),
        ],
    );
    refused(
        fixture("08-nfs-volume.yaml"),
        &[(13, "volumes.media.driver_opts", "use a plain volume")],
    );
    refused(
        fixture("09-build.yaml"),
        &[
            (4, "services.web.build", "docker build -t NAME"),
            (6, "services.web.volumes[1]", "must name the volume"),
            (8, "services.web.enviroment", "did you mean `environment`?"),
            (13, "services.api.depends_on[1]", "no service \"cache\""),
        ],
    );
    refused(
        fixture("10-elastic.yaml"),
        &[
            (10, "services.es01.ulimits", "remove it"),
            (12, "services.es01.mem_limit", "a size such as 512M"),
            (13, "services.es01.ports[0]", "\"99200\" is no port"),
            (14, "services.es01.depends_on", "es01 -> es02 -> es01"),
            (20, "services.es02.healthcheck.interval", "such as 30s"),
        ],
    );
}

#[test]
fn a_syntax_error_has_a_line() {
    refused(
        resolve_text("services:\n  web:\n    image: [a\n  b: c\n"),
        &[(4, "", "no valid YAML")],
    );
    refused(
        resolve_text("services: {a: {image: x}}\nservices: {}\n"),
        &[(2, "", "line 1 already")],
    );
    refused(resolve_text(""), &[(1, "", "has no `services`")]);
    refused(resolve_text("services: {}\n"), &[(1, "services", "1 to 50 services")]);
}

#[test]
fn each_bad_key_and_value_is_named() {
    for (service, key, message) in [
        ("imagee: x", ".imagee", "did you mean `image`?"),
        ("user: root", ".user", "must be numeric"),
        ("ipc: host", ".ipc", "namespace"),
        ("userns_mode: host", ".userns_mode", "namespace"),
        ("uts: host", ".uts", "namespace"),
        ("security_opt: ['seccomp:unconfined']", ".security_opt", "weaken"),
        ("cap_add: [ALL]", ".cap_add", "not among the capabilities"),
        ("restart: sometimes", ".restart", "unless-stopped"),
        ("scale: 3", ".scale", "must be 1"),
        ("deploy: {replicas: 2}", ".deploy.replicas", "must be 1"),
        ("deploy: {mode: global}", ".deploy.mode", "must be replicated"),
        ("deploy: {resources: {limits: {cpu: 1}}}", ".deploy.resources.limits.cpu", "`cpus`"),
        ("cpus: many", ".cpus", "such as 0.5"),
        ("mem_limit: 1kb", ".mem_limit", "bytes"),
        ("pids_limit: -1", ".pids_limit", "number of processes"),
        ("stop_grace_period: 10", ".stop_grace_period", "such as 30s"),
        ("stop_signal: SIGFOO", ".stop_signal", "SIGTERM"),
        ("read_only: maybe", ".read_only", "true or false"),
        ("ports: ['x:80']", ".ports", "no port"),
        ("ports: [{published: 80}]", ".ports[0]", "needs `target`"),
        ("volumes: ['data:/x']", ".volumes", "no volume \"data\""),
        ("volumes: [{type: nfs, target: /x}]", ".volumes[0]", "volume, bind or tmpfs"),
        ("networks: [back]", ".networks", "no network \"back\""),
        ("secrets: [key]", ".secrets", "no secret \"key\""),
        ("configs: [conf]", ".configs", "no config \"conf\""),
        ("command: \"echo 'x\"", ".command", "does not close"),
        ("entrypoint: []", ".entrypoint", "leave it out"),
        ("environment: {A: [1]}", ".environment.A", "must be a text"),
        ("environment: {A: '${B:?needed}'}", ".environment.A", "B must be set: needed"),
        ("environment: {A: '5$'}", ".environment.A", "write $$"),
        ("env_file: nowhere.env", ".env_file", "no such file; mend the path"),
        ("extends: nobody", ".extends", "no service \"nobody\""),
        ("extends: web", ".extends", "circle"),
        ("depends_on: [web]", ".depends_on", "another service"),
        ("depends_on: {web: {condition: ready}}", ".depends_on.web.condition", "service_healthy"),
        ("healthcheck: {interval: 5s}", ".healthcheck", "needs `test`"),
        ("healthcheck: {test: [RUN, x]}", ".healthcheck.test", "CMD-SHELL"),
        ("x-commandcenter: {probe: {}}", ".x-commandcenter.probe", "`probes`"),
        ("x-commandcenter: {scan: {policy: maybe}}", ".x-commandcenter.scan", "off, warn, block"),
        (
            "x-commandcenter: {probes: {readiness: {http: {port: 80}, tcp: {port: 80}}}}",
            ".x-commandcenter.probes.readiness",
            "must have one of",
        ),
        (
            "x-commandcenter: {probes: {readiness: {http: {port: 99999}}}}",
            ".x-commandcenter.probes.readiness",
            "must be a port",
        ),
    ] {
        let text = format!("services:\n  web:\n    image: app:1\n    {service}\n");
        let text = if service.starts_with("imagee") {
            text.replace("    image: app:1\n", "")
        } else {
            text
        };
        let error = resolve_text(&text).expect_err(service);
        let wanted = format!("services.web{key}");
        let fault = error.faults.iter().find(|it| it.key.starts_with(&wanted));
        let fault = fault.unwrap_or_else(|| panic!("{service}: wanted {wanted} in {error}"));
        assert!(fault.message.contains(message), "{service}: {fault}");
        assert!(fault.line >= 3 && fault.file == "compose.yaml", "{service}: {fault}");
    }
}

#[test]
fn an_image_is_needed() {
    refused(
        resolve_text("services:\n  web:\n    init: true\n"),
        &[(2, "services.web", "must name the image, such as")],
    );
}

#[test]
fn what_other_things_may_not_have() {
    let text = "services:\n  web:\n    image: app\n    networks: [n]\n    volumes: ['v:/v']\n    \
                secrets: [s]\nnetworks:\n  n: {external: true}\nvolumes:\n  v: {driver: rclone}\n\
                secrets:\n  s: {file: nowhere}\ninclude: [other.yaml]\n";
    refused(
        resolve_text(text),
        &[
            (8, "networks.n.external", "out of reach"),
            (10, "volumes.v.driver", "must be local"),
            (12, "secrets.s.file", "no such file"),
            (13, "include", "-f"),
        ],
    );
}

#[test]
fn a_folder_of_the_host_is_the_servers_to_allow() {
    let resolved = resolve_text("services:\n  web:\n    image: app\n    volumes: ['/srv/x:/x']\n")
        .expect("a client cannot know");
    let failure = spec::read(resolved.spec, &Limits::default()).expect_err("the server can");
    let violation = &failure.violations[0];
    let fault = resolved.origins.fault(&violation.field, &violation.description).expect("known");
    assert_eq!((fault.line, fault.key.as_str()), (4, "services.web.volumes[0]"));
    assert!(fault.message.contains("orchestrator.bind_roots"), "{fault}");
}

/// A folder with files.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("made");
        fs::write(path, text).expect("written");
    }
    folder
}

#[test]
fn later_files_win_and_services_extend_others() {
    let folder = folder(&[
        (".env", "TAG=1\nOWN=file\n"),
        (
            "base.yaml",
            "services:\n  base:\n    image: base:${TAG}\n    environment: {A: 1, B: 2}\n",
        ),
    ]);
    let first = "services:\n  web:\n    extends: {file: base.yaml, service: base}\n    ports: \
                 ['80:80']\n  next:\n    extends: web\n    ports: !reset []\n";
    let second = "services:\n  web:\n    environment: [B=3, OWN]\n    user: '5'\n";
    let documents = [("first.yaml", first), ("second.yaml", second)];
    let mut request = request(folder.path().to_owned(), &documents);
    request.environment.insert("OWN".to_owned(), "shell".to_owned());
    let resolved = resolve(&request).unwrap_or_else(|error| panic!("{error}"));
    let [web, next] = [&resolved.spec.services[0], &resolved.spec.services[1]];
    assert_eq!((web.image.as_str(), next.image.as_str()), ("base:1", "base:1"));
    let environment: Vec<_> = web.environment.iter().map(|(k, v)| format!("{k}={v}")).collect();
    assert_eq!(environment, ["A=1", "B=3", "OWN=shell"]);
    assert_eq!((web.ports.len(), next.ports.len()), (1, 0));
    // A fault is told where it stands, in whichever file.
    let documents = [("first.yaml", first), ("second.yaml", "services:\n  web:\n    user: me\n")];
    let error = resolve(&self::request(folder.path().to_owned(), &documents)).expect_err("a name");
    assert!(error.to_string().starts_with("second.yaml:3: services.web.user: must be numeric"));
}

#[test]
fn a_secret_in_a_file_of_variables_is_told_with_its_line() {
    let folder = folder(&[("app.env", "A=1\n\nAPI_TOKEN=abc\n")]);
    let text = "services:\n  web:\n    image: app\n    env_file: [app.env]\n";
    let error = resolve(&request(folder.path().to_owned(), &[("compose.yaml", text)]));
    let error = error.expect_err("a secret").to_string();
    assert!(
        error.starts_with("app.env:3: services.web.environment.API_TOKEN: looks like a secret")
    );
    assert!(!error.contains("abc"), "{error}");
}

#[test]
fn profiles_choose_services() {
    let text = "services:\n  web: {image: app}\n  debug: {image: app, profiles: [debug]}\n  user: \
                {image: app, depends_on: [debug], profiles: [user]}\n";
    let names = |profiles: &[&str]| {
        let mut request = request(PathBuf::from("/nowhere"), &[("compose.yaml", text)]);
        request.profiles = profiles.iter().map(|it| (*it).to_owned()).collect();
        let resolved = resolve(&request);
        resolved.map(|it| it.spec.services.into_iter().map(|it| it.name).collect::<Vec<_>>())
    };
    assert_eq!(names(&[]).expect("one"), ["web"]);
    assert_eq!(names(&["debug"]).expect("two"), ["web", "debug"]);
    assert_eq!(names(&["*"]).expect("all").len(), 3);
    let error = names(&["user"]).expect_err("it is missing");
    assert!(error.faults[0].message.contains("--profile"), "{error}");
}

#[test]
fn a_variable_that_is_not_set_is_a_warning() {
    let resolved = resolve_text("services:\n  web:\n    image: app\n    hostname: a${NOBODY}\n");
    let warnings = resolved.expect("it resolves").warnings;
    assert_eq!(
        warnings,
        ["compose.yaml:4: services.web.hostname: the variable NOBODY is not set, and stands for \
          nothing"]
    );
}

#[test]
fn waiting_for_the_health_of_a_service_without_a_check_is_a_warning() {
    let text = "services:\n  db: {image: db}\n  web:\n    image: app\n    depends_on:\n      db: \
                {condition: service_healthy}\n";
    let warnings = resolve_text(text).expect("it resolves").warnings;
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("compose.yaml:6: services.web.depends_on.db: db has no health")
    );
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(
        kind in 0..10_usize, cut in 0..2_000_usize, length in 0..40_usize,
        put in "[-a-z0-9 :{}\\[\\]&*!|>'\"#$%@,\n\t~.?/<]{0,12}",
    ) {
        let folder = fs::read_dir(fixtures()).expect("the fixtures");
        let mut files: Vec<_> = folder.map(|entry| entry.expect("a file").path()).collect();
        files.retain(|file| file.extension().is_some_and(|extension| extension == "yaml"));
        files.sort();
        let text = fs::read_to_string(&files[kind % files.len()]).expect("a fixture");
        let text: Vec<char> = text.chars().collect();
        let start = cut.min(text.len());
        let end = (start + length).min(text.len());
        let head: String = text[..start].iter().collect();
        let tail: String = text[end..].iter().collect();
        let text = format!("{head}{put}{tail}");
        if let Err(error) = resolve(&request(fixtures(), &[("compose.yaml", &text)])) {
            prop_assert!(!error.faults.is_empty());
            prop_assert!(error.faults.iter().all(|it| it.line >= 1 && !it.message.is_empty()));
        }
    }
}

#[test]
fn a_probe_on_one_line_is_read() {
    let text = "services:\n  web:\n    image: app\n    \
                x-commandcenter: {probes: {readiness: {http: {port: 8000, path: /}}}}\n";
    let resolved = resolve_text(text).expect("it resolves");
    let probes = resolved.spec.services[0].probes.as_ref().expect("probes");
    let kind = probes.readiness.as_ref().and_then(|it| it.kind.as_ref());
    let wanted = v1::HttpProbe { port: 8_000, path: "/".to_owned(), status: 0 };
    assert_eq!(kind, Some(&Kind::Http(wanted)));
}

fn template(variables: &[(&str, &str)]) -> Result<Resolved, Error> {
    let folder = folder(&[("password", "correct horse")]);
    let mut request = request(folder.path().to_owned(), &[("template", TEMPLATE)]);
    for (name, value) in [("POSTGRES_PASSWORD_FILE", "password")].iter().chain(variables) {
        request.environment.insert((*name).to_owned(), (*value).to_owned());
    }
    resolve(&request)
}

const IMAGES: [(&str, &str); 2] =
    [("BACKEND_IMAGE", "acme/api:1"), ("FRONTEND_IMAGE", "acme/web:1")];

#[test]
fn the_template_has_its_order_limits_and_probes() {
    let resolved = template(&IMAGES).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(resolved.warnings, Vec::<String>::new());
    let stack = spec::read(resolved.spec, &Limits::default()).expect("any server takes it");
    let limits = |name: &str| {
        let resources = stack.services[name].resources;
        (resources.cpu_millis, resources.memory_bytes >> 20)
    };
    let all = ["postgres", "redis", "backend", "frontend"];
    let wanted = [(1_000, 2_048), (500, 512), (1_000, 1_024), (500, 512)];
    assert_eq!(all.map(limits), wanted);
    let after = |name: &str| {
        let edges = stack.services[name].depends_on.iter();
        edges.map(|it| it.service.as_str()).collect::<Vec<_>>()
    };
    assert_eq!(after("redis"), ["postgres"]);
    assert_eq!(after("backend"), ["postgres", "redis"]);
    assert_eq!(after("frontend"), ["backend"]);
    let startup = |name: &str| {
        let probe = stack.services[name].probes.startup.clone().expect("a probe");
        (probe.check, probe.deadline.as_secs())
    };
    let words = |text: &str| spec::Check::Exec(text.split(' ').map(str::to_owned).collect());
    assert_eq!(startup("postgres"), (words("pg_isready -h 127.0.0.1 -U app"), 60));
    assert_eq!(startup("redis"), (words("redis-cli ping"), 20));
    let http = |port, path: &str, status| spec::Check::Http { port, path: path.to_owned(), status };
    assert_eq!(startup("backend"), (http(8_000, "/health", None), 120));
    assert_eq!(startup("frontend"), (http(3_000, "/", Some(200)), 60));
    assert!(stack.networks["data"].internal);
    let published: Vec<_> =
        all.iter().filter(|it| !stack.services[**it].ports.is_empty()).collect();
    assert_eq!(published, [&"frontend"]);
}

#[test]
fn the_template_is_configurable_and_says_what_it_needs() {
    let variables =
        [&IMAGES[..], &[("BACKEND_PORT", "9000"), ("POSTGRES_MEMORY", "4g"), ("REDIS_UID", "999")]];
    let resolved = template(&variables.concat()).unwrap_or_else(|error| panic!("{error}"));
    let stack = spec::read(resolved.spec, &Limits::default()).expect("any server takes it");
    assert_eq!(stack.services["postgres"].resources.memory_bytes, 4 << 30);
    assert_eq!(stack.services["redis"].hardening.user.map(|it| it.uid), Some(999));
    assert_eq!(stack.services["frontend"].environment["BACKEND_URL"], "http://backend:9000");
    let error = template(&IMAGES[..1]).expect_err("an image is missing").to_string();
    assert!(error.contains("FRONTEND_IMAGE must be set: name the image"), "{error}");
}

#[test]
fn the_documentation_lists_every_key() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/ORCHESTRATION.md");
    let page = fs::read_to_string(page).expect("docs/ORCHESTRATION.md");
    for (name, keys) in key::ALL {
        let listed = |wanted: fn(&key::Use) -> bool| {
            let keys = keys.iter().filter(|(_, usage)| wanted(usage));
            let keys: Vec<_> = keys.map(|(key, _)| format!("`{key}`")).collect();
            if keys.is_empty() { "–".to_owned() } else { keys.join(" ") }
        };
        let row = format!(
            "| `{name}` | {} | {} | {} |",
            listed(|it| matches!(it, key::Use::Taken)),
            listed(|it| matches!(it, key::Use::Idle(_))),
            listed(|it| matches!(it, key::Use::Refused(_))),
        );
        assert!(page.lines().any(|line| line == row), "docs/ORCHESTRATION.md lacks:\n{row}");
    }
}
