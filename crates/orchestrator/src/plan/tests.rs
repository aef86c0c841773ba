//! Plans as a person reads them, and what holds for every plan.

mod random;
mod world;

use chrono::TimeDelta;
use proptest::prelude::*;

use super::*;
use crate::observed::State;
use crate::spec::{Dependency, Mount, MountKind};
use world::{World, desired, hash, now, service};

/// Rounds after which a world without failures must be as desired: stop, remove, create, connect
/// and start, once per level of dependencies, and some to spare.
const ROUNDS_MAX: usize = 40;

#[track_caller]
fn check(world: &World, expect: &str) {
    let plan = world.plan();
    assert_eq!(plan.to_string().trim(), expect.trim());
}

fn chain() -> World {
    let mut backend = service("backend");
    backend.depends_on = vec![Dependency {
        service: "postgres".to_owned(),
        condition: Condition::Healthy,
        required: true,
        restart: false,
    }];
    World::new(desired([backend, service("postgres")]))
}

#[test]
fn an_empty_engine_gets_networks_then_containers_and_starts_in_order() {
    let mut world = chain();
    check(
        &world,
        "1. create the network main (10.0.0.0/28)\n\
         1. create the volume data\n\
         2. create the container of backend\n\
         2. create the container of postgres",
    );
    world.round();
    check(&world, "1. start postgres");
    assert_eq!(
        world.plan().waits["backend"],
        Wait::Dependency { on: "postgres".to_owned(), condition: Condition::Healthy }
    );
    world.round();
    check(&world, "1. start backend");
    world.round();
    check(&world, "");
}

#[test]
fn a_probed_dependency_is_waited_for_until_it_is_ready() {
    let mut world = chain();
    world.probe("postgres");
    world.settle(ROUNDS_MAX);
    assert!(world.plan().waits.contains_key("backend"));
    world.judged.ready.insert("postgres".to_owned());
    check(&world, "1. start backend");
}

#[test]
fn a_dependency_that_ended_lately_must_run_for_a_while_first() {
    let mut world = chain();
    let settled = now() + TimeDelta::seconds(500);
    world.judged.settles_at.insert("postgres".to_owned(), settled);
    world.settle(ROUNDS_MAX);
    let plan = world.plan();
    assert!(plan.waits.contains_key("backend"));
    assert_eq!(plan.wake_at, Some(settled), "nothing else wakes the reconciler");
    world.now = settled;
    check(&world, "1. start backend");
    assert_eq!(world.plan().wake_at, None);
}

#[test]
fn a_stack_stops_in_reverse_order_and_is_kept() {
    let mut world = chain();
    world.settle(ROUNDS_MAX);
    world.desired.wish = Wish::Stopped;
    check(&world, "1. stop backend, by force after 10 s\n2. stop postgres, by force after 10 s");
    world.round();
    check(&world, "");
    world.desired.wish = Wish::Running;
    check(&world, "1. start postgres");
}

#[test]
fn a_stack_is_removed_with_its_volumes_only_when_asked() {
    let mut world = chain();
    world.settle(ROUNDS_MAX);
    world.desired.wish = Wish::Removed { volumes: false };
    check(
        &world,
        "1. stop backend, by force after 10 s\n\
         2. stop postgres, by force after 10 s\n\
         3. remove the container of backend\n\
         3. remove the container of postgres\n\
         4. remove the network main",
    );
    world.desired.wish = Wish::Removed { volumes: true };
    assert!(world.plan().to_string().ends_with("5. remove the volume data\n"));
}

#[test]
fn another_spec_replaces_the_container_and_other_limits_do_not() {
    let mut world = chain();
    world.settle(ROUNDS_MAX);
    let pinned = world.desired.pinned.get_mut("postgres").expect("it is there");
    pinned.hash = hash(2);
    check(
        &world,
        "1. stop postgres, by force after 10 s\n\
         2. remove the container of postgres\n\
         3. create the container of postgres",
    );
    world.settle(ROUNDS_MAX);
    let service = world.desired.stack.services.get_mut("postgres").expect("it is there");
    service.resources.memory_bytes *= 2;
    check(&world, "1. limit postgres to 500 m CPU, 128 MiB, 64 pids");
}

#[test]
fn what_was_removed_by_hand_is_repaired() {
    let mut world = chain();
    world.settle(ROUNDS_MAX);
    world.observed.containers.retain(|it| it.service != "backend");
    check(&world, "1. create the container of backend");
    world.settle(ROUNDS_MAX);
    world.observed.networks.clear();
    world.observed.containers.iter_mut().for_each(|it| it.networks.clear());
    check(
        &world,
        "1. create the network main (10.0.0.0/28)\n\
         2. connect backend to main\n\
         2. connect postgres to main",
    );
}

#[test]
fn a_restart_touches_the_one_service_and_those_that_follow_it() {
    let mut world = chain();
    world.settle(ROUNDS_MAX);
    world.tick();
    let pinned = world.desired.pinned.get_mut("postgres").expect("it is there");
    pinned.restart_after = Some(world.now);
    check(&world, "1. stop postgres, by force after 10 s\n2. start postgres");
    let backend = world.desired.stack.services.get_mut("backend").expect("it is there");
    backend.depends_on[0].restart = true;
    world.round();
    check(&world, "1. stop backend, by force after 10 s\n2. start backend");
    world.round();
    check(&world, "");
}

