//! Looking at jobs and queues.

use jiff::Timestamp;
use taskcore::broker::{Depth, FindingLevel, JobFilter, JobState, NewJob};
use taskcore::{JobId, Priority};

use crate::harness::Harness;
use crate::lab::*;

/// The newest first, at most the limit.
pub async fn jobs_are_listed_newest_first(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let mut ids = lab.stored(3).await;
    let deliveries = lab.reserve_all(3).await;
    lab.apply(&deliveries[..1], &done()).await;
    lab.apply(&deliveries[1..2], &failed()).await;
    lab.elapse(1).await;
    ids.extend(lab.stored(3).await);
    ids.reverse();
    assert_eq!(lab.listed(&JobFilter::default()).await, ids);
    let limited = JobFilter { limit: Some(4), ..JobFilter::default() };
    assert_eq!(lab.listed(&limited).await, ids[..4]);
    let none = JobFilter { limit: Some(0), ..JobFilter::default() };
    assert!(lab.listed(&none).await.is_empty());
}

/// Every field narrows; together they narrow further.
pub async fn each_field_of_a_filter_narrows(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let named = NewJob { task: "suite::named".into(), ..plain_job() };
    let elsewhere = NewJob { task: "suite::named".into(), ..in_queue("elsewhere") };
    lab.store(&[named.clone(), elsewhere.clone()]).await;
    lab.elapse(1).await;
    let later = plain_job();
    lab.store(std::slice::from_ref(&later)).await;
    lab.cancel(&[later.id]).await;
    let middle = lab.records(&[later.id]).await[0].created_at;
    let all = JobFilter::default;

    let by_task = JobFilter { task: Some("suite::named".to_owned()), ..all() };
    assert_eq!(lab.listed(&by_task).await, [elsewhere.id, named.id]);
    let by_queue = JobFilter { queue: Some(queue("elsewhere")), ..all() };
    assert_eq!(lab.listed(&by_queue).await, [elsewhere.id]);
    let by_state = JobFilter { states: vec![JobState::Cancelled, JobState::Done], ..all() };
    assert_eq!(lab.listed(&by_state).await, [later.id]);
    let from = JobFilter { created_from: Some(middle), ..all() };
    assert_eq!(lab.listed(&from).await, [later.id]);
    let before = JobFilter { created_before: Some(middle), ..all() };
    assert_eq!(lab.listed(&before).await, [elsewhere.id, named.id]);
    let by_id = JobFilter { ids: Some(vec![named.id, JobId::new()]), ..all() };
    assert_eq!(lab.listed(&by_id).await, [named.id]);
    let no_id = JobFilter { ids: Some(Vec::new()), ..all() };
    assert!(lab.listed(&no_id).await.is_empty());
    let both = JobFilter { queue: Some(plain_queue()), ..by_task };
    assert_eq!(lab.listed(&both).await, [named.id]);
    let unknown = JobFilter { queue: Some(queue("unknown")), ..all() };
    assert!(lab.listed(&unknown).await.is_empty());
}

/// The state in a filter is the state that is shown.
pub async fn jobs_are_found_in_every_state(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let stages = lab.leased(3).await;
    lab.apply(&stages[..1], &done()).await;
    lab.apply(&stages[1..2], &failed()).await;
    let waiting = lab.stored(2).await;
    lab.cancel(&waiting[..1]).await;
    let scheduled = due_in(lab.ticks(9));
    lab.store(std::slice::from_ref(&scheduled)).await;
    for (id, state) in [
        (stages[0].job, JobState::Done),
        (stages[1].job, JobState::Failed),
        (stages[2].job, JobState::Running),
        (waiting[0], JobState::Cancelled),
        (waiting[1], JobState::Ready),
        (scheduled.id, JobState::Scheduled),
    ] {
        let filter = JobFilter { states: vec![state], ..JobFilter::default() };
        assert_eq!(lab.listed(&filter).await, [id], "{state}");
        assert_eq!(lab.records(&[id]).await[0].state, state);
    }
}

