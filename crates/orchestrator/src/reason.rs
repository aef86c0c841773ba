//! Why something is not as its owner wants it: a closed set, each with what follows from it.
//!
//! A [`Reason`] is stable and goes over the wire as its [`code`](Reason::code); a [`Diagnosis`]
//! adds what was seen and what to do about it.

mod engine;
mod exit;

use std::time::Duration;

pub use exit::{Exit, meaning};

/// What is done about a reason without a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retry {
    /// Again after 1, 2, 4, 8 .. 60 s, until the attempts are used up; then every 5 minutes.
    Backoff,
    /// Like `Backoff`, for so many times in a row at most.
    Limited(u32),
    /// Again after 5 minutes: sooner would not help.
    Seldom,
    /// As soon as what it waits for is there; no attempt is charged.
    Cleared,
    /// Only after somebody has changed something.
    Never,
}

macro_rules! reasons {
    ($($name:ident = $code:literal, $retry:expr, $text:literal, $hint:literal;)+) => {
        /// Why something is not as its owner wants it.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $(#[doc = $text] $name,)+ }

        impl Reason {
            /// Every reason, for documentation and tests.
            pub const ALL: &[Reason] = &[$(Reason::$name,)+];

            /// Its stable name on the wire.
            #[must_use]
            pub fn code(self) -> &'static str {
                match self { $(Reason::$name => $code,)+ }
            }

            /// What is done about it without a person.
            #[must_use]
            pub fn retry(self) -> Retry {
                match self { $(Reason::$name => $retry,)+ }
            }

            /// What it means, as the end of a sentence.
            #[must_use]
            pub fn text(self) -> &'static str {
                match self { $(Reason::$name => $text,)+ }
            }

            /// What a person does about it.
            #[must_use]
            pub fn hint(self) -> &'static str {
                match self { $(Reason::$name => $hint,)+ }
            }
        }
    };
}

