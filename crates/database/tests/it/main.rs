//! Pool, migrations and tokens against a real Postgres.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

use std::time::{Duration, Instant};

use chassis::auth::{TokenHash, Verify as _};
use chassis::caller::{Role, Scope};
use database::{Config, Error, TokenVerifier};
use proto::Reason;
use sqlx::migrate::{Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, PgPool, SqlSafeStr as _};
use testkit::{Database, Postgres};

static MIGRATOR: Migrator = sqlx::migrate!("tests/it/migrations");

fn config(url: &str) -> Config {
    Config { url: url.to_owned().into(), connect_wait_ms: 30_000, ..Config::default() }
}

async fn pool(database: &Database) -> PgPool {
    database::connect(&config(&database.url)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_that_start_together_migrate_once() {
    let database = Postgres::start().await.database().await;
    let pool = pool(&database).await;
    let replica = || database::migrate(&pool, "example", &MIGRATOR);
    tokio::try_join!(replica(), replica(), replica(), replica()).unwrap();
    let ran: i64 = sqlx::query_scalar("SELECT count(*) FROM example._migrations")
        .fetch_one(&pool)
        .await
        .unwrap();
    assert_eq!(ran, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn old_code_runs_on_a_newer_schema_and_refuses_an_edited_migration() {
    let database = Postgres::start().await.database().await;
    let pool = pool(&database).await;
    database::migrate(&pool, "example", &MIGRATOR).await.unwrap();
    sqlx::query(
        "INSERT INTO example._migrations SELECT 20990101000000, 'from the future', now(), true,
         checksum, 0 FROM example._migrations",
    )
    .execute(&pool)
    .await
    .unwrap();
    database::migrate(&pool, "example", &MIGRATOR).await.unwrap();

    sqlx::query("UPDATE example._migrations SET checksum = 'edited'").execute(&pool).await.unwrap();
    let error = database::migrate(&pool, "example", &MIGRATOR).await.unwrap_err();
    assert!(matches!(error, Error::Migrate { schema: "example", .. }), "{error:?}");

    // The failure holds nobody else up.
    static NOTHING: Migrator = Migrator::DEFAULT;
    let other = self::pool(&database).await;
    let migrated = database::migrate(&other, "other", &NOTHING);
    tokio::time::timeout(Duration::from_secs(10), migrated).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_migration_takes_as_long_as_it_takes() {
    let database = Postgres::start().await.database().await;
    let config = Config { statement_timeout_ms: 200, ..config(&database.url) };
    let pool = database::connect(&config).await.unwrap();
    let slow = Migration::new(
        1,
        "slow".into(),
        MigrationType::Simple,
        AssertSqlSafe("SELECT pg_sleep(0.5)".to_owned()).into_sql_str(),
        false,
    );
    let slow: &'static Migrator = Box::leak(Box::new(Migrator::with_migrations(vec![slow])));
    database::migrate(&pool, "slow", slow).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_not_up_yet_is_waited_for() {
    let mut postgres = Postgres::dedicated().await;
    let database = postgres.database().await;
    postgres.kill().await;
    let config = config(&database.url);
    let (pool, ()) = tokio::join!(database::connect(&config), postgres.restart());
    let one: i32 = sqlx::query_scalar("SELECT 1").fetch_one(&pool.unwrap()).await.unwrap();
    assert_eq!(one, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_comes_is_an_error_that_says_what_to_do() {
    let url = "postgres://me:secret@localhost/x?host=/nonexistent";
    let config = Config { connect_wait_ms: 200, ..config(url) };
    let error = database::connect(&config).await.unwrap_err();
    assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
    assert!(error.to_string().contains("database.url"));

    // Longer than the first attempt may take, and the cause is told.
    let closed = testkit::free_port();
    let url = format!("postgres://me:secret@127.0.0.1:{closed}/x");
    let before = Instant::now();
    let config = Config { acquire_timeout_ms: 30_000, connect_wait_ms: 700, ..self::config(&url) };
    let error = database::connect(&config).await.unwrap_err();
    assert!(before.elapsed() < Duration::from_secs(5), "{:?}", before.elapsed());
    let Error::Unreachable { source: sqlx::Error::Io(cause), .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(cause.kind(), std::io::ErrorKind::ConnectionRefused);

    for url in ["", "mysql://me:secret@x"] {
        let error = database::connect(&self::config(url)).await.unwrap_err();
        assert!(error.to_string().contains("DATABASE_URL"), "{error}");
        assert!(!format!("{error:?}").contains("secret"), "{error:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_statement_that_runs_too_long_is_ended_by_the_server() {
    let database = Postgres::start().await.database().await;
    let config = Config { statement_timeout_ms: 50, ..config(&database.url) };
    let pool = database::connect(&config).await.unwrap();
    let error = sqlx::query("SELECT pg_sleep(30)").execute(&pool).await.unwrap_err();
    assert!(!database::is_transient(&error), "{error:?}");
    assert_eq!(database::failure(error).reason, Reason::Timeout);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_was_cut_is_replaced() {
    let mut postgres = Postgres::dedicated().await;
    let database = postgres.database().await;
    let pool = pool(&database).await;
    postgres.restart().await;
    let one = testkit::eventually(Duration::from_secs(30), || {
        sqlx::query_scalar::<_, i32>("SELECT 1").fetch_one(&pool)
    });
    assert_eq!(one.await, 1);
}

/// What the hub's function does, in small.
const HUB: [&str; 2] = [
    "CREATE SCHEMA hub",
    "CREATE FUNCTION hub.verify_token(hash bytea)
     RETURNS TABLE (id text, name text, role text, all_projects boolean, projects uuid[])
     LANGUAGE sql AS $$
         SELECT 't1', 'Ada', 'operator', false,
                ARRAY['0190a6b2-7c1e-7000-8000-00000000abcd'::uuid]
         WHERE hash = sha256('known')
         UNION ALL
         SELECT 't2', 'service:hub', 'service', true, ARRAY[]::uuid[] WHERE hash = sha256('ours')
     $$",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_token_is_who_the_hub_says() {
    let database = Postgres::start().await.database().await;
    let pool = pool(&database).await;
    for statement in HUB {
        sqlx::query(statement).execute(&pool).await.unwrap();
    }
    let verifier = TokenVerifier::new(pool.clone());
    let known = verifier.verify(TokenHash::of("known")).await.unwrap().expect("known");
    assert_eq!((known.name.as_str(), known.role), ("Ada", Role::Operator));
    let Scope::Projects(projects) = known.scope else { panic!("one project only") };
    assert_eq!(projects.len(), 1);
    let ours = verifier.verify(TokenHash::of("ours")).await.unwrap().expect("known");
    assert_eq!((ours.role, ours.scope), (Role::Service, Scope::All));
    assert_eq!(verifier.verify(TokenHash::of("stranger")).await.unwrap(), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_let_in_when_nobody_can_tell() {
    let mut postgres = Postgres::dedicated().await;
    let database = postgres.database().await;
    let config = Config { acquire_timeout_ms: 200, ..config(&database.url) };
    let pool = database::connect(&config).await.unwrap();
    let verifier = TokenVerifier::new(pool);
    let refused = verifier.verify(TokenHash::of("known")).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Internal, "there is no hub");
    postgres.kill().await;
    let refused = verifier.verify(TokenHash::of("known")).await.unwrap_err();
    assert_eq!(refused.reason, Reason::Unavailable);
}
