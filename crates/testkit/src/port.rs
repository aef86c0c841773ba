//! Ports for servers that must come back on the same one.

use std::net::{Ipv4Addr, TcpListener};
use std::ops::Range;

use rand::RngExt;

/// Below the range that the kernel draws outgoing ports from: a client that reconnects to a server
/// which is down would otherwise now and then connect to itself and so take the server's port.
const PORTS: Range<u16> = 20_000..32_000;
const TRIES: usize = 100;

/// A loopback port that nobody listens on now.
///
/// # Panics
/// When a hundred ports drawn at random are all taken.
pub fn free_port() -> u16 {
    (0..TRIES)
        .map(|_| rand::rng().random_range(PORTS))
        .find(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok())
        .unwrap_or_else(|| panic!("{TRIES} ports tried in {PORTS:?}, none is free"))
}
