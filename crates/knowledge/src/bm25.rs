//! The lexical leg's arithmetic: which words of a query count, and Okapi BM25 over Postgres'
//! lexemes. Pure.

use crate::fusion::Hit;

/// How soon more of the same word stops helping.
const K1: f64 = 1.2;
/// How much a long passage is held against it.
const B: f64 = 0.75;
/// How many words of a query are scored: the rarest ones. Eight lose 0.015 nDCG@10 on Cranfield,
/// more than sixteen gain nothing.
pub const TERMS_MAX: usize = 16;
/// How many of them a passage is searched for by; one that holds only commoner words is no
/// candidate.
const SEARCHED_MAX: usize = 8;
/// How many matching passages are scored.
pub const CANDIDATES_MAX: usize = 2_000;
/// Only the newest chunks are looked at when this many times more match than are wanted.
const WORTH_A_WINDOW: f64 = 2.0;
/// How many more of them are looked at than should do.
const WINDOW_MARGIN: f64 = 1.3;

/// A lexeme of the query and in how many chunks it occurs.
#[derive(Debug, Clone, PartialEq)]
pub struct Term {
    /// As Postgres' `english` configuration writes it.
    pub lexeme: String,
    /// Its document frequency.
    pub chunks: i64,
}

/// Sums over all chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Totals {
    /// How many chunks there are.
    pub chunks: i64,
    /// How many words they hold together.
    pub words: i64,
}

/// A passage that matches at least one term.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The chunk's row.
    pub chunk: i64,
    /// Its length in words.
    pub words: i32,
    /// Per term `ts_rank` with equal weights; see [`frequency`].
    pub ranks: [f32; TERMS_MAX],
}

/// The terms that take part, rarest first. A lexeme that no chunk holds finds nothing.
#[must_use]
pub fn rarest(mut terms: Vec<Term>) -> Vec<Term> {
    terms.retain(|term| term.chunks > 0);
    terms.sort_unstable_by(|a, b| (a.chunks, &a.lexeme).cmp(&(b.chunks, &b.lexeme)));
    terms.truncate(TERMS_MAX);
    terms
}

/// How many of the terms, rarest first, are searched for: as many as are expected to match no
/// more than [`CANDIDATES_MAX`] passages, and at least one. All of them are scored.
#[must_use]
pub fn searched(terms: &[Term], totals: Totals, selectivity: f64) -> usize {
    let terms = &terms[..terms.len().min(SEARCHED_MAX)];
    let chunks = totals.chunks.max(1) as f64;
    let mut missed = 1.0;
    for (index, term) in terms.iter().enumerate() {
        missed *= 1.0 - (term.chunks as f64 / chunks).min(1.0);
        let expected = selectivity * chunks * (1.0 - missed);
        if index > 0 && expected > CANDIDATES_MAX as f64 {
            return index;
        }
    }
    terms.len()
}

/// The internal ids that chunks have, which grow with time. Some in between may be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// The oldest chunk's.
    pub first: i64,
    /// The newest chunk's.
    pub last: i64,
}

/// Where the words of a query are looked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// All are scored, rarest first.
    pub terms: &'a [Term],
    /// Sums over all chunks.
    pub totals: Totals,
    /// Which chunks there are; `None` when no word is common.
    pub ids: Option<Ids>,
    /// The share of the chunks that pass the filter.
    pub selectivity: f64,
}

/// Passages to fetch: the newest that match.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidates {
    /// What they hold, in Postgres' syntax.
    pub matching: String,
    /// What they do not hold.
    pub but: Option<String>,
    /// The oldest chunk that is looked at, when far more are expected to match than are wanted.
    pub since: Option<i64>,
    /// How many are wanted.
    pub limit: usize,
}

impl Candidates {
    /// Whether `found` passages are so few that the chunks before `since` have to be looked at:
    /// what matches is older than most.
    #[must_use]
    pub fn is_short(&self, found: usize) -> bool {
        self.since.is_some() && found < self.limit / 2
    }
}

