//! The values while the layers are laid over each other.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{Error, Loaded, Origin, SECTIONS, secret};

/// How much a typo may differ from the key that is suggested for it (Jaro-Winkler, 0 to 1).
const SUGGESTION_SIMILARITY_MIN: f64 = 0.8;

/// Keys end in this when they name a file that holds the value.
const FILE_SUFFIX: &str = "_file";

/// The defaults with what the layers set so far.
pub(super) struct Tree {
    /// `section.key` → value; what is below a map with free keys stays one value.
    leaves: BTreeMap<String, Value>,
    defaults: BTreeMap<String, Value>,
    secrets: BTreeSet<String>,
    origins: BTreeMap<String, Origin>,
    /// Who set a key by naming a file.
    by_file: BTreeMap<String, Origin>,
}

impl Tree {
    pub(super) fn of_defaults<T: Serialize>(defaults: &T) -> Self {
        let mut tree = Self {
            leaves: BTreeMap::new(),
            defaults: BTreeMap::new(),
            secrets: BTreeSet::new(),
            origins: BTreeMap::new(),
            by_file: BTreeMap::new(),
        };
        let value = serde_json::to_value(defaults).unwrap_or(Value::Null);
        tree.flatten("", value);
        tree.defaults = tree.leaves.clone();
        tree
    }

    fn flatten(&mut self, key: &str, value: Value) {
        match value {
            Value::Object(map) if !map.is_empty() => {
                for (name, value) in map {
                    let key = if key.is_empty() { name } else { format!("{key}.{name}") };
                    self.flatten(&key, value);
                }
            }
            Value::String(text) if text == secret::MARK => {
                self.secrets.insert(key.to_owned());
                self.leaves.insert(key.to_owned(), Value::String(String::new()));
            }
            value => {
                self.leaves.insert(key.to_owned(), value);
            }
        }
    }

    pub(super) fn knows(&self, key: &str) -> bool {
        self.leaves.contains_key(key)
    }

    /// Lays a file's values over the tree.
    pub(super) fn merge_file(&mut self, value: &Value, origin: &Origin) -> Result<(), Error> {
        self.merge("", value, origin)
    }

    fn merge(&mut self, key: &str, value: &Value, origin: &Origin) -> Result<(), Error> {
        match value {
            Value::Object(map) if !self.knows(key) => {
                for (name, value) in map {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    self.merge(&key, value, origin)?;
                }
                Ok(())
            }
            Value::String(text) => self.set(key, text, origin),
            value => self.put(key, value.clone(), origin),
        }
    }

    /// Sets one key from text, reading the text as the type that the default has.
    pub(super) fn set(&mut self, key: &str, text: &str, origin: &Origin) -> Result<(), Error> {
        if let Some((map, entry)) = self.free_map(key) {
            let Some(Value::Object(entries)) = self.leaves.get_mut(&map) else { return Ok(()) };
            entries.insert(entry, Value::String(text.to_owned()));
            self.origins.insert(map, origin.clone());
            return Ok(());
        }
        let Some(default) = self.leaves.get(key) else {
            return self.set_unknown(key, text, origin);
        };
        let wrong = |expected| Error::WrongType {
            key: key.to_owned(),
            value: text.to_owned(),
            origin: origin.clone(),
            expected,
        };
        let value = match default {
            Value::Bool(_) => Value::Bool(text.parse().map_err(|_| wrong("true or false"))?),
            Value::Number(_) => serde_json::from_str(text)
                .ok()
                .filter(Value::is_number)
                .ok_or_else(|| wrong("a number"))?,
            Value::Array(_) => text
                .split(',')
                .map(str::trim)
                .filter(|part| !part.is_empty())
                .map(|part| Value::String(part.to_owned()))
                .collect(),
            _ => Value::String(text.to_owned()),
        };
        self.put(key, value, origin)
    }

    /// The map with free keys that `key` points into, and the entry's name.
    fn free_map(&self, key: &str) -> Option<(String, String)> {
        let (map, entry) = key.rsplit_once('.')?;
        matches!(self.leaves.get(map), Some(Value::Object(_)))
            .then(|| (map.to_owned(), entry.to_owned()))
    }

