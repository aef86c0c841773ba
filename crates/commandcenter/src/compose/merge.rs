//! Joins two versions of the same thing as Compose does: a later file over an earlier one, and a
//! service over the one that it extends. Pure.

use super::yaml::{Entry, Merging, Node, Value};

/// Their lists are the whole, not a part of it.
const WHOLE: [&str; 3] = ["command", "entrypoint", "test"];

/// Lists of `NAME=VALUE` that are mappings too.
const PAIRS: [&str; 2] = ["environment", "labels"];

/// Lists of names that are mappings too.
const NAMES: [&str; 2] = ["depends_on", "networks"];

/// `over` joined onto `base`; `key` is what both stand under.
pub(super) fn merge(base: Node, over: Node, key: &str) -> Node {
    match over.merging {
        Merging::Reset => return Node { value: Value::Null, ..over },
        Merging::Override => return over,
        Merging::Join => {}
    }
    let (base, over) = (as_mapping(base, key), as_mapping(over, key));
    let place = over.place;
    let value = match (base.value, over.value) {
        (Value::Map(base), Value::Map(over)) => Value::Map(entries(base, over)),
        (Value::List(base), Value::List(over)) if !WHOLE.contains(&key) => {
            Value::List(items(base, over, key))
        }
        (_, value) => value,
    };
    Node::new(place, value)
}

/// The form in which both can be joined by name.
fn as_mapping(node: Node, key: &str) -> Node {
    let Node { place, value, merging } = node;
    let value = match value {
        Value::List(items) if PAIRS.contains(&key) => {
            Value::Map(items.into_iter().map(pair).collect())
        }
        Value::List(items) if NAMES.contains(&key) => {
            Value::Map(items.into_iter().map(name).collect())
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
    Entry { key, place: item.place, value: Node::new(item.place, value) }
}

fn name(item: Node) -> Entry {
    let value = Node::new(item.place, Value::Map(Vec::new()));
    Entry { key: text(&item), place: item.place, value }
}

fn text(node: &Node) -> String {
    match &node.value {
        Value::Text(text) => text.clone(),
        _ => String::new(),
    }
}

fn entries(mut base: Vec<Entry>, over: Vec<Entry>) -> Vec<Entry> {
    for entry in over {
        match base.iter_mut().find(|known| known.key == entry.key) {
            Some(known) => {
                let empty = Node::new(known.place, Value::Null);
                let before = std::mem::replace(&mut known.value, empty);
                known.value = merge(before, entry.value, &entry.key);
                known.place = entry.place;
            }
            None => base.push(entry),
        }
    }
    base
}

fn items(mut base: Vec<Node>, over: Vec<Node>, key: &str) -> Vec<Node> {
    for item in over {
        let id = identity(&item, key);
        match base.iter_mut().find(|known| identity(known, key) == id) {
            Some(known) => *known = item,
            None => base.push(item),
        }
    }
    base
}

/// What makes an item of a list the same as one of an earlier file.
fn identity(item: &Node, key: &str) -> String {
    let field = |name: &str| item.get(name).map(text).unwrap_or_default();
    match (&item.value, key) {
        (Value::Text(text), "volumes") => {
            let mut parts = text.split(':');
            let first = parts.next().unwrap_or_default();
            parts.next().unwrap_or(first).to_owned()
        }
        (Value::Text(text), _) => text.clone(),
        (Value::Map(_), "volumes") => field("target"),
        (Value::Map(_), "secrets" | "configs") if item.get("target").is_none() => field("source"),
        (Value::Map(_), "secrets" | "configs") => field("target"),
        _ => ["host_ip", "published", "target", "protocol", "path"].map(field).join(":"),
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
            ("{ports: ['80:80'], user: '1'}", "{ports: !reset []}", "{ports: ~, user: 1}"),
            ("{ports: ['80:80']}", "{ports: !override ['81:81']}", "{ports: [81:81]}"),
        ] {
            let [base, over] = [base, over].map(|yaml| load(yaml, 0).expect("YAML"));
            assert_eq!(shown(&merge(base, over, "")), wanted);
        }
    }
}
