//! What happened to a container, for the log of its service: each start and each end once.

use chrono::{DateTime, Utc};

use super::record::{Body, Draft, Event, Kind, Mark};
use super::resume::Point;
use crate::observed::Container;

/// Something that happened, and when.
pub(super) type Happened = (i64, Event, String);

/// What happened to a container that was not marked yet: what stands before the lines that are to
/// be read, and what stands after them. `fresh`: the service's log is empty.
pub(super) fn happened(
    container: &Container,
    point: Point,
    fresh: bool,
) -> (Vec<Happened>, Vec<Happened>) {
    let unmarked = |at: Option<DateTime<Utc>>| {
        at.and_then(|at| at.timestamp_nanos_opt()).filter(|at| *at > point.marked)
    };
    let (started, ended) = (unmarked(container.started_at), unmarked(container.finished_at));
    let id = short(&container.id);
    let (mut before, mut after) = (Vec::new(), Vec::new());
    if let Some(at) = ended
        && container.is_up()
        && point.marked > 0
    {
        // It was started again before anybody looked: its exit code is no longer known.
        before.push((at, Event::Exited, format!("container {id}")));
    }
    if let Some(at) = started {
        if point == Point::default() && !fresh {
            before.push((at, Event::Recreated, format!("container {id}")));
        }
        before.push((at, Event::Started, format!("container {id}")));
    }
    if let Some(at) = ended
        && !container.is_up()
    {
        let event = if container.oom_killed { Event::OutOfMemory } else { Event::Exited };
        after.push((at, event, format!("container {id}, exit code {}", container.exit_code)));
    }
    (before, after)
}

/// The container is gone.
pub(super) fn removed(id: &str, now: DateTime<Utc>) -> Happened {
    let at = now.timestamp_nanos_opt().unwrap_or_default();
    (at, Event::Removed, format!("container {}", short(id)))
}

/// The marks as records of a container.
pub(super) fn drafts(source: u32, happened: Vec<Happened>) -> Vec<Draft> {
    let draft = |(at, event, text)| Draft {
        at,
        source,
        body: Body::Record(Kind::Mark(Mark { event, text })),
    };
    happened.into_iter().map(draft).collect()
}

/// As Docker shows ids.
fn short(id: &str) -> &str {
    &id[..id.floor_char_boundary(12)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observed::{Limits, State};

    fn container(state: State, started: i64, finished: Option<i64>, oom: bool) -> Container {
        let time = |at: i64| DateTime::from_timestamp_nanos(at);
        Container {
            id: "0123456789abcdef".to_owned(),
            state,
            started_at: Some(time(started)),
            finished_at: finished.map(time),
            exit_code: 3,
            oom_killed: oom,
            name: String::new(),
            service: "web".to_owned(),
            generation: 1,
            config_hash: String::new(),
            image: String::new(),
            created_at: None,
            error: String::new(),
            limits: Limits::default(),
            networks: Default::default(),
            published: Vec::new(),
            pid: 0,
        }
    }

    #[test]
    fn each_start_and_each_end_is_told_once() {
        use Event::{Exited, OutOfMemory, Recreated, Started};
        let marked = |marked| Point { marked, ..Point::default() };
        let known = Point { at: 5, count: 1, newest: 5, marked: 0 };
        let up = |started, finished| container(State::Running, started, finished, false);
        let down = |started, finished, oom| container(State::Exited, started, Some(finished), oom);
        type Told = &'static [Event];
        let table: [(Container, Point, bool, Told, Told); 9] = [
            (up(10, None), marked(0), true, &[Started], &[]),
            (up(10, None), marked(0), false, &[Recreated, Started], &[]),
            (up(10, None), known, false, &[Started], &[]),
            (up(10, None), marked(10), false, &[], &[]),
            (up(30, Some(20)), marked(10), false, &[Exited, Started], &[]),
            (up(30, Some(20)), marked(20), false, &[Started], &[]),
            (down(10, 20, false), marked(10), false, &[], &[Exited]),
            (down(10, 20, true), marked(0), true, &[Started], &[OutOfMemory]),
            (down(10, 20, false), marked(20), false, &[], &[]),
        ];
        let events = |it: Vec<Happened>| it.into_iter().map(|it| it.1).collect::<Vec<Event>>();
        for (container, point, fresh, before, after) in table {
            let seen = happened(&container, point, fresh);
            assert_eq!((events(seen.0), events(seen.1)), (before.to_vec(), after.to_vec()));
        }
    }
}
