//! Processes that the kernel ended for memory while the service's own went on.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Incident, Memory};
use crate::observed::Container;
use crate::reason::{Diagnosis, Reason};

/// A service whose own process was ended is seen to have ended by then.
const SURVIVED: TimeDelta = TimeDelta::seconds(1);

/// What is remembered of the kernel's kills.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kills {
    count: u64,
    /// The last one, in which container; until it is known whom it hit.
    open: Option<(String, DateTime<Utc>)>,
}

impl Kills {
    pub(super) const NONE: Self = Self { count: 0, open: None };
}

impl Memory {
    /// How often the kernel ended a process in this container's service for memory. If the
    /// service's own process goes on for a while, it was another one.
    pub fn killed(&mut self, container: &Container, count: u64, now: DateTime<Utc>) {
        let Some(remembered) = self.services.get_mut(&container.service) else { return };
        let kills = &mut remembered.kills;
        if count > kills.count {
            *kills = Kills { count, open: Some((container.id.clone(), now)) };
        }
        let Some((_, at)) = kills.open.clone().filter(|it| it.0 == container.id) else { return };
        let survived = container.is_up() && container.started_at.is_some_and(|it| it < at);
        if survived && now < at + SURVIVED {
            return;
        }
        kills.open = None;
        if survived {
            let reason = Reason::ChildOutOfMemory;
            let why = Diagnosis::new(reason, reason.text());
            let (service, id) = (&container.service, &container.id);
            self.incidents.push(Incident::told(service, id, at, why, 0));
        }
    }

    /// When, after `now`, it will be known whom the kernel hit; `None`: nobody waits for that.
    #[must_use]
    pub fn kills_known_at(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        let open = self.services.values().filter_map(|it| it.kills.open.as_ref());
        open.map(|(_, at)| *at + SURVIVED).filter(|at| *at > now).min()
    }
}
