//! Scripts of answers, and what they make of a service.

use proptest::prelude::*;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn probe(check: Check, period: u64, failures: u32) -> Probe {
    let deadline = Duration::from_secs(10);
    let period = Duration::from_secs(period);
    Probe { check, period, timeout: SECOND, failures, successes: 1, deadline }
}

fn all() -> Probes {
    Probes {
        startup: Some(probe(Check::Tcp(80), 2, 1)),
        readiness: Some(probe(Check::Tcp(80), 5, 2)),
        liveness: Some(probe(Check::Tcp(80), 10, 3)),
    }
}

/// A machine whose questions are answered at once by a script, on a clock that the script turns.
struct Scene {
    machine: Machine,
    begin: Instant,
    now: Instant,
    asked: Vec<(Purpose, Duration)>,
}

impl Scene {
    fn new(probes: Probes) -> Self {
        let begin = Instant::now();
        let machine = Machine::new(probes, DateTime::UNIX_EPOCH, begin);
        Self { machine, begin, now: begin, asked: Vec::new() }
    }

    /// Goes on for so long, with each question answered by `script`.
    fn run(&mut self, seconds: f64, script: impl Fn(Purpose) -> Verdict) {
        let end = self.now + Duration::from_secs_f64(seconds);
        while let Some(wake) = self.machine.wake_at().filter(|wake| *wake < end) {
            self.now = self.now.max(wake);
            let due = self.machine.due(self.now);
            assert!(!due.is_empty(), "it woke for nothing");
            for purpose in due {
                self.machine.asked(purpose);
                self.asked.push((purpose, self.now - self.begin));
                self.machine.answer(self.now, self.said(purpose, script(purpose)));
            }
        }
        self.now = end;
    }

    fn said(&self, purpose: Purpose, verdict: Verdict) -> Answer {
        let at = DateTime::UNIX_EPOCH + (self.now - self.begin);
        let output = format!("{} said {}", purpose.as_str(), verdict.as_str());
        Answer { purpose, verdict, output, at, took: Duration::ZERO }
    }

    fn health(&self) -> Health {
        self.machine.snapshot().health
    }

    fn reason(&self) -> Option<(Reason, String)> {
        self.machine.snapshot().diagnosis.map(|it| (it.reason, it.message))
    }

    /// When a purpose was asked, in milliseconds from the begin.
    fn times(&self, wanted: Purpose) -> Vec<u128> {
        let of = self.asked.iter().filter(|(purpose, _)| *purpose == wanted);
        of.map(|(_, at)| at.as_millis()).collect()
    }
}

fn success(_: Purpose) -> Verdict {
    Verdict::Success
}

fn failure(_: Purpose) -> Verdict {
    Verdict::Failure
}

fn unknown(_: Purpose) -> Verdict {
    Verdict::Unknown
}

#[test]
fn a_service_without_probes_is_ready_as_soon_as_it_runs() {
    let scene = Scene::new(Probes::default());
    assert_eq!(scene.health(), Health::Ready);
    assert_eq!(scene.machine.snapshot().ready_since, Some(DateTime::UNIX_EPOCH));
    assert_eq!(scene.machine.wake_at(), None);
}

#[test]
fn startup_gates_the_others_and_readiness_follows_at_once() {
    let mut scene = Scene::new(all());
    scene.run(1.5, failure);
    assert_eq!(scene.health(), Health::Starting);
    assert!(scene.asked.iter().all(|(purpose, _)| *purpose == Purpose::Startup));
    scene.run(60.0, success);
    assert_eq!(scene.health(), Health::Ready);
    let started = *scene.times(Purpose::Startup).last().expect("it was asked");
    assert_eq!(scene.times(Purpose::Readiness)[..2], [started, started + 5000]);
    assert_eq!(scene.times(Purpose::Liveness)[..2], [started + 10_000, started + 20_000]);
}

#[test]
fn the_first_questions_come_fast() {
    let mut scene = Scene::new(all());
    scene.run(9.0, failure);
    let times = scene.times(Purpose::Startup);
    assert_eq!(times, [0, 250, 625, 1187, 2031, 3296, 5195, 7195]);
}

#[test]
fn a_start_fails_at_its_deadline_with_the_last_output_and_may_still_succeed() {
    let mut scene = Scene::new(all());
    scene.run(9.9, failure);
    assert_eq!(scene.health(), Health::Starting);
    scene.run(0.2, failure);
    assert_eq!(scene.health(), Health::TimedOut);
    let (reason, message) = scene.reason().expect("it says why");
    assert_eq!(reason, Reason::StartTimeout);
    assert_eq!(message, "not ready within 10 s; the last probe said: startup said failure");
    scene.run(60.0, success);
    assert_eq!(scene.health(), Health::Ready);
}

#[test]
fn readiness_turns_after_enough_failures_and_back_after_enough_successes() {
    let mut probes = all();
    probes.readiness.as_mut().expect("there is one").successes = 2;
    let mut scene = Scene::new(probes);
    let ready = |purpose| match purpose {
        Purpose::Readiness => Verdict::Failure,
        _ => Verdict::Success,
    };
    scene.run(4.0, success);
    assert_eq!(scene.health(), Health::Starting, "one of two successes");
    scene.run(5.0, success);
    assert_eq!(scene.health(), Health::Ready);
    let since = scene.machine.snapshot().ready_since;
    scene.run(5.0, ready);
    assert_eq!((scene.health(), scene.machine.snapshot().ready_since), (Health::Ready, since));
    scene.run(5.0, ready);
    assert_eq!(scene.health(), Health::Unready);
    assert_eq!(scene.machine.snapshot().ready_since, None);
    assert_eq!(scene.reason().map(|it| it.0), Some(Reason::Unready));
    scene.run(10.0, success);
    assert_eq!(scene.health(), Health::Ready);
}

