//! How good the answers are over REST: the odd queries of the Cranfield collection, nDCG@10.

use std::{collections::HashMap, fs, path::Path, time::Duration};

use serde_json::{Value, json};
use testkit::{corpus, eventually};
use tokio::time::Instant;

use crate::instance::Instance;

const DOCUMENTS: usize = 1_400;
const DOCUMENTS_A_REQUEST: usize = 100;
/// How many results count.
const DEPTH: usize = 10;

/// For one request, on a machine that is busy embedding.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);
/// For the model to load; an instance that has just started serves `hash-v1` until then.
const MODEL_DEADLINE: Duration = Duration::from_secs(60);
/// For all jobs to end: an unoptimised build stores about 20 documents a second.
const JOBS_DEADLINE: Duration = Duration::from_secs(600);

/// What each mode is worth.
struct Quality {
    hybrid: f64,
    lexical: f64,
    semantic: f64,
}

#[tokio::test(flavor = "multi_thread")]
async fn cranfield_without_a_model_words_carry_the_answers() {
    let Some(folder) = corpus("retrieval") else { return };
    let quality = quality(&folder.join("cranfield"), "hash-v1").await;
    assert!(quality.hybrid >= 0.355, "{:.4}", quality.hybrid);
}

#[tokio::test(flavor = "multi_thread")]
async fn cranfield_with_the_model_both_legs_together_beat_either() {
    let Some(folder) = corpus("retrieval") else { return };
    let quality = quality(&folder.join("cranfield"), "minilm").await;
    assert!(quality.hybrid >= 0.40, "{:.4}", quality.hybrid);
    let best = quality.lexical.max(quality.semantic);
    assert!(quality.hybrid - best >= 0.02, "{:.4} beside {best:.4}", quality.hybrid);
}

async fn quality(folder: &Path, embedder: &str) -> Quality {
    let instance = Instance::start_with(&[("knowledge__embedder", embedder)]).await;
    let api = Api::new(&instance);
    let semantic = embedder != "hash-v1";
    let ready = eventually(MODEL_DEADLINE, || async {
        let answer = api.get("knowledge/search", &[("q", "anything")]).await;
        if answer["embedder"]["semantic"] == semantic { Ok(()) } else { Err(answer) }
    });
    ready.await;

    let documents = documents(folder);
    assert_eq!(documents.len(), DOCUMENTS);
    let start = Instant::now();
    for batch in documents.chunks(DOCUMENTS_A_REQUEST) {
        let answer = api.post("knowledge/documents", &json!({ "documents": batch })).await;
        for (document, result) in batch.iter().zip(answer["results"].as_array().expect("results")) {
            // Two of the records have neither title nor text: there is nothing to find in them.
            let expected = if document["text"] == "" { "refused" } else { "accepted" };
            assert_eq!(result["status"], expected, "{result}");
        }
    }
    settled(&api).await;
    let rate = DOCUMENTS as f64 / start.elapsed().as_secs_f64();

    let (queries, judged) = (queries(folder), judgements(folder));
    let hybrid = ndcg(&api, "hybrid", &queries, &judged).await;
    let lexical = ndcg(&api, "lexical", &queries, &judged).await;
    let semantic = ndcg(&api, "semantic", &queries, &judged).await;
    eprintln!(
        "{embedder}: nDCG@10 hybrid {hybrid:.4}, lexical {lexical:.4}, semantic {semantic:.4}; \
         {} queries, {rate:.1} documents/s stored",
        queries.len(),
    );
    Quality { hybrid, lexical, semantic }
}

/// Waits until no job is queued or running, and requires that each did its work.
async fn settled(api: &Api) {
    let done = eventually(JOBS_DEADLINE, || async {
        let counts = api.get("jobs", &[("page_size", "1")]).await["counts"].take();
        if counts["queued"] == 0 && counts["running"] == 0 { Ok(counts) } else { Err(counts) }
    });
    let counts = done.await;
    assert_eq!(counts["dead"], 0, "{counts}");
}

