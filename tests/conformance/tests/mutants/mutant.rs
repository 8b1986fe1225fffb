//! [`Mutant`]: a sound broker with one defect.

mod continued;
mod harness;
mod history;
mod inputs;
mod outbox;
mod reports;
mod schedules;
mod unique;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use taskconformance::async_trait;
use taskcore::broker::{
    Broker, BrokerError, CancelOutcome, CancelScope, Cancelled, Capabilities, Connection, Cursor,
    Delivery, Depth, Due, Enqueued, Extended, Finding, Finished, Input, JobFilter, JobRecord,
    JobState, Keep, Lookup, Maintain, NewJob, Operate, QueueStatus, Receipt, Reserve, ResultStore,
    Settled, Settlement, Upkeep, Verdict,
};
use taskcore::{Failure, JobId, Priority, QueueName};
use tokio_util::sync::CancellationToken;

use crate::defect::Defect;
pub(crate) use harness::MutantHarness;

/// A sound broker with one defect. Each method is the sound one but for the defects that
/// are about it.
#[derive(Debug)]
struct Mutant {
    inner: Connection,
    defect: Defect,
    notes: Arc<Mutex<Notes>>,
}

/// What a mutant needs to know to be wrong.
#[derive(Debug, Default)]
struct Notes {
    /// The latest delivery of each job.
    latest: HashMap<JobId, Delivery>,
    /// Jobs by the order of the calls that reserved them.
    together: Vec<Vec<Receipt>>,
    /// Jobs that are due later, as the last upkeep left them.
    held_back: Vec<NewJob>,
    /// The inputs of each job that has some.
    inputs: HashMap<JobId, Vec<Input>>,
    /// What stands in place of inputs.
    gates: Vec<inputs::Gate>,
    /// The jobs that were continued.
    continued: Vec<JobId>,
    /// What jobs have said.
    said: reports::Said,
    /// Verdicts that an attempt failed, and that did not count.
    stale_retries: u64,
}

impl Mutant {
    fn has(&self, defect: Defect) -> bool {
        self.defect == defect
    }

    fn notes(&self) -> MutexGuard<'_, Notes> {
        self.notes.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn results(&self) -> &dyn ResultStore {
        self.inner.results.as_deref().unwrap()
    }

    fn operate(&self) -> &dyn Operate {
        self.inner.operate.as_deref().unwrap()
    }

    /// What is stored in place of a job.
    fn spoil_job(&self, job: &NewJob) -> NewJob {
        let mut job = job.clone();
        match self.defect {
            Defect::IgnoresPriority => job.priority = Priority::default(),
            Defect::DeliversEarly => job.due = Due::Now,
            Defect::DeliversLate => {
                if let Due::After(span) = &mut job.due {
                    *span += Duration::from_secs(1);
                }
            }
            Defect::NeverExpires => job.expires_in = None,
            Defect::CutsTexts => job.task = job.task.chars().take(64).collect::<String>().into(),
            Defect::ReadsEnvelopes => {
                let text = String::from_utf8_lossy(job.envelope.as_slice()).into_owned();
                job.envelope = text.into_bytes().into();
            }
            Defect::FoldsQueueCase => {
                job.queue = QueueName::new(job.queue.as_str().to_lowercase()).unwrap();
            }
            _ => {}
        }
        self.spoil_inputs(&mut job);
        self.spoil_key(&mut job);
        job
    }

    fn spoil_request(&self, request: &Reserve) -> Reserve {
        let mut request = request.clone();
        match self.defect {
            Defect::IgnoresLeaseEnd => request.lease *= 1_000,
            Defect::IgnoresQueueOrder => request.queues.sort_by_key(|share| share.queue.clone()),
            Defect::IgnoresWait => request.wait = Duration::ZERO,
            Defect::DropsInterrupted => request.interrupt = CancellationToken::new(),
            Defect::IgnoresQueueLimit => {
                for share in &mut request.queues {
                    share.max = request.max;
                }
            }
            _ => {}
        }
        request
    }

    async fn spoil_deliveries(&self, deliveries: &mut Vec<Delivery>) -> Result<(), BrokerError> {
        match self.defect {
            Defect::HandsOutBackwards => deliveries.reverse(),
            Defect::SuspectsNobody => {
                for delivery in deliveries {
                    delivery.suspect = false;
                }
            }
            Defect::BeginsAtOnce => {
                for delivery in deliveries {
                    self.inner.broker.begin(&delivery.receipt).await?;
                }
            }
            Defect::DeliversTwice => {
                let release = |delivery: &Delivery| Settlement {
                    job: delivery.job,
                    receipt: delivery.receipt.clone(),
                    verdict: Verdict::Release,
                };
                let releases: Vec<_> = deliveries.iter().map(release).collect();
                self.inner.broker.settle(&releases).await?;
            }
            _ => {}
        }
        Ok(())
    }

