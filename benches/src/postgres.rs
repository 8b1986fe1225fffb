//! PostgreSQL: all figures on a server of its own, with its own durability.

use anyhow::ensure;
use clap::Args;
use taskservers::Postgres;

use crate::{Figures, Scale, idle, line, ours, rate, timed, timed_worker};

/// Jobs of one run, unless told otherwise.
const JOBS: u64 = 100_000;

/// Jobs stored one by one.
const SINGLE: u64 = 20_000;

/// Of those, the ones that are stored one after the other.
const ONE_AT_A_TIME: u64 = 2_000;

/// What is measured on PostgreSQL.
#[derive(Debug, Clone, Args)]
pub(crate) struct Options {
    /// Rows that are there besides, of each kind: ready in another queue, scheduled for tomorrow,
    /// and finished.
    #[arg(long, default_value_t = 0)]
    extra: u64,
    /// Measure an idle worker instead.
    #[arg(long)]
    idle: bool,
}

/// Prints the rates of both sides, and their ratio.
pub(crate) fn measure(options: &Options, scale: Scale) -> anyhow::Result<()> {
    let server = Postgres::start();
    if options.idle {
        return idle::measure("PostgreSQL", &server.url());
    }
    let (jobs, runs) = (scale.jobs.unwrap_or(JOBS), scale.runs);
    let (mut ours, mut floor) = (Figures::default(), Figures::default());
    let (mut many, mut one) = (Figures::default(), Figures::default());
    let (mut many_floor, mut one_floor) = (Figures::default(), Figures::default());
    for run in 1..=runs {
        let url = format!("{}?schema=run_{run}", server.url());
        // So that the tables are there.
        timed(&["ours-enqueue", &url, "0"])?;
        fill(&server, run, options.extra);
        let count = jobs.to_string();
        ours.enqueue.push(rate(jobs, timed(&["ours-enqueue", &url, &count])?));
        ours.drain.push(rate(jobs, timed_worker(&url)?));
        ensure!(ours::count_done(&url)? == jobs, "the worker left jobs undone");
        let raw = server.url();
        floor.enqueue.push(rate(jobs, timed(&["postgres-floor-enqueue", &raw, &count, "1000"])?));
        floor.drain.push(rate(jobs, timed(&["postgres-floor-drain", &raw])?));
        let (singles, ones) = (SINGLE.min(jobs), ONE_AT_A_TIME.min(jobs));
        let (single, alone) = (singles.to_string(), ones.to_string());
        many.enqueue.push(rate(singles, timed(&["ours-single", &url, &single, "64"])?));
        many_floor
            .enqueue
            .push(rate(singles, timed(&["postgres-floor-enqueue", &raw, &single, "64"])?));
        one.enqueue.push(rate(ones, timed(&["ours-single", &url, &alone, "1"])?));
        one_floor.enqueue.push(rate(ones, timed(&["postgres-floor-enqueue", &raw, &alone, "1"])?));
        server.psql(&format!("DROP SCHEMA run_{run} CASCADE"));
        eprintln!("run {run} of {runs} done");
    }
    println!(
        "PostgreSQL, fsync and synchronous_commit on; {jobs} jobs beside {} others of each kind, \
         {runs} alternating runs, whole processes",
        options.extra
    );
    println!("{:<22} {:>12} {:>12} {:>7}   spread of ours", "", "ours/s", "floor/s", "ratio");
    line("enqueue, bulk", &mut ours.enqueue, &mut floor.enqueue);
    line("enqueue, 64 at once", &mut many.enqueue, &mut many_floor.enqueue);
    line("enqueue, one by one", &mut one.enqueue, &mut one_floor.enqueue);
    line("drain, one worker", &mut ours.drain, &mut floor.drain);
    Ok(())
}

/// Adds rows that are nobody's business, without looking at the tables for the planner.
fn fill(server: &Postgres, run: usize, extra: u64) {
    if extra == 0 {
        return;
    }
    let now = "(extract(epoch FROM now()) * 1000)::bigint";
    for (first, table, columns) in [
        (1_u64, "ready (queue, rank, due_at, seq)", format!("'other', 0, {now}, seq")),
        (
            1 << 32,
            "scheduled (due_at, seq, queue, rank)",
            format!("{now} + 86400000, seq, 'other', 0"),
        ),
        (
            1 << 33,
            "outcome (seq, state, finished_at, keep_until)",
            format!("seq, 'done', {now}, {now} + 86400000"),
        ),
    ] {
        let last = first + extra - 1;
        server.psql(&format!(
            "INSERT INTO run_{run}.job (seq, id, queue, task, priority, created_at, due_at, envelope)
             SELECT seq, gen_random_uuid(), 'other', 'other', 0, {now}, {now}, '{{}}'
             FROM generate_series({first}::bigint, {last}) AS seq;
             INSERT INTO run_{run}.{table}
             SELECT {columns} FROM generate_series({first}::bigint, {last}) AS seq"
        ));
    }
    // Numbers given from now on are above these.
    server.psql(&format!("SELECT setval('run_{run}.batch', 100000)"));
}
