//! `source`.

use std::{collections::VecDeque, sync::Mutex};

use serde_json::{Value, json};

use super::{Instance, list, ok, problem};

const ID: &str = "0190a5e4-7c1f-7000-8000-000000000001";
const JOB: &str = "0190a5e4-7c1f-7000-8000-0000000000aa";

fn blog() -> Value {
    json!({
        "id": ID, "name": "blog", "project": "web", "kind": "feed", "url": "https://a.example/f",
        "priority": 7, "schedule": "*/15 * * * *", "credential": "none", "freshness": "new",
    })
}

fn job(id: &str, state: &str) -> Value {
    json!({
        "id": id, "kind": "ingestion.fetch", "state": state, "subject": "https://a.example/f",
        "last_error": if state == "dead" { "404 Not Found" } else { "" },
        "finished_at": "2026-01-01T00:00:00Z",
    })
}

#[tokio::test]
async fn add_prints_the_new_source() {
    let instance = Instance::start().await;
    instance.answers("sources", blog());
    let args = [
        "source",
        "add",
        "feed",
        "https://a.example/f",
        "--project",
        "web",
        "--schedule",
        "*/15 * * * *",
        "--priority",
        "7",
        "--name",
        "blog",
        "-o",
        "json",
    ];
    assert_eq!(instance.run(&args).await.ok().json()["id"], ID);
    assert_eq!(
        instance.sent("sources"),
        [json!({
            "kind": "feed", "url": "https://a.example/f", "project": "web", "name": "blog",
            "schedule": "*/15 * * * *", "priority": 7, "paused": false,
        })]
    );
}

#[tokio::test]
async fn a_priority_out_of_range_is_refused_before_anything_is_sent() {
    let instance = Instance::start().await;
    for priority in ["0", "11", "high"] {
        let args = ["source", "add", "feed", "u", "--project", "p", "--priority", priority];
        instance.run(&args).await.failed(2, &[priority, "--priority", "1 to 10"]);
    }
    assert!(instance.site.requests().is_empty());
}

#[tokio::test]
async fn credentials_come_from_files_and_are_never_echoed() {
    let instance = Instance::start().await;
    instance.answers("sources", blog());
    let file = instance.file("secret", "hunter2\n");
    let file = file.to_str().unwrap();
    let add = ["source", "add", "feed", "https://a.example/f", "--project", "web"];
    for (flags, credential) in [
        (
            &["--basic-user", "ann", "--basic-password-file", file][..],
            json!({"kind": "basic", "username": "ann", "password": "hunter2"}),
        ),
        (&["--bearer-file", file], json!({"kind": "bearer", "token": "hunter2"})),
        (
            &["--api-key-header", "X-Key", "--api-key-file", file],
            json!({"kind": "api_key", "header": "X-Key", "value": "hunter2"}),
        ),
    ] {
        let ended = instance.run(&[&add, flags].concat()).await.ok();
        assert!(!format!("{ended:?}").contains("hunter2"));
        assert_eq!(instance.sent("sources").last().unwrap()["credential"], credential);
    }
    let from_stdin = [&add[..], &["--bearer-file", "-"]].concat();
    instance.run_with(&from_stdin, "from stdin\n").await.ok();
    assert_eq!(instance.sent("sources").last().unwrap()["credential"]["token"], "from stdin");

    instance.refuses("sources", 400, "INVALID_INPUT", "no");
    let refused = instance.run(&[&add[..], &["--bearer-file", file]].concat()).await.failed(2, &[]);
    assert!(!format!("{refused:?}").contains("hunter2"));
}

#[tokio::test]
async fn credentials_are_whole_and_of_one_kind() {
    let instance = Instance::start().await;
    let add = ["source", "add", "feed", "u", "--project", "p"];
    for flags in [
        &["--basic-user", "ann"][..],
        &["--basic-password-file", "f"],
        &["--api-key-header", "h"],
        &["--bearer-file", "f", "--api-key-header", "h", "--api-key-file", "g"],
    ] {
        instance.run(&[&add, flags].concat()).await.failed(2, &[]);
    }
    let missing = [&add[..], &["--bearer-file", "/nonexistent/file"]].concat();
    instance.run(&missing).await.failed(3, &["/nonexistent/file"]);
    assert!(instance.site.requests().is_empty());
}

