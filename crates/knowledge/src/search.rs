//! A search from question to answer: which words and which neighbours, fused, ranked, shown.

mod question;
mod vectors;

pub use question::{Answer, Found, Mode, Query};
use vectors::Vectors;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use chrono::Utc;
use proto::{Failure, Reason};
use sqlx::PgPool;

use crate::{
    bm25::{self, CANDIDATES_MAX},
    cache::{Lookup, SingleFlight},
    config::Config,
    db::search::{self as queries, Corpus, EXACT_MAX, Path},
    embed::ModelSpec,
    error,
    filter::Filter,
    fusion::{self, Hit, SPELLING_WEIGHT},
    highlight,
    metrics::{QUERY_DURATION, RESULTS_RETURNED, STAGE_DURATION, TOP_SCORE},
    models::{InUse, Models},
    ranking::{self, Ranked, Selection, Weights},
};

/// Candidates of each leg, at least: ranking may move a hit by eleven places.
const CANDIDATES_MIN: usize = 100;
/// Candidates per result asked for, as some of them collapse into others.
const CANDIDATES_PER_RESULT: usize = 3;
/// When too many candidates collapsed, the legs are asked once more for so many times as many.
const WIDENING: usize = 8;
/// Filters that are remembered with how much passes them, about, and what they take at most.
const FILTERS_REMEMBERED: usize = 1_000;
const FILTERS_BYTES_MAX: u64 = 4 * 1024 * 1024;

type AnswerKey = (i64, Query);

/// Answers questions. Clones share the caches.
#[derive(Clone)]
pub struct Searcher {
    pool: PgPool,
    models: Models,
    config: Arc<Config>,
    answers: Arc<SingleFlight<AnswerKey, Answer>>,
    vectors: Arc<Vectors>,
    passing: Arc<SingleFlight<Filter, i64>>,
}

/// What the query is to the model.
struct Embedded {
    vector: Option<Arc<Vec<f32>>>,
    embedder: Option<ModelSpec>,
}

impl Searcher {
    /// A searcher with connections of its own to the database of `service`.
    #[must_use]
    pub fn new(service: &PgPool, models: Models, config: Arc<Config>) -> Self {
        let ttl = Duration::from_secs(config.results_ttl_s);
        let answers = SingleFlight::new("result", 1_000, config.results_bytes_max, Some(ttl));
        Self {
            pool: queries::pool(service, config.search_connections_max),
            models,
            answers: Arc::new(answers),
            vectors: Arc::new(Vectors::new(&config)),
            passing: Arc::new(SingleFlight::new(
                "filter",
                FILTERS_REMEMBERED,
                FILTERS_BYTES_MAX,
                Some(ttl),
            )),
            config,
        }
    }

    /// Answers a question.
    ///
    /// # Errors
    /// `UNAVAILABLE` when the database is away, or a purely semantic search has no embedder.
    #[tracing::instrument(name = "knowledge.search", skip_all, fields(mode = query.mode.as_str()))]
    pub async fn search(&self, query: Query) -> Result<(Arc<Answer>, Lookup), Failure> {
        let started = Instant::now();
        let strategy = query.mode.as_str();
        let answered = self.answer(query).await;
        let outcome = answered.as_ref().map_or_else(|failure| failure.reason.as_str(), |_| "ok");
        metrics::histogram!(QUERY_DURATION, "strategy" => strategy, "outcome" => outcome)
            .record(started.elapsed());
        if let Ok((answer, _)) = &answered {
            metrics::histogram!(RESULTS_RETURNED).record(answer.found.len() as f64);
            if let Some(best) = answer.found.first() {
                metrics::histogram!(TOP_SCORE).record(best.ranked.score);
            }
        }
        answered
    }

