//! What a source's priority and a document's age do to a fused score, and which hits are shown.
//! Pure.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use proto::ProjectId;

use crate::fusion::{Fused, best_first};

/// The priority that changes nothing.
pub const PRIORITY_NEUTRAL: u8 = 5;

/// What one point of priority changes at most. Up to here the highest priority weighs less than
/// twice the lowest, together with the oldest age: a hit of one leg can never pass a hit of both
/// legs at the same rank.
pub const PRIORITY_STEP_MAX: f64 = 0.05;

/// How much of its score an old document loses at most.
pub const RECENCY_WEIGHT_MAX: f64 = 0.15;

/// The age at which half of the recency weight is lost, in days.
const HALF_LIFE_DAYS: f64 = 30.0;

/// How ranking treats the facts.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Weights {
    /// What one point of priority changes; 0 to [`PRIORITY_STEP_MAX`].
    pub priority_step: f64,
    /// 0 to [`RECENCY_WEIGHT_MAX`]; 0 turns recency off.
    pub recency: f64,
}

/// What ranking knows of a candidate beside its fused score.
#[derive(Debug, Clone, PartialEq)]
pub struct Facts {
    /// The document's row.
    pub document: i64,
    /// Its project: texts collapse only within one.
    pub project: ProjectId,
    /// The source's priority, as it is now.
    pub priority: u8,
    /// What the source says of the document's age.
    pub published_at: Option<DateTime<Utc>>,
    /// Equal for passages of the same text.
    pub text_hash: i64,
}

/// A hit with its score and the factors behind it.
#[derive(Debug, Clone, PartialEq)]
pub struct Ranked {
    /// The fused candidate.
    pub fused: Fused,
    /// What was known of it.
    pub facts: Facts,
    /// Of the priority.
    pub priority_factor: f64,
    /// Of the age.
    pub recency_factor: f64,
    /// The product: what the order rests on.
    pub score: f64,
    /// Other documents with the same text, best first, by chunk.
    pub also_in: Vec<i64>,
}

/// `1 + step × (priority − 5)`.
#[must_use]
pub fn priority_factor(step: f64, priority: u8) -> f64 {
    let points = f64::from(priority.clamp(1, 10)) - f64::from(PRIORITY_NEUTRAL);
    1.0 + step.clamp(0.0, PRIORITY_STEP_MAX) * points
}

/// `1 + weight × (2^(−age / 30 days) − 1)`; a document without a date is neither new nor old.
#[must_use]
pub fn recency_factor(weight: f64, published_at: Option<DateTime<Utc>>, now: DateTime<Utc>) -> f64 {
    let Some(published_at) = published_at else { return 1.0 };
    let age_days = (now - published_at).num_seconds().max(0) as f64 / 86_400.0;
    let freshness = (-age_days / HALF_LIFE_DAYS).exp2();
    1.0 + weight.clamp(0.0, RECENCY_WEIGHT_MAX) * (freshness - 1.0)
}

/// Scores every candidate that has facts (one without was deleted meanwhile), best first.
#[must_use]
pub fn rank(
    candidates: Vec<Fused>,
    mut facts: HashMap<i64, Facts>,
    weights: Weights,
    now: DateTime<Utc>,
) -> Vec<Ranked> {
    let mut ranked: Vec<Ranked> = candidates
        .into_iter()
        .filter_map(|fused| {
            let facts = facts.remove(&fused.chunk)?;
            let priority_factor = priority_factor(weights.priority_step, facts.priority);
            let recency_factor = recency_factor(weights.recency, facts.published_at, now);
            let score = fused.score * priority_factor * recency_factor;
            let also_in = Vec::new();
            Some(Ranked { fused, facts, priority_factor, recency_factor, score, also_in })
        })
        .collect();
    ranked.sort_by(|a, b| best_first(a.score, b.score).then(a.fused.chunk.cmp(&b.fused.chunk)));
    ranked
}

/// Which of the ranked hits are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Selection {
    /// How many results.
    pub limit: usize,
    /// How many of them from one document.
    pub per_document: usize,
    /// Whether equal texts of a project become one result.
    pub collapse: bool,
}

