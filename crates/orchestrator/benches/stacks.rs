//! What keeping stacks costs, beside docker-compose and `docker stats` in the same run: `cargo
//! bench -p orchestrator --bench stacks`. Needs Docker and docker-compose; removes what it makes.
//!
//! Prints the time from a new stack to ready, from a crash to the news of it, for a look at what
//! 100 containers use, and the idle cost of 20 stacks. The orchestrator is a process of its own.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use chassis::config::Secret;
use chassis::grpc::{AuthedChannel, channel, with_token};
use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::future::join_all;
use orchestrator::docker::Client;
use orchestrator::usage::Usage;
use orchestrator::{SCHEMA, db};
use proto::ProjectId;
use proto::orchestrator::v1;
use proto::orchestrator::v1::health_service_client::HealthServiceClient;
use proto::orchestrator::v1::operation_service_client::OperationServiceClient;
use proto::orchestrator::v1::stack_service_client::StackServiceClient;
use testkit::{Docker, Postgres, eventually, free_port};

/// Starts of a stack that are timed; the median counts.
const STARTS: usize = 5;

/// Services of that stack, each of which waits for the one before.
const SERVICES: [&str; 4] = ["postgres", "redis", "backend", "frontend"];

/// Services that crash once each.
const CRASHES: usize = 40;

/// Containers that are looked at, and looks.
const CONTAINERS: usize = 100;
const LOOKS: usize = 20;

/// Stacks that do nothing, and for how long they are measured.
const IDLE_STACKS: usize = 20;
const IDLE: Duration = Duration::from_secs(60);

const PATIENCE: Duration = Duration::from_secs(120);

/// The one caller there is.
const CALLER: &str = "CREATE SCHEMA hub;
     CREATE FUNCTION hub.verify_token(hash bytea)
     RETURNS TABLE (id text, name text, role text, all_projects boolean, projects uuid[])
     LANGUAGE sql AS $$
         SELECT 'bench', 'bench', 'operator', true, ARRAY[]::uuid[] WHERE hash = sha256('bench')
     $$";

/// An orchestrator as a process, and how it is asked.
struct Orchestrator {
    process: Child,
    channel: AuthedChannel,
    image: String,
}

impl Drop for Orchestrator {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn main() {
    let runtime = tokio::runtime::Runtime::new().expect("a runtime");
    runtime.block_on(async {
        let docker = Docker::shared().await;
        let folder = tempfile::tempdir().expect("a folder");
        let orchestrator = Orchestrator::start(&docker, folder.path()).await;
        cold_start(&docker, &orchestrator, folder.path()).await;
        crashes(&docker, &orchestrator).await;
        idle(&orchestrator).await;
        drop(orchestrator);
        sweep(&docker).await;
    });
}

impl Orchestrator {
    async fn start(docker: &Docker, folder: &Path) -> Self {
        let database = Postgres::start().await.database().await;
        let config = database::Config {
            url: Secret::from(database.url.clone()),
            ..database::Config::default()
        };
        let pool = database::connect(&config).await.expect("the database is up");
        database::migrate(&pool, SCHEMA, &db::MIGRATOR).await.expect("the schema is made");
        sqlx::query("UPDATE orchestrator.installation SET id = $1")
            .bind(docker.owner)
            .execute(&pool)
            .await
            .expect("what it makes is removed with what we make");
        sqlx::raw_sql(CALLER).execute(&pool).await.expect("the schema is ours");
        let port = free_port();
        let settings = [
            ("GRPC__PORT", port.to_string()),
            ("ADMIN__PORT", free_port().to_string()),
            ("ORCHESTRATOR__SUBNETS", "10.200.0.0/16".to_owned()),
            ("ORCHESTRATOR__LOGS__FOLDER", folder.join("logs").display().to_string()),
        ];
        let process = Command::new(env!("CARGO_BIN_EXE_orchestrator"))
            .envs(settings.map(|(key, value)| (format!("COMMANDCENTER__{key}"), value)))
            .env("DATABASE_URL", &database.url)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        let channel = channel(&format!("http://127.0.0.1:{port}")).expect("a loopback URL");
        let channel = with_token(channel, "bench").expect("a plain token");
        let process = process.expect("the binary is built with the bench");
        eventually(PATIENCE, || tokio::net::TcpStream::connect(("127.0.0.1", port))).await;
        Self { process, channel, image: docker.chaosd().await }
    }

    fn service(&self, name: &str, actions: &str) -> v1::ServiceSpec {
        v1::ServiceSpec {
            name: name.to_owned(),
            image: self.image.clone(),
            command: actions.split_whitespace().map(str::to_owned).collect(),
            ..v1::ServiceSpec::default()
        }
    }

