//! What the crate promises, tested on a real Engine and a real database.

mod crashes;
mod hardening;
mod health;
mod isolation;
mod kills;
mod logs;
mod probes;
mod repair;
mod replicas;
mod secrets;
mod stacks;
mod usage;
mod world;
