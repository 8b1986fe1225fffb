//! Verdicts: what becomes of a delivery, and of its job.

use std::time::Duration;

use taskcore::broker::millis::later;
use taskcore::broker::{AttemptEnd, EventKind, JobState, Keep, Settled, Settlement, Verdict};
use taskcore::{JobId, Payload, TaskOptions};

use crate::continued::Continuation;
use crate::job::{Job, Lease, Phase};
use crate::state::State;

impl State {
    pub(crate) fn settle(&mut self, batch: &[Settlement], now_ms: i64) -> Vec<Settled> {
        batch.iter().map(|settlement| self.settle_one(settlement, now_ms)).collect()
    }

    fn settle_one(&mut self, settlement: &Settlement, now_ms: i64) -> Settled {
        let id = settlement.job;
        let lease = Lease::of(&settlement.receipt).filter(|lease| lease.job == id);
        if lease.and_then(|lease| self.held(lease, now_ms)).is_none() {
            return Settled::Stale;
        }
        match &settlement.verdict {
            Verdict::Done { result, keep } => {
                self.end_handout(id, AttemptEnd::Done, None, now_ms);
                self.complete(id, result.clone(), *keep, now_ms);
            }
            Verdict::Retry { after, failure } => {
                self.end_handout(id, AttemptEnd::Failed, Some(failure), now_ms);
                let due_ms = later(now_ms, *after);
                self.change(id, |job| {
                    job.failures = job.failures.saturating_add(1);
                    // It ran to an end, so it is not what killed its workers.
                    job.losses = 0;
                    // An attempt was made in time, so the next one is not too late.
                    job.expires_ms = None;
                    job.failure = Some(Box::new(failure.clone()));
                    job.due_ms = due_ms;
                    job.phase = Phase::Scheduled;
                });
                self.happened(id, EventKind::Retried, now_ms);
            }
            Verdict::Failed { failure } => {
                self.end_handout(id, AttemptEnd::Failed, Some(failure), now_ms);
                self.change(id, |job| job.failures = job.failures.saturating_add(1));
                self.fail(id, failure.clone(), now_ms);
            }
            Verdict::Continued { jobs, by, keep } => {
                self.end_handout(id, AttemptEnd::Continued, None, now_ms);
                self.continue_as(id, Continuation { jobs, by: *by, keep: *keep }, now_ms);
            }
            Verdict::Cancelled => {
                self.end_handout(id, AttemptEnd::Cancelled, None, now_ms);
                self.finish(id, JobState::Cancelled, None, Some(TaskOptions::KEEP_RESULT), now_ms);
            }
            // It keeps its due time, and with it its turn.
            Verdict::Release => self.give_back(id, |job| job.phase = Phase::Ready, now_ms),
            Verdict::Snooze { after } => {
                let due_ms = later(now_ms, *after);
                let snooze = |job: &mut Job| {
                    job.due_ms = due_ms;
                    job.phase = Phase::Scheduled;
                };
                self.give_back(id, snooze, now_ms);
            }
            // A verdict of a later contract: the lease runs out and the job runs elsewhere.
            _ => return Settled::Stale,
        }
        Settled::Applied
    }

    /// Takes back a job that was handed out, and counts nothing.
    fn give_back(&mut self, id: JobId, change: impl FnOnce(&mut Job), now_ms: i64) {
        self.end_handout(id, AttemptEnd::Released, None, now_ms);
        self.change(id, change);
        self.happened(id, EventKind::Released, now_ms);
    }

    pub(crate) fn complete(&mut self, id: JobId, result: Option<Payload>, keep: Keep, now_ms: i64) {
        let keep = match keep {
            Keep::For(span) => span,
            Keep::Nothing if self.job(id).dependants.is_empty() => {
                self.happened(id, EventKind::Done, now_ms);
                return self.forget(id, now_ms);
            }
            Keep::Nothing => Duration::ZERO,
        };
        self.finish(id, JobState::Done, result, Some(keep), now_ms);
    }
}
