//! Storing jobs.

use std::collections::HashSet;

use taskcore::JobId;
use taskcore::broker::{Enqueued, EventKind, NewJob};

use super::args::Args;
use super::at_once;
#[cfg(feature = "mysql")]
use super::dialect::Kind;
use super::dialect::Statement;
use super::inputs::Links;
#[cfg(any(feature = "postgres", feature = "mysql"))]
use super::many;
use super::row;
#[cfg(feature = "mysql")]
use super::script;
use super::server_clock::StoreClock;
use super::session::Session;
use super::statements::{self, at_once as sql};
use super::unique::{self, Keys};
use super::writer::Write;
use crate::error::is_repeated;
use taskcore::broker::millis::{due_ms, later};

/// Stores the jobs of a batch.
#[derive(Debug)]
pub(super) struct Enqueue(pub(super) Vec<NewJob>);

impl Write for Enqueue {
    const NAME: &'static str = "enqueue";
    type Answer = Vec<Enqueued>;

    fn needs_all(&self) -> bool {
        self.0.iter().any(|job| job.unique.is_some() || !job.inputs.is_empty())
    }

    fn may_go_beside(&self) -> bool {
        self.0.len() <= FEW && !self.needs_all()
    }

    async fn at_once(
        &mut self,
        session: &mut Session<'_>,
        clock: &StoreClock,
    ) -> Result<Option<Vec<Enqueued>>, sqlx::Error> {
        // More of them are stored faster in another way.
        if self.needs_all() || self.0.len() > FEW {
            return Ok(None);
        }
        #[cfg(feature = "mysql")]
        if session.sql.dialect.kind == Kind::Mysql {
            return script::store(session, clock, &self.0).await;
        }
        if !sql::STORE.is_said_in(&session.sql.dialect) {
            return Ok(None);
        }
        at_once::store(session, clock, &self.0).await.map(Some)
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<Enqueued>, sqlx::Error> {
        if self.0.iter().any(|job| job.unique.is_some()) {
            return unique::store(session, &self.0).await;
        }
        store(session, &self.0, &Keys::default()).await
    }
}

/// The most jobs that are stored in one statement without a transaction.
const FEW: usize = 200;

/// Stores jobs, of which nobody else has the keys.
pub(super) async fn store(
    session: &mut Session<'_>,
    jobs: &[NewJob],
    keys: &Keys,
) -> Result<Vec<Enqueued>, sqlx::Error> {
    let Some(seqs) = insert(session, jobs).await? else {
        return Ok(vec![Enqueued::Duplicate; jobs.len()]);
    };
    let answers = if seqs.count == jobs.len() {
        vec![Enqueued::Stored; jobs.len()]
    } else {
        let rows = session.sql.fetch(statements::ENQUEUED, seqs.args()).await?;
        let stored = rows.iter().map(|row| row::job_id(row, "id")).collect::<Result<_, _>>()?;
        tell_apart(jobs, stored)
    };
    note(session, jobs, &answers).await?;
    keys.take(session, seqs).await?;
    let has_inputs = jobs.iter().any(|job| !job.inputs.is_empty());
    if has_inputs {
        let links = Links::write(session, jobs, seqs).await?;
        distribute(session, jobs, &seqs, &UNBLOCKED).await?;
        links.fail_broken(session).await?;
    } else {
        distribute(session, jobs, &seqs, &ALL).await?;
    }
    session.has_news = true;
    Ok(answers)
}

/// Counts and tells what was stored.
async fn note(
    session: &mut Session<'_>,
    jobs: &[NewJob],
    answers: &[Enqueued],
) -> Result<(), sqlx::Error> {
    for (job, answer) in jobs.iter().zip(answers) {
        if *answer == Enqueued::Stored {
            session.count_stored(&job.task).await?;
            session.happened(EventKind::Stored, job.id);
        }
    }
    Ok(())
}

/// The numbers that the stored jobs of a batch got, in the order of the batch. Jobs that were
/// there already leave gaps, but nobody else has a number in this range.
#[derive(Debug, Clone, Copy)]
pub(super) struct Seqs {
    pub(super) first: i64,
    pub(super) last: i64,
    count: usize,
}

impl Seqs {
    pub(super) fn args(self) -> Args {
        Args::new().with(self.first).with(self.last)
    }
}

/// Writes the rows of new jobs; `None` if all were there already.
async fn insert(session: &mut Session<'_>, jobs: &[NewJob]) -> Result<Option<Seqs>, sqlx::Error> {
    let now_ms = session.now_ms;
    let row = |args: &mut Args, (seq, job): &(Option<i64>, &NewJob)| {
        args.push(*seq);
        args.push(job.id);
        args.push(job.queue.as_str());
        args.push(&*job.task);
        args.push(i64::from(job.priority.value()));
        args.push(due_ms(job.due, now_ms));
        args.push(job.expires_in.map(|span| later(now_ms, span)));
        args.push(job.envelope.as_slice());
    };
    let rest = |args: Args| args.with(now_ms).with(now_ms);
    let before = session.last_seq().await?;
    let dialect = session.sql.dialect.clone();
    #[cfg(any(feature = "postgres", feature = "mysql"))]
    let by_rows = if session.takes_for_new { many::store(session, jobs, before).await? } else { 0 };
    #[cfg(not(any(feature = "postgres", feature = "mysql")))]
    let by_rows = 0;
    let numbers = before + 1 + by_rows as i64;
    // A database that gives numbers itself says what the last one was.
    let numbered: Vec<_> = if dialect.is_serial() {
        jobs.iter().map(|job| (None, job)).collect()
    } else {
        (numbers..).map(Some).zip(&jobs[by_rows..]).collect()
    };
    let mut seqs = Seqs { first: before + 1, last: numbers - 1, count: by_rows };
    let takes_for_new = session.takes_for_new && statements::ENQUEUE_NEW.is_said_in(&dialect);
    let statement = if takes_for_new { &statements::ENQUEUE_NEW } else { &statements::ENQUEUE };
    for chunk in statement.chunks(&dialect, &numbered, &row, &rest) {
        let inserted = session.sql.run(chunk.sql, chunk.args).await;
        session.has_repeats = takes_for_new && inserted.as_ref().is_err_and(is_repeated);
        let inserted = inserted?;
        if inserted.rows > 0 {
            seqs.last = match inserted.last_row {
                Some(last) if dialect.is_serial() => last,
                _ => before + jobs.len() as i64,
            };
            seqs.count += inserted.rows as usize;
        }
    }
    #[cfg(feature = "mysql")]
    if dialect.kind == Kind::Mysql && !takes_for_new {
        // It counts rows that were there already among those that it inserted.
        let stored = session.sql.fetch(statements::ENQUEUED, seqs.args()).await?;
        seqs.count = stored.len();
    }
    session.last_seq = Some(seqs.last);
    Ok((seqs.count > 0).then_some(seqs))
}

/// The statements that put new jobs where they wait for a worker.
#[derive(Debug)]
struct Places {
    ready: Statement,
    /// For jobs of different priorities.
    ready_sorted: Statement,
    scheduled: Statement,
}

static ALL: Places = Places {
    ready: statements::ENQUEUE_READY,
    ready_sorted: statements::ENQUEUE_READY_SORTED,
    scheduled: statements::ENQUEUE_SCHEDULED,
};

static UNBLOCKED: Places = Places {
    ready: statements::ENQUEUE_READY_UNBLOCKED,
    ready_sorted: statements::ENQUEUE_READY_UNBLOCKED,
    scheduled: statements::ENQUEUE_SCHEDULED_UNBLOCKED,
};

/// Puts the new jobs where their state says.
async fn distribute(
    session: &mut Session<'_>,
    jobs: &[NewJob],
    seqs: &Seqs,
    places: &Places,
) -> Result<(), sqlx::Error> {
    let now_ms = session.now_ms;
    let is_due = |job: &NewJob| due_ms(job.due, now_ms) <= now_ms;
    if jobs.iter().any(is_due) {
        // What is due is due now, so the order of one priority is that of its numbers.
        let is_sorted = jobs.windows(2).all(|pair| pair[0].priority == pair[1].priority);
        let ready = if is_sorted { places.ready } else { places.ready_sorted };
        session.sql.execute(ready, seqs.args().with(now_ms)).await?;
    }
    if !jobs.iter().all(is_due) {
        session.sql.execute(places.scheduled, seqs.args().with(now_ms)).await?;
    }
    if jobs.iter().any(|job| job.expires_in.is_some()) {
        session.sql.execute(statements::ENQUEUE_EXPIRY, seqs.args()).await?;
    }
    Ok(())
}

/// The answers to a batch of which these were stored.
pub(super) fn tell_apart(jobs: &[NewJob], mut stored: HashSet<JobId>) -> Vec<Enqueued> {
    // Removed, because the second job of one id in a batch is the duplicate of the first.
    let answer = |job: &NewJob| match stored.remove(&job.id) {
        true => Enqueued::Stored,
        false => Enqueued::Duplicate,
    };
    jobs.iter().map(answer).collect()
}
