//! [`StormReport`]: what a storm has shown.

use std::collections::BTreeMap;

use serde::Serialize;

use super::trouble::Trouble;
use crate::audit::Findings;
use crate::table::table;

/// Figures of one storm. Spans are in seconds.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StormReport {
    pub(crate) broker: &'static str,
    pub(crate) seed: u64,
    /// Until the last job had ended.
    pub(crate) seconds: f64,
    #[serde(flatten)]
    pub(crate) findings: Findings,
    /// What went wrong, in order.
    pub(crate) struck: Vec<Struck>,
    /// Verdicts that came when the lease was over, and changed nothing.
    pub(crate) refused_verdicts: usize,
    /// Processes that ended though nobody had ended them, and were replaced.
    pub(crate) ended_by_themselves: u64,
    pub(crate) longest_gap: f64,
    pub(crate) is_finished: bool,
    /// Whether clocks could jump.
    pub(crate) has_clocks: bool,
    /// Whether each process decides by its own clock what is due: then a clock that jumps makes jobs
    /// run early.
    #[serde(skip)]
    pub(crate) is_on_own_clocks: bool,
}

/// One thing that went wrong.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Struck {
    /// Since the beginning.
    pub(crate) at: f64,
    pub(crate) what: Trouble,
    pub(crate) to: String,
}

impl StormReport {
    /// What must not be.
    pub(crate) fn faults(&self) -> Vec<String> {
        let jumped = self.struck.iter().any(|struck| struck.what == Trouble::JumpClock);
        let early = if self.is_on_own_clocks && jumped { 0 } else { self.findings.early };
        let mut faults = Findings { early, ..self.findings.clone() }.faults();
        if !self.is_finished {
            faults.push("the queue did not drain".to_owned());
        }
        faults
    }

    /// The tables for people.
    pub(crate) fn text(&self) -> String {
        let found = &self.findings;
        let told = |count: Option<u64>| count.map_or("-".to_owned(), |count| count.to_string());
        let rows = [
            ("attempted", found.attempted.to_string()),
            ("acknowledged", found.acknowledged.to_string()),
            ("unknown answers", found.unknown.to_string()),
            ("- recovered", found.recovered.to_string()),
            ("delayed", found.delayed.to_string()),
            ("run", found.run.to_string()),
            ("duplicated", found.duplicated.to_string()),
            ("lost", found.lost.to_string()),
            ("unexpected", found.unexpected.to_string()),
            ("early", found.early.to_string()),
            ("unfinished", found.unfinished.to_string()),
            ("failed attempts", found.failures.to_string()),
            ("acknowledged twice", told(found.acknowledged_twice.map(|count| count as u64))),
            ("miscounted by the store", told(found.miscounted)),
            ("stale verdicts refused", self.refused_verdicts.to_string()),
            ("leases lost", told(found.leases_lost)),
            ("longest gap in work", format!("{:.1} s", self.longest_gap)),
            ("ended by themselves", self.ended_by_themselves.to_string()),
            ("took", format!("{:.0} s", self.seconds)),
            ("faults", self.struck.len().to_string()),
        ];
        let mut troubles = BTreeMap::<Trouble, u64>::new();
        for struck in &self.struck {
            *troubles.entry(struck.what).or_default() += 1;
        }
        let troubles =
            troubles.iter().map(|(trouble, count)| (format!("- {trouble}"), count.to_string()));
        let rows = rows.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(troubles);
        let rows = rows.map(|(name, value)| vec![name, value]);
        let mut text =
            format!("storm on {}, seed {}\n{}", self.broker, self.seed, table(&[], rows));
        if !self.has_clocks {
            text += "no clock jumped: libfaketime is not installed (Debian: package `faketime`)\n";
        }
        text
    }
}
