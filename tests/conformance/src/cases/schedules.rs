//! Schedules: whose ticks become jobs once, whoever sees them come.

use std::borrow::Cow;
use std::time::Duration;

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use taskcore::broker::{
    BrokerError, Due, Fired, Firing, Found, Hold, NewJob, NewSchedule, Origin, Put, Reserve,
    ScheduleFilter, ScheduleRecord, Schedules, Seen, Template,
};
use taskcore::{JobId, Payload, Priority};

use crate::harness::Harness;
use crate::lab::*;

/// The schedules of the store under test; a set-up without them has nothing to prove here.
macro_rules! schedules {
    ($lab:expr, $schedules:ident) => {
        let open = $lab.connection().schedules;
        let Some($schedules) = open else { return };
    };
}

/// What was asked for is what is there, name by name.
pub async fn a_schedule_is_listed_as_it_was_stored(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    let new: Vec<_> = names(batch).iter().rev().map(|name| new(name, Some(now))).collect();
    assert_eq!(schedules.put(&new).await.unwrap(), vec![Put::Stored; batch]);
    schedules!(lab.second().await, second);
    let listed = second.list(&ScheduleFilter::default()).await.unwrap();
    assert_eq!(names_of(&listed), names(batch));
    let now = schedules.now().await.unwrap();
    for record in listed {
        assert_eq!((record.spec.as_str(), record.origin), ("every so often", Origin::Called));
        assert_eq!((record.next, record.last), (new[0].next, None));
        assert_eq!((record.hold, record.runs), (Hold::Running, vec![]));
        assert!(record.created_at <= now);
        assert_template(&record.template, &new[0].template);
    }
}

/// Names and everything else come from users.
pub async fn a_schedule_may_have_any_texts(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let texts = HOSTILE.map(str::to_owned);
    let new: Vec<_> = texts
        .iter()
        .map(|text| {
            let mut new = new(text, None);
            new.spec.clone_from(text);
            new.template.task = Cow::Owned(text.clone());
            new.template.envelope = Payload::from(text.as_bytes().to_vec());
            new
        })
        .collect();
    schedules.put(&new).await.unwrap();
    for text in &texts {
        let record = find(&*schedules, text).await.unwrap();
        assert_eq!((&record.name, &record.spec), (text, text));
        assert_eq!(record.template.task, text.as_str());
        assert_eq!(record.template.envelope.as_slice(), text.as_bytes());
    }
    assert_eq!(schedules.delete(&texts).await.unwrap(), [Found::Known; HOSTILE.len()]);
}

/// The command line asks for what attributes declared, and for single ones.
pub async fn a_filter_narrows_the_list(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let declared = NewSchedule { origin: Origin::Declared, ..new("b", None) };
    schedules.put(&[new("c", None), declared, new("a", None)]).await.unwrap();
    let listed = async |names: Option<&[&str]>, origin| {
        let names = names.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
        names_of(&schedules.list(&ScheduleFilter { names, origin }).await.unwrap())
    };
    assert_eq!(listed(None, Some(Origin::Declared)).await, ["b"]);
    assert_eq!(listed(Some(&["c", "x", "a", "c"]), None).await, ["a", "c"]);
    assert_eq!(listed(Some(&["c"]), Some(Origin::Declared)).await, [""; 0]);
}

/// Every start of every worker puts the declared ones again.
pub async fn a_put_with_the_same_spec_keeps_what_is_there(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    let new: Vec<_> = names(batch).iter().map(|name| new(name, Some(now))).collect();
    schedules.put(&new).await.unwrap();
    for record in due(&*schedules, batch).await {
        fire(&*schedules, &firing(&record, 1, Some(later(now, 100)))).await;
    }
    schedules.hold(&names(batch), Hold::Paused).await.unwrap();
    let before = schedules.list(&ScheduleFilter::default()).await.unwrap();
    let again: Vec<_> = new
        .into_iter()
        .map(|new| NewSchedule { next: Some(later(now, 7)), template: other_template(), ..new })
        .collect();
    assert_eq!(schedules.put(&again).await.unwrap(), vec![Put::Kept; batch]);
    let after = schedules.list(&ScheduleFilter::default()).await.unwrap();
    for (before, after) in before.iter().zip(&after) {
        assert_eq!((after.next, after.last), (Some(later(now, 100)), before.last));
        assert_eq!((after.hold, &after.runs), (Hold::Paused, &before.runs));
        assert_eq!((after.runs.len(), after.created_at), (1, before.created_at));
        assert_template(&after.template, &other_template());
    }
}