#[test]
fn an_ended_service_waits_for_its_time_and_one_that_gave_up_stays() {
    let mut world = World::new(desired([service("web")]));
    world.settle(ROUNDS_MAX);
    world.end("web", 1);
    let at = world.now + TimeDelta::seconds(4);
    world.judged.may_start.insert("web".to_owned(), MayStart::At(at));
    assert_eq!((world.plan().is_empty(), world.plan().wake_at), (true, Some(at)));
    world.now = at;
    check(&world, "1. start web");
    world.judged.may_start.insert("web".to_owned(), MayStart::Never);
    assert_eq!(world.plan().waits["web"], Wait::GaveUp);
}

#[test]
fn a_one_shot_that_succeeded_is_not_run_again_and_frees_its_dependents() {
    let mut migrate = service("migrate");
    migrate.one_shot = true;
    let mut web = service("web");
    web.depends_on = vec![Dependency {
        service: "migrate".to_owned(),
        condition: Condition::Completed,
        required: true,
        restart: false,
    }];
    let mut world = World::new(desired([migrate, web]));
    world.round();
    check(&world, "1. start migrate");
    world.round();
    check(&world, "");
    world.end("migrate", 0);
    check(&world, "1. start web");
    world.end("migrate", 3);
    assert!(world.plan().waits.contains_key("web"));
}

#[test]
fn files_are_put_in_place_before_each_start_and_go_with_their_service() {
    let mut web = service("web");
    web.secrets.push(world::secret());
    let mut world = World::new(desired([web]));
    world.round();
    check(&world, "1. put the files of web in place\n2. start web");
    world.round();
    check(&world, "1. remove a helper");
    world.round();
    check(&world, "");
    world.end("web", 1);
    check(&world, "1. put the files of web in place\n2. start web");
    world.settle(ROUNDS_MAX);
    world.desired.stack.services.get_mut("web").expect("it is there").secrets.clear();
    check(&world, "1. remove the files of web");
    world.desired.wish = Wish::Removed { volumes: false };
    check(
        &world,
        "1. stop web, by force after 10 s\n\
         2. remove the container of web\n\
         3. remove the files of web\n\
         4. remove the network main",
    );
}

#[test]
fn a_service_whose_image_is_held_back_is_left_as_it_is() {
    let mut world = World::new(desired([service("web")]));
    world.judged.held.insert("web".to_owned());
    check(&world, "1. create the network main (10.0.0.0/28)\n1. create the volume data");
    assert_eq!(world.plan().waits["web"], Wait::Scan);
    // What runs goes on: another spec, a restart by hand, and a probe that fails must wait.
    world.judged.held.clear();
    world.settle(ROUNDS_MAX);
    world.judged.held.insert("web".to_owned());
    check(&world, "");
    assert!(world.plan().waits.is_empty());
    world.judged.unhealthy.insert("web".to_owned());
    check(&world, "");
    assert_eq!(world.plan().waits["web"], Wait::Scan);
    world.judged.unhealthy.clear();
    world.desired.pinned.get_mut("web").expect("it is there").hash = hash(2);
    check(&world, "");
    assert_eq!(world.plan().waits["web"], Wait::Scan);
    // What ended is not started.
    world.desired.pinned.get_mut("web").expect("it is there").hash = hash(1);
    world.end("web", 1);
    check(&world, "");
    assert_eq!(world.plan().waits["web"], Wait::Scan);
    world.judged.held.clear();
    check(&world, "1. start web");
}

#[test]
fn a_service_whose_image_is_missing_is_left_alone() {
    let mut world = chain();
    world.settle(ROUNDS_MAX);
    world.desired.pinned.remove("postgres");
    check(&world, "");
    // That the old one runs does not mean that the new one does.
    assert_eq!(world.plan().waits["postgres"], Wait::Image);
    world.observed.containers.clear();
    assert_eq!(world.plan().waits["postgres"], Wait::Image);
}

#[test]
fn a_service_waits_for_the_addresses_of_its_network() {
    let mut world = chain();
    let subnets = std::mem::take(&mut world.desired.subnets);
    check(&world, "1. create the volume data");
    let network = "main".to_owned();
    assert_eq!(world.plan().waits["postgres"], Wait::Addresses { network });
    world.desired.subnets = subnets;
    world.settle(ROUNDS_MAX);
    // Whose network is there needs no addresses.
    world.desired.subnets.clear();
    check(&world, "");
    assert!(world.plan().waits.is_empty());
}

