//! Writing schedules.

use taskcore::JobId;
use taskcore::broker::millis::later;
use taskcore::broker::{
    Enqueued, Fired, Firing, Found, Hold, NewJob, NewSchedule, Origin, Put, ScheduleRecord,
};

use super::args::Args;
use super::connection::Connection;
use super::enqueue::Enqueue;
use super::schedules::tick_ms;
use super::session::Session;
use super::statements::schedules as statements;
use super::writer::Write;
use super::{row, schedule_row};

/// Stores schedules.
#[derive(Debug)]
pub(super) struct PutSchedules(pub(super) Vec<NewSchedule>);

impl Write for PutSchedules {
    const NAME: &'static str = "put";
    type Answer = Vec<Put>;

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<Put>, sqlx::Error> {
        let mut answers = Vec::with_capacity(self.0.len());
        for new in &self.0 {
            answers.push(standing(session, new).await?);
            put(session, new).await?;
        }
        Ok(answers)
    }
}

/// What a put will do.
async fn standing(session: &mut Session<'_>, new: &NewSchedule) -> Result<Put, sqlx::Error> {
    let args = Args::new().with(new.name.as_str());
    let rows = session.sql.fetch(statements::SCHEDULE_STANDING, args).await?;
    let Some(found) = rows.first() else { return Ok(Put::Stored) };
    let is_same = row::text(found, "spec")? == new.spec && schedule_row::next_ms(found)?.is_some();
    Ok(if is_same { Put::Kept } else { Put::Changed })
}

async fn put(session: &mut Session<'_>, new: &NewSchedule) -> Result<(), sqlx::Error> {
    let origin = match new.origin {
        Origin::Declared => "declared",
        Origin::Called => "called",
    };
    let template = &new.template;
    let args = Args::new()
        .with(new.name.as_str())
        .with(new.spec.as_str())
        .with(origin)
        .with(tick_ms(new.next))
        .with(session.now_ms)
        .with(template.queue.as_str())
        .with(&*template.task)
        .with(i64::from(template.priority.value()))
        .with(template.expires_in.map(|span| later(0, span)))
        .with(template.envelope.as_slice());
    session.sql.execute(statements::PUT_SCHEDULE, args).await?;
    Ok(())
}

/// Stores the jobs of a tick, and moves the schedule on.
#[derive(Debug)]
pub(super) struct Fire(pub(super) Firing);

impl Write for Fire {
    const NAME: &'static str = "fire";
    type Answer = Fired;

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Fired, sqlx::Error> {
        let firing = &self.0;
        let Some(mut runs) = is_as_seen(&mut session.sql, firing).await? else {
            return Ok(Fired::Stale);
        };
        runs.extend(enqueue(session, &firing.jobs).await?);
        let runs = &runs[runs.len().saturating_sub(ScheduleRecord::RUNS)..];
        let runs: Vec<u8> = runs.iter().flat_map(JobId::as_bytes).copied().collect();
        let args = Args::new()
            .with(tick_ms(firing.next))
            .with(tick_ms(firing.last))
            .with(runs)
            .with(firing.name.as_str());
        session.sql.execute(statements::FIRE_SCHEDULE, args).await?;
        Ok(Fired::Applied)
    }
}

/// The runs of a schedule that still is as its firing saw it.
pub(super) async fn is_as_seen(
    sql: &mut Connection<'_>,
    firing: &Firing,
) -> Result<Option<Vec<JobId>>, sqlx::Error> {
    let args = Args::new().with(firing.name.as_str());
    let rows = sql.fetch(statements::SCHEDULE_STANDING, args).await?;
    let Some(found) = rows.first() else { return Ok(None) };
    let is_same = schedule_row::next_ms(found)? == tick_ms(firing.seen.next)
        && schedule_row::hold(found)? == firing.seen.hold;
    Ok(if is_same { Some(schedule_row::runs(found)?) } else { None })
}

/// Stores jobs; answers those that were not stored before.
async fn enqueue(session: &mut Session<'_>, jobs: &[NewJob]) -> Result<Vec<JobId>, sqlx::Error> {
    if jobs.is_empty() {
        return Ok(Vec::new());
    }
    let answers = Enqueue(jobs.to_vec()).apply(session).await?;
    let stored = jobs.iter().zip(answers).filter(|(_, answer)| *answer == Enqueued::Stored);
    Ok(stored.map(|(job, _)| job.id).collect())
}

/// Holds schedules back, lets them go on, or deletes them.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) names: Vec<String>,
    pub(super) to: To,
}

/// What becomes of schedules.
#[derive(Debug, Clone, Copy)]
pub(super) enum To {
    Hold(Hold),
    Nothing,
}

impl Write for Change {
    const NAME: &'static str = "change schedules";
    type Answer = Vec<Found>;

    fn needs_all(&self) -> bool {
        true
    }

    async fn apply(&mut self, session: &mut Session<'_>) -> Result<Vec<Found>, sqlx::Error> {
        let mut answers = Vec::with_capacity(self.names.len());
        for name in &self.names {
            let (statement, args) = match self.to {
                To::Hold(hold) => {
                    let paused = i64::from(hold == Hold::Paused);
                    (statements::HOLD_SCHEDULE, Args::new().with(paused))
                }
                To::Nothing => (statements::DELETE_SCHEDULE, Args::new()),
            };
            let touched = session.sql.execute(statement, args.with(name.as_str())).await?;
            answers.push(if touched > 0 { Found::Known } else { Found::Unknown });
        }
        Ok(answers)
    }
}
