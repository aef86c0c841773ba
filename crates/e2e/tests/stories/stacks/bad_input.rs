//! What cannot be done is told with its cause and remedy, at the command line.

use std::net::TcpListener;

use super::Stacks;

#[tokio::test(flavor = "multi_thread")]
async fn what_a_file_must_not_say_is_told_with_file_and_line() {
    let stacks = Stacks::start().await;
    let table: [(&str, &[&str]); 9] = [
        ("services:\n  web: [", &["compose.yaml:"]),
        ("services:\n  web:\n    image: a\n    imag: b\n", &["compose.yaml:4: ", "`image`?"]),
        (
            "services:\n  web:\n    image: a\n    volumes: ['/var/run/docker.sock:/s']\n",
            &["compose.yaml:4: ", "socket"],
        ),
        ("services:\n  web:\n    image: a\n    volumes: ['/:/host']\n", &["compose.yaml:4: "]),
        ("services:\n  web:\n    image: a\n    privileged: true\n", &["compose.yaml:4: "]),
        ("services:\n  web:\n    image: a\n    network_mode: host\n", &["compose.yaml:4: "]),
        (
            "services:\n  web:\n    image: a\n    environment:\n      DB_PASSWORD: hunter2\n",
            &["compose.yaml:5: ", "DB_PASSWORD", "secret"],
        ),
        (
            "services:\n  a: {image: a, depends_on: [b]}\n  b: {image: a, depends_on: [a]}\n",
            &["compose.yaml:", "a"],
        ),
        (
            "services:\n  web: {image: a, volumes: ['v:/v']}\nvolumes:\n  v:\n    \
             driver_opts: {type: none}\n",
            &["compose.yaml:5: "],
        ),
    ];
    for (file, says) in table {
        stacks.write("compose.yaml", file);
        stacks.fails(&["stack", "apply", "-f", "compose.yaml", "--project", "p"], 1, says);
    }
    // What only the server knows: where it may bind.
    stacks.write("compose.yaml", "services:\n  web:\n    image: a\n    volumes: ['/srv:/s']\n");
    let apply = ["stack", "apply", "-f", "compose.yaml", "--project", "p", "--wait"];
    stacks.fails(&apply, 1, &["compose.yaml:4: services.web.volumes[0]", "bind_roots"]);

    stacks.fails(&["stack", "status", "--project", "nobody"], 3, &["nobody"]);
    stacks.fails(&["logs", "nobody", "web"], 3, &["nobody"]);
    stacks.fails(&["stack", "apply", "-f", "gone.yaml", "--project", "p"], 3, &["gone.yaml"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_docker_refuses_is_told_with_its_reason() {
    let mut stacks = Stacks::start().await;
    let apply = ["stack", "apply", "-f", "compose.yaml", "--project", "p", "--wait"];
    stacks.write("compose.yaml", "services: {web: {image: 'nowhere.invalid/none:1'}}");
    stacks.fails(&apply, 1, &["IMAGE_NOT_FOUND", "web"]);
    stacks.own("p").await;
    let health = stacks.health("p");
    assert_eq!(health["services"][0]["reason"], "IMAGE_NOT_FOUND", "{health:#}");
    stacks.fails(&["logs", "p", "db"], 3, &["db"]);
    stacks.fails(&["stack", "restart", "db", "--project", "p"], 3, &["db", "it has web"]);

    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = taken.local_addr().expect("it is bound").port();
    let image = &stacks.image;
    let file = format!(
        "services: {{web: {{image: '{image}', command: http, ports: ['127.0.0.1:{port}:8000']}}}}"
    );
    stacks.write("compose.yaml", &file);
    // It is tried again and again, as whoever holds the port may leave.
    stacks.fails(&[&apply[..], &["--timeout", "15"]].concat(), 1, &["already in use"]);
    assert_eq!(stacks.health("p")["services"][0]["reason"], "PORT_IN_USE");
    drop(taken);
    stacks.ok(&apply);
    stacks.ok(&["stack", "remove", "--volumes", "--project", "p", "--wait"]);
}
