//! Probes ask real containers.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use orchestrator::docker::Client;
use orchestrator::probe::{Probers, Target, Verdict, ask};
use orchestrator::spec::{Check, Probe, Probes};
use orchestrator::status::Health;
use testkit::{Docker, eventually, eventually_eq};

use crate::world::PATIENCE;

/// For one answer, on a machine that does other work too.
const TIMEOUT: Duration = Duration::from_secs(5);

async fn target(docker: &Docker, actions: &[&str]) -> Target {
    let container = docker.run_chaosd(&[], actions).await;
    let address = Some(docker.address(&container).await);
    Target { docker: client(docker), container, address }
}

pub(crate) fn client(docker: &Docker) -> Client {
    Client::new(docker.host.trim_start_matches("unix://").into())
}

fn exec(command: &[&str]) -> Check {
    Check::Exec(command.iter().map(|&it| it.to_owned()).collect())
}

fn http(status: Option<u16>) -> Check {
    Check::Http { port: 8000, path: "/health".to_owned(), status }
}

#[tokio::test]
async fn each_kind_of_question_gets_its_answer() {
    let docker = Docker::shared().await;
    let target = target(&docker, &["http"]).await;
    let listens = async || ask(&target, &Check::Tcp(8000), TIMEOUT, None).await;
    eventually_eq(PATIENCE, Verdict::Success, || async { listens().await.verdict }).await;
    let cases = [
        (http(None), Verdict::Success, "200"),
        (http(Some(204)), Verdict::Failure, "/health answers 200"),
        (Check::Tcp(8001), Verdict::Failure, "refused"),
        (Check::Postgres(8000), Verdict::Failure, ""),
        (Check::Redis(8001), Verdict::Failure, "refused"),
        (exec(&["/chaosd", "print", "text=well"]), Verdict::Success, "well"),
        (exec(&["/chaosd", "has", "path=/nothing"]), Verdict::Failure, "(code 1)"),
        (exec(&["/nothing"]), Verdict::Failure, "no such file"),
    ];
    for (check, verdict, words) in cases {
        let timeout = if check == Check::Postgres(8000) { TIMEOUT / 10 } else { TIMEOUT };
        let said = ask(&target, &check, timeout, None).await;
        assert_eq!(said.verdict, verdict, "{check:?}: {said:?}");
        assert!(said.output.contains(words), "{check:?}: {said:?}");
    }
    let nowhere = Target { address: None, ..target.clone() };
    assert_eq!(ask(&nowhere, &http(None), TIMEOUT, None).await.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn a_command_that_cannot_be_started_has_no_verdict() {
    let docker = Docker::shared().await;
    let target = target(&docker, &["wait"]).await;
    let command = exec(&["/chaosd", "has", "path=/"]);
    docker.run(&["pause", &target.container]).await;
    let paused = ask(&target, &command, TIMEOUT, None).await;
    assert_eq!(paused.verdict, Verdict::Unknown, "{paused:?}");
    assert!(paused.output.contains("paused"), "{paused:?}");
    docker.run(&["unpause", &target.container]).await;
    assert_eq!(ask(&target, &command, TIMEOUT, None).await.verdict, Verdict::Success);
    docker.run(&["rm", "--force", &target.container]).await;
    assert_eq!(ask(&target, &command, TIMEOUT, None).await.verdict, Verdict::Unknown);
    let nobody = Target { docker: Client::new("/nowhere.sock".into()), ..target };
    assert_eq!(ask(&nobody, &command, TIMEOUT, None).await.verdict, Verdict::Unknown);
}

#[tokio::test]
async fn a_command_that_hangs_is_not_started_again_while_it_runs() {
    let docker = Docker::shared().await;
    let target = target(&docker, &["wait"]).await;
    let hangs = exec(&["/chaosd", "wait"]);
    let first = ask(&target, &hangs, Duration::from_millis(300), None).await;
    assert_eq!(first.verdict, Verdict::Failure);
    assert!(first.output.contains("no answer within 0.3 s"), "{first:?}");
    let second = ask(&target, &hangs, TIMEOUT, first.unfinished.clone()).await;
    assert_eq!((second.verdict, &second.unfinished), (Verdict::Failure, &first.unfinished));
    assert!(second.output.contains("still runs"), "{second:?}");
    let processes = docker.run(&["top", &target.container]).await;
    assert_eq!(processes.lines().count(), 3, "a header, the service, one command: {processes}");
}

fn probe(check: Check, period: Duration) -> Probe {
    let deadline = Duration::from_secs(60);
    Probe { check, period, timeout: TIMEOUT, failures: 2, successes: 1, deadline }
}

#[tokio::test]
async fn a_prober_follows_a_service_through_its_life() {
    let docker = Docker::shared().await;
    let period = Duration::from_millis(200);
    let probes = Probes {
        startup: Some(probe(http(None), period)),
        readiness: Some(probe(http(None), period)),
        liveness: None,
    };
    let target = target(&docker, &["http", "after=1"]).await;
    let (id, address) = (target.container.clone(), target.address.expect("it has one"));
    let mut probers = Probers::default();
    let (changed, started_at) = (probers.changed(), Utc::now());
    let redact = Arc::new(|text: &str| text.replace("health", "***"));
    probers.follow(target.clone(), &probes, started_at, redact.clone());
    probers.follow(target.clone(), &probes, started_at, redact.clone());
    let health = || probers.snapshot(&id).map(|it| it.health);
    assert_eq!(health(), Some(Health::Starting));
    tokio::time::timeout(PATIENCE, changed.notified()).await.expect("the change is told");
    eventually_eq(PATIENCE, Some(Health::Ready), || async { health() }).await;

    let set = |status: u16| ask_path(&target, format!("/status?{status}"));
    set(503).await;
    eventually_eq(PATIENCE, Some(Health::Unready), || async { health() }).await;
    let told = probers.snapshot(&id).and_then(|it| it.diagnosis).expect("it says why");
    assert!(told.message.contains("503") && told.message.contains("/*** answers"), "{told:?}");
    set(200).await;
    eventually_eq(PATIENCE, Some(Health::Ready), || async { health() }).await;

    docker.run(&["restart", "--time", "0", &id]).await;
    probers.follow(target, &probes, Utc::now(), redact);
    assert_eq!(probers.snapshot(&id).map(|it| it.health), Some(Health::Starting));
    probers.retain(&BTreeSet::new());
    assert_eq!(probers.snapshot(&id), None);
    assert!(address.is_ipv4());
}

async fn ask_path(target: &Target, path: String) {
    let check = Check::Http { port: 8000, path, status: None };
    eventually(PATIENCE, || async {
        let said = ask(target, &check, TIMEOUT, None).await;
        if said.verdict == Verdict::Success { Ok(()) } else { Err(said) }
    })
    .await;
}
