//! What a user must be allowed to do, as docs/rabbitmq.md has it.

use std::num::NonZeroU32;
use std::time::Duration;

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskcore::broker::{
    Broker, BrokerError, Due, Keep, NewJob, QueueShare, Reserve, Settled, Settlement, Verdict,
};
use taskcore::{JobId, Priority, QueueName, error_chain};
use taskservers::RabbitMq;
use tokio_util::sync::CancellationToken;

/// A user with these rights (configure, write, read), who is connected.
async fn open(server: &RabbitMq, rights: [&str; 3]) -> std::sync::Arc<AmqpBroker> {
    server.ctl(&["add_user", "app", "secret"]);
    let [configure, write, read] = rights;
    server.ctl(&["set_permissions", "app", configure, write, read]);
    let url = server.url().replace("guest:guest", "app:secret");
    AmqpBroker::open(AmqpOptions::parse(&url).unwrap()).await.unwrap()
}

fn job(due: Due) -> NewJob {
    NewJob {
        id: JobId::new(),
        queue: QueueName::DEFAULT,
        task: "rights::task".into(),
        priority: Priority::default(),
        due,
        expires_in: None,
        inputs: Vec::new(),
        unique: None,
        with_next: false,
        envelope: br#"{"hereafter":1,"task":"rights::task","args":{}}"#.to_vec().into(),
    }
}

async fn run_one(broker: &AmqpBroker) {
    let max = NonZeroU32::MIN;
    let request = Reserve {
        queues: vec![QueueShare { queue: QueueName::DEFAULT, max }],
        max,
        lease: Duration::from_secs(30),
        wait: Duration::from_secs(30),
        interrupt: CancellationToken::new(),
        worker: "test".to_owned(),
    };
    let taken = broker.reserve(&request).await.unwrap().pop().unwrap();
    let verdict = Verdict::Done { result: None, keep: Keep::Nothing };
    let settlement = Settlement { job: taken.job, receipt: taken.receipt, verdict };
    assert_eq!(broker.settle(&[settlement]).await.unwrap(), [Settled::Applied]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rights_that_the_page_names_are_enough() {
    let server = RabbitMq::start();
    let write = r"^(hereafter\.1\..*|amq\.default)$";
    let broker = open(&server, [r"^hereafter\.1\.", write, r"^hereafter\.1\."]).await;
    let jobs = [job(Due::Now), job(Due::After(Duration::from_millis(300)))];
    broker.enqueue(&jobs).await.unwrap();
    for _ in jobs {
        run_one(&broker).await;
    }
    broker.close().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_send_is_told_which_rights_are_missing() {
    let server = RabbitMq::start();
    let own = r"^hereafter\.1\.";
    let broker = open(&server, [own, own, own]).await;
    let refused = broker.enqueue(&[job(Due::Now)]).await.unwrap_err();
    assert!(matches!(refused, BrokerError::Refused { .. }), "{}", error_chain(&refused));
    assert!(refused.to_string().contains("write on `amq.default`"), "{}", error_chain(&refused));
    broker.close().await.unwrap();
}