impl Wanted<'_> {
    /// Whether more passages are expected to match than are scored, even by the rarest term alone.
    #[must_use]
    pub fn is_common(&self) -> bool {
        let rarest = self.terms.first().map_or(0, |term| term.chunks);
        self.selectivity * rarest as f64 > CANDIDATES_MAX as f64
    }

    /// Those that hold every term, when all terms are so common that these come first.
    #[must_use]
    pub fn all(&self) -> Option<Candidates> {
        (self.is_common() && self.terms.len() > 1).then(|| Candidates {
            matching: all_of(self.terms),
            but: None,
            since: self.since(self.share_of_all(), CANDIDATES_MAX),
            limit: CANDIDATES_MAX,
        })
    }

    /// Those that hold any of the rarest terms, beside `found` ones that hold all.
    #[must_use]
    pub fn any(&self, found: usize) -> Candidates {
        let terms = &self.terms[..searched(self.terms, self.totals, self.selectivity)];
        let limit = CANDIDATES_MAX.saturating_sub(found);
        let missed: f64 = terms.iter().map(|term| 1.0 - self.share(term)).product();
        let all = self.all();
        let without = all.as_ref().map_or(0.0, |_| self.share_of_all());
        Candidates {
            matching: any_of(terms),
            but: all.map(|it| it.matching),
            since: self.since(1.0 - missed - without, limit),
            limit,
        }
    }

    fn share(&self, term: &Term) -> f64 {
        (term.chunks as f64 / self.totals.chunks.max(1) as f64).min(1.0)
    }

    /// As if no word said anything about another.
    fn share_of_all(&self) -> f64 {
        self.terms.iter().map(|term| self.share(term)).product()
    }

    /// The oldest chunk to look at for `limit` matches, if `share` of the chunks match.
    fn since(&self, share: f64, limit: usize) -> Option<i64> {
        let Ids { first, last } = self.ids?;
        let share = share * self.selectivity;
        let (chunks, limit) = (self.totals.chunks.max(1) as f64, limit as f64);
        if chunks * share < WORTH_A_WINDOW * limit {
            return None;
        }
        let ids = (last - first + 1) as f64;
        let reach = WINDOW_MARGIN * limit / share * ids / chunks;
        Some(last - reach.ceil() as i64)
    }
}

/// The query in Postgres' syntax: any of the terms.
#[must_use]
pub fn any_of(terms: &[Term]) -> String {
    terms.iter().map(|term| quoted(&term.lexeme)).collect::<Vec<_>>().join(" | ")
}

/// The query in Postgres' syntax: all of the terms.
#[must_use]
pub fn all_of(terms: &[Term]) -> String {
    terms.iter().map(|term| quoted(&term.lexeme)).collect::<Vec<_>>().join(" & ")
}

/// A lexeme as a query of its own.
#[must_use]
pub fn quoted(lexeme: &str) -> String {
    format!("'{}'", lexeme.replace('\\', "\\\\").replace('\'', "''"))
}

/// Scores the matches.
#[must_use]
pub fn score(matches: &[Match], terms: &[Term], totals: Totals) -> Vec<Hit> {
    let average = (totals.words as f64 / totals.chunks.max(1) as f64).max(1.0);
    let weights: Vec<f64> = terms.iter().map(|term| rarity(term.chunks, totals.chunks)).collect();
    matches
        .iter()
        .map(|found| {
            let length = K1 * (1.0 - B + B * f64::from(found.words) / average);
            let term_score = |(&rank, weight): (&f32, &f64)| {
                let frequency = frequency(rank);
                weight * frequency * (K1 + 1.0) / (frequency + length)
            };
            Hit {
                chunk: found.chunk,
                score: found.ranks.iter().zip(&weights).map(term_score).sum(),
            }
        })
        .collect()
}

/// The inverse document frequency, never negative.
fn rarity(with: i64, all: i64) -> f64 {
    let (with, all) = (with as f64, all.max(with) as f64);
    (1.0 + (all - with + 0.5) / (with + 0.5)).ln()
}