    /// Applies a stack; answers how long it took until it was ready.
    async fn up(&self, project: ProjectId, services: Vec<v1::ServiceSpec>) -> Duration {
        let begin = Instant::now();
        let spec = Some(v1::StackSpec { services, ..v1::StackSpec::default() });
        let request = v1::ApplyStackRequest { project_id: project.to_string(), spec };
        let answer = StackServiceClient::new(self.channel.clone()).apply_stack(request).await;
        let ended = self.ended(answer.expect("a good spec").into_inner().id).await;
        assert_eq!(ended.state, "succeeded", "{ended:#?}");
        begin.elapsed()
    }

    async fn down(&self, project: ProjectId) {
        let request = v1::RemoveStackRequest { project_id: project.to_string(), volumes: true };
        let answer = StackServiceClient::new(self.channel.clone()).remove_stack(request).await;
        self.ended(answer.expect("it may").into_inner().id).await;
    }

    async fn ended(&self, id: String) -> v1::Operation {
        let mut client = OperationServiceClient::new(self.channel.clone());
        let stream = client.watch_operation(v1::WatchOperationRequest { id }).await;
        let stream = stream.expect("it is told").into_inner();
        let all: Vec<_> = stream.collect().await;
        all.into_iter().next_back().expect("its end").expect("it goes on")
    }
}

async fn cold_start(docker: &Docker, orchestrator: &Orchestrator, folder: &Path) {
    let file = folder.join("compose.yaml");
    std::fs::write(&file, compose(&orchestrator.image)).expect("the folder is ours");
    let name = format!("ccbench{}", std::process::id());
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let project = ProjectId::generate();
        ours.push(orchestrator.up(project, chain(orchestrator)).await);
        orchestrator.down(project).await;
        theirs.push(compose_up(docker, &file, &name).await);
        compose_run(&file, &name, &["down", "--timeout", "2"]);
    }
    let (ours, theirs) = (quantile(&mut ours, 50), quantile(&mut theirs, 50));
    let ratio = ours.as_secs_f64() / theirs.as_secs_f64();
    println!("start of {} services: {ours:?}, docker-compose {theirs:?}", SERVICES.len());
    println!("  {ratio:.2} of docker-compose (goal 1.0)");
}

/// Each is ready when it listens, half a second after its start.
const READY: &str = "http after=0.5";

fn chain(orchestrator: &Orchestrator) -> Vec<v1::ServiceSpec> {
    let command = ["/chaosd", "connect", "to=127.0.0.1:8000"].map(str::to_owned).to_vec();
    let mut services: Vec<v1::ServiceSpec> = Vec::new();
    for name in SERVICES {
        let mut service = orchestrator.service(name, READY);
        let kind = v1::probe::Kind::Exec(v1::ExecProbe { command: command.clone() });
        let period = Some(prost_types::Duration { seconds: 1, nanos: 0 });
        let readiness = Some(v1::Probe { kind: Some(kind), period, ..v1::Probe::default() });
        service.probes = Some(v1::Probes { readiness, ..v1::Probes::default() });
        let before = services.last().map(|it| it.name.clone());
        service.depends_on = before.into_iter().map(after).collect();
        services.push(service);
    }
    services
}

fn after(service: String) -> v1::Dependency {
    v1::Dependency { service, condition: "healthy".to_owned(), ..v1::Dependency::default() }
}

/// The same for docker-compose.
fn compose(image: &str) -> String {
    let mut file = "services:\n".to_owned();
    for (number, name) in SERVICES.iter().enumerate() {
        write!(
            file,
            "  {name}:\n    image: {image}\n    command: {READY}\n    healthcheck:\n      test: \
             [CMD, /chaosd, connect, 'to=127.0.0.1:8000']\n      interval: 1s\n"
        )
        .expect("memory");
        if let Some(before) = number.checked_sub(1).map(|it| SERVICES[it]) {
            write!(file, "    depends_on:\n      {before}: {{condition: service_healthy}}\n")
                .expect("memory");
        }
    }
    file
}

async fn compose_up(docker: &Docker, file: &Path, name: &str) -> Duration {
    let begin = Instant::now();
    compose_run(file, name, &["up", "--detach"]);
    let last = format!("{name}_{}_1", SERVICES[SERVICES.len() - 1]);
    eventually(PATIENCE, || async {
        let health = docker.run(&["inspect", "--format", "{{.State.Health.Status}}", &last]).await;
        if health == "healthy" { Ok(()) } else { Err(health) }
    })
    .await;
    begin.elapsed()
}

