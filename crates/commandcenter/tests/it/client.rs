//! The commands of the client, run as a person runs them, against a server that speaks the REST
//! API's contract and records what it is asked.

mod dead;
mod doctor;
mod finding;
mod help;
mod import;
mod logs;
mod people;
mod refusals;
mod search;
mod source;
mod stack;
mod stacks;
mod status;
mod watching;

use std::{fs, path::PathBuf, process::Stdio, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;
use testkit::{Request, Response, Site};
use tokio::{io::AsyncWriteExt as _, process::Command, time::timeout};

/// How long a command may take before the test fails.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(60);

/// The token of the fake instance's administrator.
const TOKEN: &str = "cc_token-of-the-fake-instance";

/// An instance that answers as it is told, with a data directory that leads to it.
struct Instance {
    site: Site,
    dir: TempDir,
    /// Held, as by a process that runs.
    lock: fs::File,
}

/// How a command ended.
#[derive(Debug)]
struct Ended {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Instance {
    async fn start() -> Self {
        let site = Site::start().await;
        let dir = tempfile::tempdir().expect("a folder");
        let instance = json!({ "http": site.url, "pid": std::process::id(), "version": "0.1.0" });
        fs::write(dir.path().join("instance.json"), instance.to_string()).expect("written");
        fs::write(dir.path().join("admin.token"), format!("{TOKEN}\n")).expect("written");
        let lock = dir.path().join("lock");
        fs::write(&lock, format!("{}\n", std::process::id())).expect("written");
        let lock = fs::File::open(lock).expect("it is there");
        lock.try_lock().expect("nobody holds it");
        Self { site, dir, lock }
    }

    /// Lets go of the data directory as a kill -9 does: its files stay.
    fn end(&self) {
        self.lock.unlock().expect("it was ours");
    }

    /// Answers a path below `/api` with 200 and JSON.
    fn answers(&self, path: &str, value: Value) {
        self.site.serve(&format!("/api/{path}"), ok(&value));
    }

    /// Answers with each value once, and with the last one from then on.
    fn answers_each(&self, path: &str, values: impl IntoIterator<Item = Value>) {
        let responses: Vec<Response> = values.into_iter().map(|value| ok(&value)).collect();
        self.site.serve_each(&format!("/api/{path}"), responses);
    }

    /// Refuses a path below `/api` as the API does.
    fn refuses(&self, path: &str, status: u16, code: &str, detail: &str) {
        self.site.serve(&format!("/api/{path}"), problem(status, code, detail));
    }

    /// The requests for a path below `/api`.
    fn asked(&self, path: &str) -> Vec<Request> {
        self.site.requests_for(&format!("/api/{path}"))
    }

    /// The JSON bodies that a path below `/api` was sent.
    fn sent(&self, path: &str) -> Vec<Value> {
        let bodies = self.asked(path).into_iter().filter(|request| !request.body.is_empty());
        bodies.map(|request| serde_json::from_slice(&request.body).expect("JSON")).collect()
    }

    /// Runs a command against the instance.
    async fn run(&self, args: &[&str]) -> Ended {
        self.run_with(args, "").await
    }

    /// Runs a command with something on its standard input.
    async fn run_with(&self, args: &[&str], stdin: &str) -> Ended {
        let mut command = program();
        command.env("COMMANDCENTER_DATA_DIR", self.dir.path());
        finish(command, args, stdin).await
    }

    /// A new file in the instance's folder.
    fn file(&self, name: &str, content: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, content).expect("written");
        path
    }
}

impl Ended {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    #[track_caller]
    fn ok(self) -> Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }

    /// Stderr says this.
    #[track_caller]
    fn says(self, text: &str) -> Self {
        assert!(self.stderr.contains(text), "{text:?} is missing: {self:?}");
        self
    }

    /// The command failed with this code, and stderr says each of these.
    #[track_caller]
    fn failed(self, code: i32, says: &[&str]) -> Self {
        assert_eq!(self.code, code, "{self:?}");
        for text in says {
            assert!(self.stderr.contains(text), "{text:?} is missing: {self:?}");
        }
        self
    }
}

/// Our program without this process' environment, which could name another instance.
fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_commandcenter"));
    command.env_clear().env("HOME", "/nonexistent").kill_on_drop(true);
    command
}

async fn finish(mut command: Command, args: &[&str], stdin: &str) -> Ended {
    let command = command.args(args).stdin(Stdio::piped());
    let mut child =
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
    let mut input = child.stdin.take().expect("it is piped");
    // A command that does not read its input may be gone already.
    let _ = input.write_all(stdin.as_bytes()).await;
    drop(input);
    let output = timeout(COMMAND_TIMEOUT, child.wait_with_output())
        .await
        .unwrap_or_else(|_| panic!("{args:?} takes too long"))
        .expect("it ends");
    Ended {
        code: output.status.code().expect("it ends by itself"),
        stdout: String::from_utf8(output.stdout).expect("Unicode"),
        stderr: String::from_utf8(output.stderr).expect("Unicode"),
    }
}

fn ok(value: &Value) -> Response {
    Response::ok(value.to_string()).content_type("application/json")
}

fn problem(status: u16, code: &str, detail: &str) -> Response {
    let body = json!({
        "type": format!("/api/docs#{code}"), "title": code, "status": status,
        "detail": detail, "code": code,
    });
    refusal(status, &body)
}

fn refusal(status: u16, body: &Value) -> Response {
    let mut response = ok(body);
    response.status = status.try_into().expect("a status");
    response
}

/// A stream of server-sent events: name, id and data of each.
fn stream(events: &[(&str, &str, Value)]) -> Response {
    let event = |(name, id, data): &(&str, &str, Value)| {
        let id = if id.is_empty() { String::new() } else { format!("id: {id}\n") };
        format!("event: {name}\n{id}data: {data}\n\n")
    };
    let text: String = events.iter().map(event).collect();
    Response::ok(format!(":live\nretry: 2000\n\n{text}")).content_type("text/event-stream")
}

fn list(items: &[Value]) -> Value {
    json!({ "items": items, "next_page_token": "" })
}
