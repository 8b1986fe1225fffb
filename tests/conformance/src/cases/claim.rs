//! Handing out jobs that somebody was told of.

use std::collections::BTreeSet;

use taskcore::JobId;
use taskcore::broker::{
    AttemptEnd, BrokerError, Claim, Claimed, EventKind, JobState, NewJob, Settled, UniqueScope,
    Verdict,
};

use crate::harness::Harness;
use crate::holding::*;
use crate::lab::*;
use crate::sending::*;
use crate::waiting::*;

/// As `reserve` does.
pub async fn a_claimed_job_is_handed_out_as_it_was_stored(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let jobs = jobs(batch, || NewJob { queue: queue("claimed"), ..with_priority(1) });
    lab.store(&jobs).await;
    let backwards: Vec<_> = jobs.iter().rev().collect();
    let ids: Vec<_> = backwards.iter().map(|job| job.id).collect();
    let records = lab.records(&ids).await;
    for ((delivery, job), record) in lab.claim_all(&ids).await.iter().zip(backwards).zip(records) {
        assert_eq!((&delivery.task[..], &delivery.queue), (&*job.task, &job.queue));
        assert_eq!(delivery.envelope, job.envelope);
        assert_eq!((delivery.attempt.get(), delivery.suspect), (1, false));
        assert_eq!((delivery.enqueued_at, delivery.due_at), (record.created_at, record.due_at));
    }
    lab.assert_all(&ids, JobState::Running).await;
}

/// Its receipt is one like any other.
pub async fn a_verdict_of_a_claimed_job_counts(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deliveries = lab.claim_all(&lab.stored(batch).await).await;
    lab.begin(&deliveries).await;
    lab.extend(&deliveries, 3).await;
    lab.elapse(2).await;
    lab.apply(&deliveries, &done()).await;
    lab.assert_all(&jobs_of(&deliveries), JobState::Done).await;
    assert_eq!(lab.settle(&deliveries, &done()).await, vec![Settled::Stale; batch]);
}

/// Nobody else has it until then, by whichever call.
pub async fn a_claimed_job_is_leased_until_its_lease_ends(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(batch).await;
    let first = lab.claim_all(&ids).await;
    lab.elapse(1).await;
    lab.maintain().await;
    lab.second().await.assert_not_ready(&ids).await;
    lab.reserve_all(0).await;
    lab.elapse(1).await;
    lab.maintain().await;
    lab.claim_all(&ids).await;
    assert_eq!(lab.settle(&first, &done()).await, vec![Settled::Stale; batch]);
}

/// In events, sums, records and timelines.
pub async fn a_claim_is_told_like_any_hand_out(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(batch).await;
    let before = lab.position().await;
    let deliveries = lab.claim_all(&ids).await;
    lab.assert_happened(before, &ids, &[EventKind::Started]).await;
    for record in lab.records(&ids).await {
        assert_eq!(record.worker.as_deref(), Some("worker of the suite"));
        assert!(record.started_at.is_some());
    }
    lab.apply(&deliveries, &done()).await;
    lab.assert_attempts(&ids, &[(1, Some(AttemptEnd::Done))]).await;
    let sums = lab.sums().await;
    assert_eq!((sums.done, sums.runs), (batch as u64, batch as u64));
}

/// What it has failed before counts.
pub async fn a_job_that_runs_again_is_claimed_with_its_next_attempt(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(batch).await;
    for attempt in 1..4 {
        let deliveries = lab.claim_all(&ids).await;
        assert!(deliveries.iter().all(|delivery| delivery.attempt.get() == attempt));
        lab.apply(&deliveries, &retry(lab.ticks(1))).await;
        lab.assert_not_ready(&ids).await;
        lab.elapse(1).await;
    }
}

/// From its second lost lease on.
pub async fn a_claimed_job_whose_lease_was_lost_becomes_a_suspect(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(batch).await;
    for is_suspect in [false, false, true] {
        let deliveries = lab.claim_all(&ids).await;
        assert!(deliveries.iter().all(|delivery| delivery.suspect == is_suspect));
        lab.lose_leases().await;
    }
}

/// Nobody has to look at the clock for it.
pub async fn a_due_job_is_claimed_without_upkeep(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let jobs = jobs(batch, || due_in(lab.ticks(1)));
    lab.store(&jobs).await;
    lab.assert_not_ready(&ids_of(&jobs)).await;
    lab.elapse(1).await;
    lab.claim_all(&ids_of(&jobs)).await;
}

/// It is not lost for that.
pub async fn a_job_of_a_paused_queue_is_not_claimed_until_it_goes_on(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(batch).await;
    let other = in_queue("other");
    lab.store(std::slice::from_ref(&other)).await;
    lab.operate().pause(&plain_queue(), true).await.unwrap();
    let answers = lab.claim(&[&ids[..], &[other.id]].concat()).await;
    assert!(answers[..batch].iter().all(|answer| matches!(answer, Claimed::NotReady)));
    assert_eq!(jobs_of(&leased_of(answers)), [other.id]);
    lab.assert_all(&ids, JobState::Ready).await;
    lab.operate().pause(&plain_queue(), false).await.unwrap();
    lab.claim_all(&ids).await;
}

