//! Nothing that the policy blocks starts without a fresh clean verdict.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use orchestrator::{Failpoint, scan};
use proto::orchestrator::v1;
use proto::orchestrator::v1::scan_service_client::ScanServiceClient;
use proto::{Failure, Reason};
use serde_json::{Value, json};
use testkit::eventually;

use crate::failures::failures;
use crate::world::{PATIENCE, World, refused, stack};

/// A program that speaks as Trivy does, and misbehaves as its files tell it to.
struct Trivy {
    folder: tempfile::TempDir,
}

impl Trivy {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let trivy = Self { folder };
        let here = trivy.path("").display().to_string();
        let script = format!(
            "#!/bin/sh\ncase \" $* \" in *' version '*) exec cat {here}/version.json;; esac\n\
             echo \"$*\" >> {here}/calls\n. {here}/scan.sh\n"
        );
        program(&trivy.path("trivy"), &script);
        trivy.database(1);
        trivy
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The database is so many days old.
    fn database(&self, days: i64) {
        let updated = chrono::Utc::now() - chrono::TimeDelta::days(days);
        let told = json!({
            "Version": "0.62.1",
            "VulnerabilityDB": {"Version": 2, "UpdatedAt": updated, "NextUpdate": updated},
        });
        std::fs::write(self.path("version.json"), told.to_string()).expect("it can be written");
    }

    /// What a scan does, in the words of a shell.
    fn does(&self, script: &str) {
        std::fs::write(self.path("scan.sh"), script).expect("it can be written");
    }

    /// A scan tells this of an image.
    fn tells(&self, image: &str, severities: &[&str]) {
        let found = |it: &&str| {
            json!({"VulnerabilityID": "CVE-2026-1", "PkgName": "zlib", "FixedVersion": "2",
                   "Severity": it})
        };
        let found: Vec<Value> = severities.iter().map(found).collect();
        let report = json!({
            "SchemaVersion": 2, "ArtifactName": "image.tar", "ArtifactType": "container_image",
            "Metadata": {"OS": {"Family": "debian", "Name": "12.10"}, "ImageID": image},
            "Results": [{"Target": "image.tar (debian 12.10)", "Class": "os-pkgs",
                         "Type": "debian", "Vulnerabilities": found}],
        });
        let path = self.path("report.json");
        std::fs::write(&path, report.to_string()).expect("it can be written");
        self.does(&format!("cat {}", path.display()));
    }

    fn config(&self) -> scan::Config {
        scan::Config {
            command: self.path("trivy"),
            cache_dir: self.path("cache"),
            folder: self.folder.path().to_owned(),
            ..scan::Config::default()
        }
    }
}

/// Another process writes it: whoever is started meanwhile must not hold it open.
fn program(path: &Path, script: &str) {
    let mut command = Command::new("sh");
    command.args(["-c", "cat > \"$0\" && chmod 755 \"$0\""]).arg(path).stdin(Stdio::piped());
    let mut writer = command.spawn().expect("sh can be run");
    let mut stdin = writer.stdin.take().expect("it is piped");
    stdin.write_all(script.as_bytes()).expect("sh reads it");
    drop(stdin);
    assert!(writer.wait().expect("sh is our child").success());
}

async fn world(trivy: &Trivy, change: impl FnOnce(&mut scan::Config)) -> World {
    let mut world = World::without().await;
    world.config.scan = trivy.config();
    change(&mut world.config.scan);
    world.serve(Failpoint::default()).await;
    world
}

fn scanned(world: &World, policy: &str, severity: &str) -> v1::ServiceSpec {
    let (policy, severity) = (policy.to_owned(), severity.to_owned());
    let scan = Some(v1::ScanPolicy { policy, severity });
    v1::ServiceSpec { scan, ..world.service("web", "wait") }
}

async fn image(world: &World) -> String {
    world.docker.run(&["image", "inspect", "--format", "{{.Id}}", &world.image]).await
}

/// Scans now, and answers the verdict about the only service.
async fn scan(world: &World, token: &str) -> Result<v1::Verdict, Failure> {
    let request = v1::ScanImagesRequest { project_id: world.id(), service: "web".to_owned() };
    let mut client = ScanServiceClient::new(world.running().channel(token));
    Ok(refused(client.scan_images(request).await)?.verdicts.remove(0))
}

