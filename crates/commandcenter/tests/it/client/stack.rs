//! `stack config`, which needs no instance.

use std::path::Path;

use serde_json::json;

use super::{Ended, Instance, finish, program};

const WEB: &str = "services:\n  web:\n    image: app:${TAG:-1}\n    ports: ['8080:80']\n    \
                   secrets: [key]\n    \
                   x-commandcenter: {probes: {readiness: {http: {port: 80, path: /}}}}\n\
                   secrets:\n  key: {file: key.txt}\n";

/// Runs a command in a folder.
async fn run_in(folder: &Path, args: &[&str]) -> Ended {
    let mut command = program();
    command.current_dir(folder);
    finish(command, args, "").await
}

#[tokio::test]
async fn config_shows_the_stack_with_every_default_and_no_secret() {
    let instance = Instance::start().await;
    instance.file("compose.yaml", WEB);
    instance.file("compose.override.yaml", "services: {web: {mem_limit: 64m}}\n");
    instance.file(".env", "TAG=2\n");
    instance.file("key.txt", "correct horse");
    let ended = run_in(instance.dir.path(), &["stack", "config"]).await.ok();
    let web = &ended.json()["services"][0];
    assert_eq!(web["image"], "app:2");
    assert_eq!(web["resources"]["memory_bytes"], 64 << 20);
    assert_eq!(web["hardening"]["read_only"], true);
    assert_eq!(web["probes"]["readiness"]["kind"]["http"]["port"], 80);
    assert_eq!(web["probes"]["startup"]["deadline"], "120s");
    assert_eq!(ended.json()["networks"], json!([{ "name": "default", "internal": false }]));
    assert!(ended.stderr.contains("warning: compose.yaml:4: services.web.ports[0]"), "{ended:?}");
    assert!(ended.stderr.contains("the secret key would be put"), "{ended:?}");
    assert!(!format!("{ended:?}").contains("horse"));
}

#[tokio::test]
async fn every_fault_is_told_with_its_file_and_line() {
    let instance = Instance::start().await;
    instance.file("a.yaml", "services:\n  web:\n    image: app\n    privileged: true\n");
    let file = instance.file("b.yaml", "services:\n  web:\n    prots: [80]\n");
    let args = ["stack", "config", "-f", "a.yaml", "-f", &file.display().to_string()];
    run_in(instance.dir.path(), &args).await.failed(
        1,
        &["a.yaml:4: services.web.privileged: ", "b.yaml:3: services.web.prots: ", "`ports`?"],
    );
    let folder = tempfile::tempdir().expect("a folder");
    run_in(folder.path(), &["stack", "config"]).await.failed(2, &["compose.yaml", "-f"]);
    let args = ["stack", "config", "-f", "nowhere.yaml"];
    run_in(folder.path(), &args).await.failed(3, &["nowhere.yaml", "-f"]);
    let args = ["stack", "config", "--template", "commandcenter"];
    run_in(folder.path(), &args).await.failed(1, &["commandcenter.yaml:", "BACKEND_IMAGE"]);
}
