//! How fast the SQLite broker is by itself, and that it stays so: `cargo bench -p taskbroker-database`.
//!
//! The whole system beside the raw driver is measured by the package `taskbench`.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::broker::*;
use taskcore::{JobId, Payload, Priority, QueueName};
use tokio_util::sync::CancellationToken;

fn main() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        a_hundred_thousand_jobs().await;
        fans_of_ten_thousand().await;
        the_end_of_a_long_chain().await;
        claims_beside_a_million_jobs().await;
        wake_ups_of_an_idle_worker().await;
        the_cost_of_waiting().await;
    });
}

fn job(n: u64, due: Due) -> NewJob {
    let envelope = format!(
        r#"{{"hereafter":1,"task":"taskbench::ours::no_op","args":{{"id":{n},"name":"user_{n}"}},"headers":{{"traceparent":"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"}}}}"#
    );
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: "taskbench::ours::no_op".into(),
        priority: Priority::default(),
        due,
        expires_in: None,
        inputs: Vec::new(),
        envelope: Payload::new(envelope.into_bytes()),
    }
}

fn request(max: u32) -> Reserve {
    let max = NonZeroU32::new(max).unwrap();
    Reserve {
        queues: vec![QueueShare { queue: QueueName::DEFAULT, max }],
        max,
        lease: Duration::from_secs(30),
        wait: Duration::ZERO,
        interrupt: CancellationToken::new(),
        worker: "speed-host-4711".to_owned(),
    }
}

async fn enqueue(broker: &SqliteBroker, jobs: u64, due: Due) {
    for batch in 0..jobs / 1000 {
        let batch: Vec<_> = (0..1000).map(|n| job(batch * 1000 + n, due)).collect();
        broker.enqueue(&batch).await.unwrap();
    }
}

async fn drain(
    broker: &SqliteBroker,
    max: u32,
    limit: u64,
    keep: Keep,
) -> (u64, Duration, Duration) {
    let (mut done, mut claiming, mut settling) = (0, Duration::ZERO, Duration::ZERO);
    while done < limit {
        let started = Instant::now();
        let deliveries = broker.reserve(&request(max)).await.unwrap();
        claiming += started.elapsed();
        if deliveries.is_empty() {
            break;
        }
        done += deliveries.len() as u64;
        let batch: Vec<_> = deliveries
            .into_iter()
            .map(|delivery| Settlement {
                job: delivery.job,
                receipt: delivery.receipt,
                verdict: Verdict::Done { result: None, keep },
            })
            .collect();
        let started = Instant::now();
        broker.settle(&batch).await.unwrap();
        settling += started.elapsed();
    }
    (done, claiming, settling)
}

fn rate(jobs: u64, span: Duration) -> f64 {
    jobs as f64 / span.as_secs_f64()
}

async fn a_hundred_thousand_jobs() {
    for round in 0..3 {
        let folder = tempfile::tempdir().unwrap();
        let broker =
            SqliteBroker::open(SqliteOptions::file(folder.path().join("t.db"))).await.unwrap();
        let started = Instant::now();
        enqueue(&broker, 100_000, Due::Now).await;
        let enqueued = started.elapsed();
        let keep = Keep::For(Duration::from_secs(3600));
        let (done, claiming, settling) = drain(&broker, 500, u64::MAX, keep).await;
        println!(
            "round {round}: enqueue {:.0}/s, claim {:.0}/s, settle {:.0}/s, drain {:.0}/s, all {:.0}/s",
            rate(100_000, enqueued),
            rate(done, claiming),
            rate(done, settling),
            rate(done, claiming + settling),
            rate(done, enqueued + claiming + settling),
        );
        broker.close().await.unwrap();
    }
}

/// Jobs that one other waits for, beside as many that nobody waits for.
async fn fans_of_ten_thousand() {
    for round in 0..3 {
        for sinks in [0, 1, 10_000] {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("t.db");
            let broker = SqliteBroker::open(SqliteOptions::file(path)).await.unwrap();
            let inputs: Vec<_> = (0..10_000).map(|n| job(n, Due::Now)).collect();
            let edge = |input: &NewJob| Input { job: input.id, tolerant: false, owned: true };
            let waiting = |inputs: &[NewJob]| NewJob {
                inputs: inputs.iter().map(edge).collect(),
                ..job(0, Due::Now)
            };
            let waiting: Vec<_> = match sinks {
                0 => Vec::new(),
                sinks => inputs.chunks(10_000 / sinks).map(waiting).collect(),
            };
            let started = Instant::now();
            for batch in inputs.chunks(1000).chain(waiting.chunks(1000)) {
                broker.enqueue(batch).await.unwrap();
            }
            let enqueued = started.elapsed();
            let keep = Keep::For(Duration::from_secs(3600));
            let (done, claiming, settling) = drain(&broker, 500, u64::MAX, keep).await;
            println!(
                "round {round}, {} wait for 10000: enqueue {:.0}/s, claim {:.0}/s, settle {:.0}/s, drain {:.0}/s",
                waiting.len(),
                rate(done, enqueued),
                rate(done, claiming),
                rate(done, settling),
                rate(done, claiming + settling),
            );
            assert_eq!(done, 10_000 + waiting.len() as u64);
            broker.close().await.unwrap();
        }
    }
}

