//! Who holds a unique key, and how long.

use std::time::Duration;

use taskcore::JobId;
use taskcore::broker::{Due, Enqueued, JobFilter, JobState, Maintain, NewJob, UniqueScope};

use crate::harness::Harness;
use crate::holding::*;
use crate::lab::*;
use crate::waiting::*;

/// Ready, running, scheduled for its next attempt, given back, lost: it is the same job.
pub async fn a_key_is_held_until_its_job_is_final(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let holders = lab.store_holding(&keys).await;
    lab.assert_held(&keys, &holders).await;
    for verdict in [retry(Duration::ZERO), retry(lab.ticks(1)), taskcore::broker::Verdict::Release]
    {
        let deliveries = lab.reserve_these(&holders).await;
        lab.assert_held(&keys, &holders).await;
        lab.apply(&deliveries, &verdict).await;
        lab.assert_held(&keys, &holders).await;
        lab.elapse(1).await;
    }
    lab.reserve_these(&holders).await;
    lab.lose_leases().await;
    lab.assert_held(&keys, &holders).await;
    lab.run_these(&holders).await;
    lab.assert_free(&keys).await;
}

/// It ends when what continues it does.
pub async fn a_continued_job_holds_its_key_until_it_is_final(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    if !lab.broker().capabilities().results {
        return;
    }
    let keys = keys(batch);
    let holders = lab.store_holding(&keys).await;
    let deliveries = lab.reserve_these(&holders).await;
    let next = lab.continue_each(&deliveries).await;
    lab.assert_held(&keys, &holders).await;
    lab.run_these(&next).await;
    lab.assert_all(&holders, JobState::Done).await;
    lab.assert_free(&keys).await;
}

/// However it ends.
pub async fn every_end_of_a_job_frees_its_key(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let key = &keys(1);
    for verdict in [done(), done_keeping_nothing(), failed()] {
        let holder = lab.store_holding(key).await;
        let deliveries = lab.reserve_these(&holder).await;
        lab.apply(&deliveries, &verdict).await;
        lab.assert_free(key).await;
    }
    let waiting = lab.store_holding(key).await;
    lab.cancel(&waiting).await;
    lab.assert_free(key).await;
    let running = lab.store_holding(key).await;
    lab.reserve_these(&running).await;
    lab.cancel(&running).await;
    lab.assert_free(key).await;
    let expiring = NewJob { expires_in: Some(lab.ticks(1)), ..holding(&key[0]) };
    lab.store(&[expiring]).await;
    lab.elapse(1).await;
    lab.maintain().await;
    lab.assert_free(key).await;
    let purged = lab.store_holding(key).await;
    lab.purge(&purged).await;
    lab.assert_free(key).await;
    let lost = lab.store_holding(key).await;
    let deliveries = lab.reserve_these(&lost).await;
    lab.begin(&deliveries).await;
    lab.elapse(2).await;
    let maintain = Maintain { recovery_limit: 0, ..Maintain::default() };
    assert_eq!(lab.broker().maintain(&maintain).await.unwrap().lost, 1);
    lab.assert_free(key).await;
}

/// Also when it fails because of an input, at once or later.
pub async fn a_key_is_free_once_an_input_has_failed(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    if Lab::with_inputs(harness).await.is_none() {
        return;
    }
    let keys = keys(batch);
    let input = lab.stored(1).await[0];
    let blocked = |key: &String| NewJob { inputs: vec![needs(input)], ..holding(key) };
    let jobs: Vec<_> = keys.iter().map(blocked).collect();
    lab.store(&jobs).await;
    lab.assert_held(&keys, &ids_of(&jobs)).await;
    let delivery = lab.reserve_these(&[input]).await;
    lab.apply(&delivery, &failed()).await;
    lab.assert_free(&keys).await;
    let jobs: Vec<_> = keys.iter().map(blocked).collect();
    lab.store(&jobs).await;
    lab.assert_all(&ids_of(&jobs), JobState::Failed).await;
    lab.assert_free(&keys).await;
}

/// Two tasks may use one key without knowing of each other, and so may two keys.
pub async fn a_key_belongs_to_its_task(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let of = |task: &'static str, key: &str| NewJob { task: task.into(), ..holding(key) };
    let jobs =
        [of("a", "k"), of("b", "k"), of("A", "k"), of("a", "K"), of("ak", ""), of("a", "k ")];
    lab.store(&jobs).await;
    for job in &jobs {
        let again = NewJob { id: JobId::new(), ..job.clone() };
        assert_eq!(lab.enqueue(&[again]).await, [Enqueued::Conflict(job.id)]);
    }
}

