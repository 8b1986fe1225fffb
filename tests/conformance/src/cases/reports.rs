//! Progress and logs: what running jobs say, and who may say it.

use std::time::{Duration, Instant};

use jiff::SignedDuration;
use taskcore::JobId;
use taskcore::broker::{
    BrokerError, Delivery, JobState, NewLine, Progress, Receipt, Report, Settled, Verdict,
};

use crate::harness::Harness;
use crate::lab::*;
use crate::reporting::*;

/// Whoever asks, wherever they ask.
pub async fn progress_is_told_as_it_was_reported(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let report =
        |(place, delivery)| Report { progress: Some(progress_at(place)), ..silent(delivery) };
    let reports: Vec<_> = (0..).zip(&deliveries).map(report).collect();
    lab.say(&reports).await;
    let second = lab.second().await;
    for (place, id) in (0..).zip(jobs_of(&deliveries)) {
        let found = second.progress(id).await;
        assert_eq!(found.progress, Some(progress_at(place)));
        assert_eq!((found.version, found.state), (1, Some(JobState::Running)));
    }
}

/// Only the latest counts, and readers see that it is another one.
pub async fn a_later_progress_takes_the_place_of_an_earlier_one(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let mut versions = vec![0; batch];
    for done in [1, 2, 2, 1] {
        lab.say(&at(&deliveries, done)).await;
        for (version, id) in versions.iter_mut().zip(jobs_of(&deliveries)) {
            let found = lab.progress(id).await;
            assert_eq!(found.progress, Some(progress_at(done)));
            assert!(found.version > *version, "each report is a newer version");
            *version = found.version;
        }
    }
    lab.say(&[at(&deliveries, 7), at(&deliveries, 8)].concat()).await;
    for id in jobs_of(&deliveries) {
        assert_eq!(lab.progress(id).await.progress, Some(progress_at(8)), "of one batch");
    }
}

/// A line is not a step forward.
pub async fn a_report_without_progress_leaves_what_is_there(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&at(&deliveries, 1)).await;
    lab.say(&writing(&deliveries, "a line")).await;
    let silence: Vec<_> = deliveries.iter().map(silent).collect();
    lab.say(&silence).await;
    for id in jobs_of(&deliveries) {
        let found = lab.progress(id).await;
        assert_eq!((found.progress, found.version), (Some(progress_at(1)), 1));
    }
}

/// Most say nothing.
pub async fn of_a_job_that_said_nothing_only_the_state_is_told(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    for id in lab.stored(batch).await {
        assert_eq!(lab.said(&[id]).await, [Said::NOTHING]);
        assert_eq!(lab.progress(id).await.state, Some(JobState::Ready));
    }
    let unknown = JobId::new();
    assert_eq!(lab.said(&[unknown]).await, [Said::NOTHING]);
    assert_eq!(lab.progress(unknown).await.state, None);
}

/// Text and numbers are the task's.
pub async fn progress_and_lines_may_hold_anything(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let delivery = lab.leased(1).await.remove(0);
    let progress =
        Progress { done: u64::MAX, total: u64::MAX - 1, message: HOSTILE.concat().repeat(20) };
    let mut texts: Vec<_> = HOSTILE.iter().map(|text| (*text).to_owned()).collect();
    texts.extend([String::new(), "long ".repeat(50_000)]);
    let log = texts.iter().map(|text| line(text)).collect();
    let report = Report { progress: Some(progress.clone()), log, ..silent(&delivery) };
    lab.say(&[report]).await;
    assert_eq!(lab.progress(delivery.job).await.progress, Some(progress));
    let log = lab.log(delivery.job).await;
    assert_eq!(log.into_iter().map(|line| line.text).collect::<Vec<_>>(), texts);
}

/// A log reads from the top, over all attempts.
pub async fn lines_are_told_in_order_with_their_attempts(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let first = lab.leased(batch).await;
    let mut reports = writing(&first, "one");
    reports.iter_mut().for_each(|report| report.log.push(line("two")));
    lab.say(&[reports, writing(&first, "three")].concat()).await;
    lab.say(&writing(&first, "four")).await;
    lab.apply(&first, &retry(Duration::ZERO)).await;
    let second = lab.reserve_all(batch).await;
    lab.say(&writing(&second, "five")).await;
    lab.apply(&second, &Verdict::Release).await;
    lab.say(&writing(&lab.reserve_all(batch).await, "six")).await;
    for id in jobs_of(&first) {
        let lines = lab.log(id).await;
        let lines: Vec<_> = lines.iter().map(|line| (line.text.as_str(), line.attempt)).collect();
        let expected = [("one", 1), ("two", 1), ("three", 1), ("four", 1), ("five", 2), ("six", 2)];
        assert_eq!(lines, expected);
    }
}

