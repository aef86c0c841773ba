//! What is asked when, and what the answers mean. Pure.
//!
//! The startup probe gates the other two. Its first questions come fast, then ever slower up to
//! its period. A start that is late is told of, and its questions go on: a service that is only
//! slow becomes ready after all. After the liveness probe has failed nothing more is asked, because
//! the container is about to be stopped.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::{ANSWERS_MAX, Answer, Purpose, Verdict, cut};
use crate::reason::{Diagnosis, Reason};
use crate::spec::{Check, Probe, Probes};
use crate::status::Health;

/// The first pauses at start-up: this long, and each half as long again as the one before.
const RAMP_FIRST: Duration = Duration::from_millis(250);
const RAMP_FACTOR: f64 = 1.5;

/// Between two successes of a starting Postgres that both count: the server that initialises a new
/// database answers as well, and then ends.
const POSTGRES_SPACING: Duration = Duration::from_secs(1);

/// Questions in a row that nobody could ask make the health unknown, when the probe itself turns
/// sooner.
const UNKNOWNS_MIN: u32 = 2;

/// The probes of one run of one container.
#[derive(Debug, Clone)]
pub struct Machine {
    probes: Probes,
    tracks: [Track; 3],
    began: Instant,
    started: bool,
    timed_out: bool,
    ready_since: Option<DateTime<Utc>>,
}

/// How one probe does.
#[derive(Debug, Clone)]
struct Track {
    due: Instant,
    asking: bool,
    asked: u32,
    successes: u32,
    failures: u32,
    unknowns: u32,
    /// When the last success that counted came.
    counted_at: Option<Instant>,
    /// The verdict that enough answers in a row agreed on.
    holds: Option<bool>,
    answers: VecDeque<Answer>,
}

/// What is known of a container's health.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// In one word.
    pub health: Health,
    /// Since when it is ready, without a break.
    pub ready_since: Option<DateTime<Utc>>,
    /// Why it is not well, when it is not.
    pub diagnosis: Option<Diagnosis>,
    /// The last answers, newest first.
    pub answers: Vec<Answer>,
}

impl Machine {
    /// The probes of a container whose process started at `started_at`. The deadline counts from
    /// now: a container that is taken over from an earlier process of ours gets all of it.
    #[must_use]
    pub fn new(probes: Probes, started_at: DateTime<Utc>, now: Instant) -> Self {
        let started = probes.startup.is_none();
        let bare = started && probes.readiness.is_none();
        let mut machine = Self {
            tracks: [Track::new(now), Track::new(now), Track::new(now)],
            probes,
            began: now,
            started,
            timed_out: false,
            ready_since: bare.then_some(started_at),
        };
        if started {
            machine.start_others(now);
        }
        machine
    }

    /// What is to be asked now; each must be told to [`asked`](Self::asked).
    #[must_use]
    pub fn due(&self, now: Instant) -> Vec<Purpose> {
        let active = Purpose::ALL.into_iter().filter(|purpose| self.is_active(*purpose));
        active
            .filter(|purpose| !self.track(*purpose).asking && self.track(*purpose).due <= now)
            .collect()
    }

    /// When something is due next; `None` while only answers are awaited.
    #[must_use]
    pub fn wake_at(&self) -> Option<Instant> {
        let active = Purpose::ALL.into_iter().filter(|purpose| self.is_active(*purpose));
        let idle = active.filter(|purpose| !self.track(*purpose).asking);
        idle.map(|purpose| self.track(purpose).due).min()
    }

    /// The question of a purpose, with its pace.
    #[must_use]
    pub fn probe(&self, purpose: Purpose) -> Option<&Probe> {
        match purpose {
            Purpose::Startup => self.probes.startup.as_ref(),
            Purpose::Readiness => self.probes.readiness.as_ref(),
            Purpose::Liveness => self.probes.liveness.as_ref(),
        }
    }

    /// A question is on its way.
    pub fn asked(&mut self, purpose: Purpose) {
        let track = self.track_mut(purpose);
        track.asking = true;
        track.asked = track.asked.saturating_add(1);
    }

    /// Learns an answer.
    pub fn answer(&mut self, now: Instant, answer: Answer) {
        let purpose = answer.purpose;
        let (Some(probe), at) = (self.probe(purpose).cloned(), answer.at) else { return };
        let verdict = answer.verdict;
        self.track_mut(purpose).keep(answer);
        if !self.is_active(purpose) {
            return;
        }
        let spacing = spacing(purpose, &probe.check);
        self.track_mut(purpose).count(now, verdict, &probe, spacing);
        let pause = self.pause(now, purpose, &probe, spacing);
        self.track_mut(purpose).due = now + pause;
        if purpose == Purpose::Startup {
            self.startup(now, verdict, &probe);
        }
        self.ready_since = match self.health() {
            Health::Ready => self.ready_since.or(Some(at)),
            Health::Unknown => self.ready_since,
            _ => None,
        };
    }

