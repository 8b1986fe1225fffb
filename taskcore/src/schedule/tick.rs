//! What a tick becomes.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::spec::{InvalidSchedule, Missed, Spec};
use crate::broker::{
    BrokerError, Due, Fired, Firing, Found, Hold, NewJob, ScheduleFilter, ScheduleRecord,
    Schedules, Seen, Template,
};
use crate::envelope::Envelope;
use crate::id::JobId;
use crate::trace::TraceParent;

/// The most missed ticks of one schedule that become jobs in one step.
pub const BURST: usize = 100;

/// How late a tick may be noticed and still count as seen by somebody.
pub const ON_TIME: Duration = Duration::from_secs(60);

/// The jobs of a schedule that is due, and how it goes on.
///
/// # Errors
///
/// [`InvalidSchedule`] if a later version wrote the schedule.
pub fn firing(record: &ScheduleRecord, now: Timestamp) -> Result<Firing, InvalidSchedule> {
    let spec = Spec::decode(&record.spec)?;
    let Some(tick) = record.next.filter(|tick| *tick <= now) else {
        return Ok(of_ticks(record, &[], record.next));
    };
    let latest = spec.latest(tick, now);
    let (ticks, next) = match spec.missed() {
        Missed::One => (vec![latest], spec.after(tick, now)),
        Missed::All => each(&spec, tick, now),
        Missed::None if is_on_time(latest, now) => (vec![latest], spec.after(tick, now)),
        Missed::None => (Vec::new(), spec.after(tick, now)),
    };
    Ok(of_ticks(record, &ticks, next))
}

/// Lets a schedule go on that was held back. Ticks that came meanwhile are passed over.
///
/// # Errors
///
/// [`BrokerError`].
pub async fn resume(schedules: &dyn Schedules, name: &str) -> Result<Found, BrokerError> {
    while let Some(record) = find(schedules, name).await? {
        let now = schedules.now().await?;
        let late = record.next.filter(|tick| *tick <= now && record.hold == Hold::Paused);
        // What cannot be read is let go on as it is: a worker will say so.
        let next =
            late.zip(Spec::decode(&record.spec).ok()).map(|(tick, spec)| spec.after(tick, now));
        let Some(next) = next else { break };
        if schedules.fire(&of_ticks(&record, &[], next)).await? == Fired::Applied {
            break;
        }
    }
    let found = schedules.hold(&[name.to_owned()], Hold::Running).await?;
    Ok(found.first().copied().unwrap_or(Found::Unknown))
}

