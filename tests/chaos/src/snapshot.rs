//! What an old snapshot costs: dead rows that cannot be removed, and claims that pass over them.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;

use anyhow::{Context, ensure};
use serde::Serialize;
use sqlx::PgConnection;

use crate::fault::Struck;
use crate::ledger::now;

/// A fifth of all statements is logged with its time, without its parameters: the times are the
/// server's own, and all of them would be most of what it writes.
pub(crate) const SETTINGS: &[(&str, &str)] = &[
    ("log_line_prefix", "%n "),
    ("log_min_duration_sample", "0"),
    ("log_statement_sample_rate", "0.2"),
    ("log_parameter_max_length", "0"),
];

/// What the server's statistics tell at one time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DeadRows {
    /// In microseconds.
    at: u64,
    /// In all tables of ours.
    all: i64,
    /// In the table from which jobs are claimed.
    ready: i64,
}

/// The times before, during or after the snapshot.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Phase {
    pub(crate) name: &'static str,
    /// Claims whose time is known.
    pub(crate) claims: usize,
    /// Milliseconds.
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) longest: f64,
    /// The most dead rows at one time; none were counted before.
    pub(crate) dead_rows: i64,
    pub(crate) dead_rows_ready: i64,
    /// Those at the end of it.
    pub(crate) dead_rows_left: i64,
}

/// Looks at the server's statistics.
pub(crate) async fn dead_rows(session: &mut PgConnection) -> anyhow::Result<DeadRows> {
    let (all, ready) = sqlx::query_as(
        "SELECT coalesce(sum(n_dead_tup), 0)::bigint,
             coalesce(sum(n_dead_tup) FILTER (WHERE relname = 'ready'), 0)::bigint
         FROM pg_stat_user_tables WHERE schemaname = 'hereafter'",
    )
    .fetch_one(session)
    .await?;
    Ok(DeadRows { at: now(), all, ready })
}

/// Sums the times up that a server's log tells of claims.
pub(crate) fn phases(log: &Path, struck: &Struck, started: u64) -> anyhow::Result<Vec<Phase>> {
    let claims = claims(log)?;
    let spans = [
        ("before", started..struck.from),
        ("during", struck.from..struck.until),
        ("after", struck.until..u64::MAX),
    ];
    let phases = spans.into_iter().map(|(name, span)| {
        let mut times: Vec<f64> =
            claims.iter().filter(|claim| span.contains(&claim.at)).map(|claim| claim.ms).collect();
        ensure!(!times.is_empty(), "the server's log tells of no claim {name} the snapshot");
        times.sort_by(f64::total_cmp);
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
        let rows: Vec<_> = struck.dead_rows.iter().filter(|rows| span.contains(&rows.at)).collect();
        let most = |of: fn(&DeadRows) -> i64| rows.iter().map(|rows| of(rows)).max().unwrap_or(0);
        Ok(Phase {
            name,
            claims: times.len(),
            p50: at(0.5),
            p99: at(0.99),
            longest: at(1.0),
            dead_rows: most(|rows| rows.all),
            dead_rows_ready: most(|rows| rows.ready),
            dead_rows_left: rows.last().map_or(0, |rows| rows.all),
        })
    });
    phases.collect()
}

/// One claim, by the server's log.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Claim {
    /// When it ended, in microseconds.
    at: u64,
    ms: f64,
}

fn claims(log: &Path) -> anyhow::Result<Vec<Claim>> {
    let log = File::open(log).context("cannot open the server's log")?;
    let (mut claims, mut entry) = (Vec::new(), String::new());
    for line in BufReader::new(log).lines() {
        let line = line.context("cannot read the server's log")?;
        // What goes on begins with a tabulator.
        if !line.starts_with('\t') {
            claims.extend(claim(&entry));
            entry.clear();
        }
        entry.push_str(&line);
        entry.push('\n');
    }
    claims.extend(claim(&entry));
    Ok(claims)
}

/// `1763752000.123 LOG:  duration: 0.456 ms  execute sqlx_s_7: WITH head AS (…`
fn claim(entry: &str) -> Option<Claim> {
    let is_claim = IN_A_CLAIM.iter().all(|part| entry.contains(part));
    let (at, rest) = entry.split_once(' ').filter(|_| is_claim)?;
    let (_, rest) = rest.split_once("duration: ")?;
    let (ms, _) = rest.split_once(" ms")?;
    let seconds: f64 = at.parse().ok()?;
    Some(Claim { at: (seconds * 1e6) as u64, ms: ms.parse().ok()? })
}

/// Of all statements, only a claim has all of these: it moves the head of a queue.
const IN_A_CLAIM: [&str; 4] =
    [" ms  execute ", ".ready AS r WHERE", "SKIP LOCKED", "INSERT INTO \"hereafter\".running"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_is_told_from_other_statements_and_its_time_is_read() {
        let claimed = "1763752000.250 LOG:  duration: 0.456 ms  execute sqlx_s_7: WITH head AS (\n\
            \t    DELETE FROM \"hereafter\".ready WHERE ctid = ANY(ARRAY(\n\
            \t    SELECT ctid FROM \"hereafter\".ready AS r WHERE r.queue = $1\n\
            \t    FOR UPDATE SKIP LOCKED))\n\
            \t    INSERT INTO \"hereafter\".running (seq)\n";
        let expected = Claim { at: 1_763_752_000_250_000, ms: 0.456 };
        assert_eq!(claim(claimed), Some(expected));
        assert_eq!(claim(&claimed.replace("execute", "bind")), None);
        assert_eq!(claim(&claimed.replace("SKIP LOCKED", "")), None);
    }
}
