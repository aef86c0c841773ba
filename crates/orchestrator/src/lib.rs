//! Keeps each project's containers in the state its owner declared.
//!
//! - Input: [`spec`] (what a stack is).
//!
//! Invariants: the wish is in Postgres before Docker is touched; nothing without our label is ever
//! touched; a volume goes only on an explicit request.

pub mod spec;
