//! Variables in values, with the rules of Compose: `${A:-default}`, `${A:?message}`, `${A:+other}`,
//! `$$`. Pure.

use std::collections::{BTreeMap, BTreeSet};

/// Variables by name.
pub(super) type Variables = BTreeMap<String, String>;

/// Defaults within defaults.
const DEPTH_MAX: usize = 10;

/// A text after expansion, in bytes.
const EXPANDED_BYTES_MAX: usize = 1024 * 1024;

/// Replaces the variables of a text. Names of those that are not set, and stand for nothing
/// therefore, go to `unset`.
pub(super) fn expand(
    text: &str,
    variables: &Variables,
    unset: &mut BTreeSet<String>,
) -> Result<String, String> {
    Expansion { variables, unset }.expand(text, 0)
}

/// What is said of a variable that is not set.
pub(super) fn is_unset(name: &str) -> String {
    format!("the variable {name} is not set, and stands for nothing")
}

struct Expansion<'a> {
    variables: &'a Variables,
    unset: &'a mut BTreeSet<String>,
}

impl Expansion<'_> {
    fn expand(&mut self, text: &str, depth: usize) -> Result<String, String> {
        if depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} variables within each other"));
        }
        let mut expanded = String::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once('$') {
            expanded.push_str(before);
            rest = self.variable(after, &mut expanded, depth)?;
            if expanded.len() > EXPANDED_BYTES_MAX {
                return Err(format!("is more than {EXPANDED_BYTES_MAX} bytes"));
            }
        }
        expanded.push_str(rest);
        Ok(expanded)
    }

    /// What follows a `$`; answers what follows the variable.
    fn variable<'t>(
        &mut self,
        text: &'t str,
        expanded: &mut String,
        depth: usize,
    ) -> Result<&'t str, String> {
        if let Some(rest) = text.strip_prefix('$') {
            expanded.push('$');
            return Ok(rest);
        }
        if let Some(inside) = text.strip_prefix('{') {
            let end = closing(inside).ok_or("`${` has no `}`; write $$ for a dollar sign")?;
            expanded.push_str(&self.braced(&inside[..end], depth)?);
            return Ok(&inside[end + 1..]);
        }
        let (name, rest) = name(text);
        if name.is_empty() {
            return Err("a `$` without a variable; write $$ for a dollar sign".to_owned());
        }
        let value = self.value(name);
        expanded.push_str(&value);
        Ok(rest)
    }

    fn braced(&mut self, inside: &str, depth: usize) -> Result<String, String> {
        let (name, operator) = name(inside);
        if name.is_empty() {
            return Err(format!("`${{{inside}}}` names no variable"));
        }
        if operator.is_empty() {
            return Ok(self.value(name));
        }
        let (counts_empty, operator) = match operator.strip_prefix(':') {
            Some(operator) => (false, operator),
            None => (true, operator),
        };
        let value = self.variables.get(name).filter(|value| counts_empty || !value.is_empty());
        let mut parts = operator.chars();
        match (parts.next(), value.cloned()) {
            (Some('-'), Some(value)) | (Some('?'), Some(value)) => Ok(value),
            (Some('-'), None) | (Some('+'), Some(_)) => self.expand(parts.as_str(), depth + 1),
            (Some('+'), None) => Ok(String::new()),
            (Some('?'), None) => Err(match self.expand(parts.as_str(), depth + 1)? {
                empty if empty.is_empty() => format!("the variable {name} must be set"),
                message => format!("the variable {name} must be set: {message}"),
            }),
            _ => Err(format!("`${{{inside}}}` is none of ${{A}}, ${{A:-b}}, ${{A:?b}}, ${{A:+b}}")),
        }
    }

    fn value(&mut self, name: &str) -> String {
        let value = self.variables.get(name).cloned();
        value.unwrap_or_else(|| {
            self.unset.insert(name.to_owned());
            String::new()
        })
    }
}

/// The name at the beginning, and what follows.
fn name(text: &str) -> (&str, &str) {
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let end = text.find(|c| !is_name(c)).unwrap_or(text.len());
    let end = if text.starts_with(|c: char| c.is_ascii_digit()) { 0 } else { end };
    text.split_at(end)
}

/// Where the brace closes that is open at the beginning.
fn closing(text: &str) -> Option<usize> {
    let mut open = 0;
    for (place, c) in text.char_indices() {
        match c {
            '{' if text[..place].ends_with('$') => open += 1,
            '}' if open == 0 => return Some(place),
            '}' => open -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        [("A", "one"), ("EMPTY", "")].map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    }

    #[test]
    fn the_forms_of_compose() {
        for (text, wanted) in [
            ("plain", "plain"),
            ("$A-${A}", "one-one"),
            ("$$A $${A}", "$A ${A}"),
            ("${NONE}", ""),
            ("${NONE:-b}${NONE-b}", "bb"),
            ("${EMPTY:-b}[${EMPTY-b}]", "b[]"),
            ("${A:-b}", "one"),
            ("${NONE:-${A}}", "one"),
            ("${NONE:-${NONE:-x}}y", "xy"),
            ("${A:+set}${EMPTY:+no}${EMPTY+set}${NONE+no}", "setset"),
            ("${A:?m}", "one"),
            ("${NONE:-a:b}", "a:b"),
            ("ü${A}ü", "üoneü"),
        ] {
            assert_eq!(expand(text, &variables(), &mut BTreeSet::new()).as_deref(), Ok(wanted));
        }
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, message) in [
            ("${NONE:?set it to your domain}", "NONE must be set: set it to your domain"),
            ("${EMPTY:?}", "EMPTY must be set"),
            ("${A", "no `}`"),
            ("cost: 5$", "write $$"),
            ("$1", "write $$"),
            ("${}", "names no variable"),
            ("${A/b/c}", "is none of"),
            (&("${N:-".repeat(12) + &"}".repeat(12)), "within each other"),
        ] {
            let error = expand(text, &variables(), &mut BTreeSet::new()).expect_err(text);
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn unset_variables_are_named() {
        let mut unset = BTreeSet::new();
        expand("$A ${B} ${C:-x} $D", &variables(), &mut unset).expect("it expands");
        assert_eq!(unset, BTreeSet::from(["B".to_owned(), "D".to_owned()]));
    }
}
