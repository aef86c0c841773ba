//! One service of a Compose file as a service of a spec.

use proto::orchestrator::v1;

use super::{
    Project, environment, extension,
    field::Field,
    key, limits, mount, port,
    probe::{self, wire},
    report::Report,
    units,
    yaml::Value,
};

/// Reads a service; `project` knows what else there is.
pub(super) fn read(
    name: &str,
    field: &Field<'_>,
    project: &Project<'_>,
    report: &mut Report,
) -> v1::ServiceSpec {
    key::check(field, key::SERVICE, report);
    let mut reader = Reader { spec: format!("services.{name}"), field, report };
    reader.hardened_already();
    let mut service = v1::ServiceSpec {
        name: name.to_owned(),
        image: reader.image(),
        entrypoint: reader.command("entrypoint"),
        command: reader.command("command"),
        working_dir: reader.text("working_dir"),
        environment: environment::read(&reader.spec, field, project, reader.report),
        labels: reader.labels(),
        hostname: reader.text("hostname"),
        init: reader.flag("init").unwrap_or_default(),
        secrets: reader.secrets(),
        configs: reader.configs(),
        networks: reader.networks(),
        ports: reader.ports(),
        mounts: reader.mounts(project),
        depends_on: reader.dependencies(project),
        resources: Some(limits::resources(&reader.spec, field, reader.report)),
        hardening: Some(reader.hardening()),
        restart: limits::restart(&reader.spec, field, reader.report),
        stop: reader.stop(),
        ..Default::default()
    };
    if let Some(healthcheck) = reader.get("healthcheck", "probes") {
        service.probes =
            probe::healthcheck(&format!("{}.probes", reader.spec), &healthcheck, reader.report);
    }
    extension::apply(&reader.spec, field, &mut service, reader.report);
    service
}

/// Words of a command line as a shell would split them; `#` is a character like others, as in
/// Compose.
pub(super) fn words(field: &Field<'_>, text: &str, report: &mut Report) -> Option<Vec<String>> {
    let words = shlex::split(&without_comments(text));
    if words.is_none() {
        report.fault(field, "has a quote that does not close");
    }
    words
}

/// The text with each `#` escaped that could begin a comment.
fn without_comments(text: &str) -> String {
    let (mut plain, mut quote, mut escaped) = (String::with_capacity(text.len()), None, false);
    for c in text.chars() {
        if c == '#' && quote.is_none() && !escaped {
            plain.push('\\');
        }
        match (c, quote) {
            _ if escaped => escaped = false,
            ('\\', None | Some('"')) => escaped = true,
            ('"' | '\'', None) => quote = Some(c),
            (c, Some(open)) if c == open => quote = None,
            _ => {}
        }
        plain.push(c);
    }
    plain
}

/// One service while it is read.
struct Reader<'f, 'a, 'r> {
    /// Its path in the spec.
    spec: String,
    field: &'f Field<'a>,
    report: &'r mut Report,
}

