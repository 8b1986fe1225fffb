//! Storing jobs and taking them out again, for the tests about it.

use std::collections::{HashMap, HashSet};
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::{Duration, Instant};

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskcore::broker::{
    Broker, BrokerError, Delivery, Due, Enqueued, Keep, NewJob, QueueShare, Reserve, Settled,
    Settlement, Verdict,
};
use taskcore::{JobId, Priority, QueueName, error_chain};
use tokio_util::sync::CancellationToken;

/// For what is not to take long, on a machine that does much else.
pub(crate) const PLENTY: Duration = Duration::from_secs(90);

/// How soon work is to resume once the server is back.
pub(crate) const SOON: Duration = Duration::from_secs(10);

pub(crate) async fn open(url: &str) -> Arc<AmqpBroker> {
    AmqpBroker::open(AmqpOptions::parse(url).unwrap()).await.unwrap()
}

pub(crate) fn job() -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: "task".into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: b"{}".to_vec().into(),
    }
}

pub(crate) fn jobs(count: usize) -> Vec<NewJob> {
    std::iter::repeat_with(job).take(count).collect()
}

pub(crate) fn delayed(delay: Duration) -> NewJob {
    NewJob { due: Due::After(delay), ..job() }
}

pub(crate) fn ids(jobs: &[NewJob]) -> HashSet<JobId> {
    jobs.iter().map(|job| job.id).collect()
}

pub(crate) fn queue(name: &str) -> QueueName {
    QueueName::new(name).unwrap()
}

pub(crate) fn asking(queues: &[QueueName], max: u32, wait: Duration) -> Reserve {
    let max = NonZeroU32::new(max).unwrap();
    let share = |queue: &QueueName| QueueShare { queue: queue.clone(), max };
    Reserve {
        queues: queues.iter().map(share).collect(),
        max,
        lease: Duration::from_secs(60),
        wait,
        interrupt: CancellationToken::new(),
        worker: "worker of the test".to_owned(),
    }
}

pub(crate) async fn store(broker: &AmqpBroker, jobs: &[NewJob]) {
    assert_eq!(broker.enqueue(jobs).await.unwrap(), vec![Enqueued::Stored; jobs.len()]);
}

/// Stores jobs, again and again until it works; how long that took.
pub(crate) async fn store_at_last(broker: &AmqpBroker, jobs: &[NewJob]) -> Duration {
    let since = Instant::now();
    while let Err(error) = broker.enqueue(jobs).await {
        assert!(since.elapsed() < PLENTY, "{}", error_chain(&error));
    }
    since.elapsed()
}

/// Leases at most `max` jobs of the default queue, waiting for the first.
pub(crate) async fn take(broker: &AmqpBroker, max: u32) -> Vec<Delivery> {
    broker.reserve(&asking(&[QueueName::DEFAULT], max, PLENTY)).await.unwrap()
}

/// Leases exactly so many jobs of the default queue.
pub(crate) async fn take_all(broker: &AmqpBroker, count: usize) -> Vec<Delivery> {
    let mut taken = Vec::new();
    while taken.len() < count {
        let more = take(broker, u32::try_from(count - taken.len()).unwrap()).await;
        assert!(!more.is_empty(), "{} of {count} jobs came", taken.len());
        taken.extend(more);
    }
    taken
}

pub(crate) fn with(delivery: &Delivery, verdict: Verdict) -> Settlement {
    Settlement { job: delivery.job, receipt: delivery.receipt.clone(), verdict }
}

/// Verdicts that say that these are done, and that nobody wants to know.
pub(crate) fn done(deliveries: &[Delivery]) -> Vec<Settlement> {
    let verdict = Verdict::Done { result: None, keep: Keep::Nothing };
    deliveries.iter().map(|delivery| with(delivery, verdict.clone())).collect()
}

/// Takes jobs of the default queue out for good until all of these have come; how often each did.
/// Errors are those of a server that is not back yet.
pub(crate) async fn drain(broker: &AmqpBroker, wanted: &HashSet<JobId>) -> HashMap<JobId, usize> {
    let since = Instant::now();
    let mut came: HashMap<JobId, usize> = HashMap::new();
    while wanted.iter().any(|job| !came.contains_key(job)) {
        let missing = wanted.iter().filter(|job| !came.contains_key(job)).count();
        assert!(since.elapsed() < PLENTY, "{missing} of {} jobs did not come", wanted.len());
        if let Ok(settled) = drain_once(broker).await {
            settled.into_iter().for_each(|job| *came.entry(job).or_default() += 1);
        }
    }
    came
}

async fn drain_once(broker: &AmqpBroker) -> Result<Vec<JobId>, BrokerError> {
    let asking = asking(&[QueueName::DEFAULT], 100, Duration::from_secs(1));
    let deliveries = broker.reserve(&asking).await?;
    let settled = broker.settle(&done(&deliveries)).await?;
    let applied = deliveries.iter().zip(settled).filter(|(_, it)| *it == Settled::Applied);
    Ok(applied.map(|(delivery, _)| delivery.job).collect())
}

/// What is said of an error and of what caused it.
pub(crate) fn said(error: &BrokerError) -> String {
    match error {
        BrokerError::Refused { .. } | BrokerError::Unavailable { .. } => error_chain(error),
        other => panic!("not an error of the server: {other}"),
    }
}

/// Waits until the default queue has so many consumers.
pub(crate) async fn until_consumers(broker: &Arc<AmqpBroker>, count: u64) {
    let operate = broker.connection().operate.unwrap();
    loop {
        let queues = operate.queues().await.unwrap();
        let default = queues.iter().find(|it| it.depth.queue == QueueName::DEFAULT).unwrap();
        if default.consumers == Some(count) {
            return;
        }
        tokio::task::yield_now().await;
    }
}
