//! Streams: items that are read while they are made.

use std::time::{Duration, Instant};

use taskcore::broker::{
    BrokerError, Items, JobState, NewItems, ReadItems, Report, Settled, Verdict,
};
use taskcore::{JobId, Payload};

use crate::harness::Harness;
use crate::lab::*;
use crate::reporting::*;

/// From any connection, with the state of the job.
pub async fn items_are_read_as_they_were_published(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&publishing(&deliveries, 0..3)).await;
    let second = lab.second().await;
    for delivery in &deliveries {
        let found = second.items(delivery.job).await;
        assert!(found.run.is_some());
        assert_eq!((found.first, found.total), (0, 3));
        assert_eq!(found.items, payloads(delivery, 0..3));
        assert_eq!(found.state, Some(JobState::Running));
    }
}

/// Whatever a task encodes.
pub async fn an_item_may_be_any_bytes(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let delivery = lab.leased(1).await.remove(0);
    let items =
        [vec![], (0..=255).collect(), vec![0; 3], vec![7; 1 << 20], HOSTILE.concat().into()];
    let items = items.map(Payload::from).to_vec();
    let new = NewItems { first: 0, items: items.clone() };
    lab.say(&[Report { items: Some(new), ..silent(&delivery) }]).await;
    assert_eq!(read_all(&lab, delivery.job, 10).await, items);
}

/// Item by item, or many at once.
pub async fn a_run_grows_with_each_report(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&publishing(&deliveries, 0..1)).await;
    let run = lab.items(deliveries[0].job).await.run;
    lab.say(&[publishing(&deliveries, 1..2), publishing(&deliveries, 2..5)].concat()).await;
    assert_eq!(lab.items(deliveries[0].job).await.run, run, "it is still the same run");
    for delivery in &deliveries {
        let found = lab.items(delivery.job).await;
        assert_eq!((found.items, found.total), (payloads(delivery, 0..5), 5));
    }
}

/// Readers take what they can carry.
pub async fn items_are_read_page_by_page(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(1).await;
    lab.say(&publishing(&deliveries, 0..10)).await;
    let all = payloads(&deliveries[0], 0..10);
    for max in [1, 3, 10, 1_000, u32::MAX] {
        assert_eq!(read_all(&lab, deliveries[0].job, max).await, all, "at most {max}");
    }
    let end = read(&lab, deliveries[0].job, None, 10).await;
    assert_eq!((end.items.len(), end.total), (0, 10));
}

/// Two readers of one stream both get all of it.
pub async fn reading_items_never_consumes_them(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&publishing(&deliveries, 0..3)).await;
    for _ in 0..3 {
        for delivery in &deliveries {
            assert_eq!(lab.items(delivery.job).await.items, payloads(delivery, 0..3));
        }
    }
}

/// A lost reply, repeated.
pub async fn a_repeated_report_of_items_adds_nothing(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    for indices in [0..3, 3..5] {
        lab.say(&publishing(&deliveries, indices.clone())).await;
        let said = lab.said(&jobs_of(&deliveries)).await;
        lab.say(&publishing(&deliveries, indices)).await;
        assert_eq!(lab.said(&jobs_of(&deliveries)).await, said);
    }
    lab.say(&publishing(&deliveries, 0..1)).await;
    for delivery in &deliveries {
        assert_eq!(lab.items(delivery.job).await.items, payloads(delivery, 0..5));
    }
}

/// The same, with what came meanwhile.
pub async fn a_report_that_overlaps_adds_what_is_new(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&publishing(&deliveries, 0..3)).await;
    let mut overlapping = publishing(&deliveries, 1..6);
    for report in &mut overlapping {
        // What is stored already is passed over, whatever it says now.
        report.items.as_mut().unwrap().items[0] = Payload::from(b"another".to_vec());
    }
    lab.say(&overlapping).await;
    for delivery in &deliveries {
        let found = lab.items(delivery.job).await;
        assert_eq!((found.items, found.total), (payloads(delivery, 0..6), 6));
    }
}

