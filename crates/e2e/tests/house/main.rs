//! The house rules, as tests: which crate may know which, what every file owes its reader, and
//! that the pages of the API and of security tell the truth.

mod api;
mod dependencies;
mod files;
mod security;

use std::path::{Path, PathBuf};

/// The workspace's root folder.
fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace")
}
