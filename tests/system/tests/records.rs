//! Records as arguments, through stores and workers.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hereafter::broker::{JobFilter, JobState};
use hereafter::prelude::*;
use hereafter::worker::{WorkerBuilder, WorkerError};
use hereafter::{FailureKind, error_chain};
use tasksystem::{World, on_each_broker};

#[derive(Debug, Clone, PartialEq)]
struct Account {
    number: u32,
    owner: String,
}

/// The application's database.
#[derive(Clone, Default)]
struct Accounts(Arc<Mutex<HashMap<u32, String>>>);

/// What its connection says today.
#[derive(Debug, thiserror::Error)]
#[error("cannot ask for account {number}")]
struct Down {
    number: u32,
    source: std::io::Error,
}

impl Accounts {
    fn set(&self, number: u32, owner: &str) {
        self.0.lock().unwrap().insert(number, owner.to_owned());
    }

    fn delete(&self, number: u32) {
        self.0.lock().unwrap().remove(&number);
    }
}

/// Its load fails.
const FAILS: u32 = 500;
/// Its load panics.
const PANICS: u32 = 501;
/// Its load does not end.
const HANGS: u32 = 502;

impl Record for Account {
    type Key = u32;
    type From = Accounts;
    type Error = Down;

    fn key(&self) -> u32 {
        self.number
    }

    async fn load(number: u32, accounts: Accounts) -> Result<Option<Self>, Down> {
        tokio::task::yield_now().await;
        let owner = accounts.0.lock().unwrap().get(&number).cloned();
        match (owner, number) {
            (Some(owner), number) => Ok(Some(Self { number, owner })),
            (None, FAILS) => Err(Down { number, source: std::io::Error::other("no route") }),
            (None, PANICS) => panic!("the load of account {number} panics"),
            (None, HANGS) => std::future::pending().await,
            (None, _) => Ok(None),
        }
    }
}

#[register_task(name = "records::owner")]
async fn owner(#[fetch] account: Account, mark: String) -> String {
    account.owner + &mark
}

#[register_task(name = "records::owner_plainly")]
fn owner_plainly(#[fetch] account: &Account, mark: &str) -> String {
    format!("{}{mark}", account.owner)
}

#[register_task(name = "records::owner_if_any")]
async fn owner_if_any(#[fetch] account: Option<Account>) -> Option<String> {
    account.map(|account| account.owner)
}

#[register_task(name = "records::open")]
fn open(State(accounts): State<Accounts>, number: u32) -> u32 {
    accounts.set(number, "new");
    number
}

fn worker(world: &World, accounts: &Accounts) -> WorkerBuilder {
    world.worker().provide(accounts.clone())
}

fn account(number: u32, owner: &str) -> Account {
    Account { number, owner: owner.to_owned() }
}