/// Readers must not miss an item and not know; neither is anything else of it recorded.
pub async fn a_report_that_would_leave_a_gap_is_stale_as_a_whole(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(2 * batch).await;
    let (gap, sound) = deliveries.split_at(batch);
    for first in [1, 2, 1_000] {
        assert_eq!(lab.report(&all_at_once(gap, first)).await, vec![Settled::Stale; batch]);
        assert_eq!(lab.said(&jobs_of(gap)).await, vec![Said::NOTHING; batch]);
    }
    lab.say(&all_at_once(&deliveries, 0)).await;
    let said = lab.said(&jobs_of(gap)).await;
    let mixed = all_at_once(gap, 3).into_iter().zip(all_at_once(sound, 2));
    let mixed: Vec<_> = mixed.flat_map(|(gap, sound)| [gap, sound]).collect();
    assert_eq!(lab.report(&mixed).await, [Settled::Stale, Settled::Applied].repeat(batch));
    assert_eq!(lab.said(&jobs_of(gap)).await, said);
    for delivery in sound {
        assert_eq!(lab.items(delivery.job).await.items, payloads(delivery, 0..4));
    }
    lab.say(&publishing(gap, 2..4)).await;
}

/// A stream that has begun and made nothing yet.
pub async fn an_empty_first_report_begins_a_run(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    for id in jobs_of(&deliveries) {
        let found = lab.items(id).await;
        assert_eq!((found.run, found.total, found.items.len()), (None, 0, 0));
        assert_eq!(found.state, Some(JobState::Running));
    }
    lab.say(&publishing(&deliveries, 0..0)).await;
    let mut runs = Vec::new();
    for id in jobs_of(&deliveries) {
        let found = lab.items(id).await;
        assert_eq!((found.total, found.items.len()), (0, 0));
        runs.push(found.run.expect("it was begun"));
    }
    lab.say(&publishing(&deliveries, 0..2)).await;
    for (delivery, run) in deliveries.iter().zip(runs) {
        let found = lab.items(delivery.job).await;
        assert_eq!((found.run, found.items), (Some(run), payloads(delivery, 0..2)));
    }
}

/// A task that runs again makes its items again, and they may be others.
pub async fn each_delivery_begins_a_run_of_its_own(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let mut deliveries = lab.leased(batch).await;
    let ids = jobs_of(&deliveries);
    lab.say(&publishing(&deliveries, 0..5)).await;
    for end in 0..4 {
        let said = lab.said(&ids).await;
        match end {
            0 => lab.apply(&deliveries, &retry(Duration::ZERO)).await,
            1 => lab.apply(&deliveries, &Verdict::Release).await,
            2 => drop(lab.lose_leases().await),
            _ => {
                lab.apply(&deliveries, &failed()).await;
                lab.replay(&ids).await;
            }
        }
        deliveries = lab.reserve_all(batch).await;
        // In the order of the jobs, as reclaimed ones may come in another.
        deliveries.sort_by_key(|one| ids.iter().position(|id| *id == one.job));
        assert_eq!(lab.said(&ids).await, said, "until it publishes, the earlier one stays");
        lab.say(&publishing(&deliveries, 0..1)).await;
        for (delivery, before) in deliveries.iter().zip(said) {
            let found = lab.items(delivery.job).await;
            assert!(found.run > before.run, "later runs are higher");
            assert_eq!((found.items, found.total), (payloads(delivery, 0..1), 1));
        }
        lab.say(&publishing(&deliveries, 1..5)).await;
    }
}

