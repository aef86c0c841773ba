//! Turning text into vectors: one trait, three embedders, and the probe that identifies a model.

pub mod hash;
pub mod minilm;
pub mod openai;

use std::error::Error as StdError;
use std::time::Duration;

use futures::future::BoxFuture;
use sha2::{Digest, Sha256};

/// What every embedder is asked at start; its vector is part of the model's fingerprint.
const PROBE_TEXT: &str = "The quick brown fox jumps over the lazy dog.";
/// How far from 1 the length of a normalised vector may be.
const NORM_TOLERANCE: f32 = 1e-3;
/// Components are rounded to this step before they enter the fingerprint, so that the order in
/// which a processor adds does not show.
const FINGERPRINT_STEP: f32 = 0.01;
/// Cosine above which two probe vectors come from the same model: servers that compute in half
/// precision wobble by about 1e-4, another model lands near zero.
const SAME_MODEL_COSINE: f32 = 0.99;
/// An English word piece holds about four letters; used where the model's tokenizer is not ours.
const LETTERS_PER_TOKEN: usize = 4;

/// Which side of the search a text is on; some models want a different prefix for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// What somebody searches for. Served before documents. A local model cuts it to its limit; a
    /// server decides itself.
    Query,
    /// What is stored. Refused as [`Error::TooLong`] beyond the model's limit, never cut.
    Document,
}

/// Everything that decides which vector a text gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelSpec {
    /// Who computes: `local`, `openai`, `hash`.
    pub provider: String,
    /// The model's name as its provider knows it.
    pub name: String,
    /// SHA-256 of the weights in hex, or what the operator declared for a remote model.
    pub revision: String,
    /// Components per vector.
    pub dim: usize,
    /// The longest text the model reads, in tokens, special tokens included.
    pub max_tokens: usize,
    /// Whether nearness means likeness of meaning, and not only of spelling.
    pub semantic: bool,
    /// Put before every query.
    pub query_prefix: String,
    /// Put before every document.
    pub doc_prefix: String,
}

impl ModelSpec {
    /// Of everything that decides which vector a document gets: what is put before queries is not
    /// part of it.
    #[must_use]
    pub fn sha256(&self) -> Vec<u8> {
        let mut sha = Sha256::new();
        for text in [&self.provider, &self.name, &self.revision, &self.doc_prefix] {
            sha.update((text.len() as u64).to_le_bytes());
            sha.update(text);
        }
        sha.update((self.dim as u64).to_le_bytes());
        sha.update((self.max_tokens as u64).to_le_bytes());
        sha.update([u8::from(self.semantic)]);
        sha.finalize().to_vec()
    }

    /// The text as the model is given it.
    pub fn prefixed(&self, kind: Kind, text: &str) -> String {
        let prefix = match kind {
            Kind::Query => &self.query_prefix,
            Kind::Document => &self.doc_prefix,
        };
        [prefix.as_str(), text].concat()
    }
}

/// Why texts got no vectors.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The same call may succeed later.
    #[error("the embedder cannot answer now: {what}; it will be tried again")]
    Transient {
        /// What was observed.
        what: String,
        /// How long the embedder asked us to wait.
        retry_after: Option<Duration>,
        /// The failure below, if there is one.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
    /// One document is longer than the model reads; the others are fine.
    #[error("text {index} has {tokens} tokens but the model reads {max}; split it")]
    TooLong {
        /// Position in the call's `texts`.
        index: usize,
        /// Its length, special tokens included.
        tokens: usize,
        /// [`ModelSpec::max_tokens`].
        max: usize,
    },
    /// Repeating the call cannot help.
    #[error("the embedder refused: {what}")]
    Permanent {
        /// What was observed and what to change.
        what: String,
        /// The failure below, if there is one.
        #[source]
        source: Option<Box<dyn StdError + Send + Sync>>,
    },
}

impl Error {
    pub(crate) fn transient(what: impl Into<String>) -> Self {
        Self::Transient { what: what.into(), retry_after: None, source: None }
    }

    pub(crate) fn permanent(what: impl Into<String>) -> Self {
        Self::Permanent { what: what.into(), source: None }
    }
}

/// A model that turns texts into vectors of length 1.
pub trait Embedder: Send + Sync {
    /// What the model is; constant for the life of the embedder.
    fn spec(&self) -> &ModelSpec;

    /// How many of [`ModelSpec::max_tokens`] the text takes, special tokens included. Exact for a
    /// local model, otherwise an estimate that is rather too high.
    fn count_tokens(&self, text: &str) -> usize;

    /// One vector per text, in order, each of [`ModelSpec::dim`] finite components and length 1.
    fn embed<'a>(
        &'a self,
        kind: Kind,
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Error>>;
}

/// What the probe at start found out.
#[derive(Clone, Debug, PartialEq)]
pub struct Probe {
    /// SHA-256 over the spec and the rounded probe vector. A stored model with the same spec and
    /// another fingerprint must be compared by [`agrees`](Self::agrees) before anything is written.
    pub fingerprint: [u8; 32],
    /// The vector of the probe text.
    pub vector: Vec<f32>,
}

impl Probe {
    /// Whether a stored probe vector comes from this model: tells the rounding noise of a remote
    /// server from somebody having pointed its address to another model.
    pub fn agrees(&self, stored: &[f32]) -> bool {
        let dot: f32 = self.vector.iter().zip(stored).map(|(a, b)| a * b).sum();
        self.vector.len() == stored.len() && dot >= SAME_MODEL_COSINE
    }
}

