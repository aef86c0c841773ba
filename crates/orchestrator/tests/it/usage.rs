//! Usage is what the kernel says.

use std::fs;

use orchestrator::usage::Usage;
use proto::ProjectId;
use testkit::{Docker, eventually};

use crate::probes::client;
use crate::world::PATIENCE;

/// The cgroup's own files, which is charged and inactive bytes, in v1 or v2.
fn working_set(container: &str) -> Result<u64, String> {
    let v1 = format!("/sys/fs/cgroup/memory/docker/{container}");
    let v2 = format!("/sys/fs/cgroup/system.slice/docker-{container}.scope");
    let read = |path: String| fs::read_to_string(&path).map_err(|error| format!("{path}: {error}"));
    let (charged, stat, inactive) = match read(format!("{v1}/memory.usage_in_bytes")) {
        Ok(charged) => (charged, read(format!("{v1}/memory.stat"))?, "total_inactive_file "),
        Err(_) => {
            let charged = read(format!("{v2}/memory.current"))?;
            (charged, read(format!("{v2}/memory.stat"))?, "inactive_file ")
        }
    };
    let number = |text: &str| text.trim().parse::<u64>().map_err(|error| error.to_string());
    let inactive = stat.lines().find_map(|line| line.strip_prefix(inactive)).unwrap_or("0");
    Ok(number(&charged)? - number(inactive)?)
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
