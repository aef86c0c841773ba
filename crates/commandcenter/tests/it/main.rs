//! The program, tested with its real servers.

mod servers;
