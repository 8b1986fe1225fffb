//! Recording verdicts.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};

use taskcore::broker::{AttemptEnd, EventKind, JobState, Keep, Settled, Settlement, Verdict};
use taskcore::{Failure, JobId, Payload};

use super::args::Args;
use super::attempts;
use super::continued::{self, Continuing, Ended};
use super::dependants::{self, Fallen};
use super::finish::{self, DEDUPE, Ending, push_seq, same};
use super::lease;
use super::session::Session;
use super::statements;
use super::unique;
use super::writer::Write;
use crate::receipt::{HandOut, Lease};
use taskcore::broker::millis::later;

/// Records one verdict per delivery.
#[derive(Debug)]
pub(super) struct Settle(pub(super) Vec<Settlement>);

impl Write for Settle {
    const NAME: &'static str = "settle";
    /// Most jobs are nothing to others.
    const MAY_NEED_ALL: bool = true;
    type Answer = Vec<Settled>;

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<Settled>, sqlx::Error> {
        let leases: Vec<Option<Lease>> = self.0.iter().map(lease_of).collect();
        let asked: HashSet<Lease> = leases.iter().copied().flatten().collect();
        let mut asked: Vec<Lease> = asked.into_iter().collect();
        // In the order of the tables, so that neighbours share pages.
        asked.sort_unstable_by_key(|lease| lease.seq);
        let mut recorded = record(session, &self.0, &leases, &asked).await?;
        asked.retain(|lease| !recorded.contains(lease));
        let mut open = lease::held(session, &asked).await?;
        let mut verdicts = Verdicts::default();
        let mut answers = Vec::with_capacity(self.0.len());
        for (settlement, lease) in self.0.iter().zip(leases) {
            // Removed, because a second verdict in one batch comes after the first.
            let applies = match lease {
                Some(lease) if recorded.remove(&lease) => {
                    verdicts.add_recorded(lease, &settlement.verdict, session.now_ms)
                }
                Some(lease) if open.remove(&lease) => {
                    verdicts.add(lease, &settlement.verdict, session.now_ms)
                }
                _ => false,
            };
            if applies {
                note(session, settlement);
            }
            answers.push(if applies { Settled::Applied } else { Settled::Stale });
        }
        verdicts.write(session).await?;
        Ok(answers)
    }
}

/// Where one statement can record verdicts as it looks whether they count, and all of them are
/// successes of which something is kept, it does so. Answers the leases that it has ended; others may
/// be current all the same, as one that is being extended.
async fn record(
    session: &mut Session<'_>,
    batch: &[Settlement],
    leases: &[Option<Lease>],
    asked: &[Lease],
) -> Result<HashSet<Lease>, sqlx::Error> {
    if !statements::RECORD.is_said_in(&session.sql.dialect) {
        return Ok(HashSet::new());
    }
    let now_ms = session.now_ms;
    let mut done = HashMap::with_capacity(asked.len());
    for (settlement, lease) in batch.iter().zip(leases) {
        let Verdict::Done { result, keep: Keep::For(span) } = &settlement.verdict else {
            return Ok(HashSet::new());
        };
        if let Some(lease) = lease {
            // The first verdict of a batch counts.
            let keep_until = later(now_ms, *span);
            done.entry(*lease).or_insert(Done {
                seq: lease.seq,
                keep_until,
                result: result.as_ref(),
            });
        }
    }
    let row = |args: &mut Args, lease: &Lease| {
        let done = &done[lease];
        args.push(lease.seq);
        args.push(lease.token);
        args.push(done.keep_until);
        args.push(done.result.map(Payload::as_slice));
    };
    let rest = |args: Args| args.with(now_ms).with(now_ms);
    let answers = session.sql.fetch_bulk(&statements::RECORD, asked, row, rest).await?;
    answers.iter().try_for_each(|answer| lease::saw(session, answer))?;
    lease::among(asked, &answers)
}

/// `None` for a receipt that is not ours, or is another job's.
fn lease_of(settlement: &Settlement) -> Option<Lease> {
    Lease::of(&settlement.receipt).filter(|lease| lease.job == settlement.job)
}

