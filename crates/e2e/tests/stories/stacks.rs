//! Stacks of containers, as a person runs them at the command line.

mod bad_input;
mod life;
mod pages;
mod template;

use std::{
    fs,
    process::Output,
    sync::atomic::{AtomicU8, Ordering},
    time::Duration,
};

use serde_json::Value;
use tempfile::TempDir;
use testkit::{Docker, eventually};

use crate::instance::{Instance, text};

/// For something to happen on a machine that does other work too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Stories that run at once in this process.
const STORIES_MAX: u8 = 16;

/// An instance with the machine's Engine, and a folder for Compose files.
struct Stacks {
    // First, so that nobody makes anew what `docker` removes.
    instance: Instance,
    docker: Docker,
    image: String,
    folder: TempDir,
    variables: Vec<(String, String)>,
}

impl Stacks {
    async fn start() -> Self {
        let docker = Docker::shared().await;
        let instance = Instance::start_with(&[("orchestrator__subnets", &subnets())]).await;
        let folder = tempfile::tempdir().expect("a folder");
        let image = docker.chaosd().await;
        Self { instance, docker, image, folder, variables: Vec::new() }
    }

    /// What the orchestrator makes goes with the value that removes what the test makes.
    async fn own(&mut self, project: &str) {
        let shown = self.instance.json(&["project", "show", project]);
        let filter = format!("label=cc.project={}", shown["id"].as_str().expect("an id"));
        let format = "{{.Label \"cc.owner\"}}";
        let list = ["network", "ls", "--filter", &filter, "--format", format];
        let owner = eventually(PATIENCE, || async {
            let owners = self.docker.run(&list).await;
            owners.lines().next().and_then(|it| it.parse().ok()).ok_or(owners)
        });
        self.docker.owner = owner.await;
    }

    /// Sets a variable of the commands to come.
    fn set(&mut self, name: &str, value: impl ToString) {
        self.variables.push((name.to_owned(), value.to_string()));
    }

    fn write(&self, name: &str, content: &str) {
        fs::write(self.folder.path().join(name), content).expect("it is written");
    }

    /// Runs a command in the folder.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = self.instance.command(args);
        command.current_dir(self.folder.path()).envs(self.variables.clone());
        command.output().expect("the binary runs")
    }

    /// Runs a command that must succeed; answers what it wrote to standard output.
    fn ok(&self, args: &[&str]) -> String {
        let output = self.run(args);
        assert!(output.status.success(), "{args:?}: {}\n{}", text(&output), self.instance.log());
        String::from_utf8(output.stdout).expect("Unicode")
    }

    /// Runs a command that must fail with this code, and say all of this on standard error.
    fn fails(&self, args: &[&str], code: i32, says: &[&str]) {
        let output = self.run(args);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {}", text(&output));
        let errors = String::from_utf8_lossy(&output.stderr);
        for it in says {
            assert!(errors.contains(it), "{args:?} does not say {it:?}: {errors}");
        }
    }

    fn health(&self, project: &str) -> Value {
        let shown = self.ok(&["stack", "status", "--project", project, "-o", "json"]);
        serde_json::from_str(&shown).expect("JSON")
    }

    /// What `docker inspect` says of a service's one container.
    async fn inspect(&self, service: &str, format: &str) -> String {
        let (owner, service) =
            (format!("label={}", self.docker.label()), format!("label=cc.service={service}"));
        let list = ["ps", "--all", "--quiet", "--filter", &owner, "--filter", &service];
        let ids = self.docker.run(&list).await;
        assert_eq!(ids.lines().count(), 1, "{service}: {ids:?}");
        self.docker.run(&["inspect", "--format", format, &ids]).await
    }

    /// Our containers, in all states.
    async fn containers(&self) -> usize {
        let filter = format!("label={}", self.docker.label());
        self.docker.run(&["ps", "--all", "--quiet", "--filter", &filter]).await.lines().count()
    }
}

/// Addresses of a story's own, so that stories do not take each other's.
fn subnets() -> String {
    static NEXT: AtomicU8 = AtomicU8::new(0);
    let story = NEXT.fetch_add(1, Ordering::Relaxed) % STORIES_MAX;
    format!("10.{}.{}.0/20", 28 + std::process::id() % 100, u16::from(story) * 16)
}
