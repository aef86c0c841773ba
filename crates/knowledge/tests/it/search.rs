//! What is found, in which order, and for whom.

use knowledge::{
    bm25::{CANDIDATES_MAX, Ids, Term, Totals, Wanted},
    db::search::lexical,
};
use proto::{
    Failure, ProjectId, Reason, SourceId,
    knowledge::v1::{
        DocumentInput, Filter, SearchRequest,
        search_request::{Collapse, Mode},
    },
    time::to_wire,
};

use crate::stand::{
    Replica, ask, document, plain, rank, search, set_rank, settled, submit, titles, words,
};

const TEXT: &str = "Walnut trees grow slowly and live for a long time.";

/// The same text from three sources whose ranks are not set yet.
async fn three_alike(replica: &Replica, project: ProjectId) -> [SourceId; 3] {
    let sources = [SourceId::generate(), SourceId::generate(), SourceId::generate()];
    let alike = |(source, name): (SourceId, &str)| DocumentInput {
        title: "Walnuts".into(),
        source_name: name.into(),
        ..document(project, source, name, TEXT)
    };
    submit(replica, sources.into_iter().zip(["a", "b", "c"]).map(alike).collect()).await;
    sources
}

async fn sources(replica: &Replica, request: SearchRequest) -> Vec<String> {
    let results = search(&replica.service, request).await.results;
    results.into_iter().map(|result| result.source_id).collect()
}

fn all(query: &str) -> SearchRequest {
    SearchRequest { collapse: Collapse::Off.into(), ..ask(query) }
}

