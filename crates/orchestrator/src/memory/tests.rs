//! What is remembered, and what outlives a restart of ours.

use chrono::TimeDelta;

use super::*;
use crate::observed::{Limits, State};
use crate::plan::{Pinned, Wish};
use crate::reason::Reason;
use crate::spec::{
    Hardening, Probes, Resources, Restart, RestartPolicy, Scan, ScanPolicy, Severity, Stack, Stop,
};

fn time(second: i64) -> DateTime<Utc> {
    DateTime::from_timestamp(1_800_000_000 + second, 0).expect("a time")
}

fn service() -> Service {
    Service {
        name: "web".to_owned(),
        image: "image".to_owned(),
        entrypoint: vec![],
        command: vec![],
        working_dir: String::new(),
        environment: [].into(),
        secrets: vec![],
        configs: vec![],
        networks: vec![],
        ports: vec![],
        mounts: vec![],
        depends_on: vec![],
        resources: Resources { cpu_millis: 500, memory_bytes: 64 << 20, pids: 64, shm_bytes: 0 },
        hardening: Hardening { user: None, read_only: true, cap_add: vec![] },
        probes: Probes::default(),
        restart: Restart { policy: RestartPolicy::Always, attempts: 8 },
        stop: Stop { signal: "SIGTERM".to_owned(), grace: Duration::from_secs(10) },
        labels: [].into(),
        hostname: String::new(),
        init: false,
        scan: Scan { policy: ScanPolicy::Off, severity: Severity::Critical },
        one_shot: false,
    }
}

fn desired() -> Desired {
    let pinned = Pinned { image: "i".to_owned(), hash: "h".to_owned(), restart_after: None };
    Desired {
        project: proto::ProjectId::generate(),
        generation: 1,
        wish: Wish::Running,
        wished_at: time(0),
        stack: Stack {
            services: [("web".to_owned(), service())].into(),
            networks: [].into(),
            volumes: vec![],
            configs: [].into(),
        },
        pinned: [("web".to_owned(), pinned)].into(),
        subnets: [].into(),
    }
}

/// Its process ran from one second to another.
fn ended(from: i64, to: i64) -> Observed {
    let container = Container {
        id: "c1".to_owned(),
        name: "web".to_owned(),
        service: "web".to_owned(),
        generation: 1,
        config_hash: "h".to_owned(),
        image: "i".to_owned(),
        state: State::Exited,
        created_at: Some(time(0)),
        started_at: Some(time(from)),
        finished_at: Some(time(to)),
        exit_code: 3,
        oom_killed: false,
        error: String::new(),
        limits: Limits::default(),
        networks: [].into(),
        published: vec![],
        pid: 0,
    };
    Observed { containers: vec![container], ..Observed::default() }
}

fn running(from: i64) -> Observed {
    let mut observed = ended(from, from);
    observed.containers[0].state = State::Running;
    observed
}

/// As another process of ours reads it.
fn reread(memory: &Memory) -> Memory {
    let written = serde_json::to_string(&Stored::from(memory)).expect("it can be written");
    serde_json::from_str::<Stored>(&written).expect("it can be read").into()
}

#[test]
fn an_end_is_one_incident_and_counted_once_over_restarts_of_ours() {
    let (desired, mut memory) = (desired(), Memory::default());
    memory.look(&desired, &ended(1, 2), 0.5);
    let incidents = memory.take_incidents();
    assert_eq!((incidents.len(), incidents[0].attempt), (1, 1));
    assert_eq!((incidents[0].began, incidents[0].at), (Some(time(1)), time(2)));
    for _ in 0..3 {
        memory = reread(&memory);
        memory.look(&desired, &ended(1, 2), 0.5);
        assert!(memory.take_incidents().is_empty());
        assert_eq!(memory.of("web").history.ends, 1);
    }
}

#[test]
fn a_restart_of_ours_forgives_no_crash_loop() {
    let (desired, mut memory, mut now) = (desired(), Memory::default(), 1);
    let mut delays = Vec::new();
    for _ in 0..9 {
        memory = reread(&memory);
        memory.look(&desired, &ended(now, now), 0.5);
        let may_start = memory.judged().may_start["web"];
        let MayStart::At(at) = may_start else { panic!("{may_start:?}") };
        delays.push((at - time(now)).num_seconds());
        now += delays.last().expect("one was pushed");
        memory.started("web", true);
    }
    assert_eq!(delays, [1, 2, 4, 8, 16, 32, 60, 60, 300]);
    let web = reread(&memory);
    assert!(web.of("web").failed && web.of("web").history.failed);
    assert_eq!(web.of("web").restarts, 9);
}