fn compose_run(file: &Path, name: &str, arguments: &[&str]) {
    let mut command = Command::new("docker-compose");
    command.arg("--file").arg(file).args(["--project-name", name]).args(arguments);
    let output = command.output().expect("docker-compose can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

async fn crashes(docker: &Docker, orchestrator: &Orchestrator) {
    let project = ProjectId::generate();
    let name = |number: usize| format!("web{number}");
    let service = |number| orchestrator.service(&name(number), "http");
    orchestrator.up(project, (0..CRASHES).map(service).collect()).await;
    let request = v1::WatchHealthRequest { project_id: project.to_string() };
    let mut client = HealthServiceClient::new(orchestrator.channel.clone());
    let mut news = client.watch_health(request).await.expect("it is told").into_inner();
    let first = news.next().await.expect("the state now").expect("it goes on");
    let containers: HashMap<String, String> =
        first.services.into_iter().map(|it| (it.name, it.container_id)).collect();
    let mut took = Vec::new();
    for number in 0..CRASHES {
        let container = &containers[&name(number)];
        let address = docker.address(container).await;
        crash(&format!("{address}:8000"));
        let seen = loop {
            let health = news.next().await.expect("more comes").expect("it goes on");
            let seen = Utc::now();
            let it = health.services.iter().find(|it| it.name == name(number));
            if it.is_some_and(|it| it.exit_code == Some(7)) {
                break seen;
            }
        };
        let died = docker.run(&["inspect", "--format", "{{.State.FinishedAt}}", container]).await;
        let died = DateTime::parse_from_rfc3339(&died).expect("a time").to_utc();
        took.push((seen - died).to_std().unwrap_or_default());
    }
    let (p50, p99) = (quantile(&mut took, 50), quantile(&mut took, 99));
    println!("crash to its news, {CRASHES} services: p50 {p50:?}, p99 {p99:?} (goal 200 ms)");
    orchestrator.down(project).await;
}

fn crash(address: &str) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(b"GET /exit?7 HTTP/1.1\r\n\r\n").expect("it reads");
    // It ends without an answer.
    stream.read_to_end(&mut Vec::new()).ok();
}

async fn idle(orchestrator: &Orchestrator) {
    let projects: Vec<ProjectId> = (0..IDLE_STACKS).map(|_| ProjectId::generate()).collect();
    for project in &projects {
        let mut web = orchestrator.service("web", "http");
        let http = v1::HttpProbe { port: 8000, path: "/".to_owned(), status: 0 };
        let kind = Some(v1::probe::Kind::Http(http));
        let readiness = Some(v1::Probe { kind, ..v1::Probe::default() });
        web.probes = Some(v1::Probes { readiness, ..v1::Probes::default() });
        orchestrator.up(*project, vec![web, orchestrator.service("worker", "wait")]).await;
    }
    let pid = orchestrator.process.id();
    let (begin, before) = (Instant::now(), cpu_ticks(pid));
    tokio::time::sleep(IDLE).await;
    // The kernel counts a hundred ticks a second.
    let used = (cpu_ticks(pid) - before) as f64 / begin.elapsed().as_secs_f64();
    let memory = memory_kib(pid) / 1024;
    println!("idle with {IDLE_STACKS} stacks of 2 services: {used:.2} % of a CPU, {memory} MiB");
    join_all(projects.iter().map(|it| orchestrator.down(*it))).await;
}

fn cpu_ticks(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it runs");
    let fields = stat.rsplit_once(')').expect("a name in brackets").1;
    // In user mode and in the kernel, counted from the field after the name.
    fields.split_whitespace().skip(11).take(2).filter_map(|it| it.parse::<u64>().ok()).sum()
}

/// Proportional set size.
fn memory_kib(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("it runs");
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).expect("it has one");
    line.split_whitespace().next().and_then(|it| it.parse().ok()).expect("a number")
}

async fn sweep(docker: &Docker) {
    let (usage, project) = (Usage::default(), ProjectId::generate());
    let client = Client::new("/var/run/docker.sock".into());
    for number in 0..CONTAINERS {
        let container = docker.run_chaosd(&["--network", "none"], &["wait"]).await;
        usage.watch(project, &number.to_string(), &container);
    }
    let mut took = Vec::new();
    for _ in 0..LOOKS {
        let begin = Instant::now();
        usage.look(&client).await;
        took.push(begin.elapsed());
    }
    let read = (0..CONTAINERS).filter_map(|it| usage.record(project, &it.to_string()));
    assert!(read.filter(|it| it.samples.len() > 1).count() == CONTAINERS, "all were read");
    let begin = Instant::now();
    docker.run(&["stats", "--no-stream"]).await;
    let theirs = begin.elapsed();
    let (p50, most) = (quantile(&mut took, 50), quantile(&mut took, 100));
    println!("usage of {CONTAINERS} containers: p50 {p50:?}, slowest {most:?} (goal 300 ms)");
    println!("  docker stats --no-stream: {theirs:?}");
}

fn quantile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}
