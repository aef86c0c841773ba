//! What the Engine's refusals mean.
//!
//! Its words are not part of its API, so they are compared in part and the status decides what
//! they do not say. They were recorded from Engines 20.10 to 28.

use super::Reason;

/// What a message holds, and what that means; the first that fits counts.
const WORDS: [(&str, Reason); 30] = [
    ("no space left on device", Reason::DiskFull),
    ("disk quota exceeded", Reason::DiskFull),
    ("no such image", Reason::ImageNotFound),
    ("manifest unknown", Reason::ImageNotFound),
    ("pull access denied", Reason::ImageNotFound),
    ("does not match the specified platform", Reason::ImageUnusable),
    ("exec format error", Reason::ImageUnusable),
    ("no command specified", Reason::CommandNotFound),
    ("port is already allocated", Reason::PortInUse),
    ("address already in use", Reason::PortInUse),
    ("ports are not available", Reason::PortInUse),
    ("non-overlapping ipv4 address pool", Reason::NetworkPoolExhausted),
    ("all predefined address pools", Reason::NetworkPoolExhausted),
    ("pool overlaps with other one", Reason::NetworkPoolExhausted),
    ("is already in use by container", Reason::NameTaken),
    ("no such container", Reason::ContainerGone),
    ("marked for removal", Reason::ContainerGone),
    ("removal of container", Reason::ContainerGone),
    ("has active endpoints", Reason::InUse),
    ("volume is in use", Reason::InUse),
    ("unable to find user", Reason::UserUnknown),
    ("no matching entries in passwd file", Reason::UserUnknown),
    ("invalid mount config", Reason::MountInvalid),
    ("error mounting", Reason::MountInvalid),
    ("failed to mount", Reason::MountInvalid),
    ("executable file not found", Reason::CommandNotFound),
    ("minimum memory limit", Reason::LimitInvalid),
    ("range of cpus is from", Reason::LimitInvalid),
    ("memory limit", Reason::LimitInvalid),
    ("failed to chown", Reason::VolumePermission),
];

impl Reason {
    /// What a refusal of the Engine means: its HTTP status and its words.
    #[must_use]
    pub fn of_refusal(status: u16, message: &str) -> Self {
        let message = message.to_lowercase();
        let worded = WORDS.iter().find(|(words, _)| message.contains(words));
        if let Some((_, reason)) = worded {
            return *reason;
        }
        if message.contains("unable to start container process: exec:") {
            return of_exec(&message);
        }
        // What the Engine blames on itself may be gone the next time.
        if status >= 500 { Self::DaemonFailed } else { Self::DaemonRefused }
    }
}

/// runc's reasons not to execute the first program.
fn of_exec(message: &str) -> Reason {
    if message.contains("permission denied") {
        Reason::CommandNotExecutable
    } else {
        Reason::CommandNotFound
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUNC: &str = "failed to create shim task: OCI runtime create failed: runc create \
                        failed: unable to start container process: ";

    #[test]
    fn the_engines_words_have_a_meaning() {
        let exec = |words: &str| format!("{RUNC}exec: {words}: unknown");
        let cases = [
            (404, "No such image: nosuch:1".to_owned(), Reason::ImageNotFound),
            (
                500,
                "Bind for 127.0.0.1:80 failed: port is already allocated".to_owned(),
                Reason::PortInUse,
            ),
            (
                500,
                "Error starting userland proxy: listen tcp4 127.0.0.1:20556: bind: address \
                already in use"
                    .to_owned(),
                Reason::PortInUse,
            ),
            (
                400,
                exec("\"/nothere\": stat /nothere: no such file or directory"),
                Reason::CommandNotFound,
            ),
            (400, exec("\"nothere\": executable file not found in $PATH"), Reason::CommandNotFound),
            (400, exec("\"/etc\": permission denied"), Reason::CommandNotExecutable),
            (400, "Minimum memory limit allowed is 6MB".to_owned(), Reason::LimitInvalid),
            (
                400,
                "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available".to_owned(),
                Reason::LimitInvalid,
            ),
            (
                400,
                "invalid mount config for type \"bind\": bind source path does not exist: /x"
                    .to_owned(),
                Reason::MountInvalid,
            ),
            (
                400,
                format!(
                    "{RUNC}error during container init: error mounting \"tmpfs\" to rootfs \
                at \"/etc/hostname\": not a directory"
                ),
                Reason::MountInvalid,
            ),
            (
                409,
                "Conflict. The container name \"/x1\" is already in use by container \"9181\"."
                    .to_owned(),
                Reason::NameTaken,
            ),
            (
                400,
                "unable to find user nosuch: no matching entries in passwd file".to_owned(),
                Reason::UserUnknown,
            ),
            (
                403,
                "Pool overlaps with other one on this address space".to_owned(),
                Reason::NetworkPoolExhausted,
            ),
            (
                404,
                "could not find an available, non-overlapping IPv4 address pool among the \
                defaults"
                    .to_owned(),
                Reason::NetworkPoolExhausted,
            ),
            (500, "write /var/lib/docker/x: no space left on device".to_owned(), Reason::DiskFull),
            (
                500,
                "failed to chown /var/lib/docker/volumes/x: operation not permitted".to_owned(),
                Reason::VolumePermission,
            ),
            (404, "No such container: 9181".to_owned(), Reason::ContainerGone),
            (
                409,
                "container is marked for removal and cannot be started".to_owned(),
                Reason::ContainerGone,
            ),
            (
                409,
                "removal of container 9181 is already in progress".to_owned(),
                Reason::ContainerGone,
            ),
            (
                403,
                "error while removing network: network main id 91 has active endpoints".to_owned(),
                Reason::InUse,
            ),
            (409, "remove data: volume is in use - [9181]".to_owned(), Reason::InUse),
            (404, "network nonet not found".to_owned(), Reason::DaemonRefused),
            (500, "context deadline exceeded".to_owned(), Reason::DaemonFailed),
        ];
        for (status, message, reason) in cases {
            assert_eq!(Reason::of_refusal(status, &message), reason, "{message}");
        }
    }
}
