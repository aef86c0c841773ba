//! What the crate promises, tested on real files and a real server.

mod articles;
mod bad_input;
mod credentials;
mod feeds;
mod fetch;
mod intake;
mod polling;
mod resilience;
mod sources;
mod world;