#[test]
fn after_liveness_failed_nothing_more_is_asked() {
    let mut scene = Scene::new(all());
    let dead = |purpose| match purpose {
        Purpose::Liveness => Verdict::Failure,
        _ => Verdict::Success,
    };
    scene.run(25.0, dead);
    assert_eq!(scene.health(), Health::Ready, "two of three failures");
    scene.run(10.0, dead);
    assert_eq!(scene.health(), Health::Unhealthy);
    assert_eq!(scene.reason().map(|it| it.0), Some(Reason::Unhealthy));
    assert_eq!(scene.machine.wake_at(), None);
}

#[test]
fn unknown_never_counts() {
    let mut scene = Scene::new(all());
    scene.run(60.0, unknown);
    assert_eq!(scene.health(), Health::Unknown, "not failed, long after the deadline");
    scene.run(30.0, success);
    assert_eq!(scene.health(), Health::Ready);
    let since = scene.machine.snapshot().ready_since;
    scene.run(300.0, unknown);
    assert_eq!(scene.health(), Health::Unknown);
    assert_eq!(scene.machine.snapshot().ready_since, since);
    assert_eq!(scene.reason().map(|it| it.0), Some(Reason::ProbeUnknown));
    scene.run(11.0, success);
    assert_eq!((scene.health(), scene.machine.snapshot().ready_since), (Health::Ready, since));
}

#[test]
fn postgres_needs_two_successes_a_second_apart() {
    let mut probes = all();
    let startup = probe(Check::Postgres(5432), 2, 1);
    probes.startup = Some(Probe { successes: 2, ..startup });
    let mut scene = Scene::new(probes);
    scene.run(0.9, success);
    assert_eq!(scene.health(), Health::Starting, "the server that initialises answers as well");
    scene.run(0.6, failure);
    scene.run(0.9, success);
    assert_eq!(scene.health(), Health::Starting, "a failure between the two begins anew");
    scene.run(3.0, success);
    assert_eq!(scene.health(), Health::Ready);
    let times = scene.times(Purpose::Startup);
    let [.., first, second] = times[..] else { panic!("{times:?}") };
    assert!(second - first >= 1000, "{times:?}");
}

#[test]
fn the_last_five_answers_are_kept_and_cut() {
    let mut scene = Scene::new(all());
    scene.run(120.0, success);
    let snapshot = scene.machine.snapshot();
    let of = |purpose| snapshot.answers.iter().filter(|it| it.purpose == purpose).count();
    assert_eq!(Purpose::ALL.map(of), [1, 5, 5]);
    assert!(snapshot.answers.is_sorted_by(|a, b| a.at >= b.at), "newest first");
    let long =
        Answer { output: "ä".repeat(5000), ..scene.said(Purpose::Readiness, Verdict::Success) };
    scene.machine.answer(scene.now, long);
    let snapshot = scene.machine.snapshot();
    let kept = snapshot.answers.iter().map(|it| it.output.len()).max();
    assert_eq!(kept, Some(super::super::OUTPUT_BYTES_MAX));
}

fn verdicts() -> impl Strategy<Value = Verdict> {
    prop::sample::select(vec![Verdict::Success, Verdict::Failure, Verdict::Unknown])
}

proptest! {
    #[test]
    fn whatever_is_answered_the_machine_keeps_its_word(
        script in prop::collection::vec((verdicts(), 0u64..3_000), 1..300),
        mask in 0u8..8,
    ) {
        let mut probes = all();
        if mask & 1 == 0 { probes.startup = None }
        if mask & 2 == 0 { probes.readiness = None }
        if mask & 4 == 0 { probes.liveness = None }
        let mut scene = Scene::new(probes);
        let (mut last, mut successes) = ([Verdict::Unknown; 3], 0);
        for (verdict, late) in script {
            let Some(wake) = scene.machine.wake_at() else { break };
            scene.now = scene.now.max(wake) + Duration::from_millis(late);
            let due = scene.machine.due(scene.now);
            prop_assert!(!due.is_empty());
            for purpose in due {
                scene.machine.asked(purpose);
                prop_assert!(!scene.machine.due(scene.now).contains(&purpose), "asked twice");
                scene.machine.answer(scene.now, scene.said(purpose, verdict));
                successes += u32::from(verdict == Verdict::Success);
                if verdict != Verdict::Unknown {
                    last[purpose as usize] = verdict;
                }
            }
            let health = scene.health();
            let blamed = match health {
                Health::TimedOut => Some(Purpose::Startup),
                Health::Unready => Some(Purpose::Readiness),
                Health::Unhealthy => Some(Purpose::Liveness),
                _ => None,
            };
            let failed = |purpose| last[purpose as usize] == Verdict::Failure;
            prop_assert!(blamed.is_none_or(failed), "{health:?} after a success");
            if mask & 3 != 0 && successes == 0 {
                prop_assert!(health != Health::Ready);
            }
            prop_assert!(scene.machine.snapshot().answers.len() <= 3 * ANSWERS_MAX);
            let known = matches!(health, Health::Ready | Health::Unknown);
            prop_assert!(known || scene.machine.snapshot().ready_since.is_none());
        }
    }
}
