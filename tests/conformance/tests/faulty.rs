//! The broker that fails on demand does what it was told, and nothing else.

use std::borrow::Cow;
use std::time::Duration;

use taskbroker_memory::MemoryBroker;
use taskconformance::{Fault, Faulty, Operation};
use taskcore::broker::{Broker, BrokerError, Due, Enqueued, NewJob};
use taskcore::{JobId, Payload, Priority, QueueName};

fn faulty() -> Faulty {
    Faulty::new(MemoryBroker::new().connection().broker)
}

fn job() -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: Cow::Borrowed("faulty"),
        priority: Priority::default(),
        due: Due::Now,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: Payload::default(),
    }
}

async fn ready(broker: &Faulty) -> u64 {
    broker.depth(&[QueueName::DEFAULT]).await.unwrap()[0].ready.unwrap()
}

#[tokio::test]
async fn a_lost_call_has_not_happened() {
    let broker = faulty();
    broker.next(Operation::Enqueue, Fault::LostCall);
    let error = broker.enqueue(&[job()]).await.unwrap_err();
    assert!(matches!(error, BrokerError::Unavailable { .. }));
    assert_eq!(ready(&broker).await, 0);
}

#[tokio::test]
async fn a_lost_reply_leaves_a_call_that_has_happened() {
    let broker = faulty();
    let job = job();
    broker.next(Operation::Enqueue, Fault::LostReply);
    let error = broker.enqueue(std::slice::from_ref(&job)).await.unwrap_err();
    assert!(error.is_transient());
    assert_eq!(ready(&broker).await, 1);
    assert_eq!(broker.enqueue(&[job]).await.unwrap(), [Enqueued::Duplicate]);
}

#[tokio::test]
async fn what_is_too_much_happens_one_by_one() {
    let broker = faulty();
    broker.always(Operation::Enqueue, Fault::TooMuch);
    let error = broker.enqueue(&[job(), job()]).await.unwrap_err();
    assert!(matches!(error, BrokerError::TooLarge { .. }));
    broker.enqueue(&[job()]).await.unwrap();
    assert_eq!(ready(&broker).await, 1);
}

#[tokio::test]
async fn a_refused_call_is_refused_for_good() {
    let broker = faulty();
    broker.next(Operation::Enqueue, Fault::Refused);
    let error = broker.enqueue(&[job()]).await.unwrap_err();
    assert!(matches!(error, BrokerError::Refused { .. }));
    assert_eq!(ready(&broker).await, 0);
}

#[tokio::test]
async fn queued_faults_spoil_one_call_each_and_only_their_operation() {
    let broker = faulty();
    broker.next(Operation::Enqueue, Fault::LostCall);
    broker.next(Operation::Enqueue, Fault::LostCall);
    assert_eq!(ready(&broker).await, 0);
    assert!(broker.enqueue(&[job()]).await.is_err());
    assert!(broker.enqueue(&[job()]).await.is_err());
    assert!(broker.enqueue(&[job()]).await.is_ok());
    assert_eq!(broker.calls(Operation::Enqueue), 3);
    assert_eq!(broker.calls(Operation::Settle), 0);
}

#[tokio::test]
async fn a_standing_fault_lasts_until_it_is_healed() {
    let broker = faulty();
    broker.always(Operation::Enqueue, Fault::LostCall);
    for _ in 0..5 {
        assert!(broker.enqueue(&[job()]).await.is_err());
    }
    broker.heal();
    assert!(broker.enqueue(&[job()]).await.is_ok());
}

#[tokio::test]
async fn a_duplicate_follows_the_same_script() {
    let broker = faulty();
    let duplicate = broker.duplicate().await.unwrap();
    broker.next(Operation::Depth, Fault::LostCall);
    assert!(duplicate.depth(&[]).await.is_err());
    assert_eq!(broker.calls(Operation::Depth), 1);
}

#[tokio::test(start_paused = true)]
async fn a_delayed_call_happens_late_and_a_delayed_reply_is_only_told_late() {
    let broker = faulty();
    let minute = Duration::from_secs(60);
    for (fault, expected) in [(Fault::Delayed(minute), 0), (Fault::DelayedReply(minute), 2)] {
        broker.next(Operation::Enqueue, fault);
        let batch = [job()];
        let mut call = broker.enqueue(&batch);
        assert!(tokio::time::timeout(minute / 2, &mut call).await.is_err());
        assert_eq!(ready(&broker).await, expected);
        call.await.unwrap();
    }
}
