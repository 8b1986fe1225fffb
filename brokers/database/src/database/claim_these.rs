//! Handing jobs out by their ids.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::{Claim, Claimed, Delivery};

use super::args::Args;
use super::claim::{PROMOTE_AT_ONCE, promote};
use super::finish::{push_seq, same};
use super::hand_out::Leasing;
use super::outbox;
use super::row::{self, Row};
use super::session::Session;
use super::statements::{self, outbox as sql};
use super::writer::Write;

/// Leases jobs by their ids.
#[derive(Debug)]
pub(super) struct ClaimThese {
    jobs: Vec<JobId>,
    lease: Duration,
    worker: String,
}

impl ClaimThese {
    pub(super) fn of(claim: &Claim) -> Self {
        let Claim { jobs, lease, worker } = claim.clone();
        Self { jobs, lease, worker }
    }
}

impl Write for ClaimThese {
    const NAME: &'static str = "claim";
    const NEEDS_CALLER: bool = true;
    /// As for `reserve`.
    const IS_DURABLE: bool = false;
    type Answer = Vec<Claimed>;

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<Claimed>, sqlx::Error> {
        // Each once, and in one order for all, so that nobody waits for a row of somebody who waits
        // for theirs.
        let ids: Vec<JobId> =
            self.jobs.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let leasing = Leasing::of(self.lease, &self.worker);
        let mut leased = Leased::default();
        leased.take(session, &leasing, &ids).await?;
        let left: Vec<JobId> =
            ids.into_iter().filter(|id| !leased.by_job.contains_key(id)).collect();
        let Stored { all: stored, due } = Stored::among(session, &left).await?;
        if !due.is_empty() && promote(session, PROMOTE_AT_ONCE).await? > 0 {
            leased.take(session, &leasing, &due).await?;
        }
        let answer = |id: &JobId| match leased.by_job.remove(id) {
            Some(delivery) => {
                leased.given.insert(*id);
                Claimed::Leased(Box::new(delivery))
            }
            None if stored.contains(id) || leased.given.contains(id) => Claimed::NotReady,
            None => Claimed::Unknown,
        };
        Ok(self.jobs.iter().map(answer).collect())
    }
}

/// What the claim has got.
#[derive(Debug, Default)]
struct Leased {
    by_job: HashMap<JobId, Delivery>,
    /// Those that were answered.
    given: HashSet<JobId>,
}

impl Leased {
    async fn take(
        &mut self,
        session: &mut Session<'_>,
        leasing: &Leasing<'_>,
        ids: &[JobId],
    ) -> Result<(), sqlx::Error> {
        let rows = take(session, leasing, ids).await?;
        let mut deliveries = Vec::with_capacity(rows.len());
        leasing.hand_out(session, &rows, row::queue, &mut deliveries).await?;
        self.by_job.extend(deliveries.into_iter().map(|delivery| (delivery.job, delivery)));
        Ok(())
    }
}

/// Takes those of these jobs that are ready, leases them and deletes their entries.
async fn take(
    session: &mut Session<'_>,
    leasing: &Leasing<'_>,
    ids: &[JobId],
) -> Result<Vec<Row>, sqlx::Error> {
    let push = |args: &mut Args, id: &JobId| args.push(*id);
    let now_ms = session.now_ms;
    let bind = |args: Args| leasing.bind(args, now_ms);
    #[cfg(feature = "postgres")]
    if sql::CLAIM_THESE.is_said_in(&session.sql.dialect) {
        return session.sql.fetch_bulk(&sql::CLAIM_THESE, ids, push, bind).await;
    }
    let rows = session.sql.fetch_bulk(&sql::READY_THESE, ids, push, same).await?;
    let seqs = rows.iter().map(|row| row::integer(row, "seq")).collect::<Result<Vec<_>, _>>()?;
    session.sql.execute_bulk(&statements::LEASE_THESE, &seqs, push_seq, bind).await?;
    session.sql.execute_bulk(&statements::UNREADY, &seqs, push_seq, same).await?;
    outbox::leave(session, &seqs).await?;
    Ok(rows)
}

/// Jobs that are stored and were not ready.
#[derive(Debug, Default)]
struct Stored {
    all: HashSet<JobId>,
    /// Those that become ready as soon as somebody looks.
    due: Vec<JobId>,
}

impl Stored {
    async fn among(session: &mut Session<'_>, ids: &[JobId]) -> Result<Self, sqlx::Error> {
        let push = |args: &mut Args, id: &JobId| args.push(*id);
        let now_ms = session.now_ms;
        let rest = |args: Args| args.with(now_ms);
        let mut stored = Self::default();
        for row in session.sql.fetch_bulk(&sql::STORED_THESE, ids, push, rest).await? {
            let id = row::job_id(&row, "id")?;
            if row::is_set(&row, "is_due")? {
                stored.due.push(id);
            }
            stored.all.insert(id);
        }
        Ok(stored)
    }
}