/// Counts a verdict, and tells of it, unless that is done where all such ends are written.
fn note(session: &mut Session<'_>, Settlement { job, receipt, verdict }: &Settlement) {
    let event = match verdict {
        Verdict::Done { .. } => Some(EventKind::Done),
        Verdict::Retry { .. } => Some(EventKind::Retried),
        Verdict::Release | Verdict::Snooze { .. } => Some(EventKind::Released),
        _ => None,
    };
    if let Some(event) = event {
        session.happened(event, *job);
    }
    let is_given_back =
        matches!(verdict, Verdict::Cancelled | Verdict::Release | Verdict::Snooze { .. });
    let Some(hand_out) = HandOut::of(receipt).filter(|_| !is_given_back) else { return };
    let ran_ms = session.now_ms - hand_out.started_ms;
    let sum = session.sums.of(hand_out.task);
    sum.add_run(ran_ms, hand_out.waited_ms);
    sum.done += i64::from(event == Some(EventKind::Done));
    sum.retried += i64::from(event == Some(EventKind::Retried));
}

/// Verdicts that count, sorted by what they write.
#[derive(Debug, Default)]
struct Verdicts<'a> {
    settled: Vec<i64>,
    /// Those that are done and need no more than to be told of.
    recorded: Vec<i64>,
    done: Vec<Done<'a>>,
    /// Ids of jobs that are done, by the time from which upkeep looks at them.
    ids_by_end: BTreeMap<i64, Vec<u8>>,
    dropped: Vec<Dropped<'a>>,
    retried: Vec<Retried<'a>>,
    failed: Vec<Failed<'a>>,
    failed_ids: Vec<u8>,
    continuing: Vec<Continuing<'a>>,
    cancelled: Vec<i64>,
    cancelled_ids: Vec<u8>,
    released: Vec<i64>,
    snoozed: Vec<Snoozed>,
    /// Of all but those that are done.
    ended: Vec<attempts::Ended>,
}

#[derive(Debug)]
struct Done<'a> {
    seq: i64,
    keep_until: i64,
    result: Option<&'a Payload>,
}

#[derive(Debug)]
struct Retried<'a> {
    seq: i64,
    due_at: i64,
    failure: &'a Failure,
}

#[derive(Debug)]
struct Snoozed {
    seq: i64,
    due_at: i64,
}

#[derive(Debug)]
struct Failed<'a> {
    seq: i64,
    failure: Cow<'a, Failure>,
}

/// A job that is done and of which nothing is kept.
#[derive(Debug)]
struct Dropped<'a> {
    seq: i64,
    job: JobId,
    result: Option<&'a Payload>,
}

impl<'a> Verdicts<'a> {
    /// Whether the verdict is one that this broker knows.
    fn add(&mut self, lease: Lease, verdict: &'a Verdict, now_ms: i64) -> bool {
        let Lease { job, seq, .. } = lease;
        match verdict {
            Verdict::Done { result, keep: Keep::For(span) } => {
                let keep_until = later(now_ms, *span);
                self.done.push(Done { seq, keep_until, result: result.as_ref() });
                push_id(self.ids_by_end.entry(keep_until).or_default(), job);
            }
            Verdict::Done { result, keep: Keep::Nothing } => {
                self.dropped.push(Dropped { seq, job, result: result.as_ref() });
            }
            Verdict::Retry { after, failure } => {
                let due_at = later(now_ms, *after);
                self.retried.push(Retried { seq, due_at, failure });
                self.end(seq, AttemptEnd::Failed, Some(failure));
            }
            Verdict::Failed { failure } => {
                self.failed.push(Failed { seq, failure: Cow::Borrowed(failure) });
                push_id(&mut self.failed_ids, job);
                self.end(seq, AttemptEnd::Failed, Some(failure));
            }
            Verdict::Continued { jobs, by, keep } => {
                self.continuing.push(Continuing { seq, job, jobs, by: *by, keep: *keep });
                self.end(seq, AttemptEnd::Continued, None);
            }
            Verdict::Cancelled => {
                self.end(seq, AttemptEnd::Cancelled, None);
                self.cancelled.push(seq);
                push_id(&mut self.cancelled_ids, job);
            }
            Verdict::Release => {
                self.released.push(seq);
                self.end(seq, AttemptEnd::Released, None);
            }
            Verdict::Snooze { after } => {
                self.snoozed.push(Snoozed { seq, due_at: later(now_ms, *after) });
                self.end(seq, AttemptEnd::Released, None);
            }
            // A verdict of a later contract: the lease runs out and the job runs elsewhere.
            _ => return false,
        }
        self.settled.push(seq);
        true
    }

