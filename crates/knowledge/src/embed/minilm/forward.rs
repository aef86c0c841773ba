//! The forward pass of a BERT encoder: token ids in, one vector of length 1 per sequence out.
//!
//! Sequences are packed one after the other instead of padded to the longest, so no work is spent
//! on padding and batches need no sorting.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::folder::Shape;
use super::math::{gelu, layer_norm, softmax};
use super::matrix::{Panels, Tiles, View, Write, multiply};
use super::team::{Link, Sum, shards};
use super::weights::{Layer, Norm, SHARDS, Weights};
use crate::embed::normalise;

/// Rows that go through a layer together: their widest activations stay in the second-level cache.
const BLOCK_ROWS: usize = 96;

/// Buffers of one thread, kept between batches.
#[derive(Debug)]
pub(super) struct Scratch {
    hidden: Vec<f32>,
    projected: Vec<f32>,
    mixed: Vec<f32>,
    wide: Vec<f32>,
    partial: Vec<f32>,
    scores: Vec<f32>,
    tiles: Tiles,
    keys: Panels,
    values: Panels,
}

impl Scratch {
    pub(super) fn new(weights: &Weights) -> Self {
        Self {
            hidden: Vec::new(),
            projected: Vec::new(),
            mixed: Vec::new(),
            wide: Vec::new(),
            partial: Vec::new(),
            scores: Vec::new(),
            tiles: Tiles::default(),
            keys: Panels::new(weights.panel_width),
            values: Panels::new(weights.panel_width),
        }
    }
}

/// Embeds sequences of token ids, each within the vocabulary and the model's positions. With a
/// `link`, the thread at its other end must be given the same sequences.
pub(super) fn embed(
    weights: &Weights,
    sequences: &[Vec<u32>],
    link: Option<&Link>,
    scratch: &mut Scratch,
) -> Vec<Vec<f32>> {
    weights.arch.dispatch(Pass { weights, sequences, link, scratch })
}

struct Pass<'a> {
    weights: &'a Weights,
    sequences: &'a [Vec<u32>],
    link: Option<&'a Link>,
    scratch: &'a mut Scratch,
}

impl WithSimd for Pass<'_> {
    type Output = Vec<Vec<f32>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self { weights, sequences, link, scratch } = self;
        let shards = shards(link);
        let spans = spans(sequences);
        look_up(weights, sequences, scratch);
        for layer in &weights.layers {
            project(simd, weights, layer, shards.clone(), scratch);
            attend(simd, weights, shards.clone(), &spans, scratch);
            gather(simd, weights, layer, link, scratch);
            norm_rows(&mut scratch.hidden, &layer.attention_norm, weights);
            feed_forward(simd, weights, layer, link, scratch);
            norm_rows(&mut scratch.hidden, &layer.output_norm, weights);
        }
        spans.into_iter().map(|span| pool(&scratch.hidden, span, weights.shape.hidden)).collect()
    }
}

/// Which rows of the packed activations each sequence has.
fn spans(sequences: &[Vec<u32>]) -> Vec<Range<usize>> {
    sequences
        .iter()
        .scan(0, |end, sequence| {
            let start = *end;
            *end += sequence.len();
            Some(start..*end)
        })
        .collect()
}

#[inline(always)]
fn look_up(weights: &Weights, sequences: &[Vec<u32>], scratch: &mut Scratch) {
    let width = weights.shape.hidden;
    scratch.hidden.clear();
    for sequence in sequences {
        for (word, position) in sequence.iter().zip(weights.positions.chunks_exact(width)) {
            let word = &weights.words[*word as usize * width..][..width];
            scratch
                .hidden
                .extend(word.iter().zip(position).map(|(word, position)| word + position));
        }
    }
    norm_rows(&mut scratch.hidden, &weights.embedding_norm, weights);
}

/// Each row's queries, keys and values, shard after shard.
#[inline(always)]
fn project<S: Simd>(
    simd: S,
    weights: &Weights,
    layer: &Layer,
    shards: Range<usize>,
    scratch: &mut Scratch,
) {
    let hidden = weights.shape.hidden;
    let stride = 3 * hidden;
    let rows = scratch.hidden.len() / hidden;
    scratch.projected.resize(rows * stride, 0.0);
    for start in (0..rows).step_by(BLOCK_ROWS) {
        let count = BLOCK_ROWS.min(rows - start);
        let of = View { values: &scratch.hidden[start * hidden..], stride: hidden };
        scratch.tiles.pack(simd, of, (count, hidden));
        for shard in shards.clone() {
            let out = &mut scratch.projected[start * stride + shard * stride / SHARDS..];
            let right = &layer.query_key_value[shard];
            multiply(simd, &scratch.tiles, right, (out, stride), Write::Replace);
        }
    }
}

/// Self-attention; leaves in `mixed` what each row gathers from the rows of its sequence.
#[inline(always)]
fn attend<S: Simd>(
    simd: S,
    weights: &Weights,
    shards: Range<usize>,
    spans: &[Range<usize>],
    scratch: &mut Scratch,
) {
    let Shape { hidden, heads, .. } = weights.shape;
    scratch.mixed.resize(scratch.hidden.len(), 0.0);
    for span in spans {
        for head in shards.start * heads / SHARDS..shards.end * heads / SHARDS {
            attend_head(simd, (hidden, heads), (span.clone(), head), scratch);
        }
    }
}

