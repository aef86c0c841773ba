//! The forward pass of a BERT encoder: token ids in, one vector of length 1 per sequence out.
//!
//! Sequences are packed one after the other instead of padded to the longest, so no work is spent
//! on padding and batches need no sorting.

use std::ops::Range;

use pulp::{Simd, WithSimd};

use super::math::{gelu, layer_norm, softmax};
use super::matrix::{Panels, Tiles, View, Write, multiply};
use super::weights::{Layer, Norm, Weights};
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
            scores: Vec::new(),
            tiles: Tiles::default(),
            keys: Panels::new(weights.panel_width),
            values: Panels::new(weights.panel_width),
        }
    }
}

/// Embeds sequences of token ids, each within the vocabulary and the model's positions.
pub(super) fn embed(
    weights: &Weights,
    sequences: &[Vec<u32>],
    scratch: &mut Scratch,
) -> Vec<Vec<f32>> {
    weights.arch.dispatch(Pass {
        weights,
        sequences,
        scratch,
    })
}

struct Pass<'a> {
    weights: &'a Weights,
    sequences: &'a [Vec<u32>],
    scratch: &'a mut Scratch,
}

impl WithSimd for Pass<'_> {
    type Output = Vec<Vec<f32>>;

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) -> Self::Output {
        let Self {
            weights,
            sequences,
            scratch,
        } = self;
        let spans = spans(sequences);
        look_up(weights, sequences, scratch);
        for layer in &weights.layers {
            attend(simd, weights, layer, &spans, scratch);
            feed_forward(simd, weights, layer, scratch);
        }
        spans
            .into_iter()
            .map(|span| pool(&scratch.hidden, span, weights.shape.hidden))
            .collect()
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
            scratch.hidden.extend(
                word.iter()
                    .zip(position)
                    .map(|(word, position)| word + position),
            );
        }
    }
    norm_rows(&mut scratch.hidden, &weights.embedding_norm, weights);
}

/// Self-attention; leaves in `mixed` what each row gathers from the rows of its sequence.
#[inline(always)]
fn attend<S: Simd>(
    simd: S,
    weights: &Weights,
    layer: &Layer,
    spans: &[Range<usize>],
    scratch: &mut Scratch,
) {
    let hidden = weights.shape.hidden;
    let stride = 3 * hidden;
    let rows = scratch.hidden.len() / hidden;
    scratch.projected.resize(rows * stride, 0.0);
    scratch.mixed.resize(rows * hidden, 0.0);
    for start in (0..rows).step_by(BLOCK_ROWS) {
        let count = BLOCK_ROWS.min(rows - start);
        let of = View {
            values: &scratch.hidden[start * hidden..],
            stride: hidden,
        };
        scratch.tiles.pack(simd, of, (count, hidden));
        let out = (&mut scratch.projected[start * stride..], stride);
        multiply(
            simd,
            &scratch.tiles,
            &layer.query_key_value,
            out,
            Write::Replace,
        );
    }
    for span in spans {
        for head in 0..weights.shape.heads {
            attend_head(simd, weights, (span.clone(), head), scratch);
        }
    }
}

#[inline(always)]
fn attend_head<S: Simd>(
    simd: S,
    weights: &Weights,
    (span, head): (Range<usize>, usize),
    scratch: &mut Scratch,
) {
    let hidden = weights.shape.hidden;
    let depth = hidden / weights.shape.heads;
    let stride = 3 * hidden;
    let count = span.len();
    // Queries, keys and values stand side by side in each row.
    let part = |which: usize| View {
        values: &scratch.projected[span.start * stride + which * hidden + head * depth..],
        stride,
    };
    scratch.tiles.pack(simd, part(0), (count, depth));
    scratch.keys.pack_columns(part(1), (depth, count), &[]);
    scratch.values.pack_rows(part(2), (count, depth));

    let padded = scratch.keys.padded_columns();
    scratch.scores.resize(count * padded, 0.0);
    let scores = &mut scratch.scores[..count * padded];
    multiply(
        simd,
        &scratch.tiles,
        &scratch.keys,
        (scores, padded),
        Write::Replace,
    );
    for row in scores.chunks_exact_mut(padded) {
        softmax(&mut row[..count]);
    }
    scratch.tiles.pack(
        simd,
        View {
            values: scores,
            stride: padded,
        },
        (count, count),
    );
    let out = &mut scratch.mixed[span.start * hidden + head * depth..];
    multiply(
        simd,
        &scratch.tiles,
        &scratch.values,
        (out, hidden),
        Write::Replace,
    );
}

/// Everything after attention: it needs no other row, so it runs block by block.
#[inline(always)]
fn feed_forward<S: Simd>(simd: S, weights: &Weights, layer: &Layer, scratch: &mut Scratch) {
    let hidden = weights.shape.hidden;
    let wide = weights.shape.intermediate;
    let tiles = &mut scratch.tiles;
    scratch.wide.resize(BLOCK_ROWS * wide, 0.0);
    let blocks = scratch.hidden.chunks_mut(BLOCK_ROWS * hidden);
    for (block, mixed) in blocks.zip(scratch.mixed.chunks(BLOCK_ROWS * hidden)) {
        let rows = block.len() / hidden;
        tiles.pack(
            simd,
            View {
                values: mixed,
                stride: hidden,
            },
            (rows, hidden),
        );
        multiply(
            simd,
            tiles,
            &layer.attention_output,
            (block, hidden),
            Write::Add,
        );
        norm_rows(block, &layer.attention_norm, weights);

        tiles.pack(
            simd,
            View {
                values: block,
                stride: hidden,
            },
            (rows, hidden),
        );
        let widened = &mut scratch.wide[..rows * wide];
        multiply(simd, tiles, &layer.widen, (widened, wide), Write::Replace);
        gelu(widened);
        tiles.pack(
            simd,
            View {
                values: widened,
                stride: wide,
            },
            (rows, wide),
        );
        multiply(simd, tiles, &layer.narrow, (block, hidden), Write::Add);
        norm_rows(block, &layer.output_norm, weights);
    }
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