    /// Adds one that [`record`] has written.
    fn add_recorded(&mut self, lease: Lease, verdict: &Verdict, now_ms: i64) -> bool {
        let Verdict::Done { keep: Keep::For(span), .. } = verdict else { return false };
        self.recorded.push(lease.seq);
        push_id(self.ids_by_end.entry(later(now_ms, *span)).or_default(), lease.job);
        true
    }

    fn end(&mut self, seq: i64, end: AttemptEnd, failure: Option<&Failure>) {
        self.ended.push(attempts::Ended { seq, end, failure: failure.map(json) });
    }

    /// Leases end after the other statements, which read from them who ran the job, and when.
    async fn write(mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        // First, because a job that ends here may continue another from here on.
        let ended = continued::link(session, &self.continuing).await?;
        self.refuse(&ended.refused);
        attempts::end(session, &self.ended).await?;
        self.keep_needed(session).await?;
        self.write_done(session).await?;
        self.write_dropped(session).await?;
        self.write_retried(session).await?;
        self.write_failed(session).await?;
        self.write_cancelled(session).await?;
        self.write_released(session).await?;
        self.write_snoozed(session).await?;
        finish::end_leases(session, &self.settled).await?;
        self.tell_dependants(session).await?;
        end_continued(session, &ended).await
    }

    /// Fails what would have waited for itself.
    fn refuse(&mut self, refused: &[Fallen]) {
        for Fallen { seq, id, failure } in refused {
            self.failed.push(Failed { seq: *seq, failure: Cow::Owned(failure.clone()) });
            push_id(&mut self.failed_ids, *id);
            let attempt = self.ended.iter_mut().find(|attempt| attempt.seq == *seq);
            attempt.expect("all that continues has ended").failure = Some(json(failure));
        }
    }

    /// What another job will read is kept until that one has ended.
    async fn keep_needed(&mut self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let seqs: Vec<i64> = self.dropped.iter().map(|dropped| dropped.seq).collect();
        let needed = dependants::needed(session, &seqs).await?;
        if needed.is_empty() {
            return Ok(());
        }
        let needed: HashSet<i64> = needed.into_iter().collect();
        let now_ms = session.now_ms;
        // Upkeep need not look soon: the end of the other job lists it again.
        let ids = self.ids_by_end.entry(later(now_ms, DEDUPE)).or_default();
        for Dropped { seq, job, result } in
            self.dropped.extract_if(.., |dropped| needed.contains(&dropped.seq))
        {
            self.done.push(Done { seq, keep_until: now_ms, result });
            push_id(ids, job);
        }
        Ok(())
    }

    async fn tell_dependants(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if !session.has_edges().await? {
            return Ok(());
        }
        let dropped = self.dropped.iter().map(|dropped| dropped.seq);
        let recorded = self.recorded.iter().copied();
        let done: Vec<i64> =
            recorded.chain(self.done.iter().map(|done| done.seq)).chain(dropped).collect();
        dependants::ended(session, &done, JobState::Done).await?;
        let failed: Vec<i64> = self.failed.iter().map(|failed| failed.seq).collect();
        dependants::ended(session, &failed, JobState::Failed).await?;
        dependants::ended(session, &self.cancelled, JobState::Cancelled).await
    }

