//! The embedders: against reference vectors, under load, and against servers that misbehave.

mod minilm;
mod openai;

use knowledge::embed::hash::Hash;
use knowledge::embed::{Embedder, Kind, probe};

#[tokio::test]
async fn hash_passes_the_probe_and_says_that_it_is_not_semantic() {
    let embedder = Hash::default();
    let first = probe(&embedder).await.unwrap();
    assert_eq!(first, probe(&Hash::default()).await.unwrap());
    assert!(!embedder.spec().semantic);

    let same = embedder.embed(Kind::Query, &["a wing"]).await.unwrap();
    assert_eq!(same, embedder.embed(Kind::Document, &["a wing"]).await.unwrap());
}
