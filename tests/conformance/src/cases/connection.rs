//! What a connection is, and how it ends.

use std::time::Duration;

use taskcore::broker::{BrokerError, Connection, Maintain, Reserve};

use crate::harness::Harness;
use crate::lab::*;

/// Constant, short and lower-case: it is a label of metrics.
pub async fn a_broker_has_a_short_lower_case_name(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let name = lab.broker().name();
    assert!((1..=32).contains(&name.len()), "{name}");
    assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{name}");
    assert_eq!(lab.second().await.broker().name(), name);
}

/// Constant, and usable: a limit of nothing is no broker.
pub async fn capabilities_are_the_same_on_every_connection(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let capabilities = lab.broker().capabilities();
    assert!(capabilities.max_batch >= 1);
    assert!(capabilities.max_envelope >= 1 << 20, "a client sends up to 1 MiB by default");
    assert!(capabilities.due_resolution <= lab.ticks(1));
    lab.leased(3).await;
    assert_eq!(lab.broker().capabilities(), capabilities);
    assert_eq!(lab.second().await.broker().capabilities(), capabilities);
    let duplicate = lab.broker().duplicate().await.unwrap();
    assert_eq!((duplicate.capabilities(), duplicate.name()), (capabilities, lab.broker().name()));
}

/// The heartbeat's: it extends what the first one leased.
pub async fn a_duplicate_works_on_the_same_store(harness: &dyn Harness, batch: usize) {
    let lab = Lab::open(harness).await;
    let duplicate = lab.broker().duplicate().await.unwrap();
    let deliveries = lab.leased(batch).await;
    lab.elapse_leases(1).await;
    let receipts: Vec<_> = deliveries.iter().map(|delivery| delivery.receipt.clone()).collect();
    duplicate.extend(&receipts, lab.ticks(2)).await.unwrap();
    lab.elapse_leases(1).await;
    assert!(duplicate.maintain(&Maintain::default()).await.unwrap().is_idle());
    lab.apply(&deliveries, &done()).await;
}

/// It is made on the runtime that uses it, and needs no other.
pub async fn a_duplicate_is_driven_by_the_runtime_that_made_it(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let deliveries = lab.leased(1).await;
    let (broker, request) = (lab.connection().broker, lab.request(9));
    let receipt = deliveries[0].receipt.clone();
    let lease = lab.ticks(4);
    // Joined from this runtime's thread on purpose: nothing here may be needed over there.
    let heartbeat = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let duplicate = broker.duplicate().await.unwrap();
            let extended = duplicate.extend(&[receipt], lease).await.unwrap();
            assert!(duplicate.reserve(&request).await.unwrap().is_empty());
            duplicate.close().await.unwrap();
            extended
        })
    });
    let extended = tokio::task::spawn_blocking(|| heartbeat.join().unwrap()).await.unwrap();
    assert_eq!(extended, [taskcore::broker::Extended::Held]);
    lab.elapse_leases(3).await;
    lab.apply(&deliveries, &done()).await;
}

/// Whatever is asked after the end is told so.
pub async fn after_close_every_call_answers_closed(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let delivery = lab.leased(1).await.remove(0);
    let (broker, request) = (lab.connection().broker, lab.request(1));
    let settlement = settlements(std::slice::from_ref(&delivery), &done());
    broker.close().await.unwrap();
    assert_closed("duplicate", &broker.duplicate().await);
    assert_closed("enqueue", &broker.enqueue(&[plain_job()]).await);
    assert_closed("reserve", &broker.reserve(&request).await);
    assert_closed("begin", &broker.begin(&delivery.receipt).await);
    assert_closed("settle", &broker.settle(&settlement).await);
    assert_closed("extend", &broker.extend(&[delivery.receipt], lab.ticks(1)).await);
    assert_closed("maintain", &broker.maintain(&Maintain::default()).await);
    assert_closed("depth", &broker.depth(&[plain_queue()]).await);
    let expected = if lab.is_transport() { Counts::ready(1) } else { Counts::running(1) };
    lab.second().await.assert_depth(expected).await;
}

/// Two owners may both clean up.
pub async fn closing_twice_is_allowed(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    lab.broker().close().await.unwrap();
    lab.broker().close().await.unwrap();
}

/// A duplicate is a connection too.
pub async fn closing_one_connection_leaves_the_others_open(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let second = lab.second().await;
    let duplicate = lab.broker().duplicate().await.unwrap();
    let other = lab.broker().duplicate().await.unwrap();
    duplicate.close().await.unwrap();
    assert_closed("depth", &duplicate.depth(&[plain_queue()]).await);
    lab.stored(1).await;
    lab.broker().close().await.unwrap();
    second.assert_depth(Counts::ready(1)).await;
    assert_eq!(other.depth(&[plain_queue()]).await.unwrap()[0].ready, Some(1));
    second.reserve_all(1).await;
}

/// To close is not to wait for work that may never come.
pub async fn close_ends_a_reserve_that_waits(harness: &dyn Harness) {
    let lab = Lab::open(harness).await;
    let request = Reserve { wait: Duration::from_secs(60 * 60), ..lab.request(1) };
    let Connection { broker, .. } = lab.connection();
    let mut waiting = tokio::spawn(async move { broker.reserve(&request).await });
    assert_waits(&mut waiting).await;
    soon("the end of the connection", lab.broker().close()).await.unwrap();
    match soon("the answer of the reserve", waiting).await.unwrap() {
        Ok(deliveries) => assert!(deliveries.is_empty()),
        Err(error) => assert!(matches!(error, BrokerError::Closed { .. }), "{error:?}"),
    }
}

pub(crate) fn assert_closed<T: std::fmt::Debug>(call: &str, answer: &Result<T, BrokerError>) {
    let is_closed = matches!(answer, Err(BrokerError::Closed { .. }));
    assert!(is_closed, "{call} after close answered {answer:?}");
}
