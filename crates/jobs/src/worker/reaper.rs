//! Gives the jobs of silent workers to others, and ends jobs that nobody finished in time.

use std::sync::Arc;
use std::time::Duration;

use chassis::Shutdown;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::sleep;

use super::{Core, settle};
use crate::{db, signature};

/// Looks within one lease time.
const LOOKS_PER_LEASE: u32 = 6;

const LOST: &str = "the worker died or fell silent while it ran the job";
const EXPIRED: &str = "expired before it could be done";

/// Decides when leases may be taken for lost. Whoever was away, be it the reaper or the database,
/// gives the workers one lease time to say that they live.
#[derive(Debug, Default)]
struct Patience {
    last_look: Option<DateTime<Utc>>,
    patient_until: Option<DateTime<Utc>>,
}

impl Patience {
    /// Takes note of a look at the database's time `now` and says whether leases may be reaped.
    fn is_over(&mut self, now: DateTime<Utc>, lease: TimeDelta) -> bool {
        let seen_lately = self.last_look.is_some_and(|last| now - last <= lease / 2);
        self.last_look = Some(now);
        if !seen_lately {
            self.patient_until = Some(now + lease);
        }
        self.patient_until.is_none_or(|until| now >= until)
    }
}

pub(super) async fn run(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    let mut patience = Patience::default();
    let kinds = core.kind_names();
    loop {
        if let Err(error) = core.within(look(&core, &kinds, &mut patience)).await {
            tracing::warn!(error = %error, "the reaper could not look");
        }
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = sleep(core.config.lease() / LOOKS_PER_LEASE) => {}
        }
    }
}

async fn look(core: &Core, kinds: &[String], patience: &mut Patience) -> Result<(), sqlx::Error> {
    let lease = core.config.lease();
    let now = db::reap::now(&core.pool).await?;
    let delta = TimeDelta::from_std(lease).unwrap_or(TimeDelta::MAX);
    if patience.is_over(now, delta) {
        reap(core, kinds, lease, now).await?;
    }
    expire(core, kinds).await
}

async fn reap(
    core: &Core,
    kinds: &[String],
    lease: Duration,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    let signature = signature::of(LOST);
    let mut transaction = core.pool.begin().await?;
    let crashed = db::reap::silent(&mut transaction, kinds, lease, now, (LOST, &signature)).await?;
    for job in &crashed {
        settle::tell_crash(&mut transaction, job, LOST).await?;
    }
    transaction.commit().await?;
    if !crashed.is_empty() {
        core.suspects.notify_one();
    }
    Ok(())
}

async fn expire(core: &Core, kinds: &[String]) -> Result<(), sqlx::Error> {
    let signature = signature::of(EXPIRED);
    let mut transaction = core.pool.begin().await?;
    for job in db::reap::expired(&mut transaction, kinds, (EXPIRED, &signature)).await? {
        settle::tell_death(&mut transaction, job.id, &job.kind, job.project_id, EXPIRED).await?;
    }
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LEASE: TimeDelta = TimeDelta::seconds(60);

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("in range")
    }

    /// Looks at these times; the answers as a list of those that may reap.
    fn reaping(looks: &[i64]) -> Vec<i64> {
        let mut patience = Patience::default();
        looks.iter().copied().filter(|&look| patience.is_over(at(look), LEASE)).collect()
    }

    #[test]
    fn a_reaper_that_just_started_waits_for_one_lease() {
        assert_eq!(reaping(&[0, 10, 20, 30, 40, 50, 59, 60, 70]), [60, 70]);
    }

    #[test]
    fn a_database_that_was_stopped_is_a_new_start() {
        let looks = [0, 20, 40, 60, 80, 200, 220, 240, 259, 260];
        assert_eq!(reaping(&looks), [60, 80, 260]);
    }

    proptest! {
        #[test]
        fn no_reaping_within_one_lease_of_a_gap(
            gaps in proptest::collection::vec(1i64..90, 1..40),
        ) {
            let mut patience = Patience::default();
            let (mut now, mut gap_ended) = (0, 0);
            patience.is_over(at(0), LEASE);
            for gap in gaps {
                now += gap;
                if gap > 30 {
                    gap_ended = now;
                }
                let over = patience.is_over(at(now), LEASE);
                prop_assert_eq!(over, now - gap_ended >= 60);
            }
        }
    }
}
