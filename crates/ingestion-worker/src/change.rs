//! What is new, what was edited and what is known already among the entries that a source shows.

use std::collections::{HashMap, HashSet};

use chrono::{DateTime, TimeDelta, Utc};

use crate::feed::{Entry, is_akin, is_same_before_links};

/// An item that an earlier look stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its row.
    pub id: i64,
    /// Its key when it was first seen: the name that its document keeps.
    pub key: String,
    /// Its second name.
    pub alias: Option<String>,
    /// What it said then.
    pub hash: String,
}

/// An entry as the source shows it now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown {
    /// What it is stored under when it is new.
    pub key: String,
    /// What it may be stored under already, the surest name first.
    pub names: Vec<String>,
    /// Keys and second names that count where the text or the link is the same.
    pub hints: Vec<String>,
    /// What it says.
    pub hash: String,
    /// When it says that it was published.
    pub published_at: Option<DateTime<Utc>>,
}

impl From<&Entry> for Shown {
    fn from(entry: &Entry) -> Self {
        Self {
            key: entry.key.clone(),
            names: entry.names.clone(),
            hints: entry.hints.clone(),
            hash: entry.content_hash.clone(),
            published_at: entry.published.or(entry.updated),
        }
    }
}

/// How much of a source's past its first import takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FirstImport {
    /// At most this many entries, the newest.
    pub items: usize,
    /// None older than this.
    pub days: u32,
}

/// What is to be done about one entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Never seen: store it.
    New,
    /// Never seen, and older than a first import goes: remember it, store nothing.
    Old,
    /// Known, and says something else now: store a revision of the item with this row.
    Edited(i64),
    /// Known, and says the same.
    Unchanged(i64),
    /// Known, and says the same, but an earlier release hashed it in another way: store the hash.
    Rehashed(i64),
    /// The source shows it twice; the first one counts.
    Repeated,
}

/// Decides for each entry, in the order of `shown`. `first` is set on a first import only.
#[must_use]
pub fn decide(
    known: &[Known],
    shown: &[Shown],
    first: Option<FirstImport>,
    now: DateTime<Utc>,
) -> Vec<Verdict> {
    let mut keys = HashSet::new();
    let repeated: Vec<bool> = shown.iter().map(|it| !keys.insert(it.key.as_str())).collect();
    let mut verdicts: Vec<Verdict> = items_of(known, shown, &repeated)
        .into_iter()
        .zip(shown)
        .zip(&repeated)
        .map(|((item, entry), repeated)| match item {
            _ if *repeated => Verdict::Repeated,
            None => Verdict::New,
            Some(item) if item.hash == entry.hash => Verdict::Unchanged(item.id),
            Some(item) if is_same_before_links(&item.hash, &entry.hash) => {
                Verdict::Rehashed(item.id)
            }
            Some(item) => Verdict::Edited(item.id),
        })
        .collect();
    if let Some(first) = first {
        drop_old(&mut verdicts, shown, first, now);
    }
    verdicts
}

/// Which item each entry is. The surer a name, the earlier it counts, over all entries: nobody
/// takes an item that another entry is.
fn items_of<'a>(known: &'a [Known], shown: &[Shown], repeated: &[bool]) -> Vec<Option<&'a Known>> {
    let mut by_name: HashMap<&str, Vec<&Known>> = HashMap::new();
    for item in known {
        for name in std::iter::once(&item.key).chain(&item.alias) {
            by_name.entry(name).or_default().push(item);
        }
    }
    let mut taken = HashSet::new();
    let mut items = vec![None; shown.len()];
    let mut claim = |name_of: &dyn Fn(&Shown) -> Option<&String>, akin: bool| {
        for ((item, entry), _) in
            items.iter_mut().zip(shown).zip(repeated).filter(|(_, repeated)| !**repeated)
        {
            let Some(name) = name_of(entry).filter(|_| item.is_none()) else { continue };
            let found = by_name.get(name.as_str()).into_iter().flatten().copied();
            let mut free = found.filter(|it| !akin || is_akin(&it.hash, &entry.hash));
            *item = free.find(|it| taken.insert(it.id));
        }
    };
    let most = |of: fn(&Shown) -> usize| shown.iter().map(of).max().unwrap_or_default();
    for rank in 0..most(|it| it.names.len()) {
        claim(&|it| it.names.get(rank), false);
    }
    for rank in 0..most(|it| it.hints.len()) {
        claim(&|it| it.hints.get(rank), true);
    }
    items
}

