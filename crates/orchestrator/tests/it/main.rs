//! What the crate promises, tested on a real Engine and a real database.

mod crashes;
mod faults;
mod health;
mod kills;
mod limits;
mod lines;
mod logs;
mod outages;
mod probes;
mod repair;
mod replicas;
mod stacks;
mod usage;
mod verdicts;
mod world;
