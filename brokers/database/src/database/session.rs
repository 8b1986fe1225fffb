//! [`Session`]: the write connection inside a transaction, and what the transaction knows.

use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::EventKind;
use taskcore::broker::millis::later;

use super::args::Args;
use super::bell::Notice;
use super::connection::Connection;
use super::events::NewEvents;
use super::statements::{inputs, reports, unique};
use super::sums::Sums;
use super::{row, statements};

/// The write connection inside a transaction.
#[derive(Debug)]
pub(crate) struct Session<'c> {
    pub(super) sql: Connection<'c>,
    /// The time at which the transaction happens.
    pub(super) now_ms: i64,
    /// Set when jobs became ready, scheduled or final: then whoever waits looks again.
    pub(super) has_news: bool,
    /// Set instead by a statement that has stored jobs and done nothing else: then only workers and readers look again.
    pub(super) has_jobs: bool,
    /// Set when a job said something, or a reader wants something of one.
    pub(super) has_reports: bool,
    /// What a statement that stores jobs is to tell others of them.
    pub(super) notice: Option<Notice>,
    /// Set when it did.
    pub(super) has_told: bool,
    /// A number that every stored job's is at most, and every later one's is above; `None` until
    /// the transaction has asked.
    pub(super) last_seq: Option<i64>,
    /// What the transaction adds to the sums of tasks.
    pub(super) sums: Sums,
    /// Whether nobody else writes while the transaction lasts.
    is_alone: bool,
    /// Set when an operation asked for that.
    asked_to_be_alone: bool,
    /// Whether jobs are taken for new, at the price of the transaction if one is there already.
    pub(super) takes_for_new: bool,
    /// Set when that was so.
    pub(super) has_repeats: bool,
    events: NewEvents,
    known: Known,
}

/// What a transaction has learned of the store; `None` until it has asked.
#[derive(Debug, Default)]
struct Known {
    /// Whether any job waits for another or may again.
    has_edges: Option<bool>,
    /// Whether any job has a unique key.
    has_keys: Option<bool>,
    traces: Option<Traces>,
}

/// What is to be deleted with jobs besides their own rows.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Traces {
    /// Whether any job has a delivery that did not end as done.
    pub(super) attempts: bool,
    /// Whether any job has said something, or readers want something of it.
    pub(super) reports: bool,
}

impl<'c> Session<'c> {
    /// Transactions on this connection keep the latest `kept_events` events.
    pub(crate) fn of(sql: Connection<'c>, kept_events: u32) -> Self {
        Self {
            sql,
            now_ms: 0,
            has_news: false,
            has_jobs: false,
            has_reports: false,
            notice: None,
            has_told: false,
            last_seq: None,
            sums: Sums::default(),
            is_alone: false,
            asked_to_be_alone: false,
            takes_for_new: false,
            has_repeats: false,
            events: NewEvents::keeping(kept_events),
            known: Known::default(),
        }
    }

    /// Gives the connection back to the pool that lent it; else this stays. To be called between
    /// transactions.
    pub(super) fn give_back(self) -> Option<Self> {
        let sql = self.sql.give_back()?;
        Some(Self { sql, ..self })
    }

    /// A transaction has begun, which has the store for itself or not.
    pub(crate) fn begin(&mut self, now_ms: i64, is_alone: bool) {
        self.now_ms = now_ms;
        self.is_alone = is_alone;
        self.asked_to_be_alone = false;
        self.takes_for_new = false;
        self.has_repeats = false;
        self.has_news = false;
        self.has_jobs = false;
        self.has_reports = false;
        self.notice = None;
        self.has_told = false;
        self.last_seq = None;
        self.known = Known::default();
    }

    /// Makes sure that nobody else writes while the transaction lasts. Where somebody may, this is
    /// an error, and the transaction is run again without them.
    ///
    /// What waits for what, who holds a key and what is continued is read and written in many
    /// steps. Most transactions touch none of it and run beside each other.
    pub(super) fn alone(&mut self) -> Result<(), sqlx::Error> {
        self.asked_to_be_alone = true;
        if self.is_alone {
            return Ok(());
        }
        Err(sqlx::Error::Protocol("the transaction needs the store for itself".to_owned()))
    }

    /// Whether an operation asked for that, and had it or not.
    pub(super) fn asked_to_be_alone(&self) -> bool {
        self.asked_to_be_alone
    }

    /// Whether an operation asked for that and did not have it.
    pub(super) fn must_be_alone(&self) -> bool {
        self.asked_to_be_alone && !self.is_alone
    }

    /// Writes what the operations of the transaction have in common, right before the commit.
    pub(crate) async fn finish(&mut self) -> Result<(), sqlx::Error> {
        self.sums.write(&mut self.sql).await?;
        self.events.write(&mut self.sql, self.now_ms).await
    }

    /// Forgets what did not happen.
    pub(super) fn roll_back(&mut self) {
        self.sums.roll_back();
        self.events.clear();
    }

