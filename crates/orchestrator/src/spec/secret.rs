//! Tells values that look like a secret: by the name they go under, by a form that only secrets
//! have, or by being as random as only secrets are. Pure; never repeats a value.

/// Parts of names under which secrets go.
const SECRET_WORDS: [&str; 13] = [
    "PASSWORD",
    "PASSWD",
    "PASSPHRASE",
    "PASSCODE",
    "PASS",
    "PWD",
    "SECRET",
    "SECRETS",
    "TOKEN",
    "APIKEY",
    "CREDENTIAL",
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
const PUBLIC: [&str; 13] = [
    "BUILD",
    "CHECKSUM",
    "COMMIT",
    "DIGEST",
    "FINGERPRINT",
    "HASH",
    "ID",
    "REF",
    "RELEASE",
    "REVISION",
    "SHA",
    "TAG",
    "VERSION",
];

/// Where the files of secrets lie: such a path is what shall be written in place of a value.
const SECRETS_DIR: &str = "/run/secrets/";

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
    let bare = value.trim_matches(['"', '\'']);
    if is_harmless(bare) {
        return None;
    }
    if is_secret_name(&words) && !is_proxied(&words, bare) {
        return Some("its name says that it is a secret");
    }
    let public = words.iter().any(|word| word == "PUBLIC")
        || words.last().is_some_and(|last| PUBLIC.contains(&last.as_str()));
    let random = || !public && is_random(bare.strip_prefix("base64:").unwrap_or(bare));
    form(value).or_else(|| random().then_some("it is as random as a key or token"))
}

/// Why a part of this text is a secret, whatever its name.
pub(super) fn form(text: &str) -> Option<&'static str> {
    let ends = |c: char| c.is_whitespace() || "\"',;=".contains(c);
    if is_private_key(text.as_bytes()) || text.split(ends).any(is_token) {
        return Some("it has the form of a key or token");
    }
    has_password(text).then_some("it is a URL with a password")
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
    // `PWD` alone is the folder that one is in.
    if ABOUT.contains(&last.as_str()) || words == ["PWD"] {
        return false;
    }
    let is_key = |pair: &[String]| pair[1] == "KEY" && SECRET_KEYS.contains(&pair[0].as_str());
    words.iter().any(|word| SECRET_WORDS.contains(&word.as_str()) || word.ends_with("PASSWORD"))
        || words.windows(2).any(is_key)
}

/// `PROXY_PASS` and the like may also be where requests are passed on to.
fn is_proxied(words: &[String], value: &str) -> bool {
    words.last().is_some_and(|last| last == "PASS") && value.contains("://")
}

/// Nothing, a switch, where a secret lies, or what a shell puts there.
fn is_harmless(value: &str) -> bool {
    const SWITCHES: [&str; 8] = ["true", "false", "yes", "no", "on", "off", "0", "1"];
    value.is_empty()
        || SWITCHES.contains(&value.to_ascii_lowercase().as_str())
        || value.starts_with(SECRETS_DIR)
        || is_reference(value)
}

/// `$(cat /run/secrets/x)`, `${X}` or `$X`, which is no secret itself.
fn is_reference(value: &str) -> bool {
    let is_name = |name: &str| {
        !name.is_empty()
            && name.bytes().all(|it| it.is_ascii_uppercase() || b"_0123456789".contains(&it))
    };
    value.strip_prefix('$').is_some_and(|rest| rest.starts_with(['(', '{']) || is_name(rest))
}

fn is_token(text: &str) -> bool {
    let is_known =
        |(prefix, length): &(&str, usize)| text.starts_with(prefix) && text.len() >= *length;
    TOKENS.iter().any(is_known)
        || (text.starts_with("eyJ") && text.matches('.').count() == 2 && text.len() >= 40)
}

/// Whether a private key stands in it in the form of PEM.
pub(super) fn is_private_key(content: &[u8]) -> bool {
    const END_OF_HEAD: &[u8] = b"PRIVATE KEY-----";
    content.windows(END_OF_HEAD.len()).any(|part| part == END_OF_HEAD)
}

/// `scheme://user:password@host`, wherever it stands.
fn has_password(text: &str) -> bool {
    let is_secret = |password: &str| !password.is_empty() && !is_reference(password);
    text.split("://").skip(1).any(|rest| {
        let end = |c: char| c.is_whitespace() || "/?#\"'".contains(c);
        let authority = rest.split(end).next().unwrap_or_default();
        let user = authority.rsplit_once('@').map(|(user, _)| user);
        user.and_then(|user| user.split_once(':')).is_some_and(|(_, it)| is_secret(it))
    })
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
            ("DB_PWD", "hunter2"),
            ("AWS_CREDENTIAL", "abc"),
            ("APP_KEY", "base64:Zk3v9QpX1sLr8Tn5Wb2Yc7UdZk3v9QpX1sLr8Tn5Wb0="),
            ("DBS", "sqlite:///x,postgres://u:p@h/db"),
            ("OPTS", "-Dtoken=ghp_0123456789abcdefghijABCDEFGHIJ012345 -Dx=y"),
            ("FTP_PROXY_PASS", "ftp://me:hunter2@proxy"),
            ("SALT", "'Zk3v9QpX1sLr8Tn5Wb2Yc7Ud=='"),
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
            ("GOOGLE_APPLICATION_CREDENTIALS", "/run/secrets/gcp.json"),
            ("SSL_PRIVATE_KEY", "/run/secrets/k"),
            ("PROXY_PASS", "http://backend"),
            ("SENTRY_RELEASE", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"),
            (
                "VAPID_PUBLIC_KEY",
                "BEl62iUYgUivxIkv69yViEuiBIa-Ib9-SkvMeAtA3LFgDzkrxZJjSgSnfckjBJuB",
            ),
            ("PWD", "/srv/app"),
            ("PASSWORD", "$(cat /run/secrets/db)"),
            ("URL", "postgres://app:${DB_PASSWORD}@db/app"),
            ("TEXT", "see https://example.org and write to a:b@example.org"),
        ];
        for (name, value) in ordinary {
            assert_eq!(suspicion(name, value), None, "{name}={value}");
        }
    }
}