#[test]
fn a_process_that_we_were_about_to_stop_did_not_crash() {
    let (desired, mut memory) = (desired(), Memory::default());
    memory.look(&desired, &running(1), 0.5);
    memory.stopping("web", "c1", None);
    memory = reread(&memory);
    memory.look(&desired, &ended(1, 2), 0.5);
    assert!(memory.take_incidents().is_empty());
    assert_eq!(memory.of("web").history.ends, 0);
    // One that is not well is charged, with what its probes said.
    let why = Diagnosis::new(Reason::Unhealthy, "the liveness probe fails");
    memory.stopping("web", "c1", Some(why.clone()));
    memory = reread(&memory);
    memory.look(&desired, &ended(3, 4), 0.5);
    assert_eq!(memory.take_incidents()[0].event, Event::Told(why));
}

#[test]
fn after_an_end_a_process_must_run_for_a_while_before_it_counts() {
    let (desired, mut memory) = (desired(), Memory::default());
    memory.look(&desired, &running(1), 0.5);
    assert!(memory.judged().settles_at.is_empty(), "its first start");
    memory.look(&desired, &ended(1, 2), 0.5);
    memory.look(&desired, &running(3), 0.5);
    assert_eq!(memory.judged().settles_at["web"], time(3) + TimeDelta::seconds(5));
    // A restart by hand is a new beginning.
    let mut asked = desired.clone();
    asked.pinned.get_mut("web").expect("it is there").restart_after = Some(time(4));
    memory.look(&asked, &running(5), 0.5);
    assert!(memory.judged().settles_at.is_empty());
}

#[test]
fn the_log_can_tell_that_a_restart_is_in_vain() {
    let (desired, mut memory) = (desired(), Memory::default());
    memory.look(&desired, &ended(1, 2), 0.5);
    let incident = memory.take_incidents().remove(0);
    let told = Diagnosis::new(Reason::ImageUnusable, "exec format error");
    let other = Incident { at: time(9), ..incident.clone() };
    memory.explain(&other, &told);
    assert_eq!(memory.of("web").diagnosis.as_ref().expect("it has one").reason, Reason::Exited);
    memory.explain(&incident, &told);
    assert_eq!(memory.of("web").diagnosis, Some(told));
    assert_eq!(memory.judged().may_start["web"], MayStart::Never);
}

#[test]
fn a_child_that_the_kernel_ended_is_told_once_its_service_survived() {
    let (desired, mut memory) = (desired(), Memory::default());
    let up = running(1);
    memory.look(&desired, &up, 0.5);
    memory.killed(&up.containers[0], 0, time(5));
    assert_eq!(memory.kills_known_at(time(5)), None);
    memory.killed(&up.containers[0], 2, time(6));
    assert_eq!(memory.kills_known_at(time(6)), Some(time(7)));
    assert_eq!(memory.kills_known_at(time(7)), None, "nobody is woken for ever");
    assert!(memory.take_incidents().is_empty(), "its own process may be the one");
    memory.killed(&up.containers[0], 2, time(7));
    let told = memory.take_incidents().remove(0);
    assert_eq!((told.at, told.attempt), (time(6), 0));
    let Event::Told(why) = told.event else { panic!("it has no exit code") };
    assert_eq!(why.reason, Reason::ChildOutOfMemory);
    memory.killed(&up.containers[0], 2, time(9));
    // One that ended itself, or was started since, is told by its end.
    memory.killed(&up.containers[0], 3, time(10));
    memory.killed(&ended(1, 10).containers[0], 3, time(11));
    memory.killed(&up.containers[0], 4, time(12));
    memory.killed(&running(13).containers[0], 4, time(14));
    assert!(memory.take_incidents().is_empty());
}

#[test]
fn a_refusal_is_one_incident_however_often_it_comes() {
    let mut memory = Memory::default();
    let why = |reason| Some(Diagnosis::new(reason, "refused"));
    memory.obstructed("web", why(Reason::NameTaken), time(1));
    memory.obstructed("web", why(Reason::NameTaken), time(2));
    assert_eq!(memory.take_incidents().len(), 1);
    memory.obstructed("web", why(Reason::DiskFull), time(3));
    memory.obstructed("web", None, time(4));
    memory.obstructed("web", why(Reason::DiskFull), time(5));
    assert_eq!(memory.take_incidents().len(), 2);
}

#[test]
fn what_an_older_version_wrote_can_be_read() {
    let written = r#"{"services":{"web":{"ends":4,"reason":"GONE_REASON","diagnosis":{"reason":"GONE_REASON","message":"","hint":""}}},"more":1}"#;
    let memory: Memory = serde_json::from_str::<Stored>(written).expect("it is read").into();
    assert_eq!(memory.of("web").history.ends, 4);
    assert_eq!(memory.of("web").diagnosis, None);
}

