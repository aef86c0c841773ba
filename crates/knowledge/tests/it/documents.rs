//! What is submitted, revised, deleted.

use knowledge::db::{chunk, document as rows, statistics};
use proto::{
    Failure, Reason, SourceId,
    knowledge::v1::{
        DeleteDocumentRequest, DocumentInput, GetDocumentRequest, ListDocumentsRequest,
        PurgeSourceRequest, SubmitDocumentsRequest, submit_result::Outcome,
    },
};
use testkit::eventually_eq;
use tonic::Status;

use crate::stand::{
    PATIENCE, Replica, ask, document, index, plain, search, settled, submit, submit_one, titles,
    words,
};

fn reason(refused: Result<impl std::fmt::Debug, Status>) -> Reason {
    Failure::from_status(&refused.expect_err("it is refused")).reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_submitted_document_is_found_with_its_citation() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let text =
        "# Guide\n\n## Restart\n\nTo restart a container, run `up` again.\n\n## Other\n\nNo.";
    let input = DocumentInput {
        title: "Guide".into(),
        url: "https://example.org/guide".into(),
        authors: vec!["Ann".into()],
        tags: vec!["ops".into()],
        ..document(project, source, "guide", text)
    };
    let (outcome, id) = submit_one(&replica, input).await;
    assert_eq!(outcome, Outcome::Created);
    settled(&stand).await;
    let answer = search(&replica.service, ask("restarting containers")).await;
    let found = &answer.results[0];
    assert_eq!(found.document_id, id);
    assert_eq!(found.heading, "Guide > Restart");
    assert_eq!(found.url, "https://example.org/guide");
    assert_eq!((&found.authors[0], &found.tags[0]), (&"Ann".into(), &"ops".into()));
    let spans = found.highlights.iter();
    let words: Vec<&str> =
        spans.map(|span| &found.text[span.start as usize..span.end as usize]).collect();
    assert_eq!(words, ["restart", "container"]);
    assert_eq!(answer.embedder.map(|it| (it.name, it.semantic)), Some(("hash-v1".into(), false)));
    let index = index(&replica).await;
    assert_eq!((index.documents, index.chunks, index.waiting), (1, 2, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn each_item_of_a_batch_has_its_own_result() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let good = document(project, source, "good", "fine words");
    let bad = DocumentInput { text: "a\0b".into(), ..document(project, source, "bad", "") };
    let twice = DocumentInput { observed_seq: 2, text: "newer".into(), ..good.clone() };
    let results = submit(&replica, vec![good.clone(), bad, twice.clone()]).await;
    let outcomes: Vec<Outcome> = results.iter().map(|it| it.outcome()).collect();
    assert_eq!(outcomes, [Outcome::Stale, Outcome::Refused, Outcome::Created]);
    assert_eq!(results[1].reason, "INVALID_INPUT");
    assert!(results[1].message.contains("NUL"), "{}", results[1].message);
    settled(&stand).await;
    assert_eq!(titles(&replica, ask("newer")).await, ["good"]);

    let many = vec![good; 101];
    let refused =
        replica.service.clone().submit_documents(SubmitDocumentsRequest { documents: many }).await;
    assert_eq!(reason(refused), Reason::TooLarge);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_older_observation_changes_nothing_and_the_same_costs_nothing() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let input =
        |seq, text| DocumentInput { observed_seq: seq, ..document(project, source, "page", text) };
    assert_eq!(submit_one(&replica, input(5, "walnut")).await.0, Outcome::Created);
    assert_eq!(submit_one(&replica, input(5, "walnut")).await.0, Outcome::Unchanged);
    assert_eq!(submit_one(&replica, input(6, "walnut")).await.0, Outcome::Unchanged);
    assert_eq!(submit_one(&replica, input(4, "hazelnut")).await.0, Outcome::Stale);
    settled(&stand).await;
    let jobs: i64 = sqlx::query_scalar("SELECT count(*) FROM jobs.job WHERE kind = $1")
        .bind("knowledge.index")
        .fetch_one(&stand.pool)
        .await
        .expect("the ledger answers");
    assert_eq!(jobs, 1, "unchanged content is not embedded");
    let (outcome, id) = submit_one(&replica, input(7, "chestnut")).await;
    assert_eq!(outcome, Outcome::Revised);
    settled(&stand).await;
    assert_eq!(titles(&replica, words("walnut")).await, [""; 0]);
    assert_eq!(titles(&replica, words("chestnut")).await, ["page"]);
    let get = |revision| {
        let request = GetDocumentRequest { id: id.clone(), revision };
        let mut client = replica.service.clone();
        async move { client.get_document(request).await.map(|it| it.into_inner().text) }
    };
    assert_eq!(get(0).await.expect("the newest"), "chestnut");
    assert_eq!(get(1).await.expect("the first"), "walnut");
    assert_eq!(reason(get(3).await), Reason::NotFound);
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_edits_in_a_row_the_last_one_is_found() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    // Long enough that edits come while the job of an earlier one runs.
    let filler = "Some paragraph about nothing at all.\n\n".repeat(400);
    for seq in 1..=15 {
        let text = format!("{filler}marker{seq}");
        let input = DocumentInput { observed_seq: seq, ..document(project, source, "page", &text) };
        let outcome = submit_one(&replica, input).await.0;
        assert!(matches!(outcome, Outcome::Created | Outcome::Revised));
    }
    settled(&stand).await;
    assert_eq!(titles(&replica, words("marker15")).await, ["page"]);
    assert_eq!(titles(&replica, words("marker14")).await, [""; 0]);
    let revisions: i64 = sqlx::query_scalar("SELECT count(*) FROM knowledge.revision")
        .fetch_one(&stand.pool)
        .await
        .expect("the table answers");
    assert_eq!(revisions, 10, "ten revisions are kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_is_gone_from_the_next_search_and_stays_gone() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let input = |seq| DocumentInput {
        observed_seq: seq,
        ..document(project, source, "page", "a passage about walnuts")
    };
    let gone = |seq| DocumentInput { deleted: true, ..input(seq) };
    submit_one(&replica, input(1)).await;
    settled(&stand).await;
    for _ in 0..2 {
        assert_eq!(titles(&replica, ask("walnuts")).await, ["page"], "the second from the cache");
    }
    assert_eq!(submit_one(&replica, gone(5)).await.0, Outcome::Deleted);
    assert_eq!(titles(&replica, ask("walnuts")).await, [""; 0]);
    assert_eq!(submit_one(&replica, gone(5)).await.0, Outcome::Deleted, "it may come again");
    assert_eq!(submit_one(&replica, input(4)).await.0, Outcome::Stale);
    assert_eq!(submit_one(&replica, input(6)).await.0, Outcome::Created);
    settled(&stand).await;
    assert_eq!(titles(&replica, ask("walnuts")).await, ["page"]);
    let left: Vec<(String, i64)> = sqlx::query_as(
        "SELECT lexeme, sum(chunks)::bigint FROM (SELECT lexeme, chunks FROM knowledge.lexeme_stat
         UNION ALL SELECT lexeme, chunks FROM knowledge.lexeme_delta) l
         GROUP BY lexeme HAVING sum(chunks) <> 1 AND sum(chunks) <> 0",
    )
    .fetch_all(&stand.pool)
    .await
    .expect("the tables answer");
    assert_eq!(left, [], "the statistics count what is there");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_again_but_not_searchable_is_indexed() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let input =
        |seq| DocumentInput { observed_seq: seq, ..document(project, source, "page", "walnut") };
    let behind = || async {
        let count = "SELECT count(*) FROM knowledge.document WHERE indexed_revision < revision";
        sqlx::query_scalar::<_, i64>(count).fetch_one(&stand.pool).await.unwrap()
    };
    // As when its job was cancelled.
    let lose = "UPDATE knowledge.document SET indexed_revision = 0";
    submit_one(&replica, input(1)).await;
    settled(&stand).await;
    sqlx::query(lose).execute(&stand.pool).await.unwrap();
    let result = submit(&replica, vec![input(2)]).await.remove(0);
    assert_eq!((result.outcome(), result.job_id.is_empty()), (Outcome::Unchanged, false));
    settled(&stand).await;
    assert_eq!(behind().await, 0);

    // A job that died a moment ago leaves one dead letter and not one with every look.
    sqlx::query(lose).execute(&stand.pool).await.unwrap();
    let die = "UPDATE jobs.job SET state = 'dead', finished_at = now()";
    sqlx::query(die).execute(&stand.pool).await.unwrap();
    assert_eq!(submit(&replica, vec![input(3)]).await[0].job_id, "");
    sqlx::query("UPDATE jobs.job SET finished_at = now() - interval '7 hours'")
        .execute(&stand.pool)
        .await
        .unwrap();
    assert_ne!(submit(&replica, vec![input(4)]).await[0].job_id, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_waits_for_the_index_job_and_takes_what_it_stored() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let (_, id) = submit_one(&replica, document(project, source, "page", "walnut")).await;
    settled(&stand).await;
    let row: i64 = sqlx::query_scalar("SELECT id FROM knowledge.document")
        .fetch_one(&stand.pool)
        .await
        .unwrap();
    // The job of a second revision, up to its commit.
    let mut indexing = stand.pool.begin().await.unwrap();
    let locked = rows::lock_for_index(&mut indexing, row, 2).await.unwrap();
    assert_eq!(locked, Some(project));
    let removed = chunk::remove(&mut indexing, &[row]).await.unwrap();
    let place = chunk::Place { document: row, project, source };
    let passages = knowledge::chunking::cut("page", "# A\n\none\n\n# B\n\ntwo", 256, &str::len);
    let (_, added) = chunk::insert(&mut indexing, place, "page", &passages).await.unwrap();
    let change = statistics::Change {
        documents: 0,
        chunks: added.chunks + removed.chunks,
        words: added.words + removed.words,
    };
    let commit = async {
        eventually_eq(PATIENCE, true, || async {
            sqlx::query_scalar::<_, bool>(
                "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock'
                                AND datname = current_database())",
            )
            .fetch_one(&stand.pool)
            .await
            .unwrap()
        })
        .await;
        statistics::record(&mut indexing, change, row).await.unwrap();
        indexing.commit().await.unwrap();
    };
    let mut client = replica.service.clone();
    let delete = client.delete_document(DeleteDocumentRequest { id });
    let (deleted, ()) = tokio::join!(delete, commit);
    deleted.expect("it is deleted");
    let left: (i64, i64, i64) = sqlx::query_as(
        "SELECT sum(documents)::bigint, sum(chunks)::bigint, sum(words)::bigint
         FROM knowledge.corpus_stat",
    )
    .fetch_one(&stand.pool)
    .await
    .unwrap();
    assert_eq!(left, (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_takes_all_of_a_source_and_nothing_else() {
    let (stand, replica, project) = plain().await;
    let (source, other) = (SourceId::generate(), SourceId::generate());
    let mut batch: Vec<DocumentInput> = (0..60)
        .map(|n| document(project, source, &format!("d{n}"), &format!("walnut number {n}")))
        .collect();
    batch.push(document(project, other, "kept", "walnut of another source"));
    submit(&replica, batch).await;
    settled(&stand).await;
    assert_eq!(titles(&replica, words("walnut")).await.len(), 10);
    let purge = || async {
        let request = PurgeSourceRequest { source_id: source.to_string(), observed_seq: 7 };
        let answer = replica.service.clone().purge_source(request).await;
        answer.expect("it is purged").into_inner().documents
    };
    assert_eq!(purge().await, 60);
    assert_eq!(titles(&replica, words("walnut")).await, ["kept"]);
    assert_eq!(purge().await, 0);
    let input = |seq| DocumentInput {
        observed_seq: seq,
        ..document(project, source, "late", "walnut again")
    };
    assert_eq!(submit_one(&replica, input(7)).await.0, Outcome::Stale);
    assert_eq!(submit_one(&replica, input(8)).await.0, Outcome::Created);
    let index = index(&replica).await;
    assert_eq!(index.documents, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_do_what_their_role_and_projects_allow() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let foreign = proto::ProjectId::generate();
    submit_one(&replica, document(project, source, "ours", "a walnut tree")).await;
    let (_, secret) =
        submit_one(&replica, document(foreign, source, "theirs", "a secret walnut")).await;
    settled(&stand).await;
    let viewer = replica.client("viewer");
    let found = search(&viewer, ask("walnut")).await.results;
    assert_eq!(found.iter().map(|it| it.title.as_str()).collect::<Vec<_>>(), ["ours"]);
    let request = proto::knowledge::v1::SearchRequest {
        filter: Some(proto::knowledge::v1::Filter {
            project_ids: vec![foreign.to_string()],
            ..Default::default()
        }),
        ..ask("walnut")
    };
    assert_eq!(search(&viewer, request).await.results, []);
    let list = viewer.clone().list_documents(ListDocumentsRequest::default()).await;
    assert_eq!(list.expect("it lists").into_inner().documents.len(), 1);
    let get = GetDocumentRequest { id: secret.clone(), revision: 0 };
    assert_eq!(reason(viewer.clone().get_document(get).await), Reason::NotFound);
    let delete = DeleteDocumentRequest { id: secret };
    let mut operator = replica.client("operator");
    assert_eq!(reason(operator.delete_document(delete).await), Reason::NotFound);
    let ours = DeleteDocumentRequest { id: found[0].document_id.clone() };
    assert_eq!(reason(viewer.clone().delete_document(ours.clone()).await), Reason::Forbidden);
    let batch = SubmitDocumentsRequest { documents: Vec::new() };
    assert_eq!(reason(operator.submit_documents(batch).await), Reason::Forbidden);
    operator.delete_document(ours).await.expect("an operator may");
    assert_eq!(search(&viewer, ask("walnut")).await.results, []);
    let stranger = replica.client("nobody");
    assert_eq!(reason(stranger.clone().search(ask("walnut")).await), Reason::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_come_in_pages_newest_first() {
    let (_stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let batch = (0..5).map(|n| document(project, source, &format!("d{n}"), "text"));
    submit(&replica, batch.collect()).await;
    let page = |page_token| {
        let request =
            ListDocumentsRequest { page_size: 2, page_token, ..ListDocumentsRequest::default() };
        let mut client = replica.service.clone();
        async move { client.list_documents(request).await.expect("it lists").into_inner() }
    };
    let (mut token, mut seen) = (String::new(), Vec::new());
    loop {
        let answer = page(token).await;
        seen.extend(answer.documents.into_iter().map(|it| it.title));
        token = answer.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, ["d4", "d3", "d2", "d1", "d0"]);
    let request = ListDocumentsRequest { page_size: 10_000, ..Default::default() };
    let all = replica.service.clone().list_documents(request).await;
    assert_eq!(all.expect("more than there can be").into_inner().documents.len(), 5);
    assert_full_of(&replica, 5).await;
}

async fn assert_full_of(replica: &Replica, documents: u64) {
    assert_eq!(index(replica).await.documents, documents);
}
