//! Ports that a service publishes on the host.

use std::net::{IpAddr, Ipv4Addr};

use proto::orchestrator::v1;

use super::at_most;
use crate::spec::{Port, Protocol, fault::At, word};

/// Published ports of one service.
const PORTS_MAX: usize = 100;

pub(super) fn read(wire: Vec<v1::Port>, at: &mut At<'_>) -> Vec<Port> {
    let ports = at_most(wire, PORTS_MAX, "ports", at).into_iter().enumerate();
    ports.map(|(index, port)| one(port, at.index(index))).collect()
}

fn one(wire: v1::Port, mut at: At<'_>) -> Port {
    Port {
        container: number(wire.container, at.field("container")).unwrap_or_else(|| {
            at.field("container").check(wire.container != 0, || "must be a port".to_owned());
            1
        }),
        host: number(wire.host, at.field("host")),
        host_ip: address(&wire.host_ip, at.field("host_ip")),
        protocol: word::read(at.field("protocol"), &wire.protocol, Protocol::Tcp, word::PROTOCOLS),
    }
}

/// 0 means none.
fn number(number: u32, mut at: At<'_>) -> Option<u16> {
    let port = u16::try_from(number).ok();
    at.check(port.is_some(), || format!("must be a port, 1 to 65535, not {number}"));
    port.filter(|port| *port > 0)
}

fn address(text: &str, mut at: At<'_>) -> IpAddr {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    if text.is_empty() {
        return loopback;
    }
    text.parse().unwrap_or_else(|_| {
        at.fault(format!("must be an address such as 127.0.0.1 or 0.0.0.0, not {text:?}"));
        loopback
    })
}