    /// Leases, and then hands out what it had seen before, which others may have seen too.
    async fn reserve_in_two_steps(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let seen = self.notes().latest.values().next().cloned();
        let mut deliveries = self.inner.broker.reserve(request).await?;
        if let (Some(seen), Some(last)) = (seen, deliveries.last_mut()) {
            *last = seen;
        }
        Ok(deliveries)
    }

    fn note(&self, deliveries: &[Delivery]) {
        let mut notes = self.notes();
        for delivery in deliveries {
            notes.latest.insert(delivery.job, delivery.clone());
        }
        notes.together.push(deliveries.iter().map(|delivery| delivery.receipt.clone()).collect());
    }

    /// The verdict that is recorded in place of another; `None` if none is.
    fn spoil_settlement(&self, settlement: &Settlement) -> Option<Settlement> {
        let mut settlement = settlement.clone();
        match (self.defect, &mut settlement.verdict) {
            (Defect::ForgetsRelease, Verdict::Release) => return None,
            (Defect::PrunesEarly, Verdict::Done { keep: Keep::For(span), .. }) => *span /= 2,
            (Defect::CountsSnoozes, Verdict::Snooze { after }) => {
                let failure = Failure::lost(settlement.job, String::new(), 1, 0);
                settlement.verdict = Verdict::Retry { after: *after, failure };
            }
            (Defect::CutsFailures, Verdict::Failed { failure }) => failure.causes.clear(),
            (Defect::DropsFailed, Verdict::Failed { .. }) => {
                settlement.verdict = Verdict::Cancelled;
            }
            (Defect::IgnoresSnoozes, Verdict::Snooze { .. }) => {
                settlement.verdict = Verdict::Release;
            }
            (Defect::IgnoresFence, _) => {
                if let Some(latest) = self.notes().latest.get(&settlement.job) {
                    settlement.receipt = latest.receipt.clone();
                }
            }
            _ => {}
        }
        self.spoil_continuation(&mut settlement);
        Some(settlement)
    }

    /// Another copy of each job that was released.
    async fn release_again(&self, batch: &[Settlement]) -> Result<(), BrokerError> {
        let released = batch.iter().filter(|one| matches!(one.verdict, Verdict::Release));
        let copy = |delivery: &Delivery| NewJob {
            id: JobId::new(),
            queue: delivery.queue.clone(),
            task: delivery.task.clone().into(),
            priority: Priority::default(),
            due: Due::Now,
            expires_in: None,
            inputs: Vec::new(),
            unique: None,
            with_next: false,
            envelope: delivery.envelope.clone(),
        };
        let copies: Vec<_> = {
            let notes = self.notes();
            released.filter_map(|one| notes.latest.get(&one.job)).map(copy).collect()
        };
        self.inner.broker.enqueue(&copies).await.map(drop)
    }

    /// Settles by id what nobody has a lease of.
    async fn settle_reclaimed(
        &self,
        batch: &[Settlement],
        answers: &mut [Settled],
    ) -> Result<(), BrokerError> {
        for (settlement, answer) in batch.iter().zip(answers) {
            let ids = [settlement.job];
            let is_ready = matches!(
                self.results().outcomes(&ids).await?[..],
                [Lookup::Pending(JobState::Ready)]
            );
            if *answer == Settled::Stale && is_ready {
                self.operate().cancel(&ids, CancelScope::WithInputs).await?;
                *answer = Settled::Applied;
            }
        }
        Ok(())
    }

    /// Everything that was reserved in one call with one of these.
    fn neighbours(&self, receipts: &[Receipt]) -> Vec<Receipt> {
        let notes = self.notes();
        let groups = notes.together.iter();
        let touched = groups.filter(|group| group.iter().any(|one| receipts.contains(one)));
        touched.flatten().cloned().collect()
    }
}