#[tokio::test(flavor = "multi_thread")]
async fn equal_texts_come_by_priority_and_a_change_shows_on_the_next_search() {
    let (stand, replica, project) = plain().await;
    let [a, b, c] = three_alike(&replica, project).await;
    settled(&stand).await;
    for (source, priority) in [(a, 2), (b, 5), (c, 9)] {
        rank(&replica, source, priority, 1).await;
    }
    let names = |ids: [SourceId; 3]| ids.map(|id| id.to_string()).to_vec();
    assert_eq!(sources(&replica, all("walnut trees")).await, names([c, b, a]));
    rank(&replica, a, 10, 2).await;
    assert_eq!(sources(&replica, all("walnut trees")).await, names([a, c, b]));
    rank(&replica, a, 1, 1).await;
    assert_eq!(sources(&replica, all("walnut trees")).await, names([a, c, b]), "an old version");
    set_rank(&replica, c, 9, 2, false).await;
    assert_eq!(sources(&replica, all("walnut trees")).await.len(), 2, "disabled: not found");
    let explained = SearchRequest { explain: true, ..all("walnut trees") };
    let answer = search(&replica.service, explained).await;
    let why = answer.results[0].explanation.expect("asked for");
    assert_eq!((why.priority, why.lexical_rank, why.semantic_rank), (10, 1, 1));
    assert!((why.priority_factor - 1.1).abs() < 1e-9);
    let product = why.fused_score * why.priority_factor * why.recency_factor;
    assert!((answer.results[0].score - product).abs() < 1e-12);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_text_is_one_result_that_names_the_others() {
    let (stand, replica, project) = plain().await;
    three_alike(&replica, project).await;
    let other = ProjectId::generate();
    submit(&replica, vec![document(other, SourceId::generate(), "elsewhere", TEXT)]).await;
    settled(&stand).await;
    let found = search(&replica.service, ask("walnut trees")).await.results;
    assert_eq!(found.len(), 2, "projects are kept apart");
    let collapsed = found.iter().find(|it| it.project_id == project.to_string());
    assert_eq!(collapsed.expect("our project's").also_in.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_copies_do_not_crowd_out_the_rest() {
    let (stand, replica, project) = plain().await;
    for batch in 0..3 {
        let copy = |n| document(project, SourceId::generate(), &format!("copy {batch} {n}"), TEXT);
        submit(&replica, (0..100).map(copy).collect()).await;
    }
    let source = SourceId::generate();
    let different = |n| {
        let text = format!("{n}: also about trees, of which number {n} is a walnut, and more");
        document(project, source, &format!("other {n}"), &text)
    };
    submit(&replica, (0..12).map(different).collect()).await;
    settled(&stand).await;
    let request = SearchRequest { limit: 10, ..ask("walnut trees grow slowly") };
    assert_eq!(search(&replica.service, request).await.results.len(), 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_narrow_by_project_source_kind_author_tag_and_date() {
    let (stand, replica, project) = plain().await;
    let (source, other) = (SourceId::generate(), SourceId::generate());
    let day = |day| {
        let date = chrono::NaiveDate::from_ymd_opt(2026, 3, day).expect("a date");
        Some(to_wire(date.and_hms_opt(12, 0, 0).expect("a time").and_utc()))
    };
    let one = DocumentInput {
        authors: vec!["Ann".into()],
        tags: vec!["nuts".into(), "trees".into()],
        published_at: day(1),
        source_kind: "feed".into(),
        ..document(project, source, "one", "walnut one")
    };
    let two = DocumentInput {
        authors: vec!["Bob".into()],
        tags: vec!["nuts".into()],
        published_at: day(20),
        ..document(ProjectId::generate(), other, "two", "walnut two")
    };
    submit(&replica, vec![one, two]).await;
    settled(&stand).await;
    let cases = [
        (Filter::default(), "one two"),
        (Filter { project_ids: vec![project.to_string()], ..Filter::default() }, "one"),
        (Filter { source_ids: vec![other.to_string()], ..Filter::default() }, "two"),
        (Filter { kinds: vec!["feed".into()], ..Filter::default() }, "one"),
        (Filter { authors: vec!["Bob".into(), "Eve".into()], ..Filter::default() }, "two"),
        (Filter { tags: vec!["nuts".into()], ..Filter::default() }, "one two"),
        (Filter { tags: vec!["trees".into()], ..Filter::default() }, "one"),
        (Filter { since: day(10), ..Filter::default() }, "two"),
        (Filter { until: day(10), ..Filter::default() }, "one"),
        (Filter { since: day(2), until: day(10), ..Filter::default() }, ""),
        (Filter { tags: vec!["nothing".into()], ..Filter::default() }, ""),
    ];
    for (filter, expect) in cases {
        for mode in [Mode::Hybrid, Mode::Lexical, Mode::Semantic] {
            let filter = Some(filter.clone());
            let request = SearchRequest { filter, mode: mode.into(), ..ask("walnut") };
            let mut found = titles(&replica, request.clone()).await;
            found.sort();
            assert_eq!(found.join(" "), expect, "{request:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recency_is_opt_in_and_bounded() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let aged = |name, days| DocumentInput {
        published_at: Some(to_wire(chrono::Utc::now() - chrono::TimeDelta::days(days))),
        ..document(project, source, name, TEXT)
    };
    let batch = vec![aged("old walnut", 4_000), aged("new walnut", 0)];
    submit(&replica, batch).await;
    settled(&stand).await;
    let request = |recency_weight| SearchRequest { recency_weight, explain: true, ..all("walnut") };
    let factors = |weight| {
        let (client, request) = (replica.service.clone(), request(weight));
        async move {
            let results = search(&client, request).await.results;
            let factor = |it: &proto::knowledge::v1::SearchResult| {
                it.explanation.as_ref().map(|why| (why.recency_factor * 100.0).round() as u32)
            };
            results.iter().map(|it| (it.title.clone(), factor(it))).collect::<Vec<_>>()
        }
    };
    let old = |factor: u32| ("old walnut".to_owned(), Some(factor));
    let new = ("new walnut".to_owned(), Some(100));
    assert_eq!(factors(0.15).await, [new.clone(), old(85)]);
    let mut without = factors(0.0).await;
    without.sort();
    assert_eq!(without, [new, old(100)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_document_gives_as_many_passages_as_asked() {
    let (stand, replica, project) = plain().await;
    let text = (0..5).map(|n| format!("# Part {n}\n\nWalnut number {n}.\n\n")).collect::<String>();
    submit(&replica, vec![document(project, SourceId::generate(), "page", &text)]).await;
    settled(&stand).await;
    for (asked, expect) in [(0, 1), (1, 1), (3, 3), (10, 5)] {
        let request = SearchRequest { passages_per_document: asked, ..words("walnut") };
        assert_eq!(titles(&replica, request).await.len(), expect, "{asked}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_remembered_until_something_changes() {
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    submit(&replica, vec![document(project, source, "one", TEXT)]).await;
    settled(&stand).await;
    let cache = |query: &'static str| {
        let client = replica.service.clone();
        async move { search(&client, ask(query)).await.cache }
    };
    assert_eq!(cache("walnut").await, "miss");
    assert_eq!(cache("walnut").await, "hit");
    assert_eq!(cache(" walnut ").await, "hit", "white space around it does not matter");
    let viewer = search(&replica.client("viewer"), ask("walnut")).await;
    assert_eq!(viewer.cache, "miss", "another caller's rights are another question");
    submit(&replica, vec![document(project, source, "two", TEXT)]).await;
    settled(&stand).await;
    assert_eq!(cache("walnut").await, "miss");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_by_name() {
    let (_stand, replica, _) = plain().await;
    let check = async |request: SearchRequest, reason, field: &str| {
        let refused = replica.service.clone().search(request).await.expect_err("it is refused");
        let failure = Failure::from_status(&refused);
        assert_eq!(failure.reason, reason, "{failure}");
        assert_eq!(failure.violations[0].field, field);
    };
    check(ask(" "), Reason::InvalidInput, "query").await;
    check(ask("a\0b"), Reason::InvalidInput, "query").await;
    check(ask(&"long ".repeat(300)), Reason::TooLarge, "query").await;
    check(SearchRequest { limit: 101, ..ask("a") }, Reason::InvalidInput, "limit").await;
    let request = SearchRequest { recency_weight: 0.5, ..ask("a") };
    check(request, Reason::InvalidInput, "recency_weight").await;
    let filter = Some(Filter { project_ids: vec!["x".into()], ..Filter::default() });
    check(SearchRequest { filter, ..ask("a") }, Reason::InvalidInput, "project_ids").await;
    let filter = Some(Filter { tags: vec!["x".repeat(513)], ..Filter::default() });
    check(SearchRequest { filter, ..ask("a") }, Reason::TooLarge, "tags").await;
    for odd in ["'", "a:b & !c | (", "\\", "<->", "%", "the of and", "é漢字🙂"] {
        search(&replica.service, ask(odd)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn of_very_many_matches_those_with_all_words_and_the_newest_are_scored() {
    let (stand, _replica, project) = plain().await;
    // 2,500 passages with the first word, one with both, 2,500 with the first; then with the other.
    sqlx::query(
        "WITH page AS (
             INSERT INTO knowledge.document
                 (public_id, project_id, source_id, external_id, observed_seq, revision,
                  content_sha256, title, url, authors, tags, language, dated_at, source_kind,
                  source_name)
             VALUES (gen_random_uuid(), $1, $1, 'page', 1, 1, '', 'page', '', '{}', '{}', '',
                     now(), 'manual', 'tests')
             RETURNING id),
         words AS (
             SELECT n, CASE WHEN n = 2501 THEN 'grove walnut' WHEN n <= 5001 THEN 'grove'
                            ELSE 'walnut' END AS content
             FROM generate_series(1, 10001) AS n)
         INSERT INTO knowledge.chunk
             (document_id, ordinal, project_id, source_id, heading, content, input_sha256,
              text_hash, words, tsv)
         SELECT id, n, $1, $1, '', content, '', n, 1, to_tsvector('english', content)
         FROM page, words ORDER BY n",
    )
    .bind(project)
    .execute(&stand.pool)
    .await
    .unwrap();
    let pool = knowledge::db::search::pool(&stand.pool, 1);
    let term = |lexeme: &str| Term { lexeme: lexeme.into(), chunks: 5_001 };
    let totals = Totals { chunks: 10_001, words: 10_001 };
    let ids = Some(Ids { first: 1, last: 10_001 });
    let wanted = |terms| Wanted { terms, totals, ids, selectivity: 1.0 };
    let (both, one) = (&[term("grove"), term("walnut")][..], &[term("grove")][..]);
    let open = Default::default();
    let ours = knowledge::filter::Filter { projects: Some(vec![project.0]), ..Default::default() };
    for filter in [&open, &ours] {
        let found = lexical(&pool, &wanted(both), filter).await.unwrap();
        assert!(found.len() <= CANDIDATES_MAX);
        let has = |ordinal| found.iter().any(|it| it.chunk == ordinal);
        assert!(has(2_501) && has(5_001) && !has(1), "all words, or new");
        let found = lexical(&pool, &wanted(one), filter).await.unwrap();
        let oldest = found.iter().map(|it| it.chunk).min();
        assert_eq!((found.len(), oldest), (CANDIDATES_MAX, Some(5_002 - CANDIDATES_MAX as i64)));
    }
}