async fn verdict(world: &World) -> v1::Verdict {
    let request = v1::ListVerdictsRequest { project_id: world.id() };
    let mut client = ScanServiceClient::new(world.running().channel("viewer"));
    client.list_verdicts(request).await.expect("they are told").into_inner().verdicts.remove(0)
}

#[tokio::test(flavor = "multi_thread")]
async fn block_starts_a_clean_image_and_remembers_its_verdict() {
    let trivy = Trivy::new();
    let mut world = world(&trivy, |_| {}).await;
    let image = image(&world).await;
    trivy.tells(&image, &["LOW", "UNKNOWN", "HIGH"]);
    let ended = world.up(stack([scanned(&world, "block", "critical")])).await;
    assert_eq!(ended.state, "succeeded");
    let told = verdict(&world).await;
    assert_eq!((told.verdict.as_str(), &told.digest), ("clean", &image), "{told:#?}");
    assert_eq!((told.critical, told.high, told.low), (0, 1, 2));
    assert!(told.scanned_at.is_some() && told.database_updated_at.is_some());
    let calls = std::fs::read_to_string(trivy.path("calls")).expect("it was called");
    for flag in ["--input", "--skip-db-update", "--offline-scan", "--format json", "--timeout"] {
        assert!(calls.contains(flag), "{calls}");
    }
    // Another process of ours, and the same database: nothing is scanned again.
    world.kill().await;
    world.serve(Failpoint::default()).await;
    let id = world.ids("web").await.remove(0);
    world.docker.run(&["rm", "--force", &id]).await;
    eventually(PATIENCE, || async {
        let ids = world.ids("web").await;
        if ids.len() == 1 && ids[0] != id { Ok(()) } else { Err(ids) }
    })
    .await;
    let again = std::fs::read_to_string(trivy.path("calls")).expect("it was called");
    assert_eq!(again.lines().count(), 1, "{again}");
    let foreign = scan(&world, "viewer").await.expect_err("viewers only look");
    assert_eq!(foreign.reason, Reason::Forbidden);
}