on_each_broker! {
    async fn a_worker_sees_the_record_of_the_time_it_runs(world: World) {
        let accounts = Accounts::default();
        accounts.set(1, "Ada");
        let of_record = owner(account(1, "Ada"), "!").delay().await.unwrap();
        let of_reference = owner_plainly(&account(1, "Ada"), "?").delay().await.unwrap();
        let of_key = owner(1, ".").delay().await.unwrap();
        accounts.set(1, "Bob");
        world.drain_with(worker(&world, &accounts)).await;
        assert_eq!(of_record.await.unwrap(), "Bob!");
        assert_eq!(of_reference.await.unwrap(), "Bob?");
        assert_eq!(of_key.await.unwrap(), "Bob.");
    }

    async fn the_key_may_be_the_result_of_another_job(world: World) {
        let accounts = Accounts::default();
        let nested = owner(open(7), "!").delay().await.unwrap();
        let handle = open(8).delay().await.unwrap();
        let after = owner_plainly(handle, "?").delay().await.unwrap();
        world.drain_with(worker(&world, &accounts)).await;
        assert_eq!((nested.await.unwrap(), after.await.unwrap()), ("new!".to_owned(), "new?".to_owned()));
    }

    async fn a_job_whose_record_is_gone_fails_at_once_and_can_be_replayed(world: World) {
        let accounts = Accounts::default();
        accounts.set(1, "Ada");
        let job = owner_plainly(1, "!").retries(5).delay().await.unwrap();
        accounts.delete(1);
        world.drain_with(worker(&world, &accounts)).await;
        assert_eq!(job.state().await, Ok(Some(JobState::Failed)));
        let error = job.clone().await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.kind, failure.attempt, failure.permanent), (FailureKind::Arguments, 1, true));
        assert_eq!(
            error.to_string(),
            format!(
                "task `records::owner_plainly` failed (job {}, attempt 1): no `records::Account` has the key 1, which \
                 parameter `account` names; take an `Option` where it may be gone (permanent: not retried)",
                job.id()
            )
        );
        accounts.set(1, "Ada");
        assert_eq!(world.operate().replay(&JobFilter::default()).await.unwrap().len(), 1);
        world.drain_with(worker(&world, &accounts)).await;
        assert_eq!(world.client.handle::<String>(job.id()).await.unwrap(), "Ada!");
    }

    async fn an_option_receives_none_for_a_record_that_is_gone(world: World) {
        let accounts = Accounts::default();
        accounts.set(1, "Ada");
        let calls = [owner_if_any(1).erase(), owner_if_any(2).erase(), owner_if_any(None).erase()];
        let owners = gather(calls).delay().await.unwrap();
        world.drain_with(worker(&world, &accounts)).await;
        assert_eq!(owners.await.unwrap(), [Some("Ada".to_owned()), None, None]);
    }

    async fn a_load_that_fails_is_a_failed_attempt(world: World) {
        let accounts = Accounts::default();
        let backoff = Backoff::fixed(Duration::from_secs(60));
        let job = owner(FAILS, "!").retries(1).backoff(backoff).delay().await.unwrap();
        world.drain_with(worker(&world, &accounts)).await;
        assert_eq!(job.state().await, Ok(Some(JobState::Scheduled)));
        world.advance(Duration::from_secs(90));
        world.drain_with(worker(&world, &accounts)).await;
        let error = job.await.unwrap_err();
        let failure = error.failure().unwrap();
        assert_eq!((failure.kind, failure.attempt), (FailureKind::Error, 2));
        assert_eq!(failure.error_type.as_deref(), Some("records::Down"));
        assert_eq!(
            failure.to_string(),
            "cannot load the `records::Account` with the key 500 for parameter `account`: cannot ask for account 500: no route"
        );
    }

    async fn a_load_that_failed_is_tried_again(world: World) {
        let accounts = Accounts::default();
        let backoff = Backoff::fixed(Duration::from_secs(60));
        let job = owner_plainly(FAILS, "!").retries(1).backoff(backoff).delay().await.unwrap();
        world.drain_with(worker(&world, &accounts)).await;
        accounts.set(FAILS, "Eve");
        world.advance(Duration::from_secs(90));
        world.drain_with(worker(&world, &accounts)).await;
        assert_eq!(job.await.unwrap(), "Eve!");
    }

    async fn a_load_has_the_time_of_the_attempt_and_its_panic_ends_no_worker(world: World) {
        let accounts = Accounts::default();
        accounts.set(1, "Ada");
        let limit = Duration::from_millis(50);
        let hangs = owner(HANGS, "!").timeout(limit).retries(0).delay().await.unwrap();
        let hangs_plainly = owner_plainly(HANGS, "!").timeout(limit).retries(0).delay().await.unwrap();
        let panics = owner_plainly(PANICS, "!").retries(0).delay().await.unwrap();
        let works = owner_plainly(1, "!").timeout(Duration::from_secs(60)).delay().await.unwrap();
        world.drain_with(worker(&world, &accounts)).await;
        for job in [hangs, hangs_plainly] {
            let error = job.await.unwrap_err();
            let JobError::TimedOut(failure) = error else { panic!("{error}") };
            assert_eq!(failure.message, "the attempt ran past its time-out of 50ms");
        }
        let error = panics.await.unwrap_err();
        assert!(matches!(error, JobError::Panicked(_)), "{error}");
        assert_eq!(works.await.unwrap(), "Ada!");
    }

    async fn a_worker_without_what_a_load_needs_does_not_start(world: World) {
        let job = owner(1, "!").delay().await.unwrap();
        let error = world.start().ended().await.unwrap_err();
        assert!(matches!(error, WorkerError::MissingState { .. }), "{error:?}");
        let told = error_chain(&error);
        let expected = "needs `records::Accounts`, which no start hook provides";
        assert!(told.contains(expected), "{told}");
        assert_eq!(job.state().await, Ok(Some(JobState::Ready)));
    }
}
