//! What an observation of a document does to what is stored. Pure.

/// What an observation says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Drawn before the bytes were read.
    pub seq: i64,
    /// The hash of the content; `None` when the source no longer has the document.
    pub content: Option<[u8; 32]>,
}

/// What is stored of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stored {
    /// Of the newest observation.
    pub seq: i64,
    /// Of the newest revision.
    pub content: [u8; 32],
}

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// Store the first revision and index it.
    Create,
    /// Store another revision and index it.
    Revise,
    /// Only note that the document was seen.
    Confirm,
    /// Remove what is stored, if anything, and leave a tombstone.
    Delete,
    /// Nothing: something newer is known.
    Ignore,
}

/// Decides. `buried` is the newest tombstone's number. The same observation may come again, as
/// every caller repeats what it had no answer to: it is answered the same way, without effect.
#[must_use]
pub fn decide(stored: Option<Stored>, buried: Option<i64>, seen: Observation) -> Decision {
    if buried.is_some_and(|seq| seen.seq < seq || (seen.seq == seq && seen.content.is_some())) {
        return Decision::Ignore;
    }
    match (stored, seen.content) {
        (Some(stored), _) if seen.seq < stored.seq => Decision::Ignore,
        (_, None) => Decision::Delete,
        (None, Some(_)) => Decision::Create,
        (Some(stored), Some(content)) if content == stored.content => Decision::Confirm,
        (Some(stored), Some(_)) if seen.seq == stored.seq => Decision::Ignore,
        (Some(_), Some(_)) => Decision::Revise,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn observation() -> impl Strategy<Value = Observation> {
        // Content and number belong together: one number is drawn for one reading.
        (1_i64..12).prop_map(|seq| Observation {
            seq,
            content: (seq % 4 != 0).then_some([(seq % 3) as u8; 32]),
        })
    }

    /// Carries a decision out on a model of the two tables.
    fn apply(state: &mut (Option<Stored>, Option<i64>), seen: Observation) -> Decision {
        let decision = decide(state.0, state.1, seen);
        match (decision, seen.content) {
            (Decision::Create | Decision::Revise | Decision::Confirm, Some(content)) => {
                state.0 = Some(Stored { seq: seen.seq, content });
            }
            (Decision::Delete, _) => *state = (None, state.1.max(Some(seen.seq))),
            _ => {}
        }
        decision
    }

    proptest! {
        #[test]
        fn the_newest_observation_wins_in_whatever_order_they_come(
            mut seen in proptest::collection::vec(observation(), 1..20),
        ) {
            let mut state = (None, None);
            for &observation in &seen {
                apply(&mut state, observation);
            }
            seen.sort_by_key(|observation| observation.seq);
            let newest = seen[seen.len() - 1];
            prop_assert_eq!(state.0.map(|stored| stored.content), newest.content);
            prop_assert!(state.0.is_none_or(|stored| stored.seq == newest.seq));
        }

        #[test]
        fn a_repeated_observation_changes_nothing(seen in proptest::collection::vec(observation(), 1..20)) {
            let mut state = (None, None);
            for &observation in &seen {
                apply(&mut state, observation);
                let before = state;
                let again = apply(&mut state, observation);
                prop_assert_eq!(state, before);
                prop_assert!(!matches!(again, Decision::Create | Decision::Revise));
            }
        }
    }
}
