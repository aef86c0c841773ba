//! The ledger and its worker against real servers, and against their loss.

#![allow(clippy::unwrap_used, reason = "a test ends by panicking")]

mod cancel;
mod dead_letters;
mod facts;
mod faults;
mod order;
mod progress;
mod schedules;
mod work;
mod world;
