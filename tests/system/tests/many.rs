//! Ten thousand handles: whoever waits for them asks the store for many at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures::StreamExt;
use futures::future::{join_all, select_all};
use hereafter::broker::{BrokerError, Connection, Cursor, Finished, JobState, Lookup, ResultStore};
use hereafter::prelude::*;
use hereafter::worker::QueueConfig;
use hereafter::{JobId, QueueName, as_completed, map, map_within};
use tasksystem::{World, on_each_broker};
use tokio::sync::Semaphore;

/// Handles in one test, and what a database stores in one step.
const JOBS: u64 = 10_000;

/// The ids that are looked up at once.
const CHUNK: u64 = 1_000;

/// The look-ups that it takes to see every job once.
const ALL: u64 = JOBS / CHUNK;

#[register_task(name = "many.number")]
async fn number(number: u64) -> u64 {
    number
}

/// A store that counts what it is asked.
#[derive(Debug)]
struct Counted {
    store: Arc<dyn ResultStore>,
    look_ups: AtomicU64,
    /// Ids in all look-ups.
    ids: AtomicU64,
    questions: AtomicU64,
    /// One permit for each question that is let through.
    gate: Semaphore,
    since: Instant,
}

#[async_trait]
impl ResultStore for Counted {
    async fn outcomes(&self, ids: &[JobId]) -> Result<Vec<Lookup>, BrokerError> {
        self.look_ups.fetch_add(1, Ordering::SeqCst);
        self.ids.fetch_add(ids.len() as u64, Ordering::SeqCst);
        self.store.outcomes(ids).await
    }

    async fn finished(
        &self,
        after: Option<Cursor>,
        wait: Duration,
    ) -> Result<Finished, BrokerError> {
        self.questions.fetch_add(1, Ordering::SeqCst);
        self.gate.acquire().await.expect("it is never closed").forget();
        self.store.finished(after, wait).await
    }
}

impl Counted {
    /// A client of the world's store that counts what its handles ask. Its questions for ended
    /// jobs wait until they are [let through](Self::let_through).
    fn client(world: &World) -> (Client, Arc<Self>) {
        let open = world.client.connection().expect("a world is connected").clone();
        let counted = Arc::new(Self {
            store: open.results.clone().expect("each broker keeps results"),
            look_ups: AtomicU64::new(0),
            ids: AtomicU64::new(0),
            questions: AtomicU64::new(0),
            gate: Semaphore::new(0),
            since: Instant::now(),
        });
        let results: Option<Arc<dyn ResultStore>> = Some(counted.clone());
        (Client::new(Connection { results, ..open }), counted)
    }

    fn let_through(&self, questions: usize) {
        self.gate.add_permits(questions);
    }

    fn let_all_through(&self) {
        self.let_through(Semaphore::MAX_PERMITS / 2);
    }

    fn look_ups(&self) -> u64 {
        self.look_ups.load(Ordering::SeqCst)
    }

    /// Look-ups of every job that a slow machine adds: one each five seconds.
    fn rechecks(&self) -> u64 {
        self.since.elapsed().as_secs() / 5
    }

    /// Asserts that all jobs were looked up when they were first waited for and when they ended,
    /// a question and its answer at a time.
    fn assert_batched(&self) {
        let questions = self.questions.load(Ordering::SeqCst);
        let most = ALL * (2 + self.rechecks()) + questions;
        assert!(self.look_ups() <= most, "{} look-ups, {questions} questions", self.look_ups());
        let (ids, most) = (self.ids.load(Ordering::SeqCst), JOBS * (2 + self.rechecks()));
        assert!(ids <= most, "{ids} ids were looked up");
    }
}