/// How many other documents a collapsed result names.
const ALSO_IN_MAX: usize = 10;

/// Takes the best hits of a ranked list; the order stays.
#[must_use]
pub fn select(ranked: Vec<Ranked>, selection: Selection) -> Vec<Ranked> {
    let mut shown: Vec<Ranked> = Vec::with_capacity(selection.limit);
    let mut by_text: HashMap<(ProjectId, i64), usize> = HashMap::new();
    let mut by_document: HashMap<i64, usize> = HashMap::new();
    for hit in ranked {
        let text = (hit.facts.project, hit.facts.text_hash);
        if selection.collapse
            && let Some(&first) = by_text.get(&text)
        {
            let first = &mut shown[first];
            if first.facts.document != hit.facts.document && first.also_in.len() < ALSO_IN_MAX {
                first.also_in.push(hit.fused.chunk);
            }
            continue;
        }
        let of_document = by_document.entry(hit.facts.document).or_default();
        let room = shown.len() < selection.limit && *of_document < selection.per_document;
        if room {
            by_text.insert(text, shown.len());
            *of_document += 1;
            shown.push(hit);
        }
    }
    shown
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use proptest::prelude::*;

    use super::*;
    use crate::fusion::{Hit, Place, fuse, reciprocal};

    fn facts(document: i64, priority: u8) -> Facts {
        let project = ProjectId(uuid::Uuid::nil());
        Facts { document, project, priority, published_at: None, text_hash: document }
    }

    fn fused(chunk: i64, score: f64) -> Fused {
        let place = Some(Place { rank: 1, score });
        Fused { chunk, lexical: place, semantic: None, score }
    }

    fn weights(priority_step: f64) -> Weights {
        Weights { priority_step, recency: 0.0 }
    }

    fn order(ranked: &[Ranked]) -> Vec<i64> {
        ranked.iter().map(|hit| hit.fused.chunk).collect()
    }

    #[test]
    fn equal_texts_come_in_the_order_of_their_priority() {
        let hits = |scores: [i64; 3]| scores.map(|chunk| Hit { chunk, score: 1.0 }).to_vec();
        for chunks in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
            let [nine, five, two] = chunks;
            let candidates = fuse(hits(chunks), hits(chunks), 1.0);
            let known = [(nine, 9), (five, 5), (two, 2)];
            let known = known.map(|(chunk, priority)| (chunk, facts(chunk, priority))).into();
            let ranked = rank(candidates, known, weights(0.02), Utc::now());
            assert_eq!(order(&ranked), [nine, five, two]);
        }
    }

    #[test]
    fn the_highest_priority_climbs_six_ranks_over_neutral_and_eleven_over_the_lowest() {
        let score = |rank, priority| 2.0 * reciprocal(rank) * priority_factor(0.02, priority);
        let climbs = |high, low| (1..100).filter(|&r| score(1 + r, high) > score(1, low)).max();
        assert_eq!(climbs(10, 5), Some(6));
        assert_eq!(climbs(10, 1), Some(11));
    }

    #[test]
    fn same_texts_collapse_within_a_project_and_the_limit_is_still_filled() {
        let other = ProjectId::generate();
        let mut known: HashMap<i64, Facts> = (1..=6).map(|id| (id, facts(id, 5))).collect();
        for chunk in [1, 2, 3, 4] {
            known.entry(chunk).and_modify(|f| f.text_hash = 77);
        }
        known.entry(4).and_modify(|f| f.project = other);
        let candidates = (1..=6).map(|id| fused(id, 1.0 / id as f64)).collect();
        let ranked = rank(candidates, known, weights(0.02), Utc::now());
        let selection = Selection { limit: 3, per_document: 1, collapse: true };
        let shown = select(ranked.clone(), selection);
        assert_eq!(order(&shown), [1, 4, 5]);
        assert_eq!(shown[0].also_in, [2, 3]);
        let all = select(ranked, Selection { collapse: false, ..selection });
        assert_eq!(order(&all), [1, 2, 3]);
    }

    #[test]
    fn a_document_gives_no_more_passages_than_asked() {
        let mut known: HashMap<i64, Facts> = (1..=4).map(|id| (id, facts(9, 5))).collect();
        known.iter_mut().for_each(|(chunk, facts)| facts.text_hash = *chunk);
        let candidates: Vec<Fused> = (1..=4).map(|id| fused(id, 1.0)).collect();
        let ranked = rank(candidates, known, weights(0.02), Utc::now());
        let selection = Selection { limit: 10, per_document: 2, collapse: true };
        assert_eq!(order(&select(ranked, selection)), [1, 2]);
    }

    #[test]
    fn a_text_that_its_document_had_no_room_for_is_shown_from_another() {
        let mut known: HashMap<i64, Facts> =
            [(1, 9), (2, 9), (3, 8)].map(|(chunk, document)| (chunk, facts(document, 5))).into();
        known.iter_mut().for_each(|(chunk, facts)| facts.text_hash = (*chunk).min(2));
        let candidates = (1..=3).map(|id| fused(id, 1.0 / id as f64)).collect();
        let ranked = rank(candidates, known, weights(0.02), Utc::now());
        let selection = Selection { limit: 10, per_document: 1, collapse: true };
        assert_eq!(order(&select(ranked, selection)), [1, 3]);
    }

    #[test]
    fn an_unknown_or_future_date_costs_nothing() {
        let now = Utc::now();
        assert_eq!(recency_factor(0.15, None, now), 1.0);
        assert_eq!(recency_factor(0.15, Some(now + TimeDelta::days(3)), now), 1.0);
        let month = recency_factor(0.1, Some(now - TimeDelta::days(30)), now);
        assert!((month - 0.95).abs() < 1e-6, "{month}");
    }

    proptest! {
        #[test]
        fn no_factor_lets_one_leg_pass_both_legs_at_the_same_rank(
            rank in 1_u32..1_000, step in 0.0..=PRIORITY_STEP_MAX,
            recency in 0.0..=RECENCY_WEIGHT_MAX, age_days in 0_i64..100_000,
        ) {
            let now = Utc::now();
            let oldest = recency_factor(recency, Some(now - TimeDelta::days(age_days)), now);
            let boosted = reciprocal(rank) * priority_factor(step, 10);
            let lowered = 2.0 * reciprocal(rank) * priority_factor(step, 1) * oldest;
            prop_assert!(boosted < lowered);
        }

        #[test]
        fn raising_a_priority_never_lowers_a_hit(
            scores in proptest::collection::vec(0.001_f64..0.04, 2..20),
            priorities in proptest::collection::vec(1_u8..=10, 20),
            chosen in 0_usize..20, raise in 1_u8..=9,
        ) {
            let chosen = (chosen % scores.len()) as i64;
            let place = |extra: u8| {
                let candidates = scores.iter().zip(0_i64..).map(|(s, id)| fused(id, *s)).collect();
                let known = (0..scores.len() as i64).map(|id| {
                    let raised = if id == chosen { extra } else { 0 };
                    (id, facts(id, (priorities[id as usize] + raised).min(10)))
                });
                let ranked = rank(candidates, known.collect(), weights(0.02), Utc::now());
                order(&ranked).iter().position(|&id| id == chosen)
            };
            prop_assert!(place(raise) <= place(0));
        }

        #[test]
        fn a_step_of_zero_leaves_the_fused_order(
            scores in proptest::collection::vec(0.001_f64..0.04, 1..20), priority in 1_u8..=10,
        ) {
            let hits = scores.iter().zip(0_i64..).map(|(&score, chunk)| Hit { chunk, score });
            let candidates = fuse(hits.collect(), Vec::new(), 1.0);
            let before: Vec<(i64, f64)> = candidates.iter().map(|f| (f.chunk, f.score)).collect();
            let known = before.iter().map(|&(id, _)| (id, facts(id, priority))).collect();
            let ranked = rank(candidates, known, weights(0.0), Utc::now());
            let after: Vec<(i64, f64)> = ranked.iter().map(|r| (r.fused.chunk, r.score)).collect();
            prop_assert_eq!(before, after);
        }

        #[test]
        fn the_factor_stays_in_its_bounds(priority in 0_u8..=255) {
            let factor = priority_factor(0.02, priority);
            prop_assert!((0.92..=1.10).contains(&factor));
        }
    }
}
