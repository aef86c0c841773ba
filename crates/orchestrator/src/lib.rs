//! Keeps each project's containers in the state its owner declared.
//!
//! - Input: [`spec`] (what a stack is).
//! - The Engine: [`docker`] (the only place that names its library), [`observe`], [`observed`],
//!   [`naming`] (names and labels of what we own).
//! - Decisions, pure: [`plan`].
//! - Verdicts, all pure: [`reason`] (why something is not well, and what follows), [`restart`],
//!   [`breaker`], [`status`].
//!
//! Invariants: the wish is in Postgres before Docker is touched; nothing without our label is ever
//! touched; a volume goes only on an explicit request.

pub mod breaker;
pub mod docker;
pub mod naming;
pub mod observe;
pub mod observed;
pub mod plan;
pub mod reason;
pub mod restart;
pub mod spec;
pub mod status;
