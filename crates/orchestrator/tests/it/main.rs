//! What the crate promises, tested on a real Engine and a real database.

mod crashes;
mod failures;
mod faults;
mod hardening;
mod health;
mod isolation;
mod kills;
mod limits;
mod lines;
mod logs;
mod outages;
mod ports;
mod probes;
mod purge;
mod repair;
mod replicas;
mod scans;
mod secrets;
mod stacks;
mod tables;
mod truth;
mod usage;
mod verdicts;
mod world;