#[tokio::test(flavor = "multi_thread")]
async fn block_refuses_findings_until_they_are_gone() {
    let trivy = Trivy::new();
    let world = world(&trivy, |_| {}).await;
    let image = image(&world).await;
    trivy.tells(&image, &["CRITICAL", "HIGH", "LOW"]);
    let operation = world.apply(stack([scanned(&world, "block", "high")])).await.expect("good");
    let ended = world.ended(&operation.id).await;
    assert_eq!((ended.state.as_str(), ended.reason.as_str()), ("failed", "SCAN_BLOCKED"));
    assert!(ended.message.contains("2 known vulnerabilities"), "{}", ended.message);
    assert!(ended.hint.contains("rebuild the image"), "{}", ended.hint);
    assert!(world.ids("web").await.is_empty(), "no container is made");
    let web = world.becomes("failed").await.services.remove(0);
    assert_eq!(web.reason, "SCAN_BLOCKED", "{web:#?}");
    let kept =
        eventually(PATIENCE, || async { failures(&world).await.pop().ok_or("no failure is kept") })
            .await;
    assert_eq!(kept.reason, "SCAN_BLOCKED");
    assert_eq!(verdict(&world).await.verdict, "findings");
    // Once they are gone, nobody needs to apply again.
    trivy.tells(&image, &["LOW"]);
    assert_eq!(scan(&world, "operator").await.expect("it may").verdict, "clean");
    world.becomes("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_proof_block_never_starts() {
    let trivy = Trivy::new();
    let world = world(&trivy, |it| (it.timeout_s, it.report_bytes_max) = (2, 10_000)).await;
    let image = image(&world).await;
    trivy.does("echo 'FATAL no such thing' >&2; exit 1");
    let operation = world.apply(stack([scanned(&world, "block", "low")])).await.expect("good");
    let ended = world.ended(&operation.id).await;
    assert_eq!(ended.reason, "SCAN_BLOCKED", "{ended:#?}");
    assert!(ended.message.contains("FATAL no such thing"), "{}", ended.message);
    let cases = [
        ("exit 0", "cannot be read"),
        ("echo '{\"SchemaVersion\": 2,'", "cannot be read"),
        ("echo '[]'", "cannot be read"),
        ("exec sleep 600", "did not end within 2 s"),
        ("yes", "did not end within 2 s"),
        ("head -c 20000 /dev/zero", "longer than 10000 bytes"),
        ("kill -9 $$", "failed"),
    ];
    for (script, why) in cases {
        trivy.does(script);
        let told = scan(&world, "operator").await.expect("it may");
        assert_eq!(told.verdict, "unknown", "{script}: {told:#?}");
        assert!(told.message.contains(why), "{script}: {}", told.message);
    }
    trivy.tells("sha256:0", &[]);
    let other = scan(&world, "operator").await.expect("it may");
    assert!(other.verdict == "unknown" && other.message.contains("sha256:0"), "{other:#?}");
    trivy.tells(&image, &[]);
    trivy.database(8);
    assert_eq!(scan(&world, "operator").await.expect("it may").verdict, "stale");
    std::fs::write(trivy.path("version.json"), r#"{"Version":"0.62.1"}"#).expect("written");
    let none = scan(&world, "operator").await.expect("it may");
    assert!(none.message.contains("--download-db-only"), "{none:#?}");
    let program = trivy.path("trivy");
    std::fs::rename(&program, trivy.path("gone")).expect("it can be moved");
    let missing = scan(&world, "operator").await.expect("it may");
    assert_eq!(missing.verdict, "unknown");
    assert!(missing.message.contains("install Trivy"), "{missing:#?}");
    assert!(world.ids("web").await.is_empty(), "nothing was ever made");
    assert_eq!(world.becomes("failed").await.services[0].reason, "SCAN_BLOCKED");
    // With proof, it starts.
    std::fs::rename(trivy.path("gone"), &program).expect("it can be moved");
    trivy.database(1);
    assert_eq!(scan(&world, "operator").await.expect("it may").verdict, "clean");
    world.becomes("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_an_image_is_scanned_its_service_starts_and_others_go_on() {
    let trivy = Trivy::new();
    let world = world(&trivy, |_| {}).await;
    let image = image(&world).await;
    trivy.tells(&image, &[]);
    let go = trivy.path("go");
    let (go_on, report) = (go.display(), trivy.path("report.json"));
    trivy.does(&format!("while [ ! -e {go_on} ]; do sleep 0.1; done; cat {}", report.display()));
    let other = v1::ServiceSpec { name: "other".to_owned(), ..scanned(&world, "off", "low") };
    world.apply(stack([scanned(&world, "block", "low"), other])).await.expect("a good spec");
    let web = eventually(PATIENCE, || async {
        let health = world.health().await;
        let of = |name: &str| health.services.iter().find(|it| it.name == name).cloned();
        match (of("web"), of("other")) {
            (Some(web), Some(other)) if other.status == "ready" => Ok(web),
            _ => Err(health),
        }
    })
    .await;
    assert_eq!((web.status.as_str(), web.reason.as_str()), ("starting", "SCAN_PENDING"));
    assert!(world.ids("web").await.is_empty());
    std::fs::write(&go, "").expect("it can be written");
    world.becomes("ready").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn warn_starts_at_once_and_tells() {
    let trivy = Trivy::new();
    let world = world(&trivy, |_| {}).await;
    let image = image(&world).await;
    trivy.tells(&image, &["CRITICAL"]);
    world.up(stack([scanned(&world, "warn", "critical")])).await;
    let told = |reason: &'static str| {
        let world = &world;
        eventually(PATIENCE, move || async move {
            let health = world.health().await;
            let web = health.services[0].clone();
            if health.status == "ready" && web.reason == reason { Ok(web) } else { Err(web) }
        })
    };
    let web = told("SCAN_FINDINGS").await;
    assert!(web.message.contains("1 critical") && !web.hint.is_empty(), "{web:#?}");
    trivy.does("exit 1");
    assert_eq!(scan(&world, "operator").await.expect("it may").verdict, "unknown");
    let web = told("SCAN_UNPROVEN").await;
    assert!(web.hint.contains("Trivy"), "{web:#?}");
}
