//! The two caches of a search, with honest counts: vectors of queries, which never go out of
//! date, and whole answers, which do as soon as anything that they show changes.

use std::{
    future::Future,
    hash::Hash,
    sync::Arc,
    time::{Duration, Instant},
};

use quick_cache::{Weighter, sync::Cache};

use crate::metrics::{CACHE_ENTRIES, CACHE_REQUESTS};

/// How a look-up ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lookup {
    /// It was there.
    Hit,
    /// It was made.
    Miss,
    /// Somebody else was making it.
    Coalesced,
    /// It was there for too long, and made again.
    Stale,
    /// Nobody looked.
    Bypass,
}

impl Lookup {
    /// The metric's label, and what answers say.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
            Self::Bypass => "bypass",
        }
    }
}

struct Entry<V> {
    value: Arc<V>,
    since: Instant,
    bytes: u64,
}

impl<V> Clone for Entry<V> {
    fn clone(&self) -> Self {
        Self { value: self.value.clone(), since: self.since, bytes: self.bytes }
    }
}

#[derive(Clone)]
struct Bytes;

impl<K, V> Weighter<K, Entry<V>> for Bytes {
    fn weight(&self, _: &K, entry: &Entry<V>) -> u64 {
        entry.bytes
    }
}

/// A bounded cache in which equal look-ups at the same time cost one computation.
pub struct SingleFlight<K, V> {
    name: &'static str,
    entries: Cache<K, Entry<V>, Bytes>,
    ttl: Option<Duration>,
}

impl<K: Hash + Eq + Clone, V> SingleFlight<K, V> {
    /// A cache of at most `bytes_max`, in about `entries` entries, each kept for at most `ttl`.
    #[must_use]
    pub fn new(name: &'static str, entries: usize, bytes_max: u64, ttl: Option<Duration>) -> Self {
        Self { name, entries: Cache::with_weighter(entries, bytes_max, Bytes), ttl }
    }

    /// The value of `key`, computed when it is not there; `bytes` says what it takes with its key,
    /// none that it is not to be kept. A failed computation is not kept either, and another caller
    /// that waited for it tries itself.
    ///
    /// # Errors
    /// Those of the computation.
    pub async fn get<E>(
        &self,
        key: &K,
        bytes: impl FnOnce(&V) -> Option<usize>,
        compute: impl Future<Output = Result<V, E>>,
    ) -> Result<(Arc<V>, Lookup), E> {
        let mut missed = Lookup::Miss;
        if let Some(entry) = self.entries.get(key) {
            if self.ttl.is_none_or(|ttl| entry.since.elapsed() < ttl) {
                return Ok((entry.value, self.count(Lookup::Hit)));
            }
            missed = Lookup::Stale;
            self.entries.remove_if(key, |old| old.since == entry.since);
        }
        match self.entries.get_value_or_guard_async(key).await {
            Ok(entry) => Ok((entry.value, self.count(Lookup::Coalesced))),
            Err(guard) => {
                self.count(missed);
                let value = compute.await?;
                let bytes = bytes(&value);
                let value = Arc::new(value);
                if let Some(bytes) = bytes {
                    let bytes = bytes as u64;
                    let entry = Entry { value: value.clone(), since: Instant::now(), bytes };
                    // A cache that evicts it at once is no reason to fail.
                    let _ = guard.insert(entry);
                }
                metrics::gauge!(CACHE_ENTRIES, "cache" => self.name).set(self.entries.len() as f64);
                Ok((value, missed))
            }
        }
    }

    /// Counts a look-up; also those that went past the cache.
    pub fn count(&self, lookup: Lookup) -> Lookup {
        metrics::counter!(CACHE_REQUESTS, "cache" => self.name, "result" => lookup.as_str())
            .increment(1);
        lookup
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    fn cache(ttl: Option<Duration>) -> SingleFlight<u8, u8> {
        SingleFlight::new("test", 16, 1_000, ttl)
    }

    #[tokio::test]
    async fn equal_lookups_at_the_same_time_cost_one_computation() {
        let (cache, computed) = (cache(None), AtomicUsize::new(0));
        let lookup = || {
            cache.get(&1, |_| Some(1), async {
                tokio::task::yield_now().await;
                computed.fetch_add(1, Ordering::Relaxed);
                Ok::<u8, ()>(7)
            })
        };
        let found = futures::future::join_all((0..10).map(|_| lookup())).await;
        assert_eq!(computed.load(Ordering::Relaxed), 1);
        let ended = |how| found.iter().filter(|it| it.as_ref().is_ok_and(|it| it.1 == how)).count();
        assert_eq!((ended(Lookup::Miss), ended(Lookup::Coalesced)), (1, 9));
        assert_eq!(lookup().await.map(|found| found.1), Ok(Lookup::Hit));
    }

    #[tokio::test]
    async fn a_failure_is_not_kept() {
        let cache = cache(None);
        assert_eq!(cache.get(&1, |_| Some(1), async { Err("no") }).await.map(|it| it.1), Err("no"));
        let found = cache.get(&1, |_| Some(1), async { Ok::<u8, &str>(7) }).await;
        assert_eq!(found.map(|it| (*it.0, it.1)), Ok((7, Lookup::Miss)));
    }

    #[tokio::test]
    async fn what_is_not_to_be_kept_is_made_again() {
        let cache = cache(None);
        let get = |value| cache.get(&1, |_| None, async move { Ok::<u8, ()>(value) });
        assert_eq!(get(1).await.map(|it| (*it.0, it.1)), Ok((1, Lookup::Miss)));
        assert_eq!(get(2).await.map(|it| (*it.0, it.1)), Ok((2, Lookup::Miss)));
    }

    #[tokio::test]
    async fn what_is_too_old_is_made_again() {
        let cache = cache(Some(Duration::ZERO));
        let get = |value| cache.get(&1, |_| Some(1), async move { Ok::<u8, ()>(value) });
        assert_eq!(get(1).await.map(|it| (*it.0, it.1)), Ok((1, Lookup::Miss)));
        assert_eq!(get(2).await.map(|it| (*it.0, it.1)), Ok((2, Lookup::Stale)));
    }
}