impl<'a> Reader<'_, 'a, '_> {
    /// The value of a key, as the origin of a field of the spec.
    fn get(&mut self, key: &str, spec: &str) -> Option<Field<'a>> {
        let field = self.field.get(key)?;
        self.report.origin(format!("{}.{spec}", self.spec), &field);
        Some(field)
    }

    /// The items of a list, each as the origin of an item of the spec.
    fn items(&mut self, key: &str) -> Vec<Field<'a>> {
        self.get(key, key).map(|field| field.items(self.report)).unwrap_or_default()
    }

    /// The same where a single text may stand for a list of one.
    fn one_or_more(&mut self, key: &str) -> Vec<Field<'a>> {
        self.get(key, key).map(|field| field.one_or_more(self.report)).unwrap_or_default()
    }

    fn text(&mut self, key: &str) -> String {
        self.get(key, key).map(|field| field.text(self.report)).unwrap_or_default()
    }

    fn flag(&mut self, key: &str) -> Option<bool> {
        self.get(key, key).map(|field| field.flag(self.report))
    }

    fn image(&mut self) -> String {
        let image = self.text("image");
        if let Some(build) = self.field.get("build") {
            if image.is_empty() {
                self.report.origin(format!("{}.image", self.spec), &build);
                self.report.fault(
                    &build,
                    "images are not built here; build it with `docker build -t NAME`, and name it \
                     with `image`",
                );
            } else {
                let message = format!("has no effect: {image} must have been built already");
                self.report.warn(&build, message);
            }
        }
        image
    }

    fn command(&mut self, key: &str) -> Vec<String> {
        let Some(field) = self.get(key, key) else { return Vec::new() };
        if field.is_empty() {
            self.report.fault(
                &field,
                "is empty, but an image's own cannot be taken away; leave it out, or write a program",
            );
        }
        let words = match field.as_text() {
            Some(text) => words(&field, text, self.report).unwrap_or_default(),
            None => field.texts(self.report),
        };
        for (index, item) in field.one_or_more(self.report).iter().enumerate() {
            self.report.origin(format!("{}.{key}[{index}]", self.spec), item);
        }
        words
    }

    fn labels(&mut self) -> std::collections::BTreeMap<String, String> {
        let Some(field) = self.get("labels", "labels") else { return Default::default() };
        let pairs = field.pairs(self.report).into_iter();
        pairs.map(|(name, value, _)| (name, value.unwrap_or_default())).collect()
    }

    /// What every service gets may be said, and nothing else.
    fn hardened_already(&mut self) {
        for option in self.items("security_opt") {
            let text = option.text(self.report);
            if !matches!(text.as_str(), "no-new-privileges" | "no-new-privileges:true") {
                self.report.fault(
                    &option,
                    "would weaken what protects the host; every service has no-new-privileges and \
                     the Engine's seccomp profile, so remove it",
                );
            }
        }
        // All capabilities are dropped: naming some of them asks for no more.
        self.items("cap_drop").iter().for_each(|item| drop(item.text(self.report)));
        if let Some(scale) = self.field.get("scale") {
            limits::one(&scale, self.report);
        }
    }

    fn hardening(&mut self) -> v1::Hardening {
        let user = self.get("user", "hardening.user");
        let user = user.map(|field| field.text(self.report)).unwrap_or_default();
        let read_only = self.get("read_only", "hardening.read_only");
        let read_only = read_only.map(|field| field.flag(self.report));
        let cap_add = self.items("cap_add");
        for (index, item) in cap_add.iter().enumerate() {
            self.report.origin(format!("{}.hardening.cap_add[{index}]", self.spec), item);
        }
        let cap_add = cap_add.iter().map(|item| item.text(self.report)).collect();
        v1::Hardening { user, read_only, cap_add }
    }

    fn stop(&mut self) -> Option<v1::Stop> {
        let signal = self.get("stop_signal", "stop.signal");
        let grace = self.get("stop_grace_period", "stop.grace");
        if signal.is_none() && grace.is_none() {
            return None;
        }
        Some(v1::Stop {
            signal: signal.map(|field| field.text(self.report)).unwrap_or_default(),
            grace: grace.and_then(|field| field.read(self.report, units::duration)).map(wire),
        })
    }

    fn ports(&mut self) -> Vec<v1::Port> {
        let mut ports = Vec::new();
        for item in self.items("ports") {
            for port in port::read(&item, self.report) {
                self.report.origin(format!("{}.ports[{}]", self.spec, ports.len()), &item);
                if port.host_ip.is_empty() {
                    self.report.warn(
                        &item,
                        "is published on 127.0.0.1 only; write the address, such as \
                         0.0.0.0:8080:80, to publish it beyond this host",
                    );
                }
                ports.push(port);
            }
        }
        ports
    }

    fn mounts(&mut self, project: &Project<'_>) -> Vec<v1::Mount> {
        let mut mounts = Vec::new();
        for item in self.items("volumes") {
            if let Some(mount) = mount::read(&item, project.folder, self.report) {
                self.report.origin(format!("{}.mounts[{}]", self.spec, mounts.len()), &item);
                mounts.push(mount);
            }
        }
        for item in self.one_or_more("tmpfs") {
            if let Some(mount) = mount::tmpfs(&item, self.report) {
                self.report.origin(format!("{}.mounts[{}]", self.spec, mounts.len()), &item);
                mounts.push(mount);
            }
        }
        mounts
    }

    /// The name, target and mode of each secret, or config.
    fn files(&mut self, key: &str) -> Vec<(String, String, Option<u32>)> {
        let items = self.items(key);
        let mut files = Vec::new();
        for item in items {
            self.report.origin(format!("{}.{key}[{}]", self.spec, files.len()), &item);
            if !item.is_map() {
                files.push((item.text(self.report), String::new(), None));
                continue;
            }
            key::check(&item, key::FILE, self.report);
            let mut text =
                |key: &str| item.get(key).map(|it| it.text(self.report)).unwrap_or_default();
            let (source, target) = (text("source"), text("target"));
            let mode = item.get("mode").and_then(|it| it.read(self.report, units::mode));
            files.push((source, target, mode));
        }
        files
    }

    fn secrets(&mut self) -> Vec<v1::SecretMount> {
        let files = self.files("secrets").into_iter();
        files.map(|(name, target, mode)| v1::SecretMount { name, target, mode }).collect()
    }

    fn configs(&mut self) -> Vec<v1::ConfigMount> {
        let files = self.files("configs").into_iter();
        files.map(|(name, target, mode)| v1::ConfigMount { name, target, mode }).collect()
    }

    fn networks(&mut self) -> Vec<v1::NetworkAttachment> {
        let Some(field) = self.get("networks", "networks") else { return Vec::new() };
        if !field.is_map() {
            let items = field.items(self.report);
            for (index, item) in items.iter().enumerate() {
                self.report.origin(format!("{}.networks[{index}]", self.spec), item);
            }
            let name = |name| v1::NetworkAttachment { name, aliases: Vec::new() };
            return items.iter().map(|item| name(item.text(self.report))).collect();
        }
        let mut networks = Vec::new();
        for (entry, value) in field.entries(self.report) {
            let spec = format!("{}.networks[{}]", self.spec, networks.len());
            self.report.origin_at(spec, entry.place, &value.path);
            key::check(&value, key::ATTACHMENT, self.report);
            let aliases = value.get("aliases");
            let aliases = aliases.map(|it| it.texts(self.report)).unwrap_or_default();
            networks.push(v1::NetworkAttachment { name: entry.key.clone(), aliases });
        }
        networks
    }

    fn dependencies(&mut self, project: &Project<'_>) -> Vec<v1::Dependency> {
        let Some(field) = self.get("depends_on", "depends_on") else { return Vec::new() };
        let entries: Vec<(String, Field<'_>)> = if field.is_map() {
            let entries = field.entries(self.report).into_iter();
            entries.map(|(entry, value)| (entry.key.clone(), value)).collect()
        } else {
            let items = field.items(self.report).into_iter();
            items.map(|item| (item.text(self.report), item)).collect()
        };
        let mut dependencies = Vec::new();
        for (name, value) in entries {
            let dependency = self.dependency(name, &value);
            if project.idle.contains(&dependency.service) {
                if dependency.required == Some(false) {
                    continue;
                }
                self.report.fault(
                    &value,
                    format!(
                        "{} is in a profile that is not active; activate it with --profile, or \
                         write `required: false`",
                        dependency.service
                    ),
                );
            }
            let spec = format!("{}.depends_on[{}]", self.spec, dependencies.len());
            self.report.origin(spec, &value);
            dependencies.push(dependency);
        }
        dependencies
    }

    fn dependency(&mut self, service: String, field: &Field<'_>) -> v1::Dependency {
        let mut dependency = v1::Dependency { service, ..Default::default() };
        if matches!(field.node.value, Value::Text(_)) {
            return dependency;
        }
        key::check(field, key::DEPENDENCY, self.report);
        if let Some(condition) = field.get("condition") {
            let known = condition.read(self.report, |text| match text {
                "service_started" => Ok("started"),
                "service_healthy" => Ok("healthy"),
                "service_completed_successfully" => Ok("completed"),
                _ => Err(format!(
                    "must be service_started, service_healthy or service_completed_successfully, \
                     not {text:?}"
                )),
            });
            dependency.condition = known.unwrap_or_default().to_owned();
        }
        dependency.required = field.get("required").map(|it| it.flag(self.report));
        if field.get("restart").is_some_and(|it| it.flag(self.report)) {
            dependency.on_restart = "restart".to_owned();
        }
        dependency
    }
}
