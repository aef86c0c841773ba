//! Which of our objects nobody knows any more: a crash of ours in the middle of a call, or an
//! answer that came after a removal, leaves such. Pure.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use proto::ProjectId;

/// An object of the Engine that carries our owner label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Owned {
    /// What it is; a volume is never looked at.
    pub kind: Kind,
    /// The Engine's id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// From its label; `None`: not made for a project.
    pub project: Option<ProjectId>,
}

/// What an object is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the Engine's own words")]
pub enum Kind {
    Container,
    Network,
}

/// Since when objects belong to nobody.
#[derive(Debug, Clone, Default)]
pub struct Dangling {
    since: BTreeMap<String, Instant>,
}

impl Dangling {
    /// The objects that belong to no project of `alive` and have not for `grace`, containers
    /// first: a network goes once it is empty.
    pub fn overdue<'a>(
        &mut self,
        owned: &'a [Owned],
        alive: &BTreeSet<ProjectId>,
        now: Instant,
        grace: Duration,
    ) -> Vec<&'a Owned> {
        let lost = |it: &&Owned| it.project.is_some_and(|project| !alive.contains(&project));
        let lost: Vec<&Owned> = owned.iter().filter(lost).collect();
        self.since.retain(|id, _| lost.iter().any(|it| it.id == *id));
        let mut overdue = Vec::new();
        for it in lost {
            let since = *self.since.entry(it.id.clone()).or_insert(now);
            if now.saturating_duration_since(since) >= grace {
                overdue.push(it);
            }
        }
        overdue.sort_by_key(|it| it.kind == Kind::Network);
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GRACE: Duration = Duration::from_secs(300);

    fn owned(kind: Kind, id: &str, project: Option<ProjectId>) -> Owned {
        Owned { kind, id: id.to_owned(), name: id.to_owned(), project }
    }

    #[test]
    fn only_what_belonged_to_nobody_for_long_goes() {
        let (known, gone) = (ProjectId::generate(), ProjectId::generate());
        let owned = [
            owned(Kind::Network, "n", Some(gone)),
            owned(Kind::Container, "c", Some(gone)),
            owned(Kind::Container, "kept", Some(known)),
            owned(Kind::Container, "other", None),
        ];
        let (mut dangling, begin) = (Dangling::default(), Instant::now());
        let alive = BTreeSet::from([known]);
        let mut ids = |at, alive: &BTreeSet<ProjectId>, owned: &[Owned]| {
            let overdue = dangling.overdue(owned, alive, begin + at, GRACE);
            overdue.into_iter().map(|it| it.id.clone()).collect::<Vec<_>>()
        };
        let second = Duration::from_secs(1);
        assert!(ids(Duration::ZERO, &alive, &owned).is_empty());
        assert!(ids(GRACE - second, &alive, &owned).is_empty());
        assert_eq!(ids(GRACE, &alive, &owned), ["c", "n"]);
        // Whoever comes back in between begins anew.
        assert!(ids(GRACE, &BTreeSet::from([known, gone]), &owned).is_empty());
        assert!(ids(GRACE + second, &alive, &owned).is_empty());
        assert_eq!(ids(GRACE * 2 + second, &alive, &owned[1..]), ["c"]);
    }
}