/// No text is special, and each is told apart from every other.
pub async fn a_key_may_be_any_text(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let mut keys: Vec<String> = HOSTILE.map(str::to_owned).to_vec();
    keys.extend(["é".to_owned(), "e\u{301}".to_owned(), "E".to_owned(), "x".repeat(255)]);
    keys.push(format!("{}y", "x".repeat(254)));
    let holders = lab.store_holding(&keys).await;
    lab.assert_held(&keys, &holders).await;
    let records = lab.records(&holders).await;
    let shown: Vec<_> = records.into_iter().filter_map(|record| record.unique).collect();
    assert_eq!(shown, keys);
}

/// What waits for its first worker takes no second; what was handed out does not come back.
pub async fn a_key_while_queued_is_free_once_its_job_was_handed_out(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let queued = |due| {
        let job = |key: &String| NewJob { due, ..holding_for(key, UniqueScope::Queued) };
        keys.iter().map(job).collect::<Vec<_>>()
    };
    let jobs = queued(Due::After(lab.ticks(1)));
    lab.store(&jobs).await;
    lab.assert_held(&keys, &ids_of(&jobs)).await;
    lab.elapse(1).await;
    lab.assert_held(&keys, &ids_of(&jobs)).await;
    let deliveries = lab.reserve_these(&ids_of(&jobs)).await;
    lab.assert_free(&keys).await;
    lab.apply(&deliveries, &taskcore::broker::Verdict::Release).await;
    lab.assert_free(&keys).await;
    let later = queued(Due::Now);
    lab.store(&later).await;
    let deliveries = lab.reserve(batch).await;
    assert_eq!(jobs_of(&deliveries), ids_of(&jobs));
    lab.apply(&deliveries, &failed()).await;
    // The end of the first holder is not that of the second.
    lab.assert_held(&keys, &ids_of(&later)).await;
    assert_eq!(lab.replay(&ids_of(&jobs)).await.len(), batch);
    lab.assert_held(&keys, &ids_of(&later)).await;
    lab.cancel(&ids_of(&later)).await;
    lab.assert_free(&keys).await;
}

/// Not before, whatever becomes of its job, and no longer, with upkeep or without.
pub async fn a_key_for_a_time_is_held_for_that_time(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    for has_upkeep in [false, true] {
        let span = UniqueScope::For(lab.ticks(4));
        let jobs: Vec<_> = keys.iter().map(|key| holding_for(key, span)).collect();
        lab.store(&jobs).await;
        let deliveries = lab.reserve_these(&ids_of(&jobs)).await;
        lab.assert_held(&keys, &ids_of(&jobs)).await;
        lab.apply(&deliveries, &done()).await;
        lab.elapse(1).await;
        lab.maintain().await;
        lab.assert_held(&keys, &ids_of(&jobs)).await;
        lab.purge_all().await;
        lab.elapse(1).await;
        lab.maintain().await;
        let again: Vec<_> = keys.iter().map(|key| holding(key)).collect();
        let expected: Vec<_> = jobs.iter().map(|job| Enqueued::Conflict(job.id)).collect();
        assert_eq!(lab.enqueue(&again).await, expected);
        lab.elapse(2).await;
        if has_upkeep {
            lab.maintain().await;
        }
        lab.assert_free(&keys).await;
        lab.purge_all().await;
    }
}

/// The end of the one that had it before changes nothing for its next holder.
pub async fn a_key_that_is_over_goes_to_the_next_job(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let span = UniqueScope::For(lab.ticks(1));
    let first: Vec<_> = keys.iter().map(|key| holding_for(key, span)).collect();
    lab.store(&first).await;
    lab.elapse(1).await;
    let second = lab.store_holding(&keys).await;
    lab.maintain().await;
    lab.assert_held(&keys, &second).await;
    lab.cancel(&ids_of(&first)).await;
    lab.purge(&ids_of(&first)).await;
    lab.assert_held(&keys, &second).await;
}

/// A failed job that runs again holds its key again.
pub async fn a_replay_takes_the_key_again(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let jobs = lab.store_holding(&keys).await;
    let deliveries = lab.reserve_these(&jobs).await;
    lab.apply(&deliveries, &failed()).await;
    assert_eq!(lab.replay(&jobs).await, jobs);
    lab.assert_held(&keys, &jobs).await;
    lab.run_these(&jobs).await;
    lab.assert_free(&keys).await;
}

