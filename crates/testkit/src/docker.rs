//! Docker for tests: whatever a test makes carries its label and goes with the value.

use std::process::{Command, Output, Stdio};

use tokio::task::spawn_blocking;
use uuid::Uuid;

use crate::{debian, image};

/// The machine's own Engine.
const SOCKET: &str = "unix:///var/run/docker.sock";

/// What our containers, networks and volumes are marked with; the value is the installation's id.
const OWNER_LABEL: &str = "cc.owner";

/// An Engine, and an owner whose containers, networks and volumes are removed with this value.
pub struct Docker {
    /// Such as `unix:///var/run/docker.sock`.
    pub host: String,
    /// The value of the label `cc.owner`; give it to what is tested as its installation id.
    pub owner: Uuid,
}

impl Docker {
    /// The machine's Engine with a new owner.
    ///
    /// # Panics
    /// When no Engine answers.
    pub async fn shared() -> Self {
        Self::at(SOCKET.to_owned()).await
    }

    /// The Engine at `host` with a new owner.
    pub(crate) async fn at(host: String) -> Self {
        let docker = Self { host, owner: Uuid::now_v7() };
        docker.run(&["version", "--format", "{{.Server.Version}}"]).await;
        docker
    }

    /// The reference of an image whose only program is `chaosd`, the image's entrypoint. What it
    /// can do is said at the top of `images/chaosd.rs`.
    ///
    /// # Panics
    /// When the program cannot be compiled or the image cannot be imported.
    pub async fn chaosd(&self) -> String {
        self.chaosd_that(&[]).await
    }

    /// The same, of an image whose command are these actions.
    ///
    /// # Panics
    /// As [`chaosd`](Self::chaosd).
    pub async fn chaosd_that(&self, actions: &'static [&'static str]) -> String {
        let host = self.host.clone();
        spawn_blocking(move || image::chaosd(&host, actions)).await.expect("the image is made")
    }

    /// The reference of an image of Debian's PostgreSQL, with the conventions of the official
    /// image. It runs as any numeric user, on a root that cannot be written.
    ///
    /// # Panics
    /// When the packages cannot be had or the image cannot be imported.
    pub async fn postgres(&self) -> String {
        let host = self.host.clone();
        spawn_blocking(move || debian::postgres(&host)).await.expect("the image is made")
    }

    /// The same of Redis.
    ///
    /// # Panics
    /// As [`postgres`](Self::postgres).
    pub async fn redis(&self) -> String {
        let host = self.host.clone();
        spawn_blocking(move || debian::redis(&host)).await.expect("the image is made")
    }

    /// Runs a container of `chaosd` with these flags of `docker run` and these actions; answers
    /// its id.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn run_chaosd(&self, flags: &[&str], actions: &[&str]) -> String {
        let (image, label) = (self.chaosd().await, self.label());
        let start = ["run", "--detach", "--pull", "never", "--label", &label];
        self.run(&[&start, flags, &[&image], actions].concat()).await
    }

    /// Runs the command `docker` to its end and answers what it printed, without the last newline.
    ///
    /// # Panics
    /// When it fails; the message shows why.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = self.attempt(arguments).await;
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "docker {arguments:?}: {errors}");
        String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
    }

    /// Runs the command `docker` to its end, which may be a failure.
    ///
    /// # Panics
    /// When there is no such command.
    pub async fn attempt(&self, arguments: &[&str]) -> Output {
        let mut command = client(&self.host);
        command.args(arguments).stdin(Stdio::null());
        let output = spawn_blocking(move || command.output()).await.expect("running returns");
        output.expect("docker can be run")
    }

    /// The container's address in its first network.
    ///
    /// # Panics
    /// When it has none.
    pub async fn address(&self, container: &str) -> std::net::IpAddr {
        let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}} {{end}}";
        let seen = self.run(&["inspect", "--format", format, container]).await;
        let first = seen.split_whitespace().next().and_then(|address| address.parse().ok());
        first.unwrap_or_else(|| panic!("{container} has the addresses {seen:?}"))
    }

    /// `cc.owner=OWNER`, as a flag and as a filter.
    pub fn label(&self) -> String {
        format!("{OWNER_LABEL}={}", self.owner)
    }

    fn remove(&self, list: &[&str], remove: &[&str]) {
        let filter = format!("label={}", self.label());
        let listed = client(&self.host).args(list).args(["--quiet", "--filter", &filter]).output();
        let listed = listed.map(|output| output.stdout).unwrap_or_default();
        let ids = String::from_utf8_lossy(&listed);
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            client(&self.host).args(remove).args(ids).output().ok();
        }
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        self.remove(&["ps", "--all", "--no-trunc"], &["rm", "--force", "--volumes"]);
        self.remove(&["network", "ls"], &["network", "rm"]);
        self.remove(&["volume", "ls"], &["volume", "rm", "--force"]);
    }
}

/// The command `docker` for one Engine, whatever the environment says.
pub(crate) fn client(host: &str) -> Command {
    let mut command = Command::new("docker");
    command.env_remove("DOCKER_CONTEXT").args(["--host", host]);
    command
}
