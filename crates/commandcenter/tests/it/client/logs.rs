//! `logs`.

use serde_json::{Value, json};
use testkit::{Body, Response};

use super::{Instance, problem, stream};

fn line(sequence: u64, text: &str) -> Value {
    json!({"service": "web", "sequence": sequence, "cursor": format!("web:{sequence}"),
           "at": "2026-01-02T03:04:05Z", "kind": "line", "stream": "stdout", "text": text})
}

#[tokio::test]
async fn lines_go_to_stdout_as_written_and_the_rest_to_stderr() {
    let instance = Instance::start().await;
    let mark = json!({"service": "web", "kind": "mark", "event": "exited", "text": "code 3"});
    let gap = json!({"service": "web", "kind": "gap", "lines": 2, "reason": "rotated"});
    let records = json!({"records": [line(1, "one"), mark, gap, line(4, "\u{1b}[31mtwo")]});
    instance.answers("projects/p/logs", records.clone());
    let args = ["logs", "p", "web", "--tail", "100"];
    let ended = instance.run(&args).await.ok();
    assert_eq!(ended.stdout, "one\n\u{1b}[31mtwo\n");
    let ended = ended.says("exited: code 3").says("2 lines are missing");
    assert!(!ended.stderr.contains("one"));
    assert_eq!(instance.asked("projects/p/logs")[0].query, "service=web&tail=100");
    let ended = instance.run(&[&args[..], &["-o", "json"]].concat()).await.ok();
    assert_eq!(ended.json(), records);
    let ended = instance.run(&["logs", "p"]).await.ok();
    assert!(ended.stdout.starts_with("web | one\n"), "{ended:?}");
}

#[tokio::test]
async fn filters_and_times_are_passed_on() {
    let instance = Instance::start().await;
    instance.answers("projects/p/logs", json!({"records": []}));
    let args = "logs p a b --tail 5 --since 2026-01-31 --until 2026-02-01T00:00:00Z --contains x \
                --level warn";
    instance.run(&args.split_whitespace().collect::<Vec<_>>()).await.ok();
    assert_eq!(
        instance.asked("projects/p/logs")[0].query,
        "service=a&service=b&contains=x&level=warn&until=2026-02-01T00%3A00%3A00.000000000Z\
         &tail=5&since=2026-01-31T00%3A00%3A00.000000000Z"
    );
    for wrong in [&["--since", "soon"][..], &["--tail", "0"], &["--level", "loud"]] {
        instance.run(&[&["logs", "p", "a"], wrong].concat()).await.failed(2, &[wrong[1]]);
    }
    instance.refuses("projects/p/logs", 404, "NOT_FOUND", "there is no service c");
    instance.run(&["logs", "p", "c"]).await.failed(3, &["there is no service c"]);
}

#[tokio::test]
async fn a_follower_goes_on_after_a_cut_without_repeats() {
    let instance = Instance::start().await;
    let record = |sequence: u64| {
        let cursor = format!("web:{sequence}");
        let cursor: &'static str = cursor.leak();
        ("record", cursor, line(sequence, &format!("line {sequence}")))
    };
    let broken = Response::of(Body::Broken(stream(&[record(1), record(2)]).whole()));
    let answers = [
        broken.content_type("text/event-stream"),
        problem(503, "UNAVAILABLE", "it starts"),
        stream(&[record(3)]),
        stream(&[("problem", "", json!({"status": 404, "detail": "the project is gone"}))]),
    ];
    instance.site.serve_each("/api/projects/p/logs", answers);
    let args = ["logs", "p", "web", "--follow", "--tail", "7"];
    let ended = instance.run(&args).await.failed(3, &["the project is gone"]);
    assert_eq!(ended.stdout, "line 1\nline 2\nline 3\n");
    let asked = instance.asked("projects/p/logs");
    assert_eq!(asked[0].query, "service=web&follow=true&tail=7");
    assert_eq!(asked[1].query, "service=web&follow=true");
    let places: Vec<_> = asked.iter().map(|it| it.header("last-event-id")).collect();
    assert_eq!(places, [None, Some("web:2"), Some("web:2"), Some("web:3")]);
}

#[tokio::test]
async fn a_follower_ends_when_nobody_reads_it() {
    let instance = Instance::start().await;
    let bytes = stream(&[("record", "web:1", line(1, "one"))]).whole();
    // The same record again and again: more than a pipe holds.
    let endless = Response::endless(bytes).content_type("text/event-stream");
    instance.site.serve("/api/projects/p/logs", endless);
    let mut command = super::program();
    let mut follower = command
        .env("COMMANDCENTER_DATA_DIR", instance.dir.path())
        .args(["logs", "p", "web", "--follow"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .expect("it starts");
    drop(follower.stdout.take());
    let ended = tokio::time::timeout(super::COMMAND_TIMEOUT, follower.wait()).await;
    assert!(ended.expect("it ends").expect("it is our child").success());
}
