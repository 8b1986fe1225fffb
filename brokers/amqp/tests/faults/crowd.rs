//! Many who store and many who take, at once.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskcore::broker::{Broker, NewJob, Settled};
use taskcore::{JobId, Priority, QueueName};
use taskservers::RabbitMq;

use crate::lab::*;

const JOBS: usize = 5_000;

const PRODUCERS: usize = 4;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_job_is_done_once_by_many_workers_of_many_queues() {
    let server = RabbitMq::start();
    let queues = ["mail", "media", "reports"].map(queue);
    let stored: Vec<NewJob> = (0..JOBS)
        .map(|number| NewJob {
            queue: queues[number % queues.len()].clone(),
            priority: Priority::new(i8::try_from(number % 5).unwrap() - 2).unwrap(),
            ..job()
        })
        .collect();
    let came: Arc<Mutex<HashMap<JobId, usize>>> = Arc::default();
    let left = Arc::new(AtomicUsize::new(JOBS));
    let mut all = tokio::task::JoinSet::new();
    for share in stored.chunks(JOBS / PRODUCERS) {
        let (url, share) = (server.url(), share.to_vec());
        all.spawn(async move {
            let broker = open(&url).await;
            for batch in share.chunks(250) {
                store(&broker, batch).await;
            }
            broker.close().await.unwrap();
        });
    }
    // Three that serve all queues and one for each queue alone.
    let served =
        std::iter::repeat_n(queues.to_vec(), 3).chain(queues.iter().map(|it| vec![it.clone()]));
    for queues in served {
        let (url, came, left) = (server.url(), came.clone(), left.clone());
        all.spawn(async move {
            let broker = open(&url).await;
            while left.load(Ordering::SeqCst) > 0 {
                let asked = asking(&queues, 64, Duration::from_millis(500));
                let deliveries = broker.reserve(&asked).await.unwrap();
                let settled = broker.settle(&done(&deliveries)).await.unwrap();
                assert_eq!(settled, vec![Settled::Applied; deliveries.len()]);
                left.fetch_sub(deliveries.len().min(left.load(Ordering::SeqCst)), Ordering::SeqCst);
                let mut came = came.lock().unwrap();
                deliveries.iter().for_each(|it| *came.entry(it.job).or_default() += 1);
            }
            broker.close().await.unwrap();
        });
    }
    tokio::time::timeout(PLENTY, all.join_all()).await.expect("it comes to an end");
    let expected: HashMap<JobId, usize> = stored.iter().map(|job| (job.id, 1)).collect();
    assert!(*came.lock().unwrap() == expected, "some came more than once, or not at all");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_once_for_many_gets_as_many_in_order_and_keeps_no_more_to_himself() {
    let server = RabbitMq::start();
    let (broker, other) = (open(&server.url()).await, open(&server.url()).await);
    let stored = jobs(1_000);
    store(&broker, &stored).await;
    let asked = asking(&[QueueName::DEFAULT], 300, Duration::ZERO);
    let first = broker.reserve(&asked).await.unwrap();
    let expected: Vec<JobId> = stored[..300].iter().map(|job| job.id).collect();
    assert_eq!(first.iter().map(|it| it.job).collect::<Vec<_>>(), expected);
    let rest: HashSet<JobId> = take_all(&other, 700).await.iter().map(|it| it.job).collect();
    assert!(rest == ids(&stored[300..]), "some came twice, or not at all");
    assert_eq!(broker.settle(&done(&first)).await.unwrap(), vec![Settled::Applied; 300]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_looks_once_again_and_again_gets_all() {
    let server = RabbitMq::start();
    let broker = open(&server.url()).await;
    let stored = jobs(3_000);
    store(&broker, &stored).await;
    let asked = asking(&[QueueName::DEFAULT], 500, Duration::ZERO);
    let mut taken = HashSet::new();
    loop {
        let deliveries = broker.reserve(&asked).await.unwrap();
        if deliveries.is_empty() {
            break;
        }
        taken.extend(deliveries.iter().map(|it| it.job));
        let settled = broker.settle(&done(&deliveries)).await.unwrap();
        assert_eq!(settled, vec![Settled::Applied; deliveries.len()]);
    }
    assert!(taken == ids(&stored), "{} of {} came", taken.len(), stored.len());
}
