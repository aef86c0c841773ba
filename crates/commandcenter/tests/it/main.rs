//! The program: its commands against a fake instance, and its real servers.

mod client;
mod servers;
mod up;
