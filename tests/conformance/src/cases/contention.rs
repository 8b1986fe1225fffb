//! Calls at the same time, on several connections.

use std::collections::BTreeSet;

use taskcore::JobId;
use taskcore::broker::{
    CancelOutcome, Delivery, Enqueued, JobFilter, JobState, Maintain, ReadItems, Settled, Verdict,
};

use crate::harness::Harness;
use crate::lab::*;
use crate::reporting::*;
use crate::waiting::*;

/// No job goes to two of them, none is left over.
pub async fn reservers_at_the_same_time_get_different_jobs(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let ids: BTreeSet<JobId> = lab.stored(400).await.into_iter().collect();
    let reservers = (0..8).map(|place| {
        let broker = [&lab, &second][place % 2].connection().broker;
        let request = lab.request(7);
        tokio::spawn(async move {
            let mut taken: Vec<JobId> = Vec::new();
            loop {
                let deliveries = broker.reserve(&request).await.unwrap();
                if deliveries.is_empty() {
                    return taken;
                }
                assert!(deliveries.len() <= 7);
                taken.extend(jobs_of(&deliveries));
            }
        })
    });
    let mut delivered = Vec::new();
    for taken in futures::future::join_all(reservers).await {
        delivered.extend(taken.unwrap());
    }
    assert_eq!(delivered.len(), ids.len());
    assert_eq!(delivered.into_iter().collect::<BTreeSet<_>>(), ids);
}

/// Whoever comes first stores it; the others learn that it is there.
pub async fn enqueues_of_the_same_ids_at_the_same_time_store_each_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    for _ in 0..lab.rounds() {
        let jobs = plain_jobs(20);
        let calls = (0..4).map(|place| {
            let broker = [&lab, &second][place % 2].connection().broker;
            // From both ends, so that locks taken job by job would meet.
            let mut jobs = jobs.clone();
            if place >= 2 {
                jobs.reverse();
            }
            tokio::spawn(async move { broker.enqueue(&jobs).await.unwrap() })
        });
        let answers = futures::future::join_all(calls).await;
        let stored = answers.into_iter().flat_map(Result::unwrap);
        let stored = stored.filter(|answer| *answer == Enqueued::Stored).count();
        let dedupes = lab.broker().capabilities().dedupe;
        assert_eq!(stored, if dedupes { 20 } else { 80 });
        let deliveries = lab.reserve_all(stored).await;
        lab.apply(&deliveries, &done_keeping_nothing()).await;
    }
}

/// River #1302: a job that finishes while it is being reclaimed runs again or is done, and
/// whichever it is, the verdict's answer says so.
pub async fn a_verdict_that_races_a_reclaim_is_applied_or_stale(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.sibling().await;
    for round in 0..lab.rounds() {
        let deliveries = lab.leased(4).await;
        let settling = settle_apart(&lab, &deliveries, &done());
        if round % 2 == 0 {
            tokio::task::yield_now().await;
        }
        second.lose_leases().await;
        let answers = settling.await.unwrap();
        for (answer, record) in answers.iter().zip(lab.kept_records(&jobs_of(&deliveries)).await) {
            let expected = match answer {
                Settled::Applied => JobState::Done,
                Settled::Stale => JobState::Ready,
            };
            assert_eq!(record.state, expected);
        }
        let both = deliveries.iter().zip(&answers);
        let stale = both.filter(|(_, answer)| **answer == Settled::Stale);
        let stale: Vec<_> = stale.map(|(delivery, _)| delivery.job).collect();
        let again = lab.reserve_all(stale.len()).await;
        lab.assert_again(&again, &stale);
        lab.apply(&again, &done()).await;
    }
}

/// The same, where the lease has ended before either starts.
pub async fn a_late_verdict_that_races_a_reclaim_is_stale(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.sibling().await;
    for _ in 0..lab.rounds() {
        let deliveries = lab.leased(4).await;
        lab.elapse_leases(2).await;
        let settling = settle_apart(&lab, &deliveries, &done());
        assert_eq!(second.maintain().await.reclaimed, 4);
        assert_eq!(settling.await.unwrap(), [Settled::Stale; 4]);
        let again = lab.reserve_all(4).await;
        lab.apply(&again, &done()).await;
    }
}

