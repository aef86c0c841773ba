//! Every combination has its word.

use proptest::prelude::*;

use super::*;

const RUNS: Facts = Facts {
    reachable: true,
    wanted: true,
    one_shot: false,
    process: Process::Running,
    health: Health::Ready,
    care: Care::None,
    diagnosis: None,
};
const ENDED: Facts = Facts { process: Process::Ended { success: false }, ..RUNS };

fn check(facts: Facts, status: Status, reason: Option<Reason>) {
    let (seen, diagnosis) = service(&facts);
    assert_eq!((seen, diagnosis.map(|it| it.reason)), (status, reason), "{facts:?}");
}

fn with(reason: Reason) -> Option<Diagnosis> {
    Some(Diagnosis::new(reason, "seen"))
}

#[test]
fn a_running_service_is_as_its_probes_say() {
    check(RUNS, Status::Ready, None);
    let cases = [
        (Health::Starting, Status::Starting, None),
        (Health::Unready, Status::Degraded, Some(Reason::Unready)),
        (Health::Unhealthy, Status::Degraded, Some(Reason::Unhealthy)),
        (Health::TimedOut, Status::Failed, Some(Reason::StartTimeout)),
        (Health::Unknown, Status::Unknown, Some(Reason::ProbeUnknown)),
    ];
    for (health, status, reason) in cases {
        check(Facts { health, ..RUNS }, status, reason);
    }
}

#[test]
fn an_end_is_never_ready_unless_it_is_the_design() {
    let success = Process::Ended { success: true };
    check(Facts { care: Care::Waiting, ..ENDED }, Status::Degraded, Some(Reason::Exited));
    check(Facts { care: Care::GaveUp, ..ENDED }, Status::Failed, Some(Reason::Exited));
    check(Facts { process: success, ..ENDED }, Status::Stopped, Some(Reason::Exited));
    let one_shot = Facts { one_shot: true, ..ENDED };
    check(Facts { process: success, ..one_shot.clone() }, Status::Ready, Some(Reason::Completed));
    check(Facts { care: Care::GaveUp, ..one_shot }, Status::Failed, Some(Reason::Exited));
}

#[test]
fn what_is_known_is_told() {
    let crashed = Facts { care: Care::GaveUp, diagnosis: with(Reason::OutOfMemory), ..ENDED };
    check(crashed, Status::Failed, Some(Reason::OutOfMemory));
    let waits = Facts {
        process: Process::None,
        care: Care::Waiting,
        diagnosis: with(Reason::DependencyNotReady),
        ..RUNS
    };
    check(waits.clone(), Status::Starting, Some(Reason::DependencyNotReady));
    let gave_up = Facts { care: Care::GaveUp, diagnosis: with(Reason::ImageNotFound), ..waits };
    check(gave_up, Status::Failed, Some(Reason::ImageNotFound));
    let recovered = Facts { diagnosis: with(Reason::Exited), ..RUNS };
    check(recovered, Status::Ready, None);
}

#[test]
fn what_cannot_be_known_is_unknown() {
    let away = Facts { reachable: false, diagnosis: with(Reason::Exited), ..ENDED };
    check(away, Status::Unknown, Some(Reason::DaemonUnreachable));
    let paused = Facts { process: Process::Paused, diagnosis: with(Reason::Unready), ..RUNS };
    check(paused, Status::Unknown, Some(Reason::Paused));
}

#[test]
fn an_unwanted_service_stops() {
    let unwanted = Facts { wanted: false, ..RUNS };
    check(unwanted.clone(), Status::Degraded, Some(Reason::Stopping));
    check(Facts { process: Process::None, ..unwanted }, Status::Stopped, None);
}

#[test]
fn a_stack_is_as_its_worst_service() {
    use Status::{Degraded, Failed, Ready, Starting, Stopped, Unknown};
    let cases: [(bool, &[Status], Status, Option<usize>); 10] = [
        (true, &[], Ready, None),
        (true, &[Ready, Ready], Ready, None),
        (true, &[Ready, Starting], Starting, Some(1)),
        (true, &[Starting, Degraded, Degraded], Degraded, Some(1)),
        (true, &[Unknown, Failed, Degraded], Failed, Some(1)),
        (true, &[Unknown, Degraded], Unknown, Some(0)),
        (true, &[Ready, Stopped], Degraded, Some(1)),
        (false, &[], Stopped, None),
        (false, &[Stopped, Stopped], Stopped, None),
        (false, &[Stopped, Degraded, Unknown], Unknown, Some(2)),
    ];
    const NAMES: [&str; 3] = ["a", "b", "c"];
    for (wanted, services, status, by) in cases {
        let named = NAMES.into_iter().zip(services.iter().copied());
        assert_eq!(stack(wanted, named), (status, by.map(|it| NAMES[it])), "{services:?}");
    }
}

fn statuses() -> impl Strategy<Value = Status> {
    use Status::{Degraded, Failed, Ready, Starting, Stopped, Unknown};
    prop::sample::select(vec![Ready, Starting, Degraded, Failed, Stopped, Unknown])
}

proptest! {
    #[test]
    fn a_wanted_stack_is_ready_only_when_all_of_it_is(
        services in prop::collection::vec(statuses(), 0..8),
    ) {
        let (status, _) = stack(true, services.iter().map(|it| ("service", *it)));
        let all = services.iter().all(|it| *it == Status::Ready);
        prop_assert_eq!(status == Status::Ready, all);
        let (status, _) = stack(false, services.iter().map(|it| ("service", *it)));
        let all = services.iter().all(|it| *it == Status::Stopped);
        prop_assert_eq!(status == Status::Stopped, all);
    }
}
