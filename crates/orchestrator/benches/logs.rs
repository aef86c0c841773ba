//! What reading logs costs, beside what the Engine's own API costs in the same run: `cargo bench
//! -p orchestrator --bench logs`. Needs Docker; makes one container and removes it.
//!
//! Prints the rate of a backlog read (Engine, our reader of the Engine, our store), the time of a
//! tail of 100 in 1 GiB, and the latency from a line's time to a follower.

use std::path::Path;
use std::time::{Duration, Instant};

use chassis::Shutdown;
use chrono::Utc;
use futures::StreamExt as _;
use orchestrator::docker::{Client, Part};
use orchestrator::logs::frame::Decoder;
use orchestrator::logs::line::Joiner;
use orchestrator::logs::query::{Query, Shown};
use orchestrator::logs::{Config, Logs};
use proto::ProjectId;
use testkit::Docker;

/// Lines of 100 bytes in the backlog.
const BACKLOG_LINES: u64 = 1_000_000;

/// Lines of 1,000 bytes that make 1 GiB.
const LARGE_LINES: u64 = 1_100_000;

/// Tails that are timed; the median counts.
const TAILS: usize = 50;

/// Lines a second that are followed, and how many.
const FOLLOWED_RATE: u64 = 1_000;
const FOLLOWED_LINES: u64 = 10_000;

/// Everything is kept.
const LIMIT: u64 = 64 << 30;

const SERVICE: &str = "web";

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let docker = Docker::shared().await;
        let folder = tempfile::tempdir().expect("a folder");
        backlog(&docker, folder.path()).await;
        large(&docker, folder.path()).await;
        latency(&docker, folder.path()).await;
    });
}

fn client() -> Client {
    Client::new("/var/run/docker.sock".into())
}

/// Logs whose task runs as long as the process.
fn start(folder: &Path) -> Logs {
    let folder = folder.to_owned();
    let logs =
        Logs::new(Config { folder, service_bytes_max: LIMIT, total_bytes_max: LIMIT, days: 7 });
    let mut tasks = chassis::Tasks::new(&Shutdown::new());
    let (running, shutdown) = (logs.clone(), tasks.shutdown());
    tasks.spawn("logs", async move { running.run(shutdown).await });
    // The group ends with the process.
    std::mem::forget(tasks);
    logs
}

async fn flood(docker: &Docker, lines: u64, rate: u64, width: u64) -> String {
    let (lines, rate) = (format!("lines={lines}"), format!("rate={rate}"));
    let width = format!("width={width}");
    let flags = ["--log-opt", "max-size=2g"];
    docker.run_chaosd(&flags, &["flood", &lines, &rate, &width]).await
}

