//! Layered configuration: defaults < files < environment < flags, with the origin of every value.
//!
//! Each component defines a `Config` struct with `Default`; a process nests the structs of its
//! components, one section each. The defaults are also the list of known keys, so that a key that
//! nobody knows is an error with a suggestion.

mod secret;
mod tree;

pub use secret::Secret;

use std::{collections::BTreeMap, env, fmt, path::PathBuf};

use serde::{Serialize, de::DeserializeOwned};

use tree::Tree;

/// Environment variables of this form set a value: `COMMANDCENTER__SECTION__KEY`.
pub const ENV_PREFIX: &str = "COMMANDCENTER__";

/// Read on every machine, before the data directory's own file.
pub const SYSTEM_FILE: &str = "/etc/commandcenter.toml";

/// Well-known variables that other software uses for the same thing.
const ENV_ALIASES: [(&str, &str); 3] = [
    ("DATABASE_URL", "database.url"),
    ("NATS_URL", "bus.url"),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.otlp_endpoint"),
];

/// Every section that one of our processes knows: one file and one environment can serve them
/// all, and each process passes over the sections of the others.
const SECTIONS: [&str; 13] = [
    "admin",
    "bus",
    "database",
    "endpoints",
    "fetch",
    "grpc",
    "http",
    "hub",
    "ingestion",
    "jobs",
    "knowledge",
    "orchestrator",
    "telemetry",
];

/// Where values come from, weakest first.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// TOML files; one that does not exist is passed over.
    pub files: Vec<PathBuf>,
    /// Environment variables; others than ours are passed over.
    pub env: Vec<(String, String)>,
    /// `(section.key, value)` from the command line.
    pub flags: Vec<(String, String)>,
}

impl Layers {
    /// The system's file, then `files`, then this process' environment, then `flags`.
    #[must_use]
    pub fn of_process(files: Vec<PathBuf>, flags: Vec<(String, String)>) -> Self {
        let files = [PathBuf::from(SYSTEM_FILE)].into_iter().chain(files).collect();
        // Variables that are not Unicode cannot be ours.
        let env = env::vars_os()
            .filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        Self { files, env, flags }
    }
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// A file.
    File(PathBuf),
    /// An environment variable, by name.
    Env(String),
    /// A flag.
    Flag,
}

impl Origin {
    /// Whether both are one layer: a variable of another program's, as `DATABASE_URL`, is weaker
    /// than one of ours and so none of the same layer.
    fn same_layer(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Env(a), Self::Env(b)) => a.starts_with(ENV_PREFIX) == b.starts_with(ENV_PREFIX),
            (a, b) => a == b,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "file {}", path.display()),
            Self::Env(name) => write!(f, "environment {name}"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// A configuration and how it came about.
#[derive(Debug)]
pub struct Loaded<T> {
    /// The values.
    pub config: T,
    /// `section.key` → (value for a person, origin); secrets show only whether they are set.
    pub explained: BTreeMap<String, (String, Origin)>,
}

/// Why a configuration is refused; always a mistake that a person can mend.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody knows the key.
    #[error("{origin}: there is no setting {key:?}{}", suggestion(.closest))]
    UnknownKey {
        /// The key.
        key: String,
        /// Who set it.
        origin: Origin,
        /// The known key that looks most like it.
        closest: Option<String>,
    },
    /// The value is of another type.
    #[error("{origin}: {key} is {value:?}, but must be {expected}")]
    WrongType {
        /// The key.
        key: String,
        /// The value.
        value: String,
        /// Who set it.
        origin: Origin,
        /// What it must be.
        expected: &'static str,
    },
    /// A setting and its `_file` form are both set by the same layer.
    #[error("{origin}: {key} and {key}_file are both set; keep one")]
    Twice {
        /// The key.
        key: String,
        /// Who set both.
        origin: Origin,
    },
    /// A file that should hold a value cannot be read.
    #[error("{origin}: {key}_file names {}, which cannot be read", .path.display())]
    SecretFile {
        /// The key.
        key: String,
        /// The file.
        path: PathBuf,
        /// Who set it.
        origin: Origin,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A configuration file cannot be read.
    #[error("{} cannot be read", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A configuration file is not TOML.
    #[error("{} is not TOML: {message}", .path.display())]
    NotToml {
        /// The file.
        path: PathBuf,
        /// Where and why.
        message: String,
    },
    /// The value is of the right type, but not allowed.
    #[error("{origin}: {key} is not valid: {why}")]
    NotAllowed {
        /// The key.
        key: String,
        /// Who set it.
        origin: Origin,
        /// What is wrong with it; never the value of a secret.
        why: String,
    },
    /// Each value is allowed, but not all of them together.
    #[error("the configuration is not valid: {0}")]
    Invalid(String),
}

fn suggestion(closest: &Option<String>) -> String {
    match closest {
        Some(key) => format!("; did you mean {key:?}?"),
        None => "; `commandcenter config explain` lists them".to_owned(),
    }
}

/// Where and why; the line itself is left out, as it may hold a password.
fn toml_mistake(text: &str, error: &toml::de::Error) -> String {
    let before = error.span().and_then(|span| text.get(..span.start));
    let line = before.map_or(1, |before| before.matches('\n').count() + 1);
    format!("line {line}: {}", error.message())
}

/// Reads the layers into `T`.
///
/// # Errors
/// See [`Error`].
pub fn load<T: Serialize + DeserializeOwned + Default>(
    layers: &Layers,
) -> Result<Loaded<T>, Error> {
    let mut tree = Tree::of_defaults(&T::default());
    for path in &layers.files {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::Unreadable { path: path.clone(), source }),
        };
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| Error::NotToml {
            path: path.clone(),
            message: toml_mistake(&text, &error),
        })?;
        let value = serde_json::to_value(table).map_err(|e| Error::Invalid(e.to_string()))?;
        tree.merge_file(&value, &Origin::File(path.clone()))?;
    }
    for (alias, key) in ENV_ALIASES {
        if let Some((_, value)) = layers.env.iter().find(|(name, _)| name == alias)
            && tree.knows(key)
        {
            tree.set(key, value, &Origin::Env(alias.to_owned()))?;
        }
    }
    for (name, value) in &layers.env {
        if let Some(key) = name.strip_prefix(ENV_PREFIX) {
            let key = key.to_lowercase().replace("__", ".");
            tree.set(&key, value, &Origin::Env(name.clone()))?;
        }
    }
    for (key, value) in &layers.flags {
        tree.set(key, value, &Origin::Flag)?;
    }
    tree.into_loaded()
}

#[cfg(test)]
mod tests;