/// Only when it ticks is another matter; what it did and that it is held back stays.
pub async fn a_put_with_another_spec_takes_the_new_tick(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    let new: Vec<_> = names(batch).iter().map(|name| new(name, Some(now))).collect();
    schedules.put(&new).await.unwrap();
    for record in due(&*schedules, batch).await {
        fire(&*schedules, &firing(&record, 1, Some(later(now, 100)))).await;
    }
    schedules.hold(&names(batch), Hold::Paused).await.unwrap();
    let again: Vec<_> = new
        .into_iter()
        .map(|new| NewSchedule {
            spec: "seldom".to_owned(),
            origin: Origin::Declared,
            next: Some(later(now, 7)),
            ..new
        })
        .collect();
    assert_eq!(schedules.put(&again).await.unwrap(), vec![Put::Changed; batch]);
    for record in schedules.list(&ScheduleFilter::default()).await.unwrap() {
        assert_eq!((record.spec.as_str(), record.origin), ("seldom", Origin::Declared));
        assert_eq!((record.next, record.last), (Some(later(now, 7)), Some(now)));
        assert_eq!((record.hold, record.runs.len()), (Hold::Paused, 1));
    }
}

/// What has no next tick cannot go on.
pub async fn a_put_of_one_that_has_ended_starts_it_anew(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", None)]).await.unwrap();
    assert_eq!(schedules.put(&[new("a", Some(now))]).await.unwrap(), [Put::Changed]);
    assert_eq!(names_of(&due(&*schedules, 1).await), ["a"]);
}

/// Two of one name are one, and the later one counts.
pub async fn a_name_that_is_put_twice_at_once_is_one_schedule(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let other = NewSchedule { spec: "seldom".to_owned(), ..new("a", None) };
    let answers = schedules.put(&[new("a", None), other]).await.unwrap();
    assert_eq!(answers, [Put::Stored, Put::Changed]);
    assert_eq!(find(&*schedules, "a").await.unwrap().spec, "seldom");
}

/// Neither before its tick nor when it is over.
pub async fn a_schedule_is_due_from_its_tick_on(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let tick = after(&*schedules, lab.ticks(2)).await;
    let new: Vec<_> = names(batch).iter().map(|name| new(name, Some(tick))).collect();
    schedules.put(&new).await.unwrap();
    schedules.put(&[self::new("ended", None)]).await.unwrap();
    assert_eq!(names_of(&due(&*schedules, batch).await), [""; 0]);
    lab.elapse(2).await;
    let found = schedules.due(count(2 * batch), Duration::ZERO).await.unwrap();
    assert_eq!(names_of(&found.due), names(batch));
    assert!(found.now >= tick);
    assert_eq!(due(&*schedules, batch).await.len(), batch, "looking changes nothing");
}

/// So that no schedule starves.
pub async fn the_longest_due_come_first_up_to_the_limit(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    let at = |name, second| new(name, Some(later(now, second)));
    schedules.put(&[at("a", -10), at("b", -30), at("c", -20)]).await.unwrap();
    assert_eq!(names_of(&due(&*schedules, 2).await), ["b", "c"]);
}

/// Workers sleep until then.
pub async fn a_waiting_due_answers_when_a_tick_comes(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let tick = after(&*schedules, lab.ticks(1)).await;
    schedules.put(&[new("a", Some(tick))]).await.unwrap();
    let mut waiting = tokio::spawn(async move { due_within_an_hour(&*schedules).await });
    assert_waits(&mut waiting).await;
    lab.elapse(1).await;
    assert_eq!(names_of(&soon("the tick", waiting).await.unwrap()), ["a"]);
}

/// A new schedule may tick before all others.
pub async fn a_waiting_due_answers_when_a_due_schedule_is_put(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    let mut waiting = tokio::spawn(async move { due_within_an_hour(&*schedules).await });
    assert_waits(&mut waiting).await;
    schedules!(lab.second().await, second);
    second.put(&[new("a", Some(now))]).await.unwrap();
    assert_eq!(names_of(&soon("the schedule", waiting).await.unwrap()), ["a"]);
}

