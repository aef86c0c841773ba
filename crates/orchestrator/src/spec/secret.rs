//! Tells values that look like a secret: by the name they go under, by a form that only secrets
//! have, or by being as random as only secrets are. Pure; never repeats a value.

/// Parts of names under which secrets go.
const SECRET_WORDS: [&str; 10] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASS",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "APIKEY",
    "CREDENTIALS",
    "REQUIREPASS",
];

/// What stands before `KEY` when it is one that must stay secret.
const SECRET_KEYS: [&str; 9] =
    ["ACCESS", "API", "AUTH", "ENCRYPTION", "JWT", "MASTER", "PRIVATE", "SECRET", "SIGNING"];

/// The last part of names that speak about a secret and are none.
const ABOUT: [&str; 45] = [
    "ALGORITHM",
    "AUDIENCE",
    "BACKEND",
    "COUNT",
    "DIR",
    "DURATION",
    "ENABLED",
    "ENDPOINT",
    "EXPIRATION",
    "EXPIRES",
    "EXPIRY",
    "FILE",
    "FORMAT",
    "HASHER",
    "HEADER",
    "HOST",
    "ID",
    "INTERVAL",
    "ISSUER",
    "LENGTH",
    "LIFETIME",
    "LIMIT",
    "MAX",
    "METHOD",
    "MIN",
    "MODE",
    "NAME",
    "PATH",
    "POLICY",
    "PORT",
    "PREFIX",
    "PROVIDER",
    "REGION",
    "REQUIRED",
    "ROTATION",
    "SCOPE",
    "SIZE",
    "STORE",
    "THROUGH",
    "TIMEOUT",
    "TTL",
    "TYPE",
    "URI",
    "URL",
    "VERSION",
];

/// The last part of names whose values are random and public.
const PUBLIC: [&str; 9] =
    ["CHECKSUM", "COMMIT", "DIGEST", "FINGERPRINT", "HASH", "ID", "REVISION", "SHA", "VERSION"];

/// How the well-known kinds of token begin, and how long they are at least.
const TOKENS: [(&str, usize); 17] = [
    ("ghp_", 36),
    ("gho_", 36),
    ("ghs_", 36),
    ("github_pat_", 40),
    ("glpat-", 20),
    ("xoxb-", 20),
    ("xoxp-", 20),
    ("sk-", 24),
    ("sk_live_", 20),
    ("rk_live_", 20),
    ("AIza", 39),
    ("hvs.", 24),
    ("dop_v1_", 40),
    ("npm_", 36),
    ("pypi-", 40),
    ("SG.", 40),
    ("AGE-SECRET-KEY-", 30),
];

/// Shorter values are never called random.
const RANDOM_LEN_MIN: usize = 24;

/// Of base64, in bits for a character: text and identifiers stay below.
const ENTROPY_MIN: f64 = 4.0;

/// Why this value looks like a secret, if it does.
pub(super) fn suspicion(name: &str, value: &str) -> Option<&'static str> {
    let words = words(name);
    if is_harmless(value) {
        return None;
    }
    if is_secret_name(&words) {
        return Some("its name says that it is a secret");
    }
    if has_form(value) {
        return Some("it has the form of a key or token");
    }
    if has_password(value) {
        return Some("it is a URL with a password");
    }
    let public = words.last().is_some_and(|last| PUBLIC.contains(&last.as_str()));
    (!public && is_random(value)).then_some("it is as random as a key or token")
}

/// The parts of a name: `dbPassword`, `DB_PASSWORD` and `--db-password` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before_lower = false;
    for c in name.chars() {
        if !c.is_ascii_alphanumeric() || (before_lower && c.is_ascii_uppercase()) {
            words.push(String::new());
        }
        before_lower = c.is_ascii_lowercase();
        if let (true, Some(word)) = (c.is_ascii_alphanumeric(), words.last_mut()) {
            word.push(c.to_ascii_uppercase());
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn is_secret_name(words: &[String]) -> bool {
    let Some(last) = words.last() else { return false };
    if ABOUT.contains(&last.as_str()) {
        return false;
    }
    let is_key = |pair: &[String]| pair[1] == "KEY" && SECRET_KEYS.contains(&pair[0].as_str());
    words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()) || word.ends_with("PASSWORD"))
        || words.windows(2).any(is_key)
}

/// Nothing, or a switch.
fn is_harmless(value: &str) -> bool {
    const SWITCHES: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "0", "1"];
    value.is_empty() || SWITCHES.contains(&value.to_ascii_lowercase().as_str())
}

