//! Whether the Docker daemon is worth asking: one circuit breaker per daemon. Pure.
//!
//! Only trouble with the daemon itself counts ([`docker::Error::is_transport`]): a refusal is an
//! answer. While the breaker is open, calls fail at once, status is unknown and no service is
//! charged with a restart. After a pause, or when the daemon was found there, one caller at a time
//! tries; two tries that succeed close it, one that fails opens it for twice as long.
//!
//! [`docker::Error::is_transport`]: crate::docker::Error::is_transport

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Failures in a row that open it.
const FAILURES_MAX: u32 = 5;
/// What is looked at for the share of failures.
const WINDOW: Duration = Duration::from_secs(10);
/// Fewer calls in the window say nothing about a share.
const CALLS_MIN: usize = 10;
/// Calls that are remembered, at most.
const CALLS_MAX: usize = 512;
/// The first pause; each further one is twice as long.
const PAUSE_FIRST: Duration = Duration::from_secs(5);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// Tries that must succeed, one after the other: a ping, then a call that does something.
const TRIALS: u32 = 2;
/// A try whose caller went away without a word no longer holds off others.
const TRIAL_PATIENCE: Duration = Duration::from_secs(30);

/// The breaker of one daemon.
#[derive(Debug)]
pub struct Breaker {
    state: State,
    /// Counts the states, so that a late answer does not count for a state it knows nothing of.
    epoch: u64,
    failures_in_a_row: u32,
    /// When each call of the window ended, and whether it failed.
    calls: VecDeque<(Instant, bool)>,
    pause: Duration,
}

#[derive(Debug, Clone, Copy)]
enum State {
    Closed,
    Open { until: Instant },
    HalfOpen { succeeded: u32, trying_since: Option<Instant> },
}

/// Leave to make one call, to be given back with its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "the breaker learns from the outcome"]
pub struct Permit {
    epoch: u64,
    /// The daemon may be back: ask it something cheap first.
    pub trial: bool,
}

/// The daemon is not to be asked now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it may be worth it.
    pub retry_after: Duration,
}

impl Default for Breaker {
    fn default() -> Self {
        Self {
            state: State::Closed,
            epoch: 0,
            failures_in_a_row: 0,
            calls: VecDeque::new(),
            pause: PAUSE_FIRST,
        }
    }
}

impl Breaker {
    /// Whether calls pass as usual.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.state, State::Closed)
    }

    /// Asks for leave to make one call.
    ///
    /// # Errors
    /// When the daemon is not to be asked now.
    pub fn admit(&mut self, now: Instant) -> Result<Permit, Refused> {
        if let State::Open { until } = self.state {
            if now < until {
                return Err(Refused { retry_after: until - now });
            }
            self.turn(State::HalfOpen { succeeded: 0, trying_since: None });
        }
        if let State::HalfOpen { trying_since, .. } = &mut self.state {
            if let Some(patience) = trying_since.and_then(|since| left(since, now)) {
                return Err(Refused { retry_after: patience.min(PAUSE_FIRST) });
            }
            *trying_since = Some(now);
        }
        Ok(Permit { epoch: self.epoch, trial: !self.is_closed() })
    }

    /// Somebody who was not asked to wait found the daemon there: whoever comes next may try.
    pub fn found(&mut self) {
        if let State::Open { .. } = self.state {
            self.turn(State::HalfOpen { succeeded: 0, trying_since: None });
        }
    }

    /// Learns how a call went: `reached` says whether the daemon answered, whatever it said.
    pub fn record(&mut self, now: Instant, permit: Permit, reached: bool) {
        if permit.epoch != self.epoch {
            return;
        }
        match self.state {
            State::Closed => self.count(now, reached),
            State::Open { .. } => {}
            State::HalfOpen { succeeded, .. } if reached && succeeded + 1 < TRIALS => {
                self.state = State::HalfOpen { succeeded: succeeded + 1, trying_since: None };
            }
            State::HalfOpen { .. } if reached => {
                self.pause = PAUSE_FIRST;
                self.turn(State::Closed);
            }
            State::HalfOpen { .. } => {
                self.pause = (self.pause * 2).min(PAUSE_MAX);
                self.turn(State::Open { until: now + self.pause });
            }
        }
    }

    fn count(&mut self, now: Instant, reached: bool) {
        self.failures_in_a_row = if reached { 0 } else { self.failures_in_a_row + 1 };
        let old = |(at, _): &(Instant, bool)| now.saturating_duration_since(*at) > WINDOW;
        while self.calls.len() >= CALLS_MAX || self.calls.front().is_some_and(old) {
            self.calls.pop_front();
        }
        self.calls.push_back((now, !reached));
        let failed = self.calls.iter().filter(|(_, failed)| *failed).count();
        let mostly = self.calls.len() >= CALLS_MIN && failed * 2 > self.calls.len();
        if self.failures_in_a_row >= FAILURES_MAX || mostly {
            self.turn(State::Open { until: now + self.pause });
        }
    }

    fn turn(&mut self, state: State) {
        self.state = state;
        self.epoch += 1;
        self.failures_in_a_row = 0;
        self.calls.clear();
    }
}

