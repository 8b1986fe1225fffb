//! Unique keys, as callers see them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures::future::join_all;
use hereafter::broker::{
    Broker, BrokerError, Capabilities, Connection, Delivery, Depth, Enqueued, Extended, JobState,
    Maintain, NewJob, Receipt, Reserve, Settled, Settlement, Upkeep,
};
use hereafter::prelude::*;
use hereafter::{JobId, QueueName};
use serde::{Deserialize, Serialize};
use taskconformance::{Fault, Faulty, Operation, async_trait};
use tasksystem::{Journal, on_each_broker};

#[register_task(name = "unique::shrink")]
async fn shrink(State(journal): State<Journal>, picture: String) -> String {
    journal.write(&picture);
    format!("small {picture}")
}

#[register_task(name = "unique::join")]
fn join(parts: Vec<String>) -> String {
    parts.join(" + ")
}

#[register_task(name = "unique::sizes", unique_by = args)]
fn sizes(pictures: BTreeMap<String, u64>, factor: f64) -> f64 {
    pictures.values().map(|size| *size as f64).sum::<f64>() * factor
}

#[register_task(name = "unique::report", unique_by = report_key, on_conflict = "reuse")]
fn report(year: u16, title: &str) -> String {
    format!("{title} of {year}")
}

fn report_key(year: &u16, title: &str) -> String {
    format!("{}-{year}", title.to_lowercase())
}

#[register_task(name = "unique::nightly", unique = "nightly", unique_for = "10m")]
fn nightly() {}

#[register_task(name = "unique::refresh", unique = "all", unique_while = "queued")]
fn refresh() {}

#[register_task(name = "unique::debounced", unique = "all", on_conflict = "replace")]
fn debounced(version: u32) -> u32 {
    version
}

#[derive(Clone, Serialize, Deserialize)]
struct Account {
    number: u32,
    note: String,
}

#[register_task]
impl Account {
    #[task(name = "unique::close", unique_by = Self::key)]
    fn close(&self, day: u8) -> u32 {
        self.number + u32::from(day)
    }

    fn key(&self, day: &u8) -> u64 {
        u64::from(self.number) << 8 | u64::from(*day)
    }
}

/// The job that holds the key, by the error.
fn existing(error: &DelayError) -> JobId {
    match error {
        DelayError::Duplicate { existing, .. } => *existing,
        other => panic!("{other} is no conflict"),
    }
}

