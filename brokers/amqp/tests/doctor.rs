//! What `doctor` says of a server.

use taskbroker_amqp::{AmqpBroker, AmqpOptions};
use taskcore::broker::{Broker, Finding, FindingLevel, Operate};
use taskservers::RabbitMq;

async fn finding(server: &RabbitMq, subject: &str) -> Finding {
    let broker = AmqpBroker::open(AmqpOptions::parse(&server.url()).unwrap()).await.unwrap();
    let findings = broker.check().await.unwrap();
    broker.close().await.unwrap();
    findings.into_iter().find(|finding| finding.subject == subject).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alarm_is_an_error_as_long_as_it_lasts() {
    let server = RabbitMq::start();
    server.raise_alarm();
    let raised = finding(&server, "alarms").await;
    assert_eq!(raised.level, FindingLevel::Error);
    assert!(raised.detail.contains("`rabbitmqctl status`"), "{}", raised.detail);
    server.clear_alarm();
    assert_eq!(finding(&server, "alarms").await.level, FindingLevel::Ok);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_version_is_told_as_the_server_tells_it() {
    let server = RabbitMq::start();
    let version = server.eval("rabbit_misc:version()");
    let version = version.trim_matches('"');
    let told = finding(&server, "version").await;
    let expected = format!("RabbitMQ {version}; ");
    assert!(told.detail.starts_with(&expected), "{}, not {expected}", told.detail);
    assert!(told.detail.contains("list_policies") == (told.level == FindingLevel::Ok));
}