    async fn answer(&self, mut query: Query) -> Result<(Arc<Answer>, Lookup), Failure> {
        if query.filter.is_closed() {
            let nothing = Answer {
                found: Vec::new(),
                embedder: None,
                without_embedder: false,
                lexical_cut: false,
            };
            return Ok((Arc::new(nothing), self.answers.count(Lookup::Bypass)));
        }
        // Before the corpus: a model that is retired in between is still known.
        let models = self.models.in_use();
        let corpus = queries::corpus(&self.pool, &query.text).await.map_err(database::failure)?;
        query.filter.sources_not.clone_from(&corpus.disabled);
        let key = (corpus.epoch, query);
        let known = models.into_iter().find(|model| Some(model.id) == corpus.model);
        let model = match (known, corpus.model) {
            (None, Some(id)) => self.models.find(id).await.map_err(database::failure)?,
            (known, _) => known,
        };
        let compute = self.compute(&key.1, &corpus, model);
        let bytes =
            |answer: &Answer| (!answer.without_embedder).then(|| key.1.bytes() + answer.bytes());
        self.answers.get(&key, bytes, compute).await
    }

    async fn compute(
        &self,
        query: &Query,
        corpus: &Corpus,
        model: Option<InUse>,
    ) -> Result<Answer, Failure> {
        let passing = self.passing(&query.filter, corpus).await?;
        let mut depth = CANDIDATES_MIN.max(query.limit * CANDIDATES_PER_RESULT);
        let nearest = async {
            let embedded = self.embedded(query, model.as_ref()).await?;
            let vector = embedded.vector.as_ref();
            let neighbours = self.neighbours(query, corpus, passing, vector, depth).await?;
            Ok((embedded, neighbours))
        };
        let legs = futures::future::try_join(nearest, self.words(query, corpus, passing));
        let ((Embedded { vector, embedder }, mut neighbours), (words, lexical_cut)) = legs.await?;
        let asked = query.mode != Mode::Lexical && model.is_some_and(|it| it.loaded.is_some());
        let without_embedder = asked && vector.is_none();
        let spelling = embedder.as_ref().is_some_and(|spec| !spec.semantic);
        let weight = if spelling { SPELLING_WEIGHT } else { 1.0 };
        let best = |depth: usize| words[..depth.min(words.len())].to_vec();
        let more = words.len() >= depth || neighbours.len() >= depth;
        let mut shown = self.rank(query, fusion::fuse(best(depth), neighbours, weight)).await?;
        if shown.len() < query.limit && more {
            depth *= WIDENING;
            neighbours = self.neighbours(query, corpus, passing, vector.as_ref(), depth).await?;
            shown = self.rank(query, fusion::fuse(best(depth), neighbours, weight)).await?;
        }
        let found = self.hydrate(corpus, shown).await?;
        Ok(Answer { found, embedder, without_embedder, lexical_cut })
    }

    /// The query's vector, when vectors take part and there is a model to ask.
    async fn embedded(&self, query: &Query, model: Option<&InUse>) -> Result<Embedded, Failure> {
        const NONE: Embedded = Embedded { vector: None, embedder: None };
        let loaded = model.and_then(|model| Some((model.id, model.loaded.clone()?)));
        let (id, loaded) = match (query.mode, loaded) {
            (Mode::Lexical, _) | (Mode::Hybrid, None) => return Ok(NONE),
            (Mode::Semantic, None) => {
                return Err(Failure::new(
                    Reason::Unavailable,
                    "the model that the stored vectors come from is not loaded; search by words \
                     meanwhile, GetIndex says why",
                ));
            }
            (_, Some((id, loaded))) => (id, loaded),
        };
        let started = Instant::now();
        let embedded = self.vectors.get(id, &loaded, &query.text).await;
        metrics::histogram!(STAGE_DURATION, "stage" => "embed").record(started.elapsed());
        match embedded {
            Ok(vector) => {
                Ok(Embedded { vector: Some(vector), embedder: Some(loaded.spec().clone()) })
            }
            // Words alone answer better than an error does.
            Err(failed) if query.mode == Mode::Hybrid => {
                tracing::warn!(error = %failed, "words alone answer, as the embedder failed");
                Ok(NONE)
            }
            Err(failed) => Err(error::failure(&failed)),
        }
    }

    /// The passages nearest to the query's vector, `depth` at most.
    async fn neighbours(
        &self,
        query: &Query,
        corpus: &Corpus,
        passing: i64,
        vector: Option<&Arc<Vec<f32>>>,
        depth: usize,
    ) -> Result<Vec<Hit>, Failure> {
        let (Some(vector), Some(model)) = (vector, corpus.model) else { return Ok(Vec::new()) };
        let started = Instant::now();
        let filter = &query.filter;
        let index = filter.is_open() || passing > EXACT_MAX;
        let path = if index { Path::Index } else { Path::Exact };
        let hits = queries::semantic(&self.pool, model, vector, filter, path, depth as i64).await;
        metrics::histogram!(STAGE_DURATION, "stage" => "neighbours").record(started.elapsed());
        hits.map_err(database::failure)
    }

