//! What becomes of jobs whose unique key another one holds.

use std::collections::BTreeSet;

use taskcore::JobId;
use taskcore::broker::{Due, Enqueued, JobState, NewJob, OnConflict, UniqueScope};

use crate::harness::Harness;
use crate::holding::*;
use crate::lab::*;
use crate::waiting::*;

/// The jobs of a batch come one after the other.
pub async fn the_first_job_of_a_batch_gets_the_key(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let first: Vec<_> = keys.iter().map(|key| holding(key)).collect();
    let second: Vec<_> = keys.iter().map(|key| holding(key)).collect();
    let between = plain_job();
    let all = [&first[..], std::slice::from_ref(&between), &second].concat();
    let stored = vec![Enqueued::Stored; batch + 1];
    let conflicts: Vec<_> = first.iter().map(|job| Enqueued::Conflict(job.id)).collect();
    assert_eq!(lab.enqueue(&all).await, [stored, conflicts].concat());
    let ids = [ids_of(&first), vec![between.id]].concat();
    let deliveries = lab.reserve_all(batch + 1).await;
    assert_eq!(jobs_of(&deliveries), ids);
}

/// One batch of old and new keys: a conflict does not touch its neighbours.
pub async fn a_conflict_does_not_touch_its_neighbours(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(2 * batch);
    let (held, free) = keys.split_at(batch);
    let holders = lab.store_holding(held).await;
    let mixed: Vec<_> =
        held.iter().zip(free).flat_map(|(held, free)| [holding(held), holding(free)]).collect();
    let expected: Vec<_> =
        holders.iter().flat_map(|id| [Enqueued::Conflict(*id), Enqueued::Stored]).collect();
    assert_eq!(lab.enqueue(&mixed).await, expected);
    assert_eq!(lab.depth().await, Counts::ready(2 * batch));
    let stored: Vec<_> = mixed.iter().skip(1).step_by(2).map(|job| job.id).collect();
    lab.assert_held(&keys, &[holders, stored].concat()).await;
}

/// The client repeats a batch when it does not know the answer: nothing changes, also for the
/// jobs that hold the keys.
pub async fn a_repeated_enqueue_of_the_holder_is_a_duplicate(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    if !lab.broker().capabilities().dedupe {
        return;
    }
    let keys = keys(batch);
    for on_conflict_of in [OnConflict::Fail, OnConflict::Reuse, OnConflict::Replace] {
        let job = |key: &String| on_conflict(holding(key), on_conflict_of);
        let jobs: Vec<_> = keys.iter().map(job).collect();
        lab.store(&jobs).await;
        for jobs in [jobs.clone(), together(jobs.clone())] {
            assert_eq!(lab.enqueue(&jobs).await, vec![Enqueued::Duplicate; batch]);
        }
        lab.assert_held(&keys, &ids_of(&jobs)).await;
        let deliveries = lab.reserve_these(&ids_of(&jobs)).await;
        assert_eq!(lab.enqueue(&jobs).await, vec![Enqueued::Duplicate; batch]);
        lab.apply(&deliveries, &done()).await;
        assert_eq!(lab.enqueue(&jobs).await, vec![Enqueued::Duplicate; batch]);
        lab.assert_free(&keys).await;
    }
}

/// An expression is stored whole or not at all; others that share its batch are.
pub async fn jobs_that_belong_together_are_stored_together(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let holder = lab.store_holding(&keys(1)).await[0];
    let before = together(plain_jobs(batch + 1));
    let mut group = plain_jobs(batch);
    group.push(holding("key 0"));
    group.extend([holding("free"), plain_job()]);
    let group = together(group);
    let after = together(vec![plain_job(), holding("free")]);
    let answers = lab.enqueue(&[&before[..], &group, &after].concat()).await;
    let withheld = vec![Enqueued::Withheld; batch];
    let conflict = [Enqueued::Conflict(holder), Enqueued::Withheld, Enqueued::Withheld];
    let expected =
        [&vec![Enqueued::Stored; batch + 1][..], &withheld, &conflict, &[Enqueued::Stored; 2]];
    assert_eq!(answers, expected.concat());
    assert_eq!(lab.states(&ids_of(&group)).await, vec![None; batch + 3]);
    let stored = [&[holder][..], &ids_of(&before), &ids_of(&after)].concat();
    lab.reserve_these(&stored).await;
}

/// Every conflict of a group is told at once, and each with its holder.
pub async fn every_conflict_of_a_group_is_told(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let holders = lab.store_holding(&keys).await;
    let mut jobs: Vec<_> = keys.iter().map(|key| holding(key)).collect();
    jobs.push(plain_job());
    let conflicts = holders.iter().map(|id| Enqueued::Conflict(*id));
    let expected: Vec<_> = conflicts.chain([Enqueued::Withheld]).collect();
    assert_eq!(lab.enqueue(&together(jobs)).await, expected);
    assert_eq!(lab.depth().await, Counts::ready(batch));
}

/// They could not both be stored, so neither is; not even one that replaces.
pub async fn two_jobs_of_a_group_with_one_key_conflict(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    for second in [holding("key"), replacing("key")] {
        let jobs = together(vec![holding("key"), plain_job(), second]);
        let conflict = Enqueued::Conflict(jobs[0].id);
        assert_eq!(lab.enqueue(&jobs).await, [Enqueued::Withheld, Enqueued::Withheld, conflict]);
        lab.reserve_all(0).await;
    }
    lab.assert_free(&["key".to_owned()]).await;
}

