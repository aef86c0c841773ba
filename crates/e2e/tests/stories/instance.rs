//! A real `commandcenter up` in a folder of its own, and its commands.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use tempfile::TempDir;
use testkit::eventually;
use tokio::process::{Child, Command as AsyncCommand};

/// From the start to ready, in an unoptimised build with a fresh database.
const START_DEADLINE: Duration = Duration::from_secs(90);

/// For it to stop with its servers.
const STOP_DEADLINE: Duration = Duration::from_secs(20);

/// A running instance; dropped, it is stopped and its folder removed.
pub(crate) struct Instance {
    folder: TempDir,
    process: Option<Child>,
    settings: Vec<(String, String)>,
    /// Of pages and REST; 0 before the first start, and then the same for every start.
    http_port: u16,
}

impl Drop for Instance {
    /// Told to stop, it ends its servers too; killed, it would leave them behind. A story that
    /// failed shows what the instance said.
    #[expect(clippy::disallowed_methods, reason = "what drops cannot await its condition")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("what the instance said:\n{}", self.log());
        }
        let Some(process) = &mut self.process else { return };
        let Some(pid) = process.id() else { return };
        let _told = Command::new("kill").arg(pid.to_string()).status();
        let end = Instant::now() + STOP_DEADLINE;
        while matches!(process.try_wait(), Ok(None)) && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Instance {
    /// Starts an instance that may fetch from loopback, where the tests' sites are.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same, with further settings as `(section__key, value)`.
    pub(crate) async fn start_with(settings: &[(&str, &str)]) -> Self {
        let folder = tempfile::Builder::new().prefix("cc-e2e-").tempdir().expect("a folder");
        let mut all = vec![("FETCH__ALLOW_NETWORKS".to_owned(), "127.0.0.0/8".to_owned())];
        all.extend(settings.iter().map(|(key, value)| (key.to_uppercase(), (*value).to_owned())));
        let mut instance = Self { folder, process: None, settings: all, http_port: 0 };
        instance.launch().await;
        instance
    }

    /// Starts the process on the folder, fresh or used, and waits until it is ready.
    pub(crate) async fn launch(&mut self) {
        let mut command = AsyncCommand::new(binary());
        command
            .args(["up", "--grpc-port", "0", "--admin-port", "0", "--http-port"])
            .arg(self.http_port.to_string())
            .arg("--data-dir")
            .arg(self.data_dir())
            .arg("--runtime-dir")
            .arg(testkit::runtime())
            .stdin(Stdio::null())
            .stdout(log_file(&self.folder.path().join("up.log")))
            .stderr(log_file(&self.folder.path().join("up.log")))
            .kill_on_drop(true);
        for (key, value) in &self.settings {
            command.env(format!("COMMANDCENTER__{key}"), value);
        }
        self.process = Some(command.spawn().expect("the binary starts"));
        let ready = eventually(START_DEADLINE, || async {
            let status = self.run(&["status", "-o", "json"]);
            if status.status.success() { Ok(()) } else { Err(text(&status)) }
        });
        ready.await;
        let port = self.address("http").rsplit(':').next().and_then(|port| port.parse().ok());
        self.http_port = port.expect("an address ends with its port");
    }

    /// The data directory.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// What the process said so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("up.log")).unwrap_or_default()
    }

    /// kill -9.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("killed");
        }
    }

    /// Tells it to stop, and waits for its end.
    pub(crate) async fn stop(&mut self) {
        let Some(mut process) = self.process.take() else { return };
        let pid = process.id().expect("it runs").to_string();
        assert!(Command::new("kill").arg(pid).status().expect("kill runs").success());
        let ended = tokio::time::timeout(STOP_DEADLINE, process.wait()).await;
        ended.expect("it ends in time").expect("it is our child");
    }

    /// Runs a command of the instance to its end.
    pub(crate) fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary runs")
    }

    /// A command of the instance.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary());
        command
            .args(args)
            .env("COMMANDCENTER_DATA_DIR", self.data_dir())
            .env_remove("COMMANDCENTER_URL")
            .stdin(Stdio::null());
        command
    }

    /// Runs a command that must succeed, and reads its JSON.
    pub(crate) fn json(&self, args: &[&str]) -> Value {
        let output = self.run(&[args, &["-o", "json"]].concat());
        assert!(output.status.success(), "{args:?}: {}\n{}", text(&output), self.log());
        serde_json::from_slice(&output.stdout).unwrap_or_else(|e| panic!("{args:?}: {e}"))
    }

    /// One of `http`, `grpc`, `admin`: where it listens.
    pub(crate) fn address(&self, name: &str) -> String {
        let file = std::fs::read(self.data_dir().join("instance.json")).expect("instance.json");
        let instance: Value = serde_json::from_slice(&file).expect("JSON");
        instance[name].as_str().expect("an address").to_owned()
    }

    /// Titles that a search in project `p` finds, best first.
    pub(crate) fn titles(&self, query: &str) -> Vec<String> {
        let found = self.json(&["search", query, "--project", "p", "--limit", "50"]);
        let results = found["results"].as_array().expect("results").iter();
        results.map(|result| result["title"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// What a command printed, for messages.
pub(crate) fn text(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

/// The program under test, built beside this test: `cargo build -p commandcenter` makes it.
pub(crate) fn binary() -> PathBuf {
    let test = std::env::current_exe().expect("this test");
    let folder = test.parent().and_then(Path::parent).expect("the target folder");
    let binary = folder.join("commandcenter");
    assert!(binary.exists(), "{} is missing: cargo build -p commandcenter", binary.display());
    binary
}

fn log_file(path: &Path) -> std::fs::File {
    std::fs::OpenOptions::new().create(true).append(true).open(path).expect("a log file")
}
