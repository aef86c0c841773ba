//! Joins two versions of the same thing as Compose does: a later file over an earlier one, and a
//! service over the one that it extends. Pure.

use std::collections::BTreeMap;

use super::{
    key, port,
    yaml::{Entry, Merging, Node, Value},
};

/// Their lists are the whole, not a part of it; nothing is a value of theirs too.
const WHOLE: [&str; 4] = ["command", "entrypoint", "test", "exec"];

/// Mappings of which only one of the kinds can be meant.
const PROBES: [&str; 3] = ["startup", "readiness", "liveness"];

/// Lists of `NAME=VALUE` that are mappings too.
const PAIRS: [&str; 2] = ["environment", "labels"];

/// Lists of names that are mappings too.
const NAMES: [&str; 2] = ["depends_on", "networks"];

/// `over` joined onto `base`; `key` is what both stand under. What `!reset` takes away is still
/// there, see [`settled`]: it goes in the file before as well.
pub(super) fn merge(base: Node, over: Node, key: &str) -> Node {
    if over.merging != Merging::Join {
        return over;
    }
    let (base, over) = (as_mapping(base, key), as_mapping(over, key));
    let (before, place) = (base.place, over.place);
    let value = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => {
            Value::Map(entries(without_other_kinds(base, &over, key), over, key))
        }
        (Value::List(base), Value::List(over)) if !WHOLE.contains(&key) => {
            Value::List(items(base, over, key))
        }
        // A list that cannot be joined by name: its reader says what is wrong with it.
        (list @ Value::List(_), Value::Map(_)) if is_by_name(key) => {
            return Node::new(before, list);
        }
        // All that a key held is commented out, which says nothing about what was there before.
        (base, Value::Null) if !WHOLE.contains(&key) => return Node::new(before, base),
        (_, value) => value,
    };
    Node::new(place, value)
}

/// The tree without what `!reset` takes away.
pub(super) fn settled(mut node: Node) -> Node {
    if node.merging == Merging::Reset {
        node.value = Value::Null;
    }
    let stays = |node: &Node| node.merging != Merging::Reset;
    node.value = match node.value {
        Value::List(items) => Value::List(items.into_iter().filter(stays).map(settled).collect()),
        Value::Map(entries) => {
            let entries = entries.into_iter().filter(|entry| stays(&entry.value));
            Value::Map(
                entries.map(|entry| Entry { value: settled(entry.value), ..entry }).collect(),
            )
        }
        value => value,
    };
    node
}

/// A probe asks in one way: a new one takes the place of another.
fn without_other_kinds(mut base: Vec<Entry>, over: &[Entry], key: &str) -> Vec<Entry> {
    let is_kind = |entry: &Entry| key::PROBE_KINDS.contains(&entry.key.as_str());
    if let Some(new) = over.iter().find(|entry| is_kind(entry)).filter(|_| PROBES.contains(&key)) {
        base.retain(|entry| !is_kind(entry) || entry.key == new.key);
    }
    base
}

fn is_by_name(key: &str) -> bool {
    PAIRS.contains(&key) || NAMES.contains(&key)
}

/// The form in which both can be joined by name.
fn as_mapping(node: Node, key: &str) -> Node {
    let Node { place, value, merging } = node;
    let is_of_texts = |items: &[Node]| items.iter().all(|it| matches!(it.value, Value::Text(_)));
    let value = match value {
        Value::List(items) if is_by_name(key) && is_of_texts(&items) => {
            let entry = if PAIRS.contains(&key) { pair } else { name };
            Value::Map(entries(Vec::new(), items.into_iter().map(entry).collect(), key))
        }
        // One text, or a list of them.
        Value::Text(text) if matches!(key, "env_file" | "tmpfs") => {
            Value::List(vec![Node::new(place, Value::Text(text))])
        }
        value => value,
    };
    Node { place, value, merging }
}

fn pair(item: Node) -> Entry {
    let text = text(&item);
    let (key, value) = match text.split_once('=') {
        Some((key, value)) => (key.to_owned(), Value::Text(value.to_owned())),
        None => (text, Value::Null),
    };
    let value = Node { value, ..item };
    Entry { key, place: value.place, value }
}

