//! Sources over REST.

use proto::{SourceId, ingestion::v1 as wire};
use reqwest::Method;
use serde_json::json;
use testkit::eventually;

use crate::stand::{PATIENCE, Stand};

#[tokio::test]
async fn a_source_is_added_with_the_callers_own_token() {
    let stand = Stand::start().await;
    let operator = stand.token("operator", &[]).await;
    let body = json!({
        "project": "web", "kind": "feed", "url": "https://a.example/feed.xml", "name": "news",
        "priority": 7, "schedule": "*/15 * * * *", "zone": "Europe/Berlin",
        "credential": { "kind": "basic", "username": "ann", "password": "hidden-word" },
    });
    let made = stand.post(&operator, "/api/sources", &body).await.expect(201);
    assert!(!made.text.contains("hidden-word"));
    let made = made.json();
    assert_eq!(made["project"], "web");
    assert_eq!(made["priority"], 7);
    assert_eq!(made["schedule"], "*/15 * * * *");
    assert_eq!(made["next_runs"].as_array().unwrap().len(), 3);
    assert_eq!(stand.fake.callers_of("create_source"), ["a operator"]);
    let sent = stand.fake.0.created.lock().unwrap()[0].clone();
    assert_eq!(sent.schedule.unwrap().zone, "Europe/Berlin");
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200).text;
    assert!(audit.contains("source.create") && !audit.contains("hidden-word"));
    // The same address again.
    let again = stand.post(&operator, "/api/sources", &body).await.expect(409).json();
    assert_eq!(again["errors"][0]["field"], "url");
}

#[tokio::test]
async fn a_change_touches_only_what_it_names() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let id = stand.feed("p", "news").await;
    let path = format!("/api/sources/{id}");
    let change = json!({ "zone": "Asia/Tokyo", "credential": { "kind": "none" } });
    stand.send(&stand.admin, Method::PATCH, &path, &change).await.expect(200);
    let sent = stand.fake.0.updated.lock().unwrap()[0].clone();
    assert_eq!((sent.name, sent.url, sent.priority, sent.paused), (None, None, None, None));
    // A schedule travels whole: the expression comes along with its new zone.
    assert_eq!(sent.schedule.unwrap().expression, "hourly");
    assert!(sent.clear_credential);

    let paused = stand.send(&stand.admin, Method::PATCH, &path, &json!({ "paused": true })).await;
    assert_eq!(paused.expect(200).json()["paused"], true);
    assert!(stand.fake.0.updated.lock().unwrap()[1].schedule.is_none());
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200).json();
    assert_eq!(audit["items"][0]["before"], json!({ "paused": false }));
    assert_eq!(audit["items"][0]["after"], json!({ "paused": true }));
}

#[tokio::test]
async fn a_credential_of_the_same_kind_is_recorded_as_replaced() {
    let stand = Stand::start().await;
    let basic = |password| json!({ "kind": "basic", "username": "ann", "password": password });
    let body = json!({
        "project": "p", "kind": "feed", "url": "https://a.example/f", "credential": basic("old"),
    });
    let made = stand.post(&stand.admin, "/api/sources", &body).await.expect(201).json();
    let path = format!("/api/sources/{}", made["id"].as_str().unwrap());
    let change = json!({ "credential": basic("hidden-word") });
    stand.send(&stand.admin, Method::PATCH, &path, &change).await.expect(200);
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200);
    assert_eq!(audit.json()["items"][0]["after"], json!({ "credential": "replaced" }));
    assert!(!audit.text.contains("hidden-word"));
}

#[tokio::test]
async fn a_refused_source_leaves_no_project_behind() {
    let stand = Stand::start().await;
    let body = |schedule| {
        json!({
            "project": "typo", "kind": "feed", "url": "https://a.example/f", "schedule": schedule,
        })
    };
    stand.post(&stand.admin, "/api/sources", &body("every now and then")).await.expect(400);
    stand.get(&stand.admin, "/api/projects/typo").await.expect(404);
    // What somebody else put into it in this very instant goes with it.
    let late = wire::Source { id: SourceId::generate().to_string(), ..Default::default() };
    *stand.fake.0.late.lock().unwrap() = Some(late);
    stand.post(&stand.admin, "/api/sources", &body("every now and then")).await.expect(400);
    stand.get(&stand.admin, "/api/projects/typo").await.expect(404);
    assert_eq!(stand.fake.0.sources.lock().unwrap().len(), 1);
    sqlx::query("UPDATE jobs.job SET due_at = now() WHERE kind = 'hub.purge-project'")
        .execute(&stand.pool)
        .await
        .expect("the time is turned on");
    eventually(PATIENCE, || async {
        let left = stand.fake.0.sources.lock().unwrap().len();
        if left == 0 { Ok(()) } else { Err(left) }
    })
    .await;
    // One that was there stays, and so does one that something has come into.
    stand.project("typo").await;
    stand.post(&stand.admin, "/api/sources", &body("every now and then")).await.expect(400);
    stand.get(&stand.admin, "/api/projects/typo").await.expect(200);
}

#[tokio::test]
async fn a_source_is_run_tested_and_deleted() {
    let stand = Stand::start().await;
    stand.project("p").await;
    let id = stand.feed("p", "news").await;
    let post = async |path: String| stand.post(&stand.admin, &path, &json!({})).await;
    assert!(post(format!("/api/sources/{id}/run")).await.expect(202).json()["job_id"].is_string());
    assert_eq!(post(format!("/api/sources/{id}/test")).await.expect(200).json()["items"], 12);
    let body = json!({ "kind": "feed", "url": "https://a.example/page.html" });
    let refused = stand.post(&stand.admin, "/api/sources/test", &body).await.expect(422).json();
    // A project that does not exist yet is no obstacle.
    let body = json!({ "kind": "feed", "url": "https://a.example/f", "project": "to-come" });
    stand.post(&stand.admin, "/api/sources/test", &body).await.expect(200);
    stand.get(&stand.admin, "/api/projects/to-come").await.expect(404);
    assert_eq!(refused["code"], "NOT_A_FEED");
    let runs = stand.get(&stand.admin, &format!("/api/sources/{id}/runs")).await.expect(200);
    assert_eq!(runs.json()["items"][1]["error"], "a.example answered 503");
    let path = format!("/api/sources/{id}");
    stand.send(&stand.admin, Method::DELETE, &path, &json!({})).await.expect(202);
    stand.get(&stand.admin, &path).await.expect(404);
    stand.send(&stand.admin, Method::DELETE, &path, &json!({})).await.expect(404);
}

#[tokio::test]
async fn a_schedule_is_explained() {
    let stand = Stand::start().await;
    let path = "/api/schedules/preview?expression=hourly&zone=UTC";
    let preview = stand.get(&stand.admin, path).await.expect(200).json();
    assert_eq!(preview["text"], "Every hour");
    assert_eq!(preview["next_runs"].as_array().unwrap().len(), 3);
    let path = "/api/schedules/preview?expression=every+now+and+then";
    stand.get(&stand.admin, path).await.expect(400);
}
