//! Jobs and dead letters, over REST and gRPC.

use ::jobs::{Error, Job, NewJob, Outcome, Run};
use chassis::grpc;
use proto::{
    JobId, ProjectId, Reason,
    jobs::v1::{self as wire, job_service_client::JobServiceClient},
};
use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::stand::Stand;

/// Work that no worker here knows.
#[derive(Debug, Serialize, Deserialize)]
struct Idle {}

impl Job for Idle {
    const KIND: &'static str = "test.idle";
    type Context = ();

    async fn run(self, (): (), _: Run) -> Result<Outcome, Error> {
        Ok(Outcome::Done)
    }
}

/// A job that waits for ever.
pub(crate) async fn job(stand: &Stand, project: &str, subject: &str) -> String {
    let project: ProjectId = project.parse().expect("an id");
    let mut connection = stand.pool.acquire().await.expect("Postgres is up");
    let new = NewJob::new(&Idle {}, subject).project(project);
    let enqueued = ::jobs::enqueue(&mut connection, new).await.expect("it is accepted");
    enqueued.id.to_string()
}

/// A job that gave up.
pub(crate) async fn dead_job(stand: &Stand, project: &str, subject: &str) -> String {
    let id = job(stand, project, subject).await;
    sqlx::query(
        "UPDATE jobs.job SET state = 'dead', finished_at = now(), attempt = 8,
             last_error = 'a.example answered 503', error_signature = '* answered 503'
         WHERE id = $1",
    )
    .bind(id.parse::<JobId>().expect("an id"))
    .execute(&stand.pool)
    .await
    .expect("it dies");
    id
}

#[tokio::test]
async fn jobs_are_listed_by_filter_with_counts_and_pages() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    for n in 0..5 {
        job(&stand, &project, &format!("job {n}")).await;
    }
    dead_job(&stand, &project, "dead one").await;
    let list = stand.get(&stand.admin, "/api/jobs?project=p&state=queued&page_size=2").await;
    let list = list.expect(200).json();
    assert_eq!(
        list["counts"],
        json!({"queued": 5, "running": 0, "done": 0, "dead": 1, "cancelled": 0})
    );
    assert_eq!(list["items"][0]["subject"], "job 4");
    assert_eq!(list["items"][0]["project"], "p");
    let token = list["next_page_token"].as_str().expect("there is more");
    let next = format!("/api/jobs?project=p&state=queued&page_size=2&page_token={token}");
    let next = stand.get(&stand.admin, &next).await.expect(200).json();
    assert_eq!(next["items"][0]["subject"], "job 2");
    let wrong = stand.get(&stand.admin, "/api/jobs?state=sleeping").await.expect(400).json();
    assert_eq!(wrong["errors"][0]["field"], "state");
}

#[tokio::test]
async fn sources_of_the_same_name_are_all_listed() {
    let stand = Stand::start().await;
    for (slug, subject) in [("p", "first"), ("q", "second")] {
        let project = stand.project(slug).await;
        let body = json!({
            "project": slug, "kind": "feed", "name": "news",
            "url": format!("https://{slug}.example/f"),
        });
        let made = stand.post(&stand.admin, "/api/sources", &body).await.expect(201).json();
        let source: uuid::Uuid = made["id"].as_str().unwrap().parse().expect("an id");
        let id = job(&stand, &project, subject).await;
        sqlx::query("UPDATE jobs.job SET group_id = $2 WHERE id = $1")
            .bind(id.parse::<JobId>().expect("an id"))
            .bind(source)
            .execute(&stand.pool)
            .await
            .expect("the source asked for it");
    }
    job(&stand, &stand.project("r").await, "of no source").await;
    let list = stand.get(&stand.admin, "/api/jobs?source=news").await.expect(200).json();
    let subjects = list["items"].as_array().unwrap().iter().map(|job| job["subject"].clone());
    assert_eq!(subjects.collect::<Vec<_>>(), ["second", "first"]);
}

