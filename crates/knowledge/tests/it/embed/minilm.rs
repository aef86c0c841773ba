//! The local model. Needs the weights: `COMMANDCENTER_MODEL_DIR` names their folder.

use std::fs;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use knowledge::embed::minilm::{LoadError, MiniLm};
use knowledge::embed::{Embedder, Error, Kind, probe};
use serde::Deserialize;

/// Made by `benches/embed_onnx.py --reference`: onnxruntime on the same weights.
const REFERENCE: &str = include_str!("reference.json");

#[derive(Deserialize)]
struct Reference {
    /// Cosine of the first text with each of the next three, as the model's card states them.
    similarities: [f32; 3],
    texts: Vec<Expected>,
}

#[derive(Deserialize)]
struct Expected {
    text: String,
    tokens: usize,
    head: [f32; 8],
}

/// `None`, and said so, when there are no weights; in CI that is a failure.
#[expect(clippy::disallowed_methods, reason = "tests are configured by the environment")]
fn folder() -> Option<PathBuf> {
    let folder = std::env::var("COMMANDCENTER_MODEL_DIR").ok().map(PathBuf::from);
    if folder.is_none() {
        let ci = std::env::var("CI").is_ok_and(|ci| ci == "true");
        assert!(!ci, "COMMANDCENTER_MODEL_DIR is not set, and CI must test the model");
        eprintln!("COMMANDCENTER_MODEL_DIR is not set: this test of the local model was not run");
    }
    folder
}

fn load(threads: usize) -> Option<MiniLm> {
    let threads = NonZeroUsize::new(threads).unwrap();
    Some(MiniLm::load(&folder()?, threads).unwrap())
}

fn cosine(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn vectors_equal_those_of_onnxruntime() {
    let Some(model) = load(1) else { return };
    let reference: Reference = serde_json::from_str(REFERENCE).unwrap();
    let texts: Vec<&str> = reference.texts.iter().map(|expected| expected.text.as_str()).collect();
    let vectors = model.embed(Kind::Document, &texts).await.unwrap();
    for (expected, vector) in reference.texts.iter().zip(&vectors) {
        assert_eq!(model.count_tokens(&expected.text), expected.tokens, "{:?}", expected.text);
        for (x, reference) in vector.iter().zip(expected.head) {
            assert!((x - reference).abs() < 1e-5, "{:?}: {x} is not {reference}", expected.text);
        }
    }
    for (vector, expected) in vectors[1..].iter().zip(reference.similarities) {
        assert!((cosine(&vectors[0], vector) - expected).abs() < 1e-4);
    }
}

#[tokio::test]
async fn the_probe_identifies_the_published_weights() {
    let Some(model) = load(1) else { return };
    let spec = model.spec();
    assert_eq!((spec.name.as_str(), spec.dim, spec.max_tokens), ("all-MiniLM-L6-v2", 384, 256));
    assert!(spec.semantic);
    let first = probe(&model).await.unwrap();
    assert_eq!(first, probe(&load(2).unwrap()).await.unwrap());
    // A component near the edge of a rounding step would change the fingerprint with the processor.
    for component in first.vector {
        let steps = component / 0.01;
        assert!((steps - steps.floor() - 0.5).abs() > 1e-4, "{component} is near an edge");
    }
}

#[tokio::test]
async fn a_vector_does_not_depend_on_what_else_is_computed() {
    let Some(model) = load(2) else { return };
    let texts: Vec<String> =
        (1..40).map(|words| format!("{words} {}", "wing slipstream ".repeat(words))).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = model.embed(Kind::Document, &texts).await.unwrap();
    let alone = join_all(texts.chunks(1).map(|text| model.embed(Kind::Query, text))).await;
    let alone: Vec<_> = alone.into_iter().flat_map(Result::unwrap).collect();
    // One at a time, so that two threads share each text.
    let mut shared = Vec::new();
    for text in texts.chunks(1) {
        shared.extend(model.embed(Kind::Query, text).await.unwrap());
    }
    assert!(together == alone && together == shared);
}

#[tokio::test]
async fn long_documents_are_refused_by_index_and_long_queries_cut() {
    let Some(model) = load(1) else { return };
    let fits = "wing ".repeat(254);
    let long = "wing ".repeat(255);
    assert_eq!(model.count_tokens(&long), 257);
    let error = model.embed(Kind::Document, &["short", &fits, &long]).await.unwrap_err();
    assert!(matches!(error, Error::TooLong { index: 2, tokens: 257, max: 256 }), "{error}");
    let vectors = model.embed(Kind::Query, &[&fits, &long]).await.unwrap();
    assert!(cosine(&vectors[0], &vectors[1]) > 0.999_999);
}

#[test]
fn folders_that_hold_no_usable_model_are_named() {
    let Some(folder) = folder() else { return };
    let copy = tempfile::tempdir().unwrap();
    let one = NonZeroUsize::MIN;
    let load = || MiniLm::load(copy.path(), one).err().expect("an incomplete folder is refused");

    assert!(matches!(load(), LoadError::Read { path, .. } if path.ends_with("tokenizer.json")));
    fs::create_dir(copy.path().join("1_Pooling")).unwrap();
    for file in
        ["tokenizer.json", "config.json", "1_Pooling/config.json", "sentence_bert_config.json"]
    {
        fs::copy(folder.join(file), copy.path().join(file)).unwrap();
    }
    fs::write(copy.path().join("model.safetensors"), b"half a dow").unwrap();
    let is_weights = |path: &Path| path.ends_with("model.safetensors");
    assert!(matches!(load(), LoadError::Damaged { path, .. } if is_weights(&path)));

    let config = fs::read_to_string(folder.join("config.json")).unwrap();
    let other = config.replace("\"gelu\"", "\"gelu_new\"");
    fs::write(copy.path().join("config.json"), other).unwrap();
    let error = load();
    assert!(error.to_string().contains("hidden_act gelu_new"), "{error}");
}