/// All that the store knows.
pub async fn a_record_tells_the_life_of_a_job(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let job = NewJob { priority: Priority::MIN, ..due_in(lab.ticks(1)) };
    lab.store(std::slice::from_ref(&job)).await;
    lab.elapse(2).await;
    let deliveries = lab.reserve_all(1).await;
    let running = lab.records(&[job.id]).await.remove(0);
    assert_eq!(
        (running.state, running.queue, running.task),
        (JobState::Running, job.queue.clone(), job.task.to_string(),)
    );
    assert_eq!((running.priority, running.envelope), (job.priority, job.envelope.clone()));
    assert_eq!((running.finished_at, running.result), (None, None));
    assert_eq!(running.due_at, deliveries[0].due_at);
    assert_eq!(running.created_at, deliveries[0].enqueued_at);
    assert!(running.started_at.is_some_and(|at| at >= running.due_at));
    lab.elapse(1).await;
    lab.apply(&deliveries, &done()).await;
    let ended = lab.records(&[job.id]).await.remove(0);
    assert_eq!(ended.state, JobState::Done);
    assert!(ended.finished_at > running.started_at);
    assert_eq!(ended.result, Some(b"42".to_vec().into()));
    assert_eq!((ended.created_at, ended.priority), (running.created_at, job.priority));
}

/// By name; those that hold a job or are paused, and no other.
pub async fn queues_that_hold_a_job_or_are_paused_are_listed_by_name(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    assert!(lab.operate().queues().await.unwrap().is_empty());
    lab.store(&[in_queue("mail"), in_queue("bulk"), in_queue("mail")]).await;
    lab.operate().pause(&queue("zoo"), true).await.unwrap();
    lab.operate().pause(&queue("bulk"), true).await.unwrap();
    lab.operate().pause(&queue("bulk"), true).await.unwrap();
    lab.depth_of(&queue("asked")).await;
    let listed = lab.operate().queues().await.unwrap();
    let shown: Vec<_> = listed
        .iter()
        .map(|status| (status.depth.queue.as_str(), status.depth.ready, status.paused))
        .collect();
    assert_eq!(shown, [("bulk", Some(1), true), ("mail", Some(2), false), ("zoo", Some(0), true),]);
    lab.operate().pause(&queue("zoo"), false).await.unwrap();
    assert_eq!(lab.operate().queues().await.unwrap().len(), 2);
}

/// Per state and queue, in the order asked.
pub async fn depth_counts_the_jobs_of_each_queue_in_the_order_asked(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let failing = lab.leased(1).await;
    lab.apply(&failing, &failed()).await;
    lab.leased(2).await;
    lab.stored(3).await;
    lab.store(&jobs(4, || due_in(lab.ticks(1)))).await;
    lab.store(&[in_queue("b"), in_queue("a"), in_queue("b")]).await;
    let asked = ["b", "plain", "unknown", "a"].map(queue);
    let plain = Counts { ready: 3, scheduled: 4, blocked: 0, running: 2, failed: 1 };
    let expected = [Counts::ready(2), plain, Counts::default(), Counts::ready(1)];
    for (queue, counts) in asked.iter().zip(expected) {
        lab.assert_depth_of(queue, counts).await;
    }
    let depths = lab.broker().depth(&asked).await.unwrap();
    assert_eq!(depths.len(), asked.len());
    for (depth, queue) in depths.iter().zip(&asked) {
        assert_eq!(*depth, lab.depth_of(queue).await, "asked together and alone");
    }
}

/// A question, not a use: the queue is not made by it.
pub async fn an_unknown_queue_has_a_depth_of_zeros(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let unknown = queue("unknown");
    if lab.is_transport() {
        return lab.assert_depth_of(&unknown, Counts::default()).await;
    }
    assert_eq!(lab.depth_of(&unknown).await, Depth::empty(unknown));
    assert!(lab.operate().queues().await.unwrap().is_empty());
}

/// Of any priority: what waits longest may be what is least urgent.
pub async fn depth_tells_since_when_the_oldest_ready_job_waits(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    assert_eq!(oldest(&lab).await, None);
    let old = with_priority(-2);
    lab.store(std::slice::from_ref(&old)).await;
    lab.elapse(1).await;
    let new = with_priority(2);
    lab.store(&[new, due_in(lab.ticks(9))]).await;
    let expected = lab.records(&[old.id]).await[0].due_at;
    assert_eq!(oldest(&lab).await, Some(expected));
    lab.reserve_all(2).await;
    assert_eq!(oldest(&lab).await, None);
}

/// `doctor` has something to say, and nothing bad of a sound store.
pub async fn a_check_of_a_sound_store_finds_no_error(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.stored(3).await;
    let findings = lab.operate().check().await.unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        assert!(finding.level < FindingLevel::Error, "{finding:?}");
        assert!(!finding.subject.is_empty() && !finding.detail.is_empty());
    }
}

async fn oldest(lab: &Lab<'_>) -> Option<Timestamp> {
    lab.depth_of(&plain_queue()).await.oldest_ready
}