#[tokio::test]
async fn a_job_is_cancelled_and_retried_and_the_audit_log_knows() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let id = job(&stand, &project, "a job").await;
    let operator = stand.token("operator", &["p"]).await;
    let path = format!("/api/jobs/{id}/cancel");
    assert_eq!(
        stand.post(&operator, &path, &json!({})).await.expect(200).json()["state"],
        "cancelled"
    );
    stand.post(&operator, &path, &json!({})).await.expect(409);
    let path = format!("/api/jobs/{id}/retry");
    assert_eq!(
        stand.post(&operator, &path, &json!({})).await.expect(200).json()["state"],
        "queued"
    );
    let audit = stand.get(&stand.admin, "/api/audit").await.expect(200).json();
    assert_eq!(audit["items"][0]["action"], "job.retry");
    assert_eq!(audit["items"][0]["actor"], "a operator");
    assert_eq!(audit["items"][0]["before"], json!({"state": "cancelled"}));
    assert_eq!(audit["items"][0]["after"], json!({"state": "queued"}));
}

#[tokio::test]
async fn dead_letters_are_grouped_counted_and_retried_by_filter() {
    let stand = Stand::start().await;
    let project = stand.project("p").await;
    let other = stand.project("other").await;
    for n in 0..3 {
        dead_job(&stand, &project, &format!("job {n}")).await;
    }
    dead_job(&stand, &other, "elsewhere").await;
    let groups = stand.get(&stand.admin, "/api/dead-letters?project=p").await.expect(200).json();
    assert_eq!(groups["items"][0]["count"], 3);
    assert_eq!(groups["items"][0]["signature"], "* answered 503");

    let filter = json!({ "kind": "test.idle", "signature": "* answered 503", "project": "p" });
    let mut dry = filter.clone();
    dry["dry_run"] = json!(true);
    let counted = stand.post(&stand.admin, "/api/dead-letters/retry", &dry).await.expect(200);
    assert_eq!(counted.json(), json!({ "count": 3, "dry_run": true }));
    let retried = stand.post(&stand.admin, "/api/dead-letters/retry", &filter).await.expect(200);
    assert_eq!(retried.json()["count"], 3);
    let again = stand.post(&stand.admin, "/api/dead-letters/retry", &filter).await.expect(200);
    assert_eq!(again.json()["count"], 0);
    let discard = json!({ "project": "other" });
    let gone = stand.post(&stand.admin, "/api/dead-letters/discard", &discard).await.expect(200);
    assert_eq!(gone.json()["count"], 1);
}

#[tokio::test]
async fn a_grpc_client_sees_the_jobs_of_its_projects_only() {
    let stand = Stand::start().await;
    let mine = stand.project("mine").await;
    let other = stand.project("other").await;
    let id = job(&stand, &mine, "my job").await;
    let foreign = dead_job(&stand, &other, "their job").await;
    let token = stand.token("viewer", &["mine"]).await;
    let channel = grpc::channel(&stand.grpc_url).expect("the URL is well formed");
    let mut client =
        JobServiceClient::new(grpc::with_token(channel.clone(), &token).expect("a token"));
    let list =
        client.list_jobs(wire::ListJobsRequest::default()).await.expect("it may").into_inner();
    assert_eq!(list.jobs.iter().map(|job| job.subject.as_str()).collect::<Vec<_>>(), ["my job"]);
    assert_eq!(list.counts["queued"], 1);
    assert_eq!(list.counts["dead"], 0);

    let refused = client.get_job(wire::GetJobRequest { id: foreign }).await.unwrap_err();
    assert_eq!(proto::Failure::from_status(&refused).reason, Reason::NotFound);
    let refused = client.cancel_job(wire::CancelJobRequest { id }).await.unwrap_err();
    assert_eq!(proto::Failure::from_status(&refused).reason, Reason::Forbidden);
    let mut stranger =
        JobServiceClient::new(grpc::with_token(channel, "cct_wrong").expect("a token"));
    let refused = stranger.list_jobs(wire::ListJobsRequest::default()).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::Unauthenticated);
}

#[tokio::test]
async fn a_malformed_id_is_named() {
    let stand = Stand::start().await;
    let problem = stand.get(&stand.admin, "/api/jobs/17").await.expect(400).json();
    assert_eq!(problem["errors"][0], json!({ "field": "id", "detail": "must be a UUID" }));
    stand.send(&stand.admin, Method::PUT, "/api/jobs", &json!({})).await.expect(405);
}
