//! Taking what waits to be sent, and saying that it was.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use taskcore::Priority;
use taskcore::broker::{BrokerError, Claim, NewJob, Verdict};

use crate::harness::Harness;
use crate::lab::*;
use crate::reporting::HOUR;
use crate::sending::*;
use crate::waiting::these;

/// Neither is anything entered anew, nor forgotten.
pub async fn an_outbox_that_is_opened_again_stays_as_it_is(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    lab.stored(2).await;
    lab.send().await;
    let unsent = lab.stored(2).await;
    lab.open_outbox().await;
    lab.second().await.open_outbox().await;
    lab.assert_entered(&unsent).await;
}

/// Programs start together.
pub async fn openings_at_the_same_time_enter_each_job_once(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let ready = lab.stored(20).await;
    let openings = (0..6).map(|place| {
        let outbox = [&lab, &second][place % 2].connection().outbox.unwrap();
        tokio::spawn(async move { outbox.open_outbox().await.unwrap() })
    });
    futures::future::join_all(openings).await.into_iter().for_each(Result::unwrap);
    lab.assert_entered(&ready).await;
}

/// None slips between what is ready now and what will be.
pub async fn jobs_stored_while_the_outbox_is_opened_are_all_entered(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let storing = (0..4).map(|_| async {
        let storer = lab.second().await;
        let mut stored = Vec::new();
        for _ in 0..20 {
            stored.extend(storer.stored(3).await);
        }
        stored
    });
    let opener = lab.second().await;
    let (stored, ()) = tokio::join!(futures::future::join_all(storing), opener.open_outbox());
    lab.assert_entered(&stored.concat()).await;
}

/// All that it takes to send it to the right place.
pub async fn an_entry_tells_the_queue_and_the_priority_of_its_job(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let expected = [("one", -2), ("two", 0), ("three", 2)];
    for (name, priority) in expected {
        lab.store(&[NewJob { queue: queue(name), ..with_priority(priority) }]).await;
    }
    let entries = lab.unsent(10).await;
    let found: Vec<_> =
        entries.iter().map(|entry| (entry.queue.as_str(), entry.priority)).collect();
    assert_eq!(found, expected.map(|(name, level)| (name, Priority::new(level).unwrap())));
}

/// Whatever their priorities, and however many were taken meanwhile.
pub async fn what_became_ready_first_comes_first(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let mut stored = Vec::new();
    for priority in [0, -2, 2, 1, 0, 2] {
        let job = with_priority(priority);
        stored.push(job.id);
        lab.store(&[job]).await;
    }
    assert_eq!(jobs_in(&lab.unsent(2).await), stored[..2]);
    assert_eq!(jobs_in(&lab.unsent(2).await), stored[2..4]);
    lab.elapse(2).await;
    assert_eq!(jobs_in(&lab.unsent(5).await), stored[..5]);
}

/// Higher priorities first, then in the order of the batch.
pub async fn what_is_stored_together_comes_in_the_order_of_handing_out(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::with_outbox(harness).await;
    let groups: Vec<_> = [0, 2, -2, 1, -1].map(|level| jobs(batch, || with_priority(level))).into();
    let mixed: Vec<_> =
        (0..batch).flat_map(|place| groups.iter().map(move |group| group[place].clone())).collect();
    lab.store(&mixed).await;
    let entered = lab.send().await;
    assert_eq!(entered, jobs_of(&lab.reserve_all(mixed.len()).await));
}

/// Also if they were not due at the same time.
pub async fn what_becomes_due_together_comes_in_the_order_of_handing_out(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    for (priority, ticks) in [(0, 2), (2, 3), (0, 1), (-1, 1), (2, 2)] {
        lab.store(&[NewJob { due: due_in(lab.ticks(ticks)).due, ..with_priority(priority) }]).await;
    }
    lab.elapse(3).await;
    let entered = lab.send().await;
    assert_eq!(entered, jobs_of(&lab.reserve_all(5).await));
}

/// The rest is for the next one.
pub async fn no_more_entries_are_taken_than_asked(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let stored = lab.stored(5).await;
    assert_eq!(jobs_in(&lab.unsent(3).await), stored[..3]);
    assert_eq!(jobs_in(&lab.unsent(3).await), stored[3..]);
    assert!(lab.unsent(3).await.is_empty());
}

/// On whichever connection.
pub async fn an_entry_is_nobody_elses_as_long_as_it_is_held(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let second = lab.second().await;
    lab.stored(batch).await;
    assert_eq!(lab.unsent(batch).await.len(), batch);
    lab.elapse(1).await;
    for other in [&lab, &second] {
        assert!(other.unsent(batch).await.is_empty());
    }
}

/// Whoever had taken it is gone.
pub async fn what_was_not_sent_comes_again_when_the_hold_ends(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    lab.stored(batch).await;
    let taken = lab.second().await.unsent(batch).await;
    lab.elapse(2).await;
    assert_eq!(lab.unsent(batch).await, taken);
}

/// Neither at once nor when the hold has ended.
pub async fn what_was_sent_does_not_come_again(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let stored = lab.stored(2 * batch).await;
    let taken = lab.unsent(batch).await;
    lab.sent(&taken).await;
    lab.elapse(2).await;
    assert_eq!(lab.send().await, stored[batch..]);
    lab.elapse(2).await;
    assert_eq!(lab.send().await, []);
}