reasons! {
    ImageNotFound = "IMAGE_NOT_FOUND", Retry::Never, "the image is not there",
        "build or load the image on the daemon's host, or correct its name and tag";
    ImageUnusable = "IMAGE_UNUSABLE", Retry::Never, "the image cannot run on this host",
        "build the image for this host's architecture, with a program for it as its command";
    ScanBlocked = "SCAN_BLOCKED", Retry::Never, "the scan policy stops the image",
        "rebuild the image with the fixed packages, scan it again, or relax the service's policy";
    ScanPending = "SCAN_PENDING", Retry::Cleared, "its image is being scanned",
        "wait for the scan; it takes some minutes at most";
    ScanFindings = "SCAN_FINDINGS", Retry::Cleared, "its image has known vulnerabilities",
        "rebuild the image with the fixed packages, and scan it again";
    ScanUnproven = "SCAN_UNPROVEN", Retry::Cleared, "its image has no fresh verdict",
        "see that Trivy and a fresh database are on the orchestrator's host, or set the scan policy \
         to off";
    CommandNotFound = "COMMAND_NOT_FOUND", Retry::Never, "the command is not in the image",
        "correct `entrypoint` or `command`, or add the program to the image";
    CommandNotExecutable = "COMMAND_NOT_EXECUTABLE", Retry::Never,
        "the command may not be executed",
        "make the file executable for the service's user, who is not root";
    MountInvalid = "MOUNT_INVALID", Retry::Never, "a mount is impossible",
        "check that each source is there and that file is mounted on file and folder on folder";
    UserUnknown = "USER_UNKNOWN", Retry::Never, "the user is not in the image",
        "write the user as numbers, such as 1000:1000";
    LimitInvalid = "LIMIT_INVALID", Retry::Never, "the host cannot give or keep to a limit",
        "choose a limit that this host has and that is above what the service uses now";
    SecretMissing = "SECRET_MISSING", Retry::Cleared, "a secret has no value",
        "put the secret's value with `commandcenter secret put`";
    NameTaken = "NAME_TAKEN", Retry::Never, "a stranger's object has the name",
        "remove or rename the object; what is not ours is never touched";
    ContainerGone = "CONTAINER_GONE", Retry::Cleared, "somebody else removes its container",
        "remove containers with `commandcenter stack` only; this one is made again";
    InUse = "IN_USE", Retry::Backoff, "somebody else uses it",
        "remove what the daemon's message names, or disconnect it";
    PortInUse = "PORT_IN_USE", Retry::Backoff, "a port of the host is taken",
        "stop what holds the port, or publish another one";
    NetworkPoolExhausted = "NETWORK_POOL_EXHAUSTED", Retry::Seldom, "no subnet is free",
        "remove networks that nobody uses, or configure a larger `orchestrator.subnets`";
    VolumePermission = "VOLUME_PERMISSION", Retry::Never,
        "the service's user may not use a volume or mount",
        "give the files to the service's user, or set `user` to their owner";
    DiskFull = "DISK_FULL", Retry::Seldom, "the daemon's disk is full",
        "free space on the daemon's host, such as with `docker image prune`";
    DependencyNotReady = "DEPENDENCY_NOT_READY", Retry::Cleared, "it waits for another service",
        "look at the service that it waits for";
    StartTimeout = "START_TIMEOUT", Retry::Seldom, "it was not ready in time",
        "read the last probe output and the log; raise the startup deadline if it is only slow";
    Exited = "EXITED", Retry::Backoff, "its process ended by itself",
        "read the last lines of its log";
    Killed = "KILLED", Retry::Backoff, "its process was killed from outside",
        "find out who sent the signal; the memory limit did not";
    OutOfMemory = "OUT_OF_MEMORY", Retry::Limited(3), "it used more memory than its limit",
        "raise its memory limit, or make it use less";
    ChildOutOfMemory = "CHILD_OUT_OF_MEMORY", Retry::Backoff,
        "the kernel ended one of its child processes for memory",
        "raise its memory limit, or make it use less";
    Unhealthy = "UNHEALTHY", Retry::Backoff, "its liveness probe failed",
        "read the last probe output and the log";
    Unready = "UNREADY", Retry::Backoff, "its readiness probe fails",
        "read the last probe output and the log";
    CrashLoop = "CRASH_LOOP", Retry::Seldom, "it ended too often",
        "mend what the postmortem shows, then restart the service";
    HardeningBroken = "HARDENING_BROKEN", Retry::Never,
        "the container is not hardened as declared",
        "look at the hardening report; the Engine did not keep to what it was told";
    Completed = "COMPLETED", Retry::Never, "it has done its work", "";
    Stopping = "STOPPING", Retry::Cleared, "it is being stopped", "";
    Paused = "PAUSED", Retry::Cleared, "somebody paused its container",
        "resume it with `docker unpause`, or restart the service";
    ProbeUnknown = "PROBE_UNKNOWN", Retry::Cleared, "its probes cannot be asked",
        "check that the daemon answers and that this host reaches the container's network";
    DaemonUnreachable = "DAEMON_UNREACHABLE", Retry::Cleared, "the Docker daemon does not answer",
        "check that the daemon runs and that the orchestrator may use its socket";
    DaemonTooOld = "DAEMON_TOO_OLD", Retry::Never, "the Docker daemon is too old",
        "install Engine 20.10 or newer";
    DaemonFailed = "DAEMON_FAILED", Retry::Backoff, "the Docker daemon failed",
        "look at the daemon's own log";
    DaemonRefused = "DAEMON_REFUSED", Retry::Never, "the Docker daemon refused",
        "correct what the daemon's message names";
}

impl Reason {
    /// The reason with this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.code() == code)
    }
}

/// A reason with what was seen and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnosis {
    /// The stable part.
    pub reason: Reason,
    /// One sentence.
    pub message: String,
    /// Empty when there is nothing to do.
    pub hint: String,
}