/// When it was written, not when it was sent.
pub async fn a_line_is_as_old_as_the_task_says(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    let ages = [Duration::from_secs(90), Duration::from_secs(2), Duration::ZERO];
    let log = ages.map(|age| NewLine { age, text: String::new() }).to_vec();
    let reports: Vec<_> =
        deliveries.iter().map(|delivery| Report { log: log.clone(), ..silent(delivery) }).collect();
    let before = lab.clock().await;
    lab.say(&reports).await;
    let after = lab.clock().await;
    for id in jobs_of(&deliveries) {
        for (line, age) in lab.log(id).await.iter().zip(ages) {
            let sent = line.at.checked_add(age).unwrap();
            // A store may keep times in milliseconds.
            assert!(sent.duration_since(before) > SignedDuration::from_millis(-2));
            assert!(sent.duration_since(after) < SignedDuration::from_millis(2));
        }
    }
}

/// Its next delivery is the same job.
pub async fn what_was_said_stays_when_the_job_runs_again(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let first = lab.leased(batch).await;
    let ids = jobs_of(&first);
    lab.say(&all_at_once(&first, 0)).await;
    let said = lab.said(&ids).await;
    lab.apply(&first, &retry(Duration::ZERO)).await;
    assert_eq!(lab.said(&ids).await, said, "after a retry");
    let second = lab.reserve_all(batch).await;
    assert_eq!(lab.said(&ids).await, said, "in the next attempt");
    lab.apply(&second, &failed()).await;
    assert_eq!(lab.said(&ids).await, said, "after a failure");
    lab.replay(&ids).await;
    let third = lab.reserve_all(batch).await;
    assert_eq!(lab.said(&ids).await, said, "after a replay");
    lab.say(&at(&third, 9)).await;
    for (said, id) in said.iter().zip(ids) {
        assert!(lab.progress(id).await.version > said.version);
    }
}

/// It is kept with the outcome.
pub async fn what_was_said_is_kept_as_long_as_the_job(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let pruned = lab.leased(batch).await;
    let ids = jobs_of(&pruned);
    lab.say(&all_at_once(&pruned, 0)).await;
    let said = lab.said(&ids).await;
    lab.apply(&pruned, &done_with(b"1", lab.ticks(2))).await;
    lab.elapse(1).await;
    lab.maintain().await;
    assert_eq!(lab.said(&ids).await, said);
    lab.elapse(1).await;
    lab.maintain().await;
    assert_eq!(lab.said(&ids).await, vec![Said::NOTHING; batch], "pruned");
}

/// Nobody can ask for the rest.
pub async fn what_was_said_is_deleted_with_the_job(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    for verdict in [failed(), done(), Verdict::Release] {
        let deliveries = lab.leased(batch).await;
        let ids = jobs_of(&deliveries);
        lab.say(&all_at_once(&deliveries, 0)).await;
        lab.apply(&deliveries, &verdict).await;
        assert!(lab.said(&ids).await.iter().all(|said| said.log.len() == 1));
        lab.purge(&ids).await;
        assert_eq!(lab.said(&ids).await, vec![Said::NOTHING; batch], "after {verdict:?}");
    }
    let deliveries = lab.leased(batch).await;
    lab.say(&all_at_once(&deliveries, 0)).await;
    lab.apply(&deliveries, &done_keeping_nothing()).await;
    assert_eq!(lab.said(&jobs_of(&deliveries)).await, vec![Said::NOTHING; batch]);
}

/// A worker that was stalled has nothing to say to the readers of another.
pub async fn a_report_of_an_earlier_lease_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let stalled = lab.leased(batch).await;
    lab.say(&all_at_once(&stalled, 0)).await;
    lab.lose_leases().await;
    assert_stale(&lab, &stalled).await;
    let current = lab.reserve_all(batch).await;
    assert_stale(&lab, &stalled).await;
    lab.say(&all_at_once(&current, 0)).await;
    assert_stale(&lab, &stalled).await;
}

