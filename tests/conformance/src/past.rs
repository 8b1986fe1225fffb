//! What happened to jobs, for the cases about it.

use std::time::Duration;

use taskcore::broker::{
    Attempt, AttemptEnd, Delivery, Event, EventId, EventKind, Events, Fired, Firing, Hold, NewJob,
    NewSchedule, Origin, ScheduleFilter, Seen, TaskStats, Template, Timeline,
};
use taskcore::{JobId, Payload, Priority};

use crate::harness::Harness;
use crate::lab::*;

impl<'h> Lab<'h> {
    /// A lab for a case about history; `None` where none is kept.
    pub(crate) async fn with_history(harness: &'h dyn Harness) -> Option<Self> {
        let lab = Self::open(harness).await;
        lab.connection().history.is_some().then_some(lab)
    }

    /// The life of a job that is stored.
    pub(crate) async fn timeline(&self, job: JobId) -> Timeline {
        let timeline = self.history().timeline(job).await.unwrap().expect("the job is stored");
        assert_eq!(timeline.job, job);
        timeline
    }

    /// The lives of jobs, each of which is in order.
    pub(crate) async fn timelines(&self, jobs: &[JobId]) -> Vec<Timeline> {
        let mut all = Vec::new();
        for job in jobs {
            let timeline = self.timeline(*job).await;
            assert_in_order(&timeline);
            all.push(timeline);
        }
        all
    }

    /// Checks how the deliveries of each of these jobs ended, and which attempts they were.
    pub(crate) async fn assert_attempts(
        &self,
        jobs: &[JobId],
        expected: &[(u32, Option<AttemptEnd>)],
    ) {
        for timeline in self.timelines(jobs).await {
            let attempts = timeline.attempts.iter();
            let found: Vec<_> = attempts.map(|attempt| (attempt.attempt, attempt.end)).collect();
            assert_eq!(found, expected);
        }
    }

    /// The sums of the task of plain jobs.
    pub(crate) async fn sums(&self) -> TaskStats {
        let stats = self.history().stats().await.unwrap();
        let sums = stats.into_iter().find(|sums| sums.task == "suite::plain");
        sums.expect("the task was stored")
    }

    /// Jobs that expire after a tick.
    pub(crate) fn expiring(&self, count: usize) -> Vec<NewJob> {
        jobs(count, || NewJob { expires_in: Some(self.ticks(1)), ..plain_job() })
    }

    /// Stores jobs as those of a schedule's tick, which is seen twice; `false` where there are no
    /// schedules.
    pub(crate) async fn fire(&self, jobs: &[NewJob]) -> bool {
        let Some(schedules) = self.connection().schedules else { return false };
        let template = Template {
            task: "suite::plain".into(),
            queue: plain_queue(),
            priority: Priority::default(),
            expires_in: None,
            envelope: Payload::default(),
        };
        let (name, spec, origin) = ("tick".to_owned(), "seldom".to_owned(), Origin::Called);
        let next = Some(schedules.now().await.unwrap());
        let new = NewSchedule { name: name.clone(), spec, origin, next, template };
        schedules.put(&[new]).await.unwrap();
        let next = schedules.list(&ScheduleFilter::default()).await.unwrap()[0].next;
        let seen = Seen { next, hold: Hold::Running };
        let firing = Firing { name, seen, jobs: jobs.to_vec(), last: next, next: None };
        assert_eq!(schedules.fire(&firing).await.unwrap(), Fired::Applied);
        assert_eq!(schedules.fire(&firing).await.unwrap(), Fired::Stale);
        true
    }

    /// The number of the latest event.
    pub(crate) async fn position(&self) -> EventId {
        let events = self.history().events(None, 1_000, Duration::ZERO).await.unwrap();
        assert_eq!((events.missed, events.events.len()), (0, 0));
        events.next
    }

    /// Events after a position, without a wait.
    pub(crate) async fn page(&self, after: EventId, max: u32) -> Events {
        let page = self.history().events(Some(after), max, Duration::ZERO).await.unwrap();
        assert!(page.events.len() <= max as usize);
        let first = after.0 + page.missed + 1;
        for (id, event) in (first..).zip(&page.events) {
            assert_eq!(event.id, EventId(id), "they count up by one");
        }
        assert_eq!(page.next.0, after.0 + page.missed + page.events.len() as u64);
        page
    }

    /// All events after a position, of which none is missed.
    pub(crate) async fn events(&self, mut after: EventId) -> Vec<Event> {
        let mut all: Vec<Event> = Vec::new();
        loop {
            let page = self.page(after, 1_000).await;
            assert_eq!(page.missed, 0, "the store keeps more");
            if page.events.is_empty() {
                assert!(all.windows(2).all(|pair| pair[0].at <= pair[1].at));
                return all;
            }
            all.extend(page.events);
            after = page.next;
        }
    }

    /// What happened to each of these jobs after a position, and that it is all that happened.
    pub(crate) async fn assert_happened(
        &self,
        after: EventId,
        jobs: &[JobId],
        expected: &[EventKind],
    ) {
        let events = self.events(after).await;
        for job in jobs {
            assert_eq!(kinds_of(&events, *job), expected);
        }
        assert_eq!(events.len(), jobs.len() * expected.len(), "{events:?}");
    }
}

/// What happened to one job.
pub(crate) fn kinds_of(events: &[Event], job: JobId) -> Vec<EventKind> {
    events.iter().filter(|event| event.job == job).map(|event| event.kind).collect()
}

/// The sum of these spans, and the longest of them.
pub(crate) fn sum_and_longest(spans: impl Iterator<Item = Duration>) -> (Duration, Duration) {
    spans.fold((Duration::ZERO, Duration::ZERO), |(sum, longest), span| {
        (sum + span, longest.max(span))
    })
}

/// From hand-out to end.
pub(crate) fn run_of(attempt: &Attempt) -> Duration {
    let end = attempt.ended_at.expect("the delivery has ended");
    end.duration_since(attempt.started_at).try_into().expect("it ended after it began")
}

/// From when a job could have run to its latest hand-out, as this delivery has it.
pub(crate) fn wait_of(delivery: &Delivery, timeline: &Timeline) -> Duration {
    let started_at = timeline.attempts.last().expect("it was handed out").started_at;
    started_at.duration_since(delivery.due_at).try_into().expect("it was due")
}

/// Checks that nothing ended before it began, and that only the latest delivery goes on.
fn assert_in_order(timeline: &Timeline) {
    let Timeline { created_at, attempts, state, finished_at, .. } = timeline;
    let mut last = *created_at;
    for (place, attempt) in attempts.iter().enumerate() {
        assert!(attempt.started_at >= last, "{timeline:?}");
        assert_eq!(attempt.end.is_some(), attempt.ended_at.is_some());
        last = attempt.ended_at.unwrap_or(attempt.started_at);
        assert!(last >= attempt.started_at, "{timeline:?}");
        assert!(attempt.end.is_some() || place + 1 == attempts.len(), "{timeline:?}");
    }
    assert_eq!(finished_at.is_some(), state.is_final());
    assert!(finished_at.is_none_or(|end| end >= last), "{timeline:?}");
}
