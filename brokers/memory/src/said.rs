//! [`Said`]: what the deliveries of a job have said, and what its readers want.

use std::time::Duration;

use taskcore::broker::millis::timestamp;
use taskcore::broker::{
    Demand, Items, LogLine, NewItems, NewLine, Progress, ProgressNow, ReadItems, Report, Settled,
};
use taskcore::{JobId, Payload};

use crate::job::{Lease, Phase};
use crate::state::State;

/// All of it goes with its job.
#[derive(Debug, Default)]
pub(crate) struct Said {
    progress: Option<Progress>,
    /// Counts the reports of progress.
    version: u64,
    log: Vec<LogLine>,
    /// The number of the lease whose items these are.
    run: Option<u64>,
    items: Vec<Payload>,
    /// The highest that a reader asked for.
    until: u64,
    pulled_ms: Option<i64>,
}

impl Said {
    /// Adds items to a run, which may be a new one; `false` if they would leave a gap.
    fn publish(&mut self, run: u64, new: &NewItems) -> bool {
        let is_new = self.run != Some(run);
        let stored = if is_new { 0 } else { self.items.len() as u64 };
        let Some(known) = stored.checked_sub(new.first) else { return false };
        if is_new {
            self.run = Some(run);
            self.items.clear();
        }
        self.items.extend(new.items.iter().skip(known as usize).cloned());
        true
    }

    fn write(&mut self, lines: &[NewLine], attempt: u32, now_ms: i64) {
        let line = |new: &NewLine| {
            let age_ms = i64::try_from(new.age.as_millis()).unwrap_or(i64::MAX);
            let at = timestamp(now_ms.saturating_sub(age_ms));
            LogLine { at, attempt, text: new.text.clone() }
        };
        self.log.extend(lines.iter().map(line));
    }
}

impl State {
    pub(crate) fn report(&mut self, batch: &[Report], now_ms: i64) -> Vec<Settled> {
        batch.iter().map(|report| self.report_one(report, now_ms)).collect()
    }

    fn report_one(&mut self, report: &Report, now_ms: i64) -> Settled {
        let lease = Lease::of(&report.receipt).filter(|lease| lease.job == report.job);
        let Some(job) = lease.and_then(|lease| self.held(lease, now_ms)) else {
            return Settled::Stale;
        };
        let (run, attempt) = (job.lease, job.failures.saturating_add(1));
        let said = job.said.get_or_insert_default();
        if report.items.as_ref().is_some_and(|new| !said.publish(run, new)) {
            return Settled::Stale;
        }
        if let Some(progress) = &report.progress {
            said.progress = Some(progress.clone());
            said.version += 1;
        }
        said.write(&report.log, attempt, now_ms);
        self.reports += 1;
        Settled::Applied
    }

    pub(crate) fn progress(&self, id: JobId, now_ms: i64) -> ProgressNow {
        let job = self.jobs.get(&id);
        let said = job.and_then(|job| job.said.as_deref());
        ProgressNow {
            progress: said.and_then(|said| said.progress.clone()),
            version: said.map_or(0, |said| said.version),
            state: job.map(|job| job.state(now_ms)),
        }
    }

    pub(crate) fn log(&self, id: JobId) -> Vec<LogLine> {
        let said = self.jobs.get(&id).and_then(|job| job.said.as_deref());
        said.map(|said| said.log.clone()).unwrap_or_default()
    }

    pub(crate) fn items(&self, read: &ReadItems, now_ms: i64) -> Items {
        let job = self.jobs.get(&read.job);
        let said = job.and_then(|job| job.said.as_deref());
        let run = said.and_then(|said| said.run);
        let stored = said.map_or(&[][..], |said| &said.items);
        let first = if is_over(read.run, run) { 0 } else { read.from };
        let wanted = stored.iter().skip(usize::try_from(first).unwrap_or(usize::MAX));
        Items {
            run,
            first,
            items: wanted.take(read.max.max(1) as usize).cloned().collect(),
            total: stored.len() as u64,
            state: job.map(|job| job.state(now_ms)),
        }
    }

    pub(crate) fn pull(&mut self, id: JobId, until: u64, now_ms: i64) {
        let Some(job) = self.jobs.get_mut(&id).filter(|job| !job.is_final()) else { return };
        let said = job.said.get_or_insert_default();
        said.until = said.until.max(until);
        said.pulled_ms = Some(now_ms);
        self.pulls += 1;
    }

    pub(crate) fn demand(&self, id: JobId, now_ms: i64) -> Option<Demand> {
        let job = self.jobs.get(&id).filter(|job| matches!(job.phase, Phase::Running { .. }))?;
        let said = job.said.as_deref();
        let sign_ms = said.and_then(|said| said.pulled_ms).max(job.started_ms)?;
        let idle_ms = u64::try_from(now_ms - sign_ms).unwrap_or(0);
        let until = said.map_or(0, |said| said.until);
        Some(Demand { until, idle: Duration::from_millis(idle_ms) })
    }
}

/// Whether there is another run than the reader's.
pub(crate) fn is_over(reader: Option<u64>, run: Option<u64>) -> bool {
    reader.is_some() && run.is_some() && reader != run
}
