//! What several files make together, and what is read beside them.

use super::*;

/// Documents in a folder with files.
fn resolve_all(files: &[(&str, &str)], documents: &[&str]) -> Result<Resolved, Error> {
    let folder = folder(files);
    let names = ["compose.yaml", "over.yaml"];
    let documents: Vec<_> = names.into_iter().zip(documents.iter().copied()).collect();
    resolve(&request(folder.path().to_owned(), &documents))
}

#[track_caller]
fn only_service(resolved: Result<Resolved, Error>) -> v1::ServiceSpec {
    let resolved = resolved.unwrap_or_else(|error| panic!("{error}"));
    resolved.spec.services.into_iter().next().expect("a service")
}

#[test]
fn what_extends_a_file_of_another_folder_reads_from_there() {
    let files = [
        ("app.env", "WHO=root\n"),
        ("common/app.env", "WHO=common\n"),
        (
            "common/base.yaml",
            "services:\n  app:\n    extends: {file: more/web.yaml, service: web}\n    env_file: \
             app.env\n    volumes: ['./data:/d']\n",
        ),
        ("common/more/web.yaml", "services:\n  web:\n    image: app\n    volumes: ['./m:/m']\n"),
    ];
    let text = "services:\n  web:\n    extends: {file: common/base.yaml, service: app}\n";
    let folder = folder(&files);
    let web = only_service(resolve(&request(folder.path().to_owned(), &[("c.yaml", text)])));
    assert_eq!(web.environment["WHO"], "common");
    let sources: Vec<_> = web.mounts.iter().map(|it| it.source.as_str()).collect();
    let path = |text: &str| folder.path().join(text).display().to_string();
    assert_eq!(sources, [path("common/more/m"), path("common/data")]);
}

#[test]
fn a_file_that_is_extended_must_have_the_service() {
    let text = "services:\n  web:\n    image: app\n    extends: {file: o.yaml, service: web}\n";
    refused(
        resolve_all(&[("o.yaml", "web:\n  image: app\n")], &[text]),
        &[(4, "services.web.extends.file", "o.yaml has no `services`")],
    );
    refused(
        resolve_all(&[("o.yaml", "services: {api: {image: app}}\n")], &[text]),
        &[(4, "services.web.extends", "no service \"web\" to extend")],
    );
}

#[test]
fn a_raw_file_of_variables_is_taken_as_it_stands_there() {
    let text = |format: &str| {
        format!(
            "services:\n  web:\n    image: app\n    env_file:\n    - path: a.env\n      format: \
             {format}\n"
        )
    };
    let file = [("a.env", "A=wo$rd #1\n")];
    let web = only_service(resolve_all(&file, &[&text("raw")]));
    assert_eq!(web.environment["A"], "wo$rd #1");
    refused(
        resolve_all(&file, &[&text("yaml")]),
        &[(6, "services.web.env_file[0].format", "must be raw, or left out")],
    );
}

#[test]
fn a_value_that_a_file_of_variables_cuts_is_a_warning() {
    let text = "services:\n  web:\n    image: app\n    hostname: $HOST\n    env_file: a.env\n";
    let files = [("a.env", "# first\nA=wo$rd\n"), (".env", "HOST=web$ost\n")];
    let resolved = resolve_all(&files, &[text]).unwrap_or_else(|error| panic!("{error}"));
    let [first, second] = resolved.warnings.as_slice() else { panic!("{:?}", resolved.warnings) };
    assert!(first.starts_with(".env:1: HOST: the variable ost is not set"), "{first}");
    assert!(second.starts_with("a.env:2: A: the variable rd is not set"), "{second}");
}

