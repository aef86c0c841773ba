//! Images of real servers, made of Debian's packages without a registry.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

use crate::files::runtime;
use crate::image::{FOLDERS, import};

/// What PostgreSQL's image does first; it keeps to what the official image promises.
const POSTGRES_ENTRYPOINT: &str = include_str!("../images/postgres-entrypoint.sh");

/// The shell and its tools.
const BUSYBOX: &str = "busybox-static";
const TOOLS: [&str; 6] = ["cat", "chmod", "id", "mkdir", "mktemp", "sh"];

/// Libraries that the servers' packages name, and that nothing here loads.
const UNUSED: [&str; 6] = ["libllvm", "libz3", "libpam-", "libperl", "libdebian-", "libelogind"];

/// Beyond the programs.
const DROPPED: [&str; 4] =
    ["usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/perl5"];

/// A server of Debian's.
struct Server {
    name: &'static str,
    packages: Vec<String>,
    /// A script that starts it.
    entrypoint: Option<&'static str>,
    changes: Vec<String>,
}

/// PostgreSQL, as `postgres` with the conventions of the official image.
pub(crate) fn postgres(host: &str) -> String {
    // Of the version that this Debian has.
    let server = depends(&["postgresql"], false)
        .into_iter()
        .find(|name| name.strip_prefix("postgresql-").is_some_and(|it| it.parse::<u32>().is_ok()))
        .expect("Debian has a PostgreSQL: run apt-get update");
    let version = server.trim_start_matches("postgresql-");
    let path = format!("/usr/lib/postgresql/{version}/bin:/usr/local/bin:/usr/bin:/bin");
    let packages = [&server, &format!("postgresql-client-{version}"), "tzdata", "libnss-wrapper"];
    build(
        host,
        &Server {
            name: "postgres",
            packages: packages.map(str::to_owned).to_vec(),
            entrypoint: Some(POSTGRES_ENTRYPOINT),
            changes: vec![
                format!("ENV PATH={path}"),
                r#"ENTRYPOINT ["docker-entrypoint.sh"]"#.to_owned(),
                r#"CMD ["postgres"]"#.to_owned(),
            ],
        },
    )
}

/// Redis, with `redis-server` and `redis-cli`.
pub(crate) fn redis(host: &str) -> String {
    build(
        host,
        &Server {
            name: "redis",
            packages: ["redis-server", "redis-tools"].map(str::to_owned).to_vec(),
            entrypoint: None,
            changes: vec![
                "ENV PATH=/usr/local/bin:/usr/bin:/bin".to_owned(),
                r#"CMD ["redis-server"]"#.to_owned(),
            ],
        },
    )
}

/// Makes the image unless the Engine has one of the same packages.
fn build(host: &str, server: &Server) -> String {
    let packages = packages(server);
    let mut hasher = DefaultHasher::new();
    versions(&packages).hash(&mut hasher);
    (server.entrypoint, &server.changes, TOOLS).hash(&mut hasher);
    let reference = format!("commandcenter-test/{}:{:016x}", server.name, hasher.finish());
    let changes: Vec<&str> = server.changes.iter().map(String::as_str).collect();
    import(host, &reference, &changes, || archive(server, &packages))
}

/// The server's own packages and the libraries below them.
fn packages(server: &Server) -> BTreeSet<String> {
    let own: Vec<&str> = server.packages.iter().map(String::as_str).collect();
    let is_library = |name: &String| {
        let library = name.starts_with("lib") || name == "zlib1g";
        let unused = UNUSED.iter().any(|it| name.starts_with(it));
        library && !unused && !name.ends_with("-perl") && !name.ends_with("-common")
    };
    let libraries = depends(&own, true).into_iter().filter(is_library);
    libraries.chain(server.packages.iter().cloned()).chain([BUSYBOX.to_owned()]).collect()
}

/// The names of what packages need.
fn depends(packages: &[&str], recurse: bool) -> BTreeSet<String> {
    let mut command = Command::new("apt-cache");
    command.arg("depends");
    for kind in ["recommends", "suggests", "conflicts", "breaks", "replaces", "enhances"] {
        command.arg(format!("--no-{kind}"));
    }
    if recurse {
        command.arg("--recurse");
    }
    let text = run(command.args(packages));
    let name = |line: &str| line.trim_start().rsplit(' ').next().unwrap_or_default().to_owned();
    text.lines().map(name).filter(|name| !name.is_empty() && !name.contains('<')).collect()
}

/// Which version of each would be downloaded.
fn versions(packages: &BTreeSet<String>) -> Vec<String> {
    let policy = run(Command::new("apt-cache").arg("policy").args(packages));
    let candidates = policy.lines().filter_map(|line| line.trim().strip_prefix("Candidate: "));
    let candidates: Vec<String> = candidates.map(str::to_owned).collect();
    assert_eq!(candidates.len(), packages.len(), "unknown packages: run apt-get update");
    candidates
}

/// The root file system.
fn archive(server: &Server, packages: &BTreeSet<String>) -> Vec<u8> {
    let folder = tempfile::tempdir_in(runtime()).expect("the folder can be written");
    let (archives, root) = (folder.path().join("archives"), folder.path().join("root"));
    fs::create_dir(&archives).expect("the folder is ours");
    let download = ["download", "-qq", "-o", "APT::Sandbox::User=root"];
    run(Command::new("apt-get").args(download).args(packages).current_dir(&archives));
    for entry in fs::read_dir(&archives).expect("the folder is ours") {
        run(Command::new("dpkg").arg("-x").arg(entry.expect("an entry").path()).arg(&root));
    }
    for dropped in DROPPED {
        fs::remove_dir_all(root.join(dropped)).ok();
    }
    for made in FOLDERS.iter().filter(|it| !root.join(it).exists()) {
        fs::create_dir(root.join(made)).expect("the folder is ours");
    }
    open(&root.join("tmp"), 0o1777);
    for tool in TOOLS.iter().map(|it| root.join("bin").join(it)).filter(|it| !it.exists()) {
        symlink("busybox", tool).expect("the folder is ours");
    }
    if let Some(script) = server.entrypoint {
        let path = root.join("usr/local/bin/docker-entrypoint.sh");
        fs::create_dir_all(path.parent().expect("it has one")).expect("the folder is ours");
        fs::write(&path, script).expect("the folder is ours");
        open(&path, 0o755);
    }
    let mut tar = Command::new("tar");
    tar.args(["--create", "--owner=0", "--group=0", "--numeric-owner", "-C"]).arg(&root).arg(".");
    output(&mut tar)
}

fn open(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("it is ours");
}

fn run(command: &mut Command) -> String {
    String::from_utf8_lossy(&output(command)).into_owned()
}

fn output(command: &mut Command) -> Vec<u8> {
    let output = command.output().unwrap_or_else(|error| {
        panic!("{command:?}: {error}; these images are made of Debian's packages")
    });
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {errors}; does apt-get update help?");
    output.stdout
}