/// Turns `New` into `Old` beyond the limits of a first import. An entry without a date counts as
/// new as today: feeds put the newest first, and their order breaks ties.
fn drop_old(verdicts: &mut [Verdict], shown: &[Shown], first: FirstImport, now: DateTime<Utc>) {
    let oldest = now - TimeDelta::days(i64::from(first.days));
    let date = |index: &usize| shown[*index].published_at.unwrap_or(now).min(now);
    let mut new: Vec<usize> =
        (0..shown.len()).filter(|index| verdicts[*index] == Verdict::New).collect();
    new.sort_by_key(|index| std::cmp::Reverse(date(index)));
    let (kept, beyond) = new.split_at(first.items.min(new.len()));
    let too_old = kept.iter().filter(|index| date(index) < oldest);
    for index in beyond.iter().chain(too_old) {
        verdicts[*index] = Verdict::Old;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).expect("a time")
    }

    fn known(id: i64, key: &str, alias: Option<&str>, hash: u8) -> Known {
        Known { id, key: key.into(), alias: alias.map(Into::into), hash: hash.to_string() }
    }

    fn shown(key: &str, alias: Option<&str>, hash: u8) -> Shown {
        Shown {
            key: key.into(),
            names: vec![key.into()],
            hints: alias.into_iter().map(Into::into).collect(),
            hash: hash.to_string(),
            published_at: None,
        }
    }

    fn aged(key: &str, days: i64) -> Shown {
        Shown { published_at: Some(now() - TimeDelta::days(days)), ..shown(key, None, 1) }
    }

    #[test]
    fn an_entry_is_new_edited_unchanged_or_repeated() {
        let known = [known(1, "a", None, 1), known(2, "b", None, 1)];
        let shown = [shown("a", None, 1), shown("b", None, 2), shown("c", None, 1)];
        let twice: Vec<Shown> = shown.iter().chain(&shown).cloned().collect();
        let mut expected = vec![Verdict::Unchanged(1), Verdict::Edited(2), Verdict::New];
        expected.extend([Verdict::Repeated; 3]);
        assert_eq!(decide(&known, &twice, None, now()), expected);
    }

    #[test]
    fn a_hint_counts_for_the_same_text_or_link_only() {
        let known = [known(1, "http://a.example/1", Some("/1"), 1)];
        let moved = [shown("https://b.example/1", Some("/1"), 1)];
        assert_eq!(decide(&known, &moved, None, now()), [Verdict::Unchanged(1)]);
        let another = [shown("https://b.example/1", Some("/1"), 2)];
        assert_eq!(decide(&known, &another, None, now()), [Verdict::New]);
    }

    #[test]
    fn nobody_takes_an_item_that_is_shown_itself() {
        let one = [known(1, "http://a.example/1", Some("/1"), 1)];
        let both = [
            shown("https://b.example/1", Some("/1"), 1),
            shown("http://a.example/1", Some("/1"), 1),
        ];
        assert_eq!(decide(&one, &both, None, now()), [Verdict::New, Verdict::Unchanged(1)]);
        let twins = [shown("p", Some("/1"), 1), shown("q", Some("/1"), 1)];
        assert_eq!(decide(&one, &twins, None, now()), [Verdict::Unchanged(1), Verdict::New]);
    }

    #[test]
    fn a_first_import_takes_the_newest_and_remembers_the_rest() {
        let first = Some(FirstImport { items: 2, days: 90 });
        let shown = [aged("old", 89), aged("newer", 1), aged("ancient", 91), aged("new", 0)];
        let expected = [Verdict::Old, Verdict::New, Verdict::Old, Verdict::New];
        assert_eq!(decide(&[], &shown, first, now()), expected);
        let far = [aged("a", 91), aged("b", 90)];
        assert_eq!(decide(&[], &far, first, now()), [Verdict::Old, Verdict::New]);
    }

    proptest! {
        #[test]
        fn looking_again_finds_nothing_new(
            entries in prop::collection::vec((0..20_u8, prop::option::of(0..6_u8), 0..3_u8), 0..40),
            items in 1..30_usize,
        ) {
            let shown: Vec<Shown> = entries
                .iter()
                .map(|(key, alias, hash)| {
                    let alias = alias.map(|it| format!("/{it}"));
                    shown(&format!("k{key}"), alias.as_deref(), *hash)
                })
                .collect();
            let first = Some(FirstImport { items, days: 90 });
            let verdicts = decide(&[], &shown, first, now());
            let stored: Vec<Known> = shown
                .iter()
                .zip(&verdicts)
                .zip(1..)
                .filter(|((_, verdict), _)| matches!(verdict, Verdict::New | Verdict::Old))
                .map(|((it, _), id)| {
                    let alias = it.hints.first().map(String::as_str);
                    known(id, &it.key, alias, it.hash.parse().expect("a number"))
                })
                .collect();
            let news = verdicts.iter().filter(|it| **it == Verdict::New).count();
            prop_assert!(news <= items);
            for verdict in decide(&stored, &shown, None, now()) {
                prop_assert!(matches!(verdict, Verdict::Unchanged(_) | Verdict::Repeated));
            }
        }
    }
}
