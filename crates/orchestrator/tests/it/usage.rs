//! Usage is what the kernel says.

use std::fs;

use orchestrator::usage::Usage;
use proto::ProjectId;
use testkit::{Docker, eventually};

use crate::probes::client;
use crate::world::PATIENCE;

/// A file of the container's cgroup, in v1 or v2.
fn read(container: &str, controller: &str, file: &str) -> Result<String, String> {
    let v1 = format!("/sys/fs/cgroup/{controller}/docker/{container}/{file}");
    let v2 = format!("/sys/fs/cgroup/system.slice/docker-{container}.scope/{file}");
    fs::read_to_string(&v1)
        .or_else(|_| fs::read_to_string(&v2))
        .map_err(|error| format!("{v1}, {v2}: {error}"))
}

/// The first number in a file of the container's cgroup.
pub(crate) fn counter(container: &str, controller: &str, file: &str) -> Result<f64, String> {
    let text = read(container, controller, file)?;
    let number = text.split_whitespace().find_map(|word| word.parse().ok());
    number.ok_or(format!("{file} has no number: {text}"))
}

/// What is charged, without what is inactive, by the cgroup's own files.
pub(crate) fn working_set(container: &str) -> Result<u64, String> {
    let (charged, inactive) = match counter(container, "memory", "memory.usage_in_bytes") {
        Ok(charged) => (charged, "total_inactive_file "),
        Err(_) => (counter(container, "memory", "memory.current")?, "inactive_file "),
    };
    let stat = read(container, "memory", "memory.stat")?;
    let inactive = stat.lines().find_map(|line| line.strip_prefix(inactive)).unwrap_or("0");
    let inactive: u64 = inactive.trim().parse().map_err(|error| format!("{inactive}: {error}"))?;
    Ok(charged as u64 - inactive)
}

#[tokio::test]
async fn usage_is_within_five_percent_of_the_kernels_own_files() {
    let docker = Docker::shared().await;
    let flags = ["--memory", "128m", "--cpus", "0.2", "--pids-limit", "40"];
    let actions = ["memory", "mib=48", "+", "burn"];
    let container = docker.run_chaosd(&flags, &actions).await;
    let (client, usage, project) = (client(&docker), Usage::default(), ProjectId::generate());
    usage.watch(project, "web", &container);
    eventually(PATIENCE, || async {
        usage.look(&client).await;
        let record = usage.record(project, "web").expect("it is watched");
        let sample = *record.latest().ok_or("nothing was read")?;
        let kernel = working_set(&container)? as f64;
        let memory = sample.memory as f64;
        let near = (memory / kernel - 1.0).abs() < 0.05 && memory > 48.0 * 1024.0 * 1024.0;
        // Over the first periods of the scheduler a burner may have more than its share.
        let bounded = sample.cpu_millis > 50.0 && sample.cpu_millis < 210.0;
        let limits = (sample.memory_limit, sample.pids_limit) == (128 << 20, 40);
        let enough = record.samples.len() > 3;
        if near && bounded && limits && enough { Ok(()) } else { Err(format!("{sample:?}")) }
    })
    .await;
}

#[tokio::test]
async fn a_container_that_is_gone_leaves_what_was_seen() {
    let docker = Docker::shared().await;
    let container = docker.run_chaosd(&[], &["wait"]).await;
    let (client, usage, project) = (client(&docker), Usage::default(), ProjectId::generate());
    usage.watch(project, "web", &container);
    usage.look(&client).await;
    let before = usage.record(project, "web").expect("it is watched");
    assert_eq!(before.samples.len(), 1);
    docker.run(&["rm", "--force", &container]).await;
    usage.look(&client).await;
    usage.killed_for_memory(project, "web");
    let after = usage.record(project, "web").expect("it is kept");
    assert_eq!((after.samples, after.oom_kills), (before.samples, 1));
    usage.retain(project, |service| service != "web");
    assert_eq!(usage.record(project, "web"), None);
}
