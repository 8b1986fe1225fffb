//! Schedules that worker processes share, and that outlive them.

use std::time::{Duration, Instant};

use hereafter::Missed;
use hereafter::broker::JobFilter;
use tasksystem::on_each_store;
use tasksystem::tasks::no_op;

use crate::ticks;

const PROGRAM: &str = env!("CARGO_BIN_EXE_tasksystem");

/// How long anything may take before the test fails instead of hanging.
const LIMIT: Duration = Duration::from_secs(60);

on_each_store! {
    async fn each_tick_is_one_job_though_workers_are_killed_between_and_none_is_there_for_a_while(
        store: Store,
    ) {
        let client = store.client().await;
        let interval = Duration::from_millis(50);
        let call = no_op(7, "tick".to_owned()).every(interval).named("fast").missed(Missed::All);
        let handle = call.save_on(&client).await.unwrap();
        let first = handle.next().await.unwrap().unwrap();
        let operate = client.connection().unwrap().operate.clone().unwrap();
        let until = async |count: usize| {
            let give_up = Instant::now() + LIMIT;
            while operate.jobs(&JobFilter::default()).await.unwrap().len() < count {
                assert!(Instant::now() < give_up, "waited in vain for {count} jobs");
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let args = ["run", "--lease", "1s"];
        let (one, two) = (store.start(PROGRAM, &args), store.start(PROGRAM, &args));
        until(20).await;
        one.kill();
        until(40).await;
        two.kill();
        // Nobody is there, and ticks are missed.
        let so_far = operate.jobs(&JobFilter::default()).await.unwrap().len();
        let _three = store.start(PROGRAM, &args);
        until(so_far + 20).await;
        handle.cancel().await.unwrap();

        let last = handle.record().await.unwrap().unwrap().last.unwrap();
        let span = last.duration_since(first).as_millis();
        assert_eq!(span % 50, 0);
        let mut jobs: Vec<_> = operate.jobs(&JobFilter::default()).await.unwrap();
        jobs.sort_by_key(|job| job.id);
        let ids: Vec<_> = jobs.iter().map(|job| job.id).collect();
        assert_eq!(ids, ticks("fast", first, interval, usize::try_from(span / 50).unwrap() + 1));
        for run in handle.runs().await.unwrap() {
            assert_eq!(tokio::time::timeout(LIMIT, run).await.unwrap().unwrap(), 7);
        }
    }
}
