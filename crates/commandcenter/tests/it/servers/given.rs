//! Servers of somebody else's, in place of our own.

use super::*;

#[tokio::test]
async fn a_server_of_somebody_elses_is_used_in_place_of_our_own() {
    let dir = data_dir();
    let given = testkit::Nats::start().await;
    let nats = bus::Config {
        url: Secret::from(given.url.clone()),
        user: "somebody".to_owned(),
        ..bus::Config::default()
    };
    let config = Config { nats, ..config(dir.path()) };
    let servers = Servers::start(&config, &Shutdown::new()).await.unwrap();
    assert_eq!(servers.nats.url.expose(), given.url);
    assert_eq!(servers.nats.user, "somebody");
    let names: Vec<_> = servers.status().into_iter().map(|status| status.name).collect();
    assert_eq!(names, ["postgres"]);
    assert!(!dir.path().join("nats").exists());
    servers.stop().await;

    // With both given, no program is needed.
    let config = both_given(dir.path());
    let servers = Servers::start(&config, &Shutdown::new()).await.unwrap();
    assert!(servers.status().is_empty());
    servers.stop().await;
}

fn both_given(dir: &Path) -> Config {
    Config {
        runtime_dir: dir.join("missing"),
        database_url: Secret::from("postgres://somebody@localhost/x".to_owned()),
        nats: bus::Config {
            url: Secret::from("nats://localhost:4222".to_owned()),
            ..bus::Config::default()
        },
        ..config(dir)
    }
}

#[tokio::test]
async fn a_start_takes_away_what_a_killed_process_said_about_where_it_listens() {
    let dir = data_dir();
    let stale = dir.path().join("instance.json");
    fs::write(&stale, "{}").unwrap();
    let servers = Servers::start(&both_given(dir.path()), &Shutdown::new()).await.unwrap();
    assert!(!stale.exists());
    servers.stop().await;
}

#[tokio::test]
async fn a_command_that_looks_whose_the_directory_is_does_not_keep_up_from_starting() {
    let dir = data_dir();
    let lock = fs::File::create(dir.path().join("lock")).unwrap();
    lock.try_lock_shared().unwrap();
    let (config, interrupt) = (both_given(dir.path()), Shutdown::new());
    let looked = async { drop(lock) };
    // The start is the first to be polled, so it finds the lock taken.
    let (started, ()) = tokio::join!(Servers::start(&config, &interrupt), looked);
    started.unwrap().stop().await;
}
