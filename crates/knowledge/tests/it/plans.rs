//! The indexes are used, also after the same statement has run twenty times.

use knowledge::db::search::{self as queries, Explained};
use proto::{ProjectId, SourceId};

use crate::stand::{document, plain, settled, submit};

/// Enough that a scan of everything is not the cheapest way.
const DOCUMENTS: usize = 3_000;

#[tokio::test(flavor = "multi_thread")]
async fn each_path_uses_its_index() {
    let (stand, replica, _) = plain().await;
    let projects = [ProjectId::generate(), ProjectId::generate()];
    let source = SourceId::generate();
    for batch in 0..DOCUMENTS / 100 {
        let input = |n: usize| {
            let number = batch * 100 + n;
            let text = format!("walnut w{} w{} w{}", number % 300, number % 700, number * 7 % 1100);
            // A few documents are in the second project.
            let project = projects[usize::from(number.is_multiple_of(100))];
            document(project, source, &format!("doc {number}"), &text)
        };
        submit(&replica, (0..100).map(input).collect()).await;
        // Below the limit of waiting documents.
        settled(&stand).await;
    }
    sqlx::raw_sql("ANALYZE").execute(&stand.pool).await.expect("it may analyse");
    let pool = queries::pool(&stand.pool, 1);
    let vector = vec![0.05; 384];
    for _ in 0..20 {
        queries::semantic(&pool, 1, &vector, &Default::default(), queries::Path::Index, 100)
            .await
            .expect("it answers");
    }
    let few =
        knowledge::filter::Filter { projects: Some(vec![projects[1].0]), ..Default::default() };
    let check = async |explained: Explained<'_>, expect: &[&str]| {
        let plan = queries::explain(&pool, explained).await.expect("it has a plan");
        for part in expect {
            assert!(plan.contains(part), "{part} is not in the plan:\n{plan}");
        }
        assert!(!plan.contains("Seq Scan on chunk_embedding"), "{plan}");
        assert!(!plan.contains("Seq Scan on chunk c"), "{plan}");
    };
    let semantic = |filter, path| Explained::Semantic { model: 1, vector: &vector, filter, path };
    let open = Default::default();
    check(semantic(&open, queries::Path::Index), &["chunk_embedding_m1_by_nearness"]).await;
    check(semantic(&few, queries::Path::Exact), &["chunk_by_project", "m1_pkey"]).await;
    let term = |lexeme: &str| knowledge::bm25::Term { lexeme: lexeme.into(), chunks: 10 };
    let terms = [term("w17"), term("w250")];
    check(Explained::Lexical { terms: &terms, filter: &open }, &["chunk_by_lexeme"]).await;
}
