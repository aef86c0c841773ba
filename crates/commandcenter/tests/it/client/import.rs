//! `import`.

use std::{fs, os::unix::fs::symlink};

use serde_json::{Value, json};
use testkit::Request;

use super::{Instance, list, ok, problem};

const SOURCE: &str = "0190a5e4-7c1f-7000-8000-000000000003";

/// Accepts every document but those whose text is `bad`.
fn accept(request: &Request) -> testkit::Response {
    let body: Value = serde_json::from_slice(&request.body).expect("JSON");
    let documents = body["documents"].as_array().expect("documents");
    let results = documents.iter().map(|document| match document["text"] == "bad" {
        true => json!({
            "external_id": document["external_id"], "status": "refused",
            "error": {"code": "UNREADABLE", "detail": "the text has a NUL"},
        }),
        false => json!({
            "external_id": document["external_id"], "status": "accepted", "job_id": "j",
            "source_id": SOURCE,
        }),
    });
    ok(&json!({ "results": results.collect::<Vec<_>>() }))
}

async fn instance() -> Instance {
    let instance = Instance::start().await;
    instance.refuses("sources", 404, "NOT_FOUND", "there is no project web");
    instance.site.answer("/api/knowledge/documents", accept);
    instance
}

fn documents(instance: &Instance) -> Vec<Value> {
    let requests = instance.sent("knowledge/documents");
    let documents = requests.iter().filter_map(|body| body["documents"].as_array());
    documents.flatten().cloned().collect()
}

#[tokio::test]
async fn a_folder_becomes_documents() {
    let instance = instance().await;
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    fs::create_dir(root.join("guide")).unwrap();
    fs::write(root.join("guide/a b.md"), "# A").unwrap();
    fs::write(root.join("latin.txt"), b"caf\xe9").unwrap();
    fs::write(root.join("page.HTM"), "<p>x").unwrap();
    fs::write(root.join("image.png"), "x").unwrap();
    fs::write(root.join(".hidden.md"), "x").unwrap();
    symlink("/etc/passwd", root.join("out.txt")).unwrap();
    let path = root.to_str().unwrap();
    let ended =
        instance.run(&["import", path, "--project", "web", "--tag", "t", "-o", "json"]).await.ok();
    let result = ended.json();
    assert_eq!(
        (&result["accepted"], &result["skipped"], &result["refused"], &result["source_id"]),
        (&json!(3), &json!(3), &json!(0), &json!(SOURCE))
    );
    let documents = documents(&instance);
    assert_eq!(
        documents[0],
        json!({
            "project": "web", "source": "manual", "tags": ["t"], "media_type": "text/markdown",
            "external_id": format!("{path}/guide/a b.md"), "text": "# A",
            "url": format!("file://{path}/guide/a%20b.md"),
        })
    );
    assert_eq!(documents[1]["content_base64"], "Y2Fm6Q==");
    assert_eq!(documents[2]["media_type"], "text/html");
}

#[tokio::test]
async fn a_file_may_be_read_on_the_web() {
    let instance = instance().await;
    let file = instance.file("a.md", "# A");
    let args = [
        "import",
        file.to_str().unwrap(),
        "--project",
        "web",
        "--base-url",
        "https://d.example/v1/",
    ];
    instance.run(&args).await.ok();
    assert_eq!(documents(&instance)[0]["url"], "https://d.example/v1/a.md");
}

#[tokio::test]
async fn requests_are_bounded() {
    let instance = instance().await;
    let folder = tempfile::tempdir().unwrap();
    for number in 0..130 {
        fs::write(folder.path().join(format!("{number:03}.md")), "x").unwrap();
    }
    for letter in ["a", "b"] {
        let large = "x".repeat(7 * 1024 * 1024);
        fs::write(folder.path().join(format!("z{letter}.md")), large).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    instance.run(&["import", path, "--project", "web"]).await.ok();
    let requests = instance.sent("knowledge/documents");
    let sizes: Vec<usize> =
        requests.iter().map(|body| body["documents"].as_array().unwrap().len()).collect();
    assert_eq!(sizes, [100, 31, 1]);
}

#[tokio::test]
async fn what_is_not_imported_is_named_and_the_rest_goes_on() {
    let instance = instance().await;
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("bad.md"), "bad").unwrap();
    fs::write(folder.path().join("good.md"), "good").unwrap();
    fs::File::create(folder.path().join("large.md")).unwrap().set_len(8 * 1024 * 1024 + 1).unwrap();
    let path = folder.path().to_str().unwrap();
    let ended = instance.run(&["import", path, "--project", "web", "-o", "json"]).await;
    let ended = ended
        .failed(1, &["2 of 3 files", "bad.md: the text has a NUL", "large.md: larger than 8 MiB"]);
    assert_eq!(ended.json()["accepted"], 1);
}

#[tokio::test]
async fn nothing_to_import_is_a_failure() {
    let instance = instance().await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    instance.run(&["import", path, "--project", "web"]).await.failed(1, &["nothing to import"]);
    let missing = instance.run(&["import", "/nonexistent", "--project", "web"]).await;
    missing.failed(3, &["/nonexistent"]);
    assert!(documents(&instance).is_empty());
}

#[tokio::test]
async fn a_busy_server_is_asked_again() {
    let instance = instance().await;
    let file = instance.file("a.md", "# A");
    let busy = problem(429, "BACKLOG", "the queue is full");
    let accepted = ok(&json!({"results": [{"source_id": SOURCE}]}));
    instance.site.serve_each("/api/knowledge/documents", [busy, accepted]);
    instance.run(&["import", file.to_str().unwrap(), "--project", "web"]).await.ok();
    assert_eq!(instance.asked("knowledge/documents").len(), 2);
}

#[tokio::test]
async fn wait_follows_the_source_that_holds_the_documents() {
    let instance = instance().await;
    let file = instance.file("a.md", "# A");
    let args = ["import", file.to_str().unwrap(), "--project", "web", "--wait", "-o", "json"];
    let job = json!({"id": "j", "state": "running", "subject": "a.md"});
    instance.answers_each("jobs", [list(&[job]), list(&[])]);
    assert_eq!(instance.run(&args).await.ok().json()["dead"], json!([]));
    for request in instance.asked("jobs") {
        assert!(request.query.starts_with(&format!("source={SOURCE}&")), "{}", request.query);
    }

    let dead = json!({"id": "j", "subject": "a.md", "last_error": "no text in it"});
    instance.answers_each("jobs", [list(&[]), list(&[dead])]);
    instance.run(&args).await.failed(1, &["a.md: no text in it"]);
}
