//! Logs of real containers: each line once and in order, through everything that breaks a stream.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use chassis::Shutdown;
use futures::StreamExt as _;
use orchestrator::docker::Client;
use orchestrator::logs::frame::Output;
use orchestrator::logs::query::{Entry, Query, Shown};
use orchestrator::logs::record::{Event, Kind, Mark, Record};
use orchestrator::logs::redact::Redactor;
use orchestrator::logs::{Config, Logs};
use proto::orchestrator::v1;
use proto::orchestrator::v1::log_record;
use proto::orchestrator::v1::log_service_client::LogServiceClient;
use proto::{Failure, ProjectId, Reason};
use testkit::{Docker, eventually};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

use crate::world::World;

const SOCKET: &str = "/var/run/docker.sock";

/// These containers need nobody.
const ALONE: [&str; 2] = ["--network", "none"];

const DEADLINE: Duration = Duration::from_secs(60);

/// Logs whose task runs in this process until they are stopped.
struct Running {
    logs: Logs,
    shutdown: Shutdown,
    tasks: JoinSet<anyhow::Result<()>>,
}

impl Running {
    fn start(folder: &Path) -> Self {
        let logs = Logs::new(Config { folder: folder.to_owned(), ..Config::default() });
        let (shutdown, mut tasks) = (Shutdown::new(), JoinSet::new());
        let (running, token) = (logs.clone(), shutdown.clone());
        tasks.spawn(async move { running.run(token).await });
        Self { logs, shutdown, tasks }
    }

    /// Ends as a process does: whatever was read and not stored is forgotten.
    async fn stop(mut self) {
        self.shutdown.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended.expect("it does not panic").expect("it ends well");
        }
    }

    fn attach(&self, project: ProjectId, container: &str) {
        self.logs.attach(project, "web", container, &client());
    }

    /// Everything in the log of the service.
    async fn all(&self, project: ProjectId) -> Vec<Entry> {
        let mut all: Vec<Entry> = Vec::new();
        loop {
            let after = all.last().map_or_else(|| "web:0".to_owned(), |it| it.cursor.clone());
            let after = Some(after.parse().expect("our own cursor"));
            let query = Query { services: web(), tail: 10_000, after, ..Query::default() };
            match self.logs.query(project, query).await {
                Ok(page) if page.is_empty() => return all,
                Ok(page) => all.extend(page),
                // It has not been opened yet.
                Err(_) => return all,
            }
        }
    }

    /// Waits until there are so many lines: one output may be a moment behind the other.
    async fn whole(&self, project: ProjectId, lines: u64) -> Vec<Entry> {
        eventually(DEADLINE, || async {
            let all = self.all(project).await;
            let seen = texts(&all).len() as u64;
            if seen >= lines { Ok(all) } else { Err(seen) }
        })
        .await
    }

    /// Waits until the number `last` is there.
    async fn numbers(&self, project: ProjectId, last: u64) -> Vec<Entry> {
        eventually(DEADLINE, || async {
            let all = self.all(project).await;
            let seen = texts(&all).iter().filter_map(|it| number(it)).max().unwrap_or(0);
            if seen >= last { Ok(all) } else { Err(seen) }
        })
        .await
    }
}

fn client() -> Client {
    Client::new(SOCKET.into())
}

fn web() -> Vec<String> {
    vec!["web".to_owned()]
}

fn texts(entries: &[Entry]) -> Vec<String> {
    let text = |entry: &Entry| match &entry.shown {
        Shown::Record(record) => match &record.kind {
            Kind::Line { text, .. } => Some(String::from_utf8_lossy(text).into_owned()),
            Kind::Mark(_) | Kind::Gap(_) => None,
        },
        Shown::Lag(_) => None,
    };
    entries.iter().filter_map(text).collect()
}

fn event(entry: &Entry) -> Option<Event> {
    match &entry.shown {
        Shown::Record(Record { kind: Kind::Mark(mark), .. }) => Some(mark.event),
        Shown::Record(_) | Shown::Lag(_) => None,
    }
}

fn number(line: &str) -> Option<u64> {
    line.split(' ').next()?.parse().ok()
}

