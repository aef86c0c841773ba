//! `search`.

use serde_json::{Value, json};

use super::Instance;

fn answer() -> Value {
    json!({
        "results": [{
            "title": "Rotate \u{1b}[31mtokens", "url": "https://a.example/x", "text": "First line.\nSecond.",
            "score": 0.5, "source": "docs", "document_id": "d", "heading": "Guide > Tokens",
            "also_in": [{"title": "Copy", "source": "mirror"}],
        }],
        "embedder": {"semantic": true}, "duration_ms": 1.5, "cache": "miss",
    })
}

#[tokio::test]
async fn json_is_what_the_api_says() {
    let instance = Instance::start().await;
    instance.answers("knowledge/search", answer());
    let args = ["search", "rotate tokens", "--project", "P", "--limit", "10", "-o", "json"];
    let ended = instance.run(&args).await.ok();
    assert_eq!(ended.json(), answer());
    assert_eq!(instance.asked("knowledge/search")[0].query, "q=rotate+tokens&limit=10&project=P");
}

#[tokio::test]
async fn every_filter_reaches_the_api() {
    let instance = Instance::start().await;
    instance.answers("knowledge/search", answer());
    let args = "search a b --source s --kind feed --author x --tag t --tag u --since 2026-01-01 \
                --until 2026-02-01 --mode lexical --collapse off --recency 0.1 --explain";
    instance.run(&args.split_whitespace().collect::<Vec<_>>()).await.ok();
    assert_eq!(
        instance.asked("knowledge/search")[0].query,
        "q=a+b&limit=10&source=s&kind=feed&author=x&tag=t&tag=u&since=2026-01-01\
         &until=2026-02-01&mode=lexical&collapse=off&recency=0.1&explain=true"
    );
}

#[tokio::test]
async fn a_person_sees_title_source_and_passage_without_control_characters() {
    let instance = Instance::start().await;
    instance.answers("knowledge/search", answer());
    let ended = instance.run(&["search", "tokens"]).await.ok();
    assert_eq!(
        ended.stdout,
        "1. Rotate  [31mtokens  [docs, 0.5000]\n   Guide > Tokens\n   https://a.example/x\n   \
         First line.\n   Second.\n   also in Copy [mirror]\n"
    );
}

#[tokio::test]
async fn nothing_found_is_no_failure() {
    let instance = Instance::start().await;
    let nothing = json!({"results": [], "embedder": {"semantic": false}});
    instance.answers("knowledge/search", nothing.clone());
    let ended = instance.run(&["search", "x"]).await.ok();
    assert!(ended.stdout.is_empty() && ended.stderr.contains("nothing found"), "{ended:?}");
    assert!(ended.stderr.contains("by words only"), "{ended:?}");
    assert_eq!(instance.run(&["search", "x", "-o", "json", "-q"]).await.ok().json(), nothing);
    instance.run(&["search", "x", "--limit", "101"]).await.failed(2, &["--limit", "1..=100"]);
}