/// How often a word occurs, from Postgres' rank of it alone.
///
/// `ts_rank('{1,1,1,1}', …)` of one word that occurs n times is `(1 + 1/4 + … + 1/n²) / (π²/6)`,
/// which grows with n, so n can be told from it. Reading it costs a binary search in the row;
/// unnesting the vector, the documented way to the positions, costs a hundred times as much.
fn frequency(rank: f32) -> f64 {
    const LIMIT: f64 = std::f64::consts::PI * std::f64::consts::PI / 6.0;
    // What the sum still lacks is 1/(n+1)² + 1/(n+2)² + …, which is close to 1/(n + ½).
    let missing = LIMIT * (1.0 - f64::from(rank)).max(f64::from(f32::EPSILON));
    (1.0 / missing - 0.5).round()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn term(lexeme: &str, chunks: i64) -> Term {
        Term { lexeme: lexeme.into(), chunks }
    }

    fn rank_of(times: u32) -> f32 {
        let sum: f64 = (1..=times).map(|n| 1.0 / f64::from(n * n)).sum();
        (sum / 1.644_934_066_85) as f32
    }

    #[test]
    fn the_rarest_words_take_part_and_unknown_ones_do_not() {
        let terms = (0..20).map(|n| term(&format!("w{n:02}"), 100 - n)).collect();
        let chosen = rarest(terms);
        assert_eq!(chosen.len(), TERMS_MAX);
        assert_eq!(chosen[0], term("w19", 81));
        let totals = Totals { chunks: 100, words: 1_000 };
        assert_eq!(searched(&chosen, totals, 1.0), SEARCHED_MAX);
        assert_eq!(rarest(vec![term("nowhere", 0)]), []);
    }

    #[test]
    fn common_words_are_scored_but_not_searched_for() {
        let totals = Totals { chunks: 100_000, words: 10_000_000 };
        let terms = [term("a", 500), term("b", 900), term("c", 30_000)];
        assert_eq!(searched(&terms, totals, 1.0), 2);
        assert_eq!(searched(&terms, totals, 0.01), 3, "a filter leaves room for more");
        assert_eq!(searched(&terms[2..], totals, 1.0), 1, "one is always searched for");
    }

    #[test]
    fn of_common_words_the_newest_chunks_with_all_come_first() {
        let totals = Totals { chunks: 100_000, words: 10_000_000 };
        let ids = Some(Ids { first: 1, last: 200_000 });
        let terms = [term("a", 40_000), term("b", 50_000)];
        let wanted = Wanted { terms: &terms, totals, ids, selectivity: 1.0 };
        let all = wanted.all().expect("both are common");
        // A fifth holds both, and every second id is gone: 2,000 matches in 20,000 ids.
        assert_eq!(all.since, Some(200_000 - 26_000));
        assert!(all.is_short(999) && !all.is_short(1_000));
        let any = wanted.any(1_500);
        assert_eq!((any.limit, any.but.as_deref()), (500, Some("'a' & 'b'")));
        // Another fifth holds the first and not the second.
        assert_eq!(any.since, Some(200_000 - 6_500));

        let few = Wanted { selectivity: 0.01, ..wanted };
        assert_eq!(few.all(), None, "the filter leaves less than is scored");
        assert_eq!((few.any(0).since, few.any(0).is_short(0)), (None, false));
    }

    #[test]
    fn lexemes_are_quoted_for_postgres() {
        assert_eq!(any_of(&[term("o'neil", 1), term(r"a\b", 1)]), r"'o''neil' | 'a\\b'");
    }

    #[test]
    fn rare_words_frequent_words_and_short_passages_score_higher() {
        let totals = Totals { chunks: 1_000, words: 100_000 };
        let terms = [term("rare", 3), term("common", 800)];
        let found = |chunk, words, rare, common| {
            let mut ranks = [0.0; TERMS_MAX];
            (ranks[0], ranks[1]) = (rank_of(rare), rank_of(common));
            Match { chunk, words, ranks }
        };
        let matches =
            [found(1, 100, 1, 0), found(2, 100, 0, 3), found(3, 100, 2, 0), found(4, 400, 1, 0)];
        let mut hits = score(&matches, &terms, totals);
        hits.sort_by(|a, b| b.score.total_cmp(&a.score));
        assert_eq!(hits.iter().map(|hit| hit.chunk).collect::<Vec<_>>(), [3, 1, 4, 2]);
        // ln(1 + 997.5/3.5), and a frequency of 1 at average length leaves 2.2/2.2.
        assert!((hits[1].score - (1.0_f64 + 997.5 / 3.5).ln()).abs() < 1e-9);
    }

    proptest! {
        #[test]
        fn the_frequency_is_read_back_from_the_rank(times in 0_u32..255) {
            prop_assert_eq!(frequency(rank_of(times)), f64::from(times));
        }

        #[test]
        fn scores_are_finite_and_not_negative(
            words in 0_i32..10_000, times in 0_u32..255, chunks in 0_i64..50, all in 0_i64..50,
        ) {
            let mut ranks = [0.0; TERMS_MAX];
            ranks[0] = rank_of(times);
            let totals = Totals { chunks: all, words: all };
            let found = [Match { chunk: 1, words, ranks }];
            let hits = score(&found, &[term("w", chunks)], totals);
            prop_assert!(hits[0].score.is_finite() && hits[0].score >= 0.0);
        }
    }
}
