//! A private NATS and its faults.

use std::time::Duration;

use async_nats::jetstream::{self, stream};
use testkit::{Nats, eventually};

const DEADLINE: Duration = Duration::from_secs(10);

async fn connect(nats: &Nats) -> async_nats::Client {
    let options = async_nats::ConnectOptions::new()
        .user_and_password(nats.user.clone(), nats.password.clone());
    options.connect(&nats.url).await.expect("the server admits its user")
}

async fn create_stream(client: &async_nats::Client) -> jetstream::Context {
    let context = jetstream::new(client.clone());
    let subjects = vec!["work.>".to_owned()];
    let config = stream::Config { name: "WORK".to_owned(), subjects, ..Default::default() };
    context.create_stream(config).await.expect("a stream can be created");
    let ack = context.publish("work.one", "1".into()).await.expect("the message is sent");
    ack.await.expect("the message is stored");
    context
}

async fn messages(context: &jetstream::Context) -> u64 {
    let mut stream = eventually(DEADLINE, || async { context.get_stream("WORK").await }).await;
    stream.info().await.expect("the stream describes itself").state.messages
}

#[tokio::test]
async fn refuses_strangers() {
    let nats = Nats::start().await;
    assert!(async_nats::connect(&nats.url).await.is_err());
    let guess = async_nats::ConnectOptions::new().user_and_password(nats.user.clone(), "x".into());
    assert!(guess.connect(&nats.url).await.is_err());
    connect(&nats).await;
}

#[tokio::test]
async fn keeps_its_store_over_a_kill() {
    let mut nats = Nats::start().await;
    let client = connect(&nats).await;
    let context = create_stream(&client).await;
    nats.restart().await;
    assert_eq!(messages(&context).await, 1);
}

#[tokio::test]
async fn forgets_everything_when_wiped() {
    let mut nats = Nats::start().await;
    let client = connect(&nats).await;
    let context = create_stream(&client).await;
    nats.wipe_and_restart().await;
    let gone = eventually(DEADLINE, || async {
        match context.get_stream("WORK").await {
            Ok(_) => Err("the stream is still there".to_owned()),
            Err(e) if e.to_string().contains("10059") => Ok(e),
            Err(e) => Err(e.to_string()),
        }
    });
    gone.await;
}

#[tokio::test]
async fn answers_nothing_while_paused() {
    let nats = Nats::start().await;
    let client = connect(&nats).await;
    nats.pause();
    let silent = tokio::time::timeout(Duration::from_millis(200), client.flush()).await;
    let silent = silent.is_err() || jetstream_is_silent(&client).await;
    assert!(silent, "a paused server answered");
    nats.resume();
    create_stream(&client).await;
}

async fn jetstream_is_silent(client: &async_nats::Client) -> bool {
    let context = jetstream::new(client.clone());
    let query = context.query_account();
    tokio::time::timeout(Duration::from_millis(200), query).await.is_err()
}