/// A worker that stops must not wait for a tick.
pub async fn due_waits_no_longer_than_asked(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let answer = soon("an answer", schedules.due(count(1), Duration::from_millis(20))).await;
    assert_eq!(names_of(&answer.unwrap().due), [""; 0]);
}

/// The jobs and the next tick are one step.
pub async fn a_tick_becomes_its_jobs_and_the_schedule_moves_on(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let record = due(&*schedules, 1).await.remove(0);
    let firing = firing(&record, batch, Some(later(now, 60)));
    fire(&*schedules, &firing).await;
    let ids = ids_of(&firing.jobs);
    assert_eq!(jobs_of(&lab.reserve_all(batch).await), ids);
    let record = find(&*schedules, "a").await.unwrap();
    assert_eq!((record.next, record.last), (Some(later(now, 60)), Some(now)));
    assert_eq!(record.runs, ids);
    assert_eq!(names_of(&due(&*schedules, 1).await), [""; 0]);
}

/// A worker that is idle hears of it like of any other job.
pub async fn a_waiting_reserve_gets_the_job_of_a_tick(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let request = Reserve { wait: Duration::from_secs(60 * 60), ..lab.request(1) };
    let broker = lab.connection().broker;
    let mut waiting = tokio::spawn(async move { broker.reserve(&request).await });
    assert_waits(&mut waiting).await;
    let firing = firing(&due(&*schedules, 1).await[0], 1, None);
    fire(&*schedules, &firing).await;
    let deliveries = soon("the job", waiting).await.unwrap().unwrap();
    assert_eq!(jobs_of(&deliveries), ids_of(&firing.jobs));
}

/// The second worker that saw the tick, or a repeat after an unknown answer.
pub async fn a_repeated_firing_is_stale_and_stores_nothing(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    schedules!(lab.second().await, second);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let record = due(&*schedules, 1).await.remove(0);
    let first = firing(&record, batch, Some(later(now, 60)));
    fire(&*schedules, &first).await;
    for again in [first.clone(), firing(&record, batch, Some(later(now, 99)))] {
        assert_eq!(second.fire(&again).await.unwrap(), Fired::Stale);
    }
    assert_eq!(lab.depth().await, Counts::ready(batch));
    let record = find(&*schedules, "a").await.unwrap();
    assert_eq!((record.next, record.runs), (Some(later(now, 60)), ids_of(&first.jobs)));
}

/// What was decided on an old state of the schedule does not count.
pub async fn a_firing_of_a_schedule_that_changed_is_stale(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    let put = async |spec: &str, next| {
        let new = NewSchedule { spec: spec.to_owned(), ..new("a", Some(next)) };
        schedules.put(&[new]).await.unwrap();
        firing(&find(&*schedules, "a").await.unwrap(), 1, None)
    };
    let name = ["a".to_owned()];

    let paused = put("one", now).await;
    schedules.hold(&name, Hold::Paused).await.unwrap();
    assert_eq!(schedules.fire(&paused).await.unwrap(), Fired::Stale);
    schedules.hold(&name, Hold::Running).await.unwrap();

    let changed = put("two", later(now, -1)).await;
    put("three", later(now, -2)).await;
    assert_eq!(schedules.fire(&changed).await.unwrap(), Fired::Stale);

    let deleted = put("four", now).await;
    schedules.delete(&name).await.unwrap();
    assert_eq!(schedules.fire(&deleted).await.unwrap(), Fired::Stale);
    assert_eq!(lab.depth().await, Counts::default());
}

/// A tick belongs to one worker.
pub async fn of_firings_at_the_same_time_one_is_applied(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let record = due(&*schedules, 1).await.remove(0);
    let mut firings = Vec::new();
    for _ in 0..8 {
        schedules!(lab.second().await, other);
        let firing = firing(&record, 3, Some(later(now, 60)));
        firings.push(tokio::spawn(async move { other.fire(&firing).await.unwrap() }));
    }
    let answers: Vec<_> = join_all(firings).await.into_iter().map(Result::unwrap).collect();
    let applied = answers.iter().filter(|answer| **answer == Fired::Applied).count();
    assert_eq!(applied, 1, "{answers:?}");
    assert_eq!(lab.depth().await, Counts::ready(3));
}

