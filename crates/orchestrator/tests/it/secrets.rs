//! Secrets and configs: files in memory, with owner and mode, and nowhere else.

use orchestrator::Failpoint;
use proto::Reason;
use proto::orchestrator::v1;
use proto::orchestrator::v1::log_service_client::LogServiceClient;
use proto::orchestrator::v1::secret_service_client::SecretServiceClient;
use testkit::{Postgres, eventually, eventually_eq};

use crate::world::{PATIENCE, World, refused, stack};

const VALUE: &str = "correct-horse-battery-staple";

/// A service that reads its secret and its config, tells the secret to everybody, and waits.
fn spec(world: &World) -> v1::StackSpec {
    let actions = format!(
        "read path=/run/secrets/password + read path=/etc/web/web.conf + print text=told:{VALUE} \
         + wait"
    );
    let mut web = world.service("web", &actions);
    web.secrets = vec![v1::SecretMount { name: "password".to_owned(), ..Default::default() }];
    web.configs = vec![v1::ConfigMount {
        name: "web".to_owned(),
        target: "/etc/web/web.conf".to_owned(),
        mode: Some(0o440),
    }];
    let configs = vec![v1::ConfigSpec { name: "web".to_owned(), content: b"listen 80".to_vec() }];
    v1::StackSpec { configs, ..stack([web]) }
}

async fn put(world: &World, value: &str) -> v1::Secret {
    let request = v1::PutSecretRequest {
        project_id: world.id(),
        name: "password".to_owned(),
        value: value.as_bytes().to_vec(),
    };
    let answer = client(world, "operator").put_secret(request).await;
    refused(answer).expect("a good secret")
}

fn client(world: &World, token: &str) -> SecretServiceClient<chassis::grpc::AuthedChannel> {
    SecretServiceClient::new(world.running().channel(token))
}

/// The container's own log, which nothing is blacked out of.
async fn said(world: &World) -> String {
    let id = world.ids("web").await.remove(0);
    world.docker.run(&["logs", &id]).await
}

/// What `chaosd` says of a file: how long it is, its mode and its owner.
fn line(path: &str, bytes: usize, mode: &str, owner: u32) -> String {
    format!("read {path}: {bytes} bytes, mode {mode}, owner {owner},")
}

