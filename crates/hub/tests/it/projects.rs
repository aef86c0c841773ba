//! Projects: ids and slugs, the first write, deletion.

use std::sync::atomic::Ordering;

use proto::hub::v1::{self as wire, project_service_client::ProjectServiceClient};
use reqwest::Method;
use serde_json::json;
use testkit::eventually;
use tonic::Code;

use crate::stand::{PATIENCE, Stand};

#[tokio::test]
async fn a_project_is_found_by_id_and_by_slug_in_any_case() {
    let stand = Stand::start().await;
    let id = stand.project("Web").await;
    for key in ["web", "WEB", id.as_str()] {
        let found = stand.get(&stand.admin, &format!("/api/projects/{key}")).await.expect(200);
        assert_eq!(found.json()["slug"], "web");
    }
    let taken = json!({ "slug": "WEB" });
    stand.post(&stand.admin, "/api/projects", &taken).await.expect(409);
}

#[tokio::test]
async fn an_operators_first_write_makes_the_project_and_a_scoped_ones_does_not() {
    let stand = Stand::start().await;
    let operator = stand.token("operator", &[]).await;
    let body = json!({ "project": "P", "text": "# Hello" });
    stand.post(&operator, "/api/knowledge/documents", &body).await.expect(202);
    let made = stand.get(&operator, "/api/projects/p").await.expect(200).json();
    assert_eq!(made["name"], "P");

    let scoped = stand.token("operator", &["p"]).await;
    let body = json!({ "project": "q", "text": "# Hello" });
    stand.post(&scoped, "/api/knowledge/documents", &body).await.expect(404);
    stand.post(&scoped, "/api/projects", &json!({ "slug": "q" })).await.expect(403);
    stand.get(&stand.admin, "/api/projects/q").await.expect(404);
}

#[tokio::test]
async fn there_are_only_so_many_projects() {
    let stand = Stand::start().await;
    let many = "INSERT INTO hub.project (id, slug, name)
                SELECT gen_random_uuid(), 'p' || n, 'p' FROM generate_series(1, 1000) AS n";
    sqlx::query(many).execute(&stand.pool).await.expect("they are made");
    let one_more = stand.post(&stand.admin, "/api/projects", &json!({ "slug": "q" })).await;
    let problem = one_more.expect(409).json();
    assert!(problem["detail"].as_str().unwrap().contains("1000 projects"), "{problem}");
}

#[tokio::test]
async fn a_deleted_project_takes_its_sources_along() {
    let stand = Stand::start().await;
    let id = stand.project("old").await;
    stand.feed("old", "one").await;
    stand.feed("old", "two").await;
    let scoped = stand.token("viewer", &["old"]).await;
    let answer = stand.send(&stand.admin, Method::DELETE, "/api/projects/old", &json!({})).await;
    let job = answer.expect(202).json()["job_id"].as_str().unwrap().to_owned();
    let body = json!({ "project": "old", "text": "x" });
    let late = stand.post(&stand.admin, "/api/knowledge/documents", &body).await;
    assert!(matches!(late.status.as_u16(), 202 | 409), "{late:?}");
    eventually(PATIENCE, || async {
        let gone = stand.get(&stand.admin, &format!("/api/projects/{id}")).await;
        if gone.status.as_u16() == 404 { Ok(()) } else { Err(gone) }
    })
    .await;
    assert!(stand.fake.0.sources.lock().unwrap().is_empty());
    assert_eq!(stand.fake.callers_of("delete_source")[..2], ["service:hub", "service:hub"]);
    assert_eq!(stand.get(&stand.admin, &format!("/api/jobs/{job}")).await.json()["state"], "done");
    let me = stand.get(&scoped, "/api/me").await.expect(200).json();
    assert_eq!(me["projects"], json!([]));
}

#[tokio::test]
async fn a_deleted_project_waits_for_the_orchestrator_to_have_purged_it() {
    let stand = Stand::start().await;
    let id = stand.project("old").await;
    stand.fake.has_stack(&id);
    stand.fake.orchestrator_refuses(Some(Code::Unavailable));
    let answer = stand.send(&stand.admin, Method::DELETE, "/api/projects/old", &json!({})).await;
    let job = answer.expect(202).json()["job_id"].as_str().unwrap().to_owned();
    let asked = |times: usize| {
        let stand = &stand;
        eventually(PATIENCE, move || async move {
            let asked = stand.fake.callers_of("purge_project");
            if asked.len() >= times { Ok(()) } else { Err(asked) }
        })
    };
    asked(2).await;
    let job = async || stand.get(&stand.admin, &format!("/api/jobs/{job}")).await.json();
    let waits = job().await;
    assert!(matches!(waits["state"].as_str(), Some("queued" | "running")), "{waits}");
    assert_eq!(waits["attempt"], 0, "waiting is no failed attempt");
    stand.get(&stand.admin, "/api/projects/old").await.expect(200);

    stand.fake.0.held.purges_left.store(1, Ordering::SeqCst);
    stand.fake.orchestrator_refuses(None);
    eventually(PATIENCE, || async {
        let gone = stand.get(&stand.admin, &format!("/api/projects/{id}")).await;
        if gone.status.as_u16() == 404 { Ok(()) } else { Err(gone) }
    })
    .await;
    assert!(stand.fake.0.held.stacks.lock().unwrap().is_empty());
    assert!(stand.fake.callers_of("purge_project").iter().all(|who| who == "service:hub"));
    assert_eq!(job().await["state"], "done");
}

#[tokio::test]
async fn a_grpc_client_can_name_and_make_projects() {
    let stand = Stand::start().await;
    let channel = chassis::grpc::channel(&stand.grpc_url).expect("the URL is well formed");
    let client = |token: &str| {
        let channel = chassis::grpc::with_token(channel.clone(), token).expect("a token");
        ProjectServiceClient::new(channel)
    };
    let request = || wire::CreateProjectRequest { slug: "Lab".into(), name: "The lab".into() };
    let first = client(&stand.admin).create_project(request()).await.expect("it may").into_inner();
    let second = client(&stand.admin).create_project(request()).await.expect("it may").into_inner();
    assert_eq!((first.slug.as_str(), first.name.as_str()), ("lab", "The lab"));
    assert_eq!(first.id, second.id);
    let viewer = stand.token("viewer", &["lab"]).await;
    let refused = client(&viewer).create_project(request()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::PermissionDenied);
    stand.project("other").await;
    let seen = client(&viewer).list_projects(wire::ListProjectsRequest {}).await.expect("it may");
    assert_eq!(seen.into_inner().projects.len(), 1);
}