/// Embeds one fixed text and checks that the vector is what the spec promises.
pub async fn probe(embedder: &dyn Embedder) -> Result<Probe, Error> {
    let spec = embedder.spec();
    let mut vectors = embedder.embed(Kind::Document, &[PROBE_TEXT]).await?;
    let vector = match (vectors.pop(), vectors.is_empty()) {
        (Some(vector), true) => vector,
        _ => {
            return Err(Error::permanent("it did not return one vector for one text"));
        }
    };
    check_vector(&vector, spec.dim)?;
    let norm = norm(&vector);
    if (norm - 1.0).abs() > NORM_TOLERANCE {
        return Err(Error::permanent(format!("its vectors have length {norm}, not 1")));
    }
    Ok(Probe { fingerprint: fingerprint(spec, &vector), vector })
}

fn fingerprint(spec: &ModelSpec, vector: &[f32]) -> [u8; 32] {
    let mut sha = Sha256::new();
    let texts = [&spec.provider, &spec.name, &spec.revision, &spec.query_prefix, &spec.doc_prefix];
    for text in texts {
        // The length keeps ("ab", "c") apart from ("a", "bc").
        sha.update((text.len() as u64).to_le_bytes());
        sha.update(text);
    }
    sha.update((spec.dim as u64).to_le_bytes());
    sha.update((spec.max_tokens as u64).to_le_bytes());
    sha.update([u8::from(spec.semantic)]);
    for component in vector {
        sha.update(((component / FINGERPRINT_STEP).round() as i32).to_le_bytes());
    }
    sha.finalize().into()
}

fn check_vector(vector: &[f32], dim: usize) -> Result<(), Error> {
    if vector.len() != dim {
        let got = vector.len();
        return Err(Error::permanent(format!(
            "it returned {got} components per vector but is configured for {dim}; \
             set the model's dimension to what the server gives"
        )));
    }
    if vector.iter().any(|component| !component.is_finite()) {
        return Err(Error::permanent("it returned a component that is not a finite number"));
    }
    Ok(())
}

fn norm(vector: &[f32]) -> f32 {
    vector.iter().map(|x| x * x).sum::<f32>().sqrt()
}

/// Scales to length 1; `false` leaves a vector without direction as it is.
fn normalise(vector: &mut [f32]) -> bool {
    let norm = norm(vector);
    if norm <= f32::MIN_POSITIVE || !norm.is_finite() {
        return false;
    }
    vector.iter_mut().for_each(|x| *x /= norm);
    true
}

/// Tokens of a text for a model whose tokenizer we do not have: rather too many than too few, so
/// that a chunk cut by this estimate also fits a word-piece model.
fn estimate_tokens(text: &str) -> usize {
    const SPECIAL_TOKENS: usize = 2;
    let mut tokens = SPECIAL_TOKENS;
    let mut letters = 0;
    for c in text.chars() {
        if c.is_ascii_alphanumeric() {
            tokens += usize::from(letters % LETTERS_PER_TOKEN == 0);
            letters += 1;
        } else {
            letters = 0;
            tokens += usize::from(!c.is_whitespace());
        }
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec() -> ModelSpec {
        ModelSpec {
            provider: "test".into(),
            name: "m".into(),
            revision: "1".into(),
            dim: 2,
            max_tokens: 8,
            semantic: true,
            query_prefix: "query: ".into(),
            doc_prefix: String::new(),
        }
    }

    #[test]
    fn fingerprint_depends_on_every_part_and_not_on_rounding() {
        let base = fingerprint(&spec(), &[0.6, 0.8]);
        assert_eq!(base, fingerprint(&spec(), &[0.600_001, 0.799_999]));
        assert_ne!(base, fingerprint(&spec(), &[0.8, 0.6]));
        for change in [
            ModelSpec { name: "n".into(), ..spec() },
            ModelSpec { revision: "2".into(), ..spec() },
            ModelSpec { doc_prefix: "query: ".into(), query_prefix: String::new(), ..spec() },
            ModelSpec { semantic: false, ..spec() },
            ModelSpec { max_tokens: 9, ..spec() },
        ] {
            assert_ne!(base, fingerprint(&change, &[0.6, 0.8]), "{change:?}");
        }
    }

    #[test]
    fn probe_vectors_agree_within_the_noise_of_a_server() {
        let probe = Probe { fingerprint: [0; 32], vector: vec![0.6, 0.8] };
        assert!(probe.agrees(&[0.601, 0.799]));
        assert!(!probe.agrees(&[0.8, -0.6]));
        assert!(!probe.agrees(&[0.6, 0.8, 0.0]));
    }

    #[test]
    fn token_estimate_counts_words_signs_and_ideographs() {
        assert_eq!(estimate_tokens(""), 2);
        assert_eq!(estimate_tokens("a cat"), 4);
        assert_eq!(estimate_tokens("aerodynamics."), 2 + 3 + 1);
        assert_eq!(estimate_tokens("中文"), 4);
    }

    #[test]
    fn prefix_follows_the_kind() {
        assert_eq!(spec().prefixed(Kind::Query, "x"), "query: x");
        assert_eq!(spec().prefixed(Kind::Document, "x"), "x");
    }
}