#[test]
fn a_step_that_is_not_done_holds_up_only_those_that_need_it() {
    let mut web = service("web");
    web.mounts = vec![Mount {
        kind: MountKind::Volume("data".to_owned()),
        target: "/data".to_owned(),
        read_only: false,
    }];
    let stack = desired([web, service("other")]).stack;
    let service = |it: &str| it.to_owned();
    let create = |it: &str| Step::CreateContainer { service: service(it) };
    let (network, internal) = (|it: &str| it.to_owned(), false);
    let subnet = "10.0.0.0/28".parse().expect("a network");
    let make = |it: &str| Step::CreateNetwork { network: network(it), internal, subnet };
    let remove = |it: &str| Step::RemoveNetwork { network: network(it), id: "n1".to_owned() };
    let volume = Step::CreateVolume { volume: "data".to_owned() };
    let cases = [
        (create("web"), Step::Start { service: service("web"), id: "c1".to_owned() }, true),
        (create("web"), create("other"), false),
        (make("main"), create("other"), true),
        (make("edge"), create("other"), false),
        (remove("main"), make("main"), true),
        // A network that nobody needs any more is in nobody's way.
        (remove("gone"), make("main"), false),
        (remove("gone"), create("web"), false),
        (volume.clone(), create("web"), true),
        (volume, create("other"), false),
    ];
    for (first, later, waits) in cases {
        assert_eq!(first.holds_up(&later, &stack), waits, "{first}; then {later}");
    }
}

#[test]
fn levels_of_a_cycle_end() {
    let mut a = service("a");
    let on = |name: &str| Dependency {
        service: name.to_owned(),
        condition: Condition::Started,
        required: true,
        restart: false,
    };
    a.depends_on = vec![on("b")];
    let mut b = service("b");
    b.depends_on = vec![on("a")];
    assert_eq!(levels(&desired([a, b]).stack).len(), 2);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    /// From any state, executing plans leads to where the next plan is empty, and on the way no
    /// promise is broken.
    #[test]
    fn every_state_converges_and_no_promise_is_broken(mut world in random::world()) {
        let volumes_asked = world.desired.wish == Wish::Removed { volumes: true };
        for _ in 0..ROUNDS_MAX {
            let plan = world.plan();
            if plan.is_empty() {
                break;
            }
            for step in plan.steps() {
                let volume = matches!(step, Step::RemoveVolume { .. });
                prop_assert!(!volume || volumes_asked, "a volume goes unasked:\n{plan}");
                prop_assert!(world.knows(step), "an object that is not ours: {step:?}");
            }
            check_starts(&world, &plan)?;
            check_stops(&world, &plan)?;
            world.apply(&plan);
        }
        // A removal that somebody else began ends also while there is nothing to do.
        world.settle(ROUNDS_MAX);
        let left = world.plan();
        prop_assert!(left.is_empty(), "does not converge; left:\n{left}");
        prop_assert!(world.fits(), "is not as desired: {:#?}", world.observed);
    }

    /// A plan that was broken off anywhere is continued by the next one.
    #[test]
    fn a_broken_off_plan_is_continued(mut world in random::world(), cut in 0_usize..12) {
        let plan = world.plan();
        world.apply_first(&plan, cut);
        world.settle(ROUNDS_MAX);
        prop_assert!(world.plan().is_empty());
        prop_assert!(world.fits(), "is not as desired: {:#?}", world.observed);
    }
}

/// Nothing starts before what it depends on, and never two processes of one service.
fn check_starts(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    for step in plan.steps() {
        let Step::Start { service, id } = step else { continue };
        let needs = &world.desired.stack.services[service].depends_on;
        for need in needs.iter().filter(|it| it.required) {
            prop_assert!(world.is_up_or_done(&need.service), "{service} before {need:?}\n{plan}");
        }
        let others = world.observed.of(service).filter(|it| it.id != *id && it.is_up());
        let stopped = |id: &str| {
            plan.steps().any(|it| matches!(it, Step::Stop { id: other, .. } if other == id))
        };
        for other in others {
            prop_assert!(stopped(&other.id), "two processes of {service}\n{plan}");
        }
    }
    Ok(())
}

/// When a stack goes, dependents go first.
fn check_stops(world: &World, plan: &Plan) -> Result<(), TestCaseError> {
    if world.desired.wish == Wish::Running {
        return Ok(());
    }
    let stage_of = |name: &str| {
        let stops = |it: &Step| matches!(it, Step::Stop { service, .. } if service == name);
        plan.stages.iter().position(|stage| stage.iter().any(stops))
    };
    for service in world.desired.stack.services.values() {
        for need in &service.depends_on {
            let (mine, theirs) = (stage_of(&service.name), stage_of(&need.service));
            if let (Some(mine), Some(theirs)) = (mine, theirs) {
                prop_assert!(mine < theirs, "{} after {}\n{plan}", service.name, need.service);
            }
        }
    }
    Ok(())
}

#[test]
fn a_plan_for_fifty_services_takes_a_moment() {
    let services = (0..50).map(|number| {
        let mut service = service(&format!("s{number}"));
        if number > 0 {
            service.depends_on = vec![Dependency {
                service: format!("s{}", number - 1),
                condition: Condition::Started,
                required: true,
                restart: false,
            }];
        }
        service
    });
    let mut world = World::new(desired(services));
    world.settle(60);
    assert!(world.observed.containers.iter().all(|it| it.state == State::Running));
}
