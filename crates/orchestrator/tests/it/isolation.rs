//! What a stack reaches, and what it does not.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::time::Duration;

use ipnet::Ipv4Net;
use orchestrator::Failpoint;
use orchestrator::docker::Client;
use proto::orchestrator::v1;
use testkit::eventually_eq;

use crate::hardening::report;
use crate::world::{PATIENCE, World, stack};

/// A beginning of bridges' names of this process' own, and its rules, which go with it.
struct Rules(String);

impl Rules {
    fn new() -> Self {
        Self(format!("t{:05}", std::process::id() % 100_000))
    }

    async fn change(&self, world: &World, action: &str) -> String {
        let labels = BTreeMap::from([("cc.owner".to_owned(), world.docker.owner.to_string())]);
        let client = Client::new(world.config.docker_socket.clone());
        client.filter(action, &self.0, &labels).await.expect("the helper answers")
    }

    /// Whether the host refuses what comes from our bridges.
    fn hold(&self) -> bool {
        let (bridges, chain) = (format!("{}+", self.0), format!("{}-INPUT", self.0.to_uppercase()));
        iptables(&["-C", "INPUT", "-i", &bridges, "-j", &chain])
            && iptables(&["-C", &chain, "-j", "REJECT"])
    }
}

fn iptables(arguments: &[&str]) -> bool {
    let output = Command::new("iptables").arg("-w").args(arguments).output();
    output.is_ok_and(|it| it.status.success())
}

impl Drop for Rules {
    fn drop(&mut self) {
        let (bridges, name) = (format!("{}+", self.0), self.0.to_uppercase());
        for (from, chain) in [("INPUT", "INPUT"), ("DOCKER-USER", "FORWARD")] {
            let chain = format!("{name}-{chain}");
            while iptables(&["-D", from, "-i", &bridges, "-j", &chain]) {}
            iptables(&["-F", &chain]);
            iptables(&["-X", &chain]);
        }
    }
}

async fn world(rules: &Rules) -> World {
    let mut world = World::without().await;
    world.config.bridges.clone_from(&rules.0);
    world.config.resync_ms = 1_000;
    world.serve(Failpoint::default()).await;
    let mut inner = world.service("inner", "http");
    inner.networks = network("inner");
    let mut front = world.service("front", "http");
    front.networks = network("edge");
    front.ports = vec![v1::Port { container: 8000, ..v1::Port::default() }];
    let mut back = world.service("back", "http");
    back.networks = network("edge");
    let networks = vec![
        v1::NetworkSpec { name: "inner".to_owned(), internal: true },
        v1::NetworkSpec { name: "edge".to_owned(), internal: false },
    ];
    world.up(v1::StackSpec { networks, ..stack([inner, front, back]) }).await;
    world
}

fn network(name: &str) -> Vec<v1::NetworkAttachment> {
    vec![v1::NetworkAttachment { name: name.to_owned(), ..v1::NetworkAttachment::default() }]
}

/// What a service says when it connects.
async fn connects(world: &World, service: &str, to: &str) -> (bool, String) {
    let id = world.ids(service).await.remove(0);
    let to = format!("to={to}");
    let done = world.docker.attempt(&["exec", &id, "/chaosd", "connect", &to]).await;
    (done.status.success(), String::from_utf8_lossy(&done.stdout).into_owned())
}

async fn address(world: &World, service: &str) -> String {
    let format = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
    world.inspect(service, format).await
}

/// The host's addresses in the networks of a world.
async fn gateways(world: &World) -> Vec<Ipv4Addr> {
    let names = world.names("network").await;
    let format = "{{(index .IPAM.Config 0).Subnet}}";
    let mut gateways = Vec::new();
    for name in names {
        let subnet = world.docker.run(&["network", "inspect", "--format", format, &name]).await;
        let subnet: Ipv4Net = subnet.parse().expect("a network");
        gateways.push(subnet.hosts().next().expect("it has addresses"));
    }
    gateways
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stack_reaches_itself_and_what_is_outside_but_neither_its_host_nor_its_neighbours() {
    let rules = Rules::new();
    let (a, b) = (world(&rules).await, world(&rules).await);
    // What listens on all of the host's addresses.
    let listener = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();

    let mut refused: Vec<String> = vec!["169.254.169.254:80".to_owned()];
    for gateway in gateways(&a).await.into_iter().chain(gateways(&b).await) {
        let host = SocketAddr::from((gateway, port));
        TcpStream::connect_timeout(&host, Duration::from_secs(2)).expect("the host itself may");
        refused.push(host.to_string());
    }
    for service in ["inner", "front", "back"] {
        refused.push(format!("{}:8000", address(&b, service).await));
    }
    for from in ["inner", "front"] {
        for to in &refused {
            let (connected, said) = connects(&a, from, to).await;
            assert!(!connected, "{from} reaches {to}: {said}");
        }
    }
    let inner = format!("{}:8000", address(&a, "inner").await);
    for to in [&*inner, "inner:8000"] {
        let (connected, said) = connects(&a, "front", to).await;
        assert!(!connected, "front reaches {to}: {said}");
    }

    // By name within a network, from the host by the published port, and out.
    let (connected, said) = connects(&a, "front", "back:8000").await;
    assert!(connected, "{said}");
    let health = a.health().await;
    let front = health.services.iter().find(|it| it.name == "front").expect("it is told");
    let published = front.published[0].split("->").next().expect("an address");
    let published: SocketAddr = published.parse().expect("an address");
    assert!(published.ip().is_loopback());
    TcpStream::connect_timeout(&published, Duration::from_secs(2)).expect("it is published");
    let servers = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let outside = servers.lines().find_map(|it| it.strip_prefix("nameserver "));
    if let Some(outside) = outside.and_then(|it| format!("{}:53", it.trim()).parse().ok()) {
        let outside: SocketAddr = outside;
        let host = TcpStream::connect_timeout(&outside, Duration::from_secs(2)).is_ok();
        let may = host && !outside.ip().is_loopback();
        let (connected, said) = connects(&a, "front", &outside.to_string()).await;
        assert!(connected || !may, "front does not get out: {said}");
        let (connected, said) = connects(&a, "inner", &outside.to_string()).await;
        assert!(!connected, "inner gets out: {said}");
    }

    for report in report(&a).await {
        assert!(report.hardened, "{report:#?}");
        assert!(report.checks.iter().all(|it| it.verdict == "kept"), "{report:#?}");
    }
    // Rules that vanish come back by themselves.
    assert_eq!(rules.change(&a, "remove").await, "removed");
    eventually_eq(PATIENCE, true, || async { rules.hold() }).await;
}