/// Before the first item too.
pub async fn an_empty_first_report_deletes_the_run_before(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let first = lab.leased(batch).await;
    lab.say(&publishing(&first, 0..3)).await;
    let said = lab.said(&jobs_of(&first)).await;
    lab.apply(&first, &retry(Duration::ZERO)).await;
    lab.say(&publishing(&lab.reserve_all(batch).await, 0..0)).await;
    for (id, before) in jobs_of(&first).into_iter().zip(said) {
        let found = lab.items(id).await;
        assert!(found.run > before.run);
        assert_eq!((found.items.len(), found.total), (0, 0));
    }
}

/// Not where an earlier one has stopped.
pub async fn a_run_begins_at_index_0(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let first = lab.leased(batch).await;
    let ids = jobs_of(&first);
    lab.say(&publishing(&first, 0..3)).await;
    let said = lab.said(&ids).await;
    lab.apply(&first, &retry(Duration::ZERO)).await;
    let second = lab.reserve_all(batch).await;
    for first in [1, 3] {
        let stale = lab.report(&publishing(&second, first..5)).await;
        assert_eq!(stale, vec![Settled::Stale; batch]);
        assert_eq!(lab.said(&ids).await, said);
    }
}

/// Whoever read an earlier run has to begin again, and is told.
pub async fn a_reader_of_an_earlier_run_gets_the_new_one_from_the_start(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let first = lab.leased(batch).await;
    lab.say(&publishing(&first, 0..4)).await;
    let runs: Vec<_> = lab.said(&jobs_of(&first)).await.iter().map(|said| said.run).collect();
    lab.apply(&first, &retry(Duration::ZERO)).await;
    let second = lab.reserve_all(batch).await;
    for (delivery, run) in second.iter().zip(&runs) {
        let found = read(&lab, delivery.job, *run, 2).await;
        assert_eq!((found.first, found.items.len()), (2, 2), "nothing was published yet");
    }
    lab.say(&publishing(&second, 0..3)).await;
    for (delivery, run) in second.iter().zip(runs) {
        let found = read(&lab, delivery.job, run, 2).await;
        assert!(found.run > run);
        assert_eq!((found.first, found.total), (0, 3));
        assert_eq!(found.items, payloads(delivery, 0..3));
        let found = read(&lab, delivery.job, found.run, 2).await;
        assert_eq!((found.first, found.items), (2, payloads(delivery, 2..3)));
    }
}

/// That is what a stream is.
pub async fn a_waiting_reader_gets_items_as_they_are_published(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    let deliveries = lab.leased(batch).await;
    let last = &deliveries[batch - 1];
    for index in 0..3 {
        let reader = ReadItems { from: index, ..all_of(last.job) };
        let mut waiting = second.reports().items(&reader, HOUR);
        assert_waits(&mut waiting).await;
        lab.say(&publishing(&deliveries, index..index + 1)).await;
        let found = soon("the item", waiting).await.unwrap();
        assert_eq!((found.first, found.total), (index, index + 1));
        assert_eq!(found.items, payloads(last, index..index + 1));
    }
}

/// It must not wait for an item that will never come.
pub async fn a_waiting_reader_is_told_that_its_run_is_over(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    let deliveries = lab.leased(batch).await;
    lab.say(&publishing(&deliveries, 0..2)).await;
    let last = deliveries[batch - 1].job;
    let run = lab.items(last).await.run;
    let reader = ReadItems { run, from: 2, ..all_of(last) };
    let mut waiting = second.reports().items(&reader, HOUR);
    assert_waits(&mut waiting).await;
    lab.apply(&deliveries, &retry(Duration::ZERO)).await;
    let again = lab.reserve_all(batch).await;
    assert_waits(&mut waiting).await;
    lab.say(&publishing(&again, 0..0)).await;
    let found = soon("the end of the run", waiting).await.unwrap();
    assert!(found.run > run);
    assert_eq!((found.first, found.items.len(), found.total), (0, 0, 0));
    let found = soon("the answer", second.reports().items(&reader, HOUR)).await.unwrap();
    assert!(found.run > run, "it is over for later calls as well");
}

