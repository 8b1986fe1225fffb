//! History, with a defect.

use std::time::Duration;

use taskconformance::async_trait;
use taskcore::JobId;
use taskcore::broker::{
    AttemptEnd, BrokerError, EventId, EventKind, Events, History, JobFilter, Settled, Settlement,
    TaskStats, Timeline, Verdict,
};

use super::Mutant;
use crate::defect::Defect;

#[async_trait]
impl History for Mutant {
    async fn timeline(&self, job: JobId) -> Result<Option<Timeline>, BrokerError> {
        let Some(mut timeline) = self.history().timeline(job).await? else { return Ok(None) };
        let attempts = &mut timeline.attempts;
        match self.defect {
            Defect::TellsTheLatestAttempt => drop(attempts.drain(..attempts.len().max(1) - 1)),
            Defect::TellsLostAsFailed => {
                for attempt in attempts {
                    attempt.end = attempt.end.map(|end| match end {
                        AttemptEnd::Lost => AttemptEnd::Failed,
                        end => end,
                    });
                }
            }
            Defect::TellsNoReleases => {
                attempts.retain(|attempt| attempt.end != Some(AttemptEnd::Released));
            }
            _ => {}
        }
        Ok(Some(timeline))
    }

    async fn stats(&self) -> Result<Vec<TaskStats>, BrokerError> {
        let mut stats = self.history().stats().await?;
        for sums in &mut stats {
            match self.defect {
                Defect::SumsNoWaits => sums.wait_time = Duration::ZERO,
                Defect::TellsTheMeanAsLongest if sums.runs > 0 => {
                    sums.longest_run = sums.run_time.div_f64(sums.runs as f64);
                }
                Defect::LosesSumsAtPrune => {
                    let task = Some(sums.task.clone());
                    let stored = JobFilter { task, ..JobFilter::default() };
                    sums.stored = self.operate().jobs(&stored).await?.len() as u64;
                }
                Defect::CountsStaleVerdicts => sums.retried += self.notes().stale_retries,
                _ => {}
            }
        }
        Ok(stats)
    }

    async fn events(
        &self,
        after: Option<EventId>,
        max: u32,
        wait: Duration,
    ) -> Result<Events, BrokerError> {
        let max = if self.has(Defect::IgnoresMaxOfEvents) { u32::MAX } else { max };
        let mut found = self.history().events(after, max, wait).await?;
        let is_told = |kind| match self.defect {
            Defect::TellsNoLosses => kind != EventKind::Lost,
            Defect::TellsNoReplays => kind != EventKind::Replayed,
            _ => true,
        };
        match self.defect {
            Defect::StartsAtTheFirstEvent if after.is_none() => found.next = EventId::START,
            Defect::MissesNothing => found.missed = 0,
            Defect::SkipsNumbers => found.events.iter_mut().for_each(|event| event.id.0 *= 2),
            Defect::TellsTasksForEver => {
                let task = Some("suite::plain".to_owned());
                found.events.iter_mut().for_each(|event| event.task.clone_from(&task));
            }
            Defect::TellsEventsAgain if !found.events.is_empty() => found.next.0 -= 1,
            Defect::TellsNoLosses | Defect::TellsNoReplays => {
                let first = found.next.0 - found.events.len() as u64 + 1;
                found.events.retain(|event| is_told(event.kind));
                for (id, event) in (first..).zip(&mut found.events) {
                    event.id = EventId(id);
                }
                found.next = EventId(first - 1 + found.events.len() as u64);
            }
            _ => {}
        }
        Ok(found)
    }
}

impl Mutant {
    fn history(&self) -> &dyn History {
        self.inner.history.as_deref().unwrap()
    }

    pub(super) fn count_stale_retries(&self, batch: &[Settlement], answers: &[Settled]) {
        let is_retry = |one: &Settlement| matches!(one.verdict, Verdict::Retry { .. });
        let settled = batch.iter().zip(answers);
        let stale = settled.filter(|(one, answer)| is_retry(one) && **answer == Settled::Stale);
        self.notes().stale_retries += stale.count() as u64;
    }
}
