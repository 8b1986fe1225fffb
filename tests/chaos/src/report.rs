//! What a campaign has shown.

use serde::Serialize;

use crate::audit::Findings;
use crate::campaign::Campaign;
use crate::fault::{Fault, Struck};
use crate::pace::{Pace, seconds};
use crate::snapshot::Phase;
use crate::table::table;

/// Figures of one campaign. Spans are in seconds, rates in jobs per second.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Report {
    pub(crate) fault: Fault,
    pub(crate) seed: u64,
    #[serde(flatten)]
    pub(crate) findings: Findings,
    pub(crate) is_finished: bool,
    /// From the first job's end to the last one's.
    pub(crate) span: f64,
    /// How long the fault lasted: the server was down, the snapshot was held.
    pub(crate) fault_lasted: f64,
    /// Sessions that were ended.
    pub(crate) backends: u64,
    pub(crate) rate_before: Option<f64>,
    pub(crate) rate_during: Option<f64>,
    pub(crate) rate_after: Option<f64>,
    /// From the end of the fault to the end of the first second with at least half of the rate
    /// before.
    pub(crate) back_after: Option<f64>,
    /// From the end of the fault to the first job's end after it.
    pub(crate) resumed_after: Option<f64>,
    pub(crate) longest_gap: f64,
    pub(crate) phases: Vec<Phase>,
    /// When the first job ended, in microseconds since 1970.
    #[serde(skip)]
    pub(crate) started: u64,
}

impl Report {
    pub(crate) fn of(
        campaign: &Campaign,
        findings: Findings,
        pace: &Pace,
        struck: &Struck,
        is_finished: bool,
    ) -> Self {
        let (first, last) = (pace.first().unwrap_or(0), pace.last().unwrap_or(0));
        let rate_before = pace.rate(first, struck.from);
        let back = |rate: f64| pace.back_after(struck.until, rate / 2.0);
        Self {
            fault: campaign.fault,
            seed: campaign.load.seed,
            findings,
            is_finished,
            span: seconds(last.saturating_sub(first)),
            fault_lasted: seconds(struck.until.saturating_sub(struck.from)),
            backends: struck.backends,
            rate_before,
            rate_during: pace.rate(struck.from, struck.until),
            rate_after: pace.rate(struck.until, last),
            back_after: rate_before.and_then(back),
            resumed_after: pace.resumed_after(struck.until),
            longest_gap: pace.longest_gap(),
            phases: Vec::new(),
            started: first,
        }
    }

    /// What must not be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let mut faults = self.findings.faults();
        if !self.is_finished {
            faults.push("the queue did not drain".to_owned());
        }
        // None did if all had ended before: with a store jobs go on without RabbitMQ.
        let is_late = self.resumed_after.is_some_and(|after| after > SOON);
        if self.fault.is_outage() && is_late {
            faults.push(format!("work did not resume within {SOON} s"));
        }
        faults
    }

    /// The tables for people.
    pub(crate) fn text(&self) -> String {
        let Findings {
            attempted,
            acknowledged,
            unknown,
            recovered,
            delayed,
            waiting,
            run,
            duplicated,
            redelivered,
            repeated,
            unexplained,
            lost,
            early,
            unexpected,
            acknowledged_twice,
            miscounted,
            unfinished,
            failures,
            leases_lost,
        } = &self.findings;
        let told = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let counts = [
            ("attempted", attempted.to_string()),
            ("acknowledged", acknowledged.to_string()),
            ("unknown answers", format!("{unknown}, of which {recovered} were stored")),
            ("delayed", format!("{delayed}, of which {waiting} waited when the fault struck")),
            ("run", run.to_string()),
            ("run more than once", duplicated.to_string()),
            ("- handed out again", redelivered.to_string()),
            ("- stored again", repeated.to_string()),
            ("- without a reason", unexplained.to_string()),
            ("lost", lost.to_string()),
            ("early", early.to_string()),
            ("unexpected", unexpected.to_string()),
            ("acknowledged twice", told(acknowledged_twice.map(|count| count as u64))),
            ("miscounted by the store", told(*miscounted)),
            ("unfinished", unfinished.to_string()),
            ("failed attempts", failures.to_string()),
            ("leases lost", told(*leases_lost)),
            ("jobs ran for", format!("{:.1} s", self.span)),
        ];
        let rate =
            |rate: Option<f64>| rate.map_or("-".to_owned(), |rate| format!("{rate:.0} jobs/s"));
        let span = |span: Option<f64>| span.map_or("-".to_owned(), |span| format!("{span:.2} s"));
        let paces = [
            (self.lasted(), span(Some(self.fault_lasted))),
            ("sessions ended", self.backends.to_string()),
            ("rate before", rate(self.rate_before)),
            ("rate meanwhile", rate(self.rate_during)),
            ("rate after", rate(self.rate_after)),
            ("half of the rate back after", span(self.back_after)),
            ("first job after", span(self.resumed_after)),
            ("longest gap in work", span(Some(self.longest_gap))),
        ];
        let rows =
            counts.into_iter().chain(paces).map(|(name, value)| vec![name.to_owned(), value]);
        let mut text = format!("{:?}, seed {}\n{}", self.fault, self.seed, table(&[], rows));
        if !self.phases.is_empty() {
            let titles = [
                "snapshot",
                "claims timed",
                "p50 ms",
                "p99 ms",
                "max ms",
                "dead rows, most",
                "of ready",
                "left",
            ];
            let phases = self.phases.iter().map(|phase| {
                vec![
                    phase.name.to_owned(),
                    phase.claims.to_string(),
                    format!("{:.2}", phase.p50),
                    format!("{:.2}", phase.p99),
                    format!("{:.2}", phase.longest),
                    phase.dead_rows.to_string(),
                    phase.dead_rows_ready.to_string(),
                    phase.dead_rows_left.to_string(),
                ]
            });
            text += &format!("\n{}", table(&titles, phases));
        }
        text
    }

    fn lasted(&self) -> &'static str {
        match self.fault {
            Fault::Restart | Fault::Crash => "server down for",
            Fault::KillNode => "killing took",
            Fault::KillBackends => "sessions ended for",
            Fault::Snapshot => "snapshot held for",
            Fault::Theft => "stolen within",
        }
    }
}

/// Within so many seconds of the server's return work is to go on.
const SOON: f64 = 10.0;
