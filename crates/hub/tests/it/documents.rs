//! Documents and search over REST.

use proto::knowledge::v1::search_request::{Collapse, Mode};
use reqwest::Method;
use serde_json::json;

use crate::stand::Stand;

#[tokio::test]
async fn one_document_is_accepted_or_refused_as_a_whole() {
    let stand = Stand::start().await;
    let body = json!({
        "project": "p", "source": "notes", "external_id": "a.md", "title": "A", "text": "# A",
        "tags": ["x"], "published_at": "2026-05-01T00:00:00Z", "priority": 9,
    });
    let answer = stand.post(&stand.admin, "/api/knowledge/documents", &body).await.expect(202);
    let result = answer.json()["results"][0].clone();
    assert_eq!(result["status"], "accepted");
    assert!(result["job_id"].is_string() && result["source_id"].is_string());
    let sent = stand.fake.0.submitted.lock().unwrap()[0].clone();
    assert_eq!((sent.source_name.as_str(), sent.priority), ("notes", Some(9)));
    assert_eq!(sent.items[0].content, b"# A");

    let nul = json!({ "project": "p", "text": "a\u{0}b" });
    let problem = stand.post(&stand.admin, "/api/knowledge/documents", &nul).await.expect(422);
    assert_eq!(problem.json()["code"], "UNREADABLE");
    let large = json!({ "project": "p", "text": "x".repeat(8 * 1024 * 1024 + 1) });
    let problem = stand.post(&stand.admin, "/api/knowledge/documents", &large).await.expect(413);
    assert!(problem.json()["detail"].as_str().unwrap().contains("8 MiB"));
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200).json();
    let entry = audit["items"].as_array().unwrap().iter().rfind(|it| it["object"] == "notes");
    let entry = entry.expect("it is recorded");
    assert_eq!(entry["action"], "document.submit");
    assert_eq!(entry["after"], json!({ "accepted": 1, "unchanged": 0, "refused": 0 }));
    let neither = json!({ "project": "typo" });
    stand.post(&stand.admin, "/api/knowledge/documents", &neither).await.expect(400);
    stand.get(&stand.admin, "/api/projects/typo").await.expect(404);
    let homeless = json!({ "text": "x" });
    let problem = stand.post(&stand.admin, "/api/knowledge/documents", &homeless).await.expect(400);
    assert_eq!(problem.json()["errors"][0]["field"], "project");
}

#[tokio::test]
async fn many_documents_have_a_result_each_in_their_order() {
    let stand = Stand::start().await;
    let documents: Vec<_> = (0..120)
        .map(|n| {
            let text = if n == 7 { "a\u{0}b".to_owned() } else { format!("text {n}") };
            json!({ "project": "p", "external_id": format!("{n}"), "text": text })
        })
        .collect();
    let body = json!({ "documents": documents });
    let answer = stand.post(&stand.admin, "/api/knowledge/documents", &body).await.expect(202);
    let results = answer.json()["results"].as_array().unwrap().clone();
    assert_eq!(results.len(), 120);
    for (n, result) in results.iter().enumerate() {
        assert_eq!(result["external_id"], n.to_string());
        assert_eq!(result["status"], if n == 7 { "refused" } else { "accepted" });
    }
    assert_eq!(results[7]["error"]["code"], "UNREADABLE");
    assert_eq!(stand.fake.0.submitted.lock().unwrap().len(), 2);
    let empty = json!({ "documents": [] });
    stand.post(&stand.admin, "/api/knowledge/documents", &empty).await.expect(400);
}

#[tokio::test]
async fn a_document_is_read_and_deleted() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let id = stand.document(&project, "Crabs");
    let list = stand.get(&stand.admin, "/api/knowledge/documents?project=p").await.expect(200);
    assert_eq!(list.json()["items"][0]["title"], "Crabs");
    assert!(list.json()["items"][0].get("text").is_none());
    let path = format!("/api/knowledge/documents/{id}");
    let document = stand.get(&stand.admin, &path).await.expect(200).json();
    assert!(document["text"].as_str().unwrap().starts_with("# Crabs"));
    stand.send(&stand.admin, Method::DELETE, &path, &json!({})).await.expect(204);
    stand.get(&stand.admin, &path).await.expect(404);
}

#[tokio::test]
async fn a_search_answers_with_citations() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let id = stand.document(&project, "Crabs");
    let feed = stand.feed("p", "crab news").await;
    let path = "/api/knowledge/search?q=ferris&project=p&source=crab+news&tag=a&tag=b\
                &collapse=off&explain=true&mode=lexical&recency=0.1&limit=5&since=2026-01-01";
    let answer = stand.get(&stand.admin, path).await.expect(200).json();
    let result = &answer["results"][0];
    assert_eq!(result["title"], "Crabs");
    assert_eq!(result["source"], "crab news");
    assert_eq!(result["document_id"], id.as_str());
    assert_eq!(result["project"], "p");
    assert_eq!(result["highlights"], json!([{ "start": 0, "end": 6 }]));
    assert_eq!(result["explain"]["priority"], 7);
    assert_eq!(answer["embedder"]["name"], "hash-v1");
    let sent = stand.fake.0.searches.lock().unwrap()[0].clone();
    let filter = sent.filter.clone().unwrap();
    assert_eq!(filter.project_ids, [project]);
    assert_eq!(filter.source_ids, [feed]);
    assert_eq!(filter.tags, ["a", "b"]);
    assert!(filter.since.is_some() && filter.until.is_none());
    assert_eq!((sent.collapse(), sent.mode()), (Collapse::Off, Mode::Lexical));
    assert_eq!((sent.limit, sent.recency_weight), (5, 0.1));

    let body = json!({ "query": "ferris", "project": "p", "tag": ["a"] });
    stand.post(&stand.admin, "/api/knowledge/search", &body).await.expect(200);
    let unknown = "/api/knowledge/search?q=x&source=nothing";
    let problem = stand.get(&stand.admin, unknown).await.expect(404).json();
    assert_eq!(problem["errors"][0]["field"], "source");
    stand.get(&stand.admin, "/api/knowledge/search?q=x&project=nothing").await.expect(404);
}

#[tokio::test]
async fn status_says_which_embedder_is_at_work() {
    let stand = Stand::start().await;
    let status = stand.get(&stand.admin, "/api/status").await.expect(200).json();
    assert_eq!(status["state"], "ready");
    assert_eq!(status["embedder"]["name"], "hash-v1");
    assert!(status["index"]["warning"].as_str().unwrap().contains("words only"));
    assert_eq!(status["services"][0]["name"], "hub");
    let index = stand.get(&stand.admin, "/api/knowledge/index").await.expect(200).json();
    assert_eq!(index["models"][0]["embedded"], 40);
}
