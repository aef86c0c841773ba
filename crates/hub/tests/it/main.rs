//! The hub against real Postgres and NATS, with ingestion, knowledge and the orchestrator played
//! by servers that speak the real protocol and record what they are asked.

#![expect(clippy::unwrap_used, reason = "a test may panic anywhere")]

mod access;
mod bootstrap;
mod documents;
mod fake;
mod jobs;
mod logs;
mod pages;
mod people;
mod problems;
mod projects;
mod sign_in;
mod sources;
mod stack_pages;
mod stacks;
mod stand;
mod streams;