#[async_trait]
impl Broker for Mutant {
    fn name(&self) -> &'static str {
        self.inner.broker.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.inner.broker.capabilities()
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        if self.has(Defect::SharesItsEnd) {
            return Ok(self.inner.broker.clone());
        }
        self.inner.broker.duplicate().await
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        let mut jobs: Vec<NewJob> = batch.iter().map(|job| self.spoil_job(job)).collect();
        match self.defect {
            Defect::LosesTail if jobs.len() > 1 => {
                jobs.pop();
            }
            Defect::StoresHalfABatch => {
                for job in &jobs {
                    self.inner.broker.enqueue(std::slice::from_ref(job)).await?;
                }
            }
            Defect::PromotesByUpkeepOnly => {
                let is_later = |job: &NewJob| job.due != Due::Now;
                self.notes().held_back.extend(jobs.iter().filter(|job| is_later(job)).cloned());
                jobs.retain(|job| !is_later(job));
            }
            _ => {}
        }
        let wanted = jobs.len();
        self.gate_inputs(&mut jobs);
        let mut answers = self.inner.broker.enqueue(&jobs).await?;
        // Gates come first.
        answers.drain(..jobs.len() - wanted);
        if self.has(Defect::StoresDuplicates) {
            for (job, answer) in jobs.iter().zip(&mut answers) {
                let again = NewJob { id: JobId::new(), ..job.clone() };
                if *answer == Enqueued::Duplicate {
                    self.inner.broker.enqueue(&[again]).await?;
                    *answer = Enqueued::Stored;
                }
            }
        }
        self.spoil_conflicts(&jobs, &mut answers).await?;
        answers.resize(batch.len(), Enqueued::Stored);
        Ok(answers)
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        let spoilt = self.spoil_request(request);
        let mut deliveries = if self.has(Defect::ReservesInTwoSteps) {
            self.reserve_in_two_steps(&spoilt).await?
        } else {
            self.inner.broker.reserve(&spoilt).await?
        };
        self.spoil_deliveries(&mut deliveries).await?;
        self.note(&deliveries);
        if self.has(Defect::ReleasesAtHandOut) {
            let jobs: Vec<_> = deliveries.iter().map(|delivery| delivery.job).collect();
            self.open_gates(&jobs).await?;
        }
        if self.has(Defect::DropsInterrupted) && request.interrupt.is_cancelled() {
            deliveries.clear();
        }
        Ok(deliveries)
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.inner.broker.begin(receipt).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        let spoilt: Vec<_> =
            batch.iter().filter_map(|settlement| self.spoil_settlement(settlement)).collect();
        if self.has(Defect::StoresJobsOfStale) || self.has(Defect::DisownsContinuations) {
            self.store_jobs_of_continuations(batch).await?;
        }
        let mut answers = self.inner.broker.settle(&spoilt).await?;
        self.count_stale_retries(&spoilt, &answers);
        answers.resize(batch.len(), Settled::Applied);
        match self.defect {
            Defect::AnswersOutOfOrder => answers.sort_by_key(|answer| *answer == Settled::Stale),
            Defect::ReleasesTwice => self.release_again(batch).await?,
            Defect::SettlesReclaimed => self.settle_reclaimed(batch, &mut answers).await?,
            Defect::ReleasesAtAnyVerdict => {
                let jobs: Vec<_> = batch.iter().map(|settlement| settlement.job).collect();
                self.open_gates(&jobs).await?;
            }
            Defect::PrunesInputsOfTheFirst => {
                self.delete_inputs(batch, |verdict| matches!(verdict, Verdict::Done { .. }))
                    .await?;
            }
            Defect::PrunesInputsOfFailed => {
                self.delete_inputs(batch, |verdict| matches!(verdict, Verdict::Failed { .. }))
                    .await?;
            }
            _ => {}
        }
        Ok(answers)
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        if self.has(Defect::ExtendsNeighbours) {
            self.inner.broker.extend(&self.neighbours(receipts), lease).await?;
        }
        let answers = self.inner.broker.extend(receipts, lease).await?;
        if self.has(Defect::ExtendsAnything) {
            return Ok(vec![Extended::Held; answers.len()]);
        }
        Ok(answers)
    }

    async fn cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        self.spoil_cancelled(after, wait).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        let mut maintain = *maintain;
        match self.defect {
            Defect::IgnoresBudget => maintain.budget = std::num::NonZeroU32::MAX,
            Defect::ReleasesByUpkeepOnly => self.open_gates_of_done().await?,
            Defect::PrunesInputsOfBlocked => self.delete_all_inputs().await?,
            Defect::RecoversOnceMore => maintain.recovery_limit += 1,
            Defect::RecoversOnceLess => maintain.recovery_limit -= 1,
            Defect::PromotesByUpkeepOnly => {
                let held_back = std::mem::take(&mut self.notes().held_back);
                self.inner.broker.enqueue(&held_back).await?;
            }
            Defect::ReclaimsAnything => {
                let receipts: Vec<_> =
                    self.notes().latest.values().map(|one| one.receipt.clone()).collect();
                self.inner.broker.extend(&receipts, Duration::ZERO).await?;
            }
            _ => {}
        }
        self.inner.broker.maintain(&maintain).await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        let mut depths = self.inner.broker.depth(queues).await?;
        if self.has(Defect::KnowsNoUnknownQueue) {
            for depth in &mut depths {
                depth.ready = depth.ready.filter(|count| *count > 0);
            }
        }
        depths.iter_mut().for_each(|depth| self.spoil_depth(depth));
        Ok(depths)
    }

    async fn close(&self) -> Result<(), BrokerError> {
        if self.has(Defect::NeverCloses) {
            return Ok(());
        }
        self.inner.broker.close().await
    }
}

