//! Searches while the embedder is away or silent.

use knowledge::Config;
use proto::{
    ProjectId,
    knowledge::v1::{SearchRequest, search_request::Mode},
};
use testkit::{Body, Response, eventually};

use super::{answer_embeddings, embedding_server, fill, remote};
use crate::stand::{PATIENCE, Stand, ask, index, search, settled};

#[tokio::test(flavor = "multi_thread")]
async fn without_its_model_search_answers_from_words_and_says_so() {
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let site = embedding_server().await;
    let replica = stand.replica(remote(&site)).await;
    fill(&replica, project, 5).await;
    settled(&stand).await;
    drop(replica);
    site.serve("/v1/embeddings", Response::status(503));
    let replica = stand.replica(remote(&site)).await;
    let answer = search(&replica.service, ask("walnut")).await;
    assert_eq!(answer.results.len(), 5);
    assert_eq!(answer.embedder, None);
    let warning = index(&replica).await.warning;
    assert!(warning.contains("letters") && warning.contains("words alone"), "{warning}");
    let request = SearchRequest { mode: Mode::Semantic.into(), ..ask("walnut") };
    let refused = replica.service.clone().search(request).await.expect_err("there is no model");
    assert_eq!(refused.code(), tonic::Code::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_embedder_that_falls_silent_leaves_words_and_is_asked_again() {
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let site = embedding_server().await;
    let replica = stand.replica(Config { query_timeout_ms: 300, ..remote(&site) }).await;
    fill(&replica, project, 5).await;
    settled(&stand).await;
    site.serve("/v1/embeddings", Response::of(Body::Silence));
    site.forget_requests();
    for word in ["walnut", "trees", "walnut"] {
        let answer = search(&replica.service, ask(word)).await;
        assert_eq!((answer.results.len(), answer.embedder), (5, None));
        assert_eq!(answer.cache, "miss", "an answer for want of a better one is not kept");
    }
    assert_eq!(site.requests().len(), 1, "it is left alone for a while");
    let semantic = SearchRequest { mode: Mode::Semantic.into(), ..ask("walnut") };
    let refused = replica.service.clone().search(semantic).await.expect_err("no vector");
    assert_eq!(refused.code(), tonic::Code::Unavailable);
    answer_embeddings(&site);
    eventually(PATIENCE, || async {
        let answer = search(&replica.service, ask("walnut")).await;
        if answer.embedder.is_some() { Ok(()) } else { Err(answer.cache) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn words_are_looked_up_while_the_embedder_thinks() {
    let project = ProjectId::generate();
    let stand = Stand::start(project).await;
    let site = embedding_server().await;
    let patient = Config { query_timeout_ms: 120_000, ..remote(&site) };
    let replica = stand.replica(patient).await;
    fill(&replica, project, 5).await;
    settled(&stand).await;
    site.serve("/v1/embeddings", Response::of(Body::Silence));
    site.forget_requests();
    // Whoever looks words up is held here, where it is seen.
    let mut held = stand.pool.begin().await.unwrap();
    sqlx::query("LOCK TABLE knowledge.chunk IN ACCESS EXCLUSIVE MODE")
        .execute(&mut *held)
        .await
        .unwrap();
    let both = eventually(PATIENCE, || async {
        let looked_up: i64 = sqlx::query_scalar(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()
                 AND wait_event_type = 'Lock' AND query LIKE '%ts_rank%'",
        )
        .fetch_one(&stand.pool)
        .await
        .unwrap();
        let asked = site.requests().len();
        if (looked_up, asked) == (1, 1) { Ok(()) } else { Err((looked_up, asked)) }
    });
    tokio::select! {
        answer = search(&replica.service, ask("walnut")) => panic!("it had no vector: {answer:?}"),
        () = both => {}
    }
}
