//! Asks for every container that it is told of, each in a task of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, sleep_until};

use super::ask::Said;
use super::{Answer, Machine, Purpose, Snapshot, Target, ask};
use crate::metrics;
use crate::spec::Probes;

/// What an answer may need on top of its probe's timeout: the Engine's own part of a command.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);

/// Blacks out secrets in an output.
pub type Redact = Arc<dyn Fn(&str) -> String + Send + Sync>;

/// The probes of a project's containers. They end with this value.
#[derive(Default)]
pub struct Probers {
    running: BTreeMap<String, Running>,
    tasks: JoinSet<()>,
    changed: Arc<Notify>,
}

struct Running {
    started_at: DateTime<Utc>,
    probes: Probes,
    address: watch::Sender<Option<IpAddr>>,
    state: watch::Receiver<Snapshot>,
    task: AbortHandle,
}

impl fmt::Debug for Probers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.running.keys()).finish()
    }
}

impl Probers {
    /// Asks a container that runs since `started_at`; does nothing when it does so already. After
    /// each start, and with other probes, everything begins anew. A container that is paused is not to be asked: leave it
    /// out of [`retain`](Self::retain).
    pub fn follow(
        &mut self,
        target: Target,
        probes: &Probes,
        started_at: DateTime<Utc>,
        redact: Redact,
    ) {
        let container = target.container.clone();
        let same = |it: &&Running| it.started_at == started_at && it.probes == *probes;
        if let Some(same) = self.running.get(&container).filter(same) {
            // A network that it left and joined again may have given it another.
            same.address.send_replace(target.address);
            return;
        }
        while self.tasks.try_join_next().is_some() {}
        let machine = Machine::new(probes.clone(), started_at, Instant::now().into_std());
        let (sender, state) = watch::channel(machine.snapshot());
        let address = watch::Sender::new(target.address);
        let asking = Asking { target, address: address.subscribe(), redact };
        let work = run(machine, asking, sender, self.changed.clone());
        let task = self.tasks.spawn(work);
        let running = Running { started_at, probes: probes.clone(), address, state, task };
        if let Some(before) = self.running.insert(container, running) {
            before.task.abort();
        }
    }

    /// Leaves every container alone that is not among these.
    pub fn retain(&mut self, containers: &BTreeSet<&str>) {
        self.running.retain(|container, running| {
            let stays = containers.contains(container.as_str());
            if !stays {
                running.task.abort();
            }
            stays
        });
    }

    /// Leaves a container alone that is about to be stopped.
    pub fn leave(&mut self, container: &str) {
        if let Some(running) = self.running.remove(container) {
            running.task.abort();
        }
    }

    /// What is known of a container; `None` when it is not followed.
    #[must_use]
    pub fn snapshot(&self, container: &str) -> Option<Snapshot> {
        self.running.get(container).map(|running| running.state.borrow().clone())
    }

    /// Wakes whoever waits on it each time the health of a container turns.
    #[must_use]
    pub fn changed(&self) -> Arc<Notify> {
        self.changed.clone()
    }
}

/// Whom to ask, and where that is now.
struct Asking {
    target: Target,
    address: watch::Receiver<Option<IpAddr>>,
    redact: Redact,
}

/// An answer on its way.
type Asked = BoxFuture<'static, (Purpose, Said, DateTime<Utc>, Duration)>;

async fn run(
    mut machine: Machine,
    asking: Asking,
    state: watch::Sender<Snapshot>,
    changed: Arc<Notify>,
) {
    let mut asked: FuturesUnordered<Asked> = FuturesUnordered::new();
    let mut unfinished: BTreeMap<Purpose, String> = BTreeMap::new();
    loop {
        for purpose in machine.due(Instant::now().into_std()) {
            machine.asked(purpose);
            let address = *asking.address.borrow();
            let target = Target { address, ..asking.target.clone() };
            asked.extend(question(&machine, target, purpose, unfinished.remove(&purpose)));
        }
        let wake = machine.wake_at().map(Instant::from_std);
        tokio::select! {
            Some((purpose, said, at, took)) = asked.next() => {
                unfinished.extend(said.unfinished.map(|id| (purpose, id)));
                metrics::probe(purpose.as_str(), said.verdict.as_str(), took);
                let output = (asking.redact)(&said.output);
                let answer = Answer { purpose, verdict: said.verdict, output, at, took };
                machine.answer(Instant::now().into_std(), answer);
                publish(&machine, &state, &changed);
            }
            () = sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            // Nothing is asked and nothing will be: the container is about to be stopped.
            else => return,
        }
    }
}

fn question(
    machine: &Machine,
    target: Target,
    purpose: Purpose,
    unfinished: Option<String>,
) -> Option<Asked> {
    let probe = machine.probe(purpose)?;
    let (check, timeout) = (probe.check.clone(), probe.timeout);
    Some(Box::pin(async move {
        let (at, begin) = (Utc::now(), Instant::now());
        let asked = ask(&target, &check, timeout, unfinished);
        let said = tokio::time::timeout(timeout + ENGINE_PATIENCE, asked).await;
        let said = said.unwrap_or_else(|_| Said::unanswered());
        (purpose, said, at, begin.elapsed())
    }))
}

fn publish(machine: &Machine, state: &watch::Sender<Snapshot>, changed: &Notify) {
    let snapshot = machine.snapshot();
    let turned = state.borrow().health != snapshot.health;
    state.send_replace(snapshot);
    if turned {
        changed.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::docker::Client;
    use crate::spec::{Check, Probe};
    use crate::status::Health;

    fn readiness(port: u16) -> Probes {
        let readiness = Probe {
            check: Check::Tcp(port),
            period: Duration::from_secs(5),
            timeout: Duration::from_secs(2),
            failures: 2,
            successes: 1,
            deadline: Duration::from_secs(60),
        };
        Probes { readiness: Some(readiness), ..Probes::default() }
    }

    #[tokio::test]
    async fn other_probes_begin_anew_and_the_same_go_on() {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
        let open = readiness(listener.local_addr().expect("it is bound").port());
        let mut probers = Probers::default();
        let follow = |probers: &mut Probers, probes: &Probes| {
            let target = Target {
                container: "c1".to_owned(),
                address: Some(Ipv4Addr::LOCALHOST.into()),
                docker: Client::new("/nowhere".into()),
            };
            let redact: Redact = Arc::new(str::to_owned);
            probers.follow(target, probes, DateTime::UNIX_EPOCH, redact);
            probers.snapshot("c1").expect("it is followed")
        };
        follow(&mut probers, &open);
        probers.changed().notified().await;
        assert_eq!(follow(&mut probers, &open).health, Health::Ready);
        let anew = follow(&mut probers, &readiness(1));
        assert_eq!((anew.health, anew.answers.len()), (Health::Starting, 0));
    }
}