    /// The last number before those that this transaction gives next.
    pub(super) async fn last_seq(&mut self) -> Result<i64, sqlx::Error> {
        if !self.sql.dialect.is_serial() {
            // A range for this batch alone, whoever else stores jobs now.
            let batch = self.sql.insert_numbered(statements::NEXT_BATCH, Args::new()).await?;
            return Ok(batch * BATCH - 1);
        }
        if let Some(seq) = self.last_seq {
            return Ok(seq);
        }
        let row = self.sql.fetch_one(statements::MAX_SEQ, Args::new()).await?;
        row::integer(&row, "seq")
    }

    /// Whether there is anything to do for jobs that wait for others.
    pub(super) async fn has_edges(&mut self) -> Result<bool, sqlx::Error> {
        if let Some(has_edges) = self.known.has_edges {
            return Ok(has_edges);
        }
        let row = self.sql.fetch_one(inputs::HAS_EDGES, Args::new()).await?;
        let has_edges = row::is_set(&row, "edges")?;
        self.known.has_edges = Some(has_edges);
        Ok(has_edges)
    }

    /// Takes over what another statement of this transaction has seen.
    pub(super) fn saw_edges(&mut self, has_edges: bool) {
        self.known.has_edges = Some(has_edges);
    }

    /// Whether there is anything to do for unique keys.
    pub(super) async fn has_keys(&mut self) -> Result<bool, sqlx::Error> {
        if let Some(has_keys) = self.known.has_keys {
            return Ok(has_keys);
        }
        let row = self.sql.fetch_one(unique::HAS_KEYS, Args::new()).await?;
        let has_keys = row::is_set(&row, "keys")?;
        self.known.has_keys = Some(has_keys);
        Ok(has_keys)
    }

    /// Takes over what another statement of this transaction has seen.
    pub(super) fn saw_keys(&mut self, has_keys: bool) {
        self.known.has_keys = Some(has_keys);
    }

    /// What there is to delete with jobs.
    pub(super) async fn traces(&mut self) -> Result<Traces, sqlx::Error> {
        if let Some(traces) = self.known.traces {
            return Ok(traces);
        }
        let row = self.sql.fetch_one(reports::HAS_TRACES, Args::new()).await?;
        let traces = Traces {
            attempts: row::is_set(&row, "attempts")?,
            reports: row::is_set(&row, "reports")?,
        };
        self.known.traces = Some(traces);
        Ok(traces)
    }

    /// Takes over what another statement of this transaction has seen.
    pub(super) fn saw_traces(&mut self, traces: Traces) {
        self.known.traces = Some(traces);
    }

    /// Takes over what this transaction has written, if it has asked before.
    pub(super) fn wrote_traces(&mut self, wrote: Traces) {
        if let Some(traces) = &mut self.known.traces {
            traces.attempts |= wrote.attempts;
            traces.reports |= wrote.reports;
        }
    }

    /// How many events are kept.
    pub(super) fn kept_events(&self) -> u32 {
        self.events.kept()
    }

    /// Whether this transaction has events to tell.
    pub(super) fn has_events(&self) -> bool {
        !self.events.is_empty()
    }

    /// Records what happened to a job.
    pub(super) fn happened(&mut self, kind: EventKind, job: JobId) {
        self.events.push(kind, job.as_bytes());
    }

    /// Records what happened to jobs, of 16 bytes each.
    pub(super) fn happened_to(&mut self, kind: EventKind, ids: &[u8]) {
        ids.as_chunks::<16>().0.iter().for_each(|id| self.events.push(kind, id));
    }

    /// Tells those who run these jobs that they were cancelled.
    pub(super) async fn note_cancelled(&mut self, ids: &[u8]) -> Result<(), sqlx::Error> {
        self.has_news = true;
        let prune_at = later(self.now_ms, CANCELLED_FOR);
        for ids in ids.chunks(16 * FEED_IDS) {
            let args = Args::new().with(prune_at).with(ids);
            self.sql.execute(statements::NOTE_CANCELLED, args).await?;
        }
        Ok(())
    }

    /// Tells those who wait for these jobs' ends, and upkeep when to prune them.
    pub(super) async fn note_finished(
        &mut self,
        prune_at: i64,
        ids: &[u8],
    ) -> Result<(), sqlx::Error> {
        self.has_news = true;
        for ids in ids.chunks(16 * FEED_IDS) {
            let args = Args::new().with(prune_at).with(ids);
            self.sql.execute(statements::FINISHED, args).await?;
        }
        Ok(())
    }
}

/// Numbers of jobs in one range.
const BATCH: i64 = 1 << 20;

/// How long a cancel is told: a worker that has not asked in this time learned of it at one of
/// its heartbeats.
const CANCELLED_FOR: Duration = Duration::from_secs(10 * 60);

/// Ids in one row of `hereafter_finished` and `hereafter_cancelled`.
const FEED_IDS: usize = 1000;
