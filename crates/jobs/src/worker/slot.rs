//! A slot runs one job at a time: it takes a ticket, claims the best row of the kind, runs it.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use chassis::Shutdown;
use tokio::time::{sleep, timeout};
use uuid::Uuid;

use super::{Core, Kind, settle, supervise};
use crate::claim::Lane;
use crate::db;
use crate::db::claim::{Claimant, Claimed};
use crate::verdict::Verdict;

/// A slot that gets no ticket looks into the ledger this often: a lost ticket, or a bus that is
/// silent rather than gone, delays work by no more.
const FALLBACK_INTERVAL: Duration = Duration::from_secs(5);

/// The slot of urgent jobs and the runner of suspects look this often when nobody woke them.
const POLL_INTERVAL: Duration = Duration::from_secs(1);

/// A suspect waits for the others to end for this share of the lease at first, then for twice as
/// long, up to a whole lease: while it waits nobody begins anything.
const PATIENCE_PER_LEASE: u32 = 12;

/// When they did not end in time, they go on for so many times as long before it waits again.
const OTHERS_TURN: u32 = 2;

/// Before a slot goes on after the database failed it.
const RETRY_DELAY: Duration = Duration::from_millis(500);

/// An ordinary slot of a kind.
pub(super) async fn ordinary(
    core: Arc<Core>,
    kind: &'static str,
    stop: Shutdown,
) -> anyhow::Result<()> {
    let kind = &core.kinds[kind];
    loop {
        // Kept while other things wake the slot: dropping it could drop a ticket.
        let mut ticket = pin!(kind.tickets.next());
        loop {
            tokio::select! {
                biased;
                () = stop.cancelled() => return Ok(()),
                _ = &mut ticket => break,
                () = kind.due.notified() => {}
                () = sleep(FALLBACK_INTERVAL) => {}
            }
            while take(&core, kind, None, &stop).await {}
        }
        take(&core, kind, None, &stop).await;
    }
}

/// The slot that is kept for urgent jobs. It needs no tickets: the ledger says when there is one.
pub(super) async fn urgent(
    core: Arc<Core>,
    kind: &'static str,
    stop: Shutdown,
) -> anyhow::Result<()> {
    let kind = &core.kinds[kind];
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = kind.urgent.notified() => {}
            () = sleep(POLL_INTERVAL) => {}
        }
        while take(&core, kind, Some(Lane::Urgent), &stop).await {}
    }
}

/// Runs jobs that once took their worker down, each alone.
pub(super) async fn suspects(core: Arc<Core>, stop: Shutdown) -> anyhow::Result<()> {
    let kinds = core.kind_names();
    let patience_min = core.config.lease() / PATIENCE_PER_LEASE;
    let mut patience = patience_min;
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return Ok(()),
            () = core.suspects.notified() => {}
            () = sleep(POLL_INTERVAL) => {}
        }
        // Asked first, as waiting to be alone holds up everyone.
        let waits = core.within(db::claim::suspect_waits(&core.pool, &kinds)).await;
        if !waits.unwrap_or(false) {
            continue;
        }
        let alone = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            alone = timeout(patience, core.company.write()) => alone,
        };
        let Ok(_alone) = alone else {
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = sleep(patience * OTHERS_TURN) => {}
            }
            patience = (patience * 2).min(core.config.lease());
            continue;
        };
        patience = patience_min;
        while let Some((claimed, token)) = claim_suspect(&core, &kinds, &stop).await {
            run(&core, claimed, token, &stop).await;
        }
    }
}

/// Claims and runs one job; false when there was none.
async fn take(core: &Core, kind: &Kind, lane: Option<Lane>, stop: &Shutdown) -> bool {
    let _company = tokio::select! {
        biased;
        () = stop.cancelled() => return false,
        company = core.company.read() => company,
    };
    let Some((claimed, token)) = claim_best(core, kind, lane, stop).await else {
        return false;
    };
    run(core, claimed, token, stop).await;
    true
}

async fn run(core: &Core, claimed: Claimed, token: Uuid, stop: &Shutdown) {
    let kind = &core.kinds[claimed.kind.as_str()];
    if stop.is_cancelled() {
        let verdict = Verdict::Requeue {
            outcome: "handed_back",
            error: None,
            after: Duration::ZERO,
            charged: false,
        };
        settle::settle(core, &claimed, token, verdict, None).await;
        return;
    }
    supervise::run(core, &kind.registered, claimed, token).await;
}

async fn claim_best(
    core: &Core,
    kind: &Kind,
    lane: Option<Lane>,
    stop: &Shutdown,
) -> Option<(Claimed, Uuid)> {
    let name = kind.registered.kind;
    let first = lane.unwrap_or_else(|| Lane::of_claim(kind.claims.load(Ordering::Relaxed)));
    let claimant = claimant(core);
    let claimed = async {
        let best = db::claim::best(&core.pool, claimant, name, first).await?;
        if best.is_none() && first == Lane::Low {
            return db::claim::best(&core.pool, claimant, name, Lane::Any).await;
        }
        Ok(best)
    };
    let claimed = answered(core, claimant, core.within(claimed).await, stop).await?;
    kind.claims.fetch_add(1, Ordering::Relaxed);
    Some(claimed)
}

async fn claim_suspect(core: &Core, kinds: &[String], stop: &Shutdown) -> Option<(Claimed, Uuid)> {
    if stop.is_cancelled() {
        return None;
    }
    let claimant = claimant(core);
    let claimed = core.within(db::claim::suspect(&core.pool, claimant, kinds)).await;
    answered(core, claimant, claimed, stop).await
}

fn claimant(core: &Core) -> Claimant {
    Claimant { worker: core.id, token: Uuid::new_v4(), lease: core.config.lease() }
}

/// A claim whose answer never came may have been made all the same: before the slot goes on, it
/// gives back whatever the token holds.
async fn answered(
    core: &Core,
    claimant: Claimant,
    claimed: Result<Option<Claimed>, sqlx::Error>,
    stop: &Shutdown,
) -> Option<(Claimed, Uuid)> {
    match claimed {
        Ok(claimed) => return claimed.map(|claimed| (claimed, claimant.token)),
        Err(error) => tracing::warn!(error = %error, "a claim failed"),
    }
    loop {
        tokio::select! {
            () = stop.cancelled() => {}
            () = sleep(RETRY_DELAY) => {}
        }
        match core.within(db::claim::give_back(&core.pool, claimant.token)).await {
            Ok(()) => return None,
            // A reaper finds it.
            Err(_) if stop.is_cancelled() => return None,
            Err(error) => tracing::debug!(error = %error, "a claim was not given back yet"),
        }
    }
}