    /// A key that no default has: the `_file` form of one, another process' section, or a mistake.
    fn set_unknown(&mut self, key: &str, text: &str, origin: &Origin) -> Result<(), Error> {
        if let Some(base) = key.strip_suffix(FILE_SUFFIX).filter(|base| self.knows(base)) {
            self.once(base, self.origins.get(base), origin)?;
            let path = PathBuf::from(text);
            let value = std::fs::read_to_string(&path).map_err(|source| Error::SecretFile {
                key: base.to_owned(),
                path,
                origin: origin.clone(),
                source,
            })?;
            self.set(base, value.trim_end(), origin)?;
            self.by_file.insert(base.to_owned(), origin.clone());
            return Ok(());
        }
        self.put(key, Value::Null, origin)
    }

    fn once(&self, key: &str, before: Option<&Origin>, now: &Origin) -> Result<(), Error> {
        match before {
            Some(before) if before.same_layer(now) => {
                Err(Error::Twice { key: key.to_owned(), origin: now.clone() })
            }
            _ => Ok(()),
        }
    }

    fn put(&mut self, key: &str, value: Value, origin: &Origin) -> Result<(), Error> {
        if self.knows(key) {
            self.once(key, self.by_file.get(key), origin)?;
            self.leaves.insert(key.to_owned(), value);
            self.origins.insert(key.to_owned(), origin.clone());
            return Ok(());
        }
        let section = key.split('.').next().unwrap_or(key);
        let ours = self.leaves.keys().any(|known| known.split('.').next() == Some(section));
        if !ours && SECTIONS.contains(&section) {
            return Ok(());
        }
        Err(Error::UnknownKey {
            key: key.to_owned(),
            origin: origin.clone(),
            closest: self.closest(key),
        })
    }

    fn closest(&self, key: &str) -> Option<String> {
        self.leaves
            .keys()
            .map(|known| (strsim::jaro_winkler(known, key), known))
            .filter(|(similarity, _)| *similarity >= SUGGESTION_SIMILARITY_MIN)
            .max_by(|a, b| a.0.total_cmp(&b.0))
            .map(|(_, known)| known.clone())
    }

    pub(super) fn into_loaded<T: DeserializeOwned>(self) -> Result<Loaded<T>, Error> {
        let config = match serde_json::from_value(nested(&self.leaves)) {
            Ok(config) => config,
            Err(error) => return Err(self.culprit::<T>(&error)),
        };
        let explained = self.leaves.iter().map(|(key, value)| {
            let origin = self.origins.get(key).cloned().unwrap_or(Origin::Default);
            (key.clone(), (self.shown(key, value), origin))
        });
        Ok(Loaded { config, explained: explained.collect() })
    }

    /// A value for a person.
    fn shown(&self, key: &str, value: &Value) -> String {
        match value {
            Value::String(text) if self.secrets.contains(key) => {
                if text.is_empty() { "[unset]" } else { "[set]" }.to_owned()
            }
            Value::String(text) => text.clone(),
            Value::Null => String::new(),
            other => other.to_string(),
        }
    }

    /// Who is to blame: the first value that is refused among nothing but defaults.
    fn culprit<T: DeserializeOwned>(&self, error: &serde_json::Error) -> Error {
        for (key, origin) in &self.origins {
            let mut leaves = self.defaults.clone();
            leaves.extend(self.leaves.get_key_value(key).map(|(k, v)| (k.clone(), v.clone())));
            let Err(error) = serde_json::from_value::<T>(nested(&leaves)) else { continue };
            // The error would show the value.
            let secret = self.secrets.contains(key);
            let why = if secret { "it must be text in quotes".into() } else { error.to_string() };
            return Error::NotAllowed { key: key.clone(), origin: origin.clone(), why };
        }
        Error::Invalid(error.to_string())
    }
}

fn nested(leaves: &BTreeMap<String, Value>) -> Value {
    let mut root = Map::new();
    for (key, value) in leaves {
        insert(&mut root, key, value.clone());
    }
    Value::Object(root)
}

fn insert(map: &mut Map<String, Value>, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            map.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let entry = map.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = entry {
                insert(map, rest, value);
            }
        }
    }
}