/// One verdict counts.
pub async fn of_verdicts_at_the_same_time_one_is_applied(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    // A transport takes verdicts where it handed out.
    let second = if lab.is_transport() { None } else { Some(lab.second().await) };
    let labs = [&lab, second.as_ref().unwrap_or(&lab)];
    for _ in 0..lab.rounds() {
        let deliveries = lab.leased(1).await;
        let verdicts = [done(), failed(), Verdict::Release, retry(lab.ticks(1))];
        let calls = verdicts
            .iter()
            .enumerate()
            .map(|(place, verdict)| settle_apart(labs[place % 2], &deliveries, verdict));
        let answers: Vec<_> = futures::future::join_all(calls).await;
        let answers: Vec<_> = answers.into_iter().flat_map(Result::unwrap).collect();
        let applied: Vec<_> =
            (0..verdicts.len()).filter(|place| answers[*place] == Settled::Applied).collect();
        assert_eq!(applied.len(), 1, "{answers:?}");
        let states = [JobState::Done, JobState::Failed, JobState::Ready, JobState::Scheduled];
        lab.assert_all(&jobs_of(&deliveries), states[applied[0]]).await;
        // Or what was retried comes up in a later round, where nothing deletes what is not due.
        lab.elapse(1).await;
        lab.purge_all().await;
    }
}

/// Done or cancelled, and each caller is told the same.
pub async fn a_cancel_that_races_a_verdict_has_one_winner(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    for _ in 0..lab.rounds() {
        let deliveries = lab.leased(1).await;
        let settling = settle_apart(&lab, &deliveries, &done());
        let cancelled = second.cancel(&jobs_of(&deliveries)).await;
        let settled = settling.await.unwrap();
        let state = match (settled[0], cancelled[0]) {
            (Settled::Applied, CancelOutcome::TooLate) => JobState::Done,
            (Settled::Stale, CancelOutcome::Signalled) => JobState::Cancelled,
            both => panic!("both cannot be: {both:?}"),
        };
        lab.assert_all(&jobs_of(&deliveries), state).await;
    }
}

/// Several workers do upkeep; a job is taken back once.
pub async fn upkeeps_at_the_same_time_reclaim_each_job_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.sibling().await;
    let ids = jobs_of(&lab.leased(50).await);
    lab.elapse_leases(2).await;
    let calls = (0..4).map(|place| {
        let broker = [&lab, &second][place % 2].connection().broker;
        tokio::spawn(async move { broker.maintain(&Maintain::default()).await.unwrap() })
    });
    let upkeeps = futures::future::join_all(calls).await;
    let reclaimed: u64 = upkeeps.into_iter().map(|upkeep| upkeep.unwrap().reclaimed).sum();
    assert_eq!(reclaimed, 50);
    assert!(lab.kept_records(&ids).await.iter().all(|record| record.losses == 1));
    assert!(lab.reserve_all(50).await.iter().all(|delivery| !delivery.suspect));
}

/// Each job is replayed by one of them.
pub async fn replays_at_the_same_time_replay_each_job_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let deliveries = lab.leased(50).await;
    lab.apply(&deliveries, &failed()).await;
    let calls = (0..4).map(|place| {
        let operate = [&lab, &second][place % 2].connection().operate.unwrap();
        tokio::spawn(async move { operate.replay(&JobFilter::default()).await.unwrap() })
    });
    let replayed = futures::future::join_all(calls).await;
    let replayed: Vec<_> = replayed.into_iter().flat_map(Result::unwrap).collect();
    assert_eq!(sorted(replayed), sorted(jobs_of(&deliveries)));
    lab.reserve_all(50).await;
}

/// Producers and workers side by side: every job is done once.
pub async fn jobs_stored_while_others_are_reserved_are_all_done_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let jobs = plain_jobs(300);
    let producers = jobs.chunks(10).enumerate().map(|(place, chunk)| {
        let connection = lab.connection();
        let chunk = chunk.to_vec();
        tokio::spawn(async move {
            for part in chunk.chunks(1 + place % 3) {
                connection.broker.enqueue(part).await.unwrap();
            }
        })
    });
    let producing = futures::future::join_all(producers);
    let second = lab.second().await;
    let working = async {
        let mut done_ids = Vec::new();
        while done_ids.len() < 300 {
            let deliveries = second.reserve(16).await;
            second.apply(&deliveries, &done()).await;
            done_ids.extend(jobs_of(&deliveries));
            tokio::task::yield_now().await;
        }
        done_ids
    };
    let (_, done_ids) = soon("all jobs", futures::future::join(producing, working)).await;
    assert_eq!(sorted(done_ids), sorted(ids_of(&jobs)));
    lab.assert_depth(Counts::default()).await;
}