#[test]
fn reset_takes_away_what_is_there_and_sets_nothing() {
    let base = "services:\n  web:\n    image: app\n    environment: {HOME: /x, B: b}\n    \
                depends_on: {db: {condition: service_started}}\n    networks: {back: , front: }\n    \
                labels: {l: '1'}\n    ports: !reset ['8080:80']\n  db: {image: db, networks: \
                [front]}\nnetworks: {back: , front: }\n";
    let over = "services:\n  web:\n    environment: {HOME: !reset null}\n    depends_on: {db: \
                !reset null}\n    networks: {back: !reset null}\n    labels: {l: !reset null}\n    \
                volumes: !reset ['x:/y']\n  db: !reset null\n";
    let resolved = resolve_all(&[], &[base, over]).unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = resolved.spec.services.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["web"]);
    let web = &resolved.spec.services[0];
    assert_eq!(web.environment.keys().collect::<Vec<_>>(), ["B"]);
    assert_eq!((web.depends_on.len(), web.labels.len()), (0, 0));
    assert_eq!((web.ports.len(), web.mounts.len()), (0, 0));
    assert_eq!(web.networks.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), ["front"]);
    // What a service extends, and the file before.
    let base = "services: {web: {image: app, ports: ['80:80']}}\n";
    let over = "services:\n  web: {extends: other, ports: !reset []}\n  other: {image: app, ports: \
                ['81:81']}\n";
    assert_eq!(only_service(resolve_all(&[], &[base, over])).ports, []);
}

#[test]
fn a_key_without_a_value_leaves_what_was_there() {
    let base = "services:\n  web:\n    image: app\n    environment: {A: a}\n    labels: {l: '1'}\n    \
                ports: ['80:80']\n    networks: [back]\nnetworks: {back: }\n";
    let over = "services:\n  web:\n    environment:\n    labels:\n    networks:\n    ports:\n";
    let web = only_service(resolve_all(&[], &[base, over]));
    assert_eq!((web.environment.len(), web.labels.len(), web.ports.len()), (1, 1, 1));
    assert_eq!(web.networks[0].name, "back");
}

#[test]
fn what_cannot_be_joined_is_told() {
    let base = "services:\n  web:\n    image: app\n    environment: {A: a}\n";
    let over = "services:\n  web:\n    environment:\n    - B: 5\n    - C=6\n";
    refused(
        resolve_all(&[], &[base, over]),
        &[(4, "services.web.environment[0]", "must be a text")],
    );
}

#[test]
fn one_port_may_be_written_in_two_ways() {
    let base = "services:\n  web:\n    image: app\n    ports: ['8080:80', '127.0.0.1:81:81']\n";
    let over = "services:\n  web:\n    ports:\n    - 8080:80/tcp\n    - {target: 81, published: \
                '81', host_ip: 127.0.0.1}\n";
    assert_eq!(only_service(resolve_all(&[], &[base, over])).ports.len(), 2);
}

#[test]
fn small_files_cannot_become_large() {
    let values: String = (0..20_000).map(|index| format!("      A{index}: $A\n")).collect();
    let text = format!("services:\n  web:\n    image: app\n    environment:\n{}", values);
    let error = resolve_all(&[(".env", &format!("A={}\n", "x".repeat(1_000_000)))], &[&text]);
    let message = "variables make more than 4194304 bytes";
    refused(error, &[(9, "services.web.environment.A4", message)]);
}

#[test]
fn files_with_thousands_of_keys_are_told_soon() {
    let keys: String = (0..24_000).map(|index| format!("    k{index}: x\n")).collect();
    let text = format!("services:\n  web:\n    image: app\n{keys}");
    let error = resolve_all(&[], &[&text]).expect_err("unknown keys");
    assert_eq!(error.faults.len(), 100);
    let profiles = |from: usize| {
        let names: Vec<_> = (from..from + 40_000).map(|index| format!("p{index}")).collect();
        format!("services:\n  web:\n    image: app\n    profiles: [{}]\n", names.join(", "))
    };
    let error = resolve_all(&[], &[&profiles(0), &profiles(40_000)]).expect_err("none is active");
    assert!(error.faults[0].message.contains("--profile"), "{error}");
}
