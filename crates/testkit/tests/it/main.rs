//! The test support, tested: real servers, real faults, a site that misbehaves on demand.

mod docker;
mod engine;
mod eventually;
mod nats;
mod postgres;
mod site;
