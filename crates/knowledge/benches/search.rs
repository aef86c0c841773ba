//! Milliseconds per search at 10,000 and at 100,000 chunks, beside the same SQL by hand.
//!
//! Both run in turn on the same Postgres with the query's vector at hand: ours from question to
//! highlighted passages, the SQL as one statement from lexemes and vector to passages.

use std::{sync::Arc, time::Instant};

use anyhow::Context as _;
use chassis::config::Secret;
use knowledge::{
    Config,
    chunking::Passage,
    config::Choice,
    db::{
        chunk::{self, Place},
        document, embedding, embedding_model, search as queries,
        statistics::{self, Change},
    },
    embed::{Embedder, Kind, hash::Hash},
    filter::Filter,
    models::Models,
    search::{Mode, Query, Searcher},
    submission::Submission,
};
use proto::{DocumentId, ProjectId, SourceId};
use sqlx::PgPool;

const SIZES: [usize; 2] = [10_000, 100_000];
const QUERIES: usize = 300;
const CHUNKS_PER_DOCUMENT: usize = 10;
const WORDS_PER_CHUNK: usize = 110;
const VOCABULARY: f64 = 40_000.0;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let postgres = testkit::Postgres::start().await;
    let url = Secret::from(postgres.database().await.url);
    let pool = database::connect(&database::Config { url, ..Default::default() }).await?;
    jobs::migrate(&pool).await?;
    database::migrate(&pool, knowledge::db::SCHEMA, &knowledge::db::MIGRATOR).await?;
    let config = Arc::new(Config { embedder: Choice::HashV1, ..Config::default() });
    let models = Models::new(pool.clone(), config.clone());
    models.refresh().await?;
    let mut random = Random(7);
    let mut stored = 0;
    println!("chunks\tours p50\tp95\tby hand p50\tp95\tp95 ratio\tallowed");
    for size in SIZES {
        fill(&pool, &models, &mut random, size - stored).await?;
        stored = size;
        let searcher = Searcher::new(&pool, models.clone(), config.clone());
        let hand = queries::pool(&pool, 1);
        let (mut ours_ms, mut hand_ms) = (Vec::new(), Vec::new());
        for _ in 0..QUERIES {
            let length = 2 + random.below(7);
            let text = words(&mut random, length);
            // The first asks for one result more: its vector is remembered, its answer is another.
            searcher.search(question(&text, 11)).await?;
            let start = Instant::now();
            let (answer, _) = searcher.search(question(&text, 10)).await?;
            ours_ms.push(start.elapsed().as_secs_f64() * 1e3);
            hand_ms.push(by_hand(&hand, &text, answer.found.len()).await?);
        }
        let (ours, hand) = (percentiles(ours_ms), percentiles(hand_ms));
        println!(
            "{size}\t{:.2}\t{:.2}\t{:.2}\t{:.2}\t{:.2}\t{:.2} <= {:.2}",
            ours.0,
            ours.1,
            hand.0,
            hand.1,
            ours.1 / hand.1,
            ours.1,
            2.0 * hand.1 + 3.0
        );
    }
    Ok(())
}

fn question(text: &str, limit: usize) -> Query {
    Query {
        text: text.to_owned(),
        filter: Filter::default(),
        limit,
        per_document: 10,
        collapse: false,
        recency_e4: 0,
        mode: Mode::Hybrid,
    }
}

/// What somebody would write who knows the schema: two legs, fused, the best ten.
const BY_HAND: &str = "
WITH v AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY d, id) r FROM (
        SELECT chunk_id id, embedding::halfvec(384) <=> $1::real[]::halfvec(384) d
        FROM knowledge.chunk_embedding_m1 ORDER BY 2 LIMIT 100) s),
f AS MATERIALIZED (
    SELECT id, row_number() OVER (ORDER BY s DESC, id) r FROM (
        SELECT id, ts_rank(tsv, $2::text::tsquery) s FROM (
            SELECT id, tsv FROM knowledge.chunk WHERE tsv @@ $3::text::tsquery LIMIT 2000) c
        ORDER BY 2 DESC, id LIMIT 100) s),
u AS (
    SELECT id, coalesce(0.1 / (60 + v.r), 0) + coalesce(1.0 / (60 + f.r), 0) rrf
    FROM v FULL JOIN f USING (id))
