//! How many live streams are open, in all and of each caller.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use proto::{Failure, Reason};

/// When to try again: a stream ends with the page that shows it.
const RETRY_AFTER: Duration = Duration::from_secs(10);

/// Counts open streams.
pub(crate) struct Streams {
    max: usize,
    per_caller_max: usize,
    /// By the caller's id; callers without a stream are not in it.
    open: Arc<Mutex<HashMap<String, usize>>>,
}

/// The place of one open stream; dropped, it is free again.
pub(crate) struct Place {
    caller: String,
    open: Arc<Mutex<HashMap<String, usize>>>,
}

impl Streams {
    /// Room for so many streams in all, and for so many of one caller.
    pub(crate) fn new(max: usize, per_caller_max: usize) -> Self {
        Self { max, per_caller_max, open: Arc::default() }
    }

    /// A place for one more stream of a caller.
    ///
    /// # Errors
    /// `RATE_LIMITED` that names the limit.
    pub(crate) fn place(&self, caller: &str) -> Result<Place, Failure> {
        let mut open = counts(&self.open);
        if open.get(caller).is_some_and(|own| *own >= self.per_caller_max) {
            return Err(full(format!(
                "you have {} live streams open, which is the limit \
                 (`hub.event_streams_per_caller_max`)",
                self.per_caller_max
            )));
        }
        if open.values().sum::<usize>() >= self.max {
            return Err(full(format!(
                "{} live streams are open, which is the limit (`hub.event_streams_max`)",
                self.max
            )));
        }
        *open.entry(caller.to_owned()).or_default() += 1;
        Ok(Place { caller: caller.to_owned(), open: Arc::clone(&self.open) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = counts(&self.open);
        match open.get_mut(&self.caller) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.remove(&self.caller)),
        }
    }
}

fn full(text: String) -> Failure {
    Failure::new(Reason::RateLimited, text).retry_after(RETRY_AFTER)
}

fn counts(open: &Mutex<HashMap<String, usize>>) -> MutexGuard<'_, HashMap<String, usize>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_caller_cannot_take_every_place() {
        let streams = Streams::new(3, 2);
        let (first, _second) = (streams.place("ann").unwrap(), streams.place("ann").unwrap());
        assert!(streams.place("ann").map(drop).unwrap_err().message.contains("per_caller"));
        let bob = streams.place("bob").unwrap();
        assert!(streams.place("eve").map(drop).unwrap_err().message.contains("3 live streams"));
        drop((first, bob));
        let _places = (streams.place("ann").unwrap(), streams.place("eve").unwrap());
        assert_eq!(counts(&streams.open).len(), 2);
    }
}