async fn ndcg(
    api: &Api,
    mode: &str,
    queries: &[(u32, String)],
    judged: &HashMap<u32, HashMap<String, f64>>,
) -> f64 {
    let mut sum = 0.0;
    for (id, query) in queries {
        let limit = DEPTH.to_string();
        let params = [("q", query.as_str()), ("mode", mode), ("limit", limit.as_str())];
        let answer = api.get("knowledge/search", &params).await;
        let found = answer["results"].as_array().expect("results").iter();
        let grades = &judged[id];
        let grade = |result: &Value| {
            let name = result["url"].as_str().and_then(|url| url.rsplit('/').next());
            name.and_then(|name| grades.get(name)).copied().unwrap_or(0.0)
        };
        let mut ideal: Vec<f64> = grades.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let best = gain(ideal.into_iter());
        sum += if best > 0.0 { gain(found.map(grade)) / best } else { 0.0 };
    }
    sum / queries.len() as f64
}

/// Discounted cumulative gain (Järvelin and Kekäläinen, 2002).
fn gain(grades: impl Iterator<Item = f64>) -> f64 {
    grades.take(DEPTH).zip(2..).map(|(grade, at)| grade / f64::from(at).log2()).sum()
}

/// The REST API as its administrator.
struct Api {
    client: reqwest::Client,
    base: String,
    token: String,
}

impl Api {
    fn new(instance: &Instance) -> Self {
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(chassis::tls::client_config())
            .timeout(REQUEST_TIMEOUT)
            .build();
        let token = fs::read_to_string(instance.data_dir().join("admin.token"));
        Self {
            client: client.expect("a client"),
            base: instance.address("http"),
            token: token.expect("admin.token").trim().to_owned(),
        }
    }

    async fn get(&self, path: &str, query: &[(&str, &str)]) -> Value {
        self.answer(self.client.get(format!("{}/api/{path}", self.base)).query(query)).await
    }

    async fn post(&self, path: &str, body: &Value) -> Value {
        self.answer(self.client.post(format!("{}/api/{path}", self.base)).json(body)).await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> Value {
        let response = request.bearer_auth(&self.token).send().await.expect("an answer");
        let (status, body) = (response.status(), response.text().await.expect("a body"));
        assert!(status.is_success(), "{status}: {body}");
        serde_json::from_str(&body).expect("JSON")
    }
}

/// The abstracts as the API takes them; each one's number ends its URL.
fn documents(folder: &Path) -> Vec<Value> {
    let text = fs::read_to_string(folder.join("cran.all.1400")).expect("the collection");
    text.split(".I ")
        .skip(1)
        .map(|entry| {
            let (number, rest) = entry.split_once('\n').expect("a number");
            let number = number.trim();
            let title = rest.split_once(".T\n").and_then(|(_, rest)| rest.split_once("\n.A"));
            let body = rest.split_once("\n.W\n").map_or("", |(_, body)| body);
            let words: Vec<&str> =
                title.map_or("", |(title, _)| title).split_whitespace().collect();
            json!({
                "project": "cranfield",
                "external_id": number,
                "title": words.join(" "),
                "url": format!("https://cranfield.example/{number}"),
                "text": body.trim(),
                "media_type": "text/plain",
            })
        })
        .collect()
}

fn queries(folder: &Path) -> Vec<(u32, String)> {
    let text = fs::read_to_string(folder.join("queries-odd.tsv")).expect("the queries");
    let row = |line: &str| {
        let (id, query) = line.split_once('\t')?;
        Some((id.parse().ok()?, query.trim().to_owned()))
    };
    text.lines().filter_map(row).collect()
}

fn judgements(folder: &Path) -> HashMap<u32, HashMap<String, f64>> {
    let text = fs::read_to_string(folder.join("qrels-odd.tsv")).expect("the judgements");
    let mut judged: HashMap<u32, HashMap<String, f64>> = HashMap::new();
    for line in text.lines() {
        let fields: Vec<&str> = line.split('\t').map(str::trim).collect();
        let [id, name, grade] = fields[..] else { panic!("not a judgement: {line:?}") };
        let grades = judged.entry(id.parse().expect("a query")).or_default();
        grades.insert(name.to_owned(), grade.parse().expect("a grade"));
    }
    judged
}