/// How long a try that began at `since` still holds off others.
fn left(since: Instant, now: Instant) -> Option<Duration> {
    let gone = now.saturating_duration_since(since);
    TRIAL_PATIENCE.checked_sub(gone).filter(|left| !left.is_zero())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// A breaker with a clock that the test turns.
    struct Scene {
        breaker: Breaker,
        now: Instant,
    }

    impl Scene {
        fn new() -> Self {
            Self { breaker: Breaker::default(), now: Instant::now() }
        }

        /// Makes a call that reaches the daemon or not; `false` when it was not admitted.
        fn call(&mut self, reached: bool) -> bool {
            let permit = self.breaker.admit(self.now);
            permit.map(|permit| self.breaker.record(self.now, permit, reached)).is_ok()
        }

        fn pass(&mut self, seconds: f64) {
            self.now += Duration::from_secs_f64(seconds);
        }

        fn open(&mut self) {
            (0..FAILURES_MAX).for_each(|_| assert!(self.call(false)));
            assert!(!self.breaker.is_closed());
        }
    }

    #[test]
    fn opens_after_five_failures_in_a_row() {
        let mut scene = Scene::new();
        (0..4).for_each(|_| assert!(scene.call(false)));
        assert!(scene.call(true), "four failures and a success do not open it");
        scene.open();
        let refused = scene.breaker.admit(scene.now).expect_err("it is open");
        assert_eq!(refused.retry_after, Duration::from_secs(5));
    }

    #[test]
    fn opens_when_more_than_half_of_the_last_calls_failed() {
        let mut scene = Scene::new();
        for _ in 0..3 {
            [false, false, true].into_iter().for_each(|reached| assert!(scene.call(reached)));
        }
        assert!(scene.breaker.is_closed(), "nine calls are too few");
        assert!(scene.call(false));
        assert!(!scene.breaker.is_closed());
    }

    #[test]
    fn forgets_failures_after_ten_seconds() {
        let mut scene = Scene::new();
        for _ in 0..20 {
            [false, false, true].into_iter().for_each(|reached| assert!(scene.call(reached)));
            scene.pass(10.5);
        }
        assert!(scene.breaker.is_closed());
    }

    #[test]
    fn each_failed_try_doubles_the_pause_up_to_a_minute() {
        let mut scene = Scene::new();
        scene.open();
        for pause in [5.0, 10.0, 20.0, 40.0, 60.0, 60.0] {
            scene.pass(pause - 0.1);
            assert!(!scene.call(true), "it is open for {pause} s");
            scene.pass(0.1);
            assert!(scene.call(false), "one may try after {pause} s");
        }
    }

    #[test]
    fn two_tries_one_at_a_time_close_it() {
        let mut scene = Scene::new();
        scene.open();
        scene.pass(5.0);
        let trial = scene.breaker.admit(scene.now).expect("one may try");
        assert!(trial.trial);
        scene.breaker.admit(scene.now).expect_err("only one at a time");
        scene.breaker.record(scene.now, trial, true);
        assert!(!scene.breaker.is_closed());
        assert!(scene.call(true));
        assert!(scene.breaker.is_closed());
        scene.open();
        scene.pass(5.0);
        assert!(scene.call(true), "the pause is the first one again");
    }

    #[test]
    fn a_daemon_that_was_found_may_be_tried_before_the_pause_is_over() {
        let mut scene = Scene::new();
        scene.open();
        assert!(!scene.call(true));
        scene.breaker.found();
        assert!(scene.call(true) && scene.call(true));
        assert!(scene.breaker.is_closed());
        scene.breaker.found();
        assert!(scene.breaker.is_closed(), "that is no news");
    }

    #[test]
    fn a_try_that_is_never_told_of_does_not_block_for_ever() {
        let mut scene = Scene::new();
        scene.open();
        scene.pass(5.0);
        let lost = scene.breaker.admit(scene.now).expect("one may try");
        scene.pass(30.0);
        assert!(scene.call(true) && lost.trial);
    }

    #[test]
    fn an_answer_from_before_does_not_count() {
        let mut scene = Scene::new();
        let slow = scene.breaker.admit(scene.now).expect("it is closed");
        scene.open();
        scene.pass(5.0);
        assert!(scene.call(true));
        scene.breaker.record(scene.now, slow, false);
        assert!(scene.call(true) && scene.breaker.is_closed());
    }

    proptest! {
        #[test]
        fn an_open_breaker_lets_few_calls_through_and_a_sound_daemon_closes_it(
            calls in prop::collection::vec((0.0f64..8.0, any::<bool>()), 1..200),
        ) {
            let mut scene = Scene::new();
            for (pause, reached) in calls {
                scene.pass(pause);
                let before = scene.breaker.is_closed();
                let admitted = scene.call(reached);
                prop_assert!(admitted || !before, "a closed breaker admits everything");
                prop_assert!(scene.breaker.calls.len() <= CALLS_MAX);
                prop_assert!(scene.breaker.pause <= PAUSE_MAX);
            }
            scene.pass(60.0);
            prop_assert!(scene.call(true));
            scene.call(true);
            prop_assert!(scene.breaker.is_closed());
        }
    }
}
