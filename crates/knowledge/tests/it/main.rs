//! The knowledge service's parts against real servers and the real model.

mod embed;