fn name(item: Node) -> Entry {
    let key = text(&item);
    let value = Node { value: Value::Map(Vec::new()), ..item };
    Entry { key, place: value.place, value }
}

fn text(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    }
}

/// The entries of what stands under `key`.
fn entries(mut base: Vec<Entry>, over: Vec<Entry>, key: &str) -> Vec<Entry> {
    let named = |(index, entry): (usize, &Entry)| (entry.key.clone(), index);
    let mut places: BTreeMap<String, usize> = base.iter().enumerate().map(named).collect();
    for entry in over {
        let Some(known) = places.get(&entry.key).and_then(|index| base.get_mut(*index)) else {
            places.insert(entry.key.clone(), base.len());
            base.push(entry);
            continue;
        };
        // A name alone is a value: it passes the caller's variable on.
        if PAIRS.contains(&key) {
            *known = entry;
            continue;
        }
        let empty = Node::new(known.place, Value::Null);
        let before = std::mem::replace(&mut known.value, empty);
        // The names of services are no keys.
        let below = if key == "services" { "" } else { &entry.key };
        known.value = merge(before, entry.value, below);
        known.place = entry.place;
    }
    base
}

fn items(mut base: Vec<Node>, over: Vec<Node>, key: &str) -> Vec<Node> {
    let named = |(index, item): (usize, &Node)| (identity(item, key), index);
    let mut places: BTreeMap<String, usize> = base.iter().enumerate().map(named).collect();
    for item in over {
        let id = identity(&item, key);
        match places.get(&id).and_then(|index| base.get_mut(*index)) {
            Some(known) => *known = item,
            None => {
                places.insert(id, base.len());
                base.push(item);
            }
        }
    }
    base
}

