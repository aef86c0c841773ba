//! User stories over the whole system, and the house rules as tests: see `tests/`.
