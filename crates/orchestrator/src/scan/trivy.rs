//! Runs Trivy, and nothing but Trivy: no other variable, no file of its own configuration, no
//! network.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use chrono::{DateTime, SubsecRound as _, Utc};
use serde::Deserialize;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::Command;

use super::{Config, Counts, report};

/// Where programs are looked for, and what they find of others.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// For the question which version it is.
const VERSION_TIMEOUT: Duration = Duration::from_secs(30);

/// Of what it says when it fails, in bytes: the end.
const COMPLAINT_BYTES_MAX: usize = 2_000;

/// How much of its complaints is read, in bytes.
const COMPLAINTS_BYTES_MAX: u64 = 1 << 20;

/// Which Trivy there is, and which database.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version {
    /// Major and minor.
    pub number: (u32, u32),
    /// When the database was made.
    pub database_updated_at: DateTime<Utc>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Told {
    version: String,
    #[serde(rename = "VulnerabilityDB")]
    database: Option<Database>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Database {
    updated_at: DateTime<Utc>,
}

impl Version {
    /// Reads what `trivy version --format json` says.
    ///
    /// # Errors
    /// When it is no such thing, or there is no database.
    pub fn read(told: &[u8], config: &Config) -> Result<Self, String> {
        let unreadable =
            |why: String| format!("what Trivy says of its version is unreadable: {why}");
        let told: Told =
            serde_json::from_slice(told).map_err(|error| unreadable(error.to_string()))?;
        let mut parts = told.version.trim_start_matches('v').split('.').map(str::parse);
        let (Some(Ok(major)), Some(Ok(minor))) = (parts.next(), parts.next()) else {
            return Err(unreadable(format!("{:?} is no version", told.version)));
        };
        let database = told.database.ok_or_else(|| {
            let folder = config.cache_dir.display();
            format!(
                "Trivy has no database in {folder}: fill it with `trivy --cache-dir {folder} image \
                 --download-db-only`"
            )
        })?;
        // As precise as Postgres keeps it, so that the same database is the same when it is read.
        let database_updated_at = database.updated_at.trunc_subsecs(6);
        Ok(Self { number: (major, minor), database_updated_at })
    }

    /// How this version is asked about an archive of an image: for known vulnerabilities only, in
    /// the database that is here.
    #[must_use]
    pub fn arguments(&self, config: &Config, archive: &Path) -> Vec<String> {
        let timeout = format!("{}s", config.timeout_s);
        let (cache, archive) = (config.cache_dir.display(), archive.display());
        let mut arguments: Vec<String> = ["--cache-dir", &cache.to_string(), "--quiet", "image"]
            .into_iter()
            .chain(["--input", &archive.to_string(), "--format", "json", "--skip-db-update"])
            .chain(["--offline-scan", "--timeout", &timeout])
            .map(str::to_owned)
            .collect();
        let only: &[&str] = match self.number {
            (0, ..27) => &[],
            (0, ..37) => &["--security-checks", "vuln"],
            (0, 37) => &["--scanners", "vuln"],
            _ => &["--scanners", "vuln", "--skip-java-db-update"],
        };
        arguments.extend(only.iter().map(|&it| it.to_owned()));
        arguments
    }
}

/// Asks which Trivy there is. `folder` is an empty one.
pub(super) async fn version(config: &Config, folder: &Path) -> Result<Version, String> {
    let cache = config.cache_dir.display().to_string();
    let arguments = ["--cache-dir", &cache, "version", "--format", "json"].map(str::to_owned);
    let told = run(config, &arguments, folder, VERSION_TIMEOUT).await?;
    Version::read(&told, config)
}

/// Scans the archive of an image.
pub(super) async fn scan(
    config: &Config,
    version: &Version,
    archive: &Path,
    folder: &Path,
    image: &str,
) -> Result<(Counts, String), String> {
    let arguments = version.arguments(config, archive);
    let written = run(config, &arguments, folder, config.timeout()).await?;
    report::read(&written, image)
}

/// Runs it to its end and answers what it wrote.
async fn run(
    config: &Config,
    arguments: &[String],
    folder: &Path,
    timeout: Duration,
) -> Result<Vec<u8>, String> {
    let program = config.command.display();
    let mut command = Command::new(&config.command);
    command.args(arguments).current_dir(folder).env_clear().env("PATH", PATH).env("HOME", folder);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut running = command.spawn().map_err(|error| {
        format!(
            "{program} cannot be run ({error}): install Trivy, or set orchestrator.scan.command"
        )
    })?;
    let (output, errors) = (running.stdout.take(), running.stderr.take());
    let ended = async {
        let read = futures::join!(
            bounded(output, config.report_bytes_max),
            bounded(errors, COMPLAINTS_BYTES_MAX)
        );
        (running.wait().await, read)
    };
    let late = |_| format!("{program} did not end within {} s", timeout.as_secs());
    let (status, (output, errors)) = tokio::time::timeout(timeout, ended).await.map_err(late)?;
    let status = status.map_err(|error| format!("{program}: {error}"))?;
    if !status.success() {
        return Err(format!("{program} failed ({status}): {}", complaint(&errors)));
    }
    if output.len() as u64 > config.report_bytes_max {
        let limit = config.report_bytes_max;
        return Err(format!("the report of {program} is longer than {limit} bytes"));
    }
    Ok(output)
}

/// At most one byte more than `max`; the rest is read and dropped.
async fn bounded(output: Option<impl AsyncRead + Unpin>, max: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Some(mut output) = output {
        // What was read until it broke counts; the exit code tells the rest.
        (&mut output).take(max.saturating_add(1)).read_to_end(&mut bytes).await.ok();
        tokio::io::copy(&mut output, &mut tokio::io::sink()).await.ok();
    }
    bytes
}

/// The end of what it complains about.
fn complaint(errors: &[u8]) -> String {
    let text = String::from_utf8_lossy(errors);
    let text = text.trim();
    text[text.ceil_char_boundary(text.len().saturating_sub(COMPLAINT_BYTES_MAX))..].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_asked_in_its_own_words() {
        let config = Config::default();
        let database_updated_at = DateTime::UNIX_EPOCH;
        let asked = |number| {
            let version = Version { number, database_updated_at };
            version.arguments(&config, Path::new("/x/image.tar")).join(" ")
        };
        let common = "--cache-dir /var/lib/commandcenter/trivy --quiet image --input /x/image.tar \
                      --format json --skip-db-update --offline-scan --timeout 300s";
        assert_eq!(asked((0, 24)), common);
        assert_eq!(asked((0, 29)), format!("{common} --security-checks vuln"));
        assert_eq!(asked((0, 37)), format!("{common} --scanners vuln"));
        let present = format!("{common} --scanners vuln --skip-java-db-update");
        assert_eq!((asked((0, 62)), asked((1, 0))), (present.clone(), present));
    }

    #[test]
    fn the_version_names_the_database() {
        let config = Config::default();
        let old = r#"{"Version":"0.29.2","VulnerabilityDB":{"Version":2,"NextUpdate":"2026-11-20T12:07:07.99Z","UpdatedAt":"2026-11-20T06:07:07.99Z","DownloadedAt":"2026-11-20T10:03:38.38Z"}}"#;
        let new = r#"{"Version":"v0.62.1","VulnerabilityDB":{"Version":2,"NextUpdate":"2026-11-21T18:26:52.33Z","UpdatedAt":"2026-11-20T18:26:52.33Z","DownloadedAt":"2026-11-20T20:01:11.42Z"},"JavaDB":{"Version":1,"NextUpdate":"2026-11-23T01:10:51.54Z","UpdatedAt":"2026-11-20T01:10:51.54Z","DownloadedAt":"2026-11-20T20:02:03.16Z"},"CheckBundle":{"Digest":"sha256:0","DownloadedAt":"2026-11-20T20:01:11.42Z"}}"#;
        let read = |told: &str| Version::read(told.as_bytes(), &config);
        assert_eq!(read(old).expect("one").number, (0, 29));
        let version = read(new).expect("one");
        assert_eq!(version.number, (0, 62));
        assert_eq!(version.database_updated_at.to_rfc3339(), "2026-11-20T18:26:52.330+00:00");
        let refused = read(r#"{"Version":"0.62.1"}"#).expect_err("no database");
        assert!(refused.contains("--download-db-only"), "{refused}");
        for told in ["", "Version: 0.20.0", r#"{"Version":"dev"}"#] {
            assert!(read(told).expect_err(told).contains("unreadable"));
        }
    }
}
