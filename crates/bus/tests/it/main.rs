//! The bus against a real server that is late, killed, or wiped.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::sync::Mutex;
use std::time::Duration;

use bus::subject::{DOCUMENT_STORED, JOB_DIED};
use bus::{Bus, Config, Error, Events, Tickets};
use proto::JobId;
use proto::events::v1::{DocumentStored, Envelope, JobDied};
use testkit::{Nats, eventually, eventually_eq};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(60);
const KIND: &str = "test.fetch";

async fn connect(nats: &Nats) -> Bus {
    let config = Config {
        url: nats.url.clone().into(),
        user: nats.user.clone(),
        password: nats.password.clone().into(),
        network_is_private: false,
    };
    Bus::connect(&config).await.unwrap()
}

/// Publishes until the server takes it, as the dispatcher and the relay do.
async fn publish_tickets(bus: &Bus, jobs: &[JobId]) {
    eventually(PATIENCE, || bus.publish_tickets(KIND, jobs)).await;
}

async fn publish(bus: &Bus, envelope: &Envelope) {
    eventually(PATIENCE, || bus.publish(envelope)).await;
}

async fn next(events: &mut Events) -> bus::Received {
    timeout(PATIENCE, events.next()).await.expect("a fact arrives")
}

fn stored(title: &str) -> Envelope {
    let stored = DocumentStored { title: title.into(), ..Default::default() };
    DOCUMENT_STORED.envelope(None, 1, &stored)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_is_no_error_and_is_found_when_it_comes() {
    let mut nats = Nats::start().await;
    nats.kill().await;
    let bus = connect(&nats).await;
    assert!(!bus.is_connected());
    let refused = bus.publish_tickets(KIND, &[JobId::generate()]).await;
    assert!(matches!(refused, Err(Error::Disconnected)), "{refused:?}");
    let tickets = bus.tickets(KIND);
    nats.restart().await;
    let job = JobId::generate();
    publish_tickets(&bus, &[job]).await;
    assert_eq!(timeout(PATIENCE, tickets.next()).await.unwrap().job, job);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_url_may_hold_the_credentials() {
    let nats = Nats::start().await;
    let config = Config { url: nats.url_with_credentials().into(), ..Config::default() };
    let bus = Bus::connect(&config).await.unwrap();
    publish_tickets(&bus, &[JobId::generate()]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_ticket_goes_to_one_taker() {
    let nats = Nats::start().await;
    let (here, there) = (connect(&nats).await, connect(&nats).await);
    let jobs: Vec<JobId> = (0..20).map(|_| JobId::generate()).collect();
    publish_tickets(&here, &jobs).await;
    let taken = Mutex::new(Vec::new());
    let take = async |tickets: Tickets| {
        loop {
            let ticket = tickets.next().await;
            taken.lock().unwrap().push(ticket.job);
        }
    };
    let all = eventually_eq(PATIENCE, jobs.len(), || async { taken.lock().unwrap().len() });
    tokio::select! {
        () = take(here.tickets(KIND)) => {}
        () = take(there.tickets(KIND)) => {}
        () = all => {}
    }
    let mut taken = taken.into_inner().unwrap();
    taken.sort();
    assert_eq!(taken, jobs);
}

#[tokio::test(flavor = "multi_thread")]
async fn tickets_ring_again_after_the_store_is_wiped() {
    let mut nats = Nats::start().await;
    let bus = connect(&nats).await;
    let tickets = bus.tickets(KIND);
    let first = JobId::generate();
    publish_tickets(&bus, &[first]).await;
    assert_eq!(timeout(PATIENCE, tickets.next()).await.unwrap().job, first);

    let connections = bus.connections();
    nats.wipe_and_restart().await;
    let second = JobId::generate();
    publish_tickets(&bus, &[second]).await;
    assert_eq!(timeout(PATIENCE, tickets.next()).await.unwrap().job, second);
    assert!(bus.connections() > connections, "a new connection is counted");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_gets_its_facts_and_unacknowledged_ones_again() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let died = JOB_DIED.envelope(None, 1, &JobDied::default());
    for envelope in [&stored("a"), &died, &stored("b")] {
        publish(&bus, envelope).await;
    }
    let mut events = bus.subscribe("test-titles", &[DOCUMENT_STORED.subject()]);
    let mut titles = Vec::new();
    for _ in 0..2 {
        let received = next(&mut events).await;
        let stored = DOCUMENT_STORED.decode(&received.envelope).unwrap().unwrap();
        titles.push(stored.title);
        received.ack().await;
    }
    assert_eq!(titles, ["a", "b"]);
    let mut everything =
        bus.subscribe("test-all", &[DOCUMENT_STORED.subject(), JOB_DIED.subject()]);
    let kinds = [next(&mut everything).await, next(&mut everything).await];
    let kinds = kinds.map(|received| received.envelope.r#type);
    assert_eq!(kinds, ["knowledge.document.stored.v1", "jobs.job.died.v1"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fact_published_twice_is_stored_once() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let (once, last) = (stored("once"), stored("last"));
    for envelope in [&once, &once, &last] {
        publish(&bus, envelope).await;
    }
    let mut events = bus.subscribe("test", &[DOCUMENT_STORED.subject()]);
    assert_eq!(next(&mut events).await.envelope, once);
    assert_eq!(next(&mut events).await.envelope, last);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_store_shows_as_another_incarnation() {
    let mut nats = Nats::start().await;
    let bus = connect(&nats).await;
    let incarnation = || async { bus.events_incarnation().await };
    let first = eventually(PATIENCE, incarnation).await;
    nats.restart().await;
    assert_eq!(eventually(PATIENCE, incarnation).await, first, "a restart keeps the store");
    nats.wipe_and_restart().await;
    assert_ne!(eventually(PATIENCE, incarnation).await, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_fact_is_dropped_and_the_next_one_arrives() {
    let nats = Nats::start().await;
    let bus = connect(&nats).await;
    let mut events = bus.subscribe("test", &["knowledge.document.*.*"]);
    publish(&bus, &stored("before")).await;
    assert_eq!(next(&mut events).await.envelope.r#type, DOCUMENT_STORED.subject());
    let login = async_nats::ConnectOptions::with_user_and_password(
        nats.user.clone(),
        nats.password.clone(),
    );
    let raw = login.connect(&nats.url).await.unwrap();
    raw.publish(DOCUMENT_STORED.subject(), vec![0xff; 9].into()).await.unwrap();
    raw.flush().await.unwrap();
    let after = stored("after");
    publish(&bus, &after).await;
    assert_eq!(next(&mut events).await.envelope, after);
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused() {
    let nats = Nats::start().await;
    let config = Config { url: nats.url.clone().into(), ..Config::default() };
    let bus = Bus::connect(&config).await.unwrap();
    let refused = bus.publish_tickets(KIND, &[JobId::generate()]).await;
    assert!(refused.is_err(), "no password, no bus");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_url_is_named_and_not_repeated() {
    let url = "nats://me:secret@:not a port".to_owned();
    let error = Bus::connect(&Config { url: url.into(), ..Config::default() }).await.unwrap_err();
    assert!(matches!(error, Error::Url));
    assert!(!error.to_string().contains("secret"));
}