on_each_broker! {
    async fn of_a_thousand_calls_at_the_same_time_one_is_stored(world: World) {
        let callers = (0..10).map(|caller: u32| {
            let client = world.client.clone();
            tokio::spawn(async move {
                let call = |n: u32| shrink(format!("{caller} {n}")).unique("cat").delay_on(&client);
                join_all((0..100).map(call)).await
            })
        });
        let answers = join_all(callers).await.into_iter().flat_map(Result::unwrap);
        let (stored, refused): (Vec<_>, Vec<_>) = answers.partition(Result::is_ok);
        assert_eq!((stored.len(), refused.len()), (1, 999));
        let id = stored[0].as_ref().unwrap().id();
        let told = refused.iter().map(|answer| existing(answer.as_ref().unwrap_err()));
        assert_eq!(told.collect::<BTreeSet<_>>(), BTreeSet::from([id]));
        assert_eq!(world.jobs().await.len(), 1);
        assert_eq!(world.drain().await.done, 1);
        assert_eq!(world.journal.lines().len(), 1);
    }

    async fn of_a_thousand_calls_that_reuse_all_get_one_job(world: World) {
        let call = |n: u32| {
            let call = shrink(n.to_string()).unique("cat").on_conflict(OnConflict::Reuse);
            call.delay_on(&world.client)
        };
        let handles = join_all((0..1_000).map(call)).await;
        let ids: BTreeSet<_> = handles.iter().map(|handle| handle.as_ref().unwrap().id()).collect();
        assert_eq!(ids.len(), 1);
        world.drain().await;
        assert_eq!(world.journal.lines().len(), 1);
        let result = format!("small {}", world.journal.lines()[0]);
        for handle in handles {
            assert_eq!(handle.unwrap().await, Ok(result.clone()));
        }
    }

    async fn a_batch_of_ten_thousand_keys_is_stored_once(world: World) {
        let calls = || (0..10_000).map(|n: u32| shrink("x").unique(format!("key {n}")));
        let handles = world.client.delay_all(calls()).await.unwrap();
        let ids: Vec<_> = handles.iter().map(Handle::id).collect();
        let error = world.client.delay_all(calls()).await.unwrap_err();
        assert_eq!(existing(&error), ids[0]);
        let reusing = calls().map(|call| call.on_conflict(OnConflict::Reuse));
        let again = world.client.delay_all(reusing).await.unwrap();
        assert_eq!(again.iter().map(Handle::id).collect::<Vec<_>>(), ids);
        let depth = world.broker().depth(&[QueueName::DEFAULT]).await.unwrap().remove(0);
        assert_eq!(depth.ready, Some(10_000));
    }

    async fn a_batch_stores_what_is_new_and_reuses_the_rest(world: World) {
        let call = |n: usize| {
            shrink(format!("{n}")).unique(format!("{n}")).on_conflict(OnConflict::Reuse)
        };
        let old = world.client.delay_all([1, 3].map(call)).await.unwrap();
        let all = world.client.delay_all([0, 1, 2, 3, 1].map(call)).await.unwrap();
        let ids: Vec<_> = all.iter().map(Handle::id).collect();
        assert_eq!([ids[1], ids[3], ids[4]], [old[0].id(), old[1].id(), old[0].id()]);
        assert_eq!(world.jobs().await.len(), 4);
        world.drain().await;
        let answers = futures::future::try_join_all(all).await.unwrap();
        assert_eq!(answers, ["small 0", "small 1", "small 2", "small 3", "small 1"]);
    }

    async fn conflicts_of_some_callers_do_not_touch_the_others(world: World) {
        let holder = shrink("0").unique("taken").delay().await.unwrap();
        let call = |n: u32| {
            let call = shrink(n.to_string());
            let call = if n.is_multiple_of(2) { call.unique("taken") } else { call };
            call.delay_on(&world.client)
        };
        let answers = join_all((0..200).map(call)).await;
        for (n, answer) in answers.iter().enumerate() {
            match n % 2 {
                0 => assert_eq!(existing(answer.as_ref().unwrap_err()), holder.id()),
                _ => assert!(answer.is_ok(), "{answer:?}"),
            }
        }
        assert_eq!(world.jobs().await.len(), 101);
    }

    async fn the_error_names_the_task_the_key_and_the_job_and_says_what_to_do(world: World) {
        let holder = shrink("a").unique("cat").delay().await.unwrap();
        let error = shrink("b").unique("cat").delay().await.unwrap_err();
        let expected = format!(
            "cannot delay task `unique::shrink`: job {} holds the unique key `cat`; wait for that job \
             (`client.handle(id)`), or delay with `.on_conflict(OnConflict::Reuse)` to get a handle of it",
            holder.id(),
        );
        assert_eq!(error.to_string(), expected);
        let DelayError::Duplicate { task, key, existing } = error else { panic!("{error}") };
        assert_eq!((&*task, &*key, existing), ("unique::shrink", "cat", holder.id()));
        world.drain().await;
        assert_eq!(world.client.handle::<String>(existing).await, Ok("small a".to_owned()));
        assert_eq!(world.jobs().await[0].unique.as_deref(), Some("cat"));
    }

    async fn a_call_inside_another_one_takes_the_job_that_is_there(world: World) {
        let cat = shrink("cat").unique("cat").delay().await.unwrap();
        let inner = |name: &str| shrink(name).unique(name).on_conflict(OnConflict::Reuse);
        let calls = ["cat", "dog", "cat", "dog"].map(inner);
        let outer = join(gather(calls)).delay().await.unwrap();
        assert_eq!(world.jobs().await.len(), 3);
        assert_eq!(outer.record().await.unwrap().unwrap().waits_for, 2);
        // What was there before is not a part of the call, and outlives it.
        let other = join(gather([inner("cat")])).delay().await.unwrap();
        other.cancel().await.unwrap();
        assert_eq!(cat.state().await, Ok(Some(JobState::Ready)));
        world.drain().await;
        let expected = "small cat + small dog + small cat + small dog";
        assert_eq!(outer.await.as_deref(), Ok(expected));
        let ran = BTreeSet::from_iter(world.journal.lines());
        assert_eq!((ran.len(), world.journal.lines().len()), (2, 2), "{ran:?}");
        assert_eq!(cat.await.as_deref(), Ok("small cat"));
    }

    async fn an_expression_with_a_conflict_stores_nothing_of_itself(world: World) {
        let cat = shrink("cat").unique("cat").delay().await.unwrap();
        let calls = [shrink("dog"), shrink("cat").unique("cat")];
        let error = join(gather(calls)).delay().await.unwrap_err();
        assert_eq!(existing(&error), cat.id());
        let calls = [shrink("dog"), shrink("cat").unique("cat"), shrink("hen").unique("hen")];
        assert_eq!(existing(&world.client.delay_all(calls).await.unwrap_err()), cat.id());
        assert_eq!(world.jobs().await.len(), 1);
    }

    async fn an_outer_call_that_is_there_brings_nothing_with_it(world: World) {
        let call = || join(gather(["a", "b"].map(shrink))).unique("ab").on_conflict(OnConflict::Reuse);
        let first = call().delay().await.unwrap();
        let second = call().delay().await.unwrap();
        assert_eq!(first.id(), second.id());
        assert_eq!(world.jobs().await.len(), 3);
        world.drain().await;
        assert_eq!(second.await.as_deref(), Ok("small a + small b"));
    }

    async fn what_follows_a_call_follows_the_job_that_is_there_in_its_place(world: World) {
        let first = shrink("cat").unique("cat").delay().await.unwrap();
        let again = shrink("cat").unique("cat").on_conflict(OnConflict::Reuse);
        let again = again.then(|small| join(gather([small]))).delay().await.unwrap();
        assert_eq!(again.id(), first.id());
        assert_eq!(world.jobs().await.len(), 2);
        assert_eq!(world.drain().await.done, 2);
        assert_eq!(world.journal.lines(), ["cat"]);
    }

    async fn a_call_cannot_stand_for_one_that_is_inside_of_it(world: World) {
        let call = |name| shrink(name).unique("cat").on_conflict(OnConflict::Reuse);
        let outer = shrink(call("inner")).unique("cat").on_conflict(OnConflict::Reuse);
        let error = outer.delay().await.unwrap_err().to_string();
        assert!(error.ends_with("inside of it or around it: leave one of them out"), "{error}");
        assert!(world.jobs().await.is_empty());
    }

    async fn one_key_twice_in_one_batch_is_refused_unless_it_is_reused(world: World) {
        let call = || shrink("cat").unique("cat");
        let error = world.client.delay_all([call(), call()]).await.unwrap_err().to_string();
        assert!(error.contains("`cat`") && error.contains("OnConflict::Reuse"), "{error}");
        assert!(world.jobs().await.is_empty());
        let second = call().on_conflict(OnConflict::Reuse);
        let handles = world.client.delay_all([call(), second]).await.unwrap();
        assert_eq!(handles[0].id(), handles[1].id());
        assert_eq!(world.jobs().await.len(), 1);
    }

    async fn equal_arguments_have_one_key(world: World) {
        let of = |pairs: [(&str, u64); 2], factor| {
            let pictures = pairs.map(|(name, size)| (name.to_owned(), size));
            sizes(BTreeMap::from(pictures), factor)
        };
        let first = of([("a", 1), ("b", 2)], 0.1).delay().await.unwrap();
        let error = of([("b", 2), ("a", 1)], 0.1).delay().await.unwrap_err();
        assert_eq!(existing(&error), first.id());
        of([("a", 1), ("b", 2)], 0.2).delay().await.unwrap();
        of([("a", 2), ("b", 1)], 0.1).delay().await.unwrap();
        // A key of the call's own comes before that of the task.
        of([("a", 1), ("b", 2)], 0.1).unique("another").delay().await.unwrap();
        assert_eq!(world.jobs().await.len(), 4);
        world.drain().await;
        of([("a", 1), ("b", 2)], 0.1).delay().await.unwrap();
    }

    async fn a_function_of_the_arguments_gives_the_key(world: World) {
        let first = report(2026, "Sales").delay().await.unwrap();
        let second = report(2026, "SALES").delay().await.unwrap();
        assert_eq!(first.id(), second.id());
        assert_ne!(report(2027, "Sales").delay().await.unwrap().id(), first.id());
        assert_eq!(world.jobs().await[0].unique.as_deref(), Some("sales-2026"));
        let account = |note: &str| Account { number: 7, note: note.to_owned() };
        let first = account("a").close(1).delay().await.unwrap();
        let error = account("b").close(1).delay().await.unwrap_err();
        assert_eq!(existing(&error), first.id());
        account("a").close(2).delay().await.unwrap();
    }

    async fn a_key_of_arguments_that_are_not_there_yet_is_refused(world: World) {
        let year = world.client.handle::<u16>(JobId::new());
        for error in [
            report(year.clone(), "Sales").delay().await.unwrap_err(),
            sizes(BTreeMap::new(), world.client.handle::<f64>(JobId::new())).delay().await.unwrap_err(),
        ] {
            let error = error.to_string();
            assert!(error.contains("its unique key comes from its arguments"), "{error}");
            assert!(error.ends_with("give this call `.unique(key)`"), "{error}");
        }
        assert!(world.jobs().await.is_empty());
        report(year, "Sales").unique("mine").delay().await.unwrap();
    }

    async fn a_call_replaces_the_one_that_waits(world: World) {
        let versions: Vec<_> = (0..5).map(|n| debounced(n).delay_on(&world.client)).collect();
        let handles = join_all(versions).await.into_iter().map(Result::unwrap).collect::<Vec<_>>();
        let last = debounced(5).call_after(Duration::from_secs(60)).await.unwrap();
        for handle in handles {
            assert!(matches!(handle.await, Err(JobError::Cancelled { .. })));
        }
        assert_eq!(world.drain().await.done, 0);
        world.advance(Duration::from_secs(60));
        assert_eq!(world.drain().await.done, 1);
        assert_eq!(last.await, Ok(5));
        let running = debounced(6).delay().await.unwrap();
        world.take(1).await;
        assert_eq!(existing(&debounced(7).delay().await.unwrap_err()), running.id());
    }

    async fn a_key_for_a_time_outlasts_its_job(world: World) {
        let first = nightly().delay().await.unwrap();
        assert_eq!(world.drain().await.done, 1);
        assert_eq!(existing(&nightly().delay().await.unwrap_err()), first.id());
        world.advance(Duration::from_secs(599));
        assert_eq!(existing(&nightly().delay().await.unwrap_err()), first.id());
        world.advance(Duration::from_secs(1));
        nightly().unique_for(Duration::from_secs(5)).delay().await.unwrap();
        assert_eq!(world.drain().await.done, 1);
        world.advance(Duration::from_secs(5));
        nightly().delay().await.unwrap();
    }

    async fn a_key_while_queued_is_free_once_the_job_runs(world: World) {
        let first = refresh().delay().await.unwrap();
        assert_eq!(existing(&refresh().delay().await.unwrap_err()), first.id());
        world.take(1).await;
        let second = refresh().delay().await.unwrap();
        assert_eq!(existing(&refresh().delay().await.unwrap_err()), second.id());
        let call = || shrink("x").unique("x").unique_while_queued();
        call().delay().await.unwrap();
        assert!(call().delay().await.is_err());
    }

    async fn a_lost_reply_is_no_conflict_with_oneself(world: World) {
        let open = world.client.connection().unwrap().clone();
        let faulty = Faulty::new(open.broker.clone());
        let client = Client::new(Connection { broker: Arc::new(faulty.clone()), ..open });
        faulty.next(Operation::Enqueue, Fault::LostReply);
        let one = shrink("a").unique("a").delay_on(&client).await.unwrap();
        faulty.next(Operation::Enqueue, Fault::LostReply);
        let calls = ["b", "c"].map(|name| shrink(name).unique(name).on_conflict(OnConflict::Replace));
        let many = client.delay_all(calls).await.unwrap();
        assert_eq!(faulty.calls(Operation::Enqueue), 4);
        let ids: BTreeSet<_> = many.iter().map(Handle::id).chain([one.id()]).collect();
        let jobs = world.jobs().await;
        assert_eq!(jobs.iter().map(|job| job.id).collect::<BTreeSet<_>>(), ids);
        assert!(jobs.iter().all(|job| job.state == JobState::Ready));
    }

    async fn a_key_that_makes_no_sense_is_refused_before_anything_is_stored(world: World) {
        let call = || shrink("x");
        let zero = Duration::ZERO;
        for (call, part) in [
            (call().unique(""), "1 to 255 bytes and this one has 0"),
            (call().unique("ü".repeat(128)), "1 to 255 bytes and this one has 256"),
            (call().unique_for(Duration::from_secs(1)), "`.unique_for` says how a unique key is used"),
            (call().unique_while_queued(), "add `.unique(key)`"),
            (call().on_conflict(OnConflict::Reuse), "`.on_conflict` says"),
            (call().unique("x").unique_for(zero), "cannot be held for 0s"),
        ] {
            let error = call.delay().await.unwrap_err().to_string();
            assert!(error.starts_with("cannot delay task `unique::shrink`"), "{error}");
            assert!(error.contains(part), "{error}");
        }
        assert!(world.jobs().await.is_empty());
        call().unique("x".repeat(255)).delay().await.unwrap();
    }

    async fn a_broker_without_unique_keys_is_named(world: World) {
        let open = world.client.connection().unwrap().clone();
        let keyless = Arc::new(Keyless(open.broker.clone()));
        let client = Client::new(Connection { broker: keyless, ..open });
        let error = shrink("x").unique("x").delay_on(&client).await.unwrap_err();
        assert!(matches!(&error, DelayError::NoUnique { task, .. } if task == "unique::shrink"));
        assert!(error.to_string().contains("with a unique key: broker `keyless` holds none"), "{error}");
        shrink("x").delay_on(&client).await.unwrap();
        assert_eq!(world.jobs().await.len(), 1);
    }
}

#[tokio::test]
async fn clients_that_store_nothing_ignore_keys() {
    let (eager, disabled) = (Client::eager(), Client::disabled());
    for _ in 0..2 {
        assert_eq!(
            report(2026, "Sales").delay_on(&eager).await.unwrap().await.unwrap(),
            "Sales of 2026"
        );
        let calls = [1, 2].map(debounced);
        let handles = eager.delay_all(calls).await.unwrap();
        assert_eq!(futures::future::try_join_all(handles).await, Ok(vec![1, 2]));
        report(2026, "Sales").delay_on(&disabled).await.unwrap();
    }
}

/// A broker that holds no keys.
#[derive(Debug)]
struct Keyless(Arc<dyn Broker>);

#[async_trait]
impl Broker for Keyless {
    fn name(&self) -> &'static str {
        "keyless"
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities { unique: false, ..self.0.capabilities() }
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        self.0.duplicate().await
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        self.0.enqueue(batch).await
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        self.0.reserve(request).await
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.0.begin(receipt).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.0.settle(batch).await
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.0.extend(receipts, lease).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.0.maintain(maintain).await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        self.0.depth(queues).await
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.0.close().await
    }
}