/// Runs a schedule's job now, beside its ticks, held back or not; `None` if there is no such
/// schedule.
///
/// # Errors
///
/// [`BrokerError`].
pub async fn run_now(schedules: &dyn Schedules, name: &str) -> Result<Option<JobId>, BrokerError> {
    let id = JobId::new();
    while let Some(record) = find(schedules, name).await? {
        let firing =
            Firing { jobs: vec![job(&record.template, id)], ..of_ticks(&record, &[], record.next) };
        if schedules.fire(&firing).await? == Fired::Applied {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

/// Ends a schedule: it ticks no more, and its runs can still be listed.
///
/// # Errors
///
/// [`BrokerError`].
pub async fn end(schedules: &dyn Schedules, name: &str) -> Result<Found, BrokerError> {
    while let Some(record) = find(schedules, name).await? {
        if schedules.fire(&of_ticks(&record, &[], None)).await? == Fired::Applied {
            return Ok(Found::Known);
        }
    }
    Ok(Found::Unknown)
}

/// What is stored under this name.
pub(super) async fn find(
    schedules: &dyn Schedules,
    name: &str,
) -> Result<Option<ScheduleRecord>, BrokerError> {
    let filter = ScheduleFilter { names: Some(vec![name.to_owned()]), ..ScheduleFilter::default() };
    Ok(schedules.list(&filter).await?.pop())
}

fn of_ticks(record: &ScheduleRecord, ticks: &[Timestamp], next: Option<Timestamp>) -> Firing {
    let id = |tick: &Timestamp| JobId::of_tick(&record.name, *tick);
    Firing {
        name: record.name.clone(),
        seen: Seen { next: record.next, hold: record.hold },
        jobs: ticks.iter().map(|tick| job(&record.template, id(tick))).collect(),
        last: ticks.last().copied(),
        next,
    }
}

/// The ticks that have come, and the one after them; the rest if they are too many.
fn each(spec: &Spec, tick: Timestamp, now: Timestamp) -> (Vec<Timestamp>, Option<Timestamp>) {
    let mut ticks = vec![tick];
    let mut next = spec.following(tick);
    while let Some(tick) = next.filter(|tick| *tick <= now && ticks.len() < BURST) {
        ticks.push(tick);
        next = spec.following(tick);
    }
    (ticks, next)
}

fn is_on_time(tick: Timestamp, now: Timestamp) -> bool {
    now.duration_since(tick) < SignedDuration::try_from(ON_TIME).unwrap_or(SignedDuration::MAX)
}

fn job(template: &Template, id: JobId) -> NewJob {
    NewJob {
        id,
        queue: template.queue.clone(),
        task: template.task.clone(),
        priority: template.priority,
        due: Due::Now,
        expires_in: template.expires_in,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: match Envelope::decode(template.envelope.as_slice()) {
            Ok(mut envelope) => {
                // Each tick is a trace of its own.
                let trace = TraceParent::root().to_string();
                envelope.headers.insert(TraceParent::HEADER.to_owned(), trace);
                envelope.encode()
            }
            // A worker that reads it will say what is wrong with it.
            Err(_) => template.envelope.clone(),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use super::*;
    use crate::broker::Origin;
    use crate::payload::Payload;
    use crate::queue::{Priority, QueueName};
    use crate::schedule::{Bounds, Ticks};

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    /// Every 10 s, next at 100 s.
    fn record(missed: Missed) -> ScheduleRecord {
        let ticks = Ticks::Every(Duration::from_secs(10));
        ScheduleRecord {
            name: "ten".to_owned(),
            spec: Spec::new(ticks, Bounds::default(), missed).unwrap().encode(),
            origin: Origin::Called,
            next: Some(at(100)),
            last: None,
            hold: Hold::Running,
            created_at: at(90),
            runs: Vec::new(),
            template: Template {
                queue: QueueName::DEFAULT,
                task: Cow::Borrowed("app::report"),
                priority: Priority::default(),
                expires_in: None,
                envelope: Payload::from(
                    br#"{"hereafter":1,"task":"app::report","args":{}}"#.to_vec(),
                ),
            },
        }
    }

    fn ids(ticks: impl IntoIterator<Item = i64>) -> Vec<JobId> {
        ticks.into_iter().map(|tick| JobId::of_tick("ten", at(tick))).collect()
    }

    fn fired(missed: Missed, now: i64) -> (Vec<JobId>, Option<Timestamp>, Option<Timestamp>) {
        let firing = firing(&record(missed), at(now)).unwrap();
        (firing.jobs.iter().map(|job| job.id).collect(), firing.last, firing.next)
    }

    #[test]
    fn a_tick_in_time_is_one_job_whatever_becomes_of_missed_ones() {
        for missed in [Missed::One, Missed::All, Missed::None] {
            assert_eq!(fired(missed, 103), (ids([100]), Some(at(100)), Some(at(110))));
        }
    }

    #[test]
    fn missed_ticks_become_one_job_or_all_or_none() {
        assert_eq!(fired(Missed::One, 139), (ids([130]), Some(at(130)), Some(at(140))));
        let all = ids([100, 110, 120, 130]);
        assert_eq!(fired(Missed::All, 139), (all, Some(at(130)), Some(at(140))));
        // The latest of them is not over yet.
        assert_eq!(fired(Missed::None, 139), (ids([130]), Some(at(130)), Some(at(140))));
    }

    #[test]
    fn a_tick_that_is_a_minute_late_is_missed() {
        let mut record = record(Missed::None);
        record.spec = r#"{"every_ms":600000,"missed":"none"}"#.to_owned();
        assert_eq!(firing(&record, at(159)).unwrap().jobs.len(), 1);
        let late = firing(&record, at(160)).unwrap();
        assert_eq!((late.jobs.len(), late.last, late.next), (0, None, Some(at(700))));
    }

    #[test]
    fn too_many_missed_ticks_come_in_several_steps() {
        let (jobs, last, next) = fired(Missed::All, 100_000);
        assert_eq!(jobs, ids((100..1_100).step_by(10)));
        assert_eq!((last, next), (Some(at(1_090)), Some(at(1_100))));
    }

    #[test]
    fn each_job_has_the_arguments_of_the_template_and_a_trace_of_its_own() {
        let jobs = firing(&record(Missed::All), at(119)).unwrap().jobs;
        let read = |job: &NewJob| {
            let envelope = Envelope::decode(job.envelope.as_slice()).unwrap();
            let trace: TraceParent = envelope.headers[TraceParent::HEADER].parse().unwrap();
            (envelope.task.to_string(), envelope.args.get().to_owned(), trace.trace_id())
        };
        let (first, second) = (read(&jobs[0]), read(&jobs[1]));
        assert_eq!((first.0.as_str(), first.1.as_str()), ("app::report", "{}"));
        assert_ne!(first.2, second.2);
    }

    #[test]
    fn a_schedule_of_a_later_version_is_left_alone() {
        let mut record = record(Missed::One);
        record.spec = r#"{"solar":"sunrise"}"#.to_owned();
        assert!(matches!(firing(&record, at(100)), Err(InvalidSchedule::Foreign { .. })));
    }
}
