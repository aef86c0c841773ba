//! Vectors of queries: remembered, and asked for with little patience.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use crate::{
    cache::SingleFlight,
    config::Config,
    embed::{Error, Kind},
    models::Loaded,
};

/// The unit in which remembered vectors are counted, in bytes: one of MiniLM's with its query.
const VECTOR_BYTES: usize = 2_048;

/// An embedder that failed or was silent is not asked for so long.
const EMBEDDER_REST: Duration = Duration::from_secs(5);

/// The vectors of queries, by the model's row and the text.
pub(super) struct Vectors {
    known: SingleFlight<(i32, String), Vec<f32>>,
    patience: Duration,
    /// The model whose embedder failed, and until when it rests.
    resting: Mutex<Option<(i32, Instant)>>,
}

impl Vectors {
    pub(super) fn new(config: &Config) -> Self {
        let max = config.query_vectors_max;
        Self {
            known: SingleFlight::new("embedding", max, max as u64, None),
            patience: Duration::from_millis(config.query_timeout_ms),
            resting: Mutex::default(),
        }
    }

    /// The vector of `text`, if it is known or the embedder answers in time.
    pub(super) async fn get(
        &self,
        model: i32,
        loaded: &Loaded,
        text: &str,
    ) -> Result<Arc<Vec<f32>>, Error> {
        let key = (model, text.to_owned());
        let weight = |vector: &Vec<f32>| {
            Some((text.len() + size_of_val(vector.as_slice())).div_ceil(VECTOR_BYTES).max(1))
        };
        let embed = self.known.get(&key, weight, async {
            if self.rests(model) {
                return Err(Error::transient("it failed a moment ago"));
            }
            let embedded = loaded.embedder.embed(Kind::Query, &[text]).await;
            if let Err(Error::Transient { .. }) = &embedded {
                self.rest(model);
            }
            Ok(embedded?.pop().unwrap_or_default())
        });
        match tokio::time::timeout(self.patience, embed).await {
            Ok(embedded) => embedded.map(|(vector, _)| vector),
            Err(_) => {
                self.rest(model);
                Err(Error::transient(format!("no answer within {:?}", self.patience)))
            }
        }
    }

    fn rests(&self, model: i32) -> bool {
        let resting = *self.resting.lock().unwrap_or_else(PoisonError::into_inner);
        resting.is_some_and(|(id, until)| id == model && Instant::now() < until)
    }

    fn rest(&self, model: i32) {
        let resting = (model, Instant::now() + EMBEDDER_REST);
        *self.resting.lock().unwrap_or_else(PoisonError::into_inner) = Some(resting);
    }
}
