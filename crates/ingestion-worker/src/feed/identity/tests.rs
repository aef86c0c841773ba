//! Which entries are the same.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;
use crate::change::{Known, Shown, Verdict, decide};

fn entry(guid: Option<&str>, url: Option<&str>, title: &str) -> Entry {
    Entry {
        guid: guid.map(str::to_owned),
        url: url.map(str::to_owned),
        title: title.to_owned(),
        ..Entry::default()
    }
}

fn keys(mut entries: Vec<Entry>) -> Vec<String> {
    assign(&mut entries);
    entries.into_iter().map(|entry| entry.key).collect()
}

#[test]
fn an_edited_title_is_an_edit_where_guid_or_link_stay() {
    for (guid, url) in [(Some("1"), None), (None, Some("https://a.example/1"))] {
        let mut entries = vec![entry(guid, url, "before")];
        let mut edited = vec![entry(guid, url, "after")];
        assign(&mut entries);
        assign(&mut edited);
        assert_eq!(entries[0].key, edited[0].key);
        assert_ne!(entries[0].content_hash, edited[0].content_hash);
    }
}

#[test]
fn a_repeated_guid_counts_with_the_link_for_all_in_any_order() {
    let first = entry(Some("same"), Some("https://a.example/1"), "one");
    let second = entry(Some("same"), Some("https://a.example/2"), "two");
    let forward: HashSet<_> = keys(vec![first.clone(), second.clone()]).into_iter().collect();
    let backward: HashSet<_> = keys(vec![second, first]).into_iter().collect();
    assert_eq!(forward.len(), 2);
    assert_eq!(forward, backward);
}

#[test]
fn the_same_entry_twice_is_one() {
    let twice = vec![entry(Some("1"), Some("https://a.example/1"), "one"); 2];
    assert_eq!(keys(twice).len(), 1);
}

/// What a source's table knows after each look; a look tells what it found.
#[derive(Default)]
struct Table(Vec<Known>);

impl Table {
    fn look(&mut self, mut entries: Vec<Entry>) -> Vec<Verdict> {
        assign(&mut entries);
        let shown: Vec<Shown> = entries.iter().map(Shown::from).collect();
        let verdicts = decide(&self.0, &shown, None, chrono::Utc::now());
        for (entry, verdict) in entries.into_iter().zip(&verdicts) {
            match *verdict {
                Verdict::Edited(id) | Verdict::Rehashed(id) => {
                    let item = self.0.iter_mut().find(|it| it.id == id).expect("it is known");
                    item.hash = entry.content_hash;
                }
                Verdict::New => {
                    let id = self.0.len() as i64 + 1;
                    let Entry { key, alias_key: alias, content_hash: hash, .. } = entry;
                    assert!(self.0.iter().all(|it| it.key != key), "a key is stored once");
                    self.0.push(Known { id, key, alias, hash });
                }
                _ => {}
            }
        }
        verdicts
    }
}

#[test]
fn what_else_a_feed_shows_makes_no_item_of_an_old_one() {
    use Verdict::{Edited, New, Unchanged};
    let at =
        |n: u8, title: &str| entry(Some("same"), Some(&format!("https://a.example/{n}")), title);
    // Seen alone, then listed twice in the same words, then beside another one.
    let mut table = Table::default();
    assert_eq!(table.look(vec![at(1, "one")]), [New]);
    assert_eq!(table.look(vec![at(1, "one"), at(1, "one")]), [Unchanged(1)]);
    assert_eq!(table.look(vec![at(2, "two"), at(1, "one")]), [New, Unchanged(1)]);
    assert_eq!(table.look(vec![at(2, "two"), at(1, "edited")]), [Unchanged(2), Edited(1)]);
    // The older one drops out, and comes back; then the newer one does.
    assert_eq!(table.look(vec![at(2, "two")]), [Unchanged(2)]);
    assert_eq!(table.look(vec![at(2, "two"), at(1, "edited")]), [Unchanged(2), Unchanged(1)]);
    assert_eq!(table.look(vec![at(1, "edited")]), [Unchanged(1)]);

    // The same without links: what is told apart by its text.
    let mut table = Table::default();
    let text = |title: &str| entry(Some("same"), None, title);
    assert_eq!(table.look(vec![text("one"), text("two")]), [New, New]);
    assert_eq!(table.look(vec![text("two")]), [Unchanged(2)]);
}

#[test]
fn a_planet_keeps_the_entries_of_its_hosts_apart() {
    use Verdict::{New, Unchanged};
    let post = |host: &str, title: &str| {
        let address = format!("{host}/?p=123");
        entry(Some(&address), Some(&address), title)
    };
    let mut table = Table::default();
    assert_eq!(table.look(vec![post("https://a.example", "one")]), [New]);
    assert_eq!(table.look(vec![post("https://b.example", "another")]), [New]);
    // A move within the host may come with an edit; one to another host may not.
    assert_eq!(table.look(vec![post("http://www.a.example", "one, edited")]), [Verdict::Edited(1)]);
    assert_eq!(table.look(vec![post("https://c.example", "another")]), [Verdict::Edited(2)]);
    assert_eq!(table.look(vec![post("https://a.example", "one, edited")])[0], Verdict::Edited(1));
    let guid = |guid: &str| entry(Some(guid), Some("https://a.example/same"), "same");
    let mut table = Table::default();
    assert_eq!(table.look(vec![guid("http://old.example/1")]), [New]);
    assert_eq!(table.look(vec![guid("https://new.example/1")]), [Unchanged(1)]);
}