/// Of a tick that nobody is to make up for.
pub async fn a_firing_without_jobs_only_moves_on(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    schedules.hold(&["a".to_owned()], Hold::Paused).await.unwrap();
    let record = find(&*schedules, "a").await.unwrap();
    let firing = Firing { last: None, ..firing(&record, 0, Some(later(now, 60))) };
    fire(&*schedules, &firing).await;
    let record = find(&*schedules, "a").await.unwrap();
    assert_eq!((record.next, record.last), (Some(later(now, 60)), None));
    assert_eq!((record.hold, record.runs), (Hold::Paused, vec![]));
    assert_eq!(lab.depth().await, Counts::default());
}

/// Its end has come; what it did can still be looked up.
pub async fn a_firing_without_a_next_tick_ends_the_schedule(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let firing = firing(&due(&*schedules, 1).await[0], 1, None);
    fire(&*schedules, &firing).await;
    lab.elapse(2).await;
    assert_eq!(names_of(&due(&*schedules, 1).await), [""; 0]);
    let record = find(&*schedules, "a").await.unwrap();
    assert_eq!((record.next, record.runs), (None, ids_of(&firing.jobs)));
}

/// Its id says which tick it is of.
pub async fn a_job_that_is_stored_already_is_left_out(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let firing = firing(&due(&*schedules, 1).await[0], 2, Some(later(now, 60)));
    lab.store(&firing.jobs[..1]).await;
    fire(&*schedules, &firing).await;
    assert_eq!(jobs_of(&lab.reserve_all(2).await), ids_of(&firing.jobs));
    let record = find(&*schedules, "a").await.unwrap();
    assert_eq!((record.next, record.runs), (Some(later(now, 60)), ids_of(&firing.jobs[1..])));
}

/// Schedules may tick for years.
pub async fn the_latest_runs_are_remembered(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let mut ids: Vec<JobId> = Vec::new();
    for step in 0..3 {
        let record = find(&*schedules, "a").await.unwrap();
        let firing = firing(&record, 40, Some(later(now, step)));
        ids.extend(ids_of(&firing.jobs));
        fire(&*schedules, &firing).await;
    }
    let runs = find(&*schedules, "a").await.unwrap().runs;
    assert_eq!(runs, ids[ids.len() - ScheduleRecord::RUNS..]);
}

/// In every worker.
pub async fn a_paused_schedule_is_not_due_until_it_goes_on(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    schedules!(lab.second().await, second);
    let now = schedules.now().await.unwrap();
    let new: Vec<_> = names(batch).iter().map(|name| new(name, Some(now))).collect();
    schedules.put(&new).await.unwrap();
    let mut asked = names(batch);
    asked.push("unknown".to_owned());
    let mut expected = vec![Found::Known; batch];
    expected.push(Found::Unknown);
    assert_eq!(second.hold(&asked, Hold::Paused).await.unwrap(), expected);
    assert_eq!(names_of(&due(&*schedules, batch).await), [""; 0]);
    assert_eq!(second.hold(&asked, Hold::Running).await.unwrap(), expected);
    assert_eq!(names_of(&due(&*schedules, batch).await), names(batch));
}

/// Its jobs are jobs like others, and stay.
pub async fn a_deleted_schedule_is_gone_and_its_jobs_stay(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    let new: Vec<_> = names(batch).iter().map(|name| new(name, Some(now))).collect();
    schedules.put(&new).await.unwrap();
    for record in due(&*schedules, batch).await {
        fire(&*schedules, &firing(&record, 1, Some(now))).await;
    }
    assert_eq!(schedules.delete(&names(batch)).await.unwrap(), vec![Found::Known; batch]);
    assert_eq!(schedules.delete(&names(batch)).await.unwrap(), vec![Found::Unknown; batch]);
    assert_eq!(names_of(&schedules.list(&ScheduleFilter::default()).await.unwrap()), [""; 0]);
    assert_eq!(names_of(&due(&*schedules, batch).await), [""; 0]);
    assert_eq!(lab.depth().await, Counts::ready(batch));
}

