//! Schedules of calls.

use std::time::Duration;

use hereafter::broker::{Found, Hold};
use hereafter::prelude::*;
use hereafter::worker::{WorkerBuilder, WorkerConfig};
use hereafter::{Missed, Mode};
use tasksystem::{World, on_each_broker};

use crate::{TEN, count, later, listed, schedules, task, ticks};

#[register_task]
fn name() -> String {
    "tick".to_owned()
}

#[register_task]
fn text(lines: usize) -> String {
    lines.to_string()
}

/// A worker that declares no schedule of its own.
fn worker(world: &World) -> WorkerBuilder {
    world.worker().tasks([task("count")])
}

async fn drain(world: &World) {
    world.drain_with(worker(world)).await;
}

on_each_broker! {
    async fn a_saved_call_runs_at_its_ticks_and_at_no_other_time(world: World) {
        let handle = count("tick").every(TEN).named("ten").save().await.unwrap();
        drain(&world).await;
        assert_eq!(world.journal.lines(), [""; 0]);
        for runs in 1..=3 {
            world.advance(TEN);
            drain(&world).await;
            assert_eq!(world.journal.lines().len(), runs);
        }
        let results = handle.runs().await.unwrap();
        for (number, run) in results.into_iter().enumerate() {
            assert_eq!(run.await.unwrap(), number + 1);
        }
    }

    async fn a_thousand_ticks_do_not_drift_and_each_runs_once_with_two_workers(world: World) {
        // The clock moves on by hours.
        let call = count("tick").keep_result(Duration::from_secs(24 * 60 * 60));
        let call = call.every(TEN).named("ten").missed(Missed::All);
        let handle = call.save().await.unwrap();
        let first = handle.next().await.unwrap().unwrap();
        // No lease ends while the clock is moved.
        let mut config = WorkerConfig::default();
        config.lease = Duration::from_secs(24 * 60 * 60);
        let workers = [(); 2].map(|()| world.start_with(worker(&world).config(config.clone())));
        for runs in 1..=1_000 {
            world.advance(TEN);
            world.journal.wait_for_lines(runs).await;
        }
        handle.cancel().await.unwrap();
        for worker in workers {
            worker.stop().await.unwrap();
        }
        drain(&world).await;
        // The clock goes on by itself as well, so there may be a few more.
        let record = handle.record().await.unwrap().unwrap();
        let span = record.last.unwrap().duration_since(first);
        assert_eq!(span.as_millis() % 10_000, 0, "the ticks drift");
        let runs = usize::try_from(span.as_secs() / 10).unwrap() + 1;
        assert!(runs >= 1_000);
        let jobs: Vec<_> = world.jobs().await.into_iter().map(|job| job.id).collect();
        assert!(jobs == ticks("ten", first, TEN, runs), "{} jobs of {runs} ticks", jobs.len());
        assert!(record.runs == jobs[runs - 100..]);
        assert_eq!(world.journal.lines().len(), runs);
    }

    async fn missed_ticks_run_once_or_each_or_not_at_all(world: World) {
        let minutes = Duration::from_secs(600);
        for (name, missed) in [("one", Missed::One), ("all", Missed::All), ("none", Missed::None)] {
            count(name).every(minutes).named(name).missed(missed).save().await.unwrap();
        }
        let runs = |name: &str| {
            world.journal.lines().into_iter().filter(|line| line == name).count()
        };
        world.advance(minutes * 3 + Duration::from_secs(300));
        drain(&world).await;
        assert_eq!((runs("one"), runs("all"), runs("none")), (1, 3, 0));
        world.advance(Duration::from_secs(300));
        drain(&world).await;
        assert_eq!((runs("one"), runs("all"), runs("none")), (2, 4, 1));
    }

    async fn a_schedule_starts_and_ends_when_it_is_told_to(world: World) {
        let now = schedules(&world).now().await.unwrap();
        let (start, end) = (later(now, TEN * 6), later(now, TEN * 8));
        let call = count("tick").every(TEN).starting(start).until(end);
        let handle = call.save().await.unwrap();
        assert_eq!(handle.next().await.unwrap(), Some(start));
        for _ in 0..12 {
            world.advance(TEN);
            drain(&world).await;
        }
        assert_eq!(world.journal.lines().len(), 2);
        assert_eq!(handle.next().await.unwrap(), None);
        assert_eq!(handle.ended().await.unwrap().len(), 2);
    }

    async fn a_cron_expression_ticks_in_its_zone(world: World) {
        let call = count("tick").cron("0 5 * * *").zone("Europe/Berlin").named("daily");
        let handle = call.save().await.unwrap();
        let next = handle.next().await.unwrap().unwrap();
        let local = next.in_tz("Europe/Berlin").unwrap();
        assert_eq!((local.hour(), local.minute(), local.second()), (5, 0, 0));
        let now = schedules(&world).now().await.unwrap();
        world.advance(next.duration_since(now).unsigned_abs());
        drain(&world).await;
        assert_eq!(world.journal.lines(), ["tick"]);
        let following = handle.next().await.unwrap().unwrap();
        assert!(following > next);
    }

    async fn saving_again_goes_on_with_new_arguments_or_starts_anew(world: World) {
        let handle = count("old").every(TEN).named("it").save().await.unwrap();
        let next = handle.next().await.unwrap();
        world.advance(TEN / 2);
        let again = count("new").queue("other").every(TEN).named("it").save().await.unwrap();
        assert_eq!(again.next().await.unwrap(), next);
        world.advance(TEN / 2);
        world.drain_with(worker(&world).serve(["other".parse().unwrap()])).await;
        assert_eq!(world.journal.lines(), ["new"]);

        count("newer").every(TEN * 2).named("it").save().await.unwrap();
        let now = schedules(&world).now().await.unwrap();
        assert!(handle.next().await.unwrap().unwrap() > later(now, TEN));
        assert_eq!(listed(&world).await.len(), 1);
    }

    async fn the_same_call_has_the_same_name_and_another_one_another(world: World) {
        let name = async |text: &str| {
            count(text).every(TEN).save().await.unwrap().name().to_owned()
        };
        assert_eq!(name("a").await, name("a").await);
        assert_ne!(name("a").await, name("b").await);
        assert_eq!(listed(&world).await.len(), 2);
    }

    async fn a_paused_schedule_waits_and_makes_up_for_nothing(world: World) {
        let handle = count("tick").every(TEN).missed(Missed::All).save().await.unwrap();
        let first = handle.next().await.unwrap().unwrap();
        assert_eq!(handle.pause().await.unwrap(), Found::Known);
        world.advance(TEN * 3);
        drain(&world).await;
        assert_eq!(handle.record().await.unwrap().unwrap().hold, Hold::Paused);
        assert_eq!(world.journal.lines(), [""; 0]);

        let run = handle.run().await.unwrap().unwrap();
        drain(&world).await;
        assert_eq!(run.await.unwrap(), 1, "by hand it runs all the same");

        assert_eq!(handle.resume().await.unwrap(), Found::Known);
        drain(&world).await;
        assert_eq!(world.journal.lines().len(), 1);
        assert_eq!(handle.next().await.unwrap(), Some(later(first, TEN * 3)));
        world.advance(TEN);
        drain(&world).await;
        assert_eq!(world.journal.lines().len(), 2);
    }

    async fn a_deleted_schedule_is_unknown_to_its_handle(world: World) {
        let handle = count("tick").every(TEN).save().await.unwrap();
        assert_eq!(handle.delete().await.unwrap(), Found::Known);
        assert_eq!(handle.delete().await.unwrap(), Found::Unknown);
        assert_eq!(handle.pause().await.unwrap(), Found::Unknown);
        assert_eq!(handle.resume().await.unwrap(), Found::Unknown);
        assert_eq!(handle.cancel().await.unwrap(), Found::Unknown);
        assert!(handle.record().await.unwrap().is_none());
        assert!(handle.run().await.unwrap().is_none());
        assert!(handle.runs().await.unwrap().is_empty());
        world.advance(TEN);
        drain(&world).await;
        assert_eq!(world.journal.lines(), [""; 0]);
    }

    async fn a_running_worker_notices_a_new_schedule(world: World) {
        let worker = world.start_with(worker(&world));
        let handle = count("tick").every(Duration::from_millis(50)).save().await.unwrap();
        world.journal.wait_for("tick").await;
        handle.cancel().await.unwrap();
        worker.stop().await.unwrap();
    }

    async fn what_cannot_be_meant_is_refused_with_what_to_write(world: World) {
        let now = schedules(&world).now().await.unwrap();
        let call = || count("tick");
        for (schedule, expected) in [
            (call().cron("61 * * * *"), "`61 * * * *` is not a cron expression: "),
            (call().cron("0 5 * * *").zone("Mars/Olympus"), "there is no time zone `Mars/Olympus`"),
            (call().cron("0 0 30 2 *"), "`0 0 30 2 *` never ticks from now on"),
            (call().every(TEN).until(now), "`every 10s` never ticks from now on"),
            (call().every(TEN).zone("UTC"), "a time zone is of no use to an interval"),
            (call().every(Duration::ZERO), "an interval is at least 1ms long"),
            (call().every(TEN).named(""), "a schedule has a name of 1 to 255 bytes"),
            (call().queue("a b").every(TEN), "`a b` is not a queue name"),
            (count(name()).every(TEN), "a scheduled call takes values"),
            (call().then(|lines| count(text(lines))).every(TEN), "a scheduled call has no follow-ups"),
        ] {
            let error = schedule.save().await.unwrap_err().to_string();
            let expected = format!("cannot delay task `count`: {expected}");
            assert!(error.starts_with(&expected), "{error}");
        }
        assert!(listed(&world).await.is_empty());
    }

    async fn a_disabled_client_stores_no_schedule(world: World) {
        let connection = world.client.connection().unwrap().clone();
        let disabled = Client::builder(connection).mode(Mode::Disabled).build();
        let handle = count("tick").every(TEN).save_on(&disabled).await.unwrap();
        assert!(listed(&world).await.is_empty());
        let error = handle.next().await.unwrap_err().to_string();
        assert_eq!(error, "disabled does not support schedules");
    }
}
