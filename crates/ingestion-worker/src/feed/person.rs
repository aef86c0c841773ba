//! People as feeds write them in one line.

use std::fmt;

/// An author. At least one field is set.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Person {
    /// The name as written.
    pub name: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// A page about them.
    pub url: Option<String>,
}

impl Person {
    /// Reads `me@example.com (Name)`, `Name (me@example.com)`, `Name <me@example.com>`,
    /// `mailto:me@example.com`, or just a name.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let words = |c: char| c.is_whitespace() || "()<>[],;\"".contains(c);
        let address = text.split(words).find(|word| is_email(word));
        let rest = match address {
            Some(address) => text.replacen(address, " ", 1),
            None => text.to_owned(),
        };
        let edge = |c: char| c.is_whitespace() || "()<>[],;\"".contains(c);
        let name = match address {
            Some(_) => rest.trim_matches(edge),
            None => rest.trim(),
        };
        let mut name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        if name.matches('(').count() > name.matches(')').count() {
            name.push(')');
        }
        let email = address.map(|word| word.strip_prefix("mailto:").unwrap_or(word).to_owned());
        Self { name: Some(name).filter(|name| !name.is_empty()), email, url: None }
    }
}

fn is_email(word: &str) -> bool {
    let word = word.strip_prefix("mailto:").unwrap_or(word);
    word.split_once('@').is_some_and(|(user, host)| {
        !user.is_empty() && host.contains('.') && !host.ends_with('.') && !host.contains('@')
    })
}

impl fmt::Display for Person {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.email, &self.url) {
            (Some(name), Some(email), _) => write!(f, "{name} ({email})"),
            (Some(one), ..) | (None, Some(one), _) | (None, None, Some(one)) => f.write_str(one),
            (None, None, None) => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, name: Option<&str>, email: Option<&str>) {
        let person = Person::parse(text);
        assert_eq!((person.name.as_deref(), person.email.as_deref()), (name, email), "{text}");
    }

    #[test]
    fn splits_name_and_address() {
        let (name, email) = (Some("Ann Lee"), Some("me@example.com"));
        check("me@example.com (Ann Lee)", name, email);
        check("Ann Lee (me@example.com)", name, email);
        check("Ann Lee <me@example.com>", name, email);
        check("(Ann Lee) me@example.com", name, email);
        check("Ann Lee, me@example.com", name, email);
        check("  Ann   Lee ", name, None);
        check("mailto:me@example.com", None, email);
        check("me@example.com", None, email);
        check("Ünal @work", Some("Ünal @work"), None);
        check("Ann (team lead) me@example.com", Some("Ann (team lead)"), email);
        check("", None, None);
    }

    proptest::proptest! {
        #[test]
        fn never_panics(text: String) {
            Person::parse(&text).to_string();
        }
    }
}
