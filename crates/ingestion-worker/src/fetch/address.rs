//! Decides which addresses may be reached. Pure.

use std::net::IpAddr;

use ipnet::IpNet;
use url::{Host, Url};

use super::error::{Error, place};

/// The ports of the web.
const WEB_PORTS: [u16; 2] = [80, 443];

/// How far a request may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Public addresses and allowed networks.
    Public,
    /// Allowed networks alone: the request is for a port that is not the web's.
    AllowedOnly,
}

/// IPv4 networks that are not the public Internet (IANA special-purpose registry, RFC 6890).
const SPECIAL_V4: [(u32, u8); 16] = [
    (0x0000_0000, 8),  // this network
    (0x0A00_0000, 8),  // private
    (0x6440_0000, 10), // carrier-grade NAT
    (0x7F00_0000, 8),  // loopback
    (0xA9FE_0000, 16), // link-local, cloud metadata
    (0xAC10_0000, 12), // private
    (0xC000_0000, 24), // IETF assignments
    (0xC000_0200, 24), // documentation
    (0xC058_6300, 24), // 6to4 relays
    (0xC0A8_0000, 16), // private
    (0xC612_0000, 15), // benchmarks
    (0xC633_6400, 24), // documentation
    (0xCB00_7100, 24), // documentation
    (0xA83F_8110, 32), // a cloud's wire server, public by number only
    (0xE000_0000, 4),  // multicast
    (0xF000_0000, 4),  // reserved, broadcast
];

/// Whether an address is on the public Internet. An IPv6 address that wraps an IPv4 one is judged
/// by what it wraps where the system itself unwraps it (`::ffff:0:0/96`); other wrappings (6to4,
/// Teredo, NAT64) are never public, since who unwraps them where is unknown.
#[must_use]
pub fn is_public(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(address) => {
            let bits = u32::from(address);
            !SPECIAL_V4.iter().any(|(network, length)| (bits ^ network) >> (32 - length) == 0)
        }
        IpAddr::V6(address) => {
            let [first, second, third, ..] = address.segments();
            let is_global_unicast = first & 0xE000 == 0x2000;
            // 2001::/23 holds Teredo, ORCHID and benchmarks.
            let is_ietf = first == 0x2001 && second < 0x0200;
            let is_documentation =
                (first == 0x2001 && second == 0x0DB8) || (first == 0x3FFF && second & 0xF000 == 0);
            let is_6to4 = first == 0x2002;
            // A deprecated prefix of NAT64 trials inside the global range.
            let is_reserved = first == 0x2001 && second == 0x0DB7 && third == 0;
            is_global_unicast && !is_ietf && !is_documentation && !is_6to4 && !is_reserved
        }
    }
}

/// Whether an address may be reached.
#[must_use]
pub fn is_allowed(address: IpAddr, allow_networks: &[IpNet], reach: Reach) -> bool {
    let canonical = address.to_canonical();
    let listed = |net: &IpNet| net.contains(&canonical) || net.contains(&address);
    allow_networks.iter().any(listed) || (reach == Reach::Public && is_public(address))
}

/// Checks all that an address tells without asking DNS, and says how far it may reach. Hosts by
/// name are checked again when their addresses are known.
///
/// # Errors
/// If the scheme, host or port is not allowed, or the URL carries a password.
pub fn vet(url: &Url, allow_networks: &[IpNet]) -> Result<Reach, Error> {
    let invalid = |reason| Error::InvalidUrl { url: place(url), reason };
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid("only http and https are fetched"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(invalid("it carries a user name or password; give them as a credential"));
    }
    let Some(host) = url.host() else {
        return Err(invalid("it names no host"));
    };
    let port = url.port_or_known_default().unwrap_or_default();
    let reach = if WEB_PORTS.contains(&port) { Reach::Public } else { Reach::AllowedOnly };
    let address = match host {
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address),
        Host::Domain(_) if reach == Reach::AllowedOnly && allow_networks.is_empty() => {
            return Err(Error::PortForbidden { url: place(url), port });
        }
        Host::Domain(_) => return Ok(reach),
    };
    if is_allowed(address, allow_networks, reach) {
        return Ok(reach);
    }
    match reach == Reach::AllowedOnly && is_public(address) {
        true => Err(Error::PortForbidden { url: place(url), port }),
        false => Err(Error::AddressForbidden { host: host.to_string(), address }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_public_internet_is_public() {
        for public in ["1.1.1.1", "93.184.215.14", "2606:4700::1111", "::ffff:1.1.1.1"] {
            assert!(is_public(public.parse().expect("an address")), "{public}");
        }
        for other in [
            "0.0.0.0",
            "10.1.2.3",
            "100.64.0.1",
            "127.0.0.1",
            "127.255.255.254",
            "169.254.169.254",
            "172.31.255.255",
            "192.0.0.192",
            "192.168.0.1",
            "198.19.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "168.63.129.16",
            "::",
            "::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::7f00:1",
            "64:ff9b:1::1",
            "2002:7f00:1::",
            "2001::1",
            "2001:db8::1",
            "fc00::1",
            "fd00:ec2::254",
            "fe80::1",
            "ff02::1",
            "fec0::1",
            "100::1",
            "3fff::1",
        ] {
            assert!(!is_public(other.parse().expect("an address")), "{other}");
        }
    }

    #[test]
    fn other_ports_need_an_allowed_network() {
        let allow: Vec<IpNet> = vec!["10.0.0.0/8".parse().expect("a network")];
        let vet = |url: &str| vet(&Url::parse(url).expect("an address"), &allow);
        assert_eq!(vet("http://10.1.1.1:8080/").ok(), Some(Reach::AllowedOnly));
        assert_eq!(vet("https://example.org/").ok(), Some(Reach::Public));
        assert_eq!(vet("http://example.org:8080/").ok(), Some(Reach::AllowedOnly));
        assert!(matches!(vet("http://1.1.1.1:22/"), Err(Error::PortForbidden { port: 22, .. })));
        assert!(matches!(vet("http://127.0.0.1:80/"), Err(Error::AddressForbidden { .. })));
        assert!(matches!(vet("ftp://example.org/"), Err(Error::InvalidUrl { .. })));
        assert!(matches!(vet("http://me:pw@example.org/"), Err(Error::InvalidUrl { .. })));
    }
}
