//! A client in another language, made from `proto/` alone.

use std::{path::Path, process::Command};

use crate::instance::{Instance, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_python_client_submits_searches_and_lists_jobs() {
    let instance = Instance::start().await;
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let grpc = instance.address("grpc");
    let output = Command::new("python3")
        .arg(here.join("clients/client.py"))
        .arg(here.join("../../proto"))
        .arg(grpc.trim_start_matches("http://"))
        .arg(instance.data_dir().join("admin.token"))
        // scripts/test puts the pinned packages there.
        .env("PYTHONPATH", here.join("../../target/python"))
        .output()
        .expect("python3 runs");
    assert!(output.status.success(), "{}\n{}", text(&output), instance.log());
}
