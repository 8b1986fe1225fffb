//! What is wrong with mutants that mishandle jobs that wait for others.

use std::num::NonZeroU32;
use std::time::Duration;

use taskcore::broker::{
    BrokerError, CancelScope, Cancelled, Cursor, Delivery, Depth, Due, Input, JobFilter, JobRecord,
    JobState, Keep, Lookup, NewJob, QueueShare, Reserve, Settlement, Verdict,
};
use taskcore::{FailureKind, JobId, Payload, Priority, QueueName};
use tokio_util::sync::CancellationToken;

use super::Mutant;
use crate::defect::Defect;

/// A job of the mutant's own, in place of an input: it releases what waits for the input.
#[derive(Debug)]
pub(super) struct Gate {
    input: JobId,
    gate: JobId,
}

impl Mutant {
    /// What is stored in place of the inputs of a job.
    pub(super) fn spoil_inputs(&self, job: &mut NewJob) {
        if job.inputs.is_empty() {
            return;
        }
        match self.defect {
            Defect::IgnoresInputs => job.inputs.clear(),
            Defect::WaitsForOneInput => job.inputs.truncate(1),
            Defect::ForgetsTolerance => job.inputs.iter_mut().for_each(|one| one.tolerant = false),
            Defect::OwnsEveryInput => job.inputs.iter_mut().for_each(|one| one.owned = true),
            Defect::IgnoresDueOfBlocked => job.due = Due::Now,
            Defect::NeverExpiresBlocked => job.expires_in = None,
            Defect::LosesTransitiveFailure => {
                let notes = self.notes();
                for input in &mut job.inputs {
                    input.tolerant |= notes.inputs.contains_key(&input.job);
                }
            }
            _ => {}
        }
        self.notes().inputs.insert(job.id, job.inputs.clone());
    }

    /// Puts a gate in place of each input.
    pub(super) fn gate_inputs(&self, jobs: &mut Vec<NewJob>) {
        if !self.has_gates() {
            return;
        }
        let mut gates = Vec::new();
        for input in jobs.iter_mut().flat_map(|job| &mut job.inputs) {
            let gate = gate_job();
            self.notes().gates.push(Gate { input: input.job, gate: gate.id });
            input.job = gate.id;
            gates.push(gate);
        }
        jobs.splice(0..0, gates);
    }

    fn has_gates(&self) -> bool {
        matches!(
            self.defect,
            Defect::ReleasesAtHandOut | Defect::ReleasesAtAnyVerdict | Defect::ReleasesByUpkeepOnly
        )
    }

    /// Releases what waits for these jobs, whatever became of them.
    pub(super) async fn open_gates(&self, inputs: &[JobId]) -> Result<(), BrokerError> {
        let opened: Vec<JobId> = {
            let mut notes = self.notes();
            let opened = notes.gates.extract_if(.., |gate| inputs.contains(&gate.input));
            opened.map(|gate| gate.gate).collect()
        };
        let Some(max) = NonZeroU32::new(opened.len() as u32) else { return Ok(()) };
        let queue = QueueShare { queue: gate_queue(), max };
        let request = Reserve {
            queues: vec![queue],
            max: NonZeroU32::MAX,
            lease: Duration::from_secs(60),
            wait: Duration::ZERO,
            interrupt: CancellationToken::new(),
            worker: "gate".to_owned(),
        };
        let deliveries = self.inner.broker.reserve(&request).await?;
        let verdict = |job: &JobId| {
            if opened.contains(job) {
                return Verdict::Done { result: None, keep: Keep::Nothing };
            }
            Verdict::Release
        };
        let settlement = |delivery: Delivery| Settlement {
            verdict: verdict(&delivery.job),
            job: delivery.job,
            receipt: delivery.receipt,
        };
        let batch: Vec<_> = deliveries.into_iter().map(settlement).collect();
        self.inner.broker.settle(&batch).await.map(drop)
    }

    /// Opens the gates of jobs that are done, which no verdict has.
    pub(super) async fn open_gates_of_done(&self) -> Result<(), BrokerError> {
        let inputs: Vec<JobId> = self.notes().gates.iter().map(|gate| gate.input).collect();
        let lookups = self.results().outcomes(&inputs).await?;
        let is_done =
            |lookup: &Lookup| matches!(lookup, Lookup::Final(end) if end.state == JobState::Done);
        let ended = inputs.iter().zip(&lookups).filter(|(_, lookup)| is_done(lookup));
        let ended: Vec<JobId> = ended.map(|(input, _)| *input).collect();
        self.open_gates(&ended).await
    }