/// A job whose key another one holds stays failed; with the key free, it can be replayed.
pub async fn a_replay_passes_over_a_job_whose_key_is_held(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let keys = keys(batch);
    let old = lab.store_holding(&keys).await;
    let deliveries = lab.reserve_these(&old).await;
    lab.apply(&deliveries, &failed()).await;
    let other = lab.failing(1).await[0];
    let new = lab.store_holding(&keys).await;
    let filter = JobFilter { limit: Some(1), ..JobFilter::default() };
    assert_eq!(lab.operate().replay(&filter).await.unwrap(), [other]);
    lab.assert_all(&old, JobState::Failed).await;
    lab.assert_held(&keys, &new).await;
    lab.cancel(&new).await;
    assert_eq!(lab.replay(&old).await, old);
    lab.assert_held(&keys, &old).await;
}

/// Which of them ran last does not matter: the oldest comes first.
pub async fn of_failed_jobs_of_one_key_a_replay_takes_one(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let key = &keys(1);
    let mut failing = Vec::new();
    for _ in 0..3 {
        failing.extend(lab.store_holding(key).await);
        let deliveries = lab.reserve(1).await;
        lab.apply(&deliveries, &failed()).await;
    }
    assert_eq!(lab.replay(&failing).await, failing[..1]);
    lab.assert_held(key, &failing[..1]).await;
    lab.run_these(&failing[..1]).await;
    assert_eq!(lab.replay(&failing).await, failing[1..2]);
    lab.assert_all(&failing[2..], JobState::Failed).await;
}

/// What failed because of the replayed job, and what had failed because of that, all the way.
pub async fn a_job_that_is_revived_takes_its_key_again(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    if Lab::with_inputs(harness).await.is_none() {
        return;
    }
    let keys = keys(batch);
    let input = lab.failing(1).await[0];
    let after = |input: JobId, key: &str| NewJob { inputs: vec![needs(input)], ..holding(key) };
    let jobs: Vec<_> = keys.iter().map(|key| after(input, key)).collect();
    // It wants the key of another one, so it cannot live again beside it.
    let twins: Vec<_> = keys.iter().map(|key| after(input, key)).collect();
    let last: Vec<_> = jobs.iter().map(|job| waiting([needs(job.id)])).collect();
    let last_of_twins: Vec<_> = twins.iter().map(|job| waiting([needs(job.id)])).collect();
    for batch in [&jobs, &twins, &last, &last_of_twins] {
        lab.store(batch).await;
    }
    assert_eq!(lab.replay(&[input]).await, [input]);
    lab.assert_all(&[ids_of(&jobs), ids_of(&last)].concat(), JobState::Blocked).await;
    let stay = [ids_of(&twins), ids_of(&last_of_twins)].concat();
    lab.assert_all(&stay, JobState::Failed).await;
    lab.assert_held(&keys, &ids_of(&jobs)).await;
    lab.run_these(&[input]).await;
    lab.run_these(&ids_of(&jobs)).await;
    lab.run_these(&ids_of(&last)).await;
    lab.assert_all(&stay, JobState::Failed).await;
    lab.assert_free(&keys).await;
}

/// And what waits behind it stays failed too, while the rest goes on.
pub async fn a_job_is_not_revived_while_another_holds_its_key(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    if Lab::with_inputs(harness).await.is_none() {
        return;
    }
    let key = &keys(1);
    let input = lab.failing(1).await[0];
    let keyed = NewJob { inputs: vec![needs(input)], ..holding(&key[0]) };
    let behind = waiting([needs(keyed.id)]);
    let beside = waiting([needs(input)]);
    lab.store(&[keyed.clone(), behind.clone(), beside.clone()]).await;
    let holder = lab.store_holding(key).await;
    lab.replay(&[input]).await;
    lab.assert_all(&[keyed.id, behind.id], JobState::Failed).await;
    lab.assert_held(key, &holder).await;
    let deliveries = lab.reserve_these(&[&holder[..], &[input]].concat()).await;
    lab.apply(&deliveries, &done()).await;
    lab.run_these(&[beside.id]).await;
    lab.assert_all(&[keyed.id, behind.id], JobState::Failed).await;
    lab.assert_free(key).await;
}

/// For people who look into a store; the key stays on the record when it is free.
pub async fn a_record_tells_the_key(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    let (keyed, plain) = (holding("key"), plain_job());
    lab.store(&[keyed.clone(), plain.clone()]).await;
    let keys = async || {
        let records = lab.records(&[keyed.id, plain.id]).await;
        records.into_iter().map(|record| record.unique).collect::<Vec<_>>()
    };
    assert_eq!(keys().await, [Some("key".to_owned()), None]);
    lab.run_these(&[keyed.id, plain.id]).await;
    assert_eq!(keys().await, [Some("key".to_owned()), None]);
}
