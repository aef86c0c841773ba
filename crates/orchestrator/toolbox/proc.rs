//! What the kernel says of processes: `/proc` and their control groups, as raw lines.

use std::fs;
use std::path::{Path, PathBuf};

/// Where the host's control groups are mounted.
const CGROUPS: &str = "/cgroup";

/// The lines of `/proc/PID/status` that are told.
const STATUS: [&str; 6] = ["Uid", "Gid", "CapEff", "CapBnd", "NoNewPrivs", "Seccomp"];

/// Prints a section for each process that is there.
pub fn tell(pids: &[&str]) {
    for pid in pids {
        if !pid.bytes().all(|byte| byte.is_ascii_digit()) {
            continue;
        }
        let folder = Path::new("/proc").join(pid);
        let Ok(status) = fs::read_to_string(folder.join("status")) else { continue };
        println!("pid {pid}");
        for line in status.lines() {
            if STATUS.iter().any(|key| line.split(':').next() == Some(key)) {
                println!("status {line}");
            }
        }
        let mounts = fs::read_to_string(folder.join("mountinfo")).unwrap_or_default();
        mounts.lines().for_each(|line| println!("mount {line}"));
        let groups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
        limit("pids", &groups, "pids", &["pids.max"]);
        limit("memory", &groups, "memory", &["memory.limit_in_bytes", "memory.max"]);
    }
}

/// Prints what the first of these files says, in the group of a controller or in the one of all.
fn limit(name: &str, groups: &str, controller: &str, files: &[&str]) {
    let path = |line: &str| -> Option<PathBuf> {
        let mut parts = line.splitn(3, ':');
        let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let path = path.trim_start_matches('/');
        match controllers {
            "" => Some(Path::new(CGROUPS).join(path)),
            it if it.split(',').any(|it| it == controller) => {
                Some(Path::new(CGROUPS).join(controller).join(path))
            }
            _ => None,
        }
    };
    for folder in groups.lines().filter_map(path) {
        for file in files {
            if let Ok(value) = fs::read_to_string(folder.join(file)) {
                return println!("limit {name} {}", value.trim());
            }
        }
    }
}
