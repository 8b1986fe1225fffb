//! The event stream of the whole system: marrow's log.

use std::time::{Duration, Instant};

use futures::{StreamExt, TryStreamExt};
use hereafter::broker::{Connection, Event, EventId, EventKind};
use hereafter::prelude::*;
use hereafter::{Followed, JobId};
use tasksystem::{World, on_each_broker};

#[register_task(name = "events::nothing")]
fn nothing() {}

fn event(followed: Followed) -> Event {
    match followed {
        Followed::Event(event) => event,
        Followed::Missed(count) => panic!("missed {count} events"),
    }
}

async fn delay(count: usize) -> Vec<JobId> {
    let mut jobs = Vec::with_capacity(count);
    for _ in 0..count {
        jobs.push(nothing().delay().await.unwrap().id());
    }
    jobs
}

fn jobs_of(events: &[Event]) -> Vec<JobId> {
    events.iter().map(|event| event.job).collect()
}

/// How many events the store keeps.
const KEPT: u32 = 10;

on_each_broker! {
    carried, alone;

    async fn marrow_12_a_store_that_keeps_no_events_is_an_error(world: World) {
        let open = world.client.connection().unwrap().clone();
        let client = Client::new(Connection { history: None, ..open });
        let error = client.events().next().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("events"), "{error}");
    }
}

on_each_broker! {
    carried;

    async fn marrow_9_the_first_one_is_followed(world: World) {
        let jobs = delay(1).await;
        let mut events = world.client.events().from_oldest();
        let first = event(events.next().await.unwrap().unwrap());
        assert_eq!((first.kind, first.job), (EventKind::Stored, jobs[0]));
        assert_eq!(first.task.as_deref(), Some("events::nothing"));
    }

    async fn marrow_10_a_follower_ends_when_nothing_has_happened_for_long(world: World) {
        let jobs = delay(3).await;
        let quiet = Duration::from_millis(300);
        let since = Instant::now();
        let events = world.client.events().from_oldest().until_quiet(quiet);
        let events: Vec<Event> = events.map_ok(event).try_collect().await.unwrap();
        assert!(since.elapsed() >= quiet);
        assert_eq!(jobs_of(&events), jobs);
    }

    async fn marrow_11_so_does_one_in_a_loop(world: World) {
        let jobs = delay(3).await;
        let mut events = world.client.events().from_oldest().until_quiet(Duration::from_millis(300));
        let mut seen = Vec::new();
        while let Some(followed) = events.next().await {
            seen.push(event(followed.unwrap()).job);
        }
        assert_eq!(seen, jobs);
    }

    async fn marrow_15_a_follower_that_is_dropped_ends_at_once(world: World) {
        delay(10).await;
        let events = world.client.events().from_oldest().until_quiet(Duration::from_secs(20));
        let seen: Vec<_> = events.take(7).try_collect().await.unwrap();
        assert_eq!(seen.len(), 7);
    }

    async fn every_step_of_a_job_is_an_event(world: World) {
        let jobs = delay(1).await;
        world.drain().await;
        let events = world.client.events().from_oldest().until_quiet(Duration::from_millis(100));
        let events: Vec<Event> = events.map_ok(event).try_collect().await.unwrap();
        let kinds: Vec<_> = events.iter().map(|event| event.kind).collect();
        assert_eq!(kinds, [EventKind::Stored, EventKind::Started, EventKind::Done]);
        assert_eq!(jobs_of(&events), [jobs[0]; 3]);
        assert!(events.is_sorted_by_key(|event| event.at));
    }
}

async fn kept(world: &World) -> usize {
    let events = world.client.events().from_oldest().until_quiet(Duration::from_millis(100));
    events.try_collect::<Vec<_>>().await.unwrap().len()
}

on_each_broker! {
    carried, keeping KEPT;

    // Follows while jobs are delayed one by one.
    async fn marrow_13_a_follower_sees_all_of_what_a_small_store_forgets(world: World) {
        let follower = tokio::spawn({
            let events = world.client.events().from_oldest().take(100);
            events.map_ok(event).try_collect::<Vec<Event>>()
        });
        let mut jobs = Vec::new();
        let mut own = world.client.events().from_oldest();
        for _ in 0..100 {
            jobs.extend(delay(1).await);
            // The other follower is not slower than this one by as much as the store keeps.
            own.next().await.unwrap().unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let seen = follower.await.unwrap().unwrap();
        assert_eq!(jobs_of(&seen), jobs);
        assert_eq!(kept(&world).await, KEPT as usize);
    }

    // One follower sees the first half, another one the rest.
    async fn marrow_14_a_follower_goes_on_where_another_one_stopped(world: World) {
        let mut jobs = Vec::new();
        let mut seen: Vec<Event> = Vec::new();
        let mut last = EventId::START;
        for half in [50, 50] {
            let mut events = world.client.events().after(last);
            for _ in 0..half {
                jobs.extend(delay(1).await);
                seen.push(event(events.next().await.unwrap().unwrap()));
            }
            last = seen.last().unwrap().id;
        }
        assert_eq!(jobs_of(&seen), jobs);
        assert_eq!(kept(&world).await, KEPT as usize);
    }

    async fn a_slow_follower_is_told_how_much_it_missed(world: World) {
        let jobs = delay(1).await;
        let mut events = world.client.events().from_oldest();
        let first = event(events.next().await.unwrap().unwrap());
        assert_eq!(first.job, jobs[0]);
        let jobs = delay(30).await;
        assert_eq!(events.next().await.unwrap().unwrap(), Followed::Missed(20));
        let rest: Vec<Event> = events.take(10).map_ok(event).try_collect().await.unwrap();
        assert_eq!(jobs_of(&rest), jobs[20..]);
    }
}