#[tokio::test]
async fn a_source_is_named_by_id_or_by_name_in_its_project() {
    let instance = Instance::start().await;
    instance.answers("sources", list(&[blog()]));
    instance.answers(&format!("sources/{ID}"), blog());
    for key in [ID, "blog"] {
        let args = ["source", "edit", key, "--project", "web", "--priority", "9"];
        instance.run(&args).await.ok();
    }
    let sent = instance.sent(&format!("sources/{ID}"));
    assert_eq!(sent, [json!({"priority": 9}), json!({"priority": 9})]);
    let looked_up = instance.asked("sources");
    assert_eq!(looked_up.len(), 1);
    assert_eq!(looked_up[0].query, "project=web&page_size=200");

    let unknown = instance.run(&["source", "pause", "bolg"]).await;
    unknown.failed(3, &["\"bolg\"", "source list"]);
    let twin = json!({"id": "0190a5e4-7c1f-7000-8000-000000000002", "name": "blog"});
    instance.answers("sources", list(&[blog(), twin]));
    instance.run(&["source", "pause", "blog"]).await.failed(5, &[ID, "000000000002"]);
}

#[tokio::test]
async fn pause_resume_edit_and_remove_change_the_source() {
    let instance = Instance::start().await;
    let path = format!("sources/{ID}");
    instance.site.answer(&format!("/api/{path}"), |request| match request.method.as_str() {
        "PATCH" => ok(&blog()),
        "DELETE" => ok(&json!({"job_id": JOB})),
        _ => problem(405, "INVALID_INPUT", "method"),
    });
    for (args, body) in [
        (&["pause", ID][..], json!({"paused": true})),
        (&["resume", ID], json!({"paused": false})),
        (&["edit", ID, "--schedule", ""], json!({"schedule": ""})),
        (&["edit", ID, "--feed-url", "https://b.example"], json!({"url": "https://b.example"})),
        (&["edit", ID, "--no-credential"], json!({"credential": {"kind": "none"}})),
        (&["edit", ID, "--first-import-items", "5"], json!({"feed": {"first_import_items": 5}})),
    ] {
        instance.run(&[&["source"], args].concat()).await.ok();
        assert_eq!(instance.sent(&path).last(), Some(&body));
    }
    instance.run(&["source", "edit", ID]).await.failed(2, &["what to change"]);
    let ended = instance.run(&["source", "remove", ID, "-o", "json"]).await.ok();
    assert_eq!(ended.json()["job_id"], JOB);
}

#[tokio::test]
async fn lists_are_read_page_by_page() {
    let instance = Instance::start().await;
    let page = |token: &str| json!({"items": [blog()], "next_page_token": token});
    instance.answers_each("sources", [page("2"), page("3"), page("")]);
    let ended = instance.run(&["source", "list", "--freshness", "new", "-o", "json"]).await.ok();
    assert_eq!(ended.json()["items"].as_array().unwrap().len(), 3);
    let queries: Vec<String> =
        instance.asked("sources").into_iter().map(|request| request.query).collect();
    assert_eq!(
        queries,
        [
            "freshness=new&page_size=200",
            "freshness=new&page_size=200&page_token=2",
            "freshness=new&page_size=200&page_token=3"
        ]
    );
    instance.answers("sources", page("more"));
    let ended = instance.run(&["source", "list", "--limit", "1"]).await.ok();
    assert!(ended.stdout.contains("blog") && ended.stderr.contains("--limit"), "{ended:?}");
}

#[tokio::test]
async fn test_reads_a_source_or_an_address_without_storing() {
    let instance = Instance::start().await;
    let answer = json!({"ok": true, "title": "Blog", "items": 3, "format": "RSS 2.0"});
    instance.answers("sources/test", answer.clone());
    instance.answers(&format!("sources/{ID}/test"), answer);
    let ended = instance.run(&["source", "test", "https://a.example/f"]).await.ok();
    assert!(ended.stdout.contains("RSS 2.0"), "{ended:?}");
    assert_eq!(
        instance.sent("sources/test"),
        [json!({"kind": "feed", "url": "https://a.example/f"})]
    );
    instance.run(&["source", "test", ID]).await.ok();
    instance.refuses("sources/test", 422, "NOT_A_FEED", "the page is HTML");
    let ended = instance.run(&["source", "test", "https://a.example/"]).await;
    ended.failed(1, &["the page is HTML"]);
}

