//! A million lines, each once and in order, through everything that happens to a service.

use std::collections::BTreeMap;

use proto::orchestrator::v1;
use proto::orchestrator::v1::log_record::Kind;
use proto::orchestrator::v1::log_service_client::LogServiceClient;
use testkit::eventually;

use crate::world::{PATIENCE, World, stack};

/// Records of one answer.
const PAGE: u32 = 10_000;

/// Lines that are written to one output before it is the other's turn, at most.
const BATCH: usize = 10_000;

/// A record of a log, with what a test asks of it.
pub(crate) struct Read(v1::LogRecord);

impl Read {
    pub(crate) fn line(&self) -> Option<&v1::LogLine> {
        match &self.0.kind {
            Some(Kind::Line(line)) => Some(line),
            _ => None,
        }
    }

    /// A line's number.
    fn number(&self) -> Option<u64> {
        self.line()?.text.split(' ').next()?.parse().ok()
    }

    fn is_gap(&self) -> bool {
        matches!(self.0.kind, Some(Kind::Gap(_)))
    }
}

/// A service that writes numbered lines and keeps its number in a volume.
pub(crate) fn flood(world: &World, actions: &str) -> v1::StackSpec {
    let mut web = world.service("web", &format!("flood {actions}"));
    web.mounts = vec![v1::Mount {
        kind: "volume".to_owned(),
        source: "data".to_owned(),
        target: "/data".to_owned(),
        ..v1::Mount::default()
    }];
    let volumes = vec![v1::VolumeSpec { name: "data".to_owned() }];
    v1::StackSpec { volumes, ..stack([web]) }
}

/// Everything in the log of `web`; nothing while nobody answers.
pub(crate) async fn read_all(world: &World) -> Vec<Read> {
    let mut client = LogServiceClient::new(world.running().channel("viewer"))
        .max_decoding_message_size(proto::MESSAGE_BYTES_MAX);
    let mut all: Vec<Read> = Vec::new();
    loop {
        let after = all.last().map_or_else(|| "web:0".to_owned(), |it| it.0.cursor.clone());
        let request = v1::GetLogsRequest {
            project_id: world.id(),
            services: vec!["web".to_owned()],
            tail: PAGE,
            after,
            ..v1::GetLogsRequest::default()
        };
        match client.get_logs(request).await.map(|it| it.into_inner().records) {
            Ok(page) if !page.is_empty() => all.extend(page.into_iter().map(Read)),
            _ => return all,
        }
    }
}

/// Each number up to `last` once and in order on its output, odd ones on standard output and even
/// ones on standard error; what is missing lies in a gap that says so. Answers how many are
/// missing.
pub(crate) fn check(all: &[Read], last: u64) -> u64 {
    let mut expected = BTreeMap::from([("stdout", 1), ("stderr", 2)]);
    let mut gap = BTreeMap::new();
    let mut missing = 0;
    for read in all {
        if read.is_gap() {
            gap = BTreeMap::from([("stdout", true), ("stderr", true)]);
        }
        let (Some(line), Some(number)) = (read.line(), read.number()) else { continue };
        let next = expected.get_mut(line.stream.as_str()).expect("one of two");
        let lost = gap.insert(line.stream.as_str(), false).unwrap_or(false);
        assert!(number >= *next, "{number} comes again or too late, after {next}");
        assert!(number == *next || lost, "{next} to {number} are missing without a gap");
        assert_eq!(number % 2, *next % 2, "{number} is on the wrong output");
        missing += (number - *next) / 2;
        *next = number + 2;
    }
    let ends: Vec<u64> = expected.into_values().collect();
    assert!(ends.iter().all(|&it| it == last + 1 || it == last + 2), "it ends at {ends:?}");
    missing
}

/// The last number that is stored.
async fn last_number(world: &World) -> u64 {
    let mut client = LogServiceClient::new(world.running().channel("viewer"));
    let request = v1::GetLogsRequest {
        project_id: world.id(),
        services: vec!["web".to_owned()],
        tail: 8,
        ..v1::GetLogsRequest::default()
    };
    let records = client.get_logs(request).await.map(|it| it.into_inner().records);
    let numbers = records.unwrap_or_default().into_iter().filter_map(|it| Read(it).number());
    numbers.max().unwrap_or(0)
}

/// The log, once both outputs are there up to `last`.
async fn whole(world: &World, last: u64) -> Vec<Read> {
    eventually(PATIENCE, || async {
        let all = read_all(world).await;
        // One output may be a batch of lines before the other.
        let ends = all.iter().rev().take(BATCH).filter_map(Read::number);
        if ends.filter(|&it| it >= last - 1).count() == 2 { Ok(all) } else { Err(all.len()) }
    })
    .await
}

async fn passes(world: &World, number: u64) {
    eventually(PATIENCE, || async {
        let last = last_number(world).await;
        if last >= number { Ok(()) } else { Err(last) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_million_lines_come_once_through_five_restarts_a_recreate_and_a_kill() {
    const LINES: u64 = 1_000_000;
    const RATE: u64 = 30_000;
    let mut world = World::without().await;
    world.know_callers().await;
    world.serve_process().await;
    let mut spec = flood(&world, &format!("lines={LINES} rate={RATE} state=/data/done + wait"));
    world.up(spec.clone()).await;
    for turn in 1..=7 {
        passes(&world, turn * LINES / 9).await;
        match turn {
            3 => {
                let before = world.ids("web").await;
                spec.services[0].environment.insert("COLOUR".to_owned(), "blue".to_owned());
                world.up(spec.clone()).await;
                assert_ne!(world.ids("web").await, before);
            }
            5 => {
                world.kill().await;
                world.serve_process().await;
            }
            _ => {
                let request =
                    v1::RestartServiceRequest { project_id: world.id(), service: "web".to_owned() };
                let answer = world.running().stacks("operator").restart_service(request).await;
                let ended = world.ended(&answer.expect("it may").into_inner().id).await;
                assert_eq!(ended.state, "succeeded", "{ended:#?}");
            }
        }
    }
    passes(&world, LINES - 1).await;
    let all = whole(&world, LINES).await;
    let missing = check(&all, LINES);
    let gaps = all.iter().filter(|it| it.is_gap()).count();
    println!("{} records, {gaps} gaps, {missing} lines missing", all.len());
    assert_eq!((missing, gaps), (0, 0), "Docker keeps 150 MB, which is more than was written");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_is_replaced_is_read_to_its_end_before() {
    const LINES: u64 = 150_000;
    let world = World::start().await;
    // Faster than it can be read.
    let mut spec = flood(&world, &format!("lines={LINES} width=100 state=/data/done + wait"));
    world.up(spec.clone()).await;
    passes(&world, 1).await;
    let before = world.ids("web").await;
    spec.services[0].environment.insert("COLOUR".to_owned(), "blue".to_owned());
    world.up(spec).await;
    assert_ne!(world.ids("web").await, before);
    passes(&world, LINES - 1).await;
    let all = whole(&world, LINES).await;
    assert_eq!(check(&all, LINES), 0, "lines that are missing");
}
