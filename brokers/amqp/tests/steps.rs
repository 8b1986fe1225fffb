//! RabbitMQ with a store: the process is killed between every two of its writes, and nothing is lost
//! or run twice that had ended.

mod rig;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use taskbroker_amqp::{AmqpOptions, Composed};
use taskbroker_database::sqlite::{SqliteBroker, SqliteOptions};
use taskcore::broker::{
    Broker, BrokerError, Capabilities, Claim, Claimed, Connection, Delivery, Depth, Due, Enqueued,
    Extended, JobState, Keep, Lookup, Maintain, NewJob, Outbox, Outgoing, QueueShare, Receipt,
    Reserve, Settled, Settlement, Upkeep, Verdict,
};
use taskcore::{JobId, Payload, Priority, QueueName};
use tokio_util::sync::CancellationToken;

use crate::rig::Namespace;

/// Where the process dies, in the order in which it gets there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// The job and its entry in the outbox are stored.
    Stored,
    /// The entry is taken, and nothing is sent.
    Taken,
    /// The message is confirmed, and the entry still there.
    Confirmed,
    /// The entry is deleted.
    Sent,
    /// A worker has the message, and has leased nothing.
    Received,
    /// The job is leased, and the message not acknowledged.
    Leased,
    /// The message is acknowledged, and there is no verdict.
    Acknowledged,
    /// The verdict is stored.
    Settled,
}

const STEPS: [Step; 8] = [
    Step::Stored,
    Step::Taken,
    Step::Confirmed,
    Step::Sent,
    Step::Received,
    Step::Leased,
    Step::Acknowledged,
    Step::Settled,
];

const LEASE: Duration = Duration::from_secs(1);

/// A store that ends the process at one step.
#[derive(Debug)]
struct Deadly {
    store: Connection,
    step: Step,
}

impl Deadly {
    fn reach(&self, step: Step) {
        if self.step == step {
            // Nothing is flushed, closed or dropped.
            std::process::abort();
        }
    }

    fn outbox(&self) -> &dyn Outbox {
        self.store.outbox.as_deref().unwrap()
    }
}

#[async_trait]
impl Broker for Deadly {
    fn name(&self) -> &'static str {
        self.store.broker.name()
    }

    fn capabilities(&self) -> Capabilities {
        self.store.broker.capabilities()
    }

    async fn duplicate(&self) -> Result<Arc<dyn Broker>, BrokerError> {
        self.store.broker.duplicate().await
    }

    async fn enqueue(&self, batch: &[NewJob]) -> Result<Vec<Enqueued>, BrokerError> {
        let answer = self.store.broker.enqueue(batch).await;
        self.reach(Step::Stored);
        answer
    }

    async fn reserve(&self, request: &Reserve) -> Result<Vec<Delivery>, BrokerError> {
        self.store.broker.reserve(request).await
    }

    async fn begin(&self, receipt: &Receipt) -> Result<Settled, BrokerError> {
        self.store.broker.begin(receipt).await
    }

    async fn settle(&self, batch: &[Settlement]) -> Result<Vec<Settled>, BrokerError> {
        self.reach(Step::Acknowledged);
        let answer = self.store.broker.settle(batch).await;
        self.reach(Step::Settled);
        answer
    }

    async fn extend(
        &self,
        receipts: &[Receipt],
        lease: Duration,
    ) -> Result<Vec<Extended>, BrokerError> {
        self.store.broker.extend(receipts, lease).await
    }

    async fn maintain(&self, maintain: &Maintain) -> Result<Upkeep, BrokerError> {
        self.store.broker.maintain(maintain).await
    }

    async fn depth(&self, queues: &[QueueName]) -> Result<Vec<Depth>, BrokerError> {
        self.store.broker.depth(queues).await
    }

    async fn close(&self) -> Result<(), BrokerError> {
        self.store.broker.close().await
    }
}

#[async_trait]
impl Outbox for Deadly {
    async fn open_outbox(&self) -> Result<(), BrokerError> {
        self.outbox().open_outbox().await
    }

    async fn unsent(
        &self,
        max: std::num::NonZeroU32,
        hold: Duration,
        wait: Duration,
    ) -> Result<Vec<Outgoing>, BrokerError> {
        let taken = self.outbox().unsent(max, hold.min(LEASE), wait).await;
        if taken.as_ref().is_ok_and(|entries| !entries.is_empty()) {
            self.reach(Step::Taken);
        }
        taken
    }

    async fn sent(&self, entries: &[Outgoing]) -> Result<(), BrokerError> {
        self.reach(Step::Confirmed);
        let answer = self.outbox().sent(entries).await;
        self.reach(Step::Sent);
        answer
    }

    async fn claim(&self, claim: &Claim) -> Result<Vec<Claimed>, BrokerError> {
        self.reach(Step::Received);
        let claimed = self.outbox().claim(claim).await;
        self.reach(Step::Leased);
        claimed
    }
}

async fn store(file: &Path) -> Connection {
    SqliteBroker::open(SqliteOptions::file(file)).await.unwrap().connection()
}

fn request() -> Reserve {
    let max = std::num::NonZeroU32::MIN;
    Reserve {
        queues: vec![QueueShare { queue: QueueName::DEFAULT, max }],
        max,
        lease: LEASE,
        wait: Duration::from_secs(1),
        interrupt: CancellationToken::new(),
        worker: "worker".to_owned(),
    }
}

