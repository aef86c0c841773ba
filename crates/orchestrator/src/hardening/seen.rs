//! Reads what `toolbox proc` tells of processes.

use std::collections::BTreeMap;

/// What the kernel says of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// Lines of `/proc/PID/status` by their key, without spaces around.
    pub status: BTreeMap<String, String>,
    /// Its mounts by their place.
    pub mounts: BTreeMap<String, Mount>,
    /// `pids` and `memory`, as the control group's own file says them.
    pub limits: BTreeMap<String, String>,
}

/// A mount as a process sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Such as `tmpfs`.
    pub kind: String,
    /// Such as `ro,noexec`.
    pub options: String,
}

impl Mount {
    /// Whether it has an option.
    #[must_use]
    pub fn has(&self, option: &str) -> bool {
        self.options.split(',').any(|it| it == option)
    }
}

/// Reads the sections of a text, by process id.
#[must_use]
pub fn read(text: &str) -> BTreeMap<i64, Seen> {
    let mut all: BTreeMap<i64, Seen> = BTreeMap::new();
    let mut current = None;
    for line in text.lines() {
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        if kind == "pid" {
            current = rest.parse().ok();
        }
        let Some(seen) = current.map(|pid| all.entry(pid).or_default()) else { continue };
        match kind {
            "status" => {
                let pair = rest.split_once(':');
                seen.status.extend(pair.map(|(key, it)| (key.to_owned(), it.trim().to_owned())));
            }
            "limit" => {
                let pair = rest.split_once(' ');
                seen.limits.extend(pair.map(|(key, it)| (key.to_owned(), it.to_owned())));
            }
            // The last of several at one place is the one that is seen.
            "mount" => seen.mounts.extend(mount(rest)),
            _ => {}
        }
    }
    all
}

/// A line of `mountinfo`: see proc_pid_mountinfo(5).
fn mount(line: &str) -> Option<(String, Mount)> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ').skip(4);
    let (place, options) = (before.next()?, before.next()?);
    let kind = after.split(' ').next()?;
    Some((place.to_owned(), Mount { kind: kind.to_owned(), options: options.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sections_are_read_and_what_is_unknown_is_skipped() {
        let text = "noise\npid 7\nstatus Uid:\t20016\t20016\t20016\t20016\nstatus CapEff:\t0\n\
                    mount 69 45 0:39 / / ro,noatime master:2 - overlay overlay rw\n\
                    mount 86 69 0:47 / /tmp rw,nosuid - tmpfs tmpfs rw,size=1024k\n\
                    limit pids 77\nwhat else\npid 9\nlimit memory max\n";
        let seen = read(text);
        assert_eq!(seen.keys().copied().collect::<Vec<_>>(), [7, 9]);
        assert_eq!(seen[&7].status["Uid"], "20016\t20016\t20016\t20016");
        assert!(seen[&7].mounts["/"].has("ro") && !seen[&7].mounts["/tmp"].has("ro"));
        assert_eq!(seen[&7].mounts["/tmp"].kind, "tmpfs");
        assert_eq!((&*seen[&7].limits["pids"], &*seen[&9].limits["memory"]), ("77", "max"));
    }
}
