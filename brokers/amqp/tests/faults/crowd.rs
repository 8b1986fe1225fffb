//! Many who store and many who take, at once.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use taskcore::broker::{Broker, NewJob, Settled};
use taskcore::{JobId, Priority};
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