/// One failure, one replay and one cancel that each reach 100,000 jobs.
async fn the_end_of_a_long_chain() {
    let folder = tempfile::tempdir().unwrap();
    let broker = SqliteBroker::open(SqliteOptions::file(folder.path().join("t.db"))).await.unwrap();
    let mut chain = vec![job(0, Due::Now)];
    for n in 0..100_000 {
        let input = Input { job: chain[chain.len() - 1].id, tolerant: false, owned: true };
        chain.push(NewJob { inputs: vec![input], ..job(n, Due::Now) });
    }
    for batch in chain.chunks(1000) {
        broker.enqueue(batch).await.unwrap();
    }
    let delivery = broker.reserve(&request(1)).await.unwrap().remove(0);
    enqueue(&broker, 20_000, Due::Now).await;
    let keep = Keep::For(Duration::from_secs(3600));
    let (done, claiming, settling) = drain(&broker, 500, u64::MAX, keep).await;
    println!(
        "{done} beside 100000 blocked: claim {:.0}/s, settle {:.0}/s",
        rate(done, claiming),
        rate(done, settling)
    );
    let failure = taskcore::Failure::lost(delivery.job, "task".to_owned(), 1, 1);
    let verdict = Verdict::Failed { failure };
    let settlement = Settlement { job: delivery.job, receipt: delivery.receipt, verdict };
    let started = Instant::now();
    broker.settle(&[settlement]).await.unwrap();
    println!("100000 failed with their input in {:?}", started.elapsed());
    let started = Instant::now();
    broker.replay(&JobFilter::default()).await.unwrap();
    println!("100000 blocked again in {:?}", started.elapsed());
    let blocked = broker.depth(&[QueueName::DEFAULT]).await.unwrap()[0].blocked;
    assert_eq!(blocked, Some(100_000));
    let started = Instant::now();
    broker.cancel(&[chain[100_000].id], CancelScope::WithInputs).await.unwrap();
    println!("100000 cancelled with what was made from them in {:?}", started.elapsed());
    assert_eq!(broker.depth(&[QueueName::DEFAULT]).await.unwrap()[0].blocked, Some(0));
}

async fn claims_beside_a_million_jobs() {
    let folder = tempfile::tempdir().unwrap();
    let broker = SqliteBroker::open(SqliteOptions::file(folder.path().join("t.db"))).await.unwrap();
    let keep = Keep::For(Duration::from_secs(3600));
    for backlog in [10_000, 100_000, 1_000_000_u64] {
        let have: u64 = broker.depth(&[QueueName::DEFAULT]).await.unwrap()[0].ready.unwrap();
        enqueue(&broker, backlog - have, Due::Now).await;
        let (done, claiming, settling) = drain(&broker, 500, 20_000, keep).await;
        println!(
            "{backlog} ready: claim {:.0}/s, settle {:.0}/s",
            rate(done, claiming),
            rate(done, settling)
        );
    }
    let started = Instant::now();
    let (done, ..) = drain(&broker, 500, u64::MAX, keep).await;
    println!("drained {done} at {:.0}/s", rate(done, started.elapsed()));
    enqueue(&broker, 1_000_000, Due::After(Duration::from_secs(86_400))).await;
    enqueue(&broker, 20_000, Due::Now).await;
    let (done, claiming, settling) = drain(&broker, 500, u64::MAX, keep).await;
    println!(
        "{done} beside a million done and a million scheduled: claim {:.0}/s, settle {:.0}/s",
        rate(done, claiming),
        rate(done, settling)
    );
    for _ in 0..3 {
        let started = Instant::now();
        let depth = broker.depth(&[QueueName::DEFAULT]).await.unwrap();
        println!("depth in {:?}: {depth:?}", started.elapsed());
    }
}

/// How long after a commit of another connection a waiting worker has the job.
async fn wake_ups_of_an_idle_worker() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("t.db");
    let worker = SqliteBroker::open(SqliteOptions::file(&path)).await.unwrap();
    let client = SqliteBroker::open(SqliteOptions::file(&path)).await.unwrap();
    let mut latencies = Vec::new();
    for n in 0..300 {
        let waits = tokio::spawn({
            let worker = worker.clone();
            async move {
                let request = Reserve { wait: Duration::from_secs(10), ..request(1) };
                let deliveries = worker.reserve(&request).await.unwrap();
                (deliveries, Instant::now())
            }
        });
        // An idle worker: the last commit is long ago.
        tokio::time::sleep(Duration::from_millis(n % 60)).await;
        client.enqueue(&[job(n, Due::Now)]).await.unwrap();
        let committed = Instant::now();
        let (deliveries, at) = waits.await.unwrap();
        latencies.push(at.saturating_duration_since(committed));
        let [delivery] = deliveries.as_slice() else { panic!("{deliveries:?}") };
        let verdict = Verdict::Done { result: None, keep: Keep::Nothing };
        let receipt = delivery.receipt.clone();
        worker.settle(&[Settlement { job: delivery.job, receipt, verdict }]).await.unwrap();
    }
    latencies.sort();
    println!(
        "wake-up p50 {:?}, p90 {:?}, p99 {:?}, max {:?}",
        latencies[150], latencies[270], latencies[297], latencies[299]
    );
}

/// How much of a core a worker takes that waits for a job.
async fn the_cost_of_waiting() {
    let folder = tempfile::tempdir().unwrap();
    for polling in [false, true] {
        let options = SqliteOptions::file(folder.path().join("t.db"));
        let options = if polling { options.polling() } else { options };
        let broker = SqliteBroker::open(options).await.unwrap();
        let (before, started) = (cpu_ticks(), Instant::now());
        for _ in 0..2 {
            let request = Reserve { wait: Duration::from_secs(5), ..request(1) };
            assert!(broker.reserve(&request).await.unwrap().is_empty());
        }
        // Ticks of 10 ms.
        let share = (cpu_ticks() - before) as f64 / started.elapsed().as_secs_f64();
        println!("polling {polling}: {share:.2} % of a core");
    }
}

/// Time that this process has run, in ticks of 1/100 s; proc(5).
fn cpu_ticks() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}
