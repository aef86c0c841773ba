//! What the crate promises, tested on real files and a real server.

mod articles;
mod feeds;
mod fetch;
mod polling;
mod world;