/// The end of a lease counts by itself, before any upkeep has run.
pub async fn a_report_with_an_expired_lease_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&all_at_once(&deliveries, 0)).await;
    lab.elapse(2).await;
    assert_stale(&lab, &deliveries).await;
}

/// Whatever the verdict was.
pub async fn a_report_after_the_verdict_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    for verdict in all_verdicts() {
        let deliveries = lab.leased(batch).await;
        lab.say(&all_at_once(&deliveries, 0)).await;
        lab.apply(&deliveries, &verdict).await;
        assert_stale(&lab, &deliveries).await;
        lab.purge_all().await;
    }
}

/// Cancelled is final, whatever the task still says.
pub async fn a_report_of_a_cancelled_job_is_stale_and_changes_nothing(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&all_at_once(&deliveries, 0)).await;
    lab.cancel(&jobs_of(&deliveries)).await;
    assert_stale(&lab, &deliveries).await;
}

/// A batch is many reports, not one.
pub async fn a_stale_report_does_not_touch_its_neighbours(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let stale = lab.leased(3).await;
    lab.lose_leases().await;
    lab.purge_all().await;
    let current = lab.leased(3).await;
    let mixed = [&stale[0], &current[0], &current[1], &stale[1], &current[2], &stale[2]];
    let answers = lab.report(&all_at_once(&mixed.map(Clone::clone), 0)).await;
    let (counts, late) = (Settled::Applied, Settled::Stale);
    assert_eq!(answers, [late, counts, counts, late, counts, late]);
    for (delivery, said) in current.iter().zip(lab.said(&jobs_of(&current)).await) {
        assert_eq!((said.progress, said.log.len()), (Some(progress_at(1)), 1));
        assert_eq!(said.items, payloads(delivery, 0..2));
    }
}

/// A receipt proves one lease of one job.
pub async fn a_receipt_does_not_report_for_another_job(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(2).await;
    let mut swapped = all_at_once(&deliveries, 0);
    swapped[0].job = deliveries[1].job;
    swapped[1].job = deliveries[0].job;
    assert_eq!(lab.report(&swapped).await, [Settled::Stale, Settled::Stale]);
    swapped[0].job = JobId::new();
    assert_eq!(lab.report(&swapped[..1]).await, [Settled::Stale]);
    assert_eq!(lab.said(&jobs_of(&deliveries)).await, [Said::NOTHING, Said::NOTHING]);
}

/// Bytes that prove nothing: no panic, no error, no effect.
pub async fn a_receipt_that_no_broker_made_reports_nothing(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let delivery = lab.leased(1).await.remove(0);
    let longer = [delivery.receipt.as_slice(), b"x"].concat();
    for bytes in [vec![], b"0".to_vec(), vec![0xff; 1000], b"'; --".to_vec(), longer] {
        let forged = Delivery { receipt: Receipt::new(bytes), ..delivery.clone() };
        assert_eq!(lab.report(&all_at_once(&[forged], 0)).await, [Settled::Stale]);
    }
    assert_eq!(lab.said(&[delivery.job]).await, [Said::NOTHING]);
}

/// Nothing in, nothing out.
pub async fn an_empty_batch_of_reports_answers_an_empty_list(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    assert!(lab.report(&[]).await.is_empty());
    let demand = soon("the answer", lab.reports().demand(&[], HOUR)).await.unwrap();
    assert!(demand.is_empty());
}

/// That is how a bar moves.
pub async fn a_waiting_progress_answers_when_there_is_a_newer_one(
    harness: &dyn Harness,
    batch: usize,
) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    let deliveries = lab.leased(batch).await;
    let last = deliveries[batch - 1].job;
    let mut seen = None;
    for done in 1..=3 {
        let mut waiting = second.reports().progress(last, seen, HOUR);
        assert_waits(&mut waiting).await;
        lab.say(&at(&deliveries, done)).await;
        let found = soon("the progress", waiting).await.unwrap();
        assert_eq!(found.progress, Some(progress_at(done)));
        assert!(found.version > seen.unwrap_or(0));
        seen = Some(found.version);
    }
}