#[test]
fn what_ended_while_the_daemon_was_away_is_started_at_once_and_not_charged() {
    let desired = desired();
    for (finished, charged) in [(9, true), (10, false), (20, false), (30, false), (31, true)] {
        let mut memory = Memory::default();
        memory.found(time(10));
        memory.lost(time(20));
        memory.lost(time(25));
        memory.found(time(30));
        memory.look(&desired, &ended(2, finished), 0.5);
        let waits = memory.judged().may_start.contains_key("web");
        memory.started("web", true);
        let seen = (waits, memory.of("web").restarts, memory.of("web").history.ends);
        let expected = if charged { (true, 1, 1) } else { (false, 0, 0) };
        assert_eq!(seen, expected, "it ended in second {finished}");
        // The next end is charged as ever.
        memory.found(time(50));
        memory.look(&desired, &ended(2, 40), 0.5);
        assert!(memory.judged().may_start.contains_key("web"));
    }
}

#[test]
fn an_end_after_an_unchanged_apply_is_judged() {
    let mut asked = desired();
    asked.wished_at = time(5);
    for policy in [RestartPolicy::Always, RestartPolicy::Never] {
        asked.stack.services.get_mut("web").expect("it is there").restart.policy = policy;
        let mut memory = Memory::default();
        memory.look(&desired(), &running(1), 0.5);
        memory.look(&asked, &running(1), 0.5);
        // Its process began before the apply, and ends after it.
        memory.look(&asked, &ended(1, 9), 0.5);
        assert_eq!((memory.take_incidents().len(), memory.of("web").history.ends), (1, 1));
        let may_start = memory.judged().may_start["web"];
        assert_ne!(may_start, MayStart::Now);
        assert_eq!(may_start == MayStart::Never, policy == RestartPolicy::Never);
    }
    // What had ended before did not fail, nor did what a restart by hand ends.
    let mut memory = Memory::default();
    memory.look(&asked, &ended(1, 5), 0.5);
    asked.pinned.get_mut("web").expect("it is there").restart_after = Some(time(7));
    memory.look(&asked, &ended(6, 9), 0.5);
    assert!(memory.take_incidents().is_empty() && memory.judged().may_start.is_empty());
}

#[test]
fn a_stop_that_is_under_way_when_the_wish_changes_is_still_ours() {
    let mut memory = Memory::default();
    memory.look(&desired(), &running(1), 0.5);
    memory.stopping("web", "c1", Some(Diagnosis::new(Reason::Unhealthy, "unwell")));
    let mut asked = desired();
    asked.wished_at = time(5);
    memory.look(&asked, &ended(1, 9), 0.5);
    assert!(memory.take_incidents().is_empty() && memory.judged().may_start.is_empty());
    // One that was not carried out excuses no crash.
    memory.stopping("web", "c1", None);
    memory.spared("web", "c1");
    memory.look(&asked, &ended(10, 11), 0.5);
    assert_eq!(memory.take_incidents().len(), 1);
}

#[test]
fn an_end_that_the_policy_takes_for_success_is_no_failure() {
    let (mut desired, mut memory) = (desired(), Memory::default());
    desired.stack.services.get_mut("web").expect("it is there").restart.policy =
        RestartPolicy::OnFailure;
    let mut observed = ended(1, 2);
    observed.containers[0].exit_code = 0;
    observed.containers[0].limits = plan::limits(service().resources);
    memory.look(&desired, &observed, 0.5);
    memory = reread(&memory);
    assert!(memory.of("web").left && !memory.of("web").failed);
    let judged = memory.judged();
    assert!(judged.left.contains("web"));
    let plan = plan::plan(&desired, &observed, &judged, time(3));
    assert!(plan.is_empty() && plan.waits.is_empty(), "it is left as it is: {plan}");
    memory.look(&desired, &running(4), 0.5);
    assert!(memory.judged().left.is_empty(), "its owner started it again");
}

#[test]
fn what_was_in_the_way_of_a_step_that_is_not_planned_any_more_is_forgotten() {
    let (desired, mut memory) = (desired(), Memory::default());
    memory.obstructed("web", Some(Diagnosis::new(Reason::NameTaken, "taken")), time(1));
    let step = plan::Step::CreateContainer { service: "web".to_owned() };
    memory.clear(&desired, &Plan { stages: vec![vec![step]], ..Plan::default() });
    assert!(memory.of("web").obstacle.is_some());
    memory.clear(&desired, &Plan::default());
    assert_eq!(memory.of("web").obstacle, None);
}
