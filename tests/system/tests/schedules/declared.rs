//! Schedules that tasks declare.

use std::time::Duration;

use hereafter::broker::{Connection, Hold, Origin, ScheduleRecord};
use hereafter::schedule::{Declaration, DeclaredTicks, Standing, standing};
use hereafter::worker::{Shutdown, Worker, WorkerBuilder};
use hereafter::{Client, Missed, Registry, TaskDescriptor, error_chain};
use jiff::tz::TimeZone;
use tasksystem::{World, on_each_broker};

use crate::{later, listed, schedules, task};

/// The task with another declaration, as another version of the program has it.
fn redeclared(name: &str, schedule: Option<Declaration>) -> &'static TaskDescriptor {
    Box::leak(Box::new(TaskDescriptor { schedule, ..*task(name) }))
}

fn every(interval: Duration) -> Declaration {
    Declaration { ticks: DeclaredTicks::Every(interval), missed: Missed::One }
}

/// A worker that runs this task alone.
fn worker_of(world: &World, task: &'static TaskDescriptor) -> WorkerBuilder {
    world.worker().tasks([task])
}

async fn only(world: &World) -> ScheduleRecord {
    let mut listed = listed(world).await;
    assert_eq!(listed.len(), 1);
    listed.remove(0)
}

const MINUTES: Duration = Duration::from_secs(600);

on_each_broker! {
    async fn a_declared_task_runs_at_its_time_with_the_options_of_the_task(world: World) {
        world.drain_with(worker_of(&world, task("nightly"))).await;
        let record = only(&world).await;
        assert_eq!((record.name.as_str(), record.origin), ("nightly", Origin::Declared));
        assert_eq!(record.template.queue.as_str(), "night");
        assert_eq!(record.template.priority.value(), 2);
        let next = record.next.unwrap();
        let local = next.to_zoned(TimeZone::get("Europe/Berlin").unwrap());
        assert_eq!((local.hour(), local.minute(), local.second()), (5, 0, 0));

        let now = schedules(&world).now().await.unwrap();
        world.advance(next.duration_since(now).unsigned_abs());
        world.drain_with(worker_of(&world, task("nightly"))).await;
        assert_eq!(world.journal.lines(), ["nightly 0 None"]);
    }

    async fn a_worker_that_starts_again_changes_nothing(world: World) {
        world.drain_with(worker_of(&world, task("often"))).await;
        let before = only(&world).await;
        assert_eq!(before.template.expires_in, Some(Duration::from_secs(3_600)));
        world.advance(MINUTES / 2);
        schedules(&world).hold(&["often".to_owned()], Hold::Paused).await.unwrap();
        world.drain_with(worker_of(&world, task("often"))).await;
        let after = only(&world).await;
        assert_eq!((after.next, after.created_at), (before.next, before.created_at));
        assert_eq!(after.hold, Hold::Paused);
    }

    async fn missed_ticks_of_a_declared_task_are_made_up_for_as_it_says(world: World) {
        world.drain_with(worker_of(&world, task("often"))).await;
        world.advance(MINUTES * 3);
        world.drain_with(worker_of(&world, task("often"))).await;
        assert_eq!(world.journal.lines(), ["often"; 3]);
    }

    async fn a_changed_declaration_updates_what_is_stored(world: World) {
        world.drain_with(worker_of(&world, task("often"))).await;
        let before = only(&world).await;
        let changed = redeclared("often", Some(every(MINUTES * 2)));
        world.drain_with(worker_of(&world, changed)).await;
        let after = only(&world).await;
        assert_ne!(after.spec, before.spec);
        assert!(after.next.unwrap() >= later(before.next.unwrap(), MINUTES));
        assert_eq!(after.created_at, before.created_at);
    }

    async fn a_removed_declaration_is_told_from_one_that_another_program_has(world: World) {
        world.drain_with(worker_of(&world, task("often"))).await;
        let removed = redeclared("often", None);
        world.drain_with(worker_of(&world, removed)).await;
        let record = only(&world).await;
        assert_eq!(standing(&record, &Registry::new([task("often")])), Standing::Sound);
        assert_eq!(standing(&record, &Registry::new([removed])), Standing::Removed);
        assert_eq!(standing(&record, &Registry::new([task("count")])), Standing::Unlinked);
        let renamed = TaskDescriptor { name: "oft", aliases: &["often"], ..*task("often") };
        let renamed: &'static _ = Box::leak(Box::new(renamed));
        assert_eq!(standing(&record, &Registry::new([renamed])), Standing::Removed);
    }

    async fn of_two_workers_that_start_together_none_starts_the_schedule_anew(world: World) {
        let workers = [(); 4].map(|()| world.start_with(worker_of(&world, task("often"))));
        for worker in workers {
            worker.stop().await.unwrap();
        }
        world.drain_with(worker_of(&world, task("often"))).await;
        let first = only(&world).await.next.unwrap();
        world.advance(MINUTES);
        world.drain_with(worker_of(&world, task("often"))).await;
        assert_eq!(only(&world).await.last, Some(first));
        assert_eq!(world.journal.lines(), ["often"]);
    }

    async fn a_zone_that_nobody_knows_keeps_the_worker_from_starting(world: World) {
        let ticks = DeclaredTicks::Cron { expression: "0 5 * * *", zone: Some("Mars/Olympus") };
        let wrong = redeclared("often", Some(Declaration { ticks, missed: Missed::One }));
        let worker = worker_of(&world, wrong).build();
        let error = error_chain(&worker.run(&Shutdown::new()).await.unwrap_err());
        let place = format!("{}:{}", wrong.file, wrong.line);
        let expected =
            format!("cannot schedule task `often` ({place}): there is no time zone `Mars/Olympus`");
        assert!(error.starts_with(&expected), "{error}");
    }

    async fn a_store_without_schedules_refuses_a_task_that_declares_one(world: World) {
        let open = world.client.connection().unwrap().clone();
        let client = Client::new(Connection { schedules: None, ..open });
        let worker = Worker::builder(client).provide(world.journal.clone()).without_hooks();
        let refused = worker.tasks([task("often")]).build().run(&Shutdown::new()).await;
        let error = error_chain(&refused.unwrap_err());
        assert!(error.ends_with("does not support schedules"), "{error}");
    }
}
