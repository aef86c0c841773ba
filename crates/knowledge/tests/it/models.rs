//! Changing the model while searches go on.

mod away;

use std::{
    sync::atomic::{AtomicBool, AtomicUsize, Ordering},
    time::Duration,
};

use knowledge::{
    Config,
    config::{Choice, OpenAi},
};
use proto::{
    ProjectId, SourceId,
    knowledge::v1::{SearchRequest, search_request::Mode},
};
use testkit::{Response, Site, eventually};

use crate::stand::{
    PATIENCE, Replica, Stand, ask, document, hash, index, search, settled, submit, titles,
};

const DIMENSIONS: usize = 8;

/// A server of embeddings whose every vector follows from the text alone.
async fn embedding_server() -> Site {
    let site = Site::start().await;
    answer_embeddings(&site);
    site
}

fn answer_embeddings(site: &Site) {
    site.answer("/v1/embeddings", |request| embeddings(&request.body));
}

fn embeddings(body: &[u8]) -> Response {
    let asked: serde_json::Value = serde_json::from_slice(body).expect("our client sends JSON");
    let inputs = asked["input"].as_array().expect("a list of texts");
    let data: Vec<_> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let embedding = vector(text.as_str().expect("a text"));
            serde_json::json!({ "index": index, "embedding": embedding })
        })
        .collect();
    Response::ok(serde_json::json!({ "data": data }).to_string()).content_type("application/json")
}

/// Counts letters, so that texts of the same words are near each other.
fn vector(text: &str) -> Vec<f32> {
    let mut vector = vec![0.1_f32; DIMENSIONS];
    for byte in text.to_lowercase().bytes().filter(u8::is_ascii_alphabetic) {
        vector[usize::from(byte) % DIMENSIONS] += 1.0;
    }
    vector
}

fn remote(site: &Site) -> Config {
    let openai = OpenAi {
        url: site.url("/v1"),
        model: "letters".into(),
        dimensions: DIMENSIONS,
        ..OpenAi::default()
    };
    Config { embedder: Choice::Openai, openai, ..Config::default() }
}

async fn fill(replica: &Replica, project: ProjectId, documents: usize) {
    let source = SourceId::generate();
    let input = |n| {
        let text = format!("Passage {n} is about walnut trees, the {n}th of them.");
        document(project, source, &format!("doc {n}"), &text)
    };
    let all: Vec<_> = (0..documents).map(input).collect();
    for batch in all.chunks(100) {
        submit(replica, batch.to_vec()).await;
    }
}

async fn active(replica: &Replica) -> Result<(), proto::knowledge::v1::Index> {
    let index = index(replica).await;
    let name = index.embedder.as_ref().map(|embedder| embedder.name.clone());
    if name.as_deref() == Some("letters") { Ok(()) } else { Err(index) }
}

#[tokio::test(flavor = "multi_thread")]
async fn searches_go_on_while_another_model_is_built_and_never_mix_two() {
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let site = embedding_server().await;
    // It goes on while the others are started with another choice, as in a rolling update.
    let old = stand.replica(Config { embedder: Choice::HashV1, ..remote(&site) }).await;
    fill(&old, project, 300).await;
    settled(&stand).await;

    let (stop, asked) = (AtomicBool::new(false), AtomicUsize::new(0));
    let load = async {
        while !stop.load(Ordering::Relaxed) {
            let number = asked.fetch_add(1, Ordering::Relaxed);
            let request = SearchRequest {
                mode: Mode::Semantic.into(),
                ..ask(&format!("walnut trees {}", number % 300))
            };
            let answer = search(&old.service, request).await;
            assert_eq!(answer.results.len(), 10);
            let name = answer.embedder.expect("vectors take part").name;
            assert!(["hash-v1", "letters"].contains(&name.as_str()), "{name}");
        }
    };
    let change = async {
        // Killed in the middle, wherever that is, and started again.
        for patience_ms in [200, 600] {
            let killed = stand.replica(remote(&site)).await;
            let _ = tokio::time::timeout(Duration::from_millis(patience_ms), settled(&stand)).await;
            killed.kill();
        }
        let new = stand.replica(remote(&site)).await;
        // Documents that come meanwhile get vectors of both.
        fill(&new, project, 40).await;
        eventually(PATIENCE, || active(&new)).await;
        settled(&stand).await;
        stop.store(true, Ordering::Relaxed);
        new
    };
    let ((), new) = tokio::join!(load, change);
    assert!(asked.load(Ordering::Relaxed) > 10, "there was load");

    let index = index(&new).await;
    let states: Vec<(String, String, u64, u64)> = index
        .models
        .iter()
        .map(|it| {
            (it.embedder.clone().expect("named").name, it.state.clone(), it.embedded, it.total)
        })
        .collect();
    assert_eq!(states[1], ("letters".into(), "active".into(), 340, 340));
    assert_eq!((states[0].0.as_str(), states[0].1.as_str()), ("hash-v1", "retired"));
    let request = SearchRequest { mode: Mode::Semantic.into(), ..ask("walnut trees") };
    let answer = search(&new.service, request).await;
    assert_eq!(answer.embedder.expect("vectors take part").name, "letters");
    assert_eq!(answer.results.len(), 10);
    let nearness: Option<String> = sqlx::query_scalar(
        "SELECT indexdef FROM pg_indexes WHERE indexname = 'chunk_embedding_m2_by_nearness'",
    )
    .fetch_optional(&stand.pool)
    .await
    .expect("the catalogue answers");
    assert!(nearness.is_some_and(|definition| definition.contains("hnsw")));
}

