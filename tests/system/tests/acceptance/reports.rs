//! What running jobs say: progress, messages, logs, and the timelines of their lives.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use hereafter::broker::{AttemptEnd, EventKind, JobState, Progress};
use hereafter::prelude::*;
use tasksystem::{Journal, on_each_broker};

/// Says `[10]`, and returns once the test has written `go`.
#[register_task(name = "reports::status")]
async fn status(cx: Context, State(journal): State<Journal>) -> u64 {
    cx.message("[10]");
    journal.wait_for("go").await;
    84
}

/// Says a lot in a tight loop.
#[register_task(name = "reports::busy")]
fn busy(cx: Context, steps: u64) {
    for step in 1..=steps {
        cx.progress(step, steps);
        cx.message(format!("step {step}"));
    }
}

#[register_task(name = "reports::chatty")]
fn chatty(cx: Context, lines: u32) {
    (0..lines).for_each(|n| cx.log(format!("line {n}")));
}

#[register_task(name = "reports::flaky", retries = 1, backoff = "fixed(10s)")]
fn flaky(cx: Context) -> Result<u32, String> {
    cx.log(format!("attempt {}", cx.attempt()));
    if cx.attempt() == 1 { Err("not yet".to_owned()) } else { Ok(cx.attempt()) }
}

on_each_broker! {
    carried;

    async fn worq_50_a_running_job_publishes_a_status_of_its_own(world: World) {
        let worker = world.start();
        let handle = status().delay().await.unwrap();
        let mut progress = handle.progress();
        let said = progress.next().await.unwrap().unwrap();
        assert_eq!(said.message, "[10]");
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Running));
        world.journal.write("go");
        assert_eq!(handle.wait(Duration::from_secs(60)).await.unwrap(), 84);
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Done));
        assert!(progress.next().await.is_none(), "it ends with the job");
        worker.stop().await.unwrap();
    }

    async fn the_last_progress_is_kept_and_those_in_a_loop_are_not_all_written(world: World) {
        const STEPS: u64 = 100_000;
        let handle = busy(STEPS).delay().await.unwrap();
        let reader = tokio::spawn(handle.progress().try_collect::<Vec<_>>());
        world.drain().await;
        let seen = reader.await.unwrap().unwrap();
        let last = Progress { done: STEPS, total: STEPS, message: format!("step {STEPS}") };
        assert_eq!(last.fraction(), Some(1.0));
        assert_eq!(seen.last(), Some(&last));
        assert!(seen.len() < 100, "{} of {STEPS} were written", seen.len());
    }

    async fn a_log_keeps_a_thousand_lines_and_says_how_many_more_there_were(world: World) {
        let handle = chatty(1_500).delay().await.unwrap();
        world.drain().await;
        let log = handle.log().await.unwrap();
        assert_eq!(log.len(), 1_001);
        assert_eq!(log[0].text, "line 0");
        assert_eq!(log[999].text, "line 999");
        assert_eq!(log[1_000].text, "500 more lines were not kept");
    }

    async fn a_timeline_tells_each_attempt_with_its_error(world: World) {
        let handle = flaky().delay().await.unwrap();
        world.drain().await;
        world.advance(Duration::from_secs(12));
        world.drain().await;
        assert_eq!(handle.clone().await.unwrap(), 2);
        let timeline = handle.timeline().await.unwrap().unwrap();
        assert_eq!((timeline.job, timeline.state), (handle.id(), JobState::Done));
        let [first, second] = &timeline.attempts[..] else { panic!("{timeline:?}") };
        assert_eq!((first.attempt, first.end), (1, Some(AttemptEnd::Failed)));
        assert_eq!(first.failure.as_ref().unwrap().message, "not yet");
        assert_eq!((second.attempt, second.end), (2, Some(AttemptEnd::Done)));
        assert!(second.started_at.duration_since(first.started_at).as_secs() >= 10);
        assert_eq!(timeline.finished_at, second.ended_at);
        assert!(timeline.took().unwrap().as_secs() >= 10);
        assert!(timeline.ran() < timeline.took().unwrap());
        let log = handle.log().await.unwrap();
        let lines: Vec<_> = log.iter().map(|line| (line.attempt, line.text.as_str())).collect();
        assert_eq!(lines, [(1, "attempt 1"), (2, "attempt 2")]);
    }

    async fn sums_of_a_task_need_no_rows(world: World) {
        let jobs = chatty(1).ignore_result();
        drop(jobs);
        for _ in 0..3 {
            chatty(1).ignore_result().delay().await.unwrap();
        }
        flaky().delay().await.unwrap();
        world.drain().await;
        let stats = world.client.stats().await.unwrap();
        let [chatty, flaky] = &stats[..] else { panic!("{stats:?}") };
        assert_eq!((chatty.task.as_str(), chatty.stored, chatty.done), ("reports::chatty", 3, 3));
        assert_eq!((flaky.stored, flaky.done, flaky.retried, flaky.runs), (1, 0, 1, 1));
        assert!(chatty.longest_run <= chatty.run_time);
        let known = world.jobs().await;
        assert_eq!(known.len(), 1, "nothing else is kept of the others");
    }

    async fn what_a_cancelled_job_says_changes_nothing(world: World) {
        let worker = world.start();
        let handle = status().delay().await.unwrap();
        world.until(EventKind::Started, handle.id()).await;
        handle.cancel().await.unwrap();
        world.until(EventKind::Cancelled, handle.id()).await;
        let last = handle.progress().collect::<Vec<_>>().await;
        assert!(last.len() <= 1, "{last:?}");
        world.journal.write("go");
        worker.stop().await.unwrap();
        assert_eq!(handle.state().await.unwrap(), Some(JobState::Cancelled));
    }
}
