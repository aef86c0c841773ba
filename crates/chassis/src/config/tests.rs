//! Which layer wins, what is refused, and that no secret is shown.

use serde::Deserialize;

use super::*;

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Config {
    http: Http,
    database: Database,
}
#[derive(Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Http {
    port: u16,
    networks: Vec<String>,
    folder: Option<PathBuf>,
}
impl Default for Http {
    fn default() -> Self {
        Self { port: 8080, networks: vec![], folder: None }
    }
}
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Database {
    url: Secret,
}

fn env(pairs: &[(&str, &str)]) -> Layers {
    let env = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    Layers { env, ..Layers::default() }
}

#[test]
fn later_layers_win_and_origins_are_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[http]\nport = 1\nnetworks = [\"10.0.0.0/8\"]\n").expect("written");
    let mut layers = env(&[("COMMANDCENTER__HTTP__PORT", "2"), ("HOME", "/root")]);
    layers.files.push(file.clone());
    let loaded: Loaded<Config> = load(&layers).expect("valid");
    assert_eq!(loaded.config.http.port, 2);
    assert_eq!(loaded.config.http.networks, ["10.0.0.0/8"]);
    assert_eq!(loaded.explained["http.networks"].1, Origin::File(file));
    layers.flags.push(("http.port".into(), "3".into()));
    let loaded: Loaded<Config> = load(&layers).expect("valid");
    assert_eq!(loaded.explained["http.port"], ("3".into(), Origin::Flag));
}

#[test]
fn lists_and_paths_come_from_the_environment_too() {
    let layers = env(&[
        ("COMMANDCENTER__HTTP__NETWORKS", "127.0.0.0/8, ::1/128"),
        ("COMMANDCENTER__HTTP__FOLDER", "/srv"),
    ]);
    let loaded: Loaded<Config> = load(&layers).expect("valid");
    assert_eq!(loaded.config.http.networks, ["127.0.0.0/8", "::1/128"]);
    assert_eq!(loaded.config.http.folder, Some(PathBuf::from("/srv")));
}

#[test]
fn an_unknown_key_is_an_error_with_a_suggestion() {
    let error = load::<Config>(&env(&[("COMMANDCENTER__HTTP__PROT", "1")])).expect_err("typo");
    assert!(error.to_string().contains("did you mean \"http.port\"?"), "{error}");
    // Another process' section is none of ours, and no mistake.
    load::<Config>(&env(&[("COMMANDCENTER__FETCH__ANYTHING", "1")])).expect("passed over");
}

#[test]
fn a_wrong_type_names_the_key_and_what_it_must_be() {
    let error = load::<Config>(&env(&[("COMMANDCENTER__HTTP__PORT", "many")])).expect_err("");
    assert!(error.to_string().contains("must be a number"), "{error}");
}

#[test]
fn a_value_out_of_range_names_the_key_and_who_set_it() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[database]\nurl = 20480815\n").expect("written");
    let in_file = Layers { files: vec![file.clone()], ..Layers::default() };
    let port = env(&[("COMMANDCENTER__HTTP__PORT", "99999")]);
    let file = file.display().to_string();
    for (layers, says) in [
        (port, ["http.port", "environment COMMANDCENTER__HTTP__PORT", "99999"]),
        (in_file, ["database.url", file.as_str(), "text in quotes"]),
    ] {
        let error = load::<Config>(&layers).expect_err("not allowed").to_string();
        for text in says {
            assert!(error.contains(text), "{text:?} is missing: {error}");
        }
        assert!(!error.contains("20480815"), "{error}");
    }
}

#[test]
fn a_file_that_is_not_toml_is_told_by_line_without_what_it_says() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("config.toml");
    std::fs::write(&file, "[database]\nurl = \"postgres://u:hunter2@h\n").expect("written");
    let layers = Layers { files: vec![file], ..Layers::default() };
    let error = load::<Config>(&layers).expect_err("a quote is missing").to_string();
    assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
}

#[test]
fn a_secret_is_set_once_in_a_layer() {
    let dir = tempfile::tempdir().expect("a folder");
    let secret = dir.path().join("url");
    std::fs::write(&secret, "postgres://file").expect("written");
    let path = secret.display().to_string();
    let direct = ("COMMANDCENTER__DATABASE__URL", "postgres://direct");
    let by_file = ("COMMANDCENTER__DATABASE__URL_FILE", path.as_str());
    for both in [[direct, by_file], [by_file, direct]] {
        let error = load::<Config>(&env(&both)).expect_err("which of them?");
        assert!(matches!(error, Error::Twice { .. }), "{error}");
    }
    let config = dir.path().join("config.toml");
    let text = format!("[database]\nurl_file = {path:?}\nurl = \"postgres://direct\"\n");
    std::fs::write(&config, text).expect("written");
    let mut layers = Layers { files: vec![config], ..Layers::default() };
    let error = load::<Config>(&layers).expect_err("which of them?");
    assert!(matches!(error, Error::Twice { .. }), "{error}");

    // A stronger layer decides, and ours is stronger than another program's variable.
    layers = env(&[("DATABASE_URL", "postgres://other"), by_file]);
    let loaded: Loaded<Config> = load(&layers).expect("valid");
    assert_eq!(loaded.config.database.url.expose(), "postgres://file");
    layers.flags.push(("database.url".to_owned(), "postgres://flag".to_owned()));
    let loaded: Loaded<Config> = load(&layers).expect("valid");
    assert_eq!(loaded.config.database.url.expose(), "postgres://flag");
}

#[test]
fn secrets_come_from_files_and_are_never_shown() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("url");
    std::fs::write(&file, "postgres://u:hunter2@h/db\n").expect("written");
    let path = file.display().to_string();
    let loaded: Loaded<Config> =
        load(&env(&[("COMMANDCENTER__DATABASE__URL_FILE", &path)])).expect("valid");
    assert_eq!(loaded.config.database.url.expose(), "postgres://u:hunter2@h/db");
    assert!(!format!("{loaded:?}").contains("hunter2"));
    assert_eq!(loaded.explained["database.url"].0, "[set]");
    let loaded: Loaded<Config> =
        load(&env(&[("DATABASE_URL", "postgres://other")])).expect("valid");
    assert_eq!(loaded.config.database.url.expose(), "postgres://other");
}