on_each_broker! {
    async fn jobs_that_have_ended_are_read_a_thousand_at_a_time(world: World) {
        let (client, store) = Counted::client(&world);
        let jobs = client.delay_all((0..JOBS).map(number)).await.unwrap();
        world.drain().await;
        let mut waiting = join_all(jobs);
        assert!(futures::poll!(&mut waiting).is_pending());
        store.let_all_through();
        let answers: Result<Vec<_>, _> = waiting.await.into_iter().collect();
        assert_eq!(answers, Ok((0..JOBS).collect()));
        assert_eq!(store.look_ups(), ALL);
    }

    async fn one_wake_up_for_many_ends_is_one_read_of_many(world: World) {
        let (client, store) = Counted::client(&world);
        let jobs = client.delay_all((0..JOBS).map(number)).await.unwrap();
        let mut waiting = join_all(jobs);
        assert!(futures::poll!(&mut waiting).is_pending());
        // The first question asks for the position of now; then all jobs are looked at.
        store.let_through(1);
        let waiting = tokio::spawn(waiting);
        assert_eq!(world.drain().await.done, JOBS);
        store.let_all_through();
        let answers: Result<Vec<_>, _> = waiting.await.unwrap().into_iter().collect();
        assert_eq!(answers, Ok((0..JOBS).collect()));
        assert!(store.look_ups() <= ALL * (2 + store.rechecks()), "{}", store.look_ups());
    }

    async fn as_completed_yields_each_of_many_handles_once(world: World) {
        let (client, store) = Counted::client(&world);
        let jobs = client.delay_all((0..JOBS).map(number)).await.unwrap();
        let mut answers = as_completed(jobs.clone());
        assert!(futures::poll!(answers.next()).is_pending());
        store.let_all_through();
        let running = world.start();
        let mut seen = BTreeSet::new();
        while let Some((job, answer)) = answers.next().await {
            assert_eq!(jobs[answer.unwrap() as usize].id(), job.id());
            assert!(seen.insert(job.id()));
        }
        assert_eq!(seen.len() as u64, JOBS);
        store.assert_batched();
        running.stop().await.unwrap();
    }

    async fn a_map_of_many_handles_keeps_their_order(world: World) {
        let (client, store) = Counted::client(&world);
        let jobs = client.delay_all((0..JOBS).map(number)).await.unwrap();
        // The other way round than they run.
        let mut answers = map(jobs.into_iter().rev());
        assert!(futures::poll!(answers.next()).is_pending());
        store.let_all_through();
        let running = world.start();
        for expected in (0..JOBS).rev() {
            assert_eq!(answers.next().await, Some(Ok(expected)));
        }
        assert_eq!(answers.next().await, None);
        store.assert_batched();
        running.stop().await.unwrap();
    }

    async fn a_map_within_a_time_cancels_the_rest_of_many(world: World) {
        let (client, store) = Counted::client(&world);
        store.let_all_through();
        let mut jobs = client.delay_all((0..JOBS / 2).map(number)).await.unwrap();
        world.drain().await;
        let late = (0..JOBS / 2).map(|late| number(late).queue("unserved"));
        jobs.extend(client.delay_all(late).await.unwrap());
        let limit = Duration::from_millis(500);
        let answers: Vec<_> = map_within(jobs.clone(), limit).collect().await;
        // Handles join in one by one while others are looked up; each look-up is one of many.
        assert!(store.look_ups() <= JOBS / 10, "{} look-ups", store.look_ups());
        let (ended, late) = jobs.split_at(jobs.len() / 2);
        for (number, answer) in answers[..ended.len()].iter().enumerate() {
            assert_eq!(*answer, Ok(number as u64));
        }
        for (job, answer) in late.iter().zip(&answers[ended.len()..]) {
            assert_eq!(*answer, Err(JobError::NotYet { job: job.id(), waited: limit }));
        }
        assert_eq!(answers.len(), jobs.len());
        let stored = world.jobs().await;
        let cancelled = stored.iter().filter(|job| job.state == JobState::Cancelled).count();
        assert_eq!(cancelled, late.len());
    }

    async fn a_select_over_many_handles_yields_the_one_that_ended(world: World) {
        let (client, store) = Counted::client(&world);
        let calls = (0..JOBS).map(|id| match id {
            7_000 => number(id),
            _ => number(id).queue("unserved"),
        });
        let jobs = client.delay_all(calls).await.unwrap();
        let mut selecting = select_all(jobs);
        assert!(futures::poll!(&mut selecting).is_pending());
        store.let_all_through();
        let running = world.start_with(world.worker().serve([QueueConfig::new(QueueName::DEFAULT)]));
        let (answer, place, others) = selecting.await;
        assert_eq!((answer, place, others.len() as u64), (Ok(7_000), 7_000, JOBS - 1));
        store.assert_batched();
        running.stop().await.unwrap();
    }
}
