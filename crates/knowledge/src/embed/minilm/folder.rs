//! A model folder as sentence-transformers publishes it, and whether we can compute its model.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::weights::SHARDS;

/// Tokens that mark a text's start and end.
const SPECIAL_TOKENS: usize = 2;

/// Why a model folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or unreadable.
    #[error("cannot read {} of the embedding model; fetch the model again", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what its name says.
    #[error("{} of the embedding model is damaged; fetch the model again", .path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What the reader said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A model that the forward pass does not compute.
    #[error(
        "the model in {} is not supported: {what}; \
         use a BERT encoder with mean pooling such as all-MiniLM-L6-v2", .folder.display()
    )]
    Unsupported {
        /// The model's folder.
        folder: PathBuf,
        /// The setting that is not ours.
        what: String,
    },
    /// The threads that compute could not be started.
    #[error("cannot start the threads of the embedder")]
    Threads(#[source] io::Error),
}

/// `config.json`: the shape of the encoder.
#[derive(Debug, Deserialize)]
pub(super) struct Shape {
    #[serde(rename = "hidden_size")]
    pub(super) hidden: usize,
    #[serde(rename = "intermediate_size")]
    pub(super) intermediate: usize,
    #[serde(rename = "num_attention_heads")]
    pub(super) heads: usize,
    #[serde(rename = "num_hidden_layers")]
    pub(super) layers: usize,
    #[serde(rename = "vocab_size")]
    pub(super) vocabulary: usize,
    #[serde(rename = "max_position_embeddings")]
    pub(super) positions: usize,
    pub(super) layer_norm_eps: f32,
    model_type: String,
    hidden_act: String,
    #[serde(default)]
    position_embedding_type: Option<String>,
}

/// `1_Pooling/config.json`: how token vectors become one.
#[derive(Deserialize)]
struct Pooling {
    pooling_mode_mean_tokens: bool,
}

/// `sentence_bert_config.json`: how long a text the model was trained on.
#[derive(Deserialize)]
struct Limits {
    max_seq_length: usize,
}

/// The encoder's shape and the longest text in tokens, if [`forward`](super::forward) computes
/// such a model on a processor with panels of `panel_width`.
pub(super) fn config(folder: &Path, panel_width: usize) -> Result<(Shape, usize), Error> {
    let shape: Shape = read_json(&folder.join("config.json"))?;
    let pooling: Pooling = read_json(&folder.join("1_Pooling").join("config.json"))?;
    let limits: Limits = read_json(&folder.join("sentence_bert_config.json"))?;
    check(&shape, &pooling, panel_width)
        .map_err(|what| Error::Unsupported { folder: folder.to_owned(), what })?;
    let max_tokens = limits.max_seq_length.min(shape.positions);
    if max_tokens <= SPECIAL_TOKENS {
        let what = format!("a limit of {max_tokens} tokens");
        return Err(Error::Unsupported { folder: folder.to_owned(), what });
    }
    Ok((shape, max_tokens))
}

fn check(shape: &Shape, pooling: &Pooling, panel_width: usize) -> Result<(), String> {
    let head = shape.hidden.checked_div(shape.heads).unwrap_or(0);
    let positions = shape.position_embedding_type.as_deref().unwrap_or("absolute");
    if shape.model_type != "bert" || positions != "absolute" {
        return Err(format!("model_type {} with {positions} positions", shape.model_type));
    }
    if shape.hidden_act != "gelu" {
        return Err(format!("hidden_act {}", shape.hidden_act));
    }
    if !pooling.pooling_mode_mean_tokens {
        return Err("a pooling other than the mean".into());
    }
    // Products write whole panels: with other widths they would overlap.
    if head * shape.heads != shape.hidden
        || head == 0
        || !head.is_multiple_of(panel_width)
        || !shape.heads.is_multiple_of(SHARDS)
        || !shape.intermediate.is_multiple_of(SHARDS * panel_width)
    {
        return Err(format!(
            "widths {} / {} heads / {}, which do not divide by {SHARDS} x {panel_width}",
            shape.hidden, shape.heads, shape.intermediate
        ));
    }
    Ok(())
}

pub(super) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { path: path.to_owned(), source })
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, Error> {
    serde_json::from_slice(&read(path)?)
        .map_err(|source| Error::Damaged { path: path.to_owned(), source: source.into() })
}