/// It has nothing to wait for.
pub async fn progress_answers_at_once_if_there_is_a_newer_one(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(batch).await;
    lab.say(&at(&deliveries, 1)).await;
    let ids = jobs_of(&deliveries);
    let version = lab.progress(ids[0]).await.version;
    lab.say(&at(&deliveries, 2)).await;
    for id in ids {
        for seen in [None, Some(0), Some(version)] {
            let found = soon("the answer", lab.reports().progress(id, seen, HOUR)).await.unwrap();
            assert_eq!(found.progress, Some(progress_at(2)));
        }
    }
}

/// No more will come of these.
pub async fn progress_answers_at_once_if_the_job_is_final_or_unknown(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(2).await;
    lab.say(&at(&deliveries, 1)).await;
    lab.apply(&deliveries[..1], &done()).await;
    lab.apply(&deliveries[1..], &failed()).await;
    for (delivery, state) in deliveries.iter().zip([JobState::Done, JobState::Failed]) {
        let call = lab.reports().progress(delivery.job, Some(1_000), HOUR);
        let found = soon("the answer", call).await.unwrap();
        assert_eq!((found.progress, found.state), (Some(progress_at(1)), Some(state)));
    }
    let unknown = soon("the answer", lab.reports().progress(JobId::new(), None, HOUR)).await;
    assert_eq!(unknown.unwrap().state, None);
}

/// Whoever waits for more is told that there is none.
pub async fn a_waiting_progress_answers_when_the_job_ends(harness: &dyn Harness, batch: usize) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let second = lab.second().await;
    for verdict in [done(), failed(), done_keeping_nothing()] {
        let deliveries = lab.leased(batch).await;
        lab.say(&at(&deliveries, 1)).await;
        let last = deliveries[batch - 1].job;
        let mut waiting = second.reports().progress(last, Some(1), HOUR);
        assert_waits(&mut waiting).await;
        lab.apply(&deliveries, &verdict).await;
        let found = soon("the end of the job", waiting).await.unwrap();
        assert_eq!(found.state, lab.states(&[last]).await[0]);
    }
}

/// Bounded by the caller.
pub async fn progress_waits_no_longer_than_asked(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let deliveries = lab.leased(1).await;
    lab.say(&at(&deliveries, 1)).await;
    let (started, wait) = (Instant::now(), Duration::from_millis(50));
    let call = lab.reports().progress(deliveries[0].job, Some(1), wait);
    let found = soon("the end of the wait", call).await.unwrap();
    assert_eq!((found.version, found.state), (1, Some(JobState::Running)));
    assert!(started.elapsed() >= wait / 2, "it did not wait");
}

/// A program that ends does not sit it out.
pub async fn close_ends_a_progress_that_waits(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let job = lab.stored(1).await[0];
    let mut waiting = lab.reports().progress(job, None, HOUR);
    assert_waits(&mut waiting).await;
    lab.broker().close().await.unwrap();
    match soon("the answer", waiting).await {
        Ok(found) => assert_eq!(found.version, 0),
        Err(error) => assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}"),
    }
}

/// Like every other call.
pub async fn after_close_reports_answer_closed(harness: &dyn Harness) {
    let Some(lab) = Lab::with_reports(harness).await else { return };
    let delivery = lab.leased(1).await.remove(0);
    let job = delivery.job;
    lab.broker().close().await.unwrap();
    let reports = lab.reports();
    let errors = [
        reports.report(&[silent(&delivery)]).await.err(),
        reports.progress(job, None, HOUR).await.err(),
        reports.log(job).await.err(),
        reports.items(&all_of(job), HOUR).await.err(),
        reports.pull(job, 1).await.err(),
        reports.demand(&[(job, 0)], HOUR).await.err(),
    ];
    for error in errors {
        assert!(matches!(error, Some(BrokerError::Closed { .. })), "{error:?}");
    }
}

/// Checks that these deliveries cannot say anything, neither new nor again.
async fn assert_stale(lab: &Lab<'_>, deliveries: &[Delivery]) {
    let ids = jobs_of(deliveries);
    let said = lab.said(&ids).await;
    for reports in [
        at(deliveries, 99),
        writing(deliveries, "too late"),
        publishing(deliveries, 0..5),
        publishing(deliveries, 2..5),
        all_at_once(deliveries, 0),
        deliveries.iter().map(silent).collect(),
    ] {
        assert_eq!(lab.report(&reports).await, vec![Settled::Stale; ids.len()]);
        assert_eq!(lab.said(&ids).await, said);
    }
}