/// No more will come of these.
pub async fn reading_answers_at_once_if_the_job_is_final_or_unknown(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(2).await;
    lab.say(&publishing(&deliveries, 0..2)).await;
    lab.apply(&deliveries[..1], &done()).await;
    lab.cancel(&jobs_of(&deliveries[1..])).await;
    for (delivery, state) in deliveries.iter().zip([JobState::Done, JobState::Cancelled]) {
        let reader = ReadItems { from: 2, ..all_of(delivery.job) };
        let found = soon("the answer", lab.reports().items(&reader, HOUR)).await.unwrap();
        assert_eq!((found.items.len(), found.total, found.state), (0, 2, Some(state)));
    }
    let reader = all_of(JobId::new());
    let found = soon("the answer", lab.reports().items(&reader, HOUR)).await.unwrap();
    assert_eq!((found.run, found.total, found.state), (None, 0, None));
}

/// The state comes in the same answer, so that no item is missed at the end.
pub async fn a_waiting_reader_is_told_that_the_job_has_ended(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    for verdict in [done(), failed(), Verdict::Cancelled, done_keeping_nothing()] {
        let deliveries = lab.leased(batch).await;
        lab.say(&publishing(&deliveries, 0..1)).await;
        let last = deliveries[batch - 1].job;
        let reader = ReadItems { from: 1, ..all_of(last) };
        let mut waiting = second.reports().items(&reader, HOUR);
        assert_waits(&mut waiting).await;
        lab.apply(&deliveries, &verdict).await;
        let found = soon("the end of the job", waiting).await.unwrap();
        assert_eq!(found.state, lab.states(&[last]).await[0]);
        assert!(found.items.is_empty());
    }
}

/// A reader that comes when all is over gets all of it.
pub async fn a_late_reader_reads_from_the_start(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&publishing(&deliveries, 0..4)).await;
    lab.apply(&deliveries, &done()).await;
    let second = lab.second().await;
    for delivery in &deliveries {
        let found = second.items(delivery.job).await;
        assert_eq!((found.first, found.total), (0, 4));
        assert_eq!((found.items, found.state), (payloads(delivery, 0..4), Some(JobState::Done)));
    }
}

/// Bounded by the caller.
pub async fn reading_waits_no_longer_than_asked(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let job = lab.stored(1).await[0];
    let (started, wait) = (Instant::now(), Duration::from_millis(50));
    let reader = all_of(job);
    let found = soon("the end of the wait", lab.reports().items(&reader, wait)).await.unwrap();
    assert_eq!((found.total, found.state), (0, Some(JobState::Ready)));
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// A program that ends does not sit it out.
pub async fn close_ends_a_reader_that_waits(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let reader = all_of(lab.stored(1).await[0]);
    let mut waiting = lab.reports().items(&reader, HOUR);
    assert_waits(&mut waiting).await;
    lab.broker().close().await.unwrap();
    match soon("the answer", waiting).await {
        Ok(found) => assert!(found.items.is_empty()),
        Err(error) => assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}"),
    }
}

/// The items from an index on, without a wait.
async fn read(lab: &Lab<'_>, job: JobId, run: Option<u64>, from: u64) -> Items {
    let reader = ReadItems { run, from, ..all_of(job) };
    lab.reports().items(&reader, Duration::ZERO).await.unwrap()
}

/// All items, at most `max` at a time.
async fn read_all(lab: &Lab<'_>, job: JobId, max: u32) -> Vec<Payload> {
    let (mut all, mut run) = (Vec::new(), None);
    loop {
        let reader = ReadItems { job, run, from: all.len() as u64, max };
        let page = lab.reports().items(&reader, Duration::ZERO).await.unwrap();
        assert!(page.items.len() <= max as usize, "{} items", page.items.len());
        assert!(!page.items.is_empty(), "there are more");
        assert_eq!(page.first, all.len() as u64);
        all.extend(page.items);
        run = page.run;
        if all.len() as u64 == page.total {
            return all;
        }
    }
}
