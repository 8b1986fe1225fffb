//! Recording what running jobs say, and what readers want of them.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use super::row::Row;
use taskcore::JobId;
use taskcore::broker::{NewItems, Progress, Report, Settled};

use super::args::Args;
use super::chunks::{self, Chunk};
use super::finish::{push_seq, same};
use super::lease;
use super::row;
use super::session::{Session, Traces};
use super::statements::reports as sql;
use super::writer::Write;
use crate::receipt::Lease;

/// Records what deliveries have to say.
#[derive(Debug)]
pub(super) struct Say(pub(super) Vec<Report>);

impl Write for Say {
    const NAME: &'static str = "report";
    const IS_DURABLE: bool = false;
    type Answer = Vec<Settled>;

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<Settled>, sqlx::Error> {
        let leases: Vec<Option<Lease>> = self.0.iter().map(lease_of).collect();
        let asked: HashSet<Lease> = leases.iter().copied().flatten().collect();
        let mut asked: Vec<Lease> = asked.into_iter().collect();
        // As everybody locks them, so that nobody waits in a circle.
        asked.sort_unstable_by_key(|lease| lease.seq);
        let held = lease::held(session, &asked).await?;
        let mut said = said_by(session, &held).await?;
        let now_ms = session.now_ms;
        let mut add = |(report, lease): (&'_ Report, &Option<Lease>)| {
            let lease = lease.filter(|lease| held.contains(lease))?;
            said.get_mut(&lease.seq)?.add(report, lease.token, now_ms)
        };
        let answers = self.0.iter().zip(&leases).map(|entry| match add(entry) {
            Some(()) => Settled::Applied,
            None => Settled::Stale,
        });
        let answers = answers.collect();
        let changed: Vec<Said> = said.into_values().filter(|said| said.is_changed).collect();
        write(session, &changed).await?;
        Ok(answers)
    }
}

/// `None` for a receipt that is not ours, or is another job's.
fn lease_of(report: &Report) -> Option<Lease> {
    Lease::of(&report.receipt).filter(|lease| lease.job == report.job)
}

/// What a job has said so far, and what it says now.
#[derive(Debug)]
struct Said {
    seq: i64,
    attempt: u32,
    /// The latest that it says now.
    progress: Option<Progress>,
    version: i64,
    new_lines: Vec<Line>,
    lines: i64,
    run: i64,
    /// The lease that the run belongs to.
    token: Option<i64>,
    items: i64,
    new_chunks: Vec<Chunk>,
    /// Whether the items of an earlier run are over.
    is_new_run: bool,
    is_changed: bool,
}

#[derive(Debug)]
struct Line {
    number: i64,
    at_ms: i64,
    text: String,
}

impl Said {
    /// Of a row of `SAID`.
    fn of(row: &Row) -> Result<Self, sqlx::Error> {
        let number = |column| row::unsigned(row, column).map(u64::cast_signed);
        Ok(Self {
            seq: row::integer(row, "seq")?,
            attempt: row::count(row, "failures")?.saturating_add(1),
            progress: None,
            version: number("version")?,
            new_lines: Vec::new(),
            lines: number("lines")?,
            run: number("run")?,
            token: row::optional_integer(row, "token")?,
            items: number("items")?,
            new_chunks: Vec::new(),
            is_new_run: false,
            is_changed: false,
        })
    }

    /// `None` if it would leave a gap in the stream; then nothing of it is added.
    fn add(&mut self, report: &Report, token: i64, now_ms: i64) -> Option<()> {
        if let Some(new) = &report.items {
            self.publish(new, token)?;
        }
        if let Some(progress) = &report.progress {
            self.progress = Some(progress.clone());
            self.version += 1;
            self.is_changed = true;
        }
        for line in &report.log {
            self.lines += 1;
            let at_ms = earlier(now_ms, line.age);
            self.new_lines.push(Line { number: self.lines, at_ms, text: line.text.clone() });
            self.is_changed = true;
        }
        Some(())
    }

    fn publish(&mut self, new: &NewItems, token: i64) -> Option<()> {
        let is_new = self.token != Some(token);
        let stored = if is_new { 0 } else { self.items };
        let known = stored.checked_sub_unsigned(new.first).filter(|known| *known >= 0)?;
        if is_new {
            self.token = Some(token);
            self.run += 1;
            self.is_new_run = true;
            self.is_changed = true;
        }
        let unknown = usize::try_from(known).ok().and_then(|known| new.items.get(known..));
        let unknown = unknown.unwrap_or_default();
        self.new_chunks.extend(chunks::pack(stored, unknown));
        self.items = stored + unknown.len() as i64;
        self.is_changed |= !unknown.is_empty();
        Some(())
    }
}

