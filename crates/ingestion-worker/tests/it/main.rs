//! What the crate promises, tested on real files and a real server.

use std::path::PathBuf;

mod feeds;

/// The folder of real files, if there is one. Continuous integration must have it.
fn corpora(part: &str) -> Option<PathBuf> {
    match std::env::var_os("COMMANDCENTER_CORPORA") {
        Some(root) => {
            let path = PathBuf::from(root).join(part);
            assert!(path.is_dir(), "COMMANDCENTER_CORPORA has no folder {part}");
            Some(path)
        }
        None if std::env::var_os("CI").is_some() => panic!("CI needs COMMANDCENTER_CORPORA"),
        None => {
            println!("COMMANDCENTER_CORPORA is not set: {part} is not measured here");
            None
        }
    }
}
