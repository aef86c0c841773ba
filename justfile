# Every everyday command. `just` lists them.

_list:
    @just --list --unsorted

# Build and run everything in the foreground.
up *args:
    scripts/up {{args}}

# Everything that CI checks.
test:
    scripts/test

# Formatting and lints only: a minute, warm.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets --locked -- -D warnings

# The tests of one crate.
test-crate crate *filter:
    cargo test --locked -p {{crate}} {{filter}}

# Licences, bans, sources, and advisories against a database whose age is printed.
deny:
    scripts/deny

# Known vulnerabilities of our own images, where Trivy is installed.
scan *images:
    scripts/scan {{images}}

# Line coverage per crate and in total.
coverage:
    scripts/coverage

# Every figure of docs/BENCHMARKS.md.
bench:
    scripts/bench
