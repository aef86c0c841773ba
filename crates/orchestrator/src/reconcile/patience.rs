//! Steps that are tried again later, each by itself, so that nobody else waits for them. Pure.

use std::time::{Duration, Instant};

use crate::plan::{Plan, Step};

/// A step that was refused is tried again after 1, 2, 4 .. 60 s.
const PAUSE_FIRST: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// How often in a row a step may be done and be there again, before it counts as done in vain.
const REPEATS_MAX: u32 = 20;

/// What is known of the steps of the last plan.
#[derive(Debug, Default)]
pub(super) struct Patience {
    tried: Vec<Tried>,
}

#[derive(Debug)]
struct Tried {
    step: Step,
    /// How often in a row it was refused.
    refused: u32,
    /// How often in a row it was done, and was to be done again.
    done: u32,
    /// Not before.
    due: Instant,
}

impl Patience {
    /// The steps that are left alone now.
    pub(super) fn held(&self, now: Instant) -> Vec<Step> {
        let held = self.tried.iter().filter(|it| now < it.due);
        held.map(|it| it.step.clone()).collect()
    }

    /// When the next of them is tried again.
    pub(super) fn due(&self, now: Instant) -> Option<Instant> {
        self.tried.iter().map(|it| it.due).filter(|it| now < *it).min()
    }

    /// How often in a row a step was refused.
    pub(super) fn refusals(&self, step: &Step) -> u32 {
        self.tried.iter().find(|it| it.step == *step).map_or(0, |it| it.refused)
    }

    /// Learns what came of a plan. Answers the steps that are done in vain.
    pub(super) fn learn(
        &mut self,
        plan: &Plan,
        done: &[Step],
        refused: &[Step],
        now: Instant,
    ) -> Vec<Step> {
        // What is not to be done any more was done for good.
        self.tried.retain(|it| plan.steps().any(|step| *step == it.step));
        for step in refused {
            let it = self.entry(step, now);
            it.refused = it.refused.saturating_add(1);
            let doublings = (it.refused - 1).min(6);
            it.due = now + (PAUSE_FIRST * (1 << doublings)).min(PAUSE_MAX);
        }
        let mut vain = Vec::new();
        for step in done {
            let it = self.entry(step, now);
            (it.refused, it.done) = (0, it.done.saturating_add(1));
            if it.done > REPEATS_MAX {
                it.due = now + PAUSE_MAX;
                vain.push(step.clone());
            }
        }
        vain
    }

    /// Everything may be tried.
    pub(super) fn clear(&mut self) {
        self.tried.clear();
    }

    fn entry(&mut self, step: &Step, now: Instant) -> &mut Tried {
        let found = self.tried.iter().position(|it| it.step == *step);
        let at = found.unwrap_or_else(|| {
            self.tried.push(Tried { step: step.clone(), refused: 0, done: 0, due: now });
            self.tried.len() - 1
        });
        &mut self.tried[at]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn create(service: &str) -> Step {
        Step::CreateContainer { service: service.to_owned() }
    }

    fn plan(steps: &[Step]) -> Plan {
        Plan { stages: vec![steps.to_vec()], ..Plan::default() }
    }

    #[test]
    fn a_refused_step_waits_ever_longer_and_nothing_else_does() {
        let (a, b) = (create("a"), create("b"));
        let (mut patience, mut now) = (Patience::default(), Instant::now());
        let both = plan(&[a.clone(), b.clone()]);
        for (times, pause) in [1, 2, 4, 8, 16, 32, 60, 60].into_iter().enumerate() {
            assert!(patience.held(now).is_empty());
            patience.learn(&both, std::slice::from_ref(&b), std::slice::from_ref(&a), now);
            assert_eq!(patience.held(now), std::slice::from_ref(&a));
            assert_eq!(patience.refusals(&a) as usize, times + 1);
            let due = now + Duration::from_secs(pause);
            assert_eq!(patience.due(now), Some(due));
            // Looks in between change nothing.
            patience.learn(&both, &[], &[], now);
            now = due;
        }
        // What was done is begun anew.
        patience.learn(&both, std::slice::from_ref(&a), &[], now);
        assert_eq!((patience.refusals(&a), patience.due(now)), (0, None));
    }

    #[test]
    fn what_is_not_planned_any_more_is_forgotten() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        let step = create("a");
        patience.learn(&plan(std::slice::from_ref(&step)), &[], std::slice::from_ref(&step), now);
        patience.learn(&plan(&[]), &[], &[], now);
        assert_eq!((patience.refusals(&step), patience.due(now)), (0, None));
    }

    #[test]
    fn a_step_that_has_no_effect_is_found_out_and_tried_seldom() {
        let (mut patience, now) = (Patience::default(), Instant::now());
        let steps = [create("a")];
        for _ in 0..REPEATS_MAX {
            assert!(patience.learn(&plan(&steps), &steps, &[], now).is_empty());
        }
        assert_eq!(patience.learn(&plan(&steps), &steps, &[], now), steps);
        assert_eq!(patience.held(now), steps);
        assert!(patience.held(now + PAUSE_MAX).is_empty());
    }
}
