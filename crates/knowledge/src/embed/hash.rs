//! `hash-v1`: a deterministic vector of a text's spelling, for when there is no model. Texts that
//! share words or parts of words are near each other; synonyms are not.

use std::collections::HashMap;

use futures::FutureExt;
use futures::future::BoxFuture;

use super::{Embedder, Error, Kind, ModelSpec, estimate_tokens, normalise};

const DIM: usize = 384;
/// That of the local model, so that chunks cut for this embedder also fit that one.
const MAX_TOKENS: usize = 256;
const GRAM_LENGTHS: std::ops::RangeInclusive<usize> = 3..=5;
/// A word has about ten times as many grams as itself; together they weigh as much as the word.
const GRAM_WEIGHT: f32 = 0.3;
/// A longer run of letters is data, not a word; only its start is cut into grams.
const GRAM_WORD_CHARS_MAX: usize = 32;

/// The embedder without a model: signed feature hashing of words and of character 3- to 5-grams,
/// term frequency taken sublinearly.
#[derive(Debug)]
pub struct Hash {
    spec: ModelSpec,
}

impl Default for Hash {
    fn default() -> Self {
        Self {
            spec: ModelSpec {
                provider: "hash".into(),
                name: "hash-v1".into(),
                revision: "1".into(),
                dim: DIM,
                max_tokens: MAX_TOKENS,
                semantic: false,
                query_prefix: String::new(),
                doc_prefix: String::new(),
            },
        }
    }
}

impl Embedder for Hash {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimate_tokens(text)
    }

    fn embed<'a>(
        &'a self,
        _kind: Kind,
        texts: &'a [&'a str],
    ) -> BoxFuture<'a, Result<Vec<Vec<f32>>, Error>> {
        async move { Ok(texts.iter().map(|text| vector(text)).collect()) }.boxed()
    }
}

fn vector(text: &str) -> Vec<f32> {
    let mut counts: HashMap<u64, (f32, u32)> = HashMap::new();
    let lowered = text.to_lowercase();
    for word in lowered.split(|c: char| !c.is_alphanumeric()).filter(|w| !w.is_empty()) {
        counts.entry(hash(word)).or_insert((1.0, 0)).1 += 1;
        // The angle brackets make the gram of a word's start differ from one in its middle.
        let marked: String = format!("<{word}>").chars().take(GRAM_WORD_CHARS_MAX).collect();
        for gram in GRAM_LENGTHS.flat_map(|n| grams(&marked, n)) {
            counts.entry(hash(gram)).or_insert((GRAM_WEIGHT, 0)).1 += 1;
        }
    }
    // Sorted, because floating-point sums depend on their order.
    let mut features: Vec<_> = counts.into_iter().collect();
    features.sort_unstable_by_key(|(hash, _)| *hash);
    let mut vector = vec![0.0; DIM];
    for (hash, (weight, count)) in features {
        add(&mut vector, hash, weight * (1.0 + (count as f32).ln()));
    }
    if !normalise(&mut vector) {
        // Nothing but signs, or features that cancel: the text as a whole is its only feature.
        vector.fill(0.0);
        add(&mut vector, hash(text), 1.0);
    }
    vector
}

/// Every run of `n` characters, none if there are fewer.
fn grams(word: &str, n: usize) -> impl Iterator<Item = &str> {
    let starts = word.char_indices().map(|(at, _)| at);
    let ends = starts.clone().skip(n).chain([word.len()]);
    let enough = word.chars().count() >= n;
    starts.zip(ends).filter(move |_| enough).map(|(start, end)| &word[start..end])
}

fn add(vector: &mut [f32], hash: u64, weight: f32) {
    let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
    vector[(hash % DIM as u64) as usize] += sign * weight;
}

/// FNV-1a with MurmurHash3's finaliser. Part of the format of stored vectors: never change it
/// without a new model name.
fn hash(text: &str) -> u64 {
    let mut h = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |h, byte| {
        (h ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    for multiplier in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
        h = (h ^ (h >> 33)).wrapping_mul(multiplier);
    }
    h ^ (h >> 33)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::embed::norm;

    fn likeness(a: &str, b: &str) -> f32 {
        vector(a).iter().zip(vector(b)).map(|(x, y)| x * y).sum()
    }

    #[test]
    fn grams_are_runs_of_characters() {
        assert_eq!(grams("<né>", 3).collect::<Vec<_>>(), ["<né", "né>"]);
        assert_eq!(grams("<a>", 4).count(), 0);
    }

    #[test]
    fn the_stored_format_does_not_change() {
        assert_eq!(hash("wing"), 8_336_514_764_834_332_181);
        let v = vector("The wing, the slipstream and the wing");
        let strongest = v.iter().enumerate().max_by(|a, b| a.1.abs().total_cmp(&b.1.abs()));
        assert_eq!(strongest.map(|(at, x)| (at, (x * 1e4).round())), Some((305, -5677.0)));
    }

    #[test]
    fn texts_that_share_words_or_parts_are_near() {
        let query = "restarting containers";
        let near = likeness(query, "the container was restarted after a crash");
        let far = likeness(query, "laminar flow over a flat plate");
        assert!(near > far + 0.1, "near {near}, far {far}");
        assert!((likeness("Wing  slipstream", "slipstream WING") - 1.0).abs() < 1e-6);
    }

    proptest! {
        #[test]
        fn every_text_gets_the_same_vector_of_length_one(text in "\\PC{0,200}") {
            let v = vector(&text);
            prop_assert_eq!(v.len(), DIM);
            prop_assert!((norm(&v) - 1.0).abs() < 1e-5);
            prop_assert_eq!(v, vector(&text));
        }
    }
}