#[test]
fn a_link_that_moves_is_an_edit_and_its_tracking_is_none() {
    use Verdict::{Edited, New, Unchanged};
    let at = |url: &str| vec![entry(Some("1"), Some(url), "one")];
    let mut table = Table::default();
    assert_eq!(table.look(at("https://a.example/old?utm_source=rss")), [New]);
    assert_eq!(table.look(at("https://a.example/old?utm_source=mail")), [Unchanged(1)]);
    assert_eq!(table.look(at("https://a.example/new")), [Edited(1)]);
    assert_eq!(table.look(at("https://a.example/new")), [Unchanged(1)]);
}

#[test]
fn what_an_earlier_release_stored_without_the_link_is_no_edit() {
    use Verdict::{Edited, New, Rehashed, Unchanged};
    let at = |url: Option<&str>, title: &str| vec![entry(Some("1"), url, title)];
    for url in [Some("https://a.example/1"), None] {
        let mut table = Table::default();
        assert_eq!(table.look(at(url, "one")), [New]);
        let whole = table.0[0].hash.clone();
        let (text, _) = whole.split_once('+').expect("the link's part follows");
        table.0[0].hash = text.to_owned();
        assert_eq!(table.look(at(url, "one")), [Rehashed(1)], "{url:?}");
        assert_eq!(table.look(at(url, "one")), [Unchanged(1)], "{url:?}");
        assert_eq!(table.look(at(Some("https://a.example/2"), "one")), [Edited(1)], "{url:?}");
        table.0[0].hash = text.to_owned();
        assert_eq!(table.look(at(url, "two")), [Edited(1)], "{url:?}");
    }
}

#[test]
fn entries_that_differ_in_the_fragment_only_are_two() {
    let at = |fragment| entry(None, Some(fragment), "release");
    assert_eq!(keys(vec![at("https://a.example/log#1"), at("https://a.example/log#2")]).len(), 2);
}

#[test]
fn a_move_to_another_host_or_scheme_keeps_the_alias() {
    let mut old = vec![entry(Some("http://old.example/post/7?p=1"), None, "one")];
    let mut new = vec![entry(Some("https://new.example/post/7/?p=1"), None, "one")];
    assign(&mut old);
    assign(&mut new);
    assert_ne!(old[0].key, new[0].key);
    assert!(old[0].alias_key.is_some());
    assert_eq!(old[0].alias_key, new[0].alias_key);
}

#[test]
fn an_alias_that_two_entries_share_is_none() {
    let mut entries = vec![
        entry(Some("https://a.example/post"), None, "one"),
        entry(Some("https://b.example/post"), None, "two"),
    ];
    assign(&mut entries);
    assert!(entries.iter().all(|entry| entry.alias_key.is_none()));
}

#[test]
fn addresses_are_compared_without_tracking() {
    let plain = normalise_url("https://A.example:443/x?id=1");
    assert_eq!(plain, "https://a.example/x?id=1");
    assert_eq!(
        normalise_url("https://a.example/x/?utm_source=rss&id=1&fbclid=z"),
        "https://a.example/x/?id=1"
    );
    assert_eq!(normalise_url("https://a.example/x/"), normalise_url("https://a.example/x"));
    assert_eq!(normalise_url(" not a url "), "not a url");
}

fn any_entry() -> impl Strategy<Value = Entry> {
    let guid = proptest::option::of("[a-c]{1,2}|https://[ab]\\.example/[a-c]");
    let url = proptest::option::of("https://[ab]\\.example/[a-c]?(#[ab])?");
    (guid, url, "[a-c ]{0,3}", proptest::option::of("<p>[ab]</p>")).prop_map(
        |(guid, url, title, content_html)| Entry {
            guid,
            url,
            title,
            content_html,
            ..Entry::default()
        },
    )
}

proptest! {
    #[test]
    fn polling_again_adds_nothing(entries in proptest::collection::vec(any_entry(), 0..12)) {
        let first = keys(entries.clone());
        prop_assert_eq!(&first, &keys(entries.clone()));
        let mut reversed = entries;
        reversed.reverse();
        let known: HashSet<_> = first.iter().collect();
        prop_assert!(keys(reversed).iter().all(|key| known.contains(key)));
        prop_assert_eq!(known.len(), first.len(), "each key once");
    }

    #[test]
    fn titles_edited_between_polls_add_nothing(
        entries in proptest::collection::vec(any_entry(), 0..12),
        edit in "[x-z]{1,4}",
    ) {
        // Entries that share a guid or link are told apart by their text, so editing it is new.
        let mut names = HashSet::new();
        let stable: Vec<Entry> = entries
            .into_iter()
            .filter(|entry| entry.guid.is_some() || entry.url.is_some())
            .filter(|entry| {
                let name = entry.guid.clone().or(entry.url.as_deref().map(normalise_url));
                names.insert(name)
            })
            .collect();
        let mut edited = stable.clone();
        edited.iter_mut().for_each(|entry| entry.title = edit.clone());
        prop_assert_eq!(keys(stable), keys(edited));
    }
}