    /// How many chunks pass the filter, as far as it matters.
    async fn passing(&self, filter: &Filter, corpus: &Corpus) -> Result<i64, Failure> {
        if filter.is_open() {
            return Ok(corpus.totals.chunks);
        }
        let count = queries::passing(&self.pool, filter);
        let (passing, _) = self
            .passing
            .get(filter, |_| Some(filter.bytes()), count)
            .await
            .map_err(database::failure)?;
        Ok(*passing)
    }

    /// The passages by their words, best first, and whether more hold them than were scored.
    async fn words(
        &self,
        query: &Query,
        corpus: &Corpus,
        passing: i64,
    ) -> Result<(Vec<Hit>, bool), Failure> {
        let terms = bm25::rarest(corpus.terms.clone());
        if terms.is_empty() || query.mode == Mode::Semantic {
            return Ok((Vec::new(), false));
        }
        let started = Instant::now();
        let selectivity = if passing > EXACT_MAX {
            1.0
        } else {
            passing as f64 / corpus.totals.chunks.max(1) as f64
        };
        let mut wanted = bm25::Wanted {
            terms: &terms,
            totals: corpus.totals,
            ids: None,
            selectivity: selectivity.min(1.0),
        };
        if wanted.is_common() {
            wanted.ids = Some(queries::ids(&self.pool).await.map_err(database::failure)?);
        }
        let matches = queries::lexical(&self.pool, &wanted, &query.filter)
            .await
            .map_err(database::failure)?;
        let cut = wanted.is_common() || matches.len() >= CANDIDATES_MAX;
        let mut hits = bm25::score(&matches, &terms, corpus.totals);
        hits.sort_unstable_by(|a, b| {
            fusion::best_first(a.score, b.score).then(a.chunk.cmp(&b.chunk))
        });
        metrics::histogram!(STAGE_DURATION, "stage" => "words").record(started.elapsed());
        Ok((hits, cut))
    }

    async fn rank(&self, query: &Query, fused: Vec<fusion::Fused>) -> Result<Vec<Ranked>, Failure> {
        let started = Instant::now();
        let chunks: Vec<i64> = fused.iter().map(|hit| hit.chunk).collect();
        let facts = queries::facts(&self.pool, &chunks).await.map_err(database::failure)?;
        let weights = Weights {
            priority_step: self.config.priority_step(),
            recency: f64::from(query.recency_e4) / 1e4,
        };
        let ranked = ranking::rank(fused, facts, weights, Utc::now());
        let selection = Selection {
            limit: query.limit,
            per_document: query.per_document,
            collapse: query.collapse,
        };
        let shown = ranking::select(ranked, selection);
        metrics::histogram!(STAGE_DURATION, "stage" => "rank").record(started.elapsed());
        Ok(shown)
    }

    async fn hydrate(&self, corpus: &Corpus, shown: Vec<Ranked>) -> Result<Vec<Found>, Failure> {
        let started = Instant::now();
        let chunks: Vec<i64> = shown
            .iter()
            .flat_map(|hit| std::iter::once(hit.fused.chunk).chain(hit.also_in.iter().copied()))
            .collect();
        let passages = queries::shown(&self.pool, &chunks).await.map_err(database::failure)?;
        let lexemes: Vec<String> = corpus.terms.iter().map(|term| term.lexeme.clone()).collect();
        let found = |ranked: Ranked| {
            let shown = passages.get(&ranked.fused.chunk)?.clone();
            let also_in = ranked.also_in.iter().filter_map(|id| passages.get(id).cloned());
            let also_in = also_in.collect();
            let highlights = highlight::spans(&shown.content, &lexemes);
            Some(Found { ranked, shown, highlights, also_in })
        };
        let found = shown.into_iter().filter_map(found).collect();
        metrics::histogram!(STAGE_DURATION, "stage" => "hydrate").record(started.elapsed());
        Ok(found)
    }
}
