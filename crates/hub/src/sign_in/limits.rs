//! How often someone may try to sign in.

use std::{
    collections::HashMap,
    hash::Hash,
    net::{IpAddr, Ipv6Addr},
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use proto::{Failure, Reason};

/// What the limits are counted by.
const PERIOD: Duration = Duration::from_secs(60);
/// Failures of one name over all addresses, as a multiple of one address' attempts: a single
/// address can lock nobody out, and many together guess no faster than this.
const NAME_FACTOR: u32 = 10;
/// Keys that are remembered before those that no longer matter are forgotten.
const KEYS_MAX: usize = 10_000;

/// Limits on attempts by address, and on failures by user name.
pub(crate) struct Limits {
    addresses: Rate<IpAddr>,
    names: Rate<String>,
}

impl Limits {
    /// Limits of so many attempts a minute from one address; 0 counts as 1.
    pub(crate) fn per_minute(attempts: u32) -> Self {
        Self {
            addresses: Rate::per_period(attempts),
            names: Rate::per_period(attempts.saturating_mul(NAME_FACTOR)),
        }
    }

    /// Counts an attempt, as if it failed.
    pub(super) fn attempt(&self, address: IpAddr, name: &str) -> Result<(), Failure> {
        let now = Instant::now();
        self.addresses.take(network(address), now).map_err(too_many)?;
        self.names.take(name.to_lowercase(), now).map_err(too_many)
    }

    /// Takes back that an attempt counted against its name: it did not fail.
    pub(super) fn succeeded(&self, name: &str) {
        self.names.give_back(&name.to_lowercase());
    }
}

/// One subscriber has many IPv6 addresses, but a /64 is the least that is given to one.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let prefix = u128::from(address) >> 64 << 64;
            Ipv6Addr::from(prefix).into()
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

fn too_many(wait: Duration) -> Failure {
    let seconds = wait.as_secs() + 1;
    Failure::new(
        Reason::RateLimited,
        format!("too many attempts to sign in; try again in {seconds} s"),
    )
    .retry_after(Duration::from_secs(seconds))
}

/// So many events a period and key: all at once, or evenly spread.
struct Rate<K> {
    /// What one event takes of the period.
    share: Duration,
    /// When each key's events will have been worked off.
    done_at: Mutex<HashMap<K, Instant>>,
}

impl<K: Eq + Hash> Rate<K> {
    fn per_period(events: u32) -> Self {
        Self { share: PERIOD / events.max(1), done_at: Mutex::default() }
    }

    /// Counts an event, or says how long to wait until there is room for it.
    fn take(&self, key: K, now: Instant) -> Result<(), Duration> {
        let mut all = self.all();
        if all.len() >= KEYS_MAX {
            all.retain(|_, done_at| *done_at > now);
        }
        let done_at = all.get(&key).map_or(now, |at| (*at).max(now)) + self.share;
        let ahead = done_at - now;
        if ahead > PERIOD {
            return Err(ahead - PERIOD);
        }
        all.insert(key, done_at);
        Ok(())
    }

    fn give_back(&self, key: &K) {
        if let Some(done_at) = self.all().get_mut(key) {
            *done_at -= self.share;
        }
    }

    fn all(&self) -> MutexGuard<'_, HashMap<K, Instant>> {
        self.done_at.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_with_time_and_what_is_given_back_at_once() {
        let (rate, start) = (Rate::per_period(3), Instant::now());
        let at = |seconds| start + Duration::from_secs(seconds);
        for _ in 0..3 {
            rate.take("ann", at(0)).unwrap();
        }
        assert_eq!(rate.take("ann", at(5)).unwrap_err(), Duration::from_secs(15));
        rate.take("bob", at(5)).unwrap();
        rate.take("ann", at(20)).unwrap();
        rate.take("ann", at(20)).unwrap_err();
        rate.give_back(&"ann");
        rate.take("ann", at(20)).unwrap();
    }

    #[test]
    fn one_address_locks_nobody_out() {
        let limits = Limits::per_minute(3);
        let address = |last| IpAddr::from([192, 0, 2, last]);
        for _ in 0..3 {
            limits.attempt(address(1), "Admin").unwrap();
        }
        assert_eq!(limits.attempt(address(1), "bob").unwrap_err().reason, Reason::RateLimited);
        for last in 2..=28 {
            limits.attempt(address(last), "admin").unwrap();
        }
        // Many addresses together guess no faster than the limit of the name.
        limits.attempt(address(29), "ADMIN").unwrap_err();
        limits.succeeded("admin");
        limits.attempt(address(30), "admin").unwrap();
    }

    #[test]
    fn neighbours_in_one_ipv6_network_count_as_one() {
        let parse = |text: &str| network(text.parse().unwrap());
        assert_eq!(parse("2001:db8::1"), parse("2001:db8::ffff:1"));
        assert_ne!(parse("2001:db8::1"), parse("2001:db8:0:1::1"));
        assert_eq!(parse("::ffff:192.0.2.1"), parse("192.0.2.1"));
    }
}
