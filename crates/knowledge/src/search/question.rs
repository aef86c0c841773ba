//! What is asked and what is answered.

use crate::{db::search::Shown, embed::ModelSpec, filter::Filter, ranking::Ranked};

/// Which legs take part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// Words and vectors.
    Hybrid,
    /// Words.
    Lexical,
    /// Vectors.
    Semantic,
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Lexical => "lexical",
            Self::Semantic => "semantic",
        }
    }
}

/// A question, checked. Equal questions have equal answers at the same epoch.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Query {
    /// What is asked.
    pub text: String,
    /// What the caller may read and wants to see.
    pub filter: Filter,
    /// How many results.
    pub limit: usize,
    /// How many of them from one document.
    pub per_document: usize,
    /// Whether equal texts become one result.
    pub collapse: bool,
    /// The recency weight in ten-thousandths.
    pub recency_e4: u32,
    /// Which legs take part.
    pub mode: Mode,
}

/// One result.
#[derive(Debug, Clone)]
pub struct Found {
    /// The hit and its factors.
    pub ranked: Ranked,
    /// The passage.
    pub shown: Shown,
    /// Byte ranges of the passage that match words of the query.
    pub highlights: Vec<std::ops::Range<usize>>,
    /// Other documents with the same text.
    pub also_in: Vec<Shown>,
}

/// An answer.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Best first.
    pub found: Vec<Found>,
    /// The model that was searched; none when only words were.
    pub embedder: Option<ModelSpec>,
    /// Words alone answered, as the embedder failed: the next search tries it again.
    pub without_embedder: bool,
    /// More passages hold the words than were scored.
    pub lexical_cut: bool,
}

impl Query {
    /// What it takes in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        self.text.len() + self.filter.bytes()
    }
}

impl Answer {
    /// What it takes in memory, roughly.
    pub(super) fn bytes(&self) -> usize {
        const OVERHEAD: usize = 600;
        let passages =
            self.found.iter().flat_map(|found| std::iter::once(&found.shown).chain(&found.also_in));
        OVERHEAD + passages.map(|shown| shown.bytes() + OVERHEAD).sum::<usize>()
    }
}
