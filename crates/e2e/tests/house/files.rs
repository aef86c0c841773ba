//! What every source file owes its reader.

use std::{fs, path::PathBuf};

/// Names that say nothing.
const DRAWERS: [&str; 6] = ["common", "helper", "helpers", "manager", "util", "utils"];

/// Every Rust file of ours with its text.
pub(super) fn sources() -> Vec<(PathBuf, String)> {
    let mut folders = vec![super::root().join("crates")];
    let mut sources = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder") {
            let path = entry.expect("an entry").path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                sources.push((path, text));
            }
        }
    }
    assert!(sources.len() > 50, "the sources were not found");
    sources
}

#[test]
fn every_file_opens_with_a_sentence() {
    let bare: Vec<_> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|it| it.0)
        .collect();
    assert!(bare.is_empty(), "these open without a //! sentence: {bare:#?}");
}

#[test]
fn no_file_is_a_drawer() {
    for (path, _) in sources() {
        let name = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        assert!(!DRAWERS.contains(&name), "{} names no idea", path.display());
        assert_ne!(name, "mod", "{}: write foo.rs beside foo/", path.display());
    }
}

#[test]
fn nothing_is_left_unfinished() {
    // Spelled apart, so that this file does not find itself.
    let marks = ["todo", "unimplemented"].map(|name| format!("{name}!("));
    let ignore = ["#[", "ignore"].concat();
    for (path, text) in sources() {
        for mark in marks.iter().chain([&ignore]) {
            assert!(!text.contains(mark.as_str()), "{} holds {mark}", path.display());
        }
    }
}

#[test]
fn only_the_bus_knows_nats_and_only_knowledge_loads_models() {
    let rules = [("async_nats::", "crates/bus"), ("safetensors::", "crates/knowledge")];
    for (path, text) in sources() {
        for (word, home) in rules {
            let shown = path.display().to_string();
            // Tests may look at a server from outside, as a stranger would.
            let allowed = shown.contains(home) || shown.contains("/tests/");
            assert!(allowed || !text.contains(word), "{shown} uses {word}, which lives in {home}");
        }
    }
}

#[test]
fn statements_name_their_columns() {
    let star = |line: &&str| {
        let words: Vec<&str> = line.split_whitespace().collect();
        let selects =
            |it: &[&str]| it[0].ends_with("SELECT") && it[1].trim_end_matches(',').ends_with('*');
        words.windows(2).any(selects)
    };
    for (path, text) in sources() {
        let found = text.lines().filter(|it| !it.trim_start().starts_with("//")).find(star);
        // Another column would break what running processes have prepared.
        assert_eq!(found, None, "{}", path.display());
    }
}