    async fn write_done(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        let row = |args: &mut Args, done: &Done<'_>| {
            args.push(done.seq);
            args.push(done.keep_until);
            args.push(done.result.map(Payload::as_slice));
        };
        let now_ms = session.now_ms;
        let rest = |args: Args| args.with(now_ms);
        session.sql.execute_bulk(&statements::DONE, &self.done, row, rest).await?;
        for (end_ms, ids) in &self.ids_by_end {
            session.note_finished(*end_ms, ids).await?;
        }
        if !session.has_keys().await? {
            return Ok(());
        }
        let recorded = self.recorded.iter().copied();
        let seqs: Vec<i64> = recorded.chain(self.done.iter().map(|done| done.seq)).collect();
        unique::ended(session, &seqs).await
    }

    async fn write_dropped(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if self.dropped.is_empty() {
            return Ok(());
        }
        let seqs: Vec<i64> = self.dropped.iter().map(|dropped| dropped.seq).collect();
        let mut ids = Vec::with_capacity(16 * seqs.len());
        self.dropped.iter().for_each(|dropped| push_id(&mut ids, dropped.job));
        finish::delete(session, &seqs, &ids).await?;
        // Handles may wait for them, to learn that nothing is kept.
        session.note_finished(later(session.now_ms, DEDUPE), &ids).await
    }

    async fn write_retried(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if self.retried.is_empty() {
            return Ok(());
        }
        let row = |args: &mut Args, retried: &Retried<'_>| {
            args.push(retried.seq);
            args.push(retried.due_at);
            args.push(json(retried.failure));
        };
        session.sql.execute_bulk(&statements::RETRY, &self.retried, row, same).await?;
        let seq = |args: &mut Args, retried: &Retried<'_>| args.push(retried.seq);
        session.sql.execute_bulk(&statements::SCHEDULE, &self.retried, seq, same).await?;
        session.has_news = true;
        Ok(())
    }

    async fn write_failed(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if self.failed.is_empty() {
            return Ok(());
        }
        let row = |args: &mut Args, failed: &Failed<'_>| {
            args.push(failed.seq);
            args.push(json(&failed.failure));
        };
        session.sql.execute_bulk(&statements::FAIL, &self.failed, row, same).await?;
        let seqs: Vec<i64> = self.failed.iter().map(|failed| failed.seq).collect();
        finish::finish(session, &seqs, &self.failed_ids, Ending::Failed).await
    }

    async fn write_cancelled(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if self.cancelled.is_empty() {
            return Ok(());
        }
        finish::finish(session, &self.cancelled, &self.cancelled_ids, Ending::Cancelled).await
    }

    async fn write_released(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if self.released.is_empty() {
            return Ok(());
        }
        session.sql.execute_bulk(&statements::RELEASE, &self.released, push_seq, same).await?;
        finish::wait_again(session, &self.released).await
    }

    async fn write_snoozed(&self, session: &mut Session<'_>) -> Result<(), sqlx::Error> {
        if self.snoozed.is_empty() {
            return Ok(());
        }
        let row = |args: &mut Args, snoozed: &Snoozed| {
            args.push(snoozed.seq);
            args.push(snoozed.due_at);
        };
        session.sql.execute_bulk(&statements::SNOOZE, &self.snoozed, row, same).await?;
        let seq = |args: &mut Args, snoozed: &Snoozed| args.push(snoozed.seq);
        session.sql.execute_bulk(&statements::SCHEDULE, &self.snoozed, seq, same).await?;
        session.sql.execute_bulk(&statements::EXPIRE_AGAIN, &self.snoozed, seq, same).await?;
        session.has_news = true;
        Ok(())
    }
}

/// Ends what was continued by a job that had ended before.
async fn end_continued(session: &mut Session<'_>, ended: &Ended) -> Result<(), sqlx::Error> {
    dependants::pass_result_on(session, &ended.done).await?;
    dependants::fail(session, &ended.fallen).await?;
    let fallen: Vec<i64> = ended.fallen.iter().map(|fallen| fallen.seq).collect();
    dependants::ended(session, &fallen, JobState::Failed).await
}

fn push_id(ids: &mut Vec<u8>, job: JobId) {
    ids.extend_from_slice(job.as_bytes());
}

/// A failure as it is stored.
pub(super) fn json(failure: &Failure) -> String {
    serde_json::to_string(failure).expect("a failure is plain data with text keys")
}
