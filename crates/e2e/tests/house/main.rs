//! The house rules, as tests: which crate may know which, what every file owes its reader, and
//! that the API's page tells the truth.

mod api;
mod dependencies;
mod files;

use std::path::{Path, PathBuf};

/// The workspace's root folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}
