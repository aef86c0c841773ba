//! What the hub draws at random: tokens, cookies and form secrets.

use secrecy::SecretString;

/// Random bytes in a secret: far beyond guessing, so that a plain hash suffices at rest.
const SECRET_BYTES: usize = 32;

/// Prefix of API tokens, by which people and secret scanners recognise them.
pub(crate) const API_TOKEN: &str = "cct";
/// Prefix of session cookies.
pub(crate) const SESSION: &str = "ccs";

/// A new secret, `prefix_` and 64 hexadecimal digits.
pub(crate) fn generate(prefix: &str) -> SecretString {
    SecretString::from(format!("{prefix}_{}", random_hex()))
}

/// 64 random hexadecimal digits.
pub(crate) fn random_hex() -> String {
    hex::encode(rand::random::<[u8; SECRET_BYTES]>())
}

/// Whether this may be one of [`random_hex`].
pub(crate) fn is_hex(text: &str) -> bool {
    text.len() == 2 * SECRET_BYTES && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether two secrets are the same, in a time that does not tell where they differ.
pub(crate) fn same(a: &str, b: &str) -> bool {
    use subtle::ConstantTimeEq as _;
    a.as_bytes().ct_eq(b.as_bytes()).into()
}
