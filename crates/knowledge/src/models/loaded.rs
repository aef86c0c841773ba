//! Embedders that have proved what they are.

use std::{num::NonZeroUsize, path::Path, sync::Arc, time::Duration};

use crate::{
    chunking,
    embed::{self, Embedder, Kind, ModelSpec, Probe, minilm::MiniLm},
};

/// How long an embedder may take to answer the probe.
const PROBE_TIMEOUT: Duration = Duration::from_secs(20);

/// An embedder that has answered the probe.
#[derive(Clone)]
pub struct Loaded {
    /// Computes vectors.
    pub embedder: Arc<dyn Embedder>,
    /// What it answered.
    pub(super) probe: Probe,
}

impl Loaded {
    /// What the model is.
    #[must_use]
    pub fn spec(&self) -> &ModelSpec {
        self.embedder.spec()
    }

    /// What a text may have, in tokens, beside what the model wants before every document.
    #[must_use]
    pub fn tokens_max(&self) -> usize {
        let spec = self.spec();
        let prefix = match spec.doc_prefix.as_str() {
            "" => 0,
            prefix => self.embedder.count_tokens(prefix),
        };
        spec.max_tokens.saturating_sub(prefix)
    }

    /// A vector per input, in order. An input that was cut for a model which reads more than this
    /// one counts with what this one reads.
    ///
    /// # Errors
    /// Those of the embedder.
    pub async fn embed_documents(&self, inputs: &[String]) -> Result<Vec<Vec<f32>>, embed::Error> {
        let count = |text: &str| self.embedder.count_tokens(text);
        let max = self.tokens_max();
        let inputs: Vec<String> =
            inputs.iter().map(|input| chunking::clip(input, max, &count)).collect();
        let texts: Vec<&str> = inputs.iter().map(String::as_str).collect();
        self.embedder.embed(Kind::Document, &texts).await
    }

    pub(super) async fn probe(embedder: Arc<dyn Embedder>) -> Result<Self, embed::Error> {
        let probe = tokio::time::timeout(PROBE_TIMEOUT, embed::probe(embedder.as_ref()));
        let probe = probe.await.unwrap_or_else(|_| {
            Err(embed::Error::transient(format!("no answer within {PROBE_TIMEOUT:?}")))
        })?;
        Ok(Self { embedder, probe })
    }
}

/// Loads the local model, off the async threads.
pub(super) async fn load_minilm(
    folder: &Path,
    threads: NonZeroUsize,
) -> Result<MiniLm, embed::Error> {
    let folder = folder.to_owned();
    let loading = tokio::task::spawn_blocking(move || MiniLm::load(&folder, threads));
    let unusable = |source: Box<dyn std::error::Error + Send + Sync>| embed::Error::Permanent {
        what: format!("the local model cannot be loaded: {source}"),
        source: Some(source),
    };
    loading.await.map_err(|panic| unusable(panic.into()))?.map_err(|error| unusable(error.into()))
}
