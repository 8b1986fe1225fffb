//! What running jobs say, for the cases about it.

use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use taskcore::broker::{
    Delivery, Demand, Items, LogLine, NewItems, NewLine, Progress, ProgressNow, ReadItems, Report,
    Settled,
};
use taskcore::{JobId, Payload};

use crate::harness::Harness;
use crate::lab::*;
use crate::waiting::applied;

pub(crate) const HOUR: Duration = Duration::from_secs(60 * 60);

impl<'h> Lab<'h> {
    /// A lab for a case about reports; `None` where none are kept.
    pub(crate) async fn with_reports(harness: &'h dyn Harness) -> Option<Self> {
        let lab = Self::open(harness).await;
        lab.connection().reports.is_some().then_some(lab)
    }

    pub(crate) async fn report(&self, batch: &[Report]) -> Vec<Settled> {
        let answers = self.reports().report(batch).await.unwrap();
        assert_eq!(answers.len(), batch.len());
        answers
    }

    /// Records reports of deliveries whose leases are current.
    pub(crate) async fn say(&self, batch: &[Report]) {
        assert_eq!(self.report(batch).await, applied(batch.len()));
    }

    /// The latest progress, without a wait.
    pub(crate) async fn progress(&self, job: JobId) -> ProgressNow {
        self.reports().progress(job, None, Duration::ZERO).await.unwrap()
    }

    pub(crate) async fn log(&self, job: JobId) -> Vec<LogLine> {
        self.reports().log(job).await.unwrap()
    }

    /// The items of a job from the start, without a wait.
    pub(crate) async fn items(&self, job: JobId) -> Items {
        self.reports().items(&all_of(job), Duration::ZERO).await.unwrap()
    }

    pub(crate) async fn pull(&self, jobs: &[JobId], until: u64) {
        for job in jobs {
            self.reports().pull(*job, until).await.unwrap();
        }
    }

    /// What readers want of these jobs, without a wait.
    pub(crate) async fn demand(&self, jobs: &[JobId]) -> Vec<Option<Demand>> {
        let known: Vec<_> = jobs.iter().map(|job| (*job, 0)).collect();
        let answers = self.reports().demand(&known, Duration::ZERO).await.unwrap();
        assert_eq!(answers.len(), jobs.len());
        answers
    }

    /// What readers want of these jobs, which run.
    pub(crate) async fn demands(&self, jobs: &[JobId]) -> Vec<Demand> {
        let running = |demand: Option<Demand>| demand.expect("the job is running");
        self.demand(jobs).await.into_iter().map(running).collect()
    }

    /// All that is told of what these jobs have said, for comparisons.
    pub(crate) async fn said(&self, jobs: &[JobId]) -> Vec<Said> {
        let mut all = Vec::new();
        for job in jobs {
            let ProgressNow { progress, version, .. } = self.progress(*job).await;
            let Items { run, items, total, .. } = self.items(*job).await;
            let log = self.log(*job).await;
            all.push(Said { progress, version, log, run, items, total });
        }
        all
    }

    /// Now, on the store's clock.
    pub(crate) async fn clock(&self) -> Timestamp {
        let job = in_queue("clock");
        let id = job.id;
        self.store(&[job]).await;
        self.records(&[id]).await[0].created_at
    }
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Said {
    pub(crate) progress: Option<Progress>,
    pub(crate) version: u64,
    pub(crate) log: Vec<LogLine>,
    pub(crate) run: Option<u64>,
    pub(crate) items: Vec<Payload>,
    pub(crate) total: u64,
}

impl Said {
    pub(crate) const NOTHING: Self = Self {
        progress: None,
        version: 0,
        log: Vec::new(),
        run: None,
        items: Vec::new(),
        total: 0,
    };
}

/// All items of a job, whatever its run.
pub(crate) fn all_of(job: JobId) -> ReadItems {
    ReadItems { job, run: None, from: 0, max: 1_000 }
}

/// A report of nothing.
pub(crate) fn silent(delivery: &Delivery) -> Report {
    Report {
        job: delivery.job,
        receipt: delivery.receipt.clone(),
        progress: None,
        log: Vec::new(),
        items: None,
    }
}

/// Progress of each of these.
pub(crate) fn at(deliveries: &[Delivery], done: u64) -> Vec<Report> {
    let report = |delivery| Report { progress: Some(progress_at(done)), ..silent(delivery) };
    deliveries.iter().map(report).collect()
}

pub(crate) fn progress_at(done: u64) -> Progress {
    Progress { done, total: 100, message: format!("at {done}") }
}

/// A line of each of these.
pub(crate) fn writing(deliveries: &[Delivery], text: &str) -> Vec<Report> {
    let report = |delivery| Report { log: vec![line(text)], ..silent(delivery) };
    deliveries.iter().map(report).collect()
}

/// A line that was just written.
pub(crate) fn line(text: &str) -> NewLine {
    NewLine { age: Duration::ZERO, text: text.to_owned() }
}

/// The items of these indices of each of these.
pub(crate) fn publishing(deliveries: &[Delivery], indices: Range<u64>) -> Vec<Report> {
    let report = |delivery: &Delivery| {
        let items = payloads(delivery, indices.clone());
        Report { items: Some(NewItems { first: indices.start, items }), ..silent(delivery) }
    };
    deliveries.iter().map(report).collect()
}

/// The items of a delivery, which are those of no other attempt or job.
pub(crate) fn payloads(delivery: &Delivery, indices: Range<u64>) -> Vec<Payload> {
    let (job, attempt) = (delivery.job, delivery.attempt);
    let payload = |index| format!("item {index} of attempt {attempt} of {job}").into_bytes();
    indices.map(|index| Payload::from(payload(index))).collect()
}

/// A report of everything at once, the items from the index `first` on.
pub(crate) fn all_at_once(deliveries: &[Delivery], first: u64) -> Vec<Report> {
    let mut reports = publishing(deliveries, first..first + 2);
    for report in &mut reports {
        report.progress = Some(progress_at(first + 1));
        report.log = vec![line("all at once")];
    }
    reports
}
