//! Who holds a port that could not be published.

use std::net::IpAddr;

use super::refusal::Refusal;
use crate::docker::{Client, Publisher};
use crate::plan::Desired;
use crate::reason::{Diagnosis, Reason};
use crate::spec::{Port, Protocol};

/// Says in a refusal who holds the port; without privilege, a process of the host cannot be named.
pub(super) async fn name(docker: &Client, desired: &Desired, refusal: &mut Refusal) {
    let service = desired.stack.services.get(refusal.step.service());
    let taken = service.filter(|_| refusal.diagnosis.reason == Reason::PortInUse);
    let port = taken.and_then(|it| taken_port(&it.ports, &refusal.diagnosis.message));
    let Some((number, port)) = port else { return };
    // Who it is would be good to know; that it is taken is known already.
    let publishers = docker.publishers().await.unwrap_or_default();
    let holder = publishers.iter().find(|it| holds(it, port, number)).map(describe);
    refusal.diagnosis = Diagnosis::port_in_use(number, holder.as_deref());
}

/// The port that the Engine's words name: `Bind for 127.0.0.1:80 failed` or `listen tcp4
/// 127.0.0.1:80: bind`.
fn taken_port<'a>(ports: &'a [Port], message: &str) -> Option<(u16, &'a Port)> {
    let mut published = ports.iter().filter_map(|it| Some((it.host?, it)));
    let numbers: Vec<u16> = message
        .split(|c: char| !c.is_ascii_digit() && c != ':')
        .filter_map(|word| word.trim_end_matches(':').rsplit_once(':')?.1.parse().ok())
        .collect();
    published.find(|(number, _)| numbers.contains(number))
}

fn holds(publisher: &Publisher, port: &Port, number: u16) -> bool {
    let any = |ip: IpAddr| ip.is_unspecified();
    publisher.ports.iter().any(|it| {
        let overlaps = any(it.ip) || any(port.host_ip) || it.ip == port.host_ip;
        it.port == number && it.udp == (port.protocol == Protocol::Udp) && overlaps
    })
}

fn describe(publisher: &Publisher) -> String {
    let name = &publisher.name;
    match (&publisher.service, publisher.project) {
        (Some(service), Some(project)) => {
            format!("the container {name} (service {service} of the project {project})")
        }
        _ => format!("the container {name}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn port(host: Option<u16>, ip: &str) -> Port {
        let host_ip = ip.parse().expect("an address");
        Port { container: 80, host, host_ip, protocol: Protocol::Tcp }
    }

    #[test]
    fn the_engines_words_name_the_port() {
        let ports = [port(None, "127.0.0.1"), port(Some(8080), "127.0.0.1"), port(Some(80), "::1")];
        let cases = [
            ("start web: Bind for 127.0.0.1:8080 failed: port is already allocated", Some(8080)),
            ("listen tcp4 127.0.0.1:8080: bind: address already in use", Some(8080)),
            ("listen tcp6 [::1]:80: bind: address already in use", Some(80)),
            ("Bind for 0.0.0.0:9999 failed: port is already allocated", None),
            ("port 8080 is taken", None),
        ];
        for (message, expected) in cases {
            let found = taken_port(&ports, message).map(|it| it.0);
            assert_eq!(found, expected, "{message}");
        }
    }

    #[test]
    fn only_who_listens_where_we_would_holds_it() {
        let publisher = |ip: &str, port, udp| Publisher {
            name: "x".to_owned(),
            service: None,
            project: None,
            ports: vec![crate::docker::Published { ip: ip.parse().expect("one"), port, udp }],
        };
        let wanted = port(Some(80), "127.0.0.1");
        assert!(holds(&publisher("127.0.0.1", 80, false), &wanted, 80));
        assert!(holds(&publisher("0.0.0.0", 80, false), &wanted, 80));
        assert!(!holds(&publisher("127.0.0.2", 80, false), &wanted, 80));
        assert!(!holds(&publisher("127.0.0.1", 80, true), &wanted, 80));
        assert!(!holds(&publisher("127.0.0.1", 81, false), &wanted, 80));
    }
}
