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
    let config = Config {
        runtime_dir: dir.path().join("missing"),
        database_url: Secret::from("postgres://somebody@localhost/x".to_owned()),
        ..config
    };
    let servers = Servers::start(&config, &Shutdown::new()).await.unwrap();
    assert!(servers.status().is_empty());
    servers.stop().await;
}
