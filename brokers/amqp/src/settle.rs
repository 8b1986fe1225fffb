//! Verdicts. What follows from them is sent and confirmed first, and only then is the message of
//! the job acknowledged: whatever breaks in between, the job comes again.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jiff::Timestamp;
use taskcore::JobId;
use taskcore::broker::{
    BrokerError, Extended, JobState, Keep, Maintain, Receipt, Settled, Settlement, Upkeep, Verdict,
    millis,
};

use crate::NAME;
use crate::error::AmqpError;
use crate::leases::{Lease, Proof};
use crate::message::{Message, Outbound};
use crate::replies::reply;
use crate::session::Session;
use crate::store::Shared;

impl Shared {
    pub(crate) async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        if batch.iter().any(|it| matches!(it.verdict, Verdict::Continued { .. })) {
            let operation = "tasks that go on as other calls: add a result store, `results=URL`";
            return Err(BrokerError::Unsupported { broker: NAME, operation });
        }
        let Some(session) = self.link.current() else {
            // Every lease ended with the connection.
            let _ = self.link.session().await?;
            return Ok(vec![Settled::Stale; batch.len()]);
        };
        let now = self.options.clock.instant();
        let mut taken = Vec::with_capacity(batch.len());
        let mut answers = Vec::with_capacity(batch.len());
        for settlement in batch {
            let lease = self.proof(&session, &settlement.receipt).and_then(|proof| {
                let lease = session.lock_leases().take(proof.tag, settlement.job, now)?;
                Some((proof.tag, lease))
            });
            answers.push(if lease.is_some() { Settled::Applied } else { Settled::Stale });
            taken.extend(lease.map(|(tag, lease)| (tag, lease, &settlement.verdict)));
        }
        if let Err(error) = self.record(&session, &taken).await {
            let mut leases = session.lock_leases();
            for (tag, lease, _) in taken {
                leases.put_back(tag, lease);
            }
            return Err(error.into());
        }
        Ok(answers)
    }

    /// A receipt of this session.
    fn proof(&self, session: &Session, receipt: &Receipt) -> Option<Proof> {
        Proof::of(receipt)
            .filter(|proof| proof.instance == self.instance && proof.epoch == session.epoch)
    }

    async fn record(
        &self,
        session: &Session,
        verdicts: &[(u64, Lease, &Verdict)],
    ) -> Result<(), AmqpError> {
        if verdicts.is_empty() {
            return Ok(());
        }
        let now = Timestamp::now();
        let mut follows = Follows::default();
        for (_, lease, verdict) in verdicts {
            self.follow(&mut follows, lease, verdict, now);
        }
        session.send_jobs(&self.names, &follows.again, follows.others).await?;
        session.acknowledge(verdicts.iter().map(|(tag, _, _)| *tag)).await?;
        for job in follows.was_suspect {
            session.delete_begun(&self.names, job).await?;
        }
        Ok(())
    }

    /// What a verdict says to send.
    fn follow(&self, follows: &mut Follows, lease: &Lease, verdict: &Verdict, now: Timestamp) {
        let message = &lease.message;
        if lease.is_suspect() {
            follows.was_suspect.insert(message.job);
        }
        let due_in = |after: Duration| millis::later(millis::ceil_ms(now), after);
        match verdict {
            Verdict::Done { result, keep } => {
                if *keep != Keep::Nothing {
                    follows.others.extend(reply(message, JobState::Done, result.clone(), None));
                }
            }
            Verdict::Retry { after, .. } => {
                let mut again = message.clone();
                again.counts.failures = again.counts.failures.saturating_add(1);
                // It ran to an end, so it is not what killed its workers.
                again.counts.losses = 0;
                again.expires_ms = None;
                again.due_ms = due_in(*after);
                follows.again.push(again);
            }
            Verdict::Failed { failure } => {
                let mut failed = message.clone();
                failed.counts.failures = failed.counts.failures.saturating_add(1);
                let queue = self.names.failed(&failed.queue);
                follows.others.push(failed.failed(queue, failure, &lease.worker, now));
                follows.others.extend(reply(message, JobState::Failed, None, Some(failure)));
            }
            Verdict::Cancelled => {
                follows.others.extend(reply(message, JobState::Cancelled, None, None));
            }
            Verdict::Snooze { after } => {
                follows.again.push(Message { due_ms: due_in(*after), ..message.clone() });
            }
            // A verdict of a later contract, and a continuation, which was refused above, are
            // given back like a release.
            _ => follows.again.push(message.clone().ready(now)),
        }
    }

    /// Makes leases end `lease` from now. They are kept here, so this asks nobody.
    pub(crate) fn extend(&self, receipts: &[Receipt], lease: Duration) -> Vec<Extended> {
        let Some(session) = self.link.current() else {
            return vec![Extended::Lost; receipts.len()];
        };
        let now = self.options.clock.instant();
        let extend = |receipt| match self.proof(&session, receipt) {
            Some(proof) => session.lock_leases().extend(proof.tag, lease, now),
            None => Extended::Lost,
        };
        receipts.iter().map(extend).collect()
    }

    /// Marks a delivery as begun: here, and for a suspect on the server, where the mark outlives
    /// this process.
    pub(crate) async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        let Some(session) = self.link.current() else { return Ok(Settled::Stale) };
        let Some(proof) = self.proof(&session, receipt) else { return Ok(Settled::Stale) };
        let suspect = {
            let mut leases = session.lock_leases();
            let Some(lease) = leases.current(proof.tag, self.options.clock.instant()) else {
                return Ok(Settled::Stale);
            };
            lease.begun = true;
            lease.is_suspect().then_some(lease.message.job)
        };
        if let Some(job) = suspect {
            // Declared when it was counted, before the job was handed out.
            session.publish(&[Outbound::mark(self.names.begun(job))]).await?;
        }
        Ok(Settled::Applied)
    }

    /// How often a suspect was begun.
    pub(crate) async fn begun(&self, session: &Session, job: JobId) -> Result<u32, AmqpError> {
        session.declare_begun(&self.names, job, self.options.names_several_nodes()).await
    }

    /// Takes back what belongs to a lease that has ended.
    pub(crate) async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.recovery_limit.store(maintain.recovery_limit, Ordering::Relaxed);
        let mut upkeep = Upkeep {
            lost: self.lost.swap(0, Ordering::Relaxed),
            expired: self.expired.swap(0, Ordering::Relaxed),
            ..Upkeep::default()
        };
        let session: Arc<Session> = self.link.session().await?;
        let budget = maintain.budget.get() as usize;
        let ended = session.lock_leases().take_ended(budget, self.options.clock.instant());
        let taken = self.take_back(&session, ended).await?;
        upkeep.lost += taken.lost;
        upkeep.reclaimed += taken.again;
        Ok(upkeep)
    }

    /// Sends jobs back to their queues whose leases are over, or ends them as lost.
    pub(crate) async fn take_back(
        &self,
        session: &Session,
        ended: Vec<(u64, Lease)>,
    ) -> Result<TakenBack, AmqpError> {
        if ended.is_empty() {
            return Ok(TakenBack::default());
        }
        let limit = self.recovery_limit.load(Ordering::Relaxed);
        let now = Timestamp::now();
        let (mut again, mut others, mut lost) = (Vec::new(), Vec::new(), 0);
        for (_, lease) in &ended {
            let mut message = lease.message.clone();
            message.counts.losses = message.counts.losses.saturating_add(1);
            if lease.begun {
                message.counts.recoveries = message.counts.recoveries.saturating_add(1);
            }
            if lease.begun && message.counts.recoveries > limit {
                lost += 1;
                others.extend(self.lost(&message, &lease.worker, now));
            } else {
                again.push(message.ready(now));
            }
        }
        let sent = async {
            session.send_jobs(&self.names, &again, others).await?;
            session.acknowledge(ended.iter().map(|(tag, _)| *tag)).await
        };
        if let Err(error) = sent.await {
            let mut leases = session.lock_leases();
            ended.into_iter().for_each(|(tag, lease)| leases.put_back(tag, lease));
            return Err(error);
        }
        for (_, lease) in ended.iter().filter(|(_, lease)| lease.begun && lease.is_suspect()) {
            session.delete_begun(&self.names, lease.message.job).await?;
        }
        Ok(TakenBack { again: again.len() as u64, lost })
    }
}

/// What became of jobs whose leases were over.
#[derive(Debug, Default)]
pub(crate) struct TakenBack {
    again: u64,
    lost: u64,
}

/// What verdicts say to send.
#[derive(Default)]
struct Follows {
    /// Jobs that run again.
    again: Vec<Message>,
    others: Vec<Outbound>,
    /// Jobs whose beginnings were counted.
    was_suspect: HashSet<JobId>,
}
