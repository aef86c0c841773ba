//! Up, import, search, kill -9, up again.

use std::fs;

use crate::instance::{Instance, text};

#[tokio::test(flavor = "multi_thread")]
async fn an_imported_folder_is_searchable_and_survives_kill_9() {
    let mut instance = Instance::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("guides")).expect("a folder");
    fs::write(
        folder.path().join("guides/backup.md"),
        "# Backups\n\nThe nightly job copies the walnut archive to the vault.\n",
    )
    .expect("written");
    fs::write(folder.path().join("notes.txt"), "Nobody reads this pelican note.\n")
        .expect("written");
    fs::write(folder.path().join("photo.png"), b"\x89PNG").expect("written");

    let path = folder.path().to_str().expect("UTF-8");
    let import = instance.run(&["import", path, "--project", "p", "--wait"]);
    assert!(import.status.success(), "{}\n{}", text(&import), instance.log());
    assert_eq!(instance.titles("walnut archive").first().map(String::as_str), Some("Backups"));

    instance.kill().await;
    instance.launch().await;
    assert_eq!(instance.titles("walnut archive").first().map(String::as_str), Some("Backups"));

    // The same folder again is nothing new.
    let import = instance.run(&["import", path, "--project", "p", "--wait"]);
    assert!(import.status.success(), "{}", text(&import));
    let mut titles = instance.titles("walnut archive");
    titles.sort();
    assert_eq!(titles, ["Backups", "notes"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_without_an_instance_say_so_and_exit_6() {
    let nowhere = tempfile::tempdir().expect("a folder");
    let output = std::process::Command::new(crate::instance::binary())
        .args(["status"])
        .env("COMMANDCENTER_DATA_DIR", nowhere.path())
        .output()
        .expect("the binary runs");
    assert_eq!(output.status.code(), Some(6), "{}", text(&output));
    assert!(text(&output).contains("commandcenter up"), "{}", text(&output));
}