/// Whatever is asked after the end is told so.
pub async fn after_close_no_schedule_can_be_asked_for(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    schedules!(lab, schedules);
    let now = schedules.now().await.unwrap();
    schedules.put(&[new("a", Some(now))]).await.unwrap();
    let record = find(&*schedules, "a").await.unwrap();
    lab.broker().close().await.unwrap();
    let name = ["a".to_owned()];
    let is_closed = |error: &BrokerError| matches!(error, BrokerError::Closed { .. });
    assert!(schedules.now().await.is_err_and(|error| is_closed(&error)));
    assert!(schedules.put(&[new("b", None)]).await.is_err_and(|error| is_closed(&error)));
    let listed = schedules.list(&ScheduleFilter::default()).await;
    assert!(listed.is_err_and(|error| is_closed(&error)));
    let due = schedules.due(count(1), Duration::ZERO).await;
    assert!(due.is_err_and(|error| is_closed(&error)));
    let fired = schedules.fire(&firing(&record, 1, None)).await;
    assert!(fired.is_err_and(|error| is_closed(&error)));
    let held = schedules.hold(&name, Hold::Paused).await;
    assert!(held.is_err_and(|error| is_closed(&error)));
    assert!(schedules.delete(&name).await.is_err_and(|error| is_closed(&error)));
    schedules!(lab.second().await, second);
    assert_eq!(find(&*second, "a").await.unwrap().next, Some(now));
}

/// Names in order.
fn names(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("schedule {number:02}")).collect()
}

fn names_of(records: &[ScheduleRecord]) -> Vec<String> {
    records.iter().map(|record| record.name.clone()).collect()
}

fn new(name: &str, next: Option<Timestamp>) -> NewSchedule {
    NewSchedule {
        name: name.to_owned(),
        spec: "every so often".to_owned(),
        origin: Origin::Called,
        next,
        template: Template {
            queue: plain_queue(),
            task: Cow::Borrowed("suite::plain"),
            priority: Priority::new(-1).unwrap(),
            expires_in: Some(Duration::from_millis(90_001)),
            envelope: Payload::from(b"\xff any bytes \0".to_vec()),
        },
    }
}

fn other_template() -> Template {
    Template {
        queue: queue("other"),
        task: Cow::Borrowed("suite::other"),
        priority: Priority::new(2).unwrap(),
        expires_in: None,
        envelope: Payload::from(b"other bytes".to_vec()),
    }
}

fn assert_template(found: &Template, expected: &Template) {
    assert_eq!((&found.queue, &found.task), (&expected.queue, &expected.task));
    assert_eq!((found.priority, found.expires_in), (expected.priority, expected.expires_in));
    assert_eq!(found.envelope.as_slice(), expected.envelope.as_slice());
}

/// What a worker would do that saw this record.
fn firing(record: &ScheduleRecord, jobs: usize, next: Option<Timestamp>) -> Firing {
    let job = || NewJob { due: Due::Now, ..plain_job() };
    Firing {
        name: record.name.clone(),
        seen: Seen { next: record.next, hold: record.hold },
        jobs: self::jobs(jobs, job),
        last: record.next,
        next,
    }
}

async fn fire(schedules: &dyn Schedules, firing: &Firing) {
    assert_eq!(schedules.fire(firing).await.unwrap(), Fired::Applied);
}

async fn find(schedules: &dyn Schedules, name: &str) -> Option<ScheduleRecord> {
    let names = Some(vec![name.to_owned()]);
    let filter = ScheduleFilter { names, ..ScheduleFilter::default() };
    schedules.list(&filter).await.unwrap().pop()
}

/// What is due now, at most so many.
async fn due(schedules: &dyn Schedules, max: usize) -> Vec<ScheduleRecord> {
    schedules.due(count(max), Duration::ZERO).await.unwrap().due
}

async fn due_within_an_hour(schedules: &dyn Schedules) -> Vec<ScheduleRecord> {
    schedules.due(count(1), Duration::from_secs(60 * 60)).await.unwrap().due
}

/// A time this long from now, on the store's clock.
async fn after(schedules: &dyn Schedules, span: Duration) -> Timestamp {
    let now = schedules.now().await.unwrap();
    now.checked_add(SignedDuration::try_from(span).unwrap()).unwrap()
}

fn later(time: Timestamp, seconds: i64) -> Timestamp {
    time.checked_add(SignedDuration::from_secs(seconds)).unwrap()
}
