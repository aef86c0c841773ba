//! Which addresses a network gets: from our own pool, and never ones that the host uses. Pure.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

/// The smallest network: 13 containers beside the gateway.
const PREFIX_SMALL: u8 = 28;

/// The largest: 61 containers.
const PREFIX_LARGE: u8 = 26;

/// Addresses of a subnet that no container gets: network, broadcast, gateway.
const RESERVED: usize = 3;

/// The length of the prefix that holds so many containers.
#[must_use]
pub fn prefix(containers: usize) -> u8 {
    let fits = |prefix: &u8| (1_usize << (32 - prefix)) - RESERVED >= containers;
    (PREFIX_LARGE..=PREFIX_SMALL).rev().find(fits).unwrap_or(PREFIX_LARGE)
}

/// The first subnet of the pool that overlaps with nothing that is taken.
#[must_use]
pub fn choose(pool: Ipv4Net, prefix: u8, taken: &[&[Ipv4Net]]) -> Option<Ipv4Net> {
    let overlaps = |a: &Ipv4Net, b: &Ipv4Net| a.contains(&b.network()) || b.contains(&a.network());
    let free = |it: &Ipv4Net| !taken.iter().copied().flatten().any(|other| overlaps(it, other));
    pool.subnets(prefix).ok()?.find(free)
}

/// The networks that the host has a route to, from the text of `/proc/net/route`. The default
/// route leads everywhere and is none.
#[must_use]
pub fn routes(table: &str) -> Vec<Ipv4Net> {
    let address = |hex: &str| u32::from_str_radix(hex, 16).ok().map(|it| it.to_le_bytes().into());
    let route = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let network: Ipv4Addr = address(fields.get(1)?)?;
        let mask: Ipv4Addr = address(fields.get(7)?)?;
        Ipv4Net::with_netmask(network, mask).ok().filter(|it| it.prefix_len() > 0)
    };
    table.lines().skip(1).filter_map(route).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Ipv4Net {
        text.parse().expect("a network")
    }

    #[test]
    fn a_network_is_as_large_as_its_services_need() {
        let table = [(1, 28), (13, 28), (14, 27), (29, 27), (30, 26), (50, 26)];
        for (containers, expected) in table {
            assert_eq!(prefix(containers), expected, "{containers}");
        }
    }

    #[test]
    fn a_subnet_overlaps_with_nothing_that_is_taken() {
        let pool = net("10.9.0.0/24");
        let (ours, hosts) = (vec![net("10.9.0.0/28")], vec![net("10.9.0.16/29")]);
        assert_eq!(choose(pool, 28, &[&ours, &hosts]), Some(net("10.9.0.32/28")));
        assert_eq!(choose(pool, 26, &[&ours, &hosts]), Some(net("10.9.0.64/26")));
        assert_eq!(choose(pool, 28, &[&[net("10.0.0.0/8")]]), None);
    }

    #[test]
    fn routes_of_the_host_are_read_and_the_default_is_none() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\n\
                     eth0\t00000000\t0100A8C0\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
                     eth0\t0000A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0\n";
        assert_eq!(routes(table), [net("192.168.0.0/24")]);
        assert_eq!(routes(""), []);
    }
}