/// The last number that Docker has.
async fn last_number(docker: &Docker, container: &str) -> u64 {
    let output = docker.attempt(&["logs", "--tail", "2", container]).await;
    let text = [output.stdout, output.stderr].concat();
    String::from_utf8_lossy(&text).lines().filter_map(number).max().unwrap_or(0)
}

/// Each number up to `last` once, odd ones on standard output and even ones on standard error,
/// each output in order, and no gap.
fn check_numbers(entries: &[Entry], last: u64) {
    let mut outputs: BTreeMap<Output, Vec<u64>> = BTreeMap::new();
    for entry in entries {
        let Shown::Record(record) = &entry.shown else { panic!("{entry:?}") };
        match &record.kind {
            Kind::Line { output, text, .. } => {
                let text = String::from_utf8_lossy(text);
                outputs.entry(*output).or_default().extend(number(&text));
            }
            Kind::Gap(gap) => panic!("nothing is lost here: {gap:?}"),
            Kind::Mark(_) => {}
        }
    }
    for (output, first) in [(Output::Stdout, 1), (Output::Stderr, 2)] {
        let expected: Vec<u64> = (first..=last).step_by(2).collect();
        let seen = outputs.remove(&output).unwrap_or_default();
        let wrong = seen.iter().zip(&expected).position(|(seen, expected)| seen != expected);
        assert_eq!((wrong, seen.len()), (None, expected.len()), "{output:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_comes_once_through_restarts_a_recreate_and_a_reader_that_was_gone() {
    const LINES: u64 = 50_000;
    let docker = Docker::shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    let project = ProjectId::generate();
    let volume = docker.run(&["volume", "create", "--label", &docker.label()]).await;
    let mount = format!("{volume}:/data");
    let flags = ["--network", "none", "--volume", &mount];
    let lines = format!("lines={LINES}");
    let actions = ["flood", &lines, "rate=8000", "width=100", "state=/data/done", "+", "wait"];
    let mut container = docker.run_chaosd(&flags, &actions).await;
    let mut running = Running::start(folder.path());
    running.attach(project, &container);
    for turn in 1..=6 {
        running.numbers(project, turn * LINES / 8).await;
        match turn {
            // The reader is gone while lines are written, and comes back.
            2 | 5 => {
                running.stop().await;
                docker.run(&["restart", &container]).await;
                running = Running::start(folder.path());
                running.attach(project, &container);
            }
            // The container is replaced by another.
            3 => {
                let old = container;
                docker.run(&["stop", &old]).await;
                container = docker.run_chaosd(&flags, &actions).await;
                running.attach(project, &container);
                running.numbers(project, last_number(&docker, &old).await).await;
                docker.run(&["rm", &old]).await;
            }
            _ => {
                docker.run(&["restart", &container]).await;
                running.attach(project, &container);
            }
        }
    }
    let all = running.whole(project, LINES).await;
    check_numbers(&all, LINES);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_of_every_shape_come_as_they_were_written_and_secrets_do_not() {
    let docker = Docker::shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    let project = ProjectId::generate();
    running.logs.redact(project, Redactor::new([&b"hunter2-x"[..]]));
    // What probes say passes through the same.
    let redactor = running.logs.redactor(project).get();
    assert_eq!(redactor.text("password hunter2-x"), "password [redacted]");
    assert_eq!(running.logs.redactor(ProjectId::generate()).get().text("hunter2-x"), "hunter2-x");
    let cases: [(&[&str], String); 6] = [
        (&["long", "bytes=40000"], "x".repeat(40_000)),
        (&["print", "hex=016f6e650a"], "\u{1}one".to_owned()),
        (&["print", "hex=6f6e650d0a"], "one\r".to_owned()),
        (&["print", "hex=6e6f20656e64"], "no end".to_owned()),
        (&["print", "hex=ff0a"], "\u{fffd}".to_owned()),
        (&["print", "text=password-hunter2-x!"], "password-[redacted]!".to_owned()),
    ];
    for (actions, expected) in cases {
        let before = texts(&running.all(project).await).len();
        let container = docker.run_chaosd(&ALONE, actions).await;
        running.attach(project, &container);
        let seen = eventually(DEADLINE, || async {
            let lines = texts(&running.all(project).await);
            if lines.len() > before { Ok(lines[before..].to_vec()) } else { Err(lines.len()) }
        })
        .await;
        assert_eq!(seen, [expected], "{actions:?}");
    }
    let mut expected = [Event::Recreated, Event::Started, Event::Exited].repeat(6);
    expected.remove(0);
    let marks = eventually(DEADLINE, || async {
        let all = running.all(project).await;
        let marks: Vec<Event> = all.iter().filter_map(event).collect();
        if marks.len() >= expected.len() { Ok(marks) } else { Err(marks) }
    })
    .await;
    assert_eq!(marks, expected);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_follower_sees_the_backlog_then_what_comes_without_a_hole() {
    const LINES: u64 = 10_000;
    let docker = Docker::shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    let project = ProjectId::generate();
    let lines = format!("lines={LINES}");
    let actions = ["flood", &lines, "rate=5000", "+", "wait"];
    let container = docker.run_chaosd(&ALONE, &actions).await;
    running.attach(project, &container);
    running.numbers(project, LINES / 4).await;
    let after = Some("web:0".parse().expect("a cursor"));
    let query = Query { services: web(), after, ..Query::default() };
    let mut follower = Box::pin(running.logs.follow(project, query).await.expect("a place"));
    let mut seen: Vec<Entry> = Vec::new();
    while texts(&seen).len() < LINES as usize {
        let batch = tokio::time::timeout(DEADLINE, follower.next()).await.expect("more comes");
        seen.extend(batch.expect("it does not end").expect("it does not fail"));
    }
    seen.retain(|it| matches!(it.shown, Shown::Record(_)));
    check_numbers(&seen, LINES);
    running.stop().await;
    assert!(follower.next().await.is_none(), "it ends with the process that has the logs");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_docker_rotates_while_it_is_read_is_whole() {
    const LINES: u64 = 40_000;
    let docker = Docker::shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    let project = ProjectId::generate();
    let flags = ["--network", "none", "--log-opt", "max-size=1m", "--log-opt", "max-file=3"];
    let lines = format!("lines={LINES}");
    let actions = ["flood", &lines, "rate=8000", "width=100", "+", "wait"];
    let container = docker.run_chaosd(&flags, &actions).await;
    running.attach(project, &container);
    let all = running.whole(project, LINES).await;
    check_numbers(&all, LINES);
    running.stop().await;
}

/// A way to the Engine that cuts off every log after some bytes; answers its socket and how many
/// it has cut.
fn cutting(folder: &Path, tasks: &mut JoinSet<()>) -> (PathBuf, Arc<AtomicUsize>) {
    const CUT_BYTES: u64 = 900_001;
    const STEP_BYTES: u64 = 1_237;
    let (path, cuts) = (folder.join("cutting.sock"), Arc::new(AtomicUsize::new(0)));
    let listener = UnixListener::bind(&path).expect("a socket");
    let counted = cuts.clone();
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut client, _) = listener.accept().await.expect("it listens");
            let counted = counted.clone();
            connections.spawn(async move {
                let mut engine = UnixStream::connect(SOCKET).await.expect("an Engine");
                let mut head = vec![0; 4_096];
                let size = client.read(&mut head).await.unwrap_or(0);
                engine.write_all(&head[..size]).await.expect("the Engine reads");
                let is_log = String::from_utf8_lossy(&head[..size]).contains("/logs?");
                let (mut down, mut up) = engine.split();
                let (mut from, mut to) = client.split();
                let cut = CUT_BYTES + counted.load(Ordering::Relaxed) as u64 * STEP_BYTES;
                let mut limited = (&mut down).take(if is_log { cut } else { u64::MAX });
                tokio::select! {
                    copied = tokio::io::copy(&mut limited, &mut to) => {
                        if copied.is_ok_and(|bytes| is_log && bytes == cut) {
                            counted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                    _ = tokio::io::copy(&mut from, &mut up) => {}
                }
            });
        }
    });
    (path, cuts)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_engine_that_is_cut_off_in_mid_answer_costs_no_line() {
    const LINES: u64 = 20_000;
    let docker = Docker::shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(&folder.path().join("logs"));
    let mut proxy = JoinSet::new();
    let (socket, cuts) = cutting(folder.path(), &mut proxy);
    let project = ProjectId::generate();
    let lines = format!("lines={LINES}");
    let actions = ["flood", &lines, "rate=4000", "width=100", "+", "wait"];
    let container = docker.run_chaosd(&ALONE, &actions).await;
    running.logs.attach(project, "web", &container, &Client::new(socket));
    let all = running.whole(project, LINES).await;
    check_numbers(&all, LINES);
    assert!(cuts.load(Ordering::Relaxed) >= 3, "{cuts:?}");
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn docker_that_dropped_lines_before_they_were_read_leaves_a_gap() {
    const LINES: u64 = 30_000;
    let docker = Docker::shared().await;
    let folder = tempfile::tempdir().expect("a folder");
    let project = ProjectId::generate();
    let flags = ["--network", "none", "--log-opt", "max-size=256k", "--log-opt", "max-file=2"];
    let lines = format!("lines={LINES}");
    let actions = ["flood", &lines, "rate=4000", "width=100", "+", "wait"];
    let container = docker.run_chaosd(&flags, &actions).await;
    let running = Running::start(folder.path());
    running.attach(project, &container);
    running.numbers(project, 2_000).await;
    running.stop().await;
    eventually(DEADLINE, || async {
        let last = last_number(&docker, &container).await;
        if last >= LINES - 1 { Ok(()) } else { Err(last) }
    })
    .await;
    let running = Running::start(folder.path());
    running.attach(project, &container);
    let all = running.numbers(project, LINES).await;
    let gap = |it: &Entry| match &it.shown {
        Shown::Record(record) => matches!(record.kind, Kind::Gap(_)),
        Shown::Lag(_) => false,
    };
    let gaps: Vec<usize> = (0..all.len()).filter(|&place| gap(&all[place])).collect();
    assert_eq!(gaps.len(), 1, "one gap");
    let (before, after) = all.split_at(gaps[0]);
    let numbers = |it: &[Entry]| texts(it).iter().filter_map(|it| number(it)).collect::<Vec<_>>();
    let (before, after) = (numbers(before), numbers(after));
    let last = before.iter().max().expect("lines before the gap");
    let first = after.iter().min().expect("lines after the gap");
    assert!(last < first, "what is missing lies in the gap: {last} {first}");
    // The outputs of one batch of the program come one after the other.
    let whole = |it: &[u64], from: u64, to: u64| {
        let missing = (from..=to).filter(|number| !it.contains(number)).count();
        assert!(missing <= 256, "{missing} are missing outside of the gap");
    };
    whole(&before, 1, *last);
    whole(&after, *first, LINES);
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_s_logs_are_read_and_followed_over_grpc() {
    let world = World::start().await;
    let services = vec![
        world.service("web", "print text=ready + wait"),
        world.service("db", "print text=ERROR-no_disk stream=err + wait"),
    ];
    world.up(v1::StackSpec { services, ..v1::StackSpec::default() }).await;
    let mut client = LogServiceClient::new(world.running().channel("viewer"));
    let project_id = world.project.to_string();
    let records = eventually(DEADLINE, || {
        let request = v1::GetLogsRequest {
            project_id: project_id.clone(),
            level: "info".to_owned(),
            ..v1::GetLogsRequest::default()
        };
        let mut client = client.clone();
        async move {
            let records = client.get_logs(request).await.expect("an answer").into_inner().records;
            if records.is_empty() { Err(records) } else { Ok(records) }
        }
    })
    .await;
    let Some(log_record::Kind::Line(line)) = &records[0].kind else { panic!("{records:?}") };
    assert_eq!((records.len(), &*records[0].service), (1, "db"));
    assert_eq!((&*line.text, &*line.stream, &*line.level), ("ERROR-no_disk", "stderr", "error"));
    let request = v1::FollowLogsRequest {
        project_id: project_id.clone(),
        services: web(),
        contains: "ready".to_owned(),
        ..v1::FollowLogsRequest::default()
    };
    let mut follower = client.follow_logs(request).await.expect("a stream").into_inner();
    let mut seen = Vec::new();
    while seen.is_empty() {
        let batch = tokio::time::timeout(DEADLINE, follower.message()).await.expect("in time");
        seen = batch.expect("no failure").expect("no end").records;
    }
    assert_eq!((seen.len(), &*seen[0].service), (1, "web"));
    for (field, request) in [
        ("tail", v1::GetLogsRequest { tail: 10_001, ..v1::GetLogsRequest::default() }),
        ("level", v1::GetLogsRequest { level: "loud".to_owned(), ..v1::GetLogsRequest::default() }),
        ("after", v1::GetLogsRequest { after: "x".to_owned(), ..v1::GetLogsRequest::default() }),
    ] {
        let request = v1::GetLogsRequest { project_id: project_id.clone(), ..request };
        let status = client.get_logs(request).await.expect_err("it is malformed");
        let failure = Failure::from_status(&status);
        assert_eq!(failure.violations[0].field, field);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_stand_in_the_log_and_a_service_without_one_is_named() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    let project = ProjectId::generate();
    for service in ["web", "db"] {
        eventually(DEADLINE, || {
            let mark = Mark { event: Event::Started, text: service.to_owned() };
            running.logs.mark(project, service, mark)
        })
        .await;
    }
    let query = Query { tail: 10, ..Query::default() };
    let merged = running.logs.query(project, query).await.expect("both");
    let services: Vec<&str> = merged.iter().map(|it| &*it.service).collect();
    assert_eq!(services, ["web", "db"]);
    let after = Some(merged[0].cursor.parse().expect("a cursor"));
    let query = Query { tail: 10, after, ..Query::default() };
    let rest = running.logs.query(project, query).await.expect("the rest");
    assert_eq!(rest, merged[1..]);
    let query = Query { services: vec!["cache".to_owned()], tail: 1, ..Query::default() };
    let failure = running.logs.query(project, query).await.expect_err("there is none");
    assert_eq!(failure.reason, Reason::NotFound);
    assert!(failure.message.contains("cache") && failure.message.contains("db, web"), "{failure}");
    running.logs.forget(project).await.expect("it is removed");
    let query = Query { tail: 1, ..Query::default() };
    assert!(running.logs.query(project, query).await.expect("an answer").is_empty());
    running.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_process_has_the_logs_and_another_stands_by() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = Running::start(folder.path());
    let project = ProjectId::generate();
    let mark = || Mark { event: Event::Started, text: String::new() };
    eventually(DEADLINE, || first.logs.mark(project, "web", mark())).await;
    let second = Running::start(folder.path());
    let failure = second.logs.mark(project, "web", mark()).await.expect_err("it stands by");
    assert_eq!(failure.reason, Reason::Unavailable);
    first.stop().await;
    eventually(DEADLINE, || second.logs.mark(project, "web", mark())).await;
    let all = second.all(project).await;
    assert_eq!(all.iter().filter(|it| matches!(it.shown, Shown::Record(_))).count(), 2);
    second.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_follower_is_told_and_a_service_has_a_limited_number() {
    let folder = tempfile::tempdir().expect("a folder");
    let running = Running::start(folder.path());
    let project = ProjectId::generate();
    let mark = |text: String| Mark { event: Event::Started, text };
    eventually(DEADLINE, || running.logs.mark(project, "web", mark("first".to_owned()))).await;
    let query = || Query { services: web(), tail: 10, ..Query::default() };
    let mut slow = Box::pin(running.logs.follow(project, query()).await.expect("a place"));
    assert_eq!(slow.next().await.expect("a batch").expect("it is read").len(), 1);
    for number in 0..3_000 {
        let marked = running.logs.mark(project, "web", mark(number.to_string())).await;
        marked.expect("it is stored");
    }
    let mut seen = Vec::new();
    while seen.len() < 3_001 {
        seen.extend(slow.next().await.expect("a batch").expect("it is read"));
    }
    assert!(matches!(seen[0].shown, Shown::Lag(3_000)), "{:?}", seen[0]);
    let sequences: Vec<u64> = seen[1..]
        .iter()
        .filter_map(|it| match &it.shown {
            Shown::Record(record) => Some(record.sequence),
            Shown::Lag(_) => None,
        })
        .collect();
    assert_eq!(sequences, (2..=3_001).collect::<Vec<u64>>());
    let mut others = Vec::new();
    let failure = loop {
        match running.logs.follow(project, query()).await {
            Ok(follower) => others.push(follower),
            Err(failure) => break failure,
        }
    };
    assert_eq!((failure.reason, others.len()), (Reason::RateLimited, 63));
    drop(others.pop());
    others.push(running.logs.follow(project, query()).await.expect("a place is free again"));
    running.stop().await;
}
