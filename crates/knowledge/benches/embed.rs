//! Documents per second and milliseconds per query of the local model, on the Cranfield texts.
//!
//! `embed_onnx.py` measures onnxruntime on the same weights and texts and prints the same lines.
//! Reads `COMMANDCENTER_MODEL_DIR` and `COMMANDCENTER_CORPORA`.

#![expect(clippy::disallowed_methods, reason = "a bench has no configuration but the environment")]

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::Context as _;
use knowledge::embed::minilm::MiniLm;
use knowledge::embed::{Embedder, Kind};

const DOCUMENTS: usize = 128;
const QUERIES: usize = 64;
const WARM_UP: usize = 32;
const SAMPLES: usize = 8;

fn main() -> anyhow::Result<()> {
    let folder = variable("COMMANDCENTER_MODEL_DIR")?;
    let cranfield = variable("COMMANDCENTER_CORPORA")?.join("retrieval").join("cranfield");
    let (documents, queries) = texts(&cranfield)?;
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    for threads in [1, 2] {
        let threads = NonZeroUsize::new(threads).context("no thread to compute on")?;
        let model = MiniLm::load(&folder, threads)?;
        let embed = |texts: &[String]| -> anyhow::Result<f64> {
            let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
            let start = Instant::now();
            // As queries, because long abstracts are to be cut, as onnxruntime is given them.
            runtime.block_on(model.embed(Kind::Query, &texts))?;
            Ok(start.elapsed().as_secs_f64())
        };
        embed(&documents[..WARM_UP])?;
        let rate = documents.len() as f64 / best(|| embed(&documents))?;
        let mut total_ms = 0.0;
        for query in queries.chunks(1) {
            total_ms += 1e3 * best(|| embed(query))?;
        }
        println!(
            "commandcenter, {threads} thread(s): {rate:.1} documents/s, {:.2} ms per query",
            total_ms / queries.len() as f64,
        );
    }
    Ok(())
}

fn variable(name: &str) -> anyhow::Result<PathBuf> {
    let value = std::env::var(name).with_context(|| format!("set {name} for this bench"))?;
    Ok(PathBuf::from(value))
}

/// The first abstracts and queries of the Cranfield collection.
fn texts(folder: &Path) -> anyhow::Result<(Vec<String>, Vec<String>)> {
    let records = std::fs::read_to_string(folder.join("cran.all.1400"))?;
    let documents = records
        .split("\n.W\n")
        .skip(1)
        .filter_map(|record| record.split("\n.I ").next())
        .map(|text| text.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|text| !text.is_empty());
    let queries = std::fs::read_to_string(folder.join("queries-odd.tsv"))?;
    let queries = queries.lines().filter_map(|line| line.split_once('\t'));
    let queries = queries.map(|(_, text)| text.to_owned());
    Ok((documents.take(DOCUMENTS).collect(), queries.take(QUERIES).collect()))
}

/// The shortest of several runs: the others were disturbed by whatever else ran.
fn best(mut run: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let mut best = f64::INFINITY;
    for _ in 0..SAMPLES {
        best = best.min(run()?);
    }
    Ok(best)
}