#[tokio::test(flavor = "multi_thread")]
async fn going_back_to_a_model_takes_up_its_vectors() {
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let site = embedding_server().await;
    let replica = stand.replica(remote(&site)).await;
    fill(&replica, project, 20).await;
    settled(&stand).await;
    drop(replica);
    let replica = stand.replica(hash()).await;
    let hashed = |index: &proto::knowledge::v1::Index| {
        index.embedder.as_ref().is_some_and(|it| it.name == "hash-v1")
    };
    eventually(PATIENCE, || async {
        let index = index(&replica).await;
        if hashed(&index) { Ok(()) } else { Err(index) }
    })
    .await;
    settled(&stand).await;
    drop(replica);
    site.forget_requests();
    let replica = stand.replica(remote(&site)).await;
    eventually(PATIENCE, || active(&replica)).await;
    let texts: usize = site
        .requests()
        .iter()
        .map(|request| {
            let asked: serde_json::Value = serde_json::from_slice(&request.body).expect("JSON");
            asked["input"].as_array().map_or(0, Vec::len)
        })
        .sum();
    assert_eq!(texts, 1, "nothing but the probe is embedded again");
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_folder_auto_falls_back_and_warns() {
    let stand = Stand::start(ProjectId::generate()).await;
    let replica = stand.replica(Config::default()).await;
    let index = index(&replica).await;
    assert!(index.warning.contains("hash-v1"), "{}", index.warning);
    assert_eq!(index.embedder.map(|it| it.semantic), Some(false));
    assert_eq!(titles(&replica, ask("anything")).await, [""; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_each_model_embeds_is_progress() {
    const PARTS: i64 = 100;
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let replica = stand.replica(hash()).await;
    submit(&replica, vec![document(project, SourceId::generate(), "old", "stuck")]).await;
    settled(&stand).await;
    drop(replica);
    // The server has no vector of what is there already, so its model remains in the making.
    let site = Site::start().await;
    site.answer("/v1/embeddings", |request| {
        match String::from_utf8_lossy(&request.body).contains("stuck") {
            true => Response::status(503),
            false => embeddings(&request.body),
        }
    });
    let replica = stand.replica(remote(&site)).await;
    let states: Vec<String> = index(&replica).await.models.into_iter().map(|it| it.state).collect();
    assert_eq!(states, ["active", "building"]);
    let text: String = (0..PARTS).map(|n| format!("# Part {n}\n\nWalnut {n}.\n\n")).collect();
    submit(&replica, vec![document(project, SourceId::generate(), "new", &text)]).await;
    eventually(PATIENCE, || async {
        let newest: (String, Option<i64>, Option<i64>) = sqlx::query_as(
            "SELECT state, progress_done, progress_total FROM jobs.job
             WHERE kind = 'knowledge.index' ORDER BY id DESC LIMIT 1",
        )
        .fetch_one(&stand.pool)
        .await
        .unwrap();
        let both = Some(2 * PARTS);
        if newest == ("done".to_owned(), both, both) { Ok(()) } else { Err(newest) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn another_prefix_makes_another_model() {
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let site = embedding_server().await;
    let replica = stand.replica(remote(&site)).await;
    fill(&replica, project, 3).await;
    settled(&stand).await;
    drop(replica);
    // As a row of an earlier release.
    sqlx::query("UPDATE knowledge.embedding_model SET spec_sha256 = NULL")
        .execute(&stand.pool)
        .await
        .unwrap();
    let config = remote(&site);
    let replica = stand.replica(config.clone()).await;
    assert_eq!(index(&replica).await.models.len(), 1, "it is the same");
    drop(replica);
    // The probe's letters are the same, but not those of every text that is cut.
    let openai = OpenAi { document_prefix: "1 2 3: ".into(), ..config.openai.clone() };
    let replica = stand.replica(Config { openai, ..config }).await;
    assert_eq!(index(&replica).await.models.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_model_whose_job_died_is_left_alone_for_a_while() {
    let stand = Stand::start(ProjectId::generate()).await;
    jobs::migrate(&stand.pool).await.unwrap();
    let count = async |sql: &'static str| {
        knowledge::reembed::enqueue(&stand.pool, 7).await.unwrap();
        sqlx::query_scalar::<_, i64>(sql).fetch_one(&stand.pool).await.unwrap()
    };
    let all = "SELECT count(*) FROM jobs.job WHERE NOT rerun";
    assert_eq!((count(all).await, count(all).await), (1, 1));
    for (state, expect) in [("running", 1), ("dead", 1)] {
        let set = "UPDATE jobs.job SET state = $1, finished_at = now(),
                   lease_token = CASE $1 WHEN 'running' THEN gen_random_uuid() END";
        sqlx::query(set).bind(state).execute(&stand.pool).await.unwrap();
        assert_eq!(count(all).await, expect, "{state}");
    }
    sqlx::query("UPDATE jobs.job SET finished_at = now() - interval '2 hours'")
        .execute(&stand.pool)
        .await
        .unwrap();
    assert_eq!(count(all).await, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_retired_model_that_a_backup_reads_is_dropped_later() {
    let stand = Stand::start(ProjectId::generate()).await;
    let _replica = stand.replica(hash()).await;
    sqlx::raw_sql(
        "INSERT INTO knowledge.embedding_model
             (id, provider, name, revision, dimensions, semantic, fingerprint, probe, state,
              retired_at)
         OVERRIDING SYSTEM VALUE
         VALUES (99, 'openai', 'old', '1', 3, true, 'x', '{1,0,0}', 'retired',
                 now() - interval '99 days');
         CREATE TABLE knowledge.chunk_embedding_m99
             PARTITION OF knowledge.chunk_embedding FOR VALUES IN (99)",
    )
    .execute(&stand.pool)
    .await
    .unwrap();
    let mut backup = stand.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE knowledge.chunk_embedding IN ACCESS SHARE MODE")
        .execute(&mut *backup)
        .await
        .unwrap();
    let job = knowledge::upkeep::Retention {};
    let mut connection = stand.pool.acquire().await.unwrap();
    jobs::enqueue(&mut connection, jobs::NewJob::new(&job, "tonight")).await.unwrap();
    eventually(PATIENCE, || async {
        let seen: (String, i32, i64, Option<String>) = sqlx::query_as(
            "SELECT state, claims, extract(epoch FROM due_at - now())::bigint, last_error
             FROM jobs.job WHERE kind = 'knowledge.retention'",
        )
        .fetch_one(&stand.pool)
        .await
        .unwrap();
        let later = seen.0 == "queued" && seen.1 == 1 && seen.2 > 300 && seen.3.is_none();
        if later { Ok(()) } else { Err(seen) }
    })
    .await;
    backup.rollback().await.unwrap();
    sqlx::query("UPDATE jobs.job SET due_at = now()").execute(&stand.pool).await.unwrap();
    settled(&stand).await;
    let left = "SELECT count(*) FROM pg_class WHERE relname = 'chunk_embedding_m99'";
    let left: i64 = sqlx::query_scalar(left).fetch_one(&stand.pool).await.unwrap();
    assert_eq!(left, 0);
}