#[inline(always)]
fn attend_head<S: Simd>(
    simd: S,
    (hidden, heads): (usize, usize),
    (span, head): (Range<usize>, usize),
    scratch: &mut Scratch,
) {
    let depth = hidden / heads;
    let stride = 3 * hidden;
    let count = span.len();
    // In each row stand a shard's queries, its keys, its values, and then the next shard's.
    let heads = heads / SHARDS;
    let part = |which: usize| {
        let column = (head / heads * 3 + which) * heads + head % heads;
        View { values: &scratch.projected[span.start * stride + column * depth..], stride }
    };
    scratch.tiles.pack(simd, part(0), (count, depth));
    scratch.keys.pack_columns(part(1), (depth, count), &[]);
    scratch.values.pack_rows(part(2), (count, depth));

    let padded = scratch.keys.padded_columns();
    scratch.scores.resize(count * padded, 0.0);
    let scores = &mut scratch.scores[..count * padded];
    let out = (&mut *scores, padded);
    multiply(simd, &scratch.tiles, &scratch.keys, out, Write::Replace);
    for row in scores.chunks_exact_mut(padded) {
        softmax(&mut row[..count]);
    }
    let shares = View { values: scores, stride: padded };
    scratch.tiles.pack(simd, shares, (count, count));
    let out = &mut scratch.mixed[span.start * hidden + head * depth..];
    let out = (out, hidden);
    multiply(simd, &scratch.tiles, &scratch.values, out, Write::Replace);
}

/// Adds to each row what attention gathered for it.
#[inline(always)]
fn gather<S: Simd>(
    simd: S,
    weights: &Weights,
    layer: &Layer,
    link: Option<&Link>,
    scratch: &mut Scratch,
) {
    let hidden = weights.shape.hidden;
    let rows = scratch.hidden.len() / hidden;
    let share = hidden / SHARDS;
    let mut sum = Sum::new(&mut scratch.hidden, &mut scratch.partial, link);
    for start in (0..rows).step_by(BLOCK_ROWS) {
        let count = BLOCK_ROWS.min(rows - start);
        for shard in sum.shards() {
            let of =
                View { values: &scratch.mixed[start * hidden + shard * share..], stride: hidden };
            scratch.tiles.pack(simd, of, (count, share));
            let (out, write) = sum.rows_from(start * hidden);
            let right = &layer.attention_output[shard];
            multiply(simd, &scratch.tiles, right, (out, hidden), write);
        }
    }
    sum.finish();
}

/// Widens each row, and adds to it what is left of that after the non-linearity.
#[inline(always)]
fn feed_forward<S: Simd>(
    simd: S,
    weights: &Weights,
    layer: &Layer,
    link: Option<&Link>,
    scratch: &mut Scratch,
) {
    let hidden = weights.shape.hidden;
    let rows = scratch.hidden.len() / hidden;
    let share = weights.shape.intermediate / SHARDS;
    scratch.wide.resize(SHARDS * BLOCK_ROWS * share, 0.0);
    let mut sum = Sum::new(&mut scratch.hidden, &mut scratch.partial, link);
    for start in (0..rows).step_by(BLOCK_ROWS) {
        let count = BLOCK_ROWS.min(rows - start);
        let of = View { values: &sum.total[start * hidden..], stride: hidden };
        scratch.tiles.pack(simd, of, (count, hidden));
        // All that reads the rows comes before the first that writes them.
        for shard in sum.shards() {
            let out = &mut scratch.wide[shard * BLOCK_ROWS * share..][..count * share];
            let right = &layer.widen[shard];
            multiply(simd, &scratch.tiles, right, (&mut *out, share), Write::Replace);
            gelu(out);
        }
        for shard in sum.shards() {
            let of = View { values: &scratch.wide[shard * BLOCK_ROWS * share..], stride: share };
            scratch.tiles.pack(simd, of, (count, share));
            let (out, write) = sum.rows_from(start * hidden);
            let right = &layer.narrow[shard];
            multiply(simd, &scratch.tiles, right, (out, hidden), write);
        }
    }
    sum.finish();
}

#[inline(always)]
fn norm_rows(rows: &mut [f32], norm: &Norm, weights: &Weights) {
    for row in rows.chunks_exact_mut(weights.shape.hidden) {
        layer_norm(row, &norm.scale, &norm.shift, weights.shape.layer_norm_eps);
    }
}

/// The mean of a sequence's rows, scaled to length 1.
#[inline(always)]
fn pool(hidden: &[f32], span: Range<usize>, width: usize) -> Vec<f32> {
    let mut mean = vec![0.0; width];
    for row in hidden[span.start * width..span.end * width].chunks_exact(width) {
        for (mean, x) in mean.iter_mut().zip(row) {
            *mean += x;
        }
    }
    normalise(&mut mean);
    mean
}