async fn finds_its_files(world: &World, secret: &str) {
    let user = world.inspect("web", "{{.Config.User}}").await;
    let uid: u32 = user.split(':').next().and_then(|it| it.parse().ok()).expect("a number");
    let expected = [
        line("/run/secrets/password", secret.len(), "400", uid),
        line("/etc/web/web.conf", 9, "440", uid),
    ];
    eventually(PATIENCE, || async {
        let said = said(world).await;
        if expected.iter().all(|it| said.contains(it)) { Ok(()) } else { Err(said) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_in_place_at_every_start_and_a_new_value_makes_a_new_container() {
    let world = World::start().await;
    let missing = world.apply(spec(&world)).await.expect_err("there is no secret");
    assert_eq!(missing.reason, Reason::InvalidInput);
    assert!(missing.message.contains("no secret \"password\""), "{missing}");
    assert_eq!(put(&world, VALUE).await.version, 1);
    world.up(spec(&world)).await;
    finds_its_files(&world, VALUE).await;

    // A crash empties the memory; the next start fills it again, in the same container.
    let id = world.ids("web").await.remove(0);
    world.docker.run(&["kill", &id]).await;
    let twice = || async { said(&world).await.matches("read /run/secrets/password: 28").count() };
    eventually_eq(PATIENCE, 2, twice).await;
    assert_eq!(world.ids("web").await, std::slice::from_ref(&id));
    // Nobody but the service has it: the helper is gone, and with it the folder's content.
    eventually_eq(PATIENCE, 1, || async { world.containers("{{.ID}}").await.len() }).await;
    let volume = world.names("volume").await.remove(0);
    let look = ["run", "--rm", "--network", "none", "--user", "0", "--volume"];
    let mount = format!("{volume}:/look");
    let has = ["has", "path=/look/secret-0"];
    let found = world.docker.attempt(&[&look[..], &[&mount, &world.image], &has].concat()).await;
    assert_eq!(found.status.code(), Some(1), "{found:?}");

    // The same value again changes nothing, another one does.
    assert_eq!(put(&world, VALUE).await.version, 1);
    assert_eq!(put(&world, "another-value").await.version, 2);
    eventually(PATIENCE, || async {
        let ids = world.ids("web").await;
        if ids.len() == 1 && ids[0] != id { Ok(()) } else { Err(ids) }
    })
    .await;
    finds_its_files(&world, "another-value").await;
    world.becomes("ready").await;
    world.remove(false).await;
    assert_eq!(world.names("volume").await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_listed_bounded_and_kept_while_they_are_used() {
    let world = World::start().await;
    let project_id = world.id();
    let put_as = async |token: &str, name: &str, bytes: usize| {
        let (name, value) = (name.to_owned(), vec![b'x'; bytes]);
        let request = v1::PutSecretRequest { project_id: world.id(), name, value };
        refused(client(&world, token).put_secret(request).await)
    };
    let cases = [
        ("viewer", "password", 5, Reason::Forbidden),
        ("stranger", "password", 5, Reason::NotFound),
        ("operator", "pass word", 5, Reason::InvalidInput),
        ("operator", "password", 0, Reason::InvalidInput),
        ("operator", "password", (64 << 10) + 1, Reason::InvalidInput),
    ];
    for (token, name, bytes, reason) in cases {
        let failure = put_as(token, name, bytes).await.expect_err(name);
        assert_eq!(failure.reason, reason, "{token} {name} {bytes}: {failure}");
    }
    put_as("operator", "password", 64 << 10).await.expect("the largest");
    put_as("operator", "password", 10).await.expect("another version");
    put_as("operator", "other", 10).await.expect("another secret");
    for number in 0..16 {
        put_as("operator", &format!("large-{number}"), 64_000).await.expect("not too much yet");
    }
    let full = put_as("operator", "large", 64 << 10).await.expect_err("too much in all");
    assert_eq!(full.reason, Reason::Conflict, "{full}");
    let project_secrets = "DELETE FROM orchestrator.secret WHERE name LIKE 'large%'";
    sqlx::query(project_secrets).execute(&world.pool).await.expect("they are removed");
    let list = v1::ListSecretsRequest { project_id: project_id.clone() };
    let listed = refused(client(&world, "viewer").list_secrets(list).await).expect("may");
    let listed = listed.secrets.iter().map(|it| (it.name.as_str(), it.version));
    assert_eq!(listed.collect::<Vec<_>>(), [("other", 1), ("password", 2)]);

    world.up(spec(&world)).await;
    let delete = async |name: &str| {
        let request =
            v1::DeleteSecretRequest { project_id: project_id.clone(), name: name.to_owned() };
        refused(client(&world, "operator").delete_secret(request).await)
    };
    let used = delete("password").await.expect_err("it is used");
    assert_eq!(used.reason, Reason::Conflict);
    assert!(used.message.contains("used by web"), "{used}");
    delete("other").await.expect("nobody uses it");
    assert_eq!(delete("other").await.expect_err("it is gone").reason, Reason::NotFound);
    // A number stands for one value for ever.
    assert_eq!(put_as("operator", "other", 10).await.expect("again").version, 2);
    world.remove(false).await;
    delete("password").await.expect("nobody uses it");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_the_database_away_a_crashed_service_finds_its_files_again() {
    let mut postgres = Postgres::dedicated().await;
    let database = postgres.database().await;
    let mut world = World::on(&database.url).await;
    world.serve(Failpoint::default()).await;
    put(&world, VALUE).await;
    world.up(spec(&world)).await;
    finds_its_files(&world, VALUE).await;
    postgres.kill().await;
    let id = world.ids("web").await.remove(0);
    world.docker.run(&["kill", &id]).await;
    let twice = || async { said(&world).await.matches("read /run/secrets/password: 28").count() };
    eventually_eq(PATIENCE, 2, twice).await;
    eventually_eq(PATIENCE, 1, || async { world.containers("{{.ID}}").await.len() }).await;
    postgres.restart().await;
}

/// Everything that is in our tables, as text.
async fn tables(world: &World) -> String {
    let names: Vec<String> = sqlx::query_scalar(
        "SELECT format('%I.%I', schemaname, tablename) FROM pg_tables
         WHERE schemaname = 'orchestrator'",
    )
    .fetch_all(&world.pool)
    .await
    .expect("the tables are listed");
    assert!(names.len() > 5, "{names:?}");
    let mut all = String::new();
    for name in names {
        let query = format!("SELECT coalesce(string_agg(t::text, ' '), '') FROM {name} AS t");
        let rows: String = sqlx::query_scalar(sqlx::AssertSqlSafe(query))
            .fetch_one(&world.pool)
            .await
            .expect("the table is read");
        all.push_str(&rows);
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_secrets_value_is_found_nowhere() {
    let world = World::start().await;
    put(&world, VALUE).await;
    // The service tells its secret to its log and to its probe.
    let show = "show path=/run/secrets/password";
    let mut web = world.service("web", &format!("{show} + print text=done + wait"));
    web.secrets = vec![v1::SecretMount { name: "password".to_owned(), ..Default::default() }];
    let command = format!("/chaosd {show}").split(' ').map(str::to_owned).collect();
    let readiness = v1::Probe {
        kind: Some(v1::probe::Kind::Exec(v1::ExecProbe { command })),
        ..v1::Probe::default()
    };
    web.probes = Some(v1::Probes { readiness: Some(readiness), ..v1::Probes::default() });
    world.up(stack([web])).await;
    let id = world.ids("web").await.remove(0);

    let logs = eventually(PATIENCE, || async {
        let request = v1::GetLogsRequest { project_id: world.id(), ..Default::default() };
        let mut client = LogServiceClient::new(world.running().channel("viewer"));
        let told = format!("{:?}", refused(client.get_logs(request).await));
        if told.contains("done") && told.contains("[redacted]") { Ok(told) } else { Err(told) }
    })
    .await;
    let health = eventually(PATIENCE, || async {
        let health = world.health().await;
        let redacted = health.services[0].probes.iter().any(|it| it.output.contains("[redacted]"));
        if redacted { Ok(format!("{health:?}")) } else { Err(health) }
    })
    .await;
    let filter = format!("label={}", world.docker.label());
    let docker = async |arguments: &[&str]| {
        let output = world.docker.attempt(arguments).await;
        assert!(output.status.success(), "docker {arguments:?}: {output:?}");
        output.stdout
    };
    let text = async |arguments: &[&str]| {
        String::from_utf8(docker(arguments).await).expect("names are text")
    };
    let mut places = vec![
        ("logs", logs.into_bytes()),
        ("health", health.into_bytes()),
        ("hardening", format!("{:?}", crate::hardening::report(&world).await).into_bytes()),
        ("tables", tables(&world).await.into_bytes()),
        ("inspect", docker(&["inspect", &id]).await),
        ("export", docker(&["export", &id]).await),
        ("image", docker(&["save", &world.image]).await),
    ];
    for kind in ["volume", "network"] {
        let listed = text(&[kind, "ls", "--quiet", "--filter", &filter]).await;
        for name in listed.lines() {
            places.push((kind, docker(&[kind, "inspect", name]).await));
        }
    }
    for image in text(&["images", "--quiet", "--filter", "label=cc.toolbox"]).await.lines() {
        places.push(("toolbox", docker(&["save", image]).await));
    }
    for file in ["environ", "cmdline"] {
        let path = format!("path=/proc/1/{file}");
        places.push((file, docker(&["exec", &id, "/chaosd", "show", &path]).await));
    }
    assert!(places.len() >= 12, "{}", places.len());
    // Also as a bytea shows it, as JSON does, and as Rust does.
    let hex: String = VALUE.bytes().map(|byte| format!("{byte:02x}")).collect();
    let list = |space: &str| {
        let bytes: Vec<String> = VALUE.bytes().map(|byte| byte.to_string()).collect();
        bytes.join(&format!(",{space}"))
    };
    for (place, bytes) in places {
        for form in [VALUE.to_owned(), hex.clone(), list(""), list(" ")] {
            let found = bytes.windows(form.len()).any(|it| it == form.as_bytes());
            assert!(!found, "the secret is in {place}");
        }
        assert!(!bytes.is_empty(), "{place} is empty");
    }
    // Where the search would find it.
    let own = docker(&["exec", &id, "/chaosd", "show", "path=/run/secrets/password"]).await;
    assert_eq!(String::from_utf8_lossy(&own).trim(), VALUE);
}