/// Works until the job has ended; answers how often it ran, and how often that counted.
async fn work(connection: &Connection, job: JobId) -> Worked {
    let mut worked = Worked { runs: 0, counted: 0 };
    let deadline = Instant::now() + Duration::from_secs(30);
    let results = connection.results.as_ref().unwrap();
    while Instant::now() < deadline {
        if let Lookup::Final(outcome) = &results.outcomes(&[job]).await.unwrap()[0] {
            assert_eq!(outcome.state, JobState::Done);
            return worked;
        }
        connection.broker.maintain(&Maintain::default()).await.unwrap();
        for delivery in connection.broker.reserve(&request()).await.unwrap() {
            worked.runs += 1;
            let result = Some(Payload::from(b"1".to_vec()));
            let verdict = Verdict::Done { result, keep: Keep::For(Duration::from_secs(60)) };
            let settlement =
                Settlement { job: delivery.job, receipt: delivery.receipt.clone(), verdict };
            let settled = connection.broker.settle(&[settlement]).await.unwrap();
            worked.counted += usize::from(settled == [Settled::Applied]);
        }
    }
    panic!("the job did not end: it was lost");
}

#[derive(Debug, PartialEq, Eq)]
struct Worked {
    runs: usize,
    counted: usize,
}

/// What the process that dies was told.
const PLACE: &str = "HEREAFTER_TEST_STEP";

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process that the other tests start and that dies"]
async fn the_process_that_dies() {
    let place = std::env::var(PLACE).expect("started by the other tests");
    let [step, job, file, url]: [&str; 4] =
        place.splitn(4, ' ').collect::<Vec<_>>().try_into().unwrap();
    let step = STEPS[step.parse::<usize>().unwrap()];
    let job: JobId = job.parse().unwrap();
    let store = store(Path::new(file)).await;
    let deadly = Arc::new(Deadly { store: store.clone(), step });
    let store = Connection { broker: deadly.clone(), outbox: Some(deadly), ..store };
    let connection = Composed::open(AmqpOptions::parse(url).unwrap(), store).await.unwrap();
    let new = NewJob {
        id: job,
        queue: QueueName::DEFAULT,
        task: "steps".into(),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: Payload::from(b"{}".to_vec()),
    };
    connection.broker.enqueue(&[new]).await.unwrap();
    work(&connection, job).await;
    // The verdict was stored; the outbox is behind it.
    tokio::time::sleep(Duration::from_secs(5)).await;
    panic!("the process did not get to {step:?}");
}

fn dies_at(step: Step) -> (Namespace, tempfile::TempDir, PathBuf, JobId) {
    let (queues, folder, job) = (Namespace::new(), tempfile::tempdir().unwrap(), JobId::new());
    let file = folder.path().join("tasks.db");
    let number = STEPS.iter().position(|it| *it == step).unwrap();
    let place = format!("{number} {job} {} {}", file.display(), queues.url());
    let child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "the_process_that_dies", "--ignored", "--nocapture"])
        .env(PLACE, place)
        .output()
        .unwrap();
    use std::os::unix::process::ExitStatusExt;
    let said = String::from_utf8_lossy(&child.stderr);
    assert_eq!(child.status.signal(), Some(6), "it did not die at {step:?}: {said}");
    (queues, folder, file, job)
}

/// The store's truth after a death: the job ends once, and how often the survivor ran it.
async fn survives(step: Step) -> Worked {
    let (queues, _folder, file, job) = dies_at(step);
    let connection = Composed::open(queues.options(), store(&file).await).await.unwrap();
    let worked = work(&connection, job).await;
    let stats = connection.history.as_ref().unwrap().stats().await.unwrap();
    assert_eq!((stats[0].stored, stats[0].done), (1, 1), "{stats:?}");
    connection.broker.close().await.unwrap();
    worked
}

const ONCE: Worked = Worked { runs: 1, counted: 1 };

#[tokio::test]
async fn a_job_whose_message_was_not_sent_is_sent_by_others() {
    assert_eq!(survives(Step::Stored).await, ONCE);
}

#[tokio::test]
async fn an_entry_that_was_taken_and_not_sent_is_sent_by_others() {
    assert_eq!(survives(Step::Taken).await, ONCE);
}

#[tokio::test]
async fn a_message_whose_entry_was_not_deleted_may_come_twice_and_the_job_ends_once() {
    assert_eq!(survives(Step::Confirmed).await, ONCE);
}

#[tokio::test]
async fn a_message_that_was_sent_is_worked_on_by_others() {
    assert_eq!(survives(Step::Sent).await, ONCE);
}

#[tokio::test]
async fn a_message_that_was_received_and_not_leased_comes_again() {
    assert_eq!(survives(Step::Received).await, ONCE);
}

#[tokio::test]
async fn a_job_that_was_leased_runs_when_the_lease_has_ended() {
    assert_eq!(survives(Step::Leased).await, ONCE);
}

#[tokio::test]
async fn a_job_without_a_verdict_runs_when_its_lease_has_ended() {
    assert_eq!(survives(Step::Acknowledged).await, ONCE);
}

#[tokio::test]
async fn a_job_with_a_verdict_does_not_run_again() {
    assert_eq!(survives(Step::Settled).await, Worked { runs: 0, counted: 0 });
}