    /// What is known now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut answers: Vec<Answer> =
            self.tracks.iter().flat_map(|track| track.answers.iter().cloned()).collect();
        answers.sort_by_key(|answer| std::cmp::Reverse(answer.at));
        let (health, ready_since) = (self.health(), self.ready_since);
        Snapshot { health, ready_since, diagnosis: self.diagnose(health), answers }
    }

    fn health(&self) -> Health {
        let unknown = |purpose: &Purpose| {
            let most = self.probe(*purpose).map_or(0, |probe| probe.failures.max(UNKNOWNS_MIN));
            self.is_active(*purpose) && self.track(*purpose).unknowns >= most
        };
        let readiness = self.track(Purpose::Readiness);
        if self.track(Purpose::Liveness).holds == Some(false) {
            return Health::Unhealthy;
        }
        if Purpose::ALL.iter().any(unknown) {
            return Health::Unknown;
        }
        match (self.started, readiness.holds) {
            (false, _) if self.timed_out => Health::TimedOut,
            (false, _) => Health::Starting,
            (true, _) if self.probes.readiness.is_none() => Health::Ready,
            (true, None) => Health::Starting,
            (true, Some(true)) => Health::Ready,
            (true, Some(false)) => Health::Unready,
        }
    }

    fn diagnose(&self, health: Health) -> Option<Diagnosis> {
        let last = |purpose| {
            let answer = self.track(purpose).answers.front();
            answer.map_or("", |answer| answer.output.trim())
        };
        let told = |reason: Reason, what: &str, purpose| {
            Some(Diagnosis::new(reason, format!("the {what} probe fails: {}", last(purpose))))
        };
        match health {
            Health::Starting | Health::Ready => None,
            Health::Unready => told(Reason::Unready, "readiness", Purpose::Readiness),
            Health::Unhealthy => told(Reason::Unhealthy, "liveness", Purpose::Liveness),
            Health::TimedOut => {
                let deadline =
                    self.probes.startup.as_ref().map_or(Duration::ZERO, |it| it.deadline);
                Some(Diagnosis::start_timeout(deadline, last(Purpose::Startup)))
            }
            Health::Unknown => {
                let most = |purpose: &Purpose| self.track(*purpose).unknowns;
                let purpose =
                    Purpose::ALL.into_iter().max_by_key(most).unwrap_or(Purpose::Readiness);
                let why =
                    format!("the {} probe cannot be asked: {}", purpose.as_str(), last(purpose));
                Some(Diagnosis::new(Reason::ProbeUnknown, why))
            }
        }
    }

    /// The start is over, or it is late: the deadline is felt by a failure only, so that a daemon
    /// that is away costs a service nothing.
    fn startup(&mut self, now: Instant, verdict: Verdict, probe: &Probe) {
        if self.track(Purpose::Startup).holds == Some(true) {
            self.started = true;
            self.start_others(now);
        } else if verdict == Verdict::Failure && now >= self.began + probe.deadline {
            self.timed_out = true;
        }
    }

    /// Readiness is asked at once; liveness can wait.
    fn start_others(&mut self, now: Instant) {
        self.track_mut(Purpose::Readiness).due = now;
        let patience = self.probes.liveness.as_ref().map_or(Duration::ZERO, |it| it.period);
        self.track_mut(Purpose::Liveness).due = now + patience;
    }

    fn pause(&self, now: Instant, purpose: Purpose, probe: &Probe, spacing: Duration) -> Duration {
        let (track, deadline) = (self.track(purpose), self.began + probe.deadline);
        if purpose != Purpose::Startup || self.timed_out {
            return probe.period;
        }
        let doublings = track.asked.saturating_sub(1).min(32).cast_signed();
        let ramp = RAMP_FIRST.mul_f64(RAMP_FACTOR.powi(doublings)).min(probe.period);
        // Only a success that is late enough counts, so asking sooner would be in vain.
        let pause = if track.successes > 0 { ramp.max(spacing) } else { ramp };
        // The last question of a start is asked at its deadline.
        if now < deadline { pause.min(deadline - now) } else { pause }
    }

    fn is_active(&self, purpose: Purpose) -> bool {
        let held = self.track(Purpose::Liveness).holds == Some(false);
        self.probe(purpose).is_some() && !held && (purpose == Purpose::Startup) != self.started
    }

    fn track(&self, purpose: Purpose) -> &Track {
        &self.tracks[purpose as usize]
    }

    fn track_mut(&mut self, purpose: Purpose) -> &mut Track {
        &mut self.tracks[purpose as usize]
    }
}

impl Track {
    fn new(due: Instant) -> Self {
        Self {
            due,
            asking: false,
            asked: 0,
            successes: 0,
            failures: 0,
            unknowns: 0,
            counted_at: None,
            holds: None,
            answers: VecDeque::new(),
        }
    }

    fn keep(&mut self, mut answer: Answer) {
        self.asking = false;
        answer.output = cut(answer.output);
        self.answers.push_front(answer);
        self.answers.truncate(ANSWERS_MAX);
    }

    fn count(&mut self, now: Instant, verdict: Verdict, probe: &Probe, spacing: Duration) {
        match verdict {
            Verdict::Unknown => {
                self.unknowns = self.unknowns.saturating_add(1);
                return;
            }
            Verdict::Failure => {
                (self.successes, self.counted_at) = (0, None);
                self.failures = self.failures.saturating_add(1);
            }
            Verdict::Success => {
                self.failures = 0;
                if self.counted_at.is_none_or(|at| now >= at + spacing) {
                    self.counted_at = Some(now);
                    self.successes = self.successes.saturating_add(1);
                }
            }
        }
        self.unknowns = 0;
        if self.failures >= probe.failures.max(1) {
            self.holds = Some(false);
        } else if self.successes >= probe.successes.max(1) {
            self.holds = Some(true);
        }
    }
}

fn spacing(purpose: Purpose, check: &Check) -> Duration {
    match (purpose, check) {
        (Purpose::Startup, Check::Postgres(_)) => POSTGRES_SPACING,
        _ => Duration::ZERO,
    }
}

#[cfg(test)]
mod tests;