SELECT c.id, u.rrf * (1 + 0.02 * (coalesce(s.priority, 5) - 5)) score, c.content, c.heading,
       d.title, d.url, d.source_name
FROM u JOIN knowledge.chunk c USING (id) JOIN knowledge.document d ON d.id = c.document_id
LEFT JOIN knowledge.source_rank s ON s.source_id = c.source_id
ORDER BY score DESC, c.id LIMIT 10";

async fn by_hand(pool: &PgPool, text: &str, expected: usize) -> anyhow::Result<f64> {
    let vector = embed(&[text]).await?.remove(0);
    let corpus = queries::corpus(pool, text).await?;
    let terms = knowledge::bm25::rarest(corpus.terms);
    let searched = knowledge::bm25::searched(&terms, corpus.totals, 1.0);
    let (all, some) =
        (knowledge::bm25::any_of(&terms), knowledge::bm25::any_of(&terms[..searched]));
    let start = Instant::now();
    let rows = sqlx::query(BY_HAND).bind(vector).bind(all).bind(some).fetch_all(pool).await?;
    let elapsed_ms = start.elapsed().as_secs_f64() * 1e3;
    anyhow::ensure!(rows.len() == expected, "{} results beside {expected}", rows.len());
    Ok(elapsed_ms)
}

async fn fill(
    pool: &PgPool,
    models: &Models,
    random: &mut Random,
    chunks: usize,
) -> anyhow::Result<()> {
    let model = models.active().context("there is a model")?;
    // Indexing afterwards is much faster, and what re-embedding does.
    sqlx::raw_sql("DROP INDEX IF EXISTS knowledge.chunk_embedding_m1_by_nearness")
        .execute(pool)
        .await?;
    let (source, project) = (SourceId::generate(), ProjectId::generate());
    for number in 0..chunks / CHUNKS_PER_DOCUMENT {
        let title = words(random, 6);
        let passages: Vec<Passage> = (0..CHUNKS_PER_DOCUMENT)
            .map(|_| {
                let text = words(random, WORDS_PER_CHUNK);
                let input = format!("{title}\n{text}");
                Passage { heading: String::new(), text, input }
            })
            .collect();
        let texts: Vec<&str> = passages.iter().map(|it| it.input.as_str()).collect();
        let vectors = embed(&texts).await?;
        let submission = submission(source, project, format!("{number}"), title.clone());
        let mut transaction = pool.begin().await?;
        let document =
            document::create(&mut transaction, DocumentId::generate(), &submission).await?;
        let place = Place { document, project, source };
        let (rows, change) = chunk::insert(&mut transaction, place, &title, &passages).await?;
        embedding::insert(&mut transaction, model.id, &rows, &vectors).await?;
        statistics::record(&mut transaction, Change { documents: 1, ..change }, document).await?;
        transaction.commit().await?;
    }
    while statistics::fold(pool).await? > 0 {}
    embedding_model::build_index(pool, &model.model).await?;
    sqlx::raw_sql("VACUUM ANALYZE").execute(pool).await?;
    Ok(())
}

fn submission(
    source: SourceId,
    project: ProjectId,
    external_id: String,
    title: String,
) -> Submission {
    Submission {
        source,
        external_id,
        observed_seq: 1,
        project,
        title,
        url: "https://example.org/page".into(),
        text: String::new(),
        authors: Vec::new(),
        tags: Vec::new(),
        published_at: None,
        updated_at: None,
        language: "en".into(),
        source_kind: "manual".into(),
        source_name: "bench".into(),
        priority: 5,
        deleted: false,
    }
}

async fn embed(texts: &[&str]) -> anyhow::Result<Vec<Vec<f32>>> {
    Ok(Hash::default().embed(Kind::Document, texts).await?)
}

/// The median and the 95th percentile.
fn percentiles(mut samples: Vec<f64>) -> (f64, f64) {
    samples.sort_by(f64::total_cmp);
    let at = |share: f64| samples[(samples.len() as f64 * share) as usize];
    (at(0.5), at(0.95))
}

/// Words as frequent as in a language: the nth is 1/n as frequent as the first.
fn words(random: &mut Random, count: usize) -> String {
    let word = |_| format!("w{:.0}", VOCABULARY.powf(random.unit()));
    (0..count).map(word).collect::<Vec<_>>().join(" ")
}

/// A generator of numbers that are the same in every run (Steele et al., SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
