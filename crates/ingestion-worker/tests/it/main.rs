//! What the crate promises, tested on real files and a real server.

mod feeds;
mod fetch;
