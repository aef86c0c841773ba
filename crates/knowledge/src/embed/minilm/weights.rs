//! A model's weights, cut into shards and packed for the processor at hand.

use std::path::Path;

use pulp::Arch;
use safetensors::{Dtype, SafeTensors};
use sha2::{Digest, Sha256};

use super::folder::{self, Error, Shape};
use super::matrix::{Panels, View, panel_width};

/// Parts that each layer is cut into, so that two threads can work on one text.
pub(super) const SHARDS: usize = 2;

/// A normalisation's learned parameters.
#[derive(Debug)]
pub(super) struct Norm {
    pub(super) scale: Vec<f32>,
    pub(super) shift: Vec<f32>,
}

/// A matrix cut into parts that have nothing in common but that their products are added.
pub(super) type Sharded = [Panels; SHARDS];

/// One layer of the encoder: each shard has its share of the heads and of the wide activations.
#[derive(Debug)]
pub(super) struct Layer {
    pub(super) query_key_value: Sharded,
    pub(super) attention_output: Sharded,
    pub(super) attention_norm: Norm,
    pub(super) widen: Sharded,
    pub(super) narrow: Sharded,
    pub(super) output_norm: Norm,
}

/// A model ready to compute on this processor.
#[derive(Debug)]
pub(super) struct Weights {
    pub(super) arch: Arch,
    pub(super) panel_width: usize,
    pub(super) shape: Shape,
    pub(super) max_tokens: usize,
    /// SHA-256 of model.safetensors in hex.
    pub(super) revision: String,
    pub(super) words: Vec<f32>,
    /// The vector of the only token type in use is already added.
    pub(super) positions: Vec<f32>,
    pub(super) embedding_norm: Norm,
    pub(super) layers: Vec<Layer>,
}

impl Weights {
    /// Reads config.json, 1_Pooling/config.json, sentence_bert_config.json and model.safetensors.
    pub(super) fn load(folder: &Path) -> Result<Self, Error> {
        let arch = Arch::new();
        let panel_width = panel_width(arch);
        let (shape, max_tokens) = folder::config(folder, panel_width)?;
        let path = folder.join("model.safetensors");
        let bytes = folder::read(&path)?;
        let damaged = |source| Error::Damaged { path: path.clone(), source };
        let tensors = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.into()))?;
        let reader = Reader { tensors, panel_width };
        let (words, positions) = reader.embeddings(&shape).map_err(damaged)?;
        let layers = (0..shape.layers).map(|layer| reader.layer(layer, &shape));
        Ok(Self {
            arch,
            panel_width,
            max_tokens,
            revision: hex::encode(Sha256::digest(&bytes)),
            words,
            positions,
            embedding_norm: reader.norm("embeddings.LayerNorm", &shape).map_err(damaged)?,
            layers: layers.collect::<Result<_, _>>().map_err(damaged)?,
            shape,
        })
    }
}

type TensorError = Box<dyn std::error::Error + Send + Sync>;

struct Reader<'a> {
    tensors: SafeTensors<'a>,
    panel_width: usize,
}

