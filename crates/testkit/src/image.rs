//! Images made on this machine, without a registry.

use std::fmt::Write as _;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::docker::client;
use crate::files::{lock, runtime};

/// The source of `chaosd`, whose first lines say what it can do.
const CHAOSD: &str = include_str!("../images/chaosd.rs");

/// Folders of a root file system in which an Engine mounts, and where programs expect to write.
pub(crate) const FOLDERS: [&str; 8] = ["data", "dev", "etc", "proc", "run", "sys", "tmp", "var"];

/// Imports an archive of a root file system as `name:tag`, unless the Engine has it. The tag shall
/// change with the content. `changes` are instructions of a Dockerfile, such as
/// `ENTRYPOINT ["/chaosd"]`.
///
/// # Panics
/// When the Engine refuses it.
pub fn import(
    host: &str,
    reference: &str,
    changes: &[&str],
    archive: impl FnOnce() -> Vec<u8>,
) -> String {
    let _lock = lock(&runtime().join(reference.replace(['/', ':'], "-")));
    let known = client(host).args(["image", "inspect", reference]).output();
    if known.expect("docker can be run").status.success() {
        return reference.to_owned();
    }
    let mut command = client(host);
    command.arg("import");
    changes.iter().for_each(|change| {
        command.args(["--change", change]);
    });
    command.args(["-", reference]).stdin(Stdio::piped()).stdout(Stdio::null());
    let mut import = command.spawn().expect("docker can be run");
    let mut stdin = import.stdin.take().expect("stdin is piped");
    stdin.write_all(&archive()).expect("docker reads the archive");
    drop(stdin);
    let status = import.wait().expect("docker is our child");
    assert!(status.success(), "docker import {reference}: {status}");
    reference.to_owned()
}

/// An archive of a root file system with these programs, by path inside, and the usual folders.
///
/// # Panics
/// When a program cannot be read.
pub fn root(programs: &[(&str, &Path)]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for folder in FOLDERS {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Directory);
        header.set_mode(if folder == "tmp" { 0o1777 } else { 0o755 });
        header.set_size(0);
        archive.append_data(&mut header, folder, std::io::empty()).expect("memory takes it");
    }
    for (inside, path) in programs {
        let content = std::fs::read(path)
            .unwrap_or_else(|error| panic!("{} cannot be read: {error}", path.display()));
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, inside, content.as_slice()).expect("memory takes it");
    }
    archive.into_inner().expect("memory takes it")
}

/// The image of [`Docker::chaosd`](crate::Docker::chaosd), which does `actions` when it is told
/// nothing else.
pub(crate) fn chaosd(host: &str, actions: &[&str]) -> String {
    let program = compile("chaosd", CHAOSD);
    let tag = program.file_name().and_then(|name| name.to_str()).expect("we named it");
    let mut reference = format!("commandcenter-test/{}", tag.replacen('-', ":", 1));
    let mut changes = vec![r#"ENTRYPOINT ["/chaosd"]"#.to_owned()];
    if !actions.is_empty() {
        changes.push(format!("CMD {actions:?}"));
        let mut hasher = DefaultHasher::new();
        actions.hash(&mut hasher);
        let _ = write!(reference, "-{:08x}", hasher.finish() as u32);
    }
    let changes: Vec<&str> = changes.iter().map(String::as_str).collect();
    import(host, &reference, &changes, || root(&[("chaosd", &program)]))
}

/// A static program of one Rust source, compiled once for each content: `runtime/NAME-HASH`.
fn compile(name: &str, source: &str) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    source.hash(&mut hasher);
    let program = runtime().join(format!("{name}-{:016x}", hasher.finish()));
    let _lock = lock(&program);
    if program.exists() {
        return program;
    }
    let unfinished = program.with_added_extension("unfinished");
    let mut command = Command::new("rustc");
    command.args(["-", "--crate-name", name, "--edition", "2024", "-O"]);
    command.args(["-C", "panic=abort", "-C", "strip=symbols", "-C", "target-feature=+crt-static"]);
    command.arg("-o").arg(&unfinished).stdin(Stdio::piped());
    let mut rustc = command.spawn().expect("rustc can be run");
    let mut stdin = rustc.stdin.take().expect("stdin is piped");
    stdin.write_all(source.as_bytes()).expect("rustc reads the source");
    drop(stdin);
    let status = rustc.wait().expect("rustc is our child");
    assert!(status.success(), "{name} cannot be compiled: {status}");
    std::fs::rename(&unfinished, &program).expect("the program can be renamed");
    program
}