    /// Deletes the inputs of jobs that have a verdict of a kind.
    pub(super) async fn delete_inputs(
        &self,
        batch: &[Settlement],
        is_end: impl Fn(&Verdict) -> bool,
    ) -> Result<(), BrokerError> {
        let ended = batch.iter().filter(|one| is_end(&one.verdict)).map(|one| one.job);
        let inputs = self.inputs_of(&ended.collect::<Vec<_>>());
        self.delete_ended(inputs.into_iter().map(|input| input.job).collect()).await
    }

    /// Deletes all inputs that have ended.
    pub(super) async fn delete_all_inputs(&self) -> Result<(), BrokerError> {
        let inputs: Vec<JobId> =
            self.notes().inputs.values().flatten().map(|input| input.job).collect();
        self.delete_ended(inputs).await
    }

    async fn delete_ended(&self, ids: Vec<JobId>) -> Result<(), BrokerError> {
        let states = vec![JobState::Done];
        let filter = JobFilter { ids: Some(ids), states, ..JobFilter::default() };
        self.operate().purge(&filter).await.map(drop)
    }

    /// Cancels the inputs that were made for jobs, whoever else waits for them.
    pub(super) async fn cancel_owned(&self, ids: &[JobId]) -> Result<(), BrokerError> {
        let owned = self.inputs_of(ids).into_iter().filter(|input| input.owned);
        let owned: Vec<JobId> = owned.map(|input| input.job).collect();
        self.operate().cancel(&owned, CancelScope::JobsAlone).await.map(drop)
    }

    fn inputs_of(&self, ids: &[JobId]) -> Vec<Input> {
        let notes = self.notes();
        ids.iter().filter_map(|id| notes.inputs.get(id)).flatten().copied().collect()
    }

    /// Ends every job that a replay has revived.
    pub(super) async fn end_revived(&self, failed: &[JobId]) -> Result<(), BrokerError> {
        let filter = JobFilter {
            ids: Some(failed.to_vec()),
            states: vec![JobState::Blocked],
            ..JobFilter::default()
        };
        self.operate().purge(&filter).await.map(drop)
    }

    /// The jobs that have failed because of an input.
    pub(super) async fn failed_by_input(&self) -> Result<Vec<JobId>, BrokerError> {
        let filter = JobFilter { states: vec![JobState::Failed], ..JobFilter::default() };
        let records = self.operate().jobs(&filter).await?;
        let is_by_input = |record: &JobRecord| {
            record.failure.as_ref().is_some_and(|failure| failure.kind == FailureKind::Input)
        };
        Ok(records.iter().filter(|record| is_by_input(record)).map(|record| record.id).collect())
    }

    /// The filter of a replay that takes the inputs of what it names.
    pub(super) fn name_inputs(&self, filter: &JobFilter) -> JobFilter {
        let mut filter = filter.clone();
        if let Some(ids) = &mut filter.ids {
            let inputs = self.inputs_of(ids);
            ids.extend(inputs.into_iter().map(|input| input.job));
        }
        filter
    }

    pub(super) fn spoil_lookup(&self, lookup: &mut Lookup) {
        let Lookup::Final(end) = lookup else { return };
        if let Some(failure) = end.failure.as_mut().filter(|one| one.kind == FailureKind::Input)
            && self.has(Defect::NamesNoRoot)
        {
            failure.message = "an input has no result".to_owned();
        }
    }

    pub(super) fn spoil_depth(&self, depth: &mut Depth) {
        if self.has(Defect::CountsBlockedAsScheduled) {
            let blocked = depth.blocked.replace(0).unwrap_or(0);
            depth.scheduled = depth.scheduled.map(|count| count + blocked);
        }
    }

    pub(super) async fn spoil_cancelled(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Cancelled, BrokerError> {
        let mut cancelled = self.inner.broker.cancelled(after, wait).await?;
        match self.defect {
            Defect::ForgetsCancels => cancelled.ids.clear(),
            Defect::StartsAtTheFirstCancel if after.is_none() => cancelled.next = Cursor(0),
            _ => {}
        }
        Ok(cancelled)
    }
}

fn gate_job() -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: gate_queue(),
        task: "gate".into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        envelope: Payload::default(),
    }
}

fn gate_queue() -> QueueName {
    QueueName::new("gate").unwrap()
}
