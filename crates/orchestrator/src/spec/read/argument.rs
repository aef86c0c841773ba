//! Arguments of a command, which every user of the host can read.

use crate::spec::{fault::At, secret};

/// Says which arguments cannot be passed, and which must not be.
pub(super) fn check(arguments: &[String], at: &mut At<'_>) {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    for (index, argument) in words.iter().enumerate() {
        let mut at = at.index(index);
        at.check(!argument.contains('\0'), || "must not hold a zero byte".to_owned());
        if let Some(why) = suspicion(&words, index).or_else(|| in_script(argument)) {
            at.fault(format!(
                "looks like a secret: {why}. Every user of the host can read arguments; declare it \
                 under `secrets` and let the command read the file /run/secrets/NAME"
            ));
        }
    }
}

/// Why a word looks like a secret: by itself, as `NAME=VALUE`, or as what an option is given.
fn suspicion(words: &[&str], index: usize) -> Option<&'static str> {
    let word = words[index];
    if let Some((name, value)) = word.split_once('=').filter(|(name, value)| is_pair(name, value)) {
        return secret::suspicion(name, value).or_else(|| secret::form(word));
    }
    let option = index.checked_sub(1).map(|before| words[before]);
    let option = option.filter(|option| takes_value(option) && !word.starts_with('-'));
    secret::suspicion(option.unwrap_or_default(), word)
}

/// The same of the words of an argument that is a script, such as that of `sh -c`.
fn in_script(argument: &str) -> Option<&'static str> {
    if !argument.contains(char::is_whitespace) {
        return None;
    }
    let words: Vec<&str> = argument.split_whitespace().collect();
    (0..words.len()).find_map(|index| suspicion(&words, index))
}

/// Not so a URL with a query, nor the padding of base64.
fn is_pair(name: &str, value: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    !name.is_empty() && name.bytes().all(plain) && !value.trim_start_matches('=').is_empty()
}

/// `--password` may be followed by one; `--password=x` has it, and `--no-password` wants none.
fn takes_value(option: &str) -> bool {
    option.starts_with('-') && !option.contains('=') && !option.starts_with("--no-")
}