/// Scheduled, ready, blocked, between two attempts: what waits makes room.
pub async fn a_holder_that_waits_is_replaced(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let blocker = lab.stored(1).await[0];
    let taken = lab.reserve_these(&[blocker]).await;
    let ready: Vec<_> = keys.iter().map(|key| holding(key)).collect();
    let due = Due::After(lab.ticks(9));
    let scheduled: Vec<_> = keys.iter().map(|key| NewJob { due, ..holding(key) }).collect();
    let inputs = vec![needs(blocker)];
    let blocked =
        keys.iter().map(|key| NewJob { inputs: inputs.clone(), ..holding(key) }).collect();
    let for_a_time = UniqueScope::For(lab.ticks(9));
    let timed = keys.iter().map(|key| holding_for(key, for_a_time)).collect();
    let mut old: Vec<NewJob> = ready;
    for mut new in [scheduled, blocked, timed, keys.iter().map(|key| holding(key)).collect()] {
        lab.broker().enqueue(&old).await.unwrap();
        lab.assert_held(&keys, &ids_of(&old)).await;
        new = new.into_iter().map(|job| on_conflict(job, OnConflict::Replace)).collect();
        lab.store(&new).await;
        lab.assert_all(&ids_of(&old), JobState::Cancelled).await;
        lab.assert_held(&keys, &ids_of(&new)).await;
        old = new;
    }
    lab.run_these(&ids_of(&old)).await;
    lab.assert_free(&keys).await;
    lab.apply(&taken, &done()).await;
}

/// It is somebody's work already; and what has ended cannot be cancelled.
pub async fn a_holder_that_runs_or_has_ended_is_not_replaced(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let span = UniqueScope::For(lab.ticks(9));
    let jobs: Vec<_> = keys.iter().map(|key| holding_for(key, span)).collect();
    lab.store(&jobs).await;
    let deliveries = lab.reserve_these(&ids_of(&jobs)).await;
    let conflicts: Vec<_> = jobs.iter().map(|job| Enqueued::Conflict(job.id)).collect();
    let replacing: Vec<_> = keys.iter().map(|key| replacing(key)).collect();
    assert_eq!(lab.enqueue(&replacing).await, conflicts);
    lab.assert_all(&ids_of(&jobs), JobState::Running).await;
    lab.apply(&deliveries, &done()).await;
    assert_eq!(lab.enqueue(&replacing).await, conflicts);
    lab.assert_all(&ids_of(&jobs), JobState::Done).await;
    lab.reserve_all(0).await;
}

/// As a cancel does it: with what was made for the holder, and not without its dependants.
pub async fn a_replaced_job_takes_its_inputs_along(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    if Lab::with_inputs(harness).await.is_none() {
        return;
    }
    let inputs = lab.stored(batch).await;
    let holder = NewJob { inputs: inputs.iter().copied().map(owns).collect(), ..holding("key") };
    let dependant = waiting([needs(holder.id)]);
    lab.store(&[holder.clone(), dependant.clone()]).await;
    let new = replacing("key");
    lab.store(std::slice::from_ref(&new)).await;
    lab.assert_all(&[&inputs[..], &[holder.id]].concat(), JobState::Cancelled).await;
    lab.assert_all(&[dependant.id], JobState::Failed).await;
    lab.run_these(&[new.id]).await;
}

/// Callers that do not know of each other replace each other: the last one stays.
pub async fn of_a_batch_that_replaces_the_last_job_stays(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let holder = lab.store_holding(&["key".to_owned()]).await[0];
    let jobs: Vec<_> = (0..batch).map(|_| replacing("key")).collect();
    lab.store(&jobs).await;
    let ids = ids_of(&jobs);
    let (last, others) = ids.split_last().unwrap();
    lab.assert_all(&[&[holder][..], others].concat(), JobState::Cancelled).await;
    lab.assert_held(&["key".to_owned()], &[*last]).await;
    lab.run_these(&[*last]).await;
}

/// It is not stored, so it has no place to take.
pub async fn a_group_that_is_withheld_replaces_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let waiting = lab.store_holding(&keys).await;
    let conflict = lab.store_holding(&["last".to_owned()]).await[0];
    let mut jobs: Vec<_> = keys.iter().map(|key| replacing(key)).collect();
    jobs.push(holding("last"));
    let withheld = vec![Enqueued::Withheld; batch];
    let expected = [withheld, vec![Enqueued::Conflict(conflict)]].concat();
    assert_eq!(lab.enqueue(&together(jobs)).await, expected);
    lab.assert_held(&keys, &waiting).await;
    lab.reserve_these(&[&waiting[..], &[conflict]].concat()).await;
}

/// However many ask at once, on however many connections.
pub async fn of_jobs_of_one_key_at_the_same_time_one_is_stored(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let second = lab.second().await;
    for round in 0..20 {
        let key = format!("round {round}");
        let calls = (0..8).map(|place| {
            let broker = [&lab, &second][place % 2].connection().broker;
            let jobs = [holding(&key), plain_job()];
            tokio::spawn(async move { broker.enqueue(&jobs).await.unwrap() })
        });
        let answers = futures::future::join_all(calls).await;
        let answers: Vec<Enqueued> = answers.into_iter().map(|answer| answer.unwrap()[0]).collect();
        let stored = answers.iter().filter(|answer| **answer == Enqueued::Stored).count();
        assert_eq!(stored, 1, "{answers:?}");
        let told = answers.iter().filter_map(|answer| match answer {
            Enqueued::Conflict(holder) => Some(*holder),
            _ => None,
        });
        let told: BTreeSet<JobId> = told.collect();
        assert_eq!(told.len(), 1, "{answers:?}");
        let deliveries = lab.reserve_all(9).await;
        assert!(deliveries.iter().any(|delivery| told.contains(&delivery.job)));
        lab.apply(&deliveries, &done_keeping_nothing()).await;
    }
}