/// The time a span before, at least the first that a timestamp can hold.
fn earlier(now_ms: i64, span: Duration) -> i64 {
    now_ms.saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX))
}

/// What the jobs of these leases have said, by their numbers.
async fn said_by(
    session: &mut Session<'_>,
    held: &HashSet<Lease>,
) -> Result<BTreeMap<i64, Said>, sqlx::Error> {
    let mut seqs: Vec<i64> = held.iter().map(|lease| lease.seq).collect();
    seqs.sort_unstable();
    let rows = session.sql.fetch_bulk(&sql::SAID, &seqs, push_seq, same).await?;
    let said = rows.iter().map(Said::of);
    said.map(|said| said.map(|said| (said.seq, said))).collect()
}

async fn write(session: &mut Session<'_>, changed: &[Said]) -> Result<(), sqlx::Error> {
    if changed.is_empty() {
        return Ok(());
    }
    session.has_reports = true;
    session.wrote_traces(Traces { attempts: false, reports: true });
    let restarted: Vec<i64> =
        changed.iter().filter(|said| said.is_new_run).map(|said| said.seq).collect();
    session.sql.execute_bulk(&sql::DELETE_CHUNKS, &restarted, push_seq, same).await?;
    session.sql.execute_bulk(&sql::SAY, changed, push_said, same).await?;
    let lines = changed.iter().flat_map(|said| said.new_lines.iter().map(move |line| (said, line)));
    let push = |args: &mut Args, (said, line): &(&Said, &Line)| {
        args.push(said.seq);
        args.push(line.number);
        args.push(line.at_ms);
        args.push(i64::from(said.attempt));
        args.push(line.text.as_str());
    };
    session.sql.execute_bulk(&sql::ADD_LINE, &lines.collect::<Vec<_>>(), push, same).await?;
    let chunks = changed.iter().flat_map(|said| said.new_chunks.iter().map(|it| (said.seq, it)));
    let push = |args: &mut Args, (seq, chunk): &(i64, &Chunk)| {
        args.push(*seq);
        args.push(chunk.first);
        args.push(chunk.count);
        args.push(chunk.items.as_slice());
    };
    session.sql.execute_bulk(&sql::ADD_CHUNK, &chunks.collect::<Vec<_>>(), push, same).await?;
    Ok(())
}

fn push_said(args: &mut Args, said: &Said) {
    let progress = said.progress.as_ref();
    args.push(said.seq);
    args.push(said.version);
    args.push(progress.map_or(0, |progress| progress.done.cast_signed()));
    args.push(progress.map_or(0, |progress| progress.total.cast_signed()));
    args.push(progress.map_or("", |progress| progress.message.as_str()));
    args.push(said.lines);
    args.push(said.run);
    args.push(said.token);
    args.push(said.items);
}

/// Notes what a reader wants.
#[derive(Debug)]
pub(super) struct Pull {
    pub(super) job: JobId,
    pub(super) until: u64,
}

impl Write for Pull {
    const NAME: &'static str = "pull";
    const IS_DURABLE: bool = false;
    type Answer = ();

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let args = Args::new()
            .with(i64::try_from(self.until).unwrap_or(i64::MAX))
            .with(session.now_ms)
            .with(self.job);
        if session.sql.execute(sql::PULL, args).await? > 0 {
            session.has_reports = true;
            session.wrote_traces(Traces { attempts: false, reports: true });
        }
        Ok(())
    }
}

/// Forgets what jobs that are deleted have said.
pub(super) async fn deleted(session: &mut Session<'_>, seqs: &[i64]) -> Result<(), sqlx::Error> {
    if seqs.is_empty() || !session.traces().await?.reports {
        return Ok(());
    }
    let rows = session.sql.fetch_bulk(&sql::WITH_REPORTS, seqs, push_seq, same).await?;
    let said = rows.iter().map(|row| row::integer(row, "seq")).collect::<Result<Vec<_>, _>>()?;
    session.sql.execute_bulk(&sql::DELETE_REPORTS, &said, push_seq, same).await?;
    session.sql.execute_bulk(&sql::DELETE_LINES, &said, push_seq, same).await?;
    session.sql.execute_bulk(&sql::DELETE_CHUNKS, &said, push_seq, same).await?;
    Ok(())
}
