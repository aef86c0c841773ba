//! `docs/SECURITY.md` promises nothing without a test.

use std::collections::BTreeSet;
use std::fs;

/// The names of all tests.
fn tests() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for (_, text) in super::files::sources() {
        let mut marked = false;
        for line in text.lines().map(str::trim) {
            marked |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
            let name = line.trim_start_matches("async ").strip_prefix("fn ");
            if let Some((name, _)) = name.filter(|_| marked).and_then(|it| it.split_once('(')) {
                names.insert(name.to_owned());
                marked = false;
            }
        }
    }
    names
}

#[test]
fn every_promise_names_a_test_that_exists() {
    let page = fs::read_to_string(super::root().join("docs/SECURITY.md")).expect("the page");
    let (tests, mut promises) = (tests(), 0);
    let mut in_body = false;
    for line in page.lines() {
        let Some(row) = line.strip_prefix('|').and_then(|rest| rest.strip_suffix('|')) else {
            in_body = false;
            continue;
        };
        if in_body {
            let (promise, test) = row.rsplit_once('|').expect("two cells");
            let test = test.trim().trim_matches('`');
            assert!(tests.contains(test), "{promise}: there is no test {test:?}");
            promises += 1;
        }
        in_body |= row.starts_with("---");
    }
    assert!(promises > 20, "the promises were not found: {promises}");
}
