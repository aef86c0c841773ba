//! The ledger and its worker against real servers, and against their loss.

mod dead_letters;
mod facts;
mod faults;
mod order;
mod schedules;
mod work;
mod world;