fn has_form(value: &str) -> bool {
    let token = |(prefix, length): &(&str, usize)| {
        value.starts_with(prefix) && value.len() >= *length && !value.contains(char::is_whitespace)
    };
    TOKENS.iter().any(token)
        || is_private_key(value.as_bytes())
        || (value.starts_with("eyJ") && value.matches('.').count() == 2 && value.len() >= 40)
}

/// Whether a private key stands in it in the form of PEM.
pub(super) fn is_private_key(content: &[u8]) -> bool {
    const END_OF_HEAD: &[u8] = b"PRIVATE KEY-----";
    content.windows(END_OF_HEAD.len()).any(|part| part == END_OF_HEAD)
}

/// `scheme://user:password@host`.
fn has_password(value: &str) -> bool {
    let Some((_, rest)) = value.split_once("://") else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let Some((user, _)) = authority.rsplit_once('@') else { return false };
    user.split_once(':').is_some_and(|(_, password)| !password.is_empty())
}

fn is_random(value: &str) -> bool {
    if value.len() < RANDOM_LEN_MIN || is_uuid(value) {
        return false;
    }
    let digits = value.bytes().filter(u8::is_ascii_digit).count();
    if value.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        let letters = value.len() - digits;
        return value.len() >= 32 && digits >= 4 && letters >= 4;
    }
    let base64 = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(&byte);
    value.bytes().all(base64)
        && value.bytes().any(|byte| byte.is_ascii_uppercase())
        && value.bytes().any(|byte| byte.is_ascii_lowercase())
        && digits >= 2
        && entropy(value) >= ENTROPY_MIN
}

fn is_uuid(value: &str) -> bool {
    let parts: Vec<usize> = value.split('-').map(str::len).collect();
    parts == [8, 4, 4, 4, 12] && value.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-')
}

/// Shannon's, in bits for a character.
fn entropy(value: &str) -> f64 {
    let mut counts = [0_u32; 256];
    for byte in value.bytes() {
        counts[usize::from(byte)] += 1;
    }
    let length = value.len() as f64;
    let shares = counts.iter().filter(|count| **count > 0).map(|count| f64::from(*count) / length);
    shares.map(|share| -share * share.log2()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_told_by_name_form_and_randomness() {
        let secrets = [
            ("POSTGRES_PASSWORD", "example"),
            ("dbPassword", "12345"),
            ("PGPASSWORD", "x"),
            ("API_KEY", "abc"),
            ("JWT_SECRET", "change me"),
            ("AWS_SECRET_ACCESS_KEY", "abc"),
            ("--requirepass", "foobared"),
            ("AUTH", "ghp_0123456789abcdefghijABCDEFGHIJ012345"),
            ("PEM", "-----BEGIN RSA PRIVATE KEY-----\nMII"),
            ("BEARER", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.abcdefghijk"),
            ("DATABASE_URL", "postgres://app:hunter2@db:5432/app"),
            ("SALT", "Zk3v9QpX1sLr8Tn5Wb2Yc7Ud"),
            ("SEED", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"),
        ];
        for (name, value) in secrets {
            assert!(suspicion(name, value).is_some(), "{name}");
        }
    }

    #[test]
    fn ordinary_values_are_no_secrets() {
        let ordinary = [
            ("POSTGRES_PASSWORD_FILE", "/run/secrets/db"),
            ("ALLOW_EMPTY_PASSWORD", "yes"),
            ("TOKEN_TTL", "3600"),
            ("PASSWORD_MIN_LENGTH", "12"),
            ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
            ("DATABASE_URL", "postgres://app@db:5432/app"),
            ("URL", "https://example.org/a:b@c"),
            ("GIT_COMMIT", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"),
            ("CLIENT", "018f2b5c-7d3a-7c1e-9b0a-0123456789ab"),
            ("KEYBOARD", "qwerty"),
            ("COMPASS", "north"),
            ("JAVA_OPTS", "-Xmx512m -Dfile.encoding=UTF-8"),
            ("MAIN_CLASS", "org.example.backend.ApplicationStarter2"),
            ("LOG_FORMAT", "json"),
            ("PARTITION_KEY", "tenant"),
            ("SECRET_KEY", ""),
            ("PASS_THROUGH", "all"),
            ("TOKEN_ENDPOINT", "https://login.example.org/token"),
            ("MAX_TOKENS", "4096"),
        ];
        for (name, value) in ordinary {
            assert_eq!(suspicion(name, value), None, "{name}={value}");
        }
    }
}
