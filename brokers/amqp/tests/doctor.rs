//! What `doctor` says of a server.

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskcore::broker::{Broker, Finding, FindingLevel, Operate};
use taskservers::RabbitMq;

async fn alarms(server: &RabbitMq) -> Finding {
    let broker = AmqpBroker::open(AmqpOptions::parse(&server.url()).unwrap()).await.unwrap();
    let findings = broker.check().await.unwrap();
    broker.close().await.unwrap();
    findings.into_iter().find(|finding| finding.subject == "alarms").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_an_error_as_long_as_it_lasts() {
    let server = RabbitMq::start();
    server.raise_alarm();
    let raised = alarms(&server).await;
    assert_eq!(raised.level, FindingLevel::Error);
    assert!(raised.detail.contains("`rabbitmqctl status`"), "{}", raised.detail);
    server.clear_alarm();
    assert_eq!(alarms(&server).await.level, FindingLevel::Ok);
}