#[async_trait]
impl ResultStore for Mutant {
    async fn outcomes(&self, ids: &[JobId]) -> Result<Vec<Lookup>, BrokerError> {
        let mut lookups = self.results().outcomes(ids).await?;
        for lookup in &mut lookups {
            self.spoil_lookup(lookup);
            self.spoil_continued(lookup);
        }
        if self.has(Defect::ConsumesResults) {
            let filter = JobFilter {
                ids: Some(ids.to_vec()),
                states: vec![JobState::Done],
                ..JobFilter::default()
            };
            self.operate().purge(&filter).await?;
        }
        Ok(lookups)
    }

    async fn finished(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Finished, BrokerError> {
        let mut finished = self.results().finished(after, wait).await?;
        if self.has(Defect::StartsAtTheFirstEnd) && after.is_none() {
            finished.next = Cursor(0);
        }
        if self.has(Defect::NamesEndsBackwards) {
            finished.ids.reverse();
        }
        Ok(finished)
    }
}

#[async_trait]
impl Operate for Mutant {
    async fn jobs(&self, filter: &JobFilter) -> Result<Vec<JobRecord>, BrokerError> {
        if self.has(Defect::ListsTheUnknownAsNone) && filter.states != [JobState::Failed] {
            return Ok(Vec::new());
        }
        let mut records = self.operate().jobs(filter).await?;
        if self.has(Defect::ListsOldestFirst) {
            records.reverse();
        }
        Ok(records)
    }

    async fn cancel(
        &self,
        ids: &[JobId],
        scope: CancelScope,
    ) -> Result<Vec<CancelOutcome>, BrokerError> {
        if self.has(Defect::CancelsTooLate) {
            return Ok(vec![CancelOutcome::TooLate; ids.len()]);
        }
        if self.has(Defect::CancelsOnlyWaiting) {
            let states = self.results().outcomes(ids).await?;
            if states.iter().all(|state| matches!(state, Lookup::Pending(JobState::Running))) {
                return Ok(vec![CancelOutcome::Signalled; ids.len()]);
            }
        }
        let scope = if self.has(Defect::IgnoresScope) { CancelScope::WithInputs } else { scope };
        let answers = self.operate().cancel(ids, scope).await?;
        if self.has(Defect::CancelsSharedInputs) && scope == CancelScope::WithInputs {
            self.cancel_owned(ids).await?;
        }
        Ok(answers)
    }

    async fn replay(&self, filter: &JobFilter) -> Result<Vec<JobId>, BrokerError> {
        let failed_by_input = self.failed_by_input().await?;
        let mut ids = if self.has(Defect::ReplaysByInput) {
            self.operate().replay(&self.name_inputs(filter)).await?
        } else if self.has(Defect::ReplaysAll) {
            self.operate().replay(&JobFilter::default()).await?
        } else {
            self.operate().replay(filter).await?
        };
        if self.has(Defect::ReplaysWithoutReviving) {
            self.end_revived(&failed_by_input).await?;
        }
        if self.has(Defect::ReplaysBackwards) {
            ids.reverse();
        }
        if self.has(Defect::AnswersWhatItPassedOver)
            && let Some(asked) = &filter.ids
        {
            ids.clone_from(asked);
        }
        Ok(ids)
    }

    async fn purge(&self, filter: &JobFilter) -> Result<u64, BrokerError> {
        if self.has(Defect::PurgesAll) {
            return self.operate().purge(&JobFilter::default()).await;
        }
        self.operate().purge(filter).await
    }

    async fn queues(&self) -> Result<Vec<QueueStatus>, BrokerError> {
        self.operate().queues().await
    }

    async fn pause(&self, queue: &QueueName, paused: bool) -> Result<(), BrokerError> {
        if self.has(Defect::IgnoresPause) {
            return Ok(());
        }
        self.operate().pause(queue, paused).await
    }

    async fn check(&self) -> Result<Vec<Finding>, BrokerError> {
        self.operate().check().await
    }
}
