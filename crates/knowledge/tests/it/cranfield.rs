//! How good the answers are: the odd queries of the Cranfield collection, nDCG@10.

use std::{collections::HashMap, path::Path};

use proto::{
    SourceId,
    knowledge::v1::{DocumentInput, SearchRequest},
};
use testkit::corpus;

use crate::stand::{Replica, ask, document, plain, search, settled, submit};

#[tokio::test(flavor = "multi_thread")]
async fn without_a_model_words_carry_the_answers() {
    let Some(folder) = corpus("retrieval") else { return };
    let folder = folder.join("cranfield");
    let (stand, replica, project) = plain().await;
    let source = SourceId::generate();
    let documents: Vec<DocumentInput> = documents(&folder, |name, title, text| DocumentInput {
        title,
        ..document(project, source, &name, &text)
    });
    assert_eq!(documents.len(), 1_400);
    for batch in documents.chunks(100) {
        submit(&replica, batch.to_vec()).await;
    }
    settled(&stand).await;
    let quality = ndcg(&replica, &queries(&folder), &judgements(&folder)).await;
    assert!(quality >= 0.355, "{quality:.4}");
}

async fn ndcg(
    replica: &Replica,
    queries: &[(u32, String)],
    judged: &HashMap<u32, HashMap<String, f64>>,
) -> f64 {
    let mut sum = 0.0;
    for (id, query) in queries {
        let found = names(replica, ask(query)).await;
        let grades = &judged[id];
        let gain = |grades: &mut dyn Iterator<Item = f64>| -> f64 {
            grades.take(10).zip(2..).map(|(grade, at)| grade / f64::from(at).log2()).sum()
        };
        let mut ideal: Vec<f64> = grades.values().copied().collect();
        ideal.sort_by(|a, b| b.total_cmp(a));
        let best = gain(&mut ideal.into_iter());
        let mut got = found.iter().map(|name| grades.get(name).copied().unwrap_or(0.0));
        sum += if best > 0.0 { gain(&mut got) / best } else { 0.0 };
    }
    sum / queries.len() as f64
}

/// The documents' own names, which the tests put at the start of the URL.
async fn names(replica: &Replica, request: SearchRequest) -> Vec<String> {
    let results = search(&replica.service, request).await.results;
    results.into_iter().map(|result| result.url).collect()
}

fn documents(
    folder: &Path,
    make: impl Fn(String, String, String) -> DocumentInput,
) -> Vec<DocumentInput> {
    let text = std::fs::read_to_string(folder.join("cran.all.1400")).expect("the collection");
    text.split(".I ")
        .skip(1)
        .map(|entry| {
            let (name, rest) = entry.split_once('\n').expect("a number");
            let part = |from: &str, to: &str| {
                let start = rest.find(from).map_or(0, |at| at + from.len());
                let end = rest[start..].find(to).map_or(rest.len(), |at| start + at);
                rest[start..end].split_whitespace().collect::<Vec<_>>().join(" ")
            };
            let body = rest.split_once("\n.W\n").map_or("", |(_, body)| body);
            let name = name.trim().to_owned();
            let document = make(name.clone(), part(".T\n", "\n.A"), body.trim().to_owned());
            DocumentInput { url: name, ..document }
        })
        .collect()
}

fn queries(folder: &Path) -> Vec<(u32, String)> {
    let text = std::fs::read_to_string(folder.join("queries-odd.tsv")).expect("the queries");
    let row = |line: &str| {
        let (id, query) = line.split_once('\t')?;
        Some((id.parse().ok()?, query.trim().to_owned()))
    };
    text.lines().filter_map(row).collect()
}

fn judgements(folder: &Path) -> HashMap<u32, HashMap<String, f64>> {
    let text = std::fs::read_to_string(folder.join("qrels-odd.tsv")).expect("the judgements");
    let mut judged: HashMap<u32, HashMap<String, f64>> = HashMap::new();
    for line in text.lines() {
        let mut fields = line.split('\t');
        let (Some(id), Some(name), Some(grade)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let (Ok(id), Ok(grade)) = (id.parse(), grade.trim().parse()) else { continue };
        judged.entry(id).or_default().insert(name.to_owned(), grade);
    }
    judged
}