fn settle_apart(
    lab: &Lab<'_>,
    deliveries: &[Delivery],
    verdict: &Verdict,
) -> tokio::task::JoinHandle<Vec<Settled>> {
    let broker = lab.connection().broker;
    let batch = settlements(deliveries, verdict);
    tokio::spawn(async move { broker.settle(&batch).await.unwrap() })
}

/// Each sees the other's input open or ended; together they release the job, once.
pub async fn the_last_inputs_that_end_at_the_same_time_release_once(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let second = lab.second().await;
    for _ in 0..lab.rounds() {
        let inputs = lab.leased(4).await;
        let job = lab.store_one(waiting(jobs_of(&inputs).into_iter().map(needs))).await;
        let calls = inputs.into_iter().enumerate().map(|(place, input)| {
            let broker = [&lab, &second][place % 2].connection().broker;
            let batch = settlements(&[input], &done());
            tokio::spawn(async move { broker.settle(&batch).await.unwrap() })
        });
        for answer in futures::future::join_all(calls).await {
            assert_eq!(answer.unwrap(), [Settled::Applied]);
        }
        lab.run_these(&[job]).await;
        lab.reserve_all(0).await;
    }
}

/// It finds its input open and waits, or ended and does not; it is never forgotten.
pub async fn a_job_that_is_stored_while_its_input_ends_can_run(harness: &dyn Harness) {
    let Some(lab) = Lab::with_inputs(harness).await else { return };
    let second = lab.second().await;
    for _ in 0..lab.rounds() {
        let inputs = lab.leased(3).await;
        let jobs = jobs_of(&inputs).into_iter().map(|id| waiting([needs(id)])).collect::<Vec<_>>();
        let (first, other) = (lab.connection().broker, second.connection().broker);
        let (verdicts, batch) = (settlements(&inputs, &done()), jobs.clone());
        let settle = tokio::spawn(async move { first.settle(&verdicts).await.unwrap() });
        let enqueue = tokio::spawn(async move { other.enqueue(&batch).await.unwrap() });
        assert_eq!(settle.await.unwrap(), [Settled::Applied; 3]);
        assert_eq!(enqueue.await.unwrap(), [Enqueued::Stored; 3]);
        lab.run_these(&ids_of(&jobs)).await;
    }
}

/// Each of them gets every item once, in order, and learns of the end.
pub async fn readers_of_a_stream_that_is_being_made_get_all_of_it(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    let deliveries = lab.leased(1).await;
    let job = deliveries[0].job;
    let readers = (0..4).map(|place| {
        let reports = [&lab, &second][place % 2].connection().reports.unwrap();
        tokio::spawn(async move {
            let mut read: Vec<_> = Vec::new();
            loop {
                let reader = ReadItems { from: read.len() as u64, max: 3, ..all_of(job) };
                let found = reports.items(&reader, HOUR).await.unwrap();
                assert_eq!(found.first, read.len() as u64);
                read.extend(found.items);
                let is_over = found.state.is_none_or(JobState::is_final);
                if is_over && read.len() as u64 == found.total {
                    return read;
                }
            }
        })
    });
    let readers: Vec<_> = readers.collect();
    for index in 0..40 {
        lab.say(&publishing(&deliveries, index..index + 1)).await;
    }
    lab.apply(&deliveries, &done()).await;
    for reader in readers {
        let read = soon("the end of the stream", reader).await.unwrap();
        assert_eq!(read, payloads(&deliveries[0], 0..40));
    }
}

/// Whoever comes last.
pub async fn of_pulls_at_the_same_time_the_highest_counts(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    let job = lab.leased(1).await[0].job;
    for round in 1..=10 {
        let pulls = (0..8).map(|place| {
            let reports = [&lab, &second][place as usize % 2].connection().reports.unwrap();
            // The highest comes in the middle.
            let until = round * 100 + (place * 3) % 8;
            tokio::spawn(async move { reports.pull(job, until).await.unwrap() })
        });
        futures::future::join_all(pulls).await.into_iter().for_each(Result::unwrap);
        assert_eq!(lab.demands(&[job]).await[0].until, round * 100 + 7);
    }
}