/// One answer each, whatever state the job is in.
pub async fn a_claim_answers_each_id_in_order(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let ended = lab.leased(1).await;
    lab.apply(&ended, &done()).await;
    let running = lab.leased(1).await[0].job;
    let ready = lab.stored(2).await;
    let blocked = lab.store_one(waiting([needs(running)])).await;
    let scheduled = lab.store_one(due_in(lab.ticks(1))).await;
    let asked =
        [JobId::new(), ready[1], blocked, scheduled, running, ready[0], ended[0].job, JobId::new()];
    let word = |answer: &Claimed| match answer {
        Claimed::Leased(_) => "leased",
        Claimed::NotReady => "not ready",
        Claimed::Unknown => "unknown",
    };
    let answers = lab.claim(&asked).await;
    assert_eq!(
        answers.iter().map(word).collect::<Vec<_>>(),
        [
            "unknown",
            "leased",
            "not ready",
            "not ready",
            "not ready",
            "leased",
            "not ready",
            "unknown"
        ],
    );
    assert_eq!(jobs_of(&leased_of(answers)), [ready[1], ready[0]]);
}

/// Two messages may tell of one job.
pub async fn an_id_that_is_named_twice_is_leased_once(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(2).await;
    let answers = lab.claim(&[ids[0], ids[1], ids[0], ids[0]]).await;
    assert!(answers[2..].iter().all(|answer| matches!(answer, Claimed::NotReady)), "{answers:?}");
    let deliveries = leased_of(answers);
    assert_eq!(jobs_of(&deliveries), ids);
    lab.apply(&deliveries, &done()).await;
}

/// It ends instead, without upkeep.
pub async fn a_job_that_has_expired_is_not_claimed(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let expired = NewJob { expires_in: Some(lab.ticks(1)), ..plain_job() };
    lab.store(std::slice::from_ref(&expired)).await;
    let live = lab.stored(1).await;
    lab.elapse(1).await;
    let answers = lab.claim(&[expired.id, live[0]]).await;
    assert!(matches!(answers[0], Claimed::NotReady), "{answers:?}");
    assert_eq!(jobs_of(&leased_of(answers)), live);
    lab.assert_all(&[expired.id], JobState::Expired).await;
}

/// The hand-out frees it.
pub async fn a_key_while_queued_is_free_once_its_job_was_claimed(harness: &dyn Harness) {
    let Some(lab) = Lab::with_keys(harness).await else { return };
    lab.open_outbox().await;
    let job = holding_for("key", UniqueScope::Queued);
    lab.store(std::slice::from_ref(&job)).await;
    lab.claim_all(&[job.id]).await;
    lab.assert_free(&["key".to_owned()]).await;
}

/// The entries of what is leased are deleted, and those of what is not stay.
pub async fn a_claim_counts_as_sending(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(2 * batch).await;
    lab.claim_all(&ids[..batch]).await;
    lab.assert_entered(&ids[batch..]).await;
}

/// There is nothing to do.
pub async fn an_empty_claim_answers_an_empty_list(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    assert!(lab.claim(&[]).await.is_empty());
}

/// More than a worker has room for.
pub async fn a_claim_takes_ten_thousand_ids_and_no_more(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let ids = lab.stored(10_000).await;
    let mut jobs = ids.clone();
    jobs.push(JobId::new());
    let claim = Claim { jobs, lease: lab.ticks(2), worker: "greedy".to_owned() };
    let answer = lab.outbox().claim(&claim).await;
    assert!(matches!(answer, Err(BrokerError::Refused { .. })), "{answer:?}");
    lab.claim_all(&ids).await;
}

/// Each message may have come twice.
pub async fn claimers_at_the_same_time_get_each_job_once(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let second = lab.second().await;
    for _ in 0..10 {
        let ids = lab.stored(40).await;
        let claimers = (0..4).map(|place| {
            let outbox = [&lab, &second][place % 2].connection().outbox.unwrap();
            // From both ends, so that locks taken job by job would meet.
            let mut jobs = ids.clone();
            if place < 2 {
                jobs.reverse();
            }
            let claim = Claim { jobs, lease: lab.ticks(2), worker: "racer".to_owned() };
            tokio::spawn(async move { outbox.claim(&claim).await.unwrap() })
        });
        let mut leased = Vec::new();
        for answers in futures::future::join_all(claimers).await {
            leased.extend(jobs_of(&leased_of(answers.unwrap())));
        }
        assert_eq!(sorted(leased), sorted(ids));
    }
}

/// One of them has it.
pub async fn a_claim_that_races_a_reserve_leaves_each_job_to_one(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let second = lab.second().await;
    for _ in 0..10 {
        let ids = lab.stored(40).await;
        let (outbox, broker) = (lab.connection().outbox.unwrap(), second.connection().broker);
        let claim = Claim { jobs: ids.clone(), lease: lab.ticks(2), worker: "racer".to_owned() };
        let request = lab.request(40);
        let claimed = tokio::spawn(async move { outbox.claim(&claim).await.unwrap() });
        let reserved = tokio::spawn(async move { broker.reserve(&request).await.unwrap() });
        let mut leased = leased_of(claimed.await.unwrap());
        leased.extend(reserved.await.unwrap());
        let taken: BTreeSet<_> = jobs_of(&leased).into_iter().collect();
        assert_eq!(taken.len(), leased.len(), "no job went to both");
        leased.extend(lab.reserve(40).await);
        assert_eq!(sorted(jobs_of(&leased)), sorted(ids), "none was left over");
        lab.apply(&leased, &Verdict::Done { result: None, keep: taskcore::broker::Keep::Nothing })
            .await;
    }
}
