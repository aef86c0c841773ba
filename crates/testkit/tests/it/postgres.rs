//! A private Postgres and its faults.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use sqlx::{Connection, PgConnection};
use testkit::{Postgres, eventually};

const DEADLINE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn hands_out_databases_that_know_nothing_of_each_other() {
    let before = Instant::now();
    let postgres = Postgres::start().await;
    let (one, other) = (postgres.database().await, postgres.database().await);
    eprintln!("from the call to two databases: {:?}", before.elapsed());
    let mut one = PgConnection::connect(&one.url).await.unwrap();
    sqlx::query("CREATE TABLE note (embedding vector(3))").execute(&mut one).await.unwrap();
    let mut other = PgConnection::connect(&other.url).await.unwrap();
    let missing = sqlx::query("SELECT 1 FROM note").execute(&mut other).await;
    assert!(missing.unwrap_err().to_string().contains("does not exist"));
}

#[tokio::test]
async fn gives_the_owner_no_rights_of_a_superuser() {
    let database = Postgres::start().await.database().await;
    let mut owner = PgConnection::connect(&database.url).await.unwrap();
    assert!(sqlx::query("ALTER SYSTEM RESET ALL").execute(&mut owner).await.is_err());
    let mut superuser = PgConnection::connect(&database.superuser_url).await.unwrap();
    sqlx::query("ALTER SYSTEM RESET ALL").execute(&mut superuser).await.unwrap();
}

#[tokio::test]
async fn keeps_what_was_committed_over_a_kill() {
    let mut postgres = Postgres::dedicated().await;
    let database = postgres.database().await;
    let mut session = PgConnection::connect(&database.url).await.unwrap();
    sqlx::query("CREATE TABLE kept AS SELECT 1 AS n").execute(&mut session).await.unwrap();
    postgres.kill().await;
    assert!(session.ping().await.is_err());
    assert!(PgConnection::connect(&database.url).await.is_err());
    postgres.restart().await;
    let mut session = PgConnection::connect(&database.url).await.unwrap();
    let kept: i32 = sqlx::query_scalar("SELECT n FROM kept").fetch_one(&mut session).await.unwrap();
    assert_eq!(kept, 1);
}

#[tokio::test]
async fn pauses_every_session() {
    let postgres = Postgres::dedicated().await;
    let database = postgres.database().await;
    let mut session = PgConnection::connect(&database.url).await.unwrap();
    postgres.pause();
    let ping = session.ping();
    tokio::pin!(ping);
    assert!(tokio::time::timeout(Duration::from_millis(200), &mut ping).await.is_err());
    postgres.resume();
    tokio::time::timeout(DEADLINE, ping).await.expect("the session goes on").unwrap();
}

/// Runs this binary once more as a process that starts servers and is killed.
#[tokio::test]
async fn leaves_nothing_behind_when_the_process_is_killed() {
    if std::env::var_os("TESTKIT_VICTIM").is_some() {
        let postgres = Postgres::dedicated().await;
        println!("victim: {}", postgres.database().await.url);
        nix::sys::signal::kill(nix::unistd::Pid::this(), nix::sys::signal::Signal::SIGKILL).ok();
    }
    let name = "postgres::leaves_nothing_behind_when_the_process_is_killed";
    let victim = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("TESTKIT_VICTIM", "1")
        .output()
        .unwrap();
    let said = String::from_utf8(victim.stdout).unwrap();
    let (_, folder) = said.split_once("?host=").unwrap_or_else(|| panic!("no URL in {said:?}"));
    let folder = Path::new(folder.lines().next().unwrap());
    eventually(DEADLINE, || async {
        if folder.exists() { Err(format!("{} is still there", folder.display())) } else { Ok(()) }
    })
    .await;
}
