//! The local model: sentence-transformers' all-MiniLM-L6-v2 (or another BERT encoder with mean
//! pooling) in process, on threads of its own.

mod folder;
mod forward;
mod lanes;
mod math;
mod matrix;
mod team;
mod weights;

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread;

use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use tokenizers::Tokenizer;
use tokio::sync::oneshot;

pub use self::folder::Error as LoadError;
use self::forward::Scratch;
use self::lanes::{Assistance, Lanes, Request, Work};
use self::weights::Weights;
use super::{Embedder, Error, Kind, ModelSpec};

/// SHA-256 of the weights of all-MiniLM-L6-v2 as its authors publish them.
const ALL_MINILM_L6_V2: &str = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db";

/// A model folder, loaded, with the threads that compute.
pub struct MiniLm {
    spec: ModelSpec,
    model: Arc<Model>,
    lanes: Arc<Lanes>,
}

struct Model {
    tokenizer: Tokenizer,
    weights: Weights,
}

impl MiniLm {
    /// Loads a folder with config.json, tokenizer.json, model.safetensors, 1_Pooling/config.json
    /// and sentence_bert_config.json, and starts `threads` threads. Reads some 90 MB: call it off
    /// the async threads.
    pub fn load(folder: &Path, threads: NonZeroUsize) -> Result<Self, LoadError> {
        let model =
            Arc::new(Model { tokenizer: load_tokenizer(folder)?, weights: Weights::load(folder)? });
        let vocabulary = model.weights.shape.vocabulary;
        if model.tokenizer.get_vocab_size(true) > vocabulary {
            let what = format!("its tokenizer knows more than its {vocabulary} words");
            return Err(LoadError::Unsupported { folder: folder.to_owned(), what });
        }
        let lanes = Arc::new(Lanes::default());
        let embedder = Self { spec: spec(&model.weights), model, lanes };
        for number in 0..threads.get() {
            let (model, lanes) = (embedder.model.clone(), embedder.lanes.clone());
            // Not joined: a thread ends within one batch after the lanes are closed by `drop`.
            thread::Builder::new()
                .name(format!("embed-{number}"))
                .spawn(move || serve(&model, &lanes))
                .map_err(LoadError::Threads)?;
        }
        Ok(embedder)
    }
}

impl Drop for MiniLm {
    fn drop(&mut self) {
        self.lanes.close();
    }
}

impl Embedder for MiniLm {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn count_tokens(&self, text: &str) -> usize {
        // A text that the tokenizer refuses is reported when it is embedded.
        self.model.tokenizer.encode_fast(text, true).map_or(0, |encoding| encoding.len())
    }

    fn embed<'a>(
        &'a self,
        kind: Kind,
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Error>> {
        async move {
            let queue = |(index, text): (usize, &&str)| {
                let (reply, vector) = oneshot::channel();
                let text = self.spec.prefixed(kind, text);
                (Request { kind, index, text, reply }, vector)
            };
            let (requests, vectors): (Vec<_>, Vec<_>) = texts.iter().enumerate().map(queue).unzip();
            self.lanes.push(kind, requests)?;
            try_join_all(vectors.into_iter().map(|vector| async {
                let gone = |_| Error::permanent("its computation was abandoned; see the log");
                vector.await.map_err(gone)?
            }))
            .await
        }
        .boxed()
    }
}

fn spec(weights: &Weights) -> ModelSpec {
    let known = weights.revision == ALL_MINILM_L6_V2;
    ModelSpec {
        provider: "local".into(),
        name: if known { "all-MiniLM-L6-v2" } else { "custom BERT encoder" }.into(),
        revision: weights.revision.clone(),
        dim: weights.shape.hidden,
        max_tokens: weights.max_tokens,
        semantic: true,
        query_prefix: String::new(),
        doc_prefix: String::new(),
    }
}

fn load_tokenizer(model: &Path) -> Result<Tokenizer, LoadError> {
    let path = model.join("tokenizer.json");
    let bytes = folder::read(&path)?;
    let damaged = |source| LoadError::Damaged { path: path.clone(), source };
    let mut tokenizer = Tokenizer::from_bytes(bytes).map_err(damaged)?;
    // The published file pads and cuts to 128 tokens. We pack, and cutting is our decision.
    tokenizer.with_padding(None);
    tokenizer.with_truncation(None).map_err(damaged)?;
    Ok(tokenizer)
}

/// A thread's life: take work, compute, answer.
fn serve(model: &Model, lanes: &Lanes) {
    let mut scratch = Scratch::new(&model.weights);
    while let Some(work) = lanes.next() {
        // Should the arithmetic panic, the batch's callers get an error and the thread lives on;
        // the scratch buffers are sized anew by every batch.
        let computed = catch_unwind(AssertUnwindSafe(|| match work {
            Work::Batch(batch) => answer(model, lanes, batch, &mut scratch),
            Work::Assist(Assistance { sequences, link }) => {
                forward::embed(&model.weights, &sequences, Some(&link), &mut scratch);
            }
        }));
        if computed.is_err() {
            tracing::error!("embedding a batch panicked; its texts got no vectors");
        }
    }
}

fn answer(model: &Model, lanes: &Lanes, batch: Vec<Request>, scratch: &mut Scratch) {
    let mut replies = Vec::with_capacity(batch.len());
    let mut sequences = Vec::with_capacity(batch.len());
    let urgent = batch.iter().any(|request| request.kind == Kind::Query);
    for request in batch {
        match model.tokenise(&request) {
            Ok(tokens) => {
                sequences.push(tokens);
                replies.push(request.reply);
            }
            // A failed send means that nobody waits any more; likewise below.
            Err(error) => drop(request.reply.send(Err(error))),
        }
    }
    let sequences = Arc::new(sequences);
    let (link, other_end) = team::pair();
    let assistance = Assistance { sequences: sequences.clone(), link: other_end };
    // Documents are many: their threads do more by working apart.
    let link = (urgent && lanes.assist(assistance)).then_some(link);
    let vectors = forward::embed(&model.weights, &sequences, link.as_ref(), scratch);
    for (reply, vector) in replies.into_iter().zip(vectors) {
        drop(reply.send(Ok(vector)));
    }
}

impl Model {
    fn tokenise(&self, request: &Request) -> Result<Vec<u32>, Error> {
        let encoding = self.tokenizer.encode_fast(request.text.as_str(), true);
        let encoding = encoding.map_err(|source| Error::Permanent {
            what: format!("text {} cannot be split into tokens", request.index),
            source: Some(source),
        })?;
        let mut tokens = encoding.get_ids().to_vec();
        let max = self.weights.max_tokens;
        if tokens.len() > max {
            if request.kind == Kind::Document {
                return Err(Error::TooLong { index: request.index, tokens: tokens.len(), max });
            }
            // The last token marks the end of a text; it stays.
            tokens.drain(max - 1..tokens.len() - 1);
        }
        Ok(tokens)
    }
}