impl Reader<'_> {
    fn tensor(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, TensorError> {
        let tensor = self.tensors.tensor(name)?;
        if tensor.dtype() != Dtype::F32 || tensor.shape() != shape {
            let (dtype, has) = (tensor.dtype(), tensor.shape());
            return Err(format!("{name} is {dtype:?} {has:?}, expected F32 {shape:?}").into());
        }
        Ok(tensor.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect())
    }

    /// Word vectors, and position vectors with the first token type's vector added.
    fn embeddings(&self, shape: &Shape) -> Result<(Vec<f32>, Vec<f32>), TensorError> {
        let table = |name: &str, rows| {
            self.tensor(&format!("embeddings.{name}.weight"), &[rows, shape.hidden])
        };
        let words = table("word_embeddings", shape.vocabulary)?;
        let mut positions = table("position_embeddings", shape.positions)?;
        let types = table("token_type_embeddings", 2)?;
        for position in positions.chunks_exact_mut(shape.hidden) {
            position.iter_mut().zip(&types).for_each(|(position, kind)| *position += kind);
        }
        Ok((words, positions))
    }

    fn norm(&self, name: &str, shape: &Shape) -> Result<Norm, TensorError> {
        Ok(Norm {
            scale: self.tensor(&format!("{name}.weight"), &[shape.hidden])?,
            shift: self.tensor(&format!("{name}.bias"), &[shape.hidden])?,
        })
    }

    /// A matrix `[to][from]` with its bias.
    fn linear(
        &self,
        name: &str,
        (from, to): (usize, usize),
    ) -> Result<(Vec<f32>, Vec<f32>), TensorError> {
        let weight = self.tensor(&format!("{name}.weight"), &[to, from])?;
        let bias = self.tensor(&format!("{name}.bias"), &[to])?;
        Ok((weight, bias))
    }

    fn pack(&self, of: View<'_>, (from, to): (usize, usize), bias: &[f32]) -> Panels {
        let mut panels = Panels::new(self.panel_width);
        panels.pack_columns(of, (from, to), bias);
        panels
    }

    /// One pack per shard, each with its share of the columns.
    fn by_column(&self, name: &str, (from, to): (usize, usize)) -> Result<Sharded, TensorError> {
        let (weight, bias) = self.linear(name, (from, to))?;
        let share = to / SHARDS;
        Ok(std::array::from_fn(|shard| {
            let of = View { values: &weight[shard * share * from..], stride: from };
            self.pack(of, (from, share), &bias[shard * share..])
        }))
    }

    /// One pack per shard, each with its share of the depth; the first brings the bias.
    fn by_depth(&self, name: &str, (from, to): (usize, usize)) -> Result<Sharded, TensorError> {
        let (weight, bias) = self.linear(name, (from, to))?;
        let share = from / SHARDS;
        Ok(std::array::from_fn(|shard| {
            let of = View { values: &weight[shard * share..], stride: from };
            self.pack(of, (share, to), if shard == 0 { &bias } else { &[] })
        }))
    }

    /// The three projections of a shard's heads side by side; the scale of attention goes into
    /// the first.
    fn query_key_value(&self, at: &str, shape: &Shape) -> Result<Sharded, TensorError> {
        let hidden = shape.hidden;
        let scale = 1.0 / ((hidden / shape.heads) as f32).sqrt();
        let share = hidden / SHARDS;
        let mut weights = [const { Vec::new() }; SHARDS];
        let mut biases = [const { Vec::new() }; SHARDS];
        for (part, scale) in [("query", scale), ("key", 1.0), ("value", 1.0)] {
            let (weight, bias) =
                self.linear(&format!("{at}.attention.self.{part}"), (hidden, hidden))?;
            for shard in 0..SHARDS {
                let weight = weight[shard * share * hidden..][..share * hidden].iter();
                weights[shard].extend(weight.map(|x| x * scale));
                biases[shard].extend(bias[shard * share..][..share].iter().map(|x| x * scale));
            }
        }
        Ok(std::array::from_fn(|shard| {
            let of = View { values: &weights[shard], stride: hidden };
            self.pack(of, (hidden, 3 * share), &biases[shard])
        }))
    }

    fn layer(&self, layer: usize, shape: &Shape) -> Result<Layer, TensorError> {
        let at = format!("encoder.layer.{layer}");
        let (hidden, wide) = (shape.hidden, shape.intermediate);
        let attention = format!("{at}.attention.output");
        Ok(Layer {
            query_key_value: self.query_key_value(&at, shape)?,
            attention_output: self.by_depth(&format!("{attention}.dense"), (hidden, hidden))?,
            attention_norm: self.norm(&format!("{attention}.LayerNorm"), shape)?,
            widen: self.by_column(&format!("{at}.intermediate.dense"), (hidden, wide))?,
            narrow: self.by_depth(&format!("{at}.output.dense"), (wide, hidden))?,
            output_norm: self.norm(&format!("{at}.output.LayerNorm"), shape)?,
        })
    }
}
