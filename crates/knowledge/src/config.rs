//! The section `knowledge` of the configuration.

use std::path::PathBuf;

use chassis::config::Secret;
use serde::{Deserialize, Serialize};

use crate::ranking::PRIORITY_STEP_MAX;

/// Which embedder is wanted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// MiniLM when `model_dir` has it, else `hash-v1` with a warning.
    #[default]
    Auto,
    /// The local model; `hash-v1` only until it loads for the first time.
    Minilm,
    /// The server of the section `openai`.
    Openai,
    /// No model: likeness of spelling.
    HashV1,
}

/// How documents are embedded, searched and kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Which embedder is wanted.
    pub embedder: Choice,
    /// The folder with MiniLM's weights and tokenizer.
    pub model_dir: Option<PathBuf>,
    /// Threads that compute the local model; 0 means one per processor.
    pub model_threads: usize,
    /// An OpenAI-compatible server.
    pub openai: OpenAi,
    /// What one point of a source's priority changes; 0 to 0.05.
    pub priority_step: f64,
    /// Connections for searches, beside the pool that the services share.
    pub search_connections_max: u32,
    /// How long a search waits for its query's vector, in milliseconds; then words alone answer.
    pub query_timeout_ms: u64,
    /// How many query vectors are remembered; one takes about 2 KiB.
    pub query_vectors_max: usize,
    /// How much the remembered answers may take, in bytes.
    pub results_bytes_max: u64,
    /// How long an answer is remembered at most, in seconds.
    pub results_ttl_s: u64,
    /// How long a replaced model is kept, in days.
    pub retired_model_days: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            embedder: Choice::Auto,
            model_dir: None,
            model_threads: 0,
            openai: OpenAi::default(),
            priority_step: 0.02,
            search_connections_max: 8,
            query_timeout_ms: 2_000,
            query_vectors_max: 4_096,
            results_bytes_max: 16 * 1024 * 1024,
            results_ttl_s: 60,
            retired_model_days: 7,
        }
    }
}

impl Config {
    /// The priority step within the bounds that ranking is proved for.
    #[must_use]
    pub fn priority_step(&self) -> f64 {
        self.priority_step.clamp(0.0, PRIORITY_STEP_MAX)
    }
}

/// An OpenAI-compatible embedding server; the operator's choice, never a caller's.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OpenAi {
    /// Such as `https://api.openai.com/v1`; empty when there is none.
    pub url: String,
    /// The model's name at that server.
    pub model: String,
    /// Change it when the same name starts to mean other weights.
    pub revision: String,
    /// Components of a vector.
    pub dimensions: usize,
    /// Ask for that many; only for models that can be shortened.
    pub send_dimensions: bool,
    /// The longest text that the model reads, in tokens.
    pub tokens_max: usize,
    /// Put before every query, for models that want it.
    pub query_prefix: String,
    /// Put before every document.
    pub document_prefix: String,
    /// Sent as bearer token; `token_file` names the file that holds it.
    pub token: Secret,
    /// For one request with its answer, in seconds.
    pub timeout_s: u64,
}

impl Default for OpenAi {
    fn default() -> Self {
        Self {
            url: String::new(),
            model: String::new(),
            revision: "1".into(),
            dimensions: 1_536,
            send_dimensions: false,
            tokens_max: 512,
            query_prefix: String::new(),
            document_prefix: String::new(),
            token: Secret::default(),
            timeout_s: 30,
        }
    }
}