#[tokio::test]
async fn run_answers_with_its_job_at_once() {
    let instance = Instance::start().await;
    instance.answers(&format!("sources/{ID}/run"), json!({"job_id": JOB}));
    let ended = instance.run(&["source", "run", ID, "-o", "json"]).await.ok();
    assert_eq!(ended.json(), json!({"job_id": JOB}));
}

/// An instance whose source has these jobs unfinished at each look, and these dead ones before
/// and after.
async fn running(unfinished: &[Value], dead: [Value; 2], state: &str) -> Instance {
    let instance = Instance::start().await;
    instance.answers(&format!("sources/{ID}/run"), json!({"job_id": JOB}));
    let run = json!({"job_id": JOB, "found": 3, "created": 2, "revised": 1, "unchanged": 0});
    instance.answers(&format!("sources/{ID}/runs"), list(&[run]));
    instance.answers(&format!("jobs/{JOB}"), job(JOB, state));
    let looks = Mutex::new((VecDeque::from(unfinished.to_vec()), VecDeque::from(dead)));
    instance.site.answer("/api/jobs", move |request| {
        let mut looks = looks.lock().expect("no look panics");
        let dead = request.query.contains("state=dead");
        let next = if dead { looks.1.pop_front() } else { looks.0.pop_front() };
        ok(&next.unwrap_or_else(|| list(&[])))
    });
    instance
}

#[tokio::test]
async fn wait_follows_the_work_to_its_end() {
    let looks = [
        list(&[job(JOB, "running")]),
        list(&[job("p1", "queued"), job("p2", "running")]),
        list(&[]),
    ];
    let old = list(&[job("old", "dead")]);
    let instance = running(&looks, [old.clone(), old], "done").await;
    let ended = instance.run(&["source", "run", ID, "--wait", "-o", "json"]).await.ok();
    let result = ended.json();
    assert_eq!((&result["state"], &result["jobs"]), (&json!("done"), &json!(3)));
    assert_eq!(result["run"]["created"], 2);
    assert_eq!(result["dead"], json!([]));
    let first = &instance.asked("jobs")[1];
    assert_eq!(first.query, format!("source={ID}&state=queued&state=running&page_size=200"));
}

#[tokio::test]
async fn wait_fails_with_the_reasons_when_a_job_died() {
    let looks = [list(&[job(JOB, "running")]), list(&[])];
    let dead = [list(&[job("old", "dead")]), list(&[job("old", "dead"), job(JOB, "dead")])];
    let instance = running(&looks, dead, "dead").await;
    let ended = instance.run(&["source", "run", ID, "--wait", "-o", "json"]).await;
    let ended = ended.failed(1, &["404 Not Found", "a job died", "dead retry"]);
    let result = ended.json();
    assert_eq!(result["state"], "dead");
    assert_eq!(result["dead"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn wait_sees_a_job_that_was_retried_and_died_again() {
    let again = json!({"id": "old", "last_error": "again", "finished_at": "2026-02-02T00:00:00Z"});
    let dead = [list(&[job("old", "dead")]), list(&[again])];
    let instance = running(&[list(&[])], dead, "done").await;
    instance.run(&["source", "run", ID, "--wait"]).await.failed(1, &["again"]);
}

#[tokio::test]
async fn wait_outlasts_a_restart_of_the_instance() {
    let instance = running(&[], [list(&[]), list(&[])], "done").await;
    let down = problem(503, "UNAVAILABLE", "not yet");
    let looks = [ok(&list(&[])), down.clone(), down, ok(&list(&[]))];
    instance.site.serve_each("/api/jobs", looks);
    instance.run(&["source", "run", ID, "--wait"]).await.ok();
}

#[tokio::test]
async fn a_cancelled_run_is_a_failure() {
    let nothing = [list(&[]), list(&[])];
    let instance = running(&[list(&[])], nothing, "cancelled").await;
    instance.run(&["source", "run", ID, "--wait"]).await.failed(1, &["cancelled", JOB]);
}

#[tokio::test]
async fn wait_has_an_end() {
    let instance = Instance::start().await;
    instance.answers(&format!("sources/{ID}/run"), json!({"job_id": JOB}));
    let waiting = json!({"id": JOB, "state": "queued", "subject": "f", "last_error": "timed out"});
    instance.answers("jobs", list(&[waiting]));
    let args = ["source", "run", ID, "--wait", "--wait-timeout", "1"];
    let ended = instance.run(&args).await;
    ended.failed(6, &["1 jobs left", "--wait-timeout", "will be tried again: f: timed out"]);
}
