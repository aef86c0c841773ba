//! What the kernel and the Engine may say, and what follows.

use super::*;
use crate::observed::{Endpoint, Limits, State};
use crate::spec;

/// A service with every default, as the wire's reader fills it in.
fn service(edit: impl FnOnce(&mut proto::orchestrator::v1::ServiceSpec)) -> Service {
    let mut wire = proto::orchestrator::v1::ServiceSpec {
        name: "web".to_owned(),
        image: "web:1".to_owned(),
        ..Default::default()
    };
    edit(&mut wire);
    let stack = proto::orchestrator::v1::StackSpec { services: vec![wire], ..Default::default() };
    let limits = spec::Limits { root_user: true, ..spec::Limits::default() };
    let mut stack = spec::read(stack, &limits).expect("a good spec");
    stack.services.remove("web").expect("it is there")
}

fn section(status: [&str; 5], root: &str) -> String {
    let [uid, capabilities, bounding, privileges, seccomp] = status;
    format!(
        "pid 7\nstatus Uid:\t{uid}\t{uid}\t{uid}\t{uid}\nstatus Gid:\t20016\t20016\t20016\t20016\n\
         status CapEff:\t{capabilities}\nstatus CapBnd:\t{bounding}\n\
         status NoNewPrivs:\t{privileges}\nstatus Seccomp:\t{seccomp}\n\
         mount 1 2 0:1 / / {root} - overlay overlay rw\n\
         mount 1 2 0:1 / /tmp rw,nosuid,nodev,noexec,relatime - tmpfs tmpfs rw\n\
         mount 1 2 0:1 / /run/secrets/a ro,nosuid,nodev,noexec - tmpfs tmpfs rw\n\
         limit pids 256\nlimit memory 536870912\n"
    )
}

const GOOD: [&str; 5] = ["20016", "0000000000000000", "0000000000000000", "1", "2"];

/// The verdicts that are not `kept`, by name.
fn odd(service: &Service, text: &str, told: &Told, published: &[&str]) -> Vec<String> {
    let seen = seen::read(text);
    let container = Container {
        id: "c".to_owned(),
        name: "cc-web".to_owned(),
        service: "web".to_owned(),
        generation: 1,
        config_hash: String::new(),
        image: String::new(),
        state: State::Running,
        created_at: None,
        started_at: None,
        finished_at: None,
        exit_code: 0,
        oom_killed: false,
        error: String::new(),
        limits: Limits::default(),
        networks: [("cc-net".to_owned(), Endpoint { network_id: String::new(), address: None })]
            .into(),
        published: published.iter().map(|&it| it.to_owned()).collect(),
        pid: 7,
    };
    let networks = container.networks.keys().cloned().collect();
    let report = report(&Scene {
        service,
        user: service.hardening.user.unwrap_or(User { uid: 20_016, gid: 20_016 }),
        networks: &networks,
        container: Some(&container),
        told: Some(told),
        isolation: &crate::isolation::State::Kept,
        seen: seen.get(&7),
    });
    let odd = report.checks.iter().filter(|it| it.verdict != Verdict::Kept);
    odd.map(|it| format!("{} {}", it.name, it.verdict.as_str())).collect()
}

#[test]
fn what_the_kernel_says_is_held_against_what_was_wanted() {
    let plain = service(|_| {});
    let shared = Told { privileged: true, shared: vec!["pid".to_owned()] };
    let table: [(String, Told, &[&str], &[&str]); 9] = [
        (section(GOOD, "ro,relatime"), Told::default(), &["127.0.0.1:1->1/tcp"], &[]),
        (section(GOOD, "rw,relatime"), Told::default(), &[], &["read_only_root broken"]),
        (section(["0", GOOD[1], GOOD[2], "1", "2"], "ro"), Told::default(), &[], &["uid broken"]),
        (
            section([GOOD[0], "0000000000000400", "0000000000000400", "1", "2"], "ro"),
            Told::default(),
            &[],
            &["effective_capabilities broken", "possible_capabilities broken"],
        ),
        (
            section([GOOD[0], GOOD[1], GOOD[2], "0", "0"], "ro"),
            Told::default(),
            &[],
            &["no_new_privileges broken", "seccomp broken"],
        ),
        (
            section(GOOD, "ro").replace("pids 256", "pids max").replace("53687", "63687"),
            Told::default(),
            &[],
            &["pids_limit broken", "memory_limit broken"],
        ),
        (section(GOOD, "ro").replace("noexec", ""), Told::default(), &[], &["tmpfs broken"]),
        (
            section(GOOD, "ro"),
            shared,
            &["0.0.0.0:80->80/tcp"],
            &["privileged broken", "namespaces_of_the_host broken", "published broken"],
        ),
        (section(GOOD, "ro"), Told::default(), &[":::80->80/tcp"], &["published broken"]),
    ];
    for (text, told, published, expected) in table {
        assert_eq!(odd(&plain, &text, &told, published), expected, "{text}");
    }
}

#[test]
fn what_the_spec_asks_for_is_an_exception_and_only_when_it_is_used() {
    use proto::orchestrator::v1;
    let weak = service(|it| {
        it.hardening = Some(v1::Hardening {
            user: "0:20016".to_owned(),
            read_only: Some(false),
            cap_add: vec!["NET_BIND_SERVICE".to_owned()],
        });
        it.ports =
            vec![v1::Port { container: 80, host_ip: "0.0.0.0".to_owned(), ..v1::Port::default() }];
    });
    let text = section(["0", "0000000000000400", "0000000000000400", "1", "2"], "rw");
    assert_eq!(
        odd(&weak, &text, &Told::default(), &["0.0.0.0:49153->80/tcp"]),
        [
            "uid excepted",
            "effective_capabilities excepted",
            "possible_capabilities excepted",
            "read_only_root excepted",
            "published excepted",
        ]
    );
}

#[test]
fn files_must_be_memory_and_what_cannot_be_seen_is_unknown() {
    use proto::orchestrator::v1;
    let files = service(|it| {
        it.secrets = vec![v1::SecretMount { name: "a".to_owned(), ..Default::default() }];
    });
    let text = section(GOOD, "ro");
    assert_eq!(odd(&files, &text, &Told::default(), &[]), [""; 0]);
    let disk = text.replace("ro,nosuid,nodev,noexec - tmpfs", "ro,relatime - ext4");
    assert_eq!(odd(&files, &disk, &Told::default(), &[]), ["files broken"]);
    let unseen = odd(&files, "", &Told::default(), &[]);
    assert_eq!(unseen.len(), 11, "{unseen:?}");
    assert!(unseen.iter().all(|it| it.ends_with(" unknown")), "{unseen:?}");
}