/// A call may be repeated.
pub async fn entries_may_be_deleted_twice(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    lab.stored(2).await;
    let taken = lab.unsent(2).await;
    lab.sent(&taken).await;
    let stored = lab.stored(2).await;
    lab.sent(&taken).await;
    lab.sent(&[]).await;
    lab.assert_entered(&stored).await;
}

/// The message that is told of was used up before.
pub async fn what_became_ready_again_since_stays_entered(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    lab.stored(batch).await;
    let taken = lab.unsent(batch).await;
    let deliveries = lab.claim_all(&jobs_in(&taken)).await;
    lab.apply(&deliveries, &Verdict::Release).await;
    lab.sent(&taken).await;
    lab.assert_entered(&jobs_in(&taken)).await;
}

/// However many they are.
pub async fn entries_of_deleted_jobs_hide_no_others(harness: &dyn Harness, batch: usize) {
    let lab = Lab::with_outbox(harness).await;
    let deleted = lab.stored(20 * batch).await;
    let stored = lab.stored(1).await;
    assert_eq!(lab.operate().purge(&these(&deleted)).await.unwrap(), deleted.len() as u64);
    assert_eq!(jobs_in(&lab.unsent(1).await), stored);
}

/// No entry goes to two of them, none is left over.
pub async fn takers_at_the_same_time_get_different_entries(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let second = lab.second().await;
    let stored: BTreeSet<_> = lab.stored(300).await.into_iter().collect();
    let hold = lab.ticks(2);
    let takers = (0..6).map(|place| {
        let outbox = [&lab, &second][place % 2].connection().outbox.unwrap();
        tokio::spawn(async move {
            let mut taken = Vec::new();
            loop {
                let entries = outbox.unsent(count(7), hold, Duration::ZERO).await.unwrap();
                if entries.is_empty() {
                    return taken;
                }
                taken.extend(jobs_in(&entries));
                outbox.sent(&entries).await.unwrap();
            }
        })
    });
    let mut taken = Vec::new();
    for one in futures::future::join_all(takers).await {
        taken.extend(one.unwrap());
    }
    // Whoever came while another one had the rest in its hands found none.
    taken.extend(lab.send().await);
    assert_eq!(taken.len(), stored.len());
    assert_eq!(taken.into_iter().collect::<BTreeSet<_>>(), stored);
}

/// Bounded by the caller.
pub async fn unsent_waits_no_longer_than_asked(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let (started, wait) = (Instant::now(), Duration::from_millis(50));
    let call = lab.outbox().unsent(count(1), HOUR, wait);
    let entries = soon("the end of the wait", call).await.unwrap();
    assert!(entries.is_empty());
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// As soon as there is something to send.
pub async fn a_waiting_unsent_gets_a_job_that_another_connection_stores(
    harness: &dyn Harness,
    batch: usize,
) {
    let lab = Lab::with_outbox(harness).await;
    let second = lab.second().await;
    let mut waiting = lab.outbox().unsent(count(batch), HOUR, HOUR);
    assert_waits(&mut waiting).await;
    let stored = second.stored(batch).await;
    let entries = soon("the entries", waiting).await.unwrap();
    assert_eq!(jobs_in(&entries), stored);
}

/// Nobody has to do the upkeep for it.
pub async fn a_waiting_unsent_gets_a_job_that_becomes_due(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let job = due_in(lab.ticks(1));
    lab.store(std::slice::from_ref(&job)).await;
    let mut waiting = lab.outbox().unsent(count(1), HOUR, HOUR);
    assert_waits(&mut waiting).await;
    lab.elapse(1).await;
    let entries = soon("the entry", waiting).await.unwrap();
    assert_eq!(jobs_in(&entries), [job.id]);
}

/// Whoever had it is gone.
pub async fn a_waiting_unsent_gets_an_entry_whose_hold_ends(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    lab.stored(1).await;
    let taken = lab.unsent(1).await;
    let mut waiting = lab.outbox().unsent(count(1), HOUR, HOUR);
    assert_waits(&mut waiting).await;
    lab.elapse(2).await;
    assert_eq!(soon("the entry", waiting).await.unwrap(), taken);
}

/// A sender that stops does not sit it out.
pub async fn close_ends_an_unsent_that_waits(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    let mut waiting = lab.outbox().unsent(count(1), HOUR, HOUR);
    assert_waits(&mut waiting).await;
    lab.broker().close().await.unwrap();
    match soon("the end of the wait", waiting).await {
        Ok(entries) => assert!(entries.is_empty()),
        Err(error) => assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}"),
    }
}

/// Like everything else.
pub async fn after_close_an_outbox_answers_closed(harness: &dyn Harness) {
    let lab = Lab::with_outbox(harness).await;
    lab.stored(1).await;
    let taken = lab.unsent(1).await;
    lab.broker().close().await.unwrap();
    let claim = Claim { jobs: jobs_in(&taken), lease: HOUR, worker: "late".to_owned() };
    let outbox = lab.outbox();
    for answer in [
        outbox.open_outbox().await,
        outbox.unsent(count(1), HOUR, HOUR).await.map(drop),
        outbox.sent(&taken).await,
        outbox.claim(&claim).await.map(drop),
    ] {
        assert!(matches!(answer, Err(BrokerError::Closed { .. })), "{answer:?}");
    }
}
