//! AKIMBO: several workers, one client.

use std::num::NonZeroU32;
use std::path::Path;
use std::time::{Duration, Instant};

use futures::future::try_join_all;
use hereafter::broker::JobState;
use hereafter::prelude::*;
use hereafter::worker::WorkerConfig;
use taskservers::{MariaDb, Postgres};
use tasksystem::tasks::{no_op, sleep_and_note};
use tasksystem::{Journal, Store, on_each_broker, on_each_store};

use crate::PROGRAM;

/// Stays for a while, so that another job would come in between if it could.
#[register_task(name = "akimbo.come_and_go")]
async fn come_and_go(State(journal): State<Journal>) {
    journal.write("come");
    for _ in 0..50 {
        tokio::task::yield_now().await;
    }
    journal.write("go");
}

#[register_task(name = "akimbo.nothing")]
async fn nothing() {}

on_each_broker! {
    carried, alone;

    // AKIMBO-3: without a clock: with one slot, no job starts before the one before it has
    // ended.
    async fn akimbo_3_a_worker_with_one_slot_runs_one_job_after_the_other(world: World) {
        let mut config = WorkerConfig::default();
        config.concurrency = NonZeroU32::MIN;
        world.client.delay_all((0..20).map(|_| come_and_go())).await.unwrap();
        world.drain_with(world.worker().config(config)).await;
        assert_eq!(world.journal.lines(), ["come", "go"].repeat(20));
    }

    async fn akimbo_6_a_job_that_returns_nothing_has_succeeded(world: World) {
        let job = nothing().delay().await.unwrap();
        let ended = world.drain().await;
        assert_eq!((ended.done, ended.retried, ended.failed), (1, 0, 0));
        assert_eq!(job.state().await, Ok(Some(JobState::Done)));
        assert_eq!(job.await, Ok(()));
    }
}

// AKIMBO-5: a broker without connections has none to lose, so not on memory. A connection to a file
// is a descriptor.
#[tokio::test(flavor = "multi_thread")]
async fn akimbo_5_ten_thousand_calls_share_one_connection_on_sqlite() {
    let store = Store::sqlite();
    let client = store.client().await;
    delay_many(&client, 100).await;
    let before = descriptors(&store.file(""));
    assert!(before > 0, "the store has its file open");
    for _ in 0..10 {
        delay_many(&client, 1_000).await;
    }
    assert_eq!(descriptors(&store.file("")), before);
}

// A connection to a server is a session there. A server of its own tells whose they are.
#[tokio::test(flavor = "multi_thread")]
async fn akimbo_5_ten_thousand_calls_share_few_connections_on_postgres() {
    let server = Postgres::start_with(&[("fsync", "off")]);
    let client = Client::open(server.url()).await.unwrap();
    for _ in 0..10 {
        delay_many(&client, 1_000).await;
    }
    let ours = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'hereafter'";
    let sessions: u32 = server.psql(ours).trim().parse().unwrap();
    // One listens, two write and four read, when all are needed.
    assert!((1..=7).contains(&sessions), "{sessions} sessions");
}

#[tokio::test(flavor = "multi_thread")]
async fn akimbo_5_ten_thousand_calls_share_few_connections_on_mysql() {
    let server = MariaDb::start();
    let client = Client::open(&server.url()).await.unwrap();
    for _ in 0..10 {
        delay_many(&client, 1_000).await;
    }
    let others = "SELECT count(*) - 1 FROM information_schema.processlist WHERE user = 'root'";
    let sessions: u32 = server.sql(others).lines().last().unwrap().trim().parse().unwrap();
    // Two write and four read, when all are needed.
    assert!((1..=6).contains(&sessions), "{sessions} sessions");
}

/// Each call on its own, many at the same time.
async fn delay_many(client: &Client, calls: u64) {
    let delays = (0..calls).map(|id| no_op(id, "one of many").delay_on(client));
    try_join_all(delays).await.unwrap();
}

/// How many descriptors of this process are files in this folder.
fn descriptors(folder: &Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap();
    // One that was closed meanwhile has no target.
    let targets = open.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    targets.filter(|target| target.starts_with(folder)).count()
}

on_each_store! {
    carried, alone;

    // AKIMBO-7: two processes and real time.
    async fn akimbo_7_several_worker_processes_honour_a_delay(store: Store) {
        let (client, ledger) = (store.client().await, store.file("ledger"));
        let _workers = [(); 2].map(|()| store.start(PROGRAM, &["run"]));
        // So that both are idle and would take the next job at once.
        sleep_and_note(&ledger, 1, 0).delay_on(&client).await.unwrap().await.unwrap();
        let wait = Duration::from_millis(700);
        let delayed = sleep_and_note(&ledger, 2, 0);
        let stored = Instant::now();
        let job = client.scope(delayed.call_after(wait)).await.unwrap();
        assert_eq!(job.await, Ok(2));
        let waited = stored.elapsed();
        assert!(waited >= wait, "it started after {waited:?}");
    }
}