impl Diagnosis {
    /// A diagnosis with the reason's own hint.
    #[must_use]
    pub fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into(), hint: reason.hint().to_owned() }
    }

    /// A container has the port, or else the host itself.
    #[must_use]
    pub fn port_in_use(port: u16, holder: Option<&str>) -> Self {
        let by = holder.unwrap_or("the host itself, not by a container");
        let hint = match holder {
            Some(holder) => format!("stop {holder}, or publish another port than {port}"),
            None => format!(
                "`ss --listening --processes --numeric 'sport = :{port}'` as root on the host \
                 tells who it is; stop that, or publish another port than {port}"
            ),
        };
        let message = format!("port {port} is taken by {by}");
        Self { reason: Reason::PortInUse, message, hint }
    }

    /// The kernel ended it at its limit; `peak` is the most that was seen before, 0 when unknown.
    #[must_use]
    pub fn out_of_memory(limit: u64, peak: u64) -> Self {
        let message = format!(
            "the kernel ended it at its memory limit of {} (most seen before: {})",
            mebibytes(limit),
            mebibytes(peak)
        );
        let mut told = Self::new(Reason::OutOfMemory, message);
        let wanted = limit.max(peak).saturating_mul(3) / 2;
        told.hint = format!(
            "raise its memory limit from {} to {} or more",
            mebibytes(limit),
            mebibytes(wanted)
        );
        told
    }

    /// It was not ready before its deadline; `output` is what the last probe said.
    #[must_use]
    pub fn start_timeout(deadline: Duration, output: &str) -> Self {
        let said = match output.trim() {
            "" => "no probe got an answer".to_owned(),
            output => format!("the last probe said: {output}"),
        };
        let seconds = deadline.as_secs_f64();
        Self::new(Reason::StartTimeout, format!("not ready within {seconds} s; {said}"))
    }

    /// It waits for `service`, which is not `wanted` yet.
    #[must_use]
    pub fn dependency(service: &str, wanted: &str) -> Self {
        let mut told =
            Self::new(Reason::DependencyNotReady, format!("it waits until {service} is {wanted}"));
        told.hint = format!("look at {service}");
        told
    }
}

fn mebibytes(bytes: u64) -> String {
    const MIB: u64 = 1024 * 1024;
    format!("{} MiB", bytes.div_ceil(MIB))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_reason_has_a_code_of_its_own_and_says_what_to_do() {
        let codes: BTreeSet<_> = Reason::ALL.iter().map(|reason| reason.code()).collect();
        assert_eq!(codes.len(), Reason::ALL.len());
        for &reason in Reason::ALL {
            assert_eq!(Reason::from_code(reason.code()), Some(reason));
            let silent = [Reason::Completed, Reason::Stopping].contains(&reason);
            assert_eq!(reason.hint().is_empty(), silent, "{reason:?}");
        }
        assert_eq!(Reason::from_code("NO_SUCH_REASON"), None);
    }

    #[test]
    fn what_only_a_person_can_mend_is_never_retried() {
        let never = |reason: &&Reason| reason.retry() == Retry::Never;
        let codes: Vec<_> = Reason::ALL.iter().filter(never).map(|it| it.code()).collect();
        assert_eq!(
            codes,
            [
                "IMAGE_NOT_FOUND",
                "IMAGE_UNUSABLE",
                "SCAN_BLOCKED",
                "COMMAND_NOT_FOUND",
                "COMMAND_NOT_EXECUTABLE",
                "MOUNT_INVALID",
                "USER_UNKNOWN",
                "LIMIT_INVALID",
                "NAME_TAKEN",
                "VOLUME_PERMISSION",
                "HARDENING_BROKEN",
                "COMPLETED",
                "DAEMON_TOO_OLD",
                "DAEMON_REFUSED",
            ]
        );
        assert_eq!(Reason::OutOfMemory.retry(), Retry::Limited(3));
    }

    #[test]
    fn a_diagnosis_names_what_was_seen() {
        const MIB: u64 = 1024 * 1024;
        let told = Diagnosis::out_of_memory(512 * MIB, 510 * MIB);
        assert!(told.message.contains("limit of 512 MiB (most seen before: 510 MiB)"));
        assert_eq!(told.hint, "raise its memory limit from 512 MiB to 768 MiB or more");
        let told = Diagnosis::port_in_use(8080, Some("container web of project shop"));
        assert_eq!(told.message, "port 8080 is taken by container web of project shop");
        assert!(told.hint.starts_with("stop container web"));
        let told = Diagnosis::port_in_use(80, None);
        assert!(told.message.contains("by the host itself") && told.hint.contains(":80'` as root"));
        let told = Diagnosis::start_timeout(Duration::from_secs(20), "connection refused\n");
        assert_eq!(told.message, "not ready within 20 s; the last probe said: connection refused");
        let told = Diagnosis::start_timeout(Duration::from_secs(20), "");
        assert!(told.message.ends_with("no probe got an answer"));
        assert_eq!(Diagnosis::dependency("db", "ready").hint, "look at db");
    }
}