/// What makes an item of a list the same as one of an earlier file.
fn identity(item: &Node, key: &str) -> String {
    let field = |name: &str| item.get(name).map(text).unwrap_or_default();
    let target = |text: &str| text.strip_suffix('/').unwrap_or(text).to_owned();
    match (&item.value, key) {
        (_, "ports") => port::identity(item),
        (Value::Text(text), "volumes") => {
            let mut parts = text.split(':');
            let first = parts.next().unwrap_or_default();
            target(parts.next().unwrap_or(first))
        }
        (Value::Text(text), _) => text.clone(),
        (Value::Map(_), "volumes") => target(&field("target")),
        (Value::Map(_), "secrets" | "configs") if item.get("target").is_none() => field("source"),
        (Value::Map(_), "secrets" | "configs") => field("target"),
        _ => field("path"),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::yaml::load, *};

    /// The merged tree in one line.
    fn shown(node: &Node) -> String {
        match &node.value {
            Value::Null => "~".to_owned(),
            Value::Text(text) => text.clone(),
            Value::List(items) => {
                format!("[{}]", items.iter().map(shown).collect::<Vec<_>>().join(", "))
            }
            Value::Map(entries) => {
                let entry = |entry: &Entry| format!("{}: {}", entry.key, shown(&entry.value));
                format!("{{{}}}", entries.iter().map(entry).collect::<Vec<_>>().join(", "))
            }
        }
    }

    #[test]
    fn a_later_file_wins_key_by_key() {
        for (base, over, wanted) in [
            ("{image: a, user: '1'}", "{image: b}", "{image: b, user: 1}"),
            (
                "{services: {labels: {ports: ['1:1']}}}",
                "{services: {labels: {ports: ['2:2']}}}",
                "{services: {labels: {ports: [1:1, 2:2]}}}",
            ),
            ("{command: [a, b]}", "{command: [c]}", "{command: [c]}"),
            ("{environment: [A=1, B=2]}", "{environment: {B: 3}}", "{environment: {A: 1, B: 3}}"),
            ("{environment: {A: 1}}", "{environment: [A]}", "{environment: {A: ~}}"),
            ("{ports: ['80:80']}", "{ports: ['80:80', '81:81']}", "{ports: [80:80, 81:81]}"),
            ("{volumes: ['a:/x:ro']}", "{volumes: ['b:/x']}", "{volumes: [b:/x]}"),
            (
                "{volumes: ['a:/x']}",
                "{volumes: [{source: b, target: /x}]}",
                "{volumes: [{source: b, target: /x}]}",
            ),
            (
                "{depends_on: {db: {condition: service_healthy}}}",
                "{depends_on: [db, redis]}",
                "{depends_on: {db: {condition: service_healthy}, redis: {}}}",
            ),
            ("{env_file: a}", "{env_file: [b]}", "{env_file: [a, b]}"),
            ("{ports: ['80:80']}", "{ports: !override ['81:81']}", "{ports: [81:81]}"),
            ("{ports: ['80:80']}", "{ports: ['80:80/tcp']}", "{ports: [80:80/tcp]}"),
            (
                "{ports: ['80:8080']}",
                "{ports: [{target: 8080, published: '80'}]}",
                "{ports: [{target: 8080, published: 80}]}",
            ),
            ("{ports: ['80:80']}", "{ports: ['80:80/udp']}", "{ports: [80:80, 80:80/udp]}"),
            ("{volumes: ['a:/x']}", "{volumes: ['b:/x/']}", "{volumes: [b:/x/]}"),
            ("{environment: [A=1, A=2]}", "{environment: {A: 3}}", "{environment: {A: 3}}"),
            ("{environment: [A=1, A=2]}", "{environment: {B: 3}}", "{environment: {A: 2, B: 3}}"),
            // What a reader has to refuse is still there.
            ("{environment: {A: 1}}", "{environment: [{B: 5}]}", "{environment: [{B: 5}]}"),
            ("{environment: [{B: 5}]}", "{environment: {A: 1}}", "{environment: [{B: 5}]}"),
            ("{exec: [check, --a]}", "{exec: [other]}", "{exec: [other]}"),
            (
                "{readiness: {http: {port: 80}, period: 1s}}",
                "{readiness: {tcp: {port: 81}}}",
                "{readiness: {period: 1s, tcp: {port: 81}}}",
            ),
            (
                "{readiness: {http: {port: 80}}}",
                "{readiness: {http: {path: /x}}}",
                "{readiness: {http: {port: 80, path: /x}}}",
            ),
        ] {
            check(base, over, wanted);
        }
    }

    #[test]
    fn a_key_that_says_nothing_leaves_what_was_there() {
        for (base, over, wanted) in [
            ("{environment: {A: 1}}", "{environment: }", "{environment: {A: 1}}"),
            ("{environment: {A: 1}}", "{environment: {A: }}", "{environment: {A: ~}}"),
            ("{networks: [a, b]}", "{networks: }", "{networks: {a: {}, b: {}}}"),
            (
                "{networks: {a: {aliases: [x]}}}",
                "{networks: {a: }}",
                "{networks: {a: {aliases: [x]}}}",
            ),
            ("{ports: ['80:80']}", "{ports: }", "{ports: [80:80]}"),
            ("{command: [a]}", "{command: }", "{command: ~}"),
        ] {
            check(base, over, wanted);
        }
    }

    #[test]
    fn reset_takes_away() {
        for (base, over, wanted) in [
            ("{ports: ['80:80'], user: '1'}", "{ports: !reset []}", "{user: 1}"),
            (
                "{environment: {A: 1, B: 2}}",
                "{environment: {A: !reset null}}",
                "{environment: {B: 2}}",
            ),
            (
                "{environment: [A=1, B=2]}",
                "{environment: {A: !reset null}}",
                "{environment: {B: 2}}",
            ),
            ("{depends_on: [db, x]}", "{depends_on: {db: !reset null}}", "{depends_on: {x: {}}}"),
            ("{networks: {a: , b: }}", "{networks: {a: !reset null}}", "{networks: {b: ~}}"),
            // There was nothing; its own value is none either.
            ("{user: '1'}", "{ports: !reset ['80:80']}", "{user: 1}"),
            ("{ports: !reset ['80:80'], user: '1'}", "{}", "{user: 1}"),
            ("{ports: !reset ['80:80']}", "{ports: ['81:81']}", "{ports: [81:81]}"),
            ("{}", "{web: {ports: !reset ['80:80'], user: '1'}}", "{web: {user: 1}}"),
        ] {
            check(base, over, wanted);
        }
    }

    #[track_caller]
    fn check(base: &str, over: &str, wanted: &str) {
        let [base, over] = [base, over].map(|yaml| load(yaml, 0).expect("YAML"));
        assert_eq!(shown(&settled(merge(settled(base), over, ""))), wanted);
    }
}