/// Reads the container into the store and answers how long that took.
async fn ingest(logs: &Logs, project: ProjectId, container: &str, lines: u64) -> Duration {
    let begin = Instant::now();
    logs.attach(project, SERVICE, container, &client());
    loop {
        let query = Query { tail: 1, ..Query::default() };
        let last = logs.query(project, query).await.unwrap_or_default();
        if let Some(Shown::Record(record)) = last.last().map(|it| &it.shown)
            && record.sequence >= lines
        {
            return begin.elapsed();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn rate(what: &str, lines: u64, took: Duration) -> f64 {
    let rate = lines as f64 / took.as_secs_f64();
    println!("{what}: {lines} lines in {:.2} s, {rate:.0} lines/s", took.as_secs_f64());
    rate
}

async fn backlog(docker: &Docker, folder: &Path) {
    let container = flood(docker, BACKLOG_LINES, 0, 100).await;
    docker.run(&["wait", &container]).await;

    let begin = Instant::now();
    let mut stream = client().logs(&container, Part::default()).await.expect("a log");
    let mut bytes = 0;
    while let Some(chunk) = stream.next().await {
        bytes += chunk.expect("a chunk").len();
    }
    let engine = rate("Engine's API, bytes thrown away", BACKLOG_LINES, begin.elapsed());
    println!("  {bytes} bytes");

    let begin = Instant::now();
    let mut stream = client().logs(&container, Part::default()).await.expect("a log");
    let (mut decoder, mut joiner, mut lines) = (Decoder::default(), Joiner::default(), 0);
    while let Some(chunk) = stream.next().await {
        decoder.push(&chunk.expect("a chunk"));
        while let Some(frame) = decoder.take().expect("a frame") {
            joiner.push(&frame);
            while joiner.pop().is_some() {
                lines += 1;
            }
        }
    }
    let raw = rate("Engine's API, decoded", lines, begin.elapsed());
    println!("  {:.2} of the Engine's API (goal 0.9)", raw / engine);

    let (logs, project) = (start(&folder.join("backlog")), ProjectId::generate());
    let took = ingest(&logs, project, &container, BACKLOG_LINES).await;
    rate("Engine to our store", BACKLOG_LINES, took);

    let (begin, mut lines) = (Instant::now(), 0);
    let mut after = Some(format!("{SERVICE}:0").parse().expect("a cursor"));
    loop {
        let query = Query { tail: 10_000, after: after.take(), ..Query::default() };
        let page = logs.query(project, query).await.expect("a page");
        let Some(last) = page.last() else { break };
        lines += page.len() as u64;
        after = Some(last.cursor.parse().expect("our own cursor"));
    }
    let store = rate("our store", lines, begin.elapsed());
    println!("  {:.2} of the Engine's API (goal 5)", store / engine);
}

async fn large(docker: &Docker, folder: &Path) {
    let container = flood(docker, LARGE_LINES, 0, 1_000).await;
    docker.run(&["wait", &container]).await;
    let (logs, project) = (start(&folder.join("large")), ProjectId::generate());
    ingest(&logs, project, &container, LARGE_LINES).await;
    let mut ours = Vec::new();
    for _ in 0..TAILS {
        let begin = Instant::now();
        let query = Query { tail: 100, ..Query::default() };
        let tail = logs.query(project, query).await.expect("a tail");
        assert_eq!(tail.len(), 100);
        ours.push(begin.elapsed());
    }
    let mut engine = Vec::new();
    for _ in 0..TAILS {
        let begin = Instant::now();
        let part = Part { tail: Some(100), ..Part::default() };
        let mut stream = client().logs(&container, part).await.expect("a log");
        while let Some(chunk) = stream.next().await {
            chunk.expect("a chunk");
        }
        engine.push(begin.elapsed());
    }
    println!("tail 100 of 1 GiB: our store {:?} (goal 20 ms)", quantile(&mut ours, 50));
    println!("tail 100 of 1 GiB: Engine's API {:?}", quantile(&mut engine, 50));
}

async fn latency(docker: &Docker, folder: &Path) {
    let (logs, project) = (start(&folder.join("latency")), ProjectId::generate());
    let container = flood(docker, FOLLOWED_LINES, FOLLOWED_RATE, 100).await;
    ingest(&logs, project, &container, 1).await;
    let query = Query { services: vec![SERVICE.to_owned()], tail: 1, ..Query::default() };
    let mut follower = Box::pin(logs.follow(project, query).await.expect("a place"));
    let mut latencies = Vec::new();
    while (latencies.len() as u64) < FOLLOWED_LINES / 2 {
        let batch = follower.next().await.expect("it goes on").expect("a batch");
        let now = Utc::now().timestamp_nanos_opt().expect("now");
        for entry in batch {
            if let Shown::Record(record) = entry.shown {
                latencies.push(Duration::from_nanos((now - record.at).max(0) as u64));
            }
        }
    }
    let (p50, p99) = (quantile(&mut latencies, 50), quantile(&mut latencies, 99));
    println!("follow at {FOLLOWED_RATE} lines/s: p50 {p50:?}, p99 {p99:?} (goal 50 ms)");
}

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}
